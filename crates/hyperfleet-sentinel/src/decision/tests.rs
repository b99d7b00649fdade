use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::config::Param;

fn now() -> Timestamp {
    "2026-08-21T10:00:00Z".parse().unwrap()
}

fn resource(generation: i64, conditions: Value) -> Observed {
    Observed::new(&json!({"id": "i", "kind": "Cluster", "generation": generation, "status": {"conditions": conditions}})).unwrap()
}

/// Reconciled since so many seconds, at this generation.
fn reconciled(status: &str, seconds_ago: i64, generation: i64) -> Value {
    let time = now() - SignedDuration::from_secs(seconds_ago);
    json!([{"type": "Reconciled", "status": status, "observed_generation": generation, "last_updated_time": time, "last_transition_time": time}])
}

fn decide(resource: &Observed) -> Verdict {
    Decision::compile(&config::Decision::default())
        .unwrap()
        .decide(resource, now())
}

#[test]
fn the_default_decision() {
    for (resource, publish, why) in [
        (resource(1, json!([])), true, "new"),
        (
            resource(2, reconciled("True", 1, 1)),
            true,
            "changed since it was reconciled",
        ),
        (resource(1, reconciled("True", 31 * 60, 1)), true, "stale"),
        (resource(1, reconciled("True", 29 * 60, 1)), false, "fresh"),
        (
            resource(1, reconciled("True", 30 * 60, 1)),
            false,
            "exactly 30 min is not more",
        ),
        (
            resource(1, reconciled("False", 11, 1)),
            true,
            "not reconciled",
        ),
        (resource(1, reconciled("False", 9, 1)), false, "debounced"),
        (
            resource(1, reconciled("False", 10, 1)),
            false,
            "exactly 10 s is not more",
        ),
    ] {
        let verdict = decide(&resource);
        let reason = if publish { MATCHED } else { NOT_MATCHED };
        assert_eq!(
            verdict,
            Verdict {
                publish,
                reason: reason.to_owned(),
                error: None
            },
            "{why}"
        );
    }
}

fn custom(params: &[(&str, &str)], result: &str) -> config::Decision {
    let params = params
        .iter()
        .map(|(name, expr)| Param {
            name: (*name).to_owned(),
            expr: (*expr).to_owned(),
        })
        .collect();
    config::Decision {
        params,
        result: result.to_owned(),
    }
}

fn verdict(params: &[(&str, &str)], result: &str) -> Verdict {
    Decision::compile(&custom(params, result))
        .unwrap()
        .decide(&resource(1, json!([])), now())
}

#[test]
fn a_missing_condition_has_zero_values() {
    let zero = "c.status == \"\" && c.last_updated_time == \"\" && c.last_transition_time == \"\" && c.reason == \"\" && c.message == \"\" \
                && c.observed_generation == 0";
    assert!(verdict(&[("c", "condition(\"Absent\")")], zero).publish);
}

#[test]
fn what_fails_means_no_pulse_and_says_why() {
    let failed = verdict(&[("late", "early"), ("early", "1")], "true");
    assert_eq!(
        (failed.publish, failed.reason.as_str()),
        (false, "param \"late\" evaluation failed")
    );
    assert!(failed.error.is_some());
    let failed = verdict(&[], "resource.spec.missing == 1");
    assert_eq!(
        (failed.publish, failed.reason.as_str()),
        (false, "result evaluation failed")
    );
    assert_eq!(
        verdict(&[], "resource.generation").reason,
        "result expression did not return bool, got int"
    );
}

#[test]
fn times_stay_times_between_params() {
    assert!(
        verdict(
            &[("then", "now - duration(\"1h\")")],
            "now - then == duration(\"1h\")"
        )
        .publish
    );
}

#[test]
fn every_mistake_is_found_at_start() {
    let config = custom(
        &[
            ("", "1"),
            ("a", ""),
            ("b", "1 +"),
            ("b", "nope"),
            ("now", "1"),
        ],
        "undeclared || true",
    );
    let problems = Decision::compile(&config)
        .map(|_| ())
        .unwrap_err()
        .join("\n");
    for expected in [
        "params[0].name: is required",
        "params[1].expr: is required",
        "params[2].expr: ",
        "params[3].name: \"b\" is used twice",
        "params[3].expr: ",
        "params[4].name: \"now\" is taken",
        "message_decision.result: ",
        "undeclared",
    ] {
        assert!(
            problems.contains(expected),
            "{expected}\nnot in\n{problems}"
        );
    }
}
