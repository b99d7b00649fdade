//! What policies change in a status report.

use serde_json::{Map, Value};

use crate::policy::Overrides;

/// Applies the corrections if `payload` is a status report: an object with a list of conditions.
pub(super) fn correct(payload: &mut Value, overrides: &[Overrides]) {
    if overrides.is_empty() {
        return;
    }
    let mut all = Overrides::default();
    for one in overrides {
        all.merge(one.clone());
    }
    let Value::Object(report) = payload else {
        return;
    };
    let Some(Value::Array(conditions)) = report.get_mut("conditions") else {
        return;
    };
    for condition in all.conditions {
        let Ok(value) = serde_json::to_value(&condition) else {
            continue;
        };
        let same =
            |have: &&mut Value| have.get("type").and_then(Value::as_str) == Some(&condition.type_);
        match conditions.iter_mut().find(same) {
            Some(have) => *have = value,
            None => conditions.push(value),
        }
    }
    if !all.data.is_empty() {
        let data = report
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(data) = data {
            data.extend(all.data);
        }
    }
    if let Some(generation) = all.observed_generation {
        report.insert("observed_generation".into(), generation.into());
    }
}

#[cfg(test)]
mod tests {
    use hyperfleet_types::{ConditionReport, ConditionStatus};
    use serde_json::json;

    use super::*;

    #[test]
    fn later_corrections_win_and_other_payloads_stay() {
        let condition = |status| ConditionReport {
            type_: "Health".into(),
            status,
            reason: Some("R".into()),
            message: None,
        };
        let first = Overrides {
            conditions: vec![condition(ConditionStatus::True)],
            observed_generation: Some(3),
            ..Overrides::default()
        };
        let second = Overrides {
            conditions: vec![condition(ConditionStatus::False)],
            data: Map::from_iter([("version".to_owned(), json!("4"))]),
            ..Overrides::default()
        };
        let mut report = json!({"conditions": [{"type": "Applied", "status": "True"}, {"type": "Health", "status": "True"}],
            "observed_generation": 5, "data": {"x": 1}});
        correct(&mut report, &[first.clone(), second]);
        assert_eq!(
            report,
            json!({"conditions": [{"type": "Applied", "status": "True"}, {"type": "Health", "status": "False", "reason": "R"}],
                "observed_generation": 3, "data": {"x": 1, "version": "4"}})
        );
        let mut other = json!({"conditions": {"map": true}});
        correct(&mut other, &[first]);
        assert_eq!(other, json!({"conditions": {"map": true}}));
    }
}
