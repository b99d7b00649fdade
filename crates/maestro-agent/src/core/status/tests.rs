use manifestwork::{FeedbackValue, FieldValue};

use super::*;
use crate::core::seen::Terminating;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn meta(ordinal: i32, name: &str) -> ResourceMeta {
    ResourceMeta {
        ordinal,
        version: "v1".into(),
        kind: "ConfigMap".into(),
        resource: "configmaps".into(),
        name: name.into(),
        ..ResourceMeta::default()
    }
}

fn present() -> Seen {
    Seen::Present {
        uid: "u".into(),
        terminating: None,
    }
}

fn manifest<'a>(ordinal: i32, seen: &'a Seen) -> ManifestFacts<'a> {
    ManifestFacts {
        meta: meta(ordinal, &format!("m{ordinal}")),
        applied: Some(Ok(())),
        generation: 1,
        seen,
        feedback: None,
        rules: &[],
    }
}

fn work<'a>(manifests: Vec<ManifestFacts<'a>>) -> Facts<'a> {
    Facts {
        generation: 1,
        problem: None,
        manifests,
        deleting: false,
        obstacle: None,
        deleted: None,
    }
}

fn condition_of<'a>(list: &'a [Condition], type_: &str) -> &'a Condition {
    conditions::find(list, type_).unwrap()
}

#[test]
fn applied_and_available() {
    let seen = present();
    let status = build(&Status::default(), &work(vec![manifest(0, &seen)]), at(10));
    let applied = condition_of(&status.conditions, "Applied");
    assert_eq!(applied.reason, "AppliedManifestWorkComplete");
    assert_eq!(applied.message, "Apply manifest work complete");
    assert_eq!(applied.observed_generation, 1);
    let available = condition_of(&status.conditions, "Available");
    assert_eq!(available.reason, "ResourcesAvailable");
    let manifest = &status.resource_status.manifests[0].conditions;
    assert_eq!(
        condition_of(manifest, "Applied").reason,
        "AppliedManifestComplete"
    );
    assert_eq!(condition_of(manifest, "Available").observed_generation, 0);
    assert_eq!(
        condition_of(manifest, "StatusFeedbackSynced").reason,
        "NoStatusFeedbackSynced"
    );
}

#[test]
fn nothing_changes_while_the_facts_stay() {
    let seen = present();
    let facts = work(vec![manifest(0, &seen)]);
    let first = build(&Status::default(), &facts, at(10));
    assert_eq!(build(&first, &facts, at(99)), first);
}

#[test]
fn one_of_two_absent() {
    let (there, gone) = (present(), Seen::Absent);
    let facts = work(vec![manifest(0, &there), manifest(1, &gone)]);
    let status = build(&Status::default(), &facts, at(10));
    let available = condition_of(&status.conditions, "Available");
    assert_eq!(available.status, ConditionStatus::False);
    assert_eq!(available.message, "1 of 2 resources are not available");
}

#[test]
fn unknown_outweighs_available_and_is_outweighed_by_absent() {
    let (there, incomplete, absent) = (present(), Seen::Incomplete, Seen::Absent);
    let status = build(
        &Status::default(),
        &work(vec![manifest(0, &there), manifest(1, &incomplete)]),
        at(1),
    );
    let available = condition_of(&status.conditions, "Available");
    assert_eq!(available.reason, "ResourcesStatusUnknown");
    assert_eq!(available.message, "1 of 2 resources have unknown status");
    let status = build(
        &Status::default(),
        &work(vec![manifest(0, &absent), manifest(1, &incomplete)]),
        at(1),
    );
    assert_eq!(
        condition_of(&status.conditions, "Available").status,
        ConditionStatus::False
    );
    let status = build(&Status::default(), &work(vec![]), at(1));
    assert_eq!(
        condition_of(&status.conditions, "Available").message,
        "cannot get any available resource "
    );
    assert!(conditions::find(&status.conditions, "Applied").is_none());
}

#[test]
fn availability_waits_until_everything_was_looked_at() {
    let (there, not_yet) = (present(), Seen::NotYet);
    let facts = work(vec![manifest(0, &there), manifest(1, &not_yet)]);
    let status = build(&Status::default(), &facts, at(1));
    assert!(conditions::find(&status.conditions, "Available").is_none());
}

#[test]
fn a_failure_is_told_and_a_new_version_starts_a_new_transition() {
    let seen = present();
    let failure = Failure::other("no");
    let mut facts = work(vec![manifest(0, &seen)]);
    facts.manifests[0].applied = Some(Err(&failure));
    let first = build(&Status::default(), &facts, at(10));
    assert_eq!(
        condition_of(&first.conditions, "Applied").message,
        "Failed to apply manifest work"
    );
    let applied = condition_of(&first.resource_status.manifests[0].conditions, "Applied");
    assert_eq!(applied.message, "Failed to apply manifest: no");
    facts.generation = 2;
    facts.manifests[0].generation = 2;
    let second = build(&first, &facts, at(20));
    let applied = condition_of(&second.resource_status.manifests[0].conditions, "Applied");
    assert_eq!(applied.last_transition_time, Some(at(20)));
    let applied = condition_of(&second.conditions, "Applied");
    assert_eq!(
        (applied.observed_generation, applied.last_transition_time),
        (2, Some(at(10)))
    );
}

#[test]
fn feedback_moves_its_condition_when_a_value_changes() {
    let seen = present();
    let value = |text: &str| Evaluated {
        values: vec![FeedbackValue {
            name: "v".into(),
            field_value: FieldValue::String(text.into()),
        }],
        error: None,
    };
    let (one, two) = (value("1"), value("2"));
    let mut facts = work(vec![manifest(0, &seen)]);
    facts.manifests[0].feedback = Some(&one);
    let first = build(&Status::default(), &facts, at(10));
    assert_eq!(build(&first, &facts, at(20)), first);
    facts.manifests[0].feedback = Some(&two);
    let second = build(&first, &facts, at(20));
    let synced = condition_of(
        &second.resource_status.manifests[0].conditions,
        "StatusFeedbackSynced",
    );
    assert_eq!(synced.last_transition_time, Some(at(20)));
    assert_eq!(synced.reason, "StatusFeedbackSynced");
    let absent = Seen::Absent;
    facts.manifests[0].seen = &absent;
    facts.manifests[0].feedback = None;
    let third = build(&second, &facts, at(30));
    assert_eq!(
        third.resource_status.manifests[0].status_feedback.values,
        two.values
    );
}

#[test]
fn entries_follow_their_manifest_to_another_ordinal() {
    let seen = present();
    let first = build(
        &Status::default(),
        &work(vec![manifest(0, &seen), manifest(1, &seen)]),
        at(10),
    );
    let mut moved = manifest(1, &seen);
    moved.meta.ordinal = 0;
    let second = build(&first, &work(vec![moved]), at(20));
    let available = condition_of(&second.resource_status.manifests[0].conditions, "Available");
    assert_eq!(available.last_transition_time, Some(at(10)));
    assert_eq!(second.resource_status.manifests.len(), 1);
}

#[test]
fn deletion_shows_who_holds_an_object_and_ends() {
    let held = Seen::Present {
        uid: "u".into(),
        terminating: Some(Terminating {
            since: "2026-01-01T00:00:00Z".into(),
            finalizers: vec!["f".into()],
        }),
    };
    let mut facts = work(vec![manifest(0, &held)]);
    facts.deleting = true;
    let status = build(&Status::default(), &facts, at(10));
    assert_eq!(
        condition_of(&status.conditions, "Deleting").reason,
        "WorkDeleting"
    );
    let deleting = condition_of(&status.resource_status.manifests[0].conditions, "Deleting");
    assert_eq!(
        deleting.message,
        r#"{"finalizers":["f"],"since":"2026-01-01T00:00:00Z"}"#
    );
    facts.obstacle = Some("forbidden");
    let blocked = build(&status, &facts, at(15));
    let deleting = condition_of(&blocked.conditions, "Deleting");
    assert_eq!(deleting.message, "ManifestWork is being deleted: forbidden");
    facts.obstacle = None;
    let absent = Seen::Absent;
    facts.manifests[0].seen = &absent;
    facts.deleted = Some("c1");
    let status = build(&status, &facts, at(20));
    assert!(
        conditions::find(&status.resource_status.manifests[0].conditions, "Deleting").is_none()
    );
    let deleted = condition_of(&status.conditions, "Deleted");
    assert_eq!(deleted.reason, "ManifestsDeleted");
    assert_eq!(
        deleted.message,
        "The manifests are deleted from the cluster c1"
    );
}

#[test]
fn rules_aggregate_and_vanish() {
    let seen = present();
    let rule = |status: bool| {
        [Condition::new("Complete", status, "ConditionRuleEvaluated", "m").observing(1)]
    };
    let (yes, no) = (rule(true), rule(false));
    let mut facts = work(vec![manifest(0, &seen), manifest(1, &seen)]);
    facts.manifests[0].rules = &yes;
    let status = build(&Status::default(), &facts, at(1));
    let complete = condition_of(&status.conditions, "Complete");
    assert_eq!(
        (complete.status, complete.message.as_str()),
        (ConditionStatus::True, "m")
    );
    facts.manifests[1].rules = &no;
    let status = build(&status, &facts, at(2));
    let complete = condition_of(&status.conditions, "Complete");
    assert_eq!(complete.status, ConditionStatus::False);
    assert_eq!(complete.message, "Aggregated from 2 manifest conditions");
    facts.generation = 2;
    for manifest in &mut facts.manifests {
        manifest.rules = &[];
        manifest.generation = 2;
    }
    let status = build(&status, &facts, at(3));
    assert!(conditions::find(&status.conditions, "Complete").is_none());
}

#[test]
fn a_status_that_is_too_large_loses_its_largest_values() {
    let seen = present();
    let raw = |name: &str, length: usize| FeedbackValue {
        name: name.into(),
        field_value: FieldValue::JsonRaw(format!("[{}]", "1".repeat(length))),
    };
    let evaluated = Evaluated {
        values: vec![
            raw("small", 1000),
            raw("large", 3_000_000),
            raw("huge", 3_500_000),
        ],
        error: None,
    };
    let mut facts = work(vec![manifest(0, &seen)]);
    facts.manifests[0].feedback = Some(&evaluated);
    let status = build(&Status::default(), &facts, at(1));
    let entry = &status.resource_status.manifests[0];
    let names: Vec<_> = entry
        .status_feedback
        .values
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    assert_eq!(names, ["small", "large"]);
    let synced = condition_of(&entry.conditions, "StatusFeedbackSynced");
    assert_eq!(synced.reason, "TooLarge");
    assert!(synced.message.starts_with("huge (3500002 bytes) left out"));
    assert_eq!(build(&status, &facts, at(9)), status);
}
