//! From JSON to a tree that can be checked without surprises.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde_json::{Map, Value};

/// Deepest nesting of one schema.
const MAX_DEPTH: usize = 64;

/// What a value must be.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// Another component, instead of everything else.
    pub reference: Option<String>,
    pub types: Vec<Type>,
    pub nullable: bool,
    pub properties: BTreeMap<String, Arc<Schema>>,
    pub required: Vec<String>,
    pub additional: Additional,
    pub items: Option<Arc<Schema>>,
    pub values: Option<Vec<Value>>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub length: Range,
    pub count: Range,
    pub members: Range,
    pub unique: bool,
    pub pattern: Option<Regex>,
    pub all: Vec<Arc<Schema>>,
    pub any: Vec<Arc<Schema>>,
    pub one: Vec<Arc<Schema>>,
    pub not: Option<Arc<Schema>>,
}

/// The JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// With an article, for texts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// Members that are not among the properties.
#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    Any,
    None,
    Schema(Arc<Schema>),
}

/// A bound of a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub value: f64,
    pub exclusive: bool,
}

/// Bounds of a size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub min: Option<u64>,
    pub max: Option<u64>,
}

/// Components by name, with everything they refer to.
pub(super) type Components = BTreeMap<String, Schema>;

/// Compiles these components, as far as they exist, and those that they refer to.
pub(super) fn components(document: &Value, names: &[&str]) -> Result<Components, Vec<String>> {
    let mut compiler = Compiler {
        document,
        problems: Vec::new(),
        wanted: Vec::new(),
    };
    compiler.wanted = names
        .iter()
        .filter(|name| find(document, name).is_some())
        .map(|name| (*name).to_owned())
        .collect();
    let mut components = Components::new();
    while let Some(name) = compiler.wanted.pop() {
        if let Some(schema) = find(document, &name).filter(|_| !components.contains_key(&name)) {
            let compiled = compiler.schema(schema, &format!("components.schemas.{name}"), 0);
            components.insert(name, compiled);
        }
    }
    for name in components.keys() {
        if returns_to(&components, name, name, &mut Vec::new()) {
            compiler.problem(
                &format!("components.schemas.{name}"),
                "refers to itself without describing a member",
            );
        }
    }
    if compiler.problems.is_empty() {
        Ok(components)
    } else {
        Err(compiler.problems)
    }
}

/// Whether checking one value against `name` leads back to `goal` for the same value: that would never end.
fn returns_to<'c>(
    components: &'c Components,
    name: &str,
    goal: &str,
    seen: &mut Vec<&'c str>,
) -> bool {
    let mut same_value = Vec::new();
    if let Some(schema) = components.get(name) {
        references(schema, &mut same_value);
    }
    same_value.into_iter().any(|target| {
        if target == goal {
            return true;
        }
        if seen.contains(&target) {
            return false;
        }
        seen.push(target);
        returns_to(components, target, goal, seen)
    })
}

/// Components that the same value is checked against.
fn references<'c>(schema: &'c Schema, found: &mut Vec<&'c str>) {
    found.extend(schema.reference.as_deref());
    for part in schema
        .all
        .iter()
        .chain(&schema.any)
        .chain(&schema.one)
        .chain(&schema.not)
    {
        references(part, found);
    }
}

fn find<'d>(document: &'d Value, name: &str) -> Option<&'d Value> {
    document.get("components")?.get("schemas")?.get(name)
}

struct Compiler<'d> {
    document: &'d Value,
    problems: Vec<String>,
    /// Components that something refers to.
    wanted: Vec<String>,
}

impl Compiler<'_> {
    fn problem(&mut self, path: &str, text: impl std::fmt::Display) {
        self.problems.push(format!("{path}: {text}"));
    }

    fn schema(&mut self, schema: &Value, path: &str, depth: usize) -> Schema {
        if depth > MAX_DEPTH {
            self.problem(path, format!("is nested deeper than {MAX_DEPTH}"));
            return Schema::default();
        }
        let object = match schema {
            Value::Bool(true) => return Schema::default(),
            Value::Object(object) => object,
            _ => {
                self.problem(path, "must be an object");
                return Schema::default();
            }
        };
        if let Some(reference) = object.get("$ref") {
            return self.reference(reference, path);
        }
        let types = self.types(object, path);
        Schema {
            reference: None,
            nullable: object
                .get("nullable")
                .and_then(Value::as_bool)
                .unwrap_or(false)
                || types.contains(&Type::Null),
            types,
            properties: self.properties(object, path, depth),
            required: self.words(object, "required", path),
            additional: match object.get("additionalProperties") {
                None | Some(Value::Bool(true)) => Additional::Any,
                Some(Value::Bool(false)) => Additional::None,
                Some(other) => Additional::Schema(Arc::new(self.schema(
                    other,
                    &format!("{path}.additionalProperties"),
                    depth + 1,
                ))),
            },
            items: object
                .get("items")
                .map(|items| Arc::new(self.schema(items, &format!("{path}.items"), depth + 1))),
            values: match (object.get("enum"), object.get("const")) {
                (Some(Value::Array(values)), _) => Some(values.clone()),
                (Some(_), _) => {
                    self.problem(path, "enum must be a list");
                    None
                }
                (None, constant) => constant.map(|value| vec![value.clone()]),
            },
            minimum: bound(object, "minimum", "exclusiveMinimum"),
            maximum: bound(object, "maximum", "exclusiveMaximum"),
            length: range(object, "minLength", "maxLength"),
            count: range(object, "minItems", "maxItems"),
            members: range(object, "minProperties", "maxProperties"),
            unique: object
                .get("uniqueItems")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            pattern: self.pattern(object, path),
            all: self.list(object, "allOf", path, depth),
            any: self.list(object, "anyOf", path, depth),
            one: self.list(object, "oneOf", path, depth),
            not: object
                .get("not")
                .map(|not| Arc::new(self.schema(not, &format!("{path}.not"), depth + 1))),
        }
    }

    fn reference(&mut self, reference: &Value, path: &str) -> Schema {
        let name = reference
            .as_str()
            .and_then(|text| text.strip_prefix("#/components/schemas/"));
        match name.filter(|name| find(self.document, name).is_some()) {
            Some(name) => {
                self.wanted.push(name.to_owned());
                Schema {
                    reference: Some(name.to_owned()),
                    ..Schema::default()
                }
            }
            None => {
                self.problem(path, format!("$ref {reference} is not in this document"));
                Schema::default()
            }
        }
    }

    fn types(&mut self, object: &Map<String, Value>, path: &str) -> Vec<Type> {
        let words: Vec<&Value> = match object.get("type") {
            None => return Vec::new(),
            Some(Value::Array(words)) => words.iter().collect(),
            Some(word) => vec![word],
        };
        let mut types = Vec::new();
        for word in words {
            match word.as_str() {
                Some("null") => types.push(Type::Null),
                Some("boolean") => types.push(Type::Boolean),
                Some("integer") => types.push(Type::Integer),
                Some("number") => types.push(Type::Number),
                Some("string") => types.push(Type::String),
                Some("array") => types.push(Type::Array),
                Some("object") => types.push(Type::Object),
                _ => self.problem(path, format!("unknown type {word}")),
            }
        }
        types
    }

    fn properties(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> BTreeMap<String, Arc<Schema>> {
        match object.get("properties") {
            None => BTreeMap::new(),
            Some(Value::Object(properties)) => {
                let compiled = properties.iter().map(|(name, schema)| {
                    (
                        name.clone(),
                        Arc::new(self.schema(
                            schema,
                            &format!("{path}.properties.{name}"),
                            depth + 1,
                        )),
                    )
                });
                compiled.collect()
            }
            Some(_) => {
                self.problem(path, "properties must be an object");
                BTreeMap::new()
            }
        }
    }

    fn list(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        path: &str,
        depth: usize,
    ) -> Vec<Arc<Schema>> {
        match object.get(key) {
            None => Vec::new(),
            Some(Value::Array(schemas)) => {
                let compiled = schemas.iter().enumerate().map(|(index, schema)| {
                    Arc::new(self.schema(schema, &format!("{path}.{key}[{index}]"), depth + 1))
                });
                compiled.collect()
            }
            Some(_) => {
                self.problem(path, format!("{key} must be a list"));
                Vec::new()
            }
        }
    }

    fn words(&mut self, object: &Map<String, Value>, key: &str, path: &str) -> Vec<String> {
        let words = object.get(key).and_then(Value::as_array);
        if words.is_none() && object.contains_key(key) {
            self.problem(path, format!("{key} must be a list"));
        }
        words
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    fn pattern(&mut self, object: &Map<String, Value>, path: &str) -> Option<Regex> {
        let text = object.get("pattern")?.as_str()?;
        Regex::new(text)
            .map_err(|error| self.problem(path, format!("pattern: {error}")))
            .ok()
    }
}

/// A bound as OpenAPI 3.0 (`exclusive` is a boolean) or 3.1 (it is the bound) writes it.
fn bound(object: &Map<String, Value>, key: &str, exclusive: &str) -> Option<Bound> {
    match (
        object.get(key).and_then(Value::as_f64),
        object.get(exclusive),
    ) {
        (_, Some(Value::Number(value))) => Some(Bound {
            value: value.as_f64()?,
            exclusive: true,
        }),
        (Some(value), other) => Some(Bound {
            value,
            exclusive: other.and_then(Value::as_bool).unwrap_or(false),
        }),
        (None, _) => None,
    }
}

fn range(object: &Map<String, Value>, min: &str, max: &str) -> Range {
    Range {
        min: object.get(min).and_then(Value::as_u64),
        max: object.get(max).and_then(Value::as_u64),
    }
}
