//! The rules as a model: many random histories of one id, invariants after each step.

use event_wire::{Action, EventType, Stamp, Subresource};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::ResourceId;

/// What sources, agents and operators may do.
#[derive(Clone, Debug)]
enum Step {
    Create {
        source: u8,
        version: i64,
    },
    Update {
        source: u8,
        version: i64,
        content: u8,
    },
    Delete {
        source: Option<u8>,
    },
    Status {
        version: i64,
        sequence: i64,
        deleted: bool,
        life: Life,
        cluster: u8,
    },
}

#[derive(Clone, Copy, Debug)]
enum Life {
    Unknown,
    This,
    Earlier,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let source = 0_u8..2;
    let life = prop_oneof![Just(Life::Unknown), Just(Life::This), Just(Life::Earlier)];
    let step = prop_oneof![
        3 => (source.clone(), 0_i64..3).prop_map(|(source, version)| Step::Create { source, version }),
        4 => (source.clone(), 0_i64..6, 0_u8..3)
            .prop_map(|(source, version, content)| Step::Update { source, version, content }),
        2 => proptest::option::of(source).prop_map(|source| Step::Delete { source }),
        6 => (0_i64..6, 0_i64..8, any::<bool>(), life, 0_u8..2).prop_map(
            |(version, sequence, deleted, life, cluster)| Step::Status { version, sequence, deleted, life, cluster }
        ),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A database of one row.
#[derive(Default)]
struct World {
    row: Option<Current>,
    tombstone: Option<Timestamp>,
    now: Timestamp,
    lives: u32,
}

fn event(source: u8, content: u8) -> Event {
    let kind = EventType::manifest_bundles(Subresource::Spec, Action::UpdateRequest);
    let mut event = Event::new(kind, format!("s{source}"), Stamp::now());
    event.set_json(&json!({"manifests": [], "content": content}));
    event
}

fn id() -> ResourceId {
    "r".into()
}

impl World {
    fn operation(&self, step: &Step) -> Operation {
        let named = |number: u8| SourceId::from(format!("s{number}"));
        match step {
            Step::Create { source, version } => Operation::Create(Spec {
                id: id(),
                source: named(*source),
                cluster: "c0".into(),
                version: *version,
                event: event(*source, 0),
            }),
            Step::Update {
                source,
                version,
                content,
            } => Operation::Update(Spec {
                id: id(),
                source: named(*source),
                cluster: "c0".into(),
                version: *version,
                event: event(*source, *content),
            }),
            Step::Delete { source } => Operation::Delete(Delete {
                id: id(),
                source: source.map(named),
            }),
            Step::Status {
                version,
                sequence,
                deleted,
                life,
                cluster,
            } => {
                let this = self.row.as_ref().map(|row| row.created_at.as_second());
                let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
                Operation::Status(Report {
                    id: id(),
                    cluster: format!("c{cluster}").into(),
                    version: *version,
                    sequence: format!("{}", sequence << 22).parse().ok(),
                    deleted: *deleted,
                    life: match life {
                        Life::Unknown => None,
                        Life::This => this,
                        Life::Earlier => this.map(|second| second - 1),
                    },
                    event: Event::new(kind, "agent", Stamp::now()),
                })
            }
        }
    }

    /// Does what a storage does with a verdict, and checks what must hold.
    fn apply(&mut self, step: &Step) {
        let operation = self.operation(step);
        let context = Context {
            now: self.now,
            consumer_exists: true,
            last_life: self.tombstone,
            isolate_sources: true,
        };
        let before = self.row.clone();
        match decide(&operation, self.row.as_ref(), &context) {
            Verdict::Insert {
                version,
                created_at,
            } => {
                assert!(before.is_none() && version >= 1);
                assert!(
                    self.tombstone
                        .is_none_or(|last| last.as_second() < created_at.as_second()),
                    "lives differ"
                );
                let Operation::Create(spec) = operation else {
                    panic!("{step:?} inserts")
                };
                self.lives += 1;
                self.row = Some(Current {
                    source: spec.source,
                    cluster: spec.cluster,
                    version,
                    created_at,
                    deleting: false,
                    sequence: None,
                    payload: Some(stored::to_string(&spec.event).unwrap()),
                });
            }
            Verdict::Replace { version } => {
                let row = self.row.as_mut().unwrap();
                assert!(!row.deleting, "deletion is one-way");
                assert_eq!(version, row.version + 1);
                let Operation::Update(spec) = operation else {
                    panic!("{step:?} replaces")
                };
                assert!(spec.version == 0 || spec.version == row.version);
                assert_eq!(spec.source, row.source);
                row.version = version;
                row.payload = Some(stored::to_string(&spec.event).unwrap());
            }
            Verdict::MarkDeleting => {
                let row = self.row.as_mut().unwrap();
                assert!(!row.deleting);
                row.deleting = true;
            }
            Verdict::StoreStatus => {
                let row = self.row.as_mut().unwrap();
                let Operation::Status(report) = operation else {
                    panic!("{step:?} stores")
                };
                assert_eq!(
                    (report.version, &report.cluster),
                    (row.version, &row.cluster)
                );
                if let (Some(new), Some(old)) = (report.sequence, row.sequence) {
                    assert!(
                        new.is_newer_than(Some(old)).unwrap(),
                        "status never goes back"
                    );
                }
                row.sequence = report.sequence;
            }
            Verdict::Remove => {
                let row = self.row.take().unwrap();
                assert!(row.deleting, "only what was asked to go goes");
                assert!(!matches!(
                    step,
                    Step::Status {
                        life: Life::Earlier,
                        ..
                    }
                ));
                self.tombstone = Some(row.created_at);
            }
            Verdict::Nothing(_) | Verdict::Refuse(_) => {}
        }
        if let (Some(before), Some(after)) = (before, &self.row) {
            assert!(after.deleting || !before.deleting, "deletion is one-way");
            assert!(after.version >= before.version);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_rules(steps in steps(), pauses in proptest::collection::vec(0_i64..1500, 60)) {
        let mut world = World { now: "2026-01-01T00:00:00Z".parse().unwrap(), ..World::default() };
        for (step, pause) in steps.iter().zip(pauses) {
            world.apply(step);
            world.now += SignedDuration::from_millis(pause);
        }
    }
}

fn live() -> Current {
    Current {
        source: "s0".into(),
        cluster: "c0".into(),
        version: 3,
        created_at: "2026-01-01T00:00:00.9Z".parse().unwrap(),
        deleting: false,
        sequence: None,
        payload: Some(stored::to_string(&event(0, 0)).unwrap()),
    }
}

fn context() -> Context {
    let now = "2026-01-01T00:00:00.95Z".parse().unwrap();
    Context {
        now,
        consumer_exists: true,
        last_life: None,
        isolate_sources: true,
    }
}

#[test]
fn a_new_life_in_the_second_of_the_old_one_begins_in_the_next() {
    let operation = World::default().operation(&Step::Create {
        source: 0,
        version: 0,
    });
    let context = Context {
        last_life: Some(live().created_at),
        ..context()
    };
    let Verdict::Insert {
        version,
        created_at,
    } = decide(&operation, None, &context)
    else {
        panic!()
    };
    assert_eq!(
        (version, created_at),
        (1, "2026-01-01T00:00:01Z".parse().unwrap())
    );
}

#[test]
fn the_last_version_is_not_exceeded() {
    let operation = World::default().operation(&Step::Update {
        source: 0,
        version: 0,
        content: 1,
    });
    let row = Current {
        version: i64::from(i32::MAX),
        ..live()
    };
    let verdict = decide(&operation, Some(&row), &context());
    assert!(matches!(
        verdict,
        Verdict::Refuse(Refusal::VersionsExhausted)
    ));
}

#[test]
fn without_isolation_any_source_may_update() {
    let operation = World::default().operation(&Step::Update {
        source: 1,
        version: 3,
        content: 1,
    });
    let verdict = decide(&operation, Some(&live()), &context());
    assert!(matches!(verdict, Verdict::Refuse(Refusal::NotOwner(_))));
    let context = Context {
        isolate_sources: false,
        ..context()
    };
    assert!(matches!(
        decide(&operation, Some(&live()), &context),
        Verdict::Replace { version: 4 }
    ));
}
