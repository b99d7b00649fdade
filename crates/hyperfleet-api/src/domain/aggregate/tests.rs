use hyperfleet_types::{Condition, ConditionReport};
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn status(
    adapter: &str,
    generation: i32,
    available: ConditionStatus,
    finalized: bool,
    second: i64,
) -> AdapterStatus {
    let condition = |type_: &str, status| Condition {
        report: ConditionReport::new(type_, status, format!("{adapter}Reason"), "said so"),
        last_transition_time: at(second),
    };
    AdapterStatus {
        adapter: adapter.to_owned(),
        observed_generation: generation,
        conditions: vec![
            condition(AVAILABLE, available),
            condition(FINALIZED, finalized.into()),
        ],
        metadata: None,
        data: serde_json::Map::new(),
        created_time: at(second),
        last_report_time: at(second),
    }
}

struct Facts {
    required: Vec<String>,
    generation: i32,
    updated: i64,
    deleting: bool,
    has_children: bool,
    statuses: Vec<AdapterStatus>,
    previous: Vec<ResourceCondition>,
}

impl Facts {
    fn new(required: &[&str], generation: i32, statuses: Vec<AdapterStatus>) -> Self {
        let required = required.iter().map(|name| (*name).to_owned()).collect();
        Self {
            required,
            generation,
            updated: 0,
            deleting: false,
            has_children: false,
            statuses,
            previous: Vec::new(),
        }
    }

    fn compute(&self) -> Vec<ResourceCondition> {
        aggregate(&Inputs {
            required: &self.required,
            generation: self.generation,
            reference_time: at(self.updated),
            deleting: self.deleting,
            has_children: self.has_children,
            statuses: &self.statuses,
            previous: &self.previous,
        })
    }

    /// Computes, and remembers the result as stored.
    fn step(&mut self) -> (ResourceCondition, ResourceCondition) {
        self.previous = self.compute();
        (self.previous[0].clone(), self.previous[1].clone())
    }
}

use ConditionStatus::{False, True, Unknown};

fn reason(condition: &ResourceCondition) -> &str {
    condition.reason.as_deref().unwrap()
}

#[test]
fn nobody_required_is_never_reconciled() {
    let (reconciled, last_known) = Facts::new(&[], 3, vec![]).step();
    assert_eq!(
        (
            reconciled.status,
            last_known.status,
            last_known.observed_generation
        ),
        (False, False, 1)
    );
    let text = "Required adapters not reporting Available=True: []. Currently reporting: []";
    assert_eq!(reconciled.message.as_deref(), Some(text));
}

#[test]
fn all_true_at_the_current_generation_is_reconciled() {
    let mut facts = Facts::new(
        &["b", "a"],
        2,
        vec![
            status("a", 2, True, false, 5),
            status("b", 2, True, false, 4),
        ],
    );
    let (reconciled, last_known) = facts.step();
    assert_eq!(
        (
            reconciled.status,
            reason(&reconciled),
            reconciled.observed_generation
        ),
        (True, "ReconciledAll", 2)
    );
    assert_eq!(
        (
            last_known.status,
            reason(&last_known),
            last_known.observed_generation
        ),
        (True, "AllAdaptersReconciled", 2)
    );
    assert_eq!(
        (reconciled.last_updated_time, last_known.last_updated_time),
        (at(4), at(4))
    );
    let types: Vec<&str> = facts
        .previous
        .iter()
        .map(|condition| condition.type_.as_str())
        .collect();
    assert_eq!(
        types,
        [
            "Reconciled",
            "LastKnownReconciled",
            "BSuccessful",
            "ASuccessful"
        ]
    );
}

#[test]
fn one_false_names_who_is_missing_in_alphabetical_order() {
    let mut facts = Facts::new(
        &["z", "m", "a"],
        1,
        vec![
            status("z", 1, False, false, 1),
            status("m", 1, True, false, 1),
        ],
    );
    let (reconciled, _) = facts.step();
    assert_eq!(reason(&reconciled), "ReconciledMissingAdapters");
    let text =
        "Required adapters not reporting Available=True: [a, z]. Currently reporting: [m, z]";
    assert_eq!(reconciled.message.as_deref(), Some(text));
}

#[test]
fn an_update_breaks_reconciled_at_once_and_keeps_what_was_known() {
    let mut facts = Facts::new(
        &["a", "b"],
        1,
        vec![
            status("a", 1, True, false, 1),
            status("b", 1, True, false, 2),
        ],
    );
    facts.step();
    facts.generation = 2;
    facts.updated = 10;
    let (reconciled, last_known) = facts.step();
    assert_eq!(
        (
            reconciled.status,
            reconciled.last_transition_time,
            reconciled.last_updated_time
        ),
        (False, at(10), at(10))
    );
    assert_eq!(
        (
            last_known.status,
            last_known.observed_generation,
            last_known.last_transition_time
        ),
        (True, 1, at(1))
    );

    facts.statuses[0] = status("a", 2, True, false, 20);
    let (reconciled, last_known) = facts.step();
    assert_eq!(
        (
            reconciled.status,
            last_known.status,
            last_known.observed_generation
        ),
        (False, True, 1)
    );

    facts.statuses[1] = status("b", 2, True, false, 30);
    let (reconciled, last_known) = facts.step();
    assert_eq!(
        (reconciled.status, reconciled.last_transition_time),
        (True, at(20)),
        "the earliest report of the generation"
    );
    assert_eq!(
        (last_known.status, last_known.observed_generation),
        (True, 2)
    );
}

#[test]
fn mixed_generations_that_were_never_reconciled_are_not_known() {
    let mut facts = Facts::new(
        &["a", "b"],
        2,
        vec![
            status("a", 1, True, false, 1),
            status("b", 2, True, false, 2),
        ],
    );
    let (_, last_known) = facts.step();
    assert_eq!(
        (
            last_known.status,
            reason(&last_known),
            last_known.observed_generation
        ),
        (False, "AdaptersNotAtSameGeneration", 2)
    );
}

#[test]
fn a_denial_counts_at_the_tracked_generation_only() {
    let mut facts = Facts::new(&["a"], 1, vec![status("a", 1, True, false, 1)]);
    facts.step();
    facts.generation = 2;
    facts.statuses[0] = status("a", 2, False, false, 5);
    let (_, last_known) = facts.step();
    assert_eq!(
        (last_known.status, last_known.observed_generation),
        (True, 1)
    );

    let mut facts = Facts::new(&["a"], 1, vec![status("a", 1, True, false, 1)]);
    facts.step();
    facts.statuses[0] = status("a", 1, False, false, 5);
    let (_, last_known) = facts.step();
    assert_eq!(
        (
            last_known.status,
            reason(&last_known),
            last_known.last_updated_time
        ),
        (False, "AdapterReportedNotAvailable", at(5))
    );
}

#[test]
fn reports_of_the_future_or_without_knowledge_do_not_count() {
    for report in [
        status("a", 3, True, false, 1),
        status("a", 2, Unknown, false, 1),
    ] {
        let mut facts = Facts::new(&["a"], 2, vec![report]);
        let (reconciled, last_known) = facts.step();
        assert_eq!(
            (reconciled.status, reason(&last_known), facts.previous.len()),
            (False, "AdaptersMissingReports", 2)
        );
    }
    let mut report = status("a", 2, True, false, 1);
    report.conditions.clear();
    assert_eq!(Facts::new(&["a"], 2, vec![report]).step().0.status, False);
}

#[test]
fn deletion_asks_for_finalized_and_waits_for_children() {
    let mut facts = Facts::new(&["a"], 2, vec![status("a", 2, False, true, 1)]);
    facts.deleting = true;
    facts.has_children = true;
    let (reconciled, _) = facts.step();
    assert_eq!(
        (reconciled.status, reason(&reconciled)),
        (False, "ReconciledWaitingForChildren")
    );
    facts.has_children = false;
    assert_eq!(facts.step().0.status, True);
    facts.statuses[0] = status("a", 2, True, false, 2);
    let (reconciled, _) = facts.step();
    assert!(
        reconciled
            .message
            .unwrap()
            .contains("not reporting Finalized=True: [a]")
    );
}

#[test]
fn an_adapter_condition_copies_its_report_and_keeps_its_transition() {
    let mut facts = Facts::new(
        &["my-adapter"],
        1,
        vec![status("my-adapter", 1, True, false, 1)],
    );
    facts.step();
    facts.statuses[0] = status("my-adapter", 1, True, false, 9);
    facts.step();
    let condition = &facts.previous[2];
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("MyAdapterSuccessful", Some("my-adapterReason"))
    );
    assert_eq!(
        (
            condition.last_updated_time,
            condition.last_transition_time,
            condition.created_time
        ),
        (at(9), at(1), at(0))
    );
}

fn any_status(adapter: &'static str) -> impl Strategy<Value = Option<AdapterStatus>> {
    let available = prop_oneof![Just(True), Just(False), Just(Unknown)];
    let report = (1..4_i32, available, any::<bool>(), 0..50_i64);
    proptest::option::of(
        report.prop_map(move |(generation, available, finalized, second)| {
            status(adapter, generation, available, finalized, second)
        }),
    )
}

proptest! {
    /// Level, not edge: the same facts twice give the same conditions, whatever happened before.
    #[test]
    fn computing_twice_changes_nothing(
        first in [any_status("a"), any_status("b"), any_status("c")],
        second in [any_status("a"), any_status("b"), any_status("c")],
        generation in 1..4_i32, deleting: bool, has_children: bool, required in 0..4_usize,
    ) {
        let names = ["a", "b", "c"];
        let mut facts = Facts::new(&names[..required], 1, first.into_iter().flatten().collect());
        facts.step();
        facts.statuses = second.into_iter().flatten().collect();
        (facts.generation, facts.deleting, facts.has_children, facts.updated) = (generation, deleting, has_children, 60);
        let once = facts.step();
        let conditions = facts.previous.clone();
        prop_assert_eq!(&once, &facts.step());
        prop_assert_eq!(&conditions, &facts.previous);

        let reconciled = &conditions[0];
        let done = |name: &str| facts.statuses.iter().any(|status| {
            let wanted = if deleting { FINALIZED } else { AVAILABLE };
            let knows = status.condition(AVAILABLE).is_some_and(|condition| condition.status != Unknown);
            status.adapter == name && status.observed_generation == generation && knows && status.is_true(wanted)
        });
        let all = required > 0 && names[..required].iter().all(|name| done(name)) && !(deleting && has_children);
        prop_assert_eq!(reconciled.status.is_true(), all);
        prop_assert_eq!(reconciled.observed_generation, generation);
        for condition in &conditions {
            prop_assert!(condition.status != Unknown);
            prop_assert!(condition.created_time <= at(60));
        }
    }
}
