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
        events.extend(tracker.listed(work.clone()));
    }
    events.extend(tracker.end_list());
    told(events)
}

#[test]
fn a_life_is_told_once_per_state() {
    let mut tracker = tracker();
    assert_eq!(list(&mut tracker, &[work("a", LIFE, 1, None)]), ["Aa1"]);
    assert_eq!(told(tracker.reported(work("a", LIFE, 1, Some(1)))), ["Ma1"]);
    assert_eq!(
        told(tracker.reported(work("a", LIFE, 1, Some(1)))),
        [""; 0],
        "the same report again"
    );
    assert_eq!(told(tracker.reported(work("a", LIFE, 1, Some(3)))), ["Ma1"]);
    assert_eq!(
        told(tracker.reported(work("a", LIFE, 1, Some(2)))),
        [""; 0],
        "an overtaken report"
    );
    assert_eq!(told(tracker.reported(work("a", LIFE, 2, Some(4)))), ["Ma2"]);
    assert_eq!(
        told(tracker.reported(work("a", LIFE, 1, Some(5)))),
        [""; 0],
        "a report about an old version"
    );
    assert_eq!(
        list(&mut tracker, &[work("a", LIFE, 2, Some(4))]),
        [""; 0],
        "nothing new after a reconnect"
    );
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 2, Some(9))))),
        ["Da2"]
    );
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 2, Some(9))))),
        [""; 0],
        "exactly one end"
    );
    assert_eq!(
        told(tracker.reported(work("a", LIFE, 2, Some(8)))),
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
        told(tracker.reported(work("a", LIFE, 1, Some(2)))),
        [""; 0],
        "a report from before the end"
    );
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 1, Some(3))))),
        [""; 0],
        "told by comparison already"
    );
    assert_eq!(told(tracker.reported(work("a", LIFE, 1, Some(2)))), [""; 0]);
    assert_eq!(told(tracker.reported(work("b", LIFE, 1, Some(1)))), ["Mb1"]);
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
        told(tracker.reported(work("a", LIFE, 7, Some(2)))),
        [""; 0],
        "a report of the old life"
    );
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 7, Some(3))))),
        [""; 0],
        "the end of the old life"
    );
    assert_eq!(
        told(tracker.reported(work("a", LIFE + 5, 1, Some(4)))),
        ["Ma1"]
    );
}

#[test]
fn a_new_life_within_the_same_second_is_seen_by_its_sequence() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 2, Some(1))]);
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 2, Some(2))))),
        ["Da2"]
    );
    assert_eq!(told(tracker.reported(work("a", LIFE, 1, Some(3)))), ["Aa1"]);
}

#[test]
fn a_work_that_ended_before_it_was_seen_is_still_told() {
    let mut tracker = tracker();
    list(&mut tracker, &[]);
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 1, Some(2))))),
        ["Da1"]
    );
    assert_eq!(
        told(tracker.reported(deleted(work("a", LIFE, 1, Some(2))))),
        [""; 0]
    );
}

#[test]
fn a_list_is_right_about_what_exists() {
    let mut tracker = tracker();
    list(&mut tracker, &[work("a", LIFE, 1, Some(1))]);
    tracker.reported(deleted(work("a", LIFE, 1, Some(2))));
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
    assert_eq!(told(tracker.reported(labelled("b", "y", 2))), [""; 0]);
    assert_eq!(
        told(tracker.reported(labelled("a", "y", 2))),
        ["Da1"],
        "it left the view"
    );
    assert_eq!(told(tracker.reported(labelled("a", "x", 3))), ["Aa1"]);
    let mut elsewhere = labelled("c", "x", 1);
    elsewhere.metadata.namespace = "other".into();
    assert_eq!(told(tracker.reported(elsewhere)), [""; 0]);
}

mod random {
    //! A server that creates, updates, reports and deletes; a connection that comes and goes; a watch in between.

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Create(usize),
        Update(usize),
        Report(usize),
        Delete(usize),
        /// Deliver so many queued events.
        Deliver(usize),
        /// Lose everything that is queued, list again.
        Reconnect,
        /// List first, deliver what was queued before afterwards: the list overtakes the stream.
        Overtake,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3_usize).prop_map(Step::Create),
            (0..3_usize).prop_map(Step::Update),
            (0..3_usize).prop_map(Step::Report),
            (0..3_usize).prop_map(Step::Delete),
            (1..5_usize).prop_map(Step::Deliver),
            Just(Step::Reconnect),
            Just(Step::Overtake),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_view_follows_the_server(steps in steps()) {
            const IDS: [&str; 3] = ["a", "b", "c"];
            let mut tracker = tracker();
            // The server's rows: life, version, sequence of the last report.
            let mut rows: BTreeMap<&str, (i64, i64, Option<i64>)> = BTreeMap::new();
            let mut queue: VecDeque<ManifestWork> = VecDeque::new();
            let (mut clock, mut sequence) = (LIFE, 0);
            // What a reader of the watch believes.
            let mut view: BTreeMap<String, (i64, i64, Option<SequenceId>)> = BTreeMap::new();
            let take = |events: Vec<WatchEvent>, view: &mut BTreeMap<String, (i64, i64, Option<SequenceId>)>| {
                for event in events {
                    let work = event.work().unwrap();
                    let position = Position::of(work);
                    let now = (position.life.unwrap().as_second(), position.version, position.sequence);
                    let id = work.metadata.uid.clone();
                    match event {
                        WatchEvent::Added(_) => assert!(view.insert(id, now).is_none(), "added twice"),
                        WatchEvent::Modified(_) => {
                            let before = view.insert(id, now).expect("modified before added");
                            assert!((now.0, now.1) >= (before.0, before.1), "went back: {before:?} {now:?}");
                        }
                        // One that ended before it was seen has no entry.
                        WatchEvent::Deleted(_) => drop(view.remove(&id)),
                        _ => {}
                    }
                }
            };
            let snapshot = |rows: &BTreeMap<&str, (i64, i64, Option<i64>)>| -> Vec<ManifestWork> {
                rows.iter().map(|(id, (life, version, sequence))| work(id, *life, *version, *sequence)).collect()
            };
            let relist = |tracker: &mut Tracker, works: &[ManifestWork]| {
                tracker.begin_list();
                let mut events: Vec<WatchEvent> = works.iter().flat_map(|work| tracker.listed(work.clone())).collect();
                events.extend(tracker.end_list());
                events
            };
            for step in steps {
                match step {
                    Step::Create(index) => {
                        clock += 1;
                        rows.entry(IDS[index]).or_insert((clock, 1, None));
                    }
                    Step::Update(index) => {
                        if let Some(row) = rows.get_mut(IDS[index]) {
                            row.1 += 1;
                            row.2 = None;
                        }
                    }
                    Step::Report(index) => {
                        if let Some(row) = rows.get_mut(IDS[index]) {
                            sequence += 1;
                            row.2 = Some(sequence);
                            queue.push_back(work(IDS[index], row.0, row.1, row.2));
                        }
                    }
                    Step::Delete(index) => {
                        if let Some((life, version, _)) = rows.remove(IDS[index]) {
                            sequence += 1;
                            queue.push_back(deleted(work(IDS[index], life, version, Some(sequence))));
                        }
                    }
                    Step::Deliver(count) => {
                        for _ in 0..count {
                            if let Some(event) = queue.pop_front() {
                                take(tracker.reported(event), &mut view);
                            }
                        }
                    }
                    Step::Reconnect => {
                        queue.clear();
                        take(relist(&mut tracker, &snapshot(&rows)), &mut view);
                    }
                    Step::Overtake => take(relist(&mut tracker, &snapshot(&rows)), &mut view),
                }
            }
            // In the end everything arrives, and a list closes what was never reported.
            while let Some(event) = queue.pop_front() {
                take(tracker.reported(event), &mut view);
            }
            take(relist(&mut tracker, &snapshot(&rows)), &mut view);
            let alive: Vec<(String, i64, i64)> =
                rows.iter().map(|(id, (life, version, _))| ((*id).to_owned(), *life, *version)).collect();
            let seen: Vec<(String, i64, i64)> =
                view.iter().map(|(id, (life, version, _))| (id.clone(), *life, *version)).collect();
            prop_assert_eq!(seen, alive);
        }
    }
}
