//! Trees on states.

use std::cmp::Ordering;

use manifestwork::{ConditionStatus, ManifestCondition, ResourceMeta};
use serde_json::Value;

use super::{Check, Node, Operator, Selector, Snapshot};

pub(super) fn holds(node: &Node, snapshot: Snapshot<'_>) -> bool {
    match node {
        Node::All(parts) => parts.iter().all(|part| holds(part, snapshot)),
        Node::Any(parts) => parts.iter().any(|part| holds(part, snapshot)),
        Node::Not(inner) => !holds(inner, snapshot),
        Node::Work(name) => snapshot.conditions.iter().any(|condition| {
            condition.type_.eq_ignore_ascii_case(name)
                && condition.status == ConditionStatus::True
                // A condition that says which version it speaks about must speak about this one.
                && (condition.observed_generation == 0 || condition.observed_generation >= snapshot.version)
        }),
        Node::Resource(selector, check) => snapshot
            .resources
            .iter()
            .filter(|resource| matches(selector, &resource.resource_meta))
            .any(|resource| checks(check, resource)),
    }
}

fn matches(selector: &Selector, meta: &ResourceMeta) -> bool {
    let same = |wanted: &Option<String>, found: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    selector.kind.eq_ignore_ascii_case(&meta.kind)
        && same(&selector.namespace, &meta.namespace)
        && same(&selector.name, &meta.name)
}

fn checks(check: &Check, resource: &ManifestCondition) -> bool {
    match check {
        Check::Condition(name) => has_condition(resource, name),
        Check::Compare {
            path,
            operator,
            value,
        } => feedback(resource, path).is_some_and(|found| compare(&found, *operator, value)),
    }
}

/// A true condition of the resource, or in its feedback as `conditions` or `status.conditions`.
pub(super) fn has_condition(resource: &ManifestCondition, name: &str) -> bool {
    let own = resource.conditions.iter().any(|condition| {
        condition.type_.eq_ignore_ascii_case(name) && condition.status == ConditionStatus::True
    });
    own || ["conditions", "status.conditions"]
        .iter()
        .any(|path| match feedback(resource, path) {
            Some(Value::Array(conditions)) => conditions.iter().any(|condition| {
                let text = |key: &str| {
                    condition
                        .get(key)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                };
                text("type").eq_ignore_ascii_case(name) && text("status") == "True"
            }),
            _ => false,
        })
}

/// A feedback value by dotted path: the first part names the value, the rest leads into it.
pub(super) fn feedback(resource: &ManifestCondition, path: &str) -> Option<Value> {
    // Names of values may hold dots themselves.
    if let Some(value) = resource.status_feedback.get(path) {
        return Some(value.to_json());
    }
    let (name, rest) = path.split_once('.')?;
    let mut value = resource.status_feedback.get(name)?.to_json();
    for part in rest.split('.') {
        value = match value {
            Value::Object(mut object) => object.remove(part)?,
            Value::Array(mut array) => {
                let index: usize = part.parse().ok()?;
                (index < array.len()).then(|| array.swap_remove(index))?
            }
            _ => return None,
        };
    }
    Some(value)
}

fn compare(found: &Value, operator: Operator, wanted: &str) -> bool {
    let ordering = || order(found, wanted);
    match operator {
        Operator::Equal => equals(found, wanted),
        Operator::NotEqual => !equals(found, wanted),
        Operator::Less => ordering() == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(ordering(), Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => ordering() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(ordering(), Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn equals(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text.to_lowercase() == wanted.to_lowercase(),
        Value::Bool(truth) => wanted.eq_ignore_ascii_case(if *truth { "true" } else { "false" }),
        Value::Number(number) => {
            number.to_string() == wanted
                || wanted.parse::<f64>().is_ok_and(|wanted| {
                    number
                        .as_f64()
                        .is_some_and(|found| found.to_bits() == wanted.to_bits())
                })
        }
        Value::Null => wanted == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

pub(super) fn order(found: &Value, wanted: &str) -> Option<Ordering> {
    let wanted: f64 = wanted.parse().ok()?;
    let found = match found {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    found.partial_cmp(&wanted)
}
