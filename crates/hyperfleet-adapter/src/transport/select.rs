//! Choosing among objects: labels, the generation annotation, the newest of several.

use std::collections::BTreeMap;

use serde_json::Value;

use kube_access::object;

/// Where an object says which generation of its owner it was rendered for.
pub(crate) const GENERATION_ANNOTATION: &str = "hyperfleet.io/generation";

/// The generation annotation; missing or invalid counts as 0.
pub(crate) fn generation(object: &Value) -> i64 {
    object::annotation(object, GENERATION_ANNOTATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// What is wrong with the generation annotation of an object that must have one.
pub(crate) fn check_generation(object: &Value) -> Result<i64, String> {
    let annotation = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"));
    let Some(value) = annotation.and_then(|annotations| annotations.get(GENERATION_ANNOTATION))
    else {
        return Err(format!("missing {GENERATION_ANNOTATION} annotation"));
    };
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.is_empty() {
        return Err(format!("{GENERATION_ANNOTATION} annotation is empty"));
    }
    match text.parse::<i64>() {
        Ok(number) if number > 0 => Ok(number),
        Ok(number) => Err(format!(
            "{GENERATION_ANNOTATION} annotation must be > 0, got {number}"
        )),
        Err(_) => Err(format!(
            "invalid {GENERATION_ANNOTATION} annotation value {text:?}: must be a whole number"
        )),
    }
}

/// Whether the object carries all labels. An object without labels never matches a selector that asks for some.
pub(crate) fn matches(object: &Value, labels: &BTreeMap<String, String>) -> bool {
    labels
        .iter()
        .all(|(key, value)| object::label(object, key) == Some(value.as_str()))
}

/// `k=v,k2=v2`, keys sorted.
pub(crate) fn selector(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// The object with the highest generation; among equals the one whose name comes first.
pub(crate) fn latest(objects: Vec<Value>) -> Option<Value> {
    objects.into_iter().reduce(|best, next| {
        let key = |object: &Value| {
            (
                generation(object),
                std::cmp::Reverse(object::name(object).unwrap_or_default().to_owned()),
            )
        };
        if key(&next) > key(&best) { next } else { best }
    })
}

/// Whether everything that `wanted` says is so in `live`; what `live` has beyond that was set by others.
pub(crate) fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => contains(live, wanted),
                None => wanted.is_null() || is_empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live
                    .iter()
                    .zip(wanted)
                    .all(|(live, wanted)| contains(live, wanted))
        }
        (Value::Number(live), Value::Number(wanted)) => {
            live == wanted || live.as_f64() == wanted.as_f64()
        }
        (live, wanted) => live == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, generation: Value) -> Value {
        json!({"metadata": {"name": name, "annotations": {GENERATION_ANNOTATION: generation}}})
    }

    #[test]
    fn generations_are_read_and_judged() {
        for (value, read, judged) in [
            (json!("15"), 15, Ok(15)),
            (json!(""), 0, Err("is empty")),
            (json!("not-a-number"), 0, Err("invalid")),
            (json!("0"), 0, Err("must be > 0, got 0")),
            (json!("-5"), -5, Err("must be > 0, got -5")),
        ] {
            let object = object("x", value.clone());
            assert_eq!(generation(&object), read, "{value}");
            match (check_generation(&object), judged) {
                (Ok(a), Ok(b)) => assert_eq!(a, b),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (got, _) => panic!("{value}: {got:?}"),
            }
        }
        assert_eq!(generation(&json!({})), 0);
        assert!(
            check_generation(&json!({"metadata": {}}))
                .unwrap_err()
                .starts_with("missing")
        );
    }

    #[test]
    fn the_latest_is_the_highest_generation_then_the_first_name() {
        let objects = vec![
            object("c", json!("3")),
            object("b", json!("7")),
            object("a", json!("7")),
        ];
        assert_eq!(
            latest(objects)
                .and_then(|o| object::name(&o).map(str::to_owned))
                .as_deref(),
            Some("a")
        );
        assert_eq!(latest(Vec::new()), None);
    }

    #[test]
    fn labels_and_selectors() {
        let labels: BTreeMap<String, String> =
            [("b".into(), "2".into()), ("a".into(), "1".into())].into();
        assert_eq!(selector(&labels), "a=1,b=2");
        assert_eq!(selector(&BTreeMap::new()), "");
        assert!(matches(
            &json!({"metadata": {"labels": {"a": "1", "b": "2", "c": "3"}}}),
            &labels
        ));
        assert!(!matches(
            &json!({"metadata": {"labels": {"a": "1"}}}),
            &labels
        ));
        assert!(!matches(&json!({"metadata": {}}), &labels));
    }

    #[test]
    fn contents_ignore_what_others_added() {
        let wanted =
            json!({"data": {"a": "1"}, "spec": {"ports": [{"port": 80}], "x": null, "l": []}});
        assert!(contains(
            &json!({"data": {"a": "1"}, "spec": {"ports": [{"port": 80.0, "protocol": "TCP"}], "d": 1}}),
            &wanted
        ));
        assert!(!contains(
            &json!({"data": {"a": "2"}, "spec": {"ports": [{"port": 80}]}}),
            &wanted
        ));
        assert!(!contains(
            &json!({"data": {"a": "1"}, "spec": {"ports": []}}),
            &wanted
        ));
    }
}
