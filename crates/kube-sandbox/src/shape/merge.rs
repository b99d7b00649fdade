//! Merging an applied configuration into an object, and taking paths out of one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{ListShape, Shape, View};
use crate::fields::{Element, FieldSet};

/// `live` with everything that `config` says. Members that only `live` has stay.
pub fn merge(live: &Value, config: &Value, shape: &Shape) -> Value {
    match (shape.view(live), shape.view(config)) {
        (View::Object(live_map), View::Object(config_map)) => {
            let mut merged = live_map.clone();
            for (name, value) in config_map {
                let value = match live_map.get(name) {
                    Some(current) => merge(current, value, shape.member(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (View::List(live_items, list), View::List(config_items, _)) => {
            Value::Array(merge_items(live_items, config_items, list))
        }
        _ => config.clone(),
    }
}

/// Common items in the order of the configuration; items that only the live list has stay before what followed them.
fn merge_items(live: &[Value], config: &[Value], list: &ListShape) -> Vec<Value> {
    let identified = |items: &[Value]| -> Vec<(Element, Value)> {
        items
            .iter()
            .filter_map(|item| Some((list.identity(item)?, item.clone())))
            .collect()
    };
    let (live, config) = (identified(live), identified(config));
    let in_live: BTreeMap<&Element, &Value> =
        live.iter().map(|(element, item)| (element, item)).collect();
    let in_config: BTreeSet<&Element> = config.iter().map(|(element, _)| element).collect();
    // The next item of the configuration that the live list has too.
    let next_shared = |from: usize| {
        config
            .get(from..)
            .unwrap_or_default()
            .iter()
            .map(|(element, _)| element)
            .find(|element| in_live.contains_key(element))
    };
    let mut merged = Vec::with_capacity(live.len() + config.len());
    let (mut at_live, mut at_config) = (0, 0);
    loop {
        match (live.get(at_live), config.get(at_config)) {
            (None, None) => return merged,
            (Some((mine, _)), wanted)
                if in_config.contains(mine)
                    && wanted.is_none_or(|(element, _)| element != mine)
                    && next_shared(at_config) != Some(mine) =>
            {
                // It comes, or came, where the configuration has it.
                at_live += 1;
            }
            (Some((mine, item)), _) if !in_config.contains(mine) => {
                merged.push(item.clone());
                at_live += 1;
            }
            (current, Some((element, item))) => {
                merged.push(match in_live.get(element) {
                    Some(mine) => merge(mine, item, &list.item),
                    None => item.clone(),
                });
                at_config += 1;
                at_live += usize::from(current.is_some_and(|(mine, _)| mine == element));
            }
            (Some(_), None) => at_live += 1,
        }
    }
}

/// `value` without the members of `set`. A member goes with everything below it; an object or list that becomes empty
/// because of it goes too, since it was only there for what it held, unless it is in `keep`.
pub fn remove(value: &Value, set: &FieldSet, keep: &FieldSet, shape: &Shape) -> Value {
    remove_from(value, set, keep, shape).unwrap_or_else(|| Value::Object(Map::new()))
}

/// What is left of `value`; `None` if nothing is.
fn remove_from(value: &Value, set: &FieldSet, keep: &FieldSet, shape: &Shape) -> Option<Value> {
    if set.is_empty() {
        return Some(value.clone());
    }
    match shape.view(value) {
        View::Leaf => Some(value.clone()),
        View::Object(map) => {
            let mut kept = Map::new();
            for (name, child) in map {
                let element = Element::field(name.as_str());
                if let Some(left) = remove_child(child, &element, set, keep, shape.member(name)) {
                    kept.insert(name.clone(), left);
                }
            }
            (!kept.is_empty() || map.is_empty()).then_some(Value::Object(kept))
        }
        View::List(items, list) => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| match list.identity(item) {
                    None => Some(item.clone()),
                    Some(element) => remove_child(item, &element, set, keep, &list.item),
                })
                .collect();
            (!kept.is_empty() || items.is_empty()).then_some(Value::Array(kept))
        }
    }
}

fn remove_child(
    child: &Value,
    element: &Element,
    set: &FieldSet,
    keep: &FieldSet,
    shape: &Shape,
) -> Option<Value> {
    let Some(node) = set.get(element) else {
        return Some(child.clone());
    };
    if node.member {
        return None;
    }
    let nothing = FieldSet::new();
    let kept = keep.get(element);
    let keep_below = kept.map_or(&nothing, |kept| &kept.children);
    remove_from(child, &node.children, keep_below, shape).or_else(|| {
        kept.map(|_| match child {
            Value::Array(_) => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        })
    })
}
