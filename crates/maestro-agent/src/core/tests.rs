//! The owner fed with messages in any order, against a pretended cluster and server; the invariants are checked after every
//! step.

mod play;

use event_wire::codec::agent::{Deletion, SpecMessage};
use manifestwork::constants::ORIGINAL_SOURCE_LABEL;
use manifestwork::{Manifest as Text, ManifestWork, ObjectMeta};
use proptest::prelude::*;
use serde_json::json;

use play::{Happening, Play};

/// A work with some config maps.
fn work(id: &str, version: i64, names: &[&str]) -> ManifestWork {
    let mut work = ManifestWork::new("c1", id);
    work.metadata = metadata(id, version);
    work.spec.workload.manifests = names
        .iter()
        .map(|name| {
            Text::from(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "default"}, "data": {"version": version.to_string()}}))
        })
        .collect();
    work
}

fn metadata(id: &str, version: i64) -> ObjectMeta {
    let mut metadata = ObjectMeta::named("c1", id);
    metadata.uid = id.to_owned();
    metadata.generation = version;
    metadata
        .labels
        .insert(ORIGINAL_SOURCE_LABEL.to_owned(), "maestro".to_owned());
    metadata
}

fn deletion(id: &str, version: i64) -> SpecMessage {
    let deletion_timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    SpecMessage::Delete(Deletion {
        metadata: ObjectMeta {
            deletion_timestamp: Some(deletion_timestamp),
            ..metadata(id, version)
        },
        deletion_timestamp,
    })
}

fn told(message: SpecMessage) -> Happening {
    Happening::Spec(Box::new(message))
}

#[test]
fn a_work_from_beginning_to_end() {
    let mut play = Play::new();
    play.happen(told(SpecMessage::Apply(work("w", 1, &["a"]))));
    play.settle();
    assert!(play.cluster.has("a"));
    assert_eq!(play.server.last("w").unwrap().metadata.generation, 1);
    play.happen(told(deletion("w", 1)));
    play.settle();
    assert!(!play.cluster.has("a"));
    assert!(play.server.is_told_deleted("w"));
    assert!(play.core.work("w").is_none());
    assert_eq!(play.core.figures().works, 0);
}

#[test]
fn f5b_no_spec_takes_the_mark_away() {
    let mut play = Play::new();
    play.happen(told(SpecMessage::Apply(work("w", 1, &["a"]))));
    play.settle();
    play.cluster.hold("a");
    play.happen(told(deletion("w", 1)));
    play.settle();
    for version in [1, 2, 99] {
        play.happen(told(SpecMessage::Apply(work("w", version, &["a", "b"]))));
        play.settle();
    }
    assert!(!play.cluster.has("b"));
    play.cluster.release("a");
    play.settle();
    assert!(play.server.is_told_deleted("w"));
}

#[test]
fn f2_a_status_on_its_way_does_not_bring_a_work_back() {
    let mut play = Play::new();
    play.happen(told(SpecMessage::Apply(work("w", 1, &["a"]))));
    play.settle();
    play.happen(told(SpecMessage::Apply(work("w", 2, &["a"]))));
    play.end_jobs();
    play.step_sights();
    play.happen(Happening::Wait(1));
    // The publication of that status is answered only after the deletion was heard, and before anything was removed.
    play.happen(told(deletion("w", 2)));
    assert_eq!(play.end_publications(), 1, "a status is on its way");
    play.settle();
    assert!(play.server.is_told_deleted("w"));
    assert!(!play.cluster.has("a"));
}

#[test]
fn an_older_version_is_not_applied() {
    let mut play = Play::new();
    play.happen(told(SpecMessage::Apply(work("w", 5, &["a"]))));
    play.settle();
    play.happen(told(SpecMessage::Apply(work("w", 4, &["b"]))));
    play.settle();
    assert!(play.cluster.has("a") && !play.cluster.has("b"));
    play.happen(told(SpecMessage::Apply(work("w", 5, &["a"]))));
    let passes = play.passes;
    play.settle();
    assert_eq!(play.passes, passes, "the same version once more is no news");
}

#[test]
fn many_works_are_served_a_few_at_a_time() {
    let mut play = Play::new();
    for number in 0..50 {
        let id = format!("w{number}");
        play.happen(told(SpecMessage::Apply(work(
            &id,
            1,
            &[&format!("o{number}")],
        ))));
    }
    assert_eq!(play.core.figures().running, play::WORKERS);
    play.settle();
    assert_eq!(play.passes, 50);
    assert_eq!(play.core.figures().running, 0);
}

fn happening() -> impl Strategy<Value = Happening> {
    let id = prop::sample::select(vec!["w1", "w2", "w3"]);
    let version = 1..5_i64;
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4);
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop_oneof![
        6 => (id.clone(), version.clone(), names).prop_map(|(id, version, names)| {
            // Each work has objects of its own.
            let names: Vec<String> = names.iter().map(|name| format!("{id}-{name}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            told(SpecMessage::Apply(work(id, version, &names)))
        }),
        3 => (id.clone(), version.clone()).prop_map(|(id, version)| told(deletion(id, version))),
        1 => (id.clone(), version).prop_map(|(id, version)| told(SpecMessage::Invalid {
            metadata: metadata(id, version), reason: "no".into(),
        })),
        8 => any::<prop::sample::Index>().prop_map(Happening::JobEnds),
        8 => any::<prop::sample::Index>().prop_map(Happening::PublicationEnds),
        2 => any::<prop::sample::Index>().prop_map(Happening::PublicationFails),
        2 => any::<prop::sample::Index>().prop_map(Happening::JobIsLost),
        2 => any::<prop::sample::Index>().prop_map(Happening::JobFails),
        1 => id.clone().prop_map(|id| Happening::RecordGone(id.to_owned())),
        4 => Just(Happening::Sights),
        3 => (1..40_u64).prop_map(Happening::Wait),
        1 => Just(Happening::Unlinked),
        1 => Just(Happening::Linked),
        2 => (id.clone(), name.clone()).prop_map(|(id, name)| Happening::Hold(format!("{id}-{name}"))),
        2 => (id.clone(), name.clone()).prop_map(|(id, name)| Happening::Release(format!("{id}-{name}"))),
        1 => (id.clone(), name.clone()).prop_map(|(id, name)| Happening::Remove(format!("{id}-{name}"))),
        1 => (id, name).prop_map(|(id, name)| Happening::Touch(format!("{id}-{name}"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the invariants hold at every step, and in the end every work is where its last spec wants it.
    #[test]
    fn any_order_of_happenings(happenings in prop::collection::vec(happening(), 1..120)) {
        let mut play = Play::new();
        for happening in happenings {
            play.happen(happening);
        }
        play.cluster.release_all();
        play.happen(Happening::Linked);
        play.settle();
        play.check_end();
    }
}
