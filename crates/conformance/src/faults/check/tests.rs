//! For each invariant a story that breaks it, and one beside it that doesn't.

use std::collections::BTreeMap;

use super::*;
use crate::faults::history::*;
use crate::faults::minimise;

/// A history written by hand; each step takes a millisecond unless said otherwise.
struct Story {
    history: History,
    now: Micros,
    next: Number,
}

const MS: Micros = 1000;

impl Story {
    fn new() -> Self {
        Self {
            history: History::default(),
            now: 60 * SECOND,
            next: 1,
        }
    }

    fn add(&mut self, what: What) -> &mut Self {
        self.now += MS;
        let at = self.now;
        self.history.entries.push(Entry { at, what });
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * SECOND;
        self
    }

    fn invoke(&mut self, call: Call) -> Number {
        let op = self.next;
        self.next += 1;
        let actor = "tester".to_owned();
        self.add(What::Invoke { op, actor, call });
        op
    }

    fn finish(&mut self, op: Number, outcome: Outcome) -> &mut Self {
        self.add(What::Return { op, outcome })
    }

    fn ok(&mut self, call: Call) -> Number {
        let op = self.invoke(call);
        self.finish(op, Outcome::done());
        op
    }

    fn answered(&mut self, call: Call, answer: Answer) -> &mut Self {
        let op = self.invoke(call);
        self.finish(op, Outcome::Ok { answer })
    }

    /// The tag of the write that comes next.
    fn tag(&self, life: u32) -> Tag {
        Tag {
            life,
            op: self.next,
        }
    }

    fn create(&mut self, life: u32) -> Tag {
        let tag = self.tag(life);
        self.ok(create(tag));
        tag
    }

    fn update(&mut self, life: u32, expect: i64) -> Tag {
        let tag = self.tag(life);
        self.ok(Call::Update {
            id: ID.into(),
            expect,
            tag,
        });
        tag
    }

    fn delete(&mut self, life: u32) -> Number {
        self.ok(Call::Delete {
            id: ID.into(),
            life,
        })
    }

    fn get(&mut self, row: Option<Row>) -> &mut Self {
        self.answered(Call::Get { id: ID.into() }, Answer::Row(row))
    }

    fn report(&mut self, tag: Tag, version: i64, sequence: i64) -> Number {
        self.ok(report(Some(tag), version, sequence, false))
    }

    fn farewell(&mut self, tag: Tag) -> Number {
        self.ok(report(Some(tag), 1, 99, true))
    }

    fn agent(&mut self, stream: Number) -> &mut Self {
        let listener = Listener::Agent(CLUSTER.into());
        self.opened(stream, listener)
    }

    fn source(&mut self, stream: Number) -> &mut Self {
        let listener = Listener::Source(SOURCE.into());
        self.opened(stream, listener)
    }

    fn opened(&mut self, stream: Number, listener: Listener) -> &mut Self {
        self.add(What::Opened {
            stream,
            listener,
            replica: 0,
        })
    }

    fn spec(&mut self, stream: Number, tag: Tag, version: i64) -> &mut Self {
        self.add(What::Spec(spec(stream, Some(tag), version, false)))
    }

    fn deletion(&mut self, stream: Number, tag: Option<Tag>) -> &mut Self {
        self.add(What::Spec(spec(stream, tag, 1, true)))
    }

    fn last_words(&mut self, stream: Number, tag: Tag) -> &mut Self {
        self.add(What::Status(Status {
            stream,
            id: ID.into(),
            seen: Seen {
                version: 1,
                sequence: 99,
                tag: Some(tag),
            },
            spec: Some(tag),
            metadata: true,
            deleted: true,
        }))
    }

    fn status(&mut self, stream: Number, tag: Tag, sequence: i64) -> &mut Self {
        self.add(What::Status(Status {
            stream,
            id: ID.into(),
            seen: seen(tag, 1, sequence),
            spec: Some(tag),
            metadata: true,
            deleted: false,
        }))
    }

    fn snapshot(&mut self, change: impl FnOnce(&mut Snapshot)) -> &mut Self {
        let mut snapshot = Snapshot::default();
        snapshot.clusters.insert(CLUSTER.into(), Default::default());
        snapshot.sources.insert(ID.into(), SOURCE.into());
        change(&mut snapshot);
        self.add(What::Snapshot(Box::new(snapshot)))
    }

    fn fault(&mut self, scope: Scope) -> &mut Self {
        let text = "a fault".into();
        let fault = 0;
        self.add(What::Fault { fault, text, scope })
    }

    fn found(&self) -> Vec<Invariant> {
        let mut found: Vec<_> = check(&self.history)
            .iter()
            .map(|violation| violation.invariant)
            .collect();
        found.dedup();
        found
    }
}

const ID: &str = "w1";
const CLUSTER: &str = "c1";
const SOURCE: &str = "s1";

fn create(tag: Tag) -> Call {
    Call::Create {
        id: ID.into(),
        cluster: CLUSTER.into(),
        source: SOURCE.into(),
        tag,
    }
}

fn report(tag: Option<Tag>, version: i64, sequence: i64, deleted: bool) -> Call {
    Call::Report(Report {
        id: ID.into(),
        cluster: CLUSTER.into(),
        version,
        tag,
        sequence,
        deleted,
    })
}

fn row(tag: Tag, version: i64) -> Row {
    Row {
        id: ID.into(),
        cluster: CLUSTER.into(),
        version,
        deleting: false,
        tag: Some(tag),
        status: None,
    }
}

fn seen(tag: Tag, version: i64, sequence: i64) -> Seen {
    Seen {
        version,
        sequence,
        tag: Some(tag),
    }
}

fn spec(stream: Number, tag: Option<Tag>, version: i64, deleting: bool) -> Spec {
    Spec {
        stream,
        id: ID.into(),
        version,
        tag,
        deleting,
        dropped: false,
    }
}

fn refused(text: &str) -> Outcome {
    Outcome::Refused {
        code: "Internal".into(),
        text: text.into(),
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown {
        text: "connection reset".into(),
    }
}

#[test]
fn a_whole_life_is_found_in_order() {
    let mut story = Story::new();
    story.agent(1).source(2);
    let first = story.create(1);
    story.spec(1, first, 1);
    story.report(first, 1, 10);
    story.status(2, first, 10);
    let second = story.update(1, 1);
    story.spec(1, second, 2);
    story.report(second, 2, 11);
    story.get(Some(Row {
        status: Some(seen(second, 2, 11)),
        ..row(second, 2)
    }));
    story.delete(1);
    story.deletion(1, Some(second));
    story.farewell(second);
    story.last_words(2, second);
    story.get(None);
    story.wait(20).snapshot(|_| {});
    assert_eq!(check(&story.history), []);
}

#[test]
fn i1_nothing_alive_after_the_deletion_on_a_stream() {
    let tell = |again: u32| {
        let mut story = Story::new();
        story.agent(1);
        let tag = story.create(1);
        story.delete(1);
        story.deletion(1, Some(tag));
        story.farewell(tag);
        let new = story.create(2);
        story.spec(1, if again == 1 { tag } else { new }, 1);
        story.found()
    };
    assert_eq!(tell(1), [Invariant::I1]);
    assert_eq!(tell(2), []);
}

#[test]
fn i1_nothing_alive_on_a_stream_begun_after_the_deletion() {
    let tell = |seconds| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.delete(1);
        story.wait(seconds).agent(1).spec(1, tag, 1);
        story.found()
    };
    assert_eq!(tell(3), [Invariant::I1]);
    assert_eq!(tell(0), []);
}

#[test]
fn i1_an_old_stream_may_be_late_only_while_it_is_disturbed() {
    let tell = |fault| {
        let mut story = Story::new();
        story.agent(1);
        let tag = story.create(1);
        story.delete(1);
        if fault {
            story.fault(Scope::Cluster(CLUSTER.into()));
        }
        story.wait(5).spec(1, tag, 1);
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I1]);
    assert_eq!(tell(true), []);
}

#[test]
fn i1_a_deletion_has_no_way_back() {
    let tell = |deleting| {
        let mut story = Story::new();
        let tag = story.create(1);
        let op = story.invoke(Call::Delete {
            id: ID.into(),
            life: 1,
        });
        story.finish(op, unknown());
        story.get(Some(Row {
            deleting: true,
            ..row(tag, 1)
        }));
        story.get(Some(Row {
            deleting,
            ..row(tag, 1)
        }));
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I1]);
    assert_eq!(tell(true), []);
}

#[test]
fn i2_accepted_writes_are_read_back() {
    let tell = |version: i64, answered: bool| {
        let mut story = Story::new();
        let first = story.create(1);
        let tag = story.tag(1);
        let op = story.invoke(Call::Update {
            id: ID.into(),
            expect: 1,
            tag,
        });
        story.finish(op, if answered { Outcome::done() } else { unknown() });
        story.get(Some(row(if version == 1 { first } else { tag }, version)));
        story.found()
    };
    assert_eq!(tell(1, true), [Invariant::I2]);
    assert_eq!(tell(1, false), []);
    assert_eq!(tell(2, false), []);
    assert_eq!(tell(2, true), []);
}

#[test]
fn i2_a_read_that_began_earlier_may_be_older() {
    let mut story = Story::new();
    let first = story.create(1);
    let read = story.invoke(Call::Get { id: ID.into() });
    story.update(1, 1);
    let answer = Answer::Row(Some(row(first, 1)));
    story.finish(read, Outcome::Ok { answer });
    assert_eq!(story.found(), []);
}

#[test]
fn i2_of_two_updates_of_one_version_only_one_is_accepted() {
    let tell = |second| {
        let mut story = Story::new();
        story.create(1);
        story.update(1, 1);
        story.update(1, second);
        story.found()
    };
    assert_eq!(tell(1), [Invariant::I2]);
    assert_eq!(tell(2), []);
}

#[test]
fn i2_an_accepted_work_is_there_and_an_accepted_deletion_too() {
    let mut story = Story::new();
    let tag = story.create(1);
    story.get(None);
    assert_eq!(story.found(), [Invariant::I2]);

    let mut story = Story::new();
    story.create(1);
    story.delete(1);
    story.get(Some(row(tag, 1)));
    assert_eq!(story.found(), [Invariant::I2]);
}

#[test]
fn i2_refused_writes_leave_no_trace() {
    let mut story = Story::new();
    story.create(1);
    let tag = story.tag(1);
    let op = story.invoke(Call::Update {
        id: ID.into(),
        expect: 1,
        tag,
    });
    story.finish(op, refused("maestro-6"));
    story.get(Some(row(tag, 2)));
    assert!(story.found().contains(&Invariant::I2));
}

#[test]
fn i2_accepted_reports_are_read_back() {
    let tell = |version: i64, status: Option<i64>| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.report(tag, 1, 10);
        story.report(tag, 1, 20);
        let tag = if version == 2 {
            story.update(1, 1)
        } else {
            tag
        };
        story.get(Some(Row {
            status: status.map(|sequence| seen(tag, 1, sequence)),
            ..row(tag, version)
        }));
        story.found()
    };
    assert_eq!(tell(1, None), [Invariant::I2]);
    assert_eq!(tell(1, Some(10)), [Invariant::I2]);
    assert_eq!(tell(1, Some(20)), []);
    // It may have come too late for version 1.
    assert_eq!(tell(2, Some(10)), []);
}

#[test]
fn i3_deliveries_take_two_seconds_when_nothing_is_broken() {
    let tell = |delay, fault| {
        let mut story = Story::new();
        story.agent(1).wait(5);
        if fault {
            story.fault(Scope::Replica(1));
        }
        let tag = story.create(1);
        story
            .wait(delay)
            .spec(1, tag, 1)
            .wait(60)
            .add(What::Window { load: None });
        story.found()
    };
    assert_eq!(tell(3, false), [Invariant::I3]);
    assert_eq!(tell(3, true), []);
    assert_eq!(tell(1, false), []);
}

#[test]
fn i3_at_rest_every_cluster_has_every_work() {
    let tell = |version| {
        let mut story = Story::new();
        story.fault(Scope::Everything);
        let first = story.create(1);
        let second = story.update(1, 1);
        story.wait(60).snapshot(|snapshot| {
            snapshot.rows.insert(ID.into(), row(second, 2));
            let held = Held {
                version,
                tag: Some(if version == 2 { second } else { first }),
                reported: None,
            };
            if version > 0 {
                let cluster = snapshot.clusters.entry(CLUSTER.into()).or_default();
                cluster.insert(ID.into(), held);
            }
        });
        story.found()
    };
    assert_eq!(tell(0), [Invariant::I3]);
    assert_eq!(tell(1), [Invariant::I3]);
    assert_eq!(tell(2), []);
}

#[test]
fn i3_servers_come_back() {
    let mut story = Story::new();
    let text = "GET /resource-bundles".to_owned();
    story.add(What::Silent { text });
    assert_eq!(story.found(), [Invariant::I3]);
}

#[test]
fn i4_a_deletion_ends_and_everybody_hears_of_it() {
    let tell = |heard: bool, deleting: bool| {
        let mut story = Story::new();
        story.source(1);
        let tag = story.create(1);
        story.delete(1);
        story.farewell(tag);
        if heard {
            story.last_words(1, tag);
        }
        story.wait(60).snapshot(|snapshot| {
            if deleting {
                let row = Row {
                    deleting,
                    ..row(tag, 1)
                };
                snapshot.rows.insert(ID.into(), row);
            }
        });
        story.found()
    };
    assert_eq!(tell(false, false), [Invariant::I4]);
    assert_eq!(tell(true, true), [Invariant::I4]);
    assert_eq!(tell(true, false), []);
}

#[test]
fn i4_who_was_away_need_not_hear_but_ends_with_the_truth() {
    let tell = |knows: bool| {
        let mut story = Story::new();
        story.source(1);
        let tag = story.create(1);
        let why = "cut".to_owned();
        story.add(What::Closed { stream: 1, why });
        story.delete(1);
        story.farewell(tag);
        story.source(2).wait(60).snapshot(|snapshot| {
            if knows {
                let known = snapshot.known.entry(SOURCE.into()).or_default();
                known.insert(ID.into(), seen(tag, 1, 10));
            }
        });
        story.found()
    };
    assert_eq!(tell(false), []);
    assert_eq!(tell(true), [Invariant::I4]);
}

#[test]
fn i4_the_final_status_is_whole() {
    let mut story = Story::new();
    story.source(1);
    let tag = story.create(1);
    story.delete(1);
    story.farewell(tag);
    story.add(What::Status(Status {
        stream: 1,
        id: ID.into(),
        seen: seen(tag, 1, 99),
        spec: None,
        metadata: true,
        deleted: true,
    }));
    assert_eq!(story.found(), [Invariant::I4]);
}

#[test]
fn i5_rows_go_after_the_objects() {
    let tell = |farewell: bool| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.delete(1);
        if farewell {
            story.farewell(tag);
        }
        story.get(None);
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I5]);
    assert_eq!(tell(true), []);
}

#[test]
fn i5_the_end_of_one_life_does_not_end_the_next() {
    let tell = |second: bool| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.delete(1);
        story.farewell(tag);
        let new = story.create(2);
        story.delete(2);
        // Again, because the answer had been lost.
        story.farewell(tag);
        if second {
            story.farewell(new);
        }
        story.get(None);
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I5]);
    assert_eq!(tell(true), []);
}

#[test]
fn i5_at_rest_nothing_is_left_behind() {
    let mut story = Story::new();
    let tag = story.create(1);
    story.delete(1);
    story.farewell(tag);
    story.wait(60).snapshot(|snapshot| {
        let held = Held {
            version: 1,
            tag: Some(tag),
            reported: None,
        };
        let cluster = snapshot.clusters.entry(CLUSTER.into()).or_default();
        cluster.insert(ID.into(), held);
    });
    assert_eq!(story.found(), [Invariant::I5]);
}

#[test]
fn i6_statuses_never_go_back() {
    let tell = |later: i64, life: u32| {
        let mut story = Story::new();
        story.source(1);
        let tag = story.create(1);
        story.report(tag, 1, 10);
        story.report(tag, 1, 20);
        story.status(1, tag, 20);
        let tag = if life == 2 { story.create(2) } else { tag };
        story.status(1, tag, later);
        story.found()
    };
    assert_eq!(tell(10, 1), [Invariant::I6]);
    assert_eq!(tell(20, 1), []);
    // (The second create is an I2 of its own: the first life never ended.)
    assert!(!tell(10, 2).contains(&Invariant::I6));
}

#[test]
fn i6_reads_never_go_back_and_the_last_report_wins() {
    let tell = |stored: i64, known: i64| {
        let mut story = Story::new();
        let tag = story.create(1);
        for sequence in [10, 20] {
            let op = story.invoke(report(Some(tag), 1, sequence, false));
            let answer = Answer::Later(15);
            story.finish(op, Outcome::Ok { answer });
        }
        let at = |sequence| Row {
            status: Some(seen(tag, 1, sequence)),
            ..row(tag, 1)
        };
        story.get(Some(at(20)));
        story.snapshot(|snapshot| {
            snapshot.rows.insert(ID.into(), at(stored));
            let held = Held {
                version: 1,
                tag: Some(tag),
                reported: Some(20),
            };
            let cluster = snapshot.clusters.entry(CLUSTER.into()).or_default();
            cluster.insert(ID.into(), held);
            let source = snapshot.known.entry(SOURCE.into()).or_default();
            source.insert(ID.into(), seen(tag, 1, known));
        });
        story.found()
    };
    assert_eq!(tell(10, 10), [Invariant::I6]);
    assert_eq!(tell(20, 10), [Invariant::I6]);
    assert_eq!(tell(20, 20), []);
}

#[test]
fn i7_a_neighbour_may_not_slow_others_down() {
    let tell = |trouble: Load, loaded: Micros| {
        let mut story = Story::new();
        story.agent(1);
        for (load, time) in [(Load::Calm, 5 * MS), (trouble, loaded)] {
            story.add(What::Window { load: Some(load) });
            for number in 0..120 {
                let id = format!("{load:?}-{number}");
                let tag = story.tag(1);
                let (cluster, source) = (CLUSTER.to_owned(), SOURCE.to_owned());
                let call = Call::Create {
                    id: id.clone(),
                    cluster,
                    source,
                    tag,
                };
                story.ok(call);
                story.now += time;
                story.add(What::Spec(Spec {
                    id,
                    ..spec(1, Some(tag), 1, false)
                }));
            }
        }
        story.add(What::Window { load: None });
        story.found()
    };
    for trouble in Load::TROUBLE {
        assert_eq!(tell(trouble, 100 * MS), [Invariant::I7]);
        assert_eq!(tell(trouble, 12 * MS), []);
    }
}

#[test]
fn i8_versions_and_contents_come_from_spec_writes_only() {
    let tell = |version: i64| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.report(tag, 1, 10);
        story.get(Some(Row {
            status: Some(seen(tag, 1, 10)),
            ..row(tag, version)
        }));
        story.found()
    };
    assert_eq!(tell(2), [Invariant::I8]);
    assert_eq!(tell(1), []);
}

#[test]
fn i8_a_spec_write_leaves_the_status() {
    let tell = |keep: bool| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.report(tag, 1, 10);
        let status = Some(seen(tag, 1, 10));
        story.get(Some(Row {
            status,
            ..row(tag, 1)
        }));
        let tag = story.update(1, 1);
        let status = status.filter(|_| keep);
        story.get(Some(Row {
            status,
            ..row(tag, 2)
        }));
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I8]);
    assert_eq!(tell(true), []);
}

#[test]
fn i8_statuses_are_made_by_agents() {
    let mut story = Story::new();
    let tag = story.create(1);
    story.get(Some(Row {
        status: Some(seen(tag, 1, 10)),
        ..row(tag, 1)
    }));
    assert_eq!(story.found(), [Invariant::I8]);
}

#[test]
fn i8_a_status_is_about_its_own_life() {
    let tell = |status_of: u32| {
        let mut story = Story::new();
        let first = story.create(1);
        story.report(first, 1, 10);
        story.delete(1);
        story.farewell(first);
        let second = story.create(2);
        story.report(second, 1, 20);
        let status = if status_of == 1 {
            // Delivered late, and taken for one of the new life.
            story.report(first, 1, 30);
            seen(first, 1, 30)
        } else {
            seen(second, 1, 20)
        };
        story.get(Some(Row {
            status: Some(status),
            ..row(second, 1)
        }));
        story.found()
    };
    assert_eq!(tell(1), [Invariant::I8]);
    assert_eq!(tell(2), []);
}

#[test]
fn i9_queues_are_bounded() {
    let tell = |count, events: usize| {
        let mut story = Story::new();
        story.agent(1);
        let tag = story.create(1);
        story.delete(1);
        for _ in 0..events {
            story.deletion(1, Some(tag));
        }
        let id = ID.to_owned();
        story.add(What::Sample(Sample::PendingDeletes { id, count }));
        story.farewell(tag);
        story.found()
    };
    assert_eq!(tell(2, 1), [Invariant::I9]);
    assert_eq!(tell(1, 20), [Invariant::I9]);
    // Its creation found deleting, the deletion, and the answer to a resync.
    assert_eq!(tell(1, 3), []);
    assert_eq!(tell(1, 4), [Invariant::I9]);
}

#[test]
fn i9_event_tables_drain_when_all_is_quiet() {
    let tell = |seconds, count| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.delete(1);
        story.farewell(tag);
        story.wait(seconds);
        // Reads keep nothing busy.
        story.get(None);
        let rows = BTreeMap::from([("events that nobody has handled".to_owned(), count)]);
        story.add(What::Tables { rows });
        story.found()
    };
    assert_eq!(tell(61, 3), [Invariant::I9]);
    assert_eq!(tell(50, 3), []);
    assert_eq!(tell(61, 0), []);
}

#[test]
fn i9_tables_need_not_drain_while_something_happens() {
    let tell = |busy: bool| {
        let mut story = Story::new();
        let tag = story.create(1);
        story.wait(50);
        if busy {
            story.report(tag, 1, 10);
        }
        story.wait(50);
        let rows = BTreeMap::from([("events that nobody has handled".to_owned(), 1)]);
        story.add(What::Tables { rows });
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I9]);
    assert_eq!(tell(true), []);
}

#[test]
fn i10_memory_is_bounded() {
    let tell = |bytes| {
        let mut story = Story::new();
        let replica = 0;
        story.add(What::Sample(Sample::Memory { replica, bytes }));
        story.found()
    };
    assert_eq!(tell(1 << 30), [Invariant::I10]);
    assert_eq!(tell(64 << 20), []);
}

#[test]
fn i11_nothing_is_deleted_unasked() {
    let tell = |asked: bool| {
        let mut story = Story::new();
        story.agent(1);
        let tag = story.create(1);
        if asked {
            story.delete(1);
        }
        story.deletion(1, Some(tag));
        story.found()
    };
    assert_eq!(tell(false), [Invariant::I11]);
    assert_eq!(tell(true), []);
}

#[test]
fn i12_walks_miss_nothing_and_repeat_nothing() {
    let tell = |ids: &[&str], farewell: bool| {
        let mut story = Story::new();
        let tag = story.create(1);
        let source = SOURCE.to_owned();
        let walk = story.invoke(Call::Walk { source });
        if farewell {
            story.delete(1);
            story.farewell(tag);
        }
        let answer = Answer::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        story.finish(walk, Outcome::Ok { answer });
        story.found()
    };
    assert_eq!(tell(&[], false), [Invariant::I12]);
    assert_eq!(tell(&[ID, ID], false), [Invariant::I12]);
    assert_eq!(tell(&[ID], false), []);
    assert_eq!(tell(&[], true), []);
}

#[test]
fn i13_errors_show_no_machinery() {
    let tell = |text: &str| {
        let mut story = Story::new();
        let tag = story.tag(1);
        let op = story.invoke(create(tag));
        story.finish(op, refused(text));
        story.found()
    };
    assert_eq!(
        tell("Unable to create Resource: ERROR: insert or update on table (SQLSTATE 23503)"),
        [Invariant::I13]
    );
    let text = r#"maestro-9: Unable to create Resource: consumer "c" is not registered (fk_resources_consumers)"#;
    assert_eq!(tell(text), []);
    let by_chance = r#"503 {"code":"maestro-9","operation_id":"3Mqj0sCXCBjopydpgxzfpopeBqg","reason":"try again later"}"#;
    assert_eq!(tell(by_chance), []);
    let shown = r#"503 {"operation_id":"3Mqj0sCXCBjopydpgxzfpopeBqg","reason":"pgx: closed pool"}"#;
    assert_eq!(tell(shown), [Invariant::I13]);
}

#[test]
fn a_long_history_is_cut_down_to_what_shows_the_violation() {
    let mut story = Story::new();
    story.agent(1);
    let tag = story.create(1);
    for number in 0..50 {
        let id = format!("other-{number}");
        let source = SOURCE.to_owned();
        let tag = story.tag(1);
        let cluster = CLUSTER.to_owned();
        story.ok(Call::Create {
            id,
            cluster,
            source,
            tag,
        });
        story.get(Some(row(Tag { life: 1, op: 1 }, 1)));
    }
    story.delete(1);
    story.deletion(1, Some(tag));
    story.spec(1, tag, 1);
    let violations = check(&story.history);
    assert_eq!(violations.len(), 1, "{violations:?}");
    let short = minimise::story(&story.history, &violations[0]);
    assert!(check(&short).contains(&violations[0]));
    let lines = minimise::lines(&short);
    assert!(lines.len() <= 10, "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("deletion of w1")),
        "{lines:#?}"
    );
}

#[test]
fn histories_survive_a_file() {
    let mut story = Story::new();
    story.agent(1);
    let tag = story.create(1);
    story
        .get(Some(row(tag, 1)))
        .get(None)
        .fault(Scope::Replica(1));
    story.spec(1, tag, 1).status(1, tag, 3).snapshot(|_| {});
    let text = serde_json::to_string(&story.history).expect("plain data");
    let read: History = serde_json::from_str(&text).expect("what was written");
    assert_eq!(read.entries, story.history.entries);
}
