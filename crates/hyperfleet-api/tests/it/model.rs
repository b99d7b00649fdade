//! Random histories: the rules against invariants, and both databases against the rules.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use hyperfleet_api::{
    domain::{
        Command, Create, Delete, Family, ForceDelete, Member, Outcome, Patch, Plan, Report, Write,
        decide, report::Incoming,
    },
    registry::{Registry, standard},
    store::{Load, Query, Reach, Sqlite, Store},
};
use hyperfleet_types::{AdapterStatus, Resource};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

/// The simplest storage there can be.
#[derive(Default, Clone, Debug, PartialEq)]
struct World {
    resources: BTreeMap<String, Resource>,
    statuses: BTreeMap<String, Vec<AdapterStatus>>,
}

impl World {
    fn family(&self) -> Family {
        let owner = |resource: &Resource| {
            resource
                .owner_references
                .as_ref()
                .map(|owner| owner.id.clone())
        };
        let members = self.resources.iter().map(|(id, resource)| {
            let children = self
                .resources
                .values()
                .filter(|child| owner(child).as_ref() == Some(id))
                .count();
            let member = Member {
                resource: resource.clone(),
                statuses: self.statuses.get(id).cloned().unwrap_or_default(),
                children: children as u64,
                inbound: Vec::new(),
            };
            (id.clone(), member)
        });
        Family {
            members: members.collect(),
            targets: BTreeMap::new(),
        }
    }

    fn apply(&mut self, plan: &Plan) {
        for write in &plan.writes {
            match write {
                Write::Insert(resource)
                | Write::Body(resource)
                | Write::Head(resource)
                | Write::References(resource) => {
                    let conditions = self
                        .resources
                        .get(&resource.id)
                        .map(|stored| stored.status.clone());
                    let mut resource = (**resource).clone();
                    resource.status = conditions.unwrap_or(resource.status);
                    self.resources.insert(resource.id.clone(), resource);
                }
                Write::Conditions(id, conditions) => self
                    .resources
                    .get_mut(id)
                    .unwrap()
                    .status
                    .conditions
                    .clone_from(conditions),
                Write::Status(id, status) => {
                    let statuses = self.statuses.entry(id.clone()).or_default();
                    statuses.retain(|stored| stored.adapter != status.adapter);
                    statuses.push((**status).clone());
                    statuses.sort_by(|a, b| {
                        (a.created_time, &a.adapter).cmp(&(b.created_time, &b.adapter))
                    });
                }
                Write::Remove(id) => {
                    let gone = self.resources.remove(id);
                    assert!(gone.is_some(), "removed twice");
                    self.statuses.remove(id);
                }
                Write::Unlink(_) => {}
            }
        }
    }

    fn check(&self) {
        for resource in self.resources.values() {
            if let Some(owner) = &resource.owner_references {
                assert!(
                    self.resources.contains_key(&owner.id),
                    "{} has lost its parent",
                    resource.name
                );
                let parent = &self.resources[&owner.id];
                assert!(
                    !parent.is_deleting() || resource.is_deleting(),
                    "a parent is deleted before its live child"
                );
            }
            if let Some(condition) = resource.condition("Reconciled") {
                assert_eq!(condition.observed_generation, resource.generation);
            }
        }
    }
}

/// Something that happens; resources are named by small numbers.
#[derive(Debug, Clone)]
enum Step {
    Cluster,
    NodePool(usize),
    Patch(usize, u8),
    Delete(usize),
    Force(usize),
    Report {
        resource: usize,
        adapter: &'static str,
        behind: i32,
        available: &'static str,
        finalized: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let adapter = prop_oneof![Just("validation"), Just("dns"), Just("stranger")];
    let available = prop_oneof![4 => Just("True"), 2 => Just("False"), 1 => Just("Unknown")];
    prop_oneof![
        1 => Just(Step::Cluster),
        2 => (0..8_usize).prop_map(Step::NodePool),
        1 => (0..8_usize, 0..3_u8).prop_map(|(resource, value)| Step::Patch(resource, value)),
        2 => (0..8_usize).prop_map(Step::Delete),
        1 => (0..8_usize).prop_map(Step::Force),
        9 => (0..8_usize, adapter, 0..2_i32, available, any::<bool>()).prop_map(|(resource, adapter, behind, available, finalized)| {
            Step::Report { resource, adapter, behind, available, finalized }
        }),
    ]
}

fn registry() -> Registry {
    let mut entities = standard();
    entities[0].required_adapters = vec!["validation".into(), "dns".into()];
    entities[1].required_adapters = vec!["validation".into()];
    Registry::new(entities).unwrap()
}

/// The command of a step in this world, if it makes sense there.
fn command(world: &World, step: &Step, number: usize, now: Timestamp) -> Option<Command> {
    let pick = |index: usize| {
        world
            .resources
            .values()
            .nth(index % world.resources.len().max(1))
    };
    let create = |kind: &str, parent: Option<String>| {
        Command::Create(Create {
            id: format!("0000000{}-0000-7000-8000-{number:012}", number % 10),
            kind: kind.into(),
            parent,
            name: format!("name-{number}"),
            spec: json!({"n": number}).as_object().cloned().unwrap(),
            labels: BTreeMap::new(),
            references: BTreeMap::new(),
            tenancy: BTreeMap::new(),
            actor: "a".into(),
        })
    };
    Some(match step {
        Step::Cluster => create("Cluster", None),
        Step::NodePool(index) => create(
            "NodePool",
            Some(
                pick(*index)
                    .filter(|parent| parent.kind == "Cluster")?
                    .id
                    .clone(),
            ),
        ),
        Step::Patch(index, value) => Command::Patch(Patch {
            id: pick(*index)?.id.clone(),
            spec: json!({"v": value}).as_object().cloned(),
            labels: None,
            references: None,
            actor: "b".into(),
        }),
        Step::Delete(index) => Command::Delete(Delete {
            id: pick(*index)?.id.clone(),
            actor: "c".into(),
        }),
        Step::Force(index) => Command::ForceDelete(ForceDelete {
            id: pick(*index)?.id.clone(),
        }),
        Step::Report {
            resource,
            adapter,
            behind,
            available,
            finalized,
        } => {
            let resource = pick(*resource)?;
            let condition = |type_: &str, status: &str| {
                (
                    type_.to_owned(),
                    status.to_owned(),
                    None,
                    Some("m".to_owned()),
                )
            };
            let incoming = Incoming {
                adapter: (*adapter).into(),
                observed_generation: i64::from((resource.generation - behind).max(1)),
                observed_time: Some(now),
                conditions: vec![
                    condition("Applied", "True"),
                    condition("Available", available),
                    condition("Health", "True"),
                    condition("Finalized", if *finalized { "True" } else { "False" }),
                ],
                ..Incoming::default()
            };
            Command::Report(Report::check(&resource.id, incoming, now).ok()?)
        }
    })
}

/// A time per step, so that histories can be repeated.
fn time(number: usize) -> Timestamp {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    start + SignedDuration::from_micros(i64::try_from(number).unwrap() * 1_500_001)
}

fn load(command: &Command) -> Load {
    let (id, reach) = match command {
        Command::Create(create) => (create.parent.clone(), Reach::Alone),
        Command::Patch(patch) => (Some(patch.id.clone()), Reach::Alone),
        Command::Delete(delete) => (Some(delete.id.clone()), Reach::All),
        Command::ForceDelete(delete) => (Some(delete.id.clone()), Reach::All),
        Command::Report(report) => (Some(report.id.clone()), Reach::Up),
    };
    Load {
        id,
        reach,
        specs: false,
        targets: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens: no orphans, generations only grow, deletion is one-way, and deletes end once every adapter is done.
    #[test]
    fn histories_keep_the_invariants(steps in proptest::collection::vec(step(), 1..60)) {
        let registry = registry();
        let mut world = World::default();
        for (number, step) in steps.iter().enumerate() {
            let Some(command) = command(&world, step, number, time(number)) else { continue };
            let before = world.clone();
            if let Ok(plan) = decide(&registry, &command, world.family(), time(number)) {
                world.apply(&plan);
            }
            world.check();
            for (id, old) in &before.resources {
                if let Some(new) = world.resources.get(id) {
                    prop_assert!(new.generation >= old.generation && new.updated_time >= old.updated_time);
                    prop_assert!(!old.is_deleting() || (new.is_deleting() && new.generation == old.generation));
                } else {
                    prop_assert!(old.is_deleting(), "only what is being deleted goes");
                }
            }
        }
        // Deletes end: everything is deleted, every adapter finalizes, in any order.
        let mut number = steps.len();
        let ids: Vec<String> = world.resources.keys().cloned().collect();
        for id in &ids {
            number += 1;
            if world.resources.contains_key(id) {
                let command = Command::Delete(Delete { id: id.clone(), actor: "z".into() });
                let plan = decide(&registry, &command, world.family(), time(number)).unwrap();
                world.apply(&plan);
            }
        }
        for adapter in ["dns", "validation"] {
            for id in &ids {
                let Some(resource) = world.resources.get(id) else { continue };
                number += 1;
                let condition = |type_: &str| (type_.to_owned(), "True".to_owned(), None, None);
                let incoming = Incoming {
                    adapter: adapter.into(),
                    observed_generation: resource.generation.into(),
                    observed_time: Some(time(number)),
                    conditions: ["Applied", "Available", "Health", "Finalized"].map(condition).into(),
                    ..Incoming::default()
                };
                let command = Command::Report(Report::check(id, incoming, time(number)).unwrap());
                let plan = decide(&registry, &command, world.family(), time(number)).unwrap();
                world.apply(&plan);
            }
        }
        prop_assert!(world.resources.is_empty(), "left: {:?}", world.resources.values().map(|r| &r.name).collect::<Vec<_>>());
    }
}

/// Runs a history on a storage and on the model; both must agree after every step.
async fn agree(store: &dyn Store, steps: &[Step]) {
    let registry = Arc::new(registry());
    let mut world = World::default();
    for (number, step) in steps.iter().enumerate() {
        let now = time(number);
        let Some(command) = command(&world, step, number, now) else {
            continue;
        };
        let expected = decide(&registry, &command, world.family(), now);
        let (rules, asked) = (registry.clone(), command.clone());
        let attempts = Arc::new(Mutex::new(0));
        let counted = attempts.clone();
        let decision = Arc::new(move |family: Family| {
            *counted.lock().unwrap() += 1;
            decide(&rules, &asked, family, now)
        });
        let done = store.change(load(&command), decision).await;
        assert_eq!(*attempts.lock().unwrap(), 1, "nobody else is here");
        match (&expected, &done) {
            (Ok(expected), Ok(done)) => assert_eq!(outcome(expected), outcome(done), "{step:?}"),
            (Err(expected), Err(hyperfleet_api::error::Error::Rejected(done))) => {
                assert_eq!(expected, done)
            }
            other => panic!("{other:?}"),
        }
        if let Ok(plan) = &expected {
            world.apply(plan);
        }
        let order = vec![hyperfleet_api::store::Order {
            column: hyperfleet_api::store::Column::Id,
            descending: false,
        }];
        let (stored, total) = store
            .list(Query {
                order,
                limit: 100,
                ..Query::default()
            })
            .await
            .unwrap();
        assert_eq!(total as usize, world.resources.len());
        assert_eq!(
            stored,
            world.resources.values().cloned().collect::<Vec<_>>()
        );
        for id in world.resources.keys() {
            let (statuses, _) = store.statuses(id, 0, 100).await.unwrap();
            assert_eq!(
                statuses,
                world.statuses.get(id).cloned().unwrap_or_default()
            );
        }
    }
}

/// An outcome without the spec, which is loaded for the named resource only.
fn outcome(plan: &Plan) -> Outcome {
    match plan.outcome.clone() {
        Outcome::Resource(mut resource) => {
            resource.spec.clear();
            Outcome::Resource(resource)
        }
        other => other,
    }
}

fn histories(count: u32) -> Vec<Vec<Step>> {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(step(), 40);
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[tokio::test]
async fn sqlite_does_what_the_rules_say() {
    for steps in histories(25) {
        agree(&Sqlite::in_memory().unwrap(), &steps).await;
    }
}

#[tokio::test]
async fn postgres_does_what_the_rules_say() {
    for steps in histories(6) {
        let database = testkit::postgres::Server::shared()
            .await
            .unwrap()
            .database()
            .await
            .unwrap();
        let config = sql_store::postgres::Config::from_url(&database.url()).unwrap();
        let store = hyperfleet_api::store::Postgres::new(&config).unwrap();
        store
            .migrate(&tokio_util::sync::CancellationToken::new())
            .await
            .unwrap();
        agree(&store, &steps).await;
    }
}
