//! Create, patch, apply, edit, delete: what is sent, and what it ends with.

use maestro_client::{Applied, Deletion, Error, Patch, retry_on_conflict};
use manifestwork::{DeleteOption, ManifestWork, PropagationPolicy, ids};
use serde_json::json;

use crate::{client, config_map, fake::Fake, work};

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
