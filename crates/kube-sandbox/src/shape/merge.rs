//! Merging an applied configuration into an object, and taking paths out of one.

use std::collections::BTreeMap;

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

/// Items in the order of the configuration; items that only the live list has keep their place before the next
/// common item.
fn merge_items(live: &[Value], config: &[Value], list: &ListShape) -> Vec<Value> {
    let wanted: BTreeMap<Element, &Value> = config
        .iter()
        .filter_map(|item| list.identity(item).map(|element| (element, item)))
        .collect();
    let live_elements: Vec<(Option<Element>, &Value)> = live
        .iter()
        .map(|item| (list.identity(item), item))
        .collect();
    let by_element: BTreeMap<&Element, &Value> = live_elements
        .iter()
        .filter_map(|(element, item)| element.as_ref().map(|element| (element, *item)))
        .collect();

    let mut merged = Vec::with_capacity(live.len() + config.len());
    let mut next_live = 0;
    for item in config {
        let Some(element) = list.identity(item) else {
            continue;
        };
        match by_element.get(&element) {
            Some(current) => {
                let position = live_elements
                    .iter()
                    .position(|(other, _)| other.as_ref() == Some(&element));
                if let Some(position) = position {
                    while next_live <= position {
                        push_if_only_live(&mut merged, &live_elements, next_live, &wanted);
                        next_live += 1;
                    }
                }
                merged.push(merge(current, item, &list.item));
            }
            None => merged.push(item.clone()),
        }
    }
    while next_live < live_elements.len() {
        push_if_only_live(&mut merged, &live_elements, next_live, &wanted);
        next_live += 1;
    }
    merged
}

fn push_if_only_live(
    merged: &mut Vec<Value>,
    live: &[(Option<Element>, &Value)],
    index: usize,
    wanted: &BTreeMap<Element, &Value>,
) {
    if let Some((Some(element), item)) = live.get(index)
        && !wanted.contains_key(element)
    {
        merged.push((*item).clone());
    }
}

/// `value` without the members of `set`. A member goes with everything below it; an object or list that becomes empty
/// because of it goes too, since it was only there for what it held.
pub fn remove(value: &Value, set: &FieldSet, shape: &Shape) -> Value {
    remove_from(value, set, shape).unwrap_or_else(|| Value::Object(Map::new()))
}

fn remove_from(value: &Value, set: &FieldSet, shape: &Shape) -> Option<Value> {
    if set.is_empty() {
        return Some(value.clone());
    }
    match shape.view(value) {
        View::Leaf => Some(value.clone()),
        View::Object(map) => {
            let mut kept = Map::new();
            for (name, child) in map {
                match set.get(&Element::field(name.as_str())) {
                    None => {
                        kept.insert(name.clone(), child.clone());
                    }
                    Some(node) if node.member => {}
                    Some(node) => {
                        if let Some(child) = remove_from(child, &node.children, shape.member(name))
                        {
                            kept.insert(name.clone(), child);
                        }
                    }
                }
            }
            (!kept.is_empty() || map.is_empty()).then_some(Value::Object(kept))
        }
        View::List(items, list) => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| {
                    match list.identity(item).and_then(|element| set.get(&element)) {
                        None => Some(item.clone()),
                        Some(node) if node.member => None,
                        Some(node) => remove_from(item, &node.children, &list.item),
                    }
                })
                .collect();
            (!kept.is_empty() || items.is_empty()).then_some(Value::Array(kept))
        }
    }
}
