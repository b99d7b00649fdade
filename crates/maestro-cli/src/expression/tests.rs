use proptest::prelude::*;
use serde_json::json;

use super::*;

struct State {
    conditions: Vec<Condition>,
    resources: Vec<ManifestCondition>,
}

impl State {
    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            version: 3,
            observed_version: 3,
            conditions: &self.conditions,
            resources: &self.resources,
        }
    }
}

/// A and D are true, B and C are false; Jobs j1 and j2 as in the protocol's page.
fn state() -> State {
    let conditions = json!([
        {"type": "A", "status": "True"}, {"type": "B", "status": "False"},
        {"type": "C", "status": "False"}, {"type": "D", "status": "True"},
    ]);
    let resources = json!([
        {"resourceMeta": {"kind": "Job", "name": "j1", "namespace": "ns"}, "conditions": [{"type": "Applied", "status": "True"}],
         "statusFeedback": {"values": [
            {"name": "succeeded", "fieldValue": {"type": "Integer", "integer": 0}},
            {"name": "phase", "fieldValue": {"type": "String", "string": "Active"}},
            {"name": "ok", "fieldValue": {"type": "Boolean", "boolean": true}},
            {"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{\"succeeded\":1,\"ratio\":0.5,\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}"}}]}},
        {"resourceMeta": {"kind": "Job", "name": "j2", "namespace": "ns"}, "conditions": [],
         "statusFeedback": {"values": [{"name": "succeeded", "fieldValue": {"type": "Integer", "integer": 3}}]}},
    ]);
    State {
        conditions: serde_json::from_value(conditions).unwrap(),
        resources: serde_json::from_value(resources).unwrap(),
    }
}

fn ours(text: &str) -> bool {
    Expression::parse(text, None)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .holds(state().snapshot())
}

fn theirs(text: &str) -> bool {
    Expression::parse(text, Some(ConditionCompat::Upstream))
        .unwrap()
        .holds(state().snapshot())
}

#[test]
fn and_binds_tighter_than_or_unless_upstream_is_asked_for() {
    for (text, conventional, upstream) in [
        ("A OR B AND C", true, false),
        ("B AND C OR A", true, false),
        ("(B AND C) OR A", true, true),
        ("A OR (B AND C)", true, true),
        ("D AND (A OR B)", true, true),
        ("D&&(A||B)", true, true),
        ("A&&B", false, false),
        ("A||B", true, true),
        ("A", true, true),
        ("a", true, true),
        ("B", false, false),
        ("Nothing", false, false),
    ] {
        assert_eq!(ours(text), conventional, "{text}");
        assert_eq!(theirs(text), upstream, "upstream: {text}");
    }
}

#[test]
fn what_upstream_takes_for_false_is_an_error_or_works() {
    for (text, holds) in [
        ("A and D", true),
        ("A or B", true),
        ("NOT B", true),
        ("!B", true),
        ("not (A AND B)", true),
        ("!A", false),
    ] {
        assert_eq!(ours(text), holds, "{text}");
        assert!(!theirs(text), "upstream: {text}");
    }
    for (text, column) in [
        ("A OR", 5),
        ("OR A", 1),
        ("(A", 1),
        ("A)", 2),
        ("()", 2),
        ("", 1),
        ("   ", 4),
        ("A B", 3),
        ("A & B", 3),
        ("A AND AND B", 7),
        ("NOT", 4),
        ("A=1", 2),
        ("Job:", 5),
        (":Complete", 1),
        ("Job/a/b/c:x", 1),
        ("Job:a>=", 8),
        ("Job:a>==1", 6),
        ("Job:a=x y", 7),
        ("Job:a=\"x", 7),
        ("Job:a b", 7),
        ("A AND ?", 7),
    ] {
        let error = parse::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {}", error.message);
        assert!(!theirs(text), "upstream: {text}");
    }
    let failure = Expression::parse("A AND (B", None).unwrap_err();
    assert_eq!(
        failure.message,
        "condition, column 7: this '(' is never closed\n  A AND (B\n        ^"
    );
}

#[test]
fn resources_are_looked_at_as_upstream_does() {
    for (text, holds) in [
        ("Job:Complete", true),
        ("job:complete", true),
        ("Job/j1:Complete", true),
        ("Job/ns/j1:Complete", true),
        ("Job :Complete", true),
        ("Job: Complete", true),
        ("Job/j2:Complete", false),
        ("Job/xx/j1:Complete", false),
        ("Pod:Ready", false),
        ("Job:missing=1", false),
        ("Job/j2:succeeded>=1", true),
        ("Job:succeeded >= 0", true),
        ("Job:succeeded=0", true),
        ("Job:status.succeeded>=1", true),
        ("Job:status.succeeded=1", true),
        ("Job:phase=active", true),
        ("Job:ok=true", true),
        ("Job:Failed OR Job:Complete", true),
        ("Job:Applied", true),
        ("Job:status.ratio<1", true),
    ] {
        assert_eq!(ours(text), holds, "{text}");
        assert_eq!(theirs(text), holds, "upstream: {text}");
    }
}

#[test]
fn comparisons_mean_what_they_say() {
    for (text, conventional) in [
        ("Job:succeeded>=1", true),
        ("Job:status.succeeded==1", true),
        ("Job:succeeded!=1", true),
        ("Job/j1:succeeded!=0", false),
        ("Job:ok=True", true),
        ("Job:phase=\"Active\"", true),
        ("Job:status.conditions.0.type=Complete", true),
        ("Job:status.ratio==0.50", true),
    ] {
        assert_eq!(ours(text), conventional, "{text}");
    }
    for text in [
        "Job:succeeded>=1",
        "Job:status.succeeded==1",
        "Job:succeeded!=1",
        "Job:ok=True",
    ] {
        assert!(!theirs(text), "upstream: {text}");
    }
}

#[test]
fn reports_from_before_the_last_change_meet_nothing() {
    let state = state();
    let stale = Snapshot {
        observed_version: 2,
        ..state.snapshot()
    };
    for text in ["A", "NOT B", "Job:Complete"] {
        assert!(
            !Expression::parse(text, None).unwrap().holds(stale),
            "{text}"
        );
    }
    let mut old = state;
    old.conditions[0].observed_generation = 2;
    assert!(!Expression::parse("A", None).unwrap().holds(old.snapshot()));
    old.conditions[0].observed_generation = 3;
    assert!(Expression::parse("A", None).unwrap().holds(old.snapshot()));
}

#[test]
fn upstream_distrusts_conditions_older_than_applied() {
    let at = |text: &str| Some(text.parse().unwrap());
    let mut conditions = vec![
        Condition::new("Applied", true, "", ""),
        Condition::new("Available", true, "", ""),
    ];
    conditions[0].last_transition_time = at("2026-01-01T00:00:02Z");
    conditions[1].last_transition_time = at("2026-01-01T00:00:01Z");
    let holds = |conditions: &[Condition]| {
        let snapshot = Snapshot {
            version: 1,
            observed_version: 1,
            conditions,
            resources: &[],
        };
        upstream::holds("Available", snapshot)
    };
    assert!(!holds(&conditions));
    conditions[1].last_transition_time = at("2026-01-01T00:00:02Z");
    assert!(holds(&conditions));
}

#[test]
fn mixing_is_noticed() {
    for (text, ambiguous) in [
        ("A OR B AND C", true),
        ("A OR (B AND C)", false),
        ("A AND B", false),
        ("(A OR B) AND C", false),
        ("A OR B", false),
    ] {
        assert_eq!(
            Expression::parse(text, None).unwrap().is_ambiguous(),
            ambiguous,
            "{text}"
        );
    }
}

fn tree() -> impl Strategy<Value = (String, bool)> {
    // Text and truth, fully parenthesized.
    let leaf = prop_oneof![
        Just(("A".to_owned(), true)),
        Just(("B".to_owned(), false)),
        Just(("Job:Complete".to_owned(), true)),
        Just(("Job:succeeded>9".to_owned(), false))
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("({a}) AND ({b})"), x && y)),
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("({a})||({b})"), x || y)),
            inner.prop_map(|(a, x)| (format!("NOT ({a})"), !x)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parentheses_always_help((text, truth) in tree()) {
        prop_assert_eq!(ours(&text), truth, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[AB():!&|<>=\" JobORANDnot./é]{0,30}") {
        if let Ok(expression) = Expression::parse(&text, None) {
            let _ = expression.holds(state().snapshot());
            let _ = expression.is_ambiguous();
        }
        theirs(&text);
    }
}
