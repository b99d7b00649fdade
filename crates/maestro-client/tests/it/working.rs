//! Get, list, create, patch, apply, delete, consumers.

use std::{collections::BTreeMap, time::Duration};

use maestro_client::{
    Applied, Client, Config, Deletion, Error, LabelSelector, ListOptions, Patch, retry_on_conflict,
};
use manifestwork::{DeleteOption, Executor, ManifestWork, PropagationPolicy, ids};
use serde_json::json;
use testkit::proxy::Proxy;
use tonic::Status;

use crate::{client, config, config_map, fake::Fake, work};

#[tokio::test]
async fn a_work_is_created_read_changed_and_deleted() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let created = works.create(&work("w", "1")).await.unwrap();
    assert_eq!(
        created.metadata.uid,
        ids::resource_id("s1", "c1", "w").to_string()
    );
    assert_eq!(created.metadata.generation, 1);

    let read = works.get("w").await.unwrap();
    assert_eq!(
        (
            read.metadata.name.as_str(),
            read.metadata.namespace.as_str(),
            read.metadata.generation
        ),
        ("w", "c1", 1)
    );
    assert_eq!(read.spec, created.spec);
    assert!(read.metadata.creation_timestamp.is_some() && read.status.conditions.is_empty());

    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let patched = works.patch("w", &patch).await.unwrap();
    assert_eq!(
        (
            patched.metadata.generation,
            patched.metadata.labels["a"].as_str()
        ),
        (2, "b")
    );
    assert_eq!(
        works.patch("w", &patch).await.unwrap().metadata.generation,
        2,
        "nothing to change, nothing sent"
    );
    let json_patch = Patch::Json(json!([{"op": "remove", "path": "/metadata/labels/a"}]));
    assert_eq!(
        works
            .patch("w", &json_patch)
            .await
            .unwrap()
            .metadata
            .generation,
        3
    );
    assert!(
        fake.data()
            .published
            .last()
            .unwrap()
            .metadata()
            .unwrap()
            .unwrap()
            .labels
            .is_empty()
    );

    assert_eq!(works.delete("w").await.unwrap(), Deletion::Requested);
    assert_eq!(works.delete("w").await.unwrap(), Deletion::AlreadyRequested);
    let deleting = works.get("w").await.unwrap();
    assert!(deleting.metadata.is_deleting());
    assert!(matches!(
        works.patch("w", &patch).await,
        Err(Error::Deleting { .. })
    ));
    assert!(matches!(
        works.apply(&work("w", "9")).await,
        Err(Error::Deleting { .. })
    ));
    assert!(matches!(
        works.create(&work("w", "9")).await,
        Err(Error::AlreadyExists { .. })
    ));
    fake.finish_deletion("w");
    assert!(works.get("w").await.unwrap_err().is_not_found());
    assert_eq!(works.delete("w").await.unwrap(), Deletion::Absent);
    assert!(works.patch("w", &patch).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn apply_sends_only_what_differs() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    assert!(matches!(
        works.apply(&work("w", "1")).await.unwrap(),
        Applied::Created(_)
    ));
    assert!(matches!(
        works.apply(&work("w", "1")).await.unwrap(),
        Applied::Unchanged(_)
    ));
    assert_eq!(fake.data().published.len(), 1);
    let updated = works.apply(&work("w", "2")).await.unwrap();
    let Applied::Updated(updated) = updated else {
        panic!("{updated:?}")
    };
    assert_eq!(updated.metadata.generation, 2);
    assert_eq!(
        fake.data().published[1].resource_version().unwrap(),
        1,
        "the version that it was based on"
    );
    let mut option = work("w", "2");
    option.spec.delete_option = Some(DeleteOption::new(PropagationPolicy::Orphan));
    assert!(matches!(
        works.apply(&option).await.unwrap(),
        Applied::Updated(_)
    ));
    assert!(matches!(
        works.apply(&option).await.unwrap(),
        Applied::Unchanged(_)
    ));
}

#[tokio::test]
async fn f39_two_writers_from_the_same_copy_do_not_lose_a_change() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let (mut one, mut other) = (works.get("w").await.unwrap(), works.get("w").await.unwrap());
    one.metadata.labels.insert("one".into(), "1".into());
    other.metadata.labels.insert("other".into(), "1".into());
    works.apply(&one).await.unwrap();
    let refused = works.apply(&other).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                latest: Some(2),
                ..
            }
        ),
        "{refused}"
    );
    works
        .edit("w", |work| {
            drop(work.metadata.labels.insert("other".into(), "1".into()))
        })
        .await
        .unwrap();
    let labels = works.get("w").await.unwrap().metadata.labels;
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["one", "other"]);
}

#[tokio::test]
async fn twenty_editors_at_once_all_get_through() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let editors: Vec<_> = (0..20)
        .map(|number| {
            let works = works.clone();
            tokio::spawn(async move {
                retry_on_conflict(100, || {
                    works.edit("w", |work| {
                        drop(
                            work.metadata
                                .labels
                                .insert(format!("l{number}"), "x".into()),
                        )
                    })
                })
                .await
            })
        })
        .collect();
    for editor in editors {
        editor.await.unwrap().unwrap();
    }
    let work = works.get("w").await.unwrap();
    assert_eq!(
        (work.metadata.labels.len(), work.metadata.generation),
        (20, 21)
    );
}

#[tokio::test]
async fn f37_a_list_walks_all_pages_each_work_once() {
    let fake = Fake::start().await;
    fake.consumer("c2");
    let client = Client::new(Config {
        page_size: 7,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..25 {
        let mut work = work(&format!("w{number:02}"), "1");
        work.metadata.labels.insert(
            "parity".into(),
            if number % 2 == 0 { "even" } else { "odd" }.into(),
        );
        client.works("c1").create(&work).await.unwrap();
    }
    let mut elsewhere = work("w00", "1");
    elsewhere.metadata.namespace = "c2".into();
    client.works("c2").create(&elsewhere).await.unwrap();
    let stranger = Client::new(Config {
        source_id: "s2".into(),
        ..config(&fake)
    })
    .unwrap();
    stranger
        .works("c1")
        .create(&work("foreign", "1"))
        .await
        .unwrap();

    let names = |works: Vec<ManifestWork>| {
        let mut names: Vec<String> = works.into_iter().map(|work| work.metadata.name).collect();
        names.sort();
        names
    };
    let all = names(
        client
            .works("c1")
            .list(&ListOptions::default())
            .await
            .unwrap(),
    );
    assert_eq!(
        all,
        (0..25)
            .map(|number| format!("w{number:02}"))
            .collect::<Vec<_>>()
    );
    {
        let searches = &fake.data().searches;
        assert_eq!(searches.len(), 4);
        assert!(
            searches
                .iter()
                .all(|query| query["orderBy"] == "id" && query["page"] == "1")
        );
        assert_eq!(searches[0]["search"], "source='s1' and consumer_name='c1'");
        assert!(searches[1]["search"].starts_with("source='s1' and consumer_name='c1' and id > '"));
    }
    let list = |selector: &str| {
        let options = ListOptions {
            label_selector: selector.parse().unwrap(),
            limit: None,
        };
        let works = client.works("c1");
        async move { works.list(&options).await.unwrap().len() }
    };
    assert_eq!(list("parity=even").await, 13);
    assert_eq!(list("parity in (even,odd)").await, 25);
    assert_eq!(list("parity!=even").await, 12);
    assert_eq!(
        list("other notin (x),!nothing").await,
        25,
        "works that lack the label match, as in Kubernetes"
    );
    assert_eq!(
        client
            .all_works()
            .list(&ListOptions::default())
            .await
            .unwrap()
            .len(),
        26
    );
    let limited = ListOptions {
        limit: Some(10),
        ..ListOptions::default()
    };
    assert_eq!(client.works("c1").list(&limited).await.unwrap().len(), 10);
    assert_eq!(
        client
            .bundles()
            .of_consumer("c1")
            .unwrap()
            .all()
            .await
            .unwrap()
            .len(),
        26,
        "of every source"
    );
}

#[tokio::test]
async fn f17_works_are_deleted_by_label_and_a_second_call_does_the_rest() {
    let fake = Fake::start().await;
    fake.consumer("c2");
    let client = Client::new(Config {
        page_size: 4,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..10 {
        let mut work = work(&format!("w{number}"), "1");
        let label = if number == 9 { "other" } else { "x" };
        work.metadata.labels.insert("cluster".into(), label.into());
        if number == 8 {
            work.metadata.namespace = "c2".into();
        }
        client.all_works().create(&work).await.unwrap();
    }
    let selector = "cluster=x".parse().unwrap();
    fake.data()
        .failures
        .push((Status::permission_denied("not this one"), false));
    let works = client.all_works();
    let first = works.delete_matching(&selector).await.unwrap();
    assert_eq!((first.requested.len(), first.failed.len()), (8, 1));
    assert!(!first.is_complete());
    let events = fake.data().published.len();
    let second = works.delete_matching(&selector).await.unwrap();
    assert_eq!(second.requested, [first.failed[0].0.clone()]);
    assert_eq!(second.already_requested.len(), 8);
    assert_eq!(fake.data().published.len(), events + 1, "only what is left");
    assert!(
        second
            .already_requested
            .iter()
            .chain(&second.requested)
            .any(|name| name.to_string() == "c2/w8")
    );
    let other = client.works("c1").get("w9").await.unwrap();
    assert!(!other.metadata.is_deleting());
    assert!(
        works
            .delete_matching(&LabelSelector::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn errors_have_a_class_and_a_text() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let works = client.works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let error = works.create(&work("w", "1")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifestworks.work.open-cluster-management.io \"w\" already exists"
    );
    let nowhere = client
        .works("c9")
        .create(&ManifestWork {
            metadata: manifestwork::ObjectMeta::named("", "w"),
            ..work("w", "1")
        })
        .await
        .unwrap_err();
    assert!(
        matches!(&nowhere, Error::ConsumerNotFound { consumer } if consumer == "c9"),
        "{nowhere:?}"
    );
    let mut bad = work("bad", "1");
    bad.spec
        .workload
        .manifests
        .push(json!({"apiVersion": "a/b/c", "kind": "X", "metadata": {"name": "x"}}).into());
    let error = works.create(&bad).await.unwrap_err();
    assert!(
        matches!(error, Error::Invalid { .. }) && error.to_string().contains("bad format"),
        "{error}"
    );
    bad.spec.workload.manifests = vec![config_map("m", &"x".repeat(512_000))];
    assert!(matches!(
        works.create(&bad).await,
        Err(Error::TooLarge { .. })
    ));
    assert!(matches!(
        client.all_works().get("w").await,
        Err(Error::Invalid { .. })
    ));
    assert_eq!(
        fake.data().published.len(),
        4,
        "what breaks a rule of sources is not sent"
    );
}

#[tokio::test]
async fn the_executor_survives_a_patch_on_servers_that_do_not_show_it() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let executor: Executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    let mut with_executor = work("w", "1");
    with_executor.spec.executor = Some(executor.clone());
    client.works("c1").create(&with_executor).await.unwrap();
    let patch = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"a": value}}}));
    client.works("c1").patch("w", &patch("b")).await.unwrap();
    let sent = |fake: &Fake| {
        fake.data()
            .published
            .last()
            .unwrap()
            .json::<event_wire::payload::ManifestBundle>()
            .unwrap()
            .executor
    };
    assert_eq!(sent(&fake), Some(executor.clone()));
    assert!(matches!(
        client
            .works("c1")
            .apply(&{
                let mut same = with_executor.clone();
                same.metadata.labels.insert("a".into(), "b".into());
                same
            })
            .await
            .unwrap(),
        Applied::Unchanged(_)
    ));
    fake.data().shows_executor = true;
    let fresh = crate::client(&fake);
    fresh.works("c1").patch("w", &patch("c")).await.unwrap();
    assert_eq!(sent(&fake), Some(executor), "our server shows it");
}

#[tokio::test]
async fn a_process_that_never_saw_the_executor_asks_for_a_report_before_a_change() {
    let fake = Fake::start().await;
    let executor: Executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    let mut with_executor = work("w", "1");
    with_executor.spec.executor = Some(executor.clone());
    let creator = client(&fake).works("c1");
    creator.create(&with_executor).await.unwrap();
    creator.create(&work("without", "1")).await.unwrap();
    for name in ["w", "without"] {
        fake.report(name, json!({}));
    }
    let newcomer = client(&fake).works("c1");
    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"a": value}}}));
    let sent = |fake: &Fake| {
        let data = fake.data();
        let last = data.published.last().unwrap();
        assert_eq!(last.event_type.action, event_wire::Action::UpdateRequest);
        last.json::<event_wire::payload::ManifestBundle>()
            .unwrap()
            .executor
    };
    newcomer.patch("w", &label("b")).await.unwrap();
    assert_eq!(sent(&fake), Some(executor.clone()));
    newcomer.patch("without", &label("b")).await.unwrap();
    assert_eq!(sent(&fake), None);
    // Now it is known.
    newcomer
        .edit("w", |work| {
            work.metadata.labels.insert("a".into(), "c".into());
        })
        .await
        .unwrap();
    assert_eq!(sent(&fake), Some(executor));
    let asked = |fake: &Fake| {
        let data = fake.data();
        let resync = |event: &&event_wire::Event| {
            event.event_type.action == event_wire::Action::ResyncRequest
        };
        data.published.iter().filter(resync).count()
    };
    assert_eq!(asked(&fake), 2);

    // Another life of the same id begins with version 1 again, and without an executor.
    newcomer.delete("w").await.unwrap();
    fake.finish_deletion("w");
    creator.create(&work("w", "2")).await.unwrap();
    fake.report("w", json!({}));
    newcomer.patch("w", &label("d")).await.unwrap();
    assert_eq!(sent(&fake), None);
}

#[tokio::test]
async fn a_lost_answer_is_no_lost_write_and_no_second_one() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let lost = || (Status::unavailable("connection reset"), true);
    fake.data().failures.push(lost());
    assert_eq!(
        works
            .create(&work("w", "1"))
            .await
            .unwrap()
            .metadata
            .generation,
        1
    );
    fake.data().failures.push(lost());
    let Applied::Updated(updated) = works.apply(&work("w", "2")).await.unwrap() else {
        panic!()
    };
    assert_eq!(updated.metadata.generation, 2);
    let ids: Vec<String> = fake
        .data()
        .published
        .iter()
        .map(|event| event.id.clone())
        .collect();
    assert!(
        ids.len() == 4 && ids[0] == ids[1] && ids[2] == ids[3],
        "a repeated event keeps its id"
    );
    // Somebody else's work in the way is still an error.
    fake.data()
        .failures
        .push((Status::unavailable("connection reset"), false));
    fake.data()
        .rows
        .values_mut()
        .for_each(|row| row.version = 1);
    assert!(matches!(
        works.create(&work("w", "3")).await,
        Err(Error::AlreadyExists { .. })
    ));
}

#[tokio::test]
async fn f48_calls_wait_for_a_server_that_comes_back_and_say_so_if_it_does_not() {
    let fake = Fake::start().await;
    let (grpc, rest) = (
        Proxy::start(fake.grpc).await.unwrap(),
        Proxy::start(fake.rest).await.unwrap(),
    );
    let through = |wait_for_server| Config {
        grpc_address: grpc.address().to_string(),
        rest_url: format!("http://{}", rest.address()),
        wait_for_server,
        ..config(&fake)
    };
    let patient = Client::new(through(crate::DEADLINE)).unwrap();
    let hasty = Client::new(through(Duration::ZERO)).unwrap();
    patient
        .works("c1")
        .create(&work("before", "1"))
        .await
        .unwrap();
    grpc.refuse();
    rest.refuse();
    for error in [
        hasty.works("c1").create(&work("w", "1")).await.unwrap_err(),
        hasty.works("c1").get("w").await.unwrap_err(),
    ] {
        assert!(
            error.is_retryable() && error.status_reason() == "ServiceUnavailable",
            "{error:?}"
        );
    }
    let waiting = tokio::spawn(async move { patient.works("c1").apply(&work("w", "1")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    grpc.accept();
    rest.accept();
    assert!(matches!(
        waiting.await.unwrap().unwrap(),
        Applied::Created(_)
    ));
}

#[tokio::test]
async fn another_service_at_the_address_is_no_empty_maestro() {
    let fake = Fake::start().await;
    // The gRPC port speaks HTTP/2 only, the REST port no gRPC.
    let crossed = Config {
        rest_url: format!("http://{}", fake.rest),
        grpc_address: fake.rest.to_string(),
        wait_for_server: Duration::ZERO,
        ..config(&fake)
    };
    let error = Client::new(crossed)
        .unwrap()
        .works("c1")
        .create(&work("w", "1"))
        .await
        .unwrap_err();
    assert!(!error.is_not_found(), "{error:?}");
    let misplaced = Config {
        rest_url: format!("http://{}/somewhere", fake.rest),
        ..config(&fake)
    };
    let error = Client::new(misplaced)
        .unwrap()
        .works("c1")
        .get("w")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn consumers_are_found_by_name_and_listed_beyond_a_page() {
    let fake = Fake::start().await;
    for number in 0..12 {
        fake.consumer(&format!("x{number:02}"));
    }
    let client = Client::new(Config {
        page_size: 5,
        ..config(&fake)
    })
    .unwrap();
    assert_eq!(client.consumers().list().await.unwrap().len(), 13);
    assert_eq!(client.consumers().get("x11").await.unwrap().id, "id-x11");
    assert!(
        client
            .consumers()
            .get("x99")
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(matches!(
        client.consumers().get("x' or 'a'='a").await,
        Err(Error::Invalid { .. })
    ));
    let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    assert_eq!(
        client
            .consumers()
            .create("new", &labels)
            .await
            .unwrap()
            .labels,
        labels
    );
    assert!(matches!(
        client.consumers().create("new", &labels).await,
        Err(Error::AlreadyExists { .. })
    ));
}

#[tokio::test]
async fn an_operation_id_travels_with_the_work() {
    let fake = Fake::start().await;
    client(&fake)
        .with_operation_id("op-7")
        .works("c1")
        .create(&work("w", "1"))
        .await
        .unwrap();
    let event = fake.data().published[0].clone();
    assert_eq!(
        event.log_tracing()["logging.open-cluster-management.io/op-id"],
        "op-7"
    );
    let again = client(&fake)
        .works("c1")
        .apply(&work("w", "1"))
        .await
        .unwrap();
    assert!(
        matches!(again, Applied::Unchanged(_)),
        "tracing is no change"
    );
}

#[tokio::test]
async fn a_trace_travels_with_the_work() {
    let fake = Fake::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = maestro_client::TraceContext::parse(parent, Some("vendor=x")).unwrap();
    let client = client(&fake).with_trace(trace.clone());
    client.works("c1").create(&work("w", "1")).await.unwrap();
    client.works("c1").get("w").await.unwrap();
    let event = fake.data().published[0].clone();
    assert_eq!(maestro_client::TraceContext::of(&event), Some(trace));
    let traces = fake.data().traces.clone();
    assert!(
        !traces.is_empty() && traces.iter().all(|trace| trace == parent),
        "{traces:?}"
    );
}

#[test]
fn every_call_can_be_made_from_a_spawned_task() {
    fn sendable<T: Send>(_: &T) {}
    let client = Client::new(Config {
        source_id: "s".into(),
        ..Config::default()
    })
    .unwrap();
    let (works, consumers) = (client.works("c"), client.consumers());
    let (work, patch, options) = (
        work("w", "1"),
        Patch::Merge(json!({})),
        ListOptions::default(),
    );
    sendable(&works.get("w"));
    sendable(&works.list(&options));
    sendable(&works.create(&work));
    sendable(&works.patch("w", &patch));
    sendable(&works.apply(&work));
    sendable(&works.edit("w", |_| {}));
    sendable(&works.delete("w"));
    sendable(&works.delete_matching(&LabelSelector::default()));
    sendable(&works.walk(&LabelSelector::default()).unwrap().next());
    sendable(&consumers.list());
}
