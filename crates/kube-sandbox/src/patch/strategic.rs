//! Strategic merge patch: a merge patch whose lists merge by key, with the directives `$patch`,
//! `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys`.

use serde_json::{Map, Value};

use crate::shape::{ListRule, ListShape, Shape};

const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// `live` after `patch`.
///
/// # Errors
/// A text that names the malformed directive.
pub fn merge(live: &Value, patch: &Value, shape: &Shape) -> Result<Value, String> {
    match (live, patch) {
        (_, Value::Object(patch)) => {
            let empty = Map::new();
            merge_object(live.as_object().unwrap_or(&empty), patch, shape).map(Value::Object)
        }
        (Value::Array(live), Value::Array(patch)) => {
            merge_list(live, patch, shape, None).map(Value::Array)
        }
        _ => Ok(patch.clone()),
    }
}

fn merge_object(
    live: &Map<String, Value>,
    patch: &Map<String, Value>,
    shape: &Shape,
) -> Result<Map<String, Value>, String> {
    match patch
        .get("$patch")
        .map(|directive| directive.as_str().unwrap_or_default())
    {
        Some("delete") => return Ok(Map::new()),
        Some("replace") => {
            let mut replacement = patch.clone();
            replacement.remove("$patch");
            return Ok(replacement);
        }
        None | Some("merge") => {}
        Some(other) => return Err(format!("unknown patch type found: {other}")),
    }
    let mut result = live.clone();
    if let Some(keys) = patch.get("$retainKeys") {
        let keys = keys
            .as_array()
            .ok_or("invalid type for $retainKeys: must be a list")?;
        result.retain(|name, _| keys.iter().any(|key| key.as_str() == Some(name)));
    }
    for (name, change) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            let gone = change
                .as_array()
                .ok_or_else(|| format!("invalid value for {name}: must be a list"))?;
            if let Some(Value::Array(items)) = result.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') || change.is_null() {
            if change.is_null() {
                result.remove(name);
            }
        } else {
            let order = patch.get(&format!("{ELEMENT_ORDER}{name}"));
            let child_shape = shape.member(name);
            let merged = match (result.get(name), change) {
                (current, Value::Array(items)) => {
                    let current = current
                        .and_then(Value::as_array)
                        .map(Vec::as_slice)
                        .unwrap_or_default();
                    Value::Array(merge_list(current, items, child_shape, order)?)
                }
                (Some(current), change) => merge(current, change, child_shape)?,
                (None, change) => merge(&Value::Null, change, child_shape)?,
            };
            result.insert(name.clone(), merged);
        }
    }
    // An order may come without items: only the order changes.
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix(ELEMENT_ORDER)
            && !patch.contains_key(list)
            && let (Some(Value::Array(items)), Shape::List(list_shape)) =
                (result.get(list), shape.member(list))
        {
            let sorted = in_order(items.clone(), order, list_shape);
            result.insert(list.to_owned(), Value::Array(sorted));
        }
    }
    Ok(result)
}

fn merge_list(
    live: &[Value],
    patch: &[Value],
    shape: &Shape,
    order: Option<&Value>,
) -> Result<Vec<Value>, String> {
    let Shape::List(list) = shape else {
        return Ok(patch
            .iter()
            .filter(|item| directive(item).is_none())
            .cloned()
            .collect());
    };
    let merged = match &list.rule {
        ListRule::Set => {
            let mut result = live.to_vec();
            for item in patch {
                if !result.contains(item) {
                    result.push(item.clone());
                }
            }
            result
        }
        ListRule::Map(_) => merge_keyed(live, patch, list)?,
    };
    Ok(match order {
        Some(order) => in_order(merged, order, list),
        None => merged,
    })
}

fn merge_keyed(live: &[Value], patch: &[Value], list: &ListShape) -> Result<Vec<Value>, String> {
    if patch.iter().any(|item| directive(item) == Some("replace")) {
        return Ok(patch
            .iter()
            .filter(|item| directive(item).is_none())
            .cloned()
            .collect());
    }
    let key = merge_key(list);
    let mut result = live.to_vec();
    for item in patch {
        let wanted = item
            .get(key)
            .ok_or_else(|| format!("map does not contain declared merge key: {key}"))?;
        let position = result
            .iter()
            .position(|other| other.get(key) == Some(wanted));
        match (directive(item), position) {
            (Some("delete"), _) => result.retain(|other| other.get(key) != Some(wanted)),
            (_, Some(position)) => {
                if let Some(current) = result.get_mut(position) {
                    *current = merge(current, item, &list.item)?;
                }
            }
            (_, None) => result.push(merge(&Value::Null, item, &list.item)?),
        }
    }
    Ok(result)
}

fn merge_key(list: &ListShape) -> &str {
    match &list.rule {
        ListRule::Map(keys) => keys
            .first()
            .map(|key| key.name.as_str())
            .unwrap_or_default(),
        ListRule::Set => "",
    }
}

fn directive(item: &Value) -> Option<&str> {
    item.get("$patch").and_then(Value::as_str)
}

/// Items named by `order` in that order, each preceded by the unnamed items that stood before it.
fn in_order(items: Vec<Value>, order: &Value, list: &ListShape) -> Vec<Value> {
    let Some(order) = order.as_array() else {
        return items;
    };
    let key = merge_key(list);
    let rank = |item: &Value| {
        order.iter().position(|wanted| match &list.rule {
            ListRule::Set => wanted == item,
            ListRule::Map(_) => wanted.get(key).is_some() && wanted.get(key) == item.get(key),
        })
    };
    let mut named: Vec<(usize, Value)> = Vec::new();
    let mut unnamed_before: Vec<(usize, Value)> = Vec::new();
    for item in items {
        match rank(&item) {
            Some(rank) => named.push((rank, item)),
            None => unnamed_before.push((named.len(), item)),
        }
    }
    named.sort_by_key(|(rank, _)| *rank);
    let mut result = Vec::with_capacity(named.len() + unnamed_before.len());
    let mut unnamed = unnamed_before.into_iter().peekable();
    for (index, (_, item)) in named.into_iter().enumerate() {
        while let Some((_, other)) = unnamed.next_if(|(before, _)| *before <= index) {
            result.push(other);
        }
        result.push(item);
    }
    result.extend(unnamed.map(|(_, item)| item));
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: Value) -> Value {
        json!({"spec": value})
    }

    fn patched(live: Value, patch: Value) -> Value {
        let shape = crate::builtin::resources()
            .into_iter()
            .find(|resource| resource.kind == "Pod")
            .expect("pods")
            .shape;
        merge(&pod(live), &pod(patch), &shape).expect("valid patch")["spec"].clone()
    }

    #[test]
    fn lists_merge_by_key() {
        let live = json!({"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b", "image": "1"}]});
        assert_eq!(
            patched(
                live.clone(),
                json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}]})
            )["containers"],
            json!([{"name": "a", "image": "2", "tty": true}, {"name": "b", "image": "1"}, {"name": "c"}])
        );
        assert_eq!(
            patched(
                live.clone(),
                json!({"containers": [{"name": "a", "$patch": "delete"}]})
            )["containers"],
            json!([{"name": "b", "image": "1"}])
        );
        assert_eq!(
            patched(
                live,
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "3"}]})
            )["containers"],
            json!([{"name": "b", "image": "3"}, {"name": "a", "image": "1", "tty": true}])
        );
    }

    #[test]
    fn other_lists_are_replaced_and_nulls_delete() {
        let live = json!({"tolerations": [{"key": "a"}], "nodeName": "n"});
        assert_eq!(
            patched(
                live,
                json!({"tolerations": [{"key": "b"}], "nodeName": null})
            ),
            json!({"tolerations": [{"key": "b"}]})
        );
    }

    #[test]
    fn a_missing_merge_key_is_an_error() {
        let shape = crate::builtin::resources()
            .into_iter()
            .find(|resource| resource.kind == "Pod")
            .expect("pods")
            .shape;
        let live = pod(json!({"containers": []}));
        assert!(merge(&live, &pod(json!({"containers": [{"image": "x"}]})), &shape).is_err());
    }
}
