use event_wire::SequenceId;
use manifestwork::constants::SEQUENCE_ID_ANNOTATION;

use super::*;

const LIFE: i64 = 1_767_225_600;

fn work(id: &str, life: i64, version: i64, sequence: Option<i64>) -> ManifestWork {
    let mut work = ManifestWork::new("c", format!("w-{id}"));
    work.metadata.uid = id.to_owned();
    work.metadata.creation_timestamp = Some(Timestamp::from_second(life).unwrap());
    work.metadata.generation = version;
    if let Some(sequence) = sequence {
        let id = (sequence << 22) | (1 << 12);
        work.metadata
            .annotations
            .insert(SEQUENCE_ID_ANNOTATION.to_owned(), id.to_string());
    }
    work
}

fn deleted(mut work: ManifestWork) -> ManifestWork {
    work.status
        .conditions
        .push(Condition::new(DELETED, true, "ManifestsDeleted", ""));
    work
}

fn tracker() -> Tracker {
    Tracker::new(Some("c"), WatchOptions::default())
}

/// What a report leads to where nothing has to be asked.
fn heard(tracker: &mut Tracker, work: ManifestWork) -> Vec<WatchEvent> {
    match tracker.reported(work) {
        Heard::Tell(events) => events,
        Heard::Ask(_) => panic!("only labels that are asked for make it doubtful"),
    }
}

/// `A`dded, `M`odified, `D`eleted with id, version.
fn told(events: Vec<WatchEvent>) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let letter = match event {
                WatchEvent::Added(_) => 'A',
                WatchEvent::Modified(_) => 'M',
                WatchEvent::Deleted(_) => 'D',
                _ => '?',
            };
            let work = event.work().unwrap();
            format!("{letter}{}{}", work.metadata.uid, work.metadata.generation)
        })
        .collect()
}

fn list(tracker: &mut Tracker, works: &[ManifestWork]) -> Vec<String> {
    tracker.begin_list();
    let mut events = Vec::new();
    for work in works {
        events.extend(tracker.listed(work.clone(), None));
    }
    events.extend(tracker.end_list());
    told(events)
}

#[test]
fn a_life_is_told_once_per_state() {
    let mut tracker = tracker();
    assert_eq!(list(&mut tracker, &[work("a", LIFE, 1, None)]), ["Aa1"]);
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(1)))),
        ["Ma1"]
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(1)))),
        [""; 0],
        "the same report again"
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(3)))),
        ["Ma1"]
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(2)))),
        [""; 0],
        "an overtaken report"
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 2, Some(4)))),
        ["Ma2"]
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(5)))),
        [""; 0],
        "a report about an old version"
    );
    assert_eq!(
        list(&mut tracker, &[work("a", LIFE, 2, Some(4))]),
        [""; 0],
        "nothing new after a reconnect"
    );
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 2, Some(9))))),
        ["Da2"]
    );
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 2, Some(9))))),
        [""; 0],
        "exactly one end"
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 2, Some(8)))),
        [""; 0],
        "no coming back"
    );
    assert_eq!(list(&mut tracker, &[]), [""; 0]);
}

#[test]
fn an_end_during_a_gap_is_told_once() {
    let mut tracker = tracker();
    list(
        &mut tracker,
        &[work("a", LIFE, 1, Some(1)), work("b", LIFE, 1, None)],
    );
    assert_eq!(list(&mut tracker, &[work("b", LIFE, 1, None)]), ["Da1"]);
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(2)))),
        [""; 0],
        "a report from before the end"
    );
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 1, Some(3))))),
        [""; 0],
        "told by comparison already"
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(2)))),
        [""; 0]
    );
    assert_eq!(
        told(heard(&mut tracker, work("b", LIFE, 1, Some(1)))),
        ["Mb1"]
    );
}

#[test]
fn an_end_by_comparison_says_so() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 3, Some(1))]);
    tracker.begin_list();
    let events = tracker.end_list();
    let gone = events[0].work().unwrap();
    assert!(gone.is_deleted());
    assert_eq!(
        (gone.metadata.name.as_str(), gone.metadata.generation),
        ("w-a", 3)
    );
}

#[test]
fn a_new_life_ends_the_old_one() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 7, Some(1))]);
    assert_eq!(
        list(&mut tracker, &[work("a", LIFE + 5, 1, None)]),
        ["Da7", "Aa1"]
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 7, Some(2)))),
        [""; 0],
        "a report of the old life"
    );
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 7, Some(3))))),
        [""; 0],
        "the end of the old life"
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE + 5, 1, Some(4)))),
        ["Ma1"]
    );
}

#[test]
fn a_new_life_within_the_same_second_is_seen_by_its_sequence() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 2, Some(1))]);
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 2, Some(2))))),
        ["Da2"]
    );
    assert_eq!(
        told(heard(&mut tracker, work("a", LIFE, 1, Some(3)))),
        ["Aa1"]
    );
}

#[test]
fn a_work_that_ended_before_it_was_seen_is_still_told() {
    let mut tracker = tracker();
    list(&mut tracker, &[]);
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 1, Some(2))))),
        ["Da1"]
    );
    assert_eq!(
        told(heard(&mut tracker, deleted(work("a", LIFE, 1, Some(2))))),
        [""; 0]
    );
}

#[test]
fn a_list_is_right_about_what_exists() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 1, Some(1))]);
    heard(&mut tracker, deleted(work("a", LIFE, 1, Some(2))));
    assert_eq!(list(&mut tracker, &[work("a", LIFE, 1, Some(1))]), ["Aa1"]);
}

#[test]
fn the_beginning_of_a_deletion_is_told_once() {
    let mut tracker = tracker();
    let mut deleting = work("a", LIFE, 1, Some(1));
    list(&mut tracker, &[deleting.clone()]);
    deleting.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(list(&mut tracker, &[deleting.clone()]), ["Ma1"]);
    assert_eq!(list(&mut tracker, &[deleting]), [""; 0]);
}

#[test]
fn only_what_was_asked_for_is_told() {
    let mut tracker = Tracker::new(
        Some("c"),
        WatchOptions {
            label_selector: "app=x".parse().unwrap(),
            ..WatchOptions::default()
        },
    );
    let labelled = |id: &str, label: &str, sequence| {
        let mut work = work(id, LIFE, 1, Some(sequence));
        work.metadata.labels.insert("app".into(), label.into());
        work
    };
    assert_eq!(
        list(
            &mut tracker,
            &[labelled("a", "x", 1), labelled("b", "y", 1)]
        ),
        ["Aa1"]
    );
    assert_eq!(told(heard(&mut tracker, labelled("b", "y", 2))), [""; 0]);
    assert_eq!(
        told(heard(&mut tracker, labelled("a", "y", 2))),
        ["Da1"],
        "it left the view"
    );
    assert_eq!(told(heard(&mut tracker, labelled("a", "x", 3))), ["Aa1"]);
    let mut elsewhere = labelled("c", "x", 1);
    elsewhere.metadata.namespace = "other".into();
    assert_eq!(told(heard(&mut tracker, elsewhere)), [""; 0]);
}

/// A tracker of works with `app=x`, and such works.
fn of_app() -> (Tracker, impl Fn(&str, i64, i64) -> ManifestWork) {
    let options = WatchOptions {
        label_selector: "app=x".parse().unwrap(),
        ..WatchOptions::default()
    };
    let labelled = |label: &str, version, sequence| {
        let mut work = work("a", LIFE, version, Some(sequence));
        work.metadata.labels.insert("app".into(), label.into());
        work
    };
    (Tracker::new(Some("c"), options), labelled)
}

#[test]
fn a_work_that_lost_its_labels_in_a_gap_may_come_back() {
    let (mut tracker, labelled) = of_app();
    list(&mut tracker, &[labelled("x", 1, 1)]);
    // The server's search leaves out what has other labels.
    assert_eq!(list(&mut tracker, &[]), ["Da1"]);
    assert_eq!(
        told(heard(&mut tracker, labelled("x", 1, 1))),
        [""; 0],
        "an overtaken report"
    );
    assert_eq!(told(heard(&mut tracker, labelled("y", 2, 2))), [""; 0]);
    let doubt = tracker.reported(labelled("x", 3, 3));
    assert!(matches!(doubt, Heard::Ask(id) if id == "a"));
    assert_eq!(
        told(tracker.listed(labelled("x", 3, 3), None)),
        ["Aa3"],
        "the server has it"
    );
    assert_eq!(told(heard(&mut tracker, labelled("x", 3, 4))), ["Ma3"]);
}

#[test]
fn an_overtaken_report_of_a_work_with_other_labels_now_tells_nothing() {
    let (mut tracker, labelled) = of_app();
    list(&mut tracker, &[labelled("x", 1, 1)]);
    assert_eq!(list(&mut tracker, &[]), ["Da1"]);
    let doubt = tracker.reported(labelled("x", 2, 2));
    assert!(matches!(doubt, Heard::Ask(id) if id == "a"));
    assert_eq!(
        told(tracker.listed(labelled("y", 3, 2), None)),
        [""; 0],
        "it has other labels meanwhile"
    );
    assert_eq!(told(heard(&mut tracker, labelled("x", 2, 2))), [""; 0]);
    assert_eq!(told(heard(&mut tracker, labelled("x", 4, 3))), ["Aa4"]);
}

#[test]
fn a_work_that_left_the_view_does_not_come_back_by_an_overtaken_report() {
    let (mut tracker, labelled) = of_app();
    list(&mut tracker, &[labelled("x", 1, 1)]);
    assert_eq!(told(heard(&mut tracker, labelled("y", 3, 3))), ["Da3"]);
    assert_eq!(told(heard(&mut tracker, labelled("x", 2, 2))), [""; 0]);
    assert_eq!(
        told(heard(&mut tracker, deleted(labelled("y", 3, 4)))),
        [""; 0],
        "exactly one end"
    );
}

#[test]
fn lives_within_one_second_are_told_apart_by_lists() {
    let born = |nanoseconds| Some(Timestamp::new(LIFE, nanoseconds).unwrap());
    let mut tracker = tracker();
    tracker.begin_list();
    tracker.listed(work("exact", LIFE, 3, Some(1)), born(1));
    tracker.end_list();
    heard(&mut tracker, work("reported", LIFE, 3, Some(2)));
    tracker.begin_list();
    assert_eq!(
        told(tracker.listed(work("exact", LIFE, 3, None), born(2))),
        ["Dexact3", "Aexact3"]
    );
    assert_eq!(
        told(tracker.listed(work("reported", LIFE, 1, None), born(2))),
        ["Dreported3", "Areported1"]
    );
    assert_eq!(told(tracker.end_list()), [""; 0]);
    // A report knows the second only, and takes nothing away from what is known.
    assert_eq!(
        told(heard(&mut tracker, work("exact", LIFE, 3, Some(3)))),
        ["Mexact3"]
    );
    tracker.begin_list();
    assert_eq!(
        told(tracker.listed(work("exact", LIFE, 3, Some(3)), born(2))),
        [""; 0]
    );
}

mod random;
