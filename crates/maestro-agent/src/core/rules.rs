//! Conditions that a work derives from its objects.
//!
//! See `docs/protocol/work-agent.md`, "Condition rules".

use kube_access::object;
use manifestwork::conditions::{Condition, ConditionStatus};
use manifestwork::constants::condition::COMPLETE;
use manifestwork::{ConditionRule, ConditionRuleType};
use serde_json::Value;

/// Reasons that start like this belong to conditions made by rules.
pub const REASON_PREFIX: &str = "ConditionRule";
const EVALUATED: &str = "ConditionRuleEvaluated";
const INVALID: &str = "ConditionRuleInvalid";

/// The conditions that the rules give for an object.
pub fn evaluate(rules: &[ConditionRule], live: &Value, generation: i64) -> Vec<Condition> {
    rules
        .iter()
        .filter_map(|rule| evaluate_one(rule, live))
        .map(|condition| condition.observing(generation))
        .collect()
}

fn evaluate_one(rule: &ConditionRule, live: &Value) -> Option<Condition> {
    let message = match &rule.type_ {
        ConditionRuleType::WellKnownConditions => {
            if rule.condition != COMPLETE {
                return None;
            }
            let (complete, message) = complete(live)?;
            let message = if rule.message.is_empty() {
                message
            } else {
                rule.message.clone()
            };
            return Some(Condition::new(COMPLETE, complete, EVALUATED, message));
        }
        ConditionRuleType::Cel => "CEL condition rules are not supported by this agent".to_owned(),
        ConditionRuleType::Other(name) => format!("unrecognized condition rule type {name}"),
    };
    if rule.condition.is_empty() {
        return None;
    }
    Some(Condition::new(
        rule.condition.as_str(),
        ConditionStatus::Unknown,
        INVALID,
        message,
    ))
}

/// Whether a Job or a Pod has done what it was for; `None` for other kinds.
fn complete(live: &Value) -> Option<(bool, String)> {
    match (object::api_version(live)?, object::kind(live)?) {
        ("batch/v1", "Job") => {
            let finished = live["status"]["conditions"]
                .as_array()
                .is_some_and(|conditions| {
                    conditions.iter().any(|condition| {
                        condition["status"] == "True"
                            && (condition["type"] == "Complete" || condition["type"] == "Failed")
                    })
                });
            let text = if finished {
                "Job is finished"
            } else {
                "Job is not finished"
            };
            Some((finished, text.to_owned()))
        }
        ("v1", "Pod") => {
            let phase = live["status"]["phase"].as_str().unwrap_or_default();
            let finished = matches!(phase, "Succeeded" | "Failed");
            Some((finished, format!("Pod is in phase {phase}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(type_: ConditionRuleType, condition: &str) -> ConditionRule {
        ConditionRule {
            condition: condition.to_owned(),
            type_,
            cel_expressions: vec![],
            message: String::new(),
            message_expression: String::new(),
        }
    }

    #[test]
    fn jobs_and_pods_complete() {
        let known = [rule(ConditionRuleType::WellKnownConditions, COMPLETE)];
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": "Failed", "status": "True"}]}});
        let got = evaluate(&known, &job, 3);
        assert_eq!(got[0].status, ConditionStatus::True);
        assert_eq!(got[0].message, "Job is finished");
        assert_eq!(got[0].observed_generation, 3);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}});
        let got = evaluate(&known, &pod, 1);
        assert_eq!(
            (got[0].status, got[0].message.as_str()),
            (ConditionStatus::False, "Pod is in phase Running")
        );
        let other = [rule(ConditionRuleType::WellKnownConditions, "Ready")];
        assert!(evaluate(&other, &pod, 1).is_empty());
        assert!(evaluate(&known, &json!({"apiVersion": "v1", "kind": "Service"}), 1).is_empty());
    }

    #[test]
    fn rules_that_are_not_evaluated_say_so() {
        let got = evaluate(&[rule(ConditionRuleType::Cel, "Ready")], &json!({}), 1);
        assert_eq!(
            (got[0].type_.as_str(), got[0].status),
            ("Ready", ConditionStatus::Unknown)
        );
        assert_eq!(got[0].reason, INVALID);
        let got = evaluate(
            &[rule(ConditionRuleType::Other("x".into()), "Ready")],
            &json!({}),
            1,
        );
        assert_eq!(got[0].message, "unrecognized condition rule type x");
    }
}
