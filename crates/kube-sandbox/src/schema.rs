//! Structural schemas of custom resources: compiled once, then used to prune, default and validate objects.
//!
//! Follows `docs/protocol/kubernetes-api.md`, "Custom resources". CEL rules (`x-kubernetes-validations`) are kept in the
//! CRD and not run.

mod compile;
mod prune;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::Value;

pub use compile::compile;
pub use prune::{apply_defaults, prune, unknown_fields};
pub use validate::validate;

use crate::builtin;
use crate::shape::{ListRule, ListShape, MapKey, ObjectShape, Shape};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON object.
    Object,
    /// JSON array.
    Array,
    /// JSON string.
    String,
    /// Number without fraction.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl Kind {
    /// The OpenAPI name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// Members that `properties` doesn't name.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Unknown fields: pruned.
    #[default]
    Pruned,
    /// Anything.
    Any,
    /// Values of a schema.
    Schema(Arc<Schema>),
}

/// An upper or lower bound of a number.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The limit.
    pub value: f64,
    /// Whether the limit itself is excluded.
    pub exclusive: bool,
}

/// One node of a schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Type, if declared.
    pub kind: Option<Kind>,
    /// Whether null is allowed.
    pub nullable: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// Named members.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// Other members.
    pub additional: Additional,
    /// Items of a list.
    pub items: Option<Arc<Schema>>,
    /// Members that must be there.
    pub required: Vec<String>,
    /// Allowed values, if restricted.
    pub allowed: Vec<Value>,
    /// Smallest number.
    pub minimum: Option<Bound>,
    /// Largest number.
    pub maximum: Option<Bound>,
    /// The number must be a multiple of this.
    pub multiple_of: Option<f64>,
    /// Characters.
    pub min_length: Option<u64>,
    /// Characters.
    pub max_length: Option<u64>,
    /// Regular expression that a string must contain a match of, with its source.
    pub pattern: Option<(String, Regex)>,
    /// `date-time`, `int32`, ...
    pub format: Option<String>,
    /// Items.
    pub min_items: Option<u64>,
    /// Items.
    pub max_items: Option<u64>,
    /// No two items are equal.
    pub unique_items: bool,
    /// Members.
    pub min_properties: Option<u64>,
    /// Members.
    pub max_properties: Option<u64>,
    /// Value for an absent member.
    pub default: Option<Value>,
    /// All must hold.
    pub all_of: Vec<Schema>,
    /// At least one must hold.
    pub any_of: Vec<Schema>,
    /// Exactly one must hold.
    pub one_of: Vec<Schema>,
    /// Must not hold.
    pub not: Option<Box<Schema>>,
    /// `x-kubernetes-list-type`.
    pub list_type: ListType,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic_map: bool,
    /// Value of an absent member that tells list items apart (built-in types; CRDs use `default`).
    pub key_default: Option<Value>,
    /// The merge rules, once they were asked for.
    pub(crate) merge_rules: OnceLock<Arc<Shape>>,
}

/// `x-kubernetes-list-type` with the keys of maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// One value.
    #[default]
    Atomic,
    /// Distinct values.
    Set,
    /// Told apart by these members.
    Map(Vec<String>),
}

impl Schema {
    /// Whether unknown members of an object of this node stay.
    fn keeps_unknown(&self) -> bool {
        self.preserve_unknown || matches!(self.additional, Additional::Any)
    }

    /// The schema of member `name`, if one is declared.
    fn member(&self, name: &str) -> Option<&Schema> {
        self.properties
            .get(name)
            .map(Arc::as_ref)
            .or(match &self.additional {
                Additional::Schema(schema) => Some(schema.as_ref()),
                _ => None,
            })
    }

    /// The merge rules that this schema states.
    pub fn shape(&self) -> Arc<Shape> {
        Arc::clone(self.merge_rules.get_or_init(|| self.make_shape()))
    }

    /// For a changed copy: its merge rules are not those of the original.
    pub fn forget_shape(&mut self) {
        self.merge_rules = OnceLock::new();
    }

    fn make_shape(&self) -> Arc<Shape> {
        match self.kind {
            Some(Kind::Object) if self.atomic_map => Shape::atomic(),
            Some(Kind::Object) => {
                let fields = self
                    .properties
                    .iter()
                    .map(|(name, schema)| (name.clone(), schema.shape()))
                    .collect();
                let rest = match &self.additional {
                    Additional::Schema(schema) => Some(schema.shape()),
                    _ => None,
                };
                let mut shape = ObjectShape { fields, rest };
                if self.embedded {
                    shape
                        .fields
                        .entry("metadata".to_owned())
                        .or_insert_with(builtin::metadata_shape);
                }
                Arc::new(Shape::Object(shape))
            }
            Some(Kind::Array) => {
                let item = self
                    .items
                    .as_ref()
                    .map_or_else(Shape::unknown, |items| items.shape());
                let rule = match &self.list_type {
                    ListType::Atomic => return Shape::atomic(),
                    ListType::Set => ListRule::Set,
                    ListType::Map(keys) => {
                        ListRule::Map(keys.iter().map(|name| self.map_key(name)).collect())
                    }
                };
                Arc::new(Shape::List(ListShape { rule, item }))
            }
            _ => Shape::unknown(),
        }
    }

    fn map_key(&self, name: &str) -> MapKey {
        let member = self
            .items
            .as_ref()
            .and_then(|items| items.properties.get(name));
        let default =
            member.and_then(|schema| schema.key_default.as_ref().or(schema.default.as_ref()));
        MapKey {
            name: name.to_owned(),
            default: default.cloned(),
        }
    }
}
