//! How values merge: which lists are sets or maps, which objects are one value (atomic), what is a leaf.
//!
//! A [`Shape`] is the part of a schema that server-side apply needs. Custom resources get theirs from the
//! `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` marks of the CRD; built-in kinds from a table
//! ([`crate::builtin`]). Where nothing is known, objects merge member by member and lists are atomic.
//! Follows `docs/protocol/kubernetes-api.md`, "Field managers".

mod compare;
mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use compare::{compare, extract};
pub use merge::{merge, remove};

use crate::fields::Element;

/// The merge rules of one value.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Nothing known: objects are granular, lists atomic, the rest leaves.
    #[default]
    Unknown,
    /// An object.
    Object(ObjectShape),
    /// A list.
    List(ListShape),
    /// One value, whatever is in it.
    Atomic,
}

/// The merge rules of an object's members.
#[derive(Clone, Debug, Default)]
pub struct ObjectShape {
    /// Named members.
    pub fields: BTreeMap<String, Arc<Shape>>,
    /// Members that aren't named (`additionalProperties`): owning such a member includes owning its place.
    pub rest: Option<Arc<Shape>>,
}

/// The merge rules of a list.
#[derive(Clone, Debug)]
pub struct ListShape {
    /// How items are told apart.
    pub rule: ListRule,
    /// Rules of the items.
    pub item: Arc<Shape>,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug)]
pub enum ListRule {
    /// By their value.
    Set,
    /// By the values of some members.
    Map(Vec<MapKey>),
}

/// A member that tells list items apart.
#[derive(Clone, Debug)]
pub struct MapKey {
    /// Name of the member.
    pub name: String,
    /// Value if an item lacks the member.
    pub default: Option<Value>,
}

/// What a value is, seen through a shape.
enum View<'a> {
    Leaf,
    Object(&'a Map<String, Value>),
    List(&'a [Value], &'a ListShape),
}

impl Shape {
    fn view<'a>(&'a self, value: &'a Value) -> View<'a> {
        match (self, value) {
            (Self::Atomic, _) => View::Leaf,
            (_, Value::Object(map)) => View::Object(map),
            (Self::List(list), Value::Array(items)) if list.identifies(items) => {
                View::List(items, list)
            }
            _ => View::Leaf,
        }
    }

    /// The shape of member `name` of an object of this shape.
    pub fn member(&self, name: &str) -> &Shape {
        static UNKNOWN: Shape = Shape::Unknown;
        match self {
            Self::Object(object) => object
                .fields
                .get(name)
                .or(object.rest.as_ref())
                .map_or(&UNKNOWN, |shape| shape.as_ref()),
            _ => &UNKNOWN,
        }
    }

    /// Whether owning member `name` includes owning its place even if it is an object: true for entries of maps,
    /// false for fields of structures.
    fn is_entry(&self, name: &str) -> bool {
        matches!(self, Self::Object(object) if object.rest.is_some() && !object.fields.contains_key(name))
    }
}

impl ListShape {
    /// Whether every item has an identity and no two share one; otherwise the list is treated as one value.
    fn identifies(&self, items: &[Value]) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        items.iter().all(|item| {
            self.identity(item)
                .is_some_and(|element| seen.insert(element))
        })
    }

    /// The identity of an item.
    fn identity(&self, item: &Value) -> Option<Element> {
        match &self.rule {
            ListRule::Set => Some(Element::Value(item.to_string())),
            ListRule::Map(keys) => {
                let object = item.as_object()?;
                let mut identity = Map::new();
                for key in keys {
                    match object.get(&key.name).or(key.default.as_ref()) {
                        Some(value) => {
                            identity.insert(key.name.clone(), value.clone());
                        }
                        None if keys.len() > 1 => {}
                        None => return None,
                    }
                }
                (!identity.is_empty()).then(|| Element::Key(Value::Object(identity).to_string()))
            }
        }
    }
}

// === Building ===

impl Shape {
    /// One value.
    pub fn atomic() -> Arc<Self> {
        Arc::new(Self::Atomic)
    }

    /// Nothing known.
    pub fn unknown() -> Arc<Self> {
        Arc::new(Self::Unknown)
    }
}
