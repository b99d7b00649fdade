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
                let position = Position::of(work, None);
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
            let mut events: Vec<WatchEvent> = works.iter().flat_map(|work| tracker.listed(work.clone(), None)).collect();
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
                            take(heard(&mut tracker, event), &mut view);
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
            take(heard(&mut tracker, event), &mut view);
        }
        take(relist(&mut tracker, &snapshot(&rows)), &mut view);
        let alive: Vec<(String, i64, i64)> =
            rows.iter().map(|(id, (life, version, _))| ((*id).to_owned(), *life, *version)).collect();
        let seen: Vec<(String, i64, i64)> =
            view.iter().map(|(id, (life, version, _))| (id.clone(), *life, *version)).collect();
        prop_assert_eq!(seen, alive);
    }
}
