//! The field set of a value, and the difference of two values as field sets.

use serde_json::Value;

use super::{ListShape, Shape, View};
use crate::fields::{Element, FieldSet, Path};

/// What changed from one value to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Paths that only the new value has.
    pub added: FieldSet,
    /// Paths that both have, with different values.
    pub modified: FieldSet,
    /// Paths that only the old value has.
    pub removed: FieldSet,
}

impl Comparison {
    /// Added and modified paths.
    pub fn touched(&self) -> FieldSet {
        self.added.union(&self.modified)
    }
}

/// The paths that an applied configuration owns: leaves, empty objects, list items and map entries.
pub fn extract(value: &Value, shape: &Shape) -> FieldSet {
    let mut set = FieldSet::new();
    extract_into(&mut set, value, shape);
    set
}

fn extract_into(set: &mut FieldSet, value: &Value, shape: &Shape) {
    match shape.view(value) {
        View::Leaf => {}
        View::Object(map) => {
            for (name, child) in map {
                let child_shape = shape.member(name);
                let node = set.entry(Element::field(name.as_str()));
                extract_into(&mut node.children, child, child_shape);
                node.member = shape.is_entry(name) || is_leaf(child, child_shape);
                if !node.member && node.children.is_empty() {
                    // A granular list without items owns nothing.
                    set.remove_subtree(&[Element::field(name.as_str())]);
                }
            }
        }
        View::List(items, list) => {
            for (element, item) in identified(items, list) {
                let node = set.entry(element);
                node.member = true;
                extract_into(&mut node.children, item, &list.item);
            }
        }
    }
}

/// Leaves are owned as a whole: scalars, atomic values, and objects without members.
fn is_leaf(value: &Value, shape: &Shape) -> bool {
    match shape.view(value) {
        View::Leaf => true,
        View::Object(map) => map.is_empty(),
        View::List(..) => false,
    }
}

fn identified<'a>(
    items: &'a [Value],
    list: &'a ListShape,
) -> impl Iterator<Item = (Element, &'a Value)> {
    items
        .iter()
        .filter_map(|item| list.identity(item).map(|element| (element, item)))
}

/// Compares two values of one shape.
pub fn compare(old: &Value, new: &Value, shape: &Shape) -> Comparison {
    let mut comparison = Comparison::default();
    walk(
        &mut comparison,
        &mut Vec::new(),
        Some(old),
        Some(new),
        shape,
    );
    comparison
}

fn walk(
    out: &mut Comparison,
    path: &mut Path,
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
) {
    match (
        old.map(|value| shape.view(value)),
        new.map(|value| shape.view(value)),
    ) {
        (None, None) => {}
        (Some(View::Object(old_map)), Some(View::Object(new_map))) => {
            for (name, old_child) in old_map {
                step(
                    out,
                    path,
                    Element::field(name.as_str()),
                    Some(old_child),
                    new_map.get(name),
                    shape.member(name),
                );
            }
            for (name, new_child) in new_map {
                if !old_map.contains_key(name) {
                    step(
                        out,
                        path,
                        Element::field(name.as_str()),
                        None,
                        Some(new_child),
                        shape.member(name),
                    );
                }
            }
        }
        (Some(View::List(old_items, list)), Some(View::List(new_items, _))) => {
            let mut remaining: std::collections::BTreeMap<Element, &Value> =
                identified(new_items, list).collect();
            for (element, old_item) in identified(old_items, list) {
                let new_item = remaining.remove(&element);
                step(out, path, element, Some(old_item), new_item, &list.item);
            }
            for (element, new_item) in remaining {
                step(out, path, element, None, Some(new_item), &list.item);
            }
        }
        (None, Some(view)) => {
            out.added.insert(path);
            each_child(&view, shape, |element, child, child_shape| {
                step(out, path, element, None, Some(child), child_shape);
            });
        }
        (Some(view), None) => {
            out.removed.insert(path);
            each_child(&view, shape, |element, child, child_shape| {
                step(out, path, element, Some(child), None, child_shape);
            });
        }
        (Some(old_view), Some(new_view)) => {
            // A leaf on at least one side.
            if old != new {
                out.modified.insert(path);
                each_child(&old_view, shape, |element, child, child_shape| {
                    step(out, path, element, Some(child), None, child_shape);
                });
                each_child(&new_view, shape, |element, child, child_shape| {
                    step(out, path, element, None, Some(child), child_shape);
                });
            }
        }
    }
}

fn step(
    out: &mut Comparison,
    path: &mut Path,
    element: Element,
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
) {
    path.push(element);
    walk(out, path, old, new, shape);
    path.pop();
}

fn each_child(view: &View<'_>, shape: &Shape, mut visit: impl FnMut(Element, &Value, &Shape)) {
    match view {
        View::Leaf => {}
        View::Object(map) => {
            for (name, child) in *map {
                visit(Element::field(name.as_str()), child, shape.member(name));
            }
        }
        View::List(items, list) => {
            for (element, item) in identified(items, list) {
                visit(element, item, &list.item);
            }
        }
    }
}
