//! The part of a work that upstream's REST API doesn't show.

use maestro_client::{Applied, Patch};
use manifestwork::Executor;
use serde_json::json;

use crate::{client, fake::Fake, work};

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

/// Controllers apply everything once more when they start.
#[tokio::test]
async fn an_apply_of_the_same_work_by_a_new_process_sends_nothing() {
    let fake = Fake::start().await;
    let executor: Executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    let mut with_executor = work("w", "1");
    with_executor.spec.executor = Some(executor);
    let before = client(&fake).works("c1");
    before.apply(&with_executor).await.unwrap();
    before.apply(&work("without", "1")).await.unwrap();
    fake.report("w", json!({}));
    fake.report("without", json!({}));
    let asked = || fake.data().published.len() - 2;

    let restarted = client(&fake).works("c1");
    let applied = restarted.apply(&with_executor).await.unwrap();
    assert!(matches!(applied, Applied::Unchanged(_)), "{applied:?}");
    assert_eq!(applied.work().spec.executor, with_executor.spec.executor);
    assert_eq!(fake.data().rows[&fake_id("w")].version, 1);
    assert_eq!(asked(), 1, "a report");
    // What has no executor costs no question, and what differs anyway none either.
    let applied = restarted.apply(&work("without", "1")).await.unwrap();
    assert!(matches!(applied, Applied::Unchanged(_)), "{applied:?}");
    assert_eq!(asked(), 1);
    let mut other = with_executor.clone();
    other.metadata.labels.insert("a".into(), "b".into());
    client(&fake).works("c1").apply(&other).await.unwrap();
    assert_eq!(asked(), 2, "the update");
    // It is known which one it is: another one is a change.
    let mut another = other.clone();
    another.spec.executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "b"}}})).unwrap();
    fake.report("w", json!({}));
    let applied = client(&fake).works("c1").apply(&another).await.unwrap();
    assert!(matches!(applied, Applied::Updated(_)), "{applied:?}");
}

fn fake_id(name: &str) -> String {
    manifestwork::ids::resource_id("s1", "c1", name).to_string()
}

/// What comes back doesn't show the executor: that makes it no other work than the one that was sent.
#[tokio::test]
async fn a_lost_answer_about_a_work_with_an_executor_is_no_conflict() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let lost = || (tonic::Status::unavailable("connection reset"), true);
    let mut with_executor = work("w", "1");
    with_executor.spec.executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    fake.data().failures.push(lost());
    let created = works.create(&with_executor).await.unwrap();
    assert_eq!(created.spec.executor, with_executor.spec.executor);
    with_executor.metadata.labels.insert("a".into(), "b".into());
    fake.data().failures.push(lost());
    let applied = works.apply(&with_executor).await.unwrap();
    assert_eq!(applied.work().metadata.generation, 2);
    let again = works.apply(&with_executor).await.unwrap();
    assert!(matches!(again, Applied::Unchanged(_)), "{again:?}");
}
