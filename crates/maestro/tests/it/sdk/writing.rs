//! Writers beside each other, and parts of works that must not get lost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conformance::play::Behaviour;
use maestro_client::{Applied, Deletion, Error, Patch, retry_on_conflict};
use manifestwork::Executor;
use serde_json::json;

use super::place::{Database, Place};
use super::work;

on_both_databases!(
    a_work_lives_from_create_to_delete,
    f39_two_writers_lose_no_change,
    an_executor_is_kept_by_a_process_that_never_saw_it,
);

async fn a_work_lives_from_create_to_delete(database: Database) {
    let place = Place::start(database).await;
    let works = place.client().works("c1");
    let mut elsewhere = work("w", "1");
    elsewhere.metadata.namespace = "c9".into();
    let foreign = works.create(&elsewhere).await;
    assert!(
        matches!(foreign, Err(Error::Invalid { .. })),
        "a handle is of one consumer"
    );
    let unknown = place.client().works("c9").create(&elsewhere).await;
    let Err(Error::ConsumerNotFound { consumer }) = unknown else {
        panic!("c9 is registered")
    };
    assert_eq!(consumer, "c9");

    assert_eq!(
        works
            .create(&work("w", "1"))
            .await
            .unwrap()
            .metadata
            .generation,
        1
    );
    assert!(matches!(
        works.create(&work("w", "1")).await,
        Err(Error::AlreadyExists { .. })
    ));
    assert!(matches!(
        works.apply(&work("w", "1")).await.unwrap(),
        Applied::Unchanged(_)
    ));
    assert_eq!(
        works.get("w").await.unwrap().metadata.generation,
        1,
        "nothing was sent"
    );
    assert!(matches!(
        works.apply(&work("w", "2")).await.unwrap(),
        Applied::Updated(_)
    ));
    let json = Patch::Json(json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]));
    assert_eq!(
        works.patch("w", &json).await.unwrap().metadata.generation,
        3
    );
    assert_eq!(works.get("w").await.unwrap().metadata.labels["a"], "b");
    // A version in the patch is the one that it is based on; 0 asks for no check.
    let based_on = |version: i64, value: &str| {
        Patch::Merge(json!({"metadata": {"generation": version, "labels": {"a": value}}}))
    };
    let stale = works.patch("w", &based_on(1, "c")).await.unwrap_err();
    assert!(
        matches!(
            stale,
            Error::Conflict {
                latest: Some(3),
                ..
            }
        ),
        "{stale:?}"
    );
    works.patch("w", &based_on(0, "d")).await.unwrap();
    let read = works.get("w").await.unwrap();
    assert_eq!(
        (read.metadata.generation, read.metadata.labels["a"].as_str()),
        (4, "d")
    );

    assert_eq!(works.delete("w").await.unwrap(), Deletion::Requested);
    assert_eq!(works.delete("w").await.unwrap(), Deletion::AlreadyRequested);
    assert!(works.get("w").await.unwrap().metadata.is_deleting());
    assert!(matches!(
        works.apply(&work("w", "9")).await,
        Err(Error::Deleting { .. })
    ));
    let _agent = place.agent("c1", Behaviour::default()).await;
    testkit::eventually(
        "the end of the work",
        crate::support::PATIENCE,
        async || {
            works
                .get("w")
                .await
                .is_err_and(|error| error.is_not_found())
                .then_some(())
        },
    )
    .await;
    assert_eq!(works.delete("w").await.unwrap(), Deletion::Absent);
    let again = works.create(&work("w", "1")).await.unwrap();
    assert_eq!(again.metadata.generation, 1, "another life");
}

async fn f39_two_writers_lose_no_change(database: Database) {
    const EACH: u32 = 15;
    let place = Place::start(database).await;
    let client = place.client();
    client.works("c1").create(&work("w", "1")).await.unwrap();

    let (mut one, mut other) = (
        client.works("c1").get("w").await.unwrap(),
        place.client().works("c1").get("w").await.unwrap(),
    );
    one.metadata.labels.insert("one".into(), "x".into());
    other.metadata.labels.insert("other".into(), "x".into());
    client.works("c1").apply(&one).await.unwrap();
    let refused = client.works("c1").apply(&other).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                latest: Some(2),
                ..
            }
        ),
        "{refused:?}"
    );

    let reads = AtomicU32::new(0);
    let write = async |who: &str| {
        let works = place.client().works("c1");
        for number in 0..EACH {
            retry_on_conflict(100, || async {
                reads.fetch_add(1, Ordering::Relaxed);
                let mut work = works.get("w").await?;
                work.metadata
                    .labels
                    .insert(format!("{who}-{number}"), "x".into());
                works.apply(&work).await
            })
            .await
            .unwrap();
        }
    };
    tokio::join!(write("a"), write("b"));
    let work = client.works("c1").get("w").await.unwrap();
    assert_eq!(work.metadata.labels.len(), 1 + 2 * EACH as usize);
    assert_eq!(
        work.metadata.generation,
        2 + 2 * i64::from(EACH),
        "each change once"
    );
    assert!(reads.into_inner() >= 2 * EACH);
}

async fn an_executor_is_kept_by_a_process_that_never_saw_it(database: Database) {
    let place = Place::start(database).await;
    let agent = place.agent("c1", Behaviour::default()).await;
    let subject = json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}});
    let executor: Executor = serde_json::from_value(subject.clone()).unwrap();
    let mut first = work("w", "1");
    first.spec.executor = Some(executor.clone());
    let works = place.client().works("c1");
    works.create(&first).await.unwrap();
    works.create(&work("without", "1")).await.unwrap();
    // On upstream's server only a report tells who the executor is.
    let mut follower = super::follower::Follower::new(works.watch(Default::default()));
    follower
        .until("both applied", |told| {
            told.is_applied("w", 1) && told.is_applied("without", 1)
        })
        .await;

    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"step": value}}}));
    place
        .client()
        .works("c1")
        .patch("w", &label("2"))
        .await
        .unwrap();
    place
        .client()
        .works("c1")
        .patch("without", &label("2"))
        .await
        .unwrap();
    let got = place.client().works("c1");
    let change = |work: &mut manifestwork::ManifestWork| {
        work.metadata.labels.insert("step".into(), "3".into());
    };
    got.edit("w", change).await.unwrap();
    let id = |name: &str| manifestwork::ids::resource_id("sdk", "c1", name).to_string();
    let wanted = [(id("w"), 3), (id("without"), 2)];
    agent.holds(Duration::from_secs(30), &wanted).await.unwrap();
    // The wire's name of the field.
    let held = |name: &str| agent.work(&id(name)).unwrap().spec.data()["executer"].clone();
    assert_eq!(held("w"), subject);
    assert_eq!(held("without"), serde_json::Value::Null);

    // A controller that was restarted applies what it has applied before: nothing is to be sent.
    follower
        .until("the last version applied", |told| told.is_applied("w", 3))
        .await;
    first.metadata.labels.insert("step".into(), "3".into());
    let applied = place.client().works("c1").apply(&first).await.unwrap();
    assert!(matches!(applied, Applied::Unchanged(_)), "{applied:?}");
}
