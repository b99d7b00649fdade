use serde_json::{Value, json};

use super::*;
use crate::storage::facts::Sent;

const CREATED: &str = "2026-01-01T00:00:00Z";

fn time(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn row(version: i64, deleted_at: Option<Timestamp>, status: Option<Value>) -> Resource {
    let payload = json!({
        "specversion": "1.0", "id": "event-1", "source": "s1",
        "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "data": {"manifests": []},
    });
    Resource {
        id: "r1".into(),
        source: "s1".into(),
        cluster: "c1".into(),
        version,
        created_at: time(0),
        updated_at: time(10),
        deleted_at,
        payload: payload.to_string(),
        status: status.map(|status| status.to_string()),
        revision: "".into(),
    }
}

fn status(version: i64, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": "status-1", "source": "agent", "time": "2026-01-01T00:00:11Z",
        "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request",
        "resourceversion": version, "sequenceid": "77", "data": data,
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:11Z"})
}

fn connected() -> LastPresence {
    LastPresence {
        instance: Some("m1".into()),
        since: Some(time(1)),
        last_seen: time(99),
        last_resync: Some(time(2)),
        waiting: 0,
        orphans: 0,
        last_error: None,
    }
}

fn sent(version: i64, deleting: bool) -> Dispatch {
    Dispatch {
        sent: Some(Sent {
            id: "r1".into(),
            version,
            deleting,
            event: "sent-1".into(),
            action: "create_request".into(),
            at: time(70),
            times: 1,
            error: None,
        }),
        instance: Some("m1".into()),
        reminders: 0,
        next_reminder: None,
    }
}

fn explained(row: &Resource, dispatch: &Dispatch, presence: Option<&LastPresence>) -> Explanation {
    explain(&Facts {
        row,
        consumer_id: "consumer-1",
        dispatch,
        presence,
        queued_here: false,
        grace: SignedDuration::from_secs(20),
        now: time(100),
    })
}

#[test]
fn an_absent_agent_is_named_first() {
    let found = explained(&row(3, None, None), &Dispatch::default(), None);
    assert_eq!(found.state, State::WaitingForAgent);
    assert!(
        found.summary.starts_with(
            "Version 3 is stored and waits for the agent of c1, which was never connected"
        ),
        "{}",
        found.summary
    );
    assert_eq!(found.delivery.next_retry, None);
    let gone = LastPresence {
        instance: None,
        ..connected()
    };
    let found = explained(
        &row(3, Some(time(40)), None),
        &Dispatch::default(),
        Some(&gone),
    );
    assert!(
        found.summary.contains("asked for 60 s ago"),
        "{}",
        found.summary
    );
    assert!(
        found.summary.contains("last connected 1 s ago"),
        "{}",
        found.summary
    );
    assert!(
        found.summary.contains("/consumers/consumer-1/force-remove"),
        "{}",
        found.summary
    );
}

#[test]
fn a_version_is_queued_then_sent_then_settled() {
    let agent = connected();
    let new = row(2, None, Some(status(1, json!({"conditions": []}))));
    let found = explained(&new, &sent(1, false), Some(&agent));
    assert_eq!(
        found.state,
        State::Queued,
        "version 1 was sent, not version 2"
    );
    assert_eq!(found.delivery.sent.unwrap().version, 1);
    let found = explained(&new, &sent(2, false), Some(&agent));
    assert_eq!(found.state, State::Sent);
    assert!(
        found
            .summary
            .contains("30 s ago, the last answer is about version 1"),
        "{}",
        found.summary
    );
    assert_eq!(found.delivery.next_retry, Some(time(100)));
    assert_eq!(
        found.stored.traceparent.as_deref(),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
    let applied =
        json!({"conditions": [condition("Applied", "True", "AppliedManifestWorkComplete", "")]});
    let found = explained(
        &row(2, None, Some(status(2, applied))),
        &sent(2, false),
        Some(&agent),
    );
    assert_eq!(found.state, State::Settled);
    assert!(
        found.summary.ends_with("nothing to do."),
        "{}",
        found.summary
    );
    let said = found.acknowledged.unwrap();
    assert_eq!(
        (said.observed_version, said.sequence_id.as_str()),
        (2, "77")
    );
    assert_eq!(said.at, Some(time(11)));
}

#[test]
fn a_failure_names_the_object_and_the_reason() {
    let meta = json!({"kind": "ConfigMap", "version": "v1", "namespace": "n", "name": "m"});
    let data = json!({
        "conditions": [condition("Applied", "False", "AppliedManifestWorkFailed", "one failed")],
        "resourceStatus": [{"resourceMeta": meta, "statusFeedback": {}, "conditions":
            [condition("Applied", "False", "AppliedManifestFailed", "forbidden")]}],
    });
    let found = explained(
        &row(1, None, Some(status(1, data))),
        &sent(1, false),
        Some(&connected()),
    );
    assert_eq!(found.state, State::Failed);
    assert!(
        found
            .summary
            .contains("(ConfigMap n/m: AppliedManifestFailed: forbidden)"),
        "{}",
        found.summary
    );
}

#[test]
fn a_deletion_names_what_holds_it() {
    let row_with = |data: Value| row(1, Some(time(40)), Some(status(1, data)));
    let meta =
        json!({"kind": "HostedCluster", "version": "v1beta1", "namespace": "n", "name": "hc"});
    let deleting = condition(
        "Deleting",
        "True",
        "WaitingForFinalizers",
        r#"{"finalizers":["hypershift/x"],"since":"2026-01-01T00:00:50Z"}"#,
    );
    let data = json!({
        "conditions": [condition("Deleting", "True", "WorkDeleting", "ManifestWork is being deleted")],
        "resourceStatus": [{"resourceMeta": meta, "statusFeedback": {}, "conditions": [deleting]}],
    });
    let found = explained(&row_with(data), &sent(1, true), Some(&connected()));
    assert_eq!(found.state, State::Deleting);
    assert!(
        found
            .summary
            .contains("waits for HostedCluster n/hc (finalizers hypershift/x)"),
        "{}",
        found.summary
    );
    let WaitsFor::Objects(objects) = found.deletion.unwrap().waits_for else {
        panic!("objects are known");
    };
    assert_eq!(objects[0].since, "2026-01-01T00:00:50Z");

    // An agent of upstream says nothing about deletions.
    let found = explained(
        &row_with(json!({"conditions": []})),
        &sent(1, true),
        Some(&connected()),
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["deletion"]["waits_for"], "unknown");
    assert!(
        found.summary.contains("doesn't say what it waits for"),
        "{}",
        found.summary
    );
    // Only the live spec was sent so far.
    let found = explained(
        &row_with(json!({"conditions": []})),
        &sent(1, false),
        Some(&connected()),
    );
    assert_eq!(found.state, State::Queued);
}

#[test]
fn a_former_life_says_nothing() {
    let mut dispatch = sent(1, false);
    dispatch.sent.as_mut().unwrap().at = time(-60);
    let found = explained(&row(1, None, None), &dispatch, Some(&connected()));
    assert_eq!((found.state, found.delivery.sent), (State::Queued, None));
    let mut dispatch = sent(1, false);
    let note = dispatch.sent.as_mut().unwrap();
    (note.times, note.error) = (0, Some((time(80), "too large".into())));
    let found = explained(&row(1, None, None), &dispatch, Some(&connected()));
    assert!(
        found.summary.contains("could not be sent (too large)"),
        "{}",
        found.summary
    );
}
