//! The members of built-in types: names, protobuf numbers, types and merge rules, read from a table.
//!
//! The table is written by `tools/builtin_types.py` from the declarations of Kubernetes. Each block is a type; each line
//! in it a member: JSON name (`-` for members of an embedded type), number, type, flags (`ptr`, `by:keys`, `set`,
//! `atomic`, `default:value`).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::schema::{Additional, Kind, ListType, Schema};

/// The type of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// `true` or `false`.
    Bool,
    /// 32 bits.
    Int32,
    /// 64 bits.
    Int64,
    /// Floating point.
    Double,
    /// Base64 text in JSON.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// `100m`, `1Gi`; a number is read too.
    Quantity,
    /// A number or text.
    IntOrString,
    /// Any object, kept as it is.
    Raw,
    /// `fieldsV1`.
    Fields,
    /// The schema of a CRD.
    Schema,
    /// Any JSON value.
    Json,
    /// A type of the table.
    Message(String),
    /// A list.
    List(Box<Type>),
    /// A map from text.
    Map(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Self {
        if let Some(item) = text.strip_prefix("list:") {
            return Self::List(Box::new(Self::parse(item)));
        }
        if let Some(value) = text.strip_prefix("map:") {
            return Self::Map(Box::new(Self::parse(value)));
        }
        match text {
            "string" => Self::String,
            "bool" => Self::Bool,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "time" => Self::Time,
            "microtime" => Self::MicroTime,
            "quantity" => Self::Quantity,
            "intorstring" => Self::IntOrString,
            "raw" => Self::Raw,
            "fields" => Self::Fields,
            "schema" => Self::Schema,
            "json" => Self::Json,
            name => Self::Message(name.to_owned()),
        }
    }
}

/// How a list merges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// As one value.
    #[default]
    Replace,
    /// Distinct values.
    Set,
    /// By these members.
    Keys(Vec<String>),
}

/// A member of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// JSON name; `None` for an embedded type, whose members are members of the outer type.
    pub name: Option<String>,
    /// Protobuf number.
    pub number: u32,
    /// Its type.
    pub kind: Type,
    /// Whether absence and zero differ.
    pub pointer: bool,
    /// Merge rule of a list.
    pub merge: Merge,
    /// Whether it is one value, whatever is in it.
    pub atomic: bool,
    /// Value if absent, where it tells list items apart.
    pub default: Option<String>,
}

/// A type of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Whether it is one value.
    pub atomic: bool,
    /// Its members.
    pub fields: Vec<Field>,
}

static MESSAGES: LazyLock<BTreeMap<&'static str, Message>> =
    LazyLock::new(|| parse(include_str!("types.txt")));

fn parse(text: &'static str) -> BTreeMap<&'static str, Message> {
    let mut messages = BTreeMap::new();
    let mut current: Option<(&str, Message)> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(member) = line.strip_prefix(' ') {
            if let (Some((_, message)), Some(field)) = (&mut current, field(member)) {
                message.fields.push(field);
            }
        } else {
            messages.extend(current.take());
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            current = Some((
                name,
                Message {
                    atomic: words.next() == Some("atomic"),
                    fields: Vec::new(),
                },
            ));
        }
    }
    messages.extend(current);
    messages
}

fn field(line: &str) -> Option<Field> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let number = words.next()?.parse().ok()?;
    let kind = Type::parse(words.next()?);
    let mut field = Field {
        name: (name != "-").then(|| name.to_owned()),
        number,
        kind,
        pointer: false,
        merge: Merge::Replace,
        atomic: false,
        default: None,
    };
    for flag in words {
        match flag.split_once(':') {
            None if flag == "ptr" => field.pointer = true,
            None if flag == "set" => field.merge = Merge::Set,
            None if flag == "atomic" => field.atomic = true,
            Some(("by", keys)) => {
                field.merge = Merge::Keys(keys.split(',').map(str::to_owned).collect())
            }
            Some(("default", value)) => field.default = Some(value.to_owned()),
            _ => return None,
        }
    }
    Some(field)
}

/// A type by its name in the table, for example `core.Pod`.
pub fn message(name: &str) -> Option<&'static Message> {
    MESSAGES.get(name)
}

/// The name in the table of a kind of a group and version.
pub fn name_of(group: &str, version: &str, kind: &str) -> String {
    let package = match (group.split('.').next().unwrap_or_default(), version) {
        ("", _) => "core",
        ("autoscaling", "v1") => "autoscaling1",
        (first, _) => first,
    };
    format!("{package}.{kind}")
}

/// The schema of a type of the table, shared between all types that use it.
pub fn schema(name: &str) -> Option<Arc<Schema>> {
    static BUILT: Mutex<BTreeMap<String, Arc<Schema>>> = Mutex::new(BTreeMap::new());
    if let Some(schema) = BUILT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
    {
        return Some(Arc::clone(schema));
    }
    let message = message(name)?;
    let mut schema = Schema {
        kind: Some(Kind::Object),
        nullable: true,
        atomic_map: message.atomic,
        ..Schema::default()
    };
    add_members(&mut schema, message);
    let schema = Arc::new(schema);
    BUILT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(name.to_owned(), Arc::clone(&schema));
    Some(schema)
}

fn add_members(schema: &mut Schema, from: &Message) {
    for field in &from.fields {
        match (&field.name, &field.kind) {
            (Some(name), kind) => {
                let mut member = of_type(kind);
                if field.atomic || field.merge != Merge::Replace || field.default.is_some() {
                    let mut own = member.as_ref().clone();
                    own.atomic_map |= field.atomic;
                    own.list_type = match &field.merge {
                        Merge::Replace => ListType::Atomic,
                        Merge::Set => ListType::Set,
                        Merge::Keys(keys) => ListType::Map(keys.clone()),
                    };
                    own.key_default = field.default.clone().map(Into::into);
                    own.forget_shape();
                    member = Arc::new(own);
                }
                schema.properties.insert(name.clone(), member);
            }
            (None, Type::Message(embedded)) => {
                if let Some(embedded) = message(embedded) {
                    add_members(schema, embedded);
                }
            }
            (None, _) => {}
        }
    }
}

fn of_type(kind: &Type) -> Arc<Schema> {
    let leaf = |kind: Kind, format: Option<&str>| {
        Arc::new(Schema {
            kind: Some(kind),
            nullable: true,
            format: format.map(str::to_owned),
            ..Schema::default()
        })
    };
    match kind {
        Type::String | Type::Bytes => leaf(Kind::String, None),
        Type::Time | Type::MicroTime => leaf(Kind::String, Some("date-time")),
        Type::Bool => leaf(Kind::Boolean, None),
        Type::Int32 => leaf(Kind::Integer, Some("int32")),
        Type::Int64 => leaf(Kind::Integer, Some("int64")),
        Type::Double => leaf(Kind::Number, None),
        Type::IntOrString => Arc::new(Schema {
            int_or_string: true,
            nullable: true,
            ..Schema::default()
        }),
        Type::Quantity | Type::Raw | Type::Fields | Type::Schema | Type::Json => Arc::new(Schema {
            preserve_unknown: true,
            nullable: true,
            ..Schema::default()
        }),
        Type::Message(name) => schema(name).unwrap_or_else(|| {
            Arc::new(Schema {
                preserve_unknown: true,
                ..Schema::default()
            })
        }),
        Type::List(item) => Arc::new(Schema {
            kind: Some(Kind::Array),
            nullable: true,
            items: Some(of_type(item)),
            ..Schema::default()
        }),
        Type::Map(value) => Arc::new(Schema {
            kind: Some(Kind::Object),
            nullable: true,
            additional: Additional::Schema(of_type(value)),
            ..Schema::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &Type, at: &str) {
        match kind {
            Type::Message(name) => {
                assert!(message(name).is_some(), "{at}: {name} is not in the table")
            }
            Type::List(inner) | Type::Map(inner) => check(inner, at),
            _ => {}
        }
    }

    #[test]
    fn the_table_is_closed_and_readable() {
        let lines = include_str!("types.txt")
            .lines()
            .filter(|line| line.starts_with(' '))
            .count();
        let read: usize = MESSAGES.values().map(|message| message.fields.len()).sum();
        assert_eq!(lines, read, "every line is read");
        for (name, message) in MESSAGES.iter() {
            for field in &message.fields {
                check(&field.kind, name);
            }
        }
    }

    #[test]
    fn every_served_kind_is_in_the_table() {
        for resource in crate::builtin::resources() {
            let name = name_of(&resource.group, &resource.version, &resource.kind);
            assert!(message(&name).is_some(), "{name}");
        }
    }
}
