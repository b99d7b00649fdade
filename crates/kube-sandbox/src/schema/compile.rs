//! From the JSON of `openAPIV3Schema` to a [`Schema`], with everything that is wrong with it.

use std::sync::Arc;

use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::{Additional, Bound, Kind, ListType, Schema};
use crate::failure::Cause;

/// Largest compiled size of one pattern.
const PATTERN_BYTES: usize = 1 << 20;

/// Compiles the schema at `path` of a CRD. Causes say what is wrong; the schema is usable only without causes.
pub fn compile(value: &Value, path: &str, causes: &mut Vec<Cause>) -> Schema {
    let Some(source) = value.as_object() else {
        causes.push(Cause::invalid(path, value, "must be an object"));
        return Schema::default();
    };
    let mut reader = Reader {
        source,
        path,
        causes,
    };
    let kind = reader.kind();
    let mut schema = Schema {
        kind,
        nullable: reader.flag("nullable"),
        int_or_string: reader.flag("x-kubernetes-int-or-string"),
        preserve_unknown: reader.flag("x-kubernetes-preserve-unknown-fields"),
        embedded: reader.flag("x-kubernetes-embedded-resource"),
        required: reader.strings("required"),
        allowed: source
            .get("enum")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        minimum: reader.bound("minimum", "exclusiveMinimum"),
        maximum: reader.bound("maximum", "exclusiveMaximum"),
        multiple_of: source.get("multipleOf").and_then(Value::as_f64),
        min_length: reader.count("minLength"),
        max_length: reader.count("maxLength"),
        pattern: reader.pattern(),
        format: source
            .get("format")
            .and_then(Value::as_str)
            .map(str::to_owned),
        min_items: reader.count("minItems"),
        max_items: reader.count("maxItems"),
        unique_items: reader.flag("uniqueItems"),
        min_properties: reader.count("minProperties"),
        max_properties: reader.count("maxProperties"),
        default: source.get("default").cloned(),
        list_type: reader.list_type(),
        atomic_map: source.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
        ..Schema::default()
    };
    if let Some(properties) = source.get("properties").and_then(Value::as_object) {
        for (name, child) in properties {
            let schema_of_child = compile(child, &format!("{path}.properties[{name}]"), causes);
            schema
                .properties
                .insert(name.clone(), Arc::new(schema_of_child));
        }
    }
    schema.additional = match source.get("additionalProperties") {
        None | Some(Value::Bool(false)) => Additional::Pruned,
        Some(Value::Bool(true)) => Additional::Any,
        Some(child) => {
            if !schema.properties.is_empty() {
                causes.push(Cause::forbidden(
                    format!("{path}.additionalProperties"),
                    "additionalProperties and properties are mutual exclusive",
                ));
            }
            Additional::Schema(Arc::new(compile(
                child,
                &format!("{path}.additionalProperties"),
                causes,
            )))
        }
    };
    schema.items = match source.get("items") {
        Some(child @ Value::Object(_)) => {
            Some(Arc::new(compile(child, &format!("{path}.items"), causes)))
        }
        Some(other) => {
            causes.push(Cause::invalid(
                format!("{path}.items"),
                other,
                "must be a single schema",
            ));
            None
        }
        None => {
            if kind == Some(Kind::Array) {
                causes.push(Cause::required(
                    format!("{path}.items"),
                    "must be specified",
                ));
            }
            None
        }
    };
    schema.all_of = alternatives(source, "allOf", path, causes);
    schema.any_of = alternatives(source, "anyOf", path, causes);
    schema.one_of = alternatives(source, "oneOf", path, causes);
    schema.not = source
        .get("not")
        .map(|child| Box::new(value_rule(child, &format!("{path}.not"), causes)));
    if kind.is_none() && !schema.int_or_string && !schema.preserve_unknown {
        causes.push(Cause::required(
            format!("{path}.type"),
            "must not be empty for specified object fields",
        ));
    }
    for key in ["$ref", "definitions", "dependencies", "patternProperties"] {
        if source.contains_key(key) {
            causes.push(Cause::forbidden(
                format!("{path}.{key}"),
                &format!("{key} is not supported"),
            ));
        }
    }
    schema
}

/// Schemas inside of allOf, anyOf, oneOf and not state rules for values and need no types.
fn value_rule(value: &Value, path: &str, causes: &mut Vec<Cause>) -> Schema {
    let mut inner = Vec::new();
    let schema = compile(value, path, &mut inner);
    causes.extend(
        inner
            .into_iter()
            .filter(|cause| !cause.field.ends_with(".type") && !cause.field.ends_with(".items")),
    );
    schema
}

fn alternatives(
    source: &Map<String, Value>,
    key: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) -> Vec<Schema> {
    let Some(list) = source.get(key).and_then(Value::as_array) else {
        return Vec::new();
    };
    list.iter()
        .enumerate()
        .map(|(index, child)| value_rule(child, &format!("{path}.{key}[{index}]"), causes))
        .collect()
}

struct Reader<'a> {
    source: &'a Map<String, Value>,
    path: &'a str,
    causes: &'a mut Vec<Cause>,
}

impl Reader<'_> {
    fn flag(&self, key: &str) -> bool {
        self.source
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.source.get(key).and_then(Value::as_u64)
    }

    fn strings(&self, key: &str) -> Vec<String> {
        self.source
            .get(key)
            .and_then(Value::as_array)
            .map(|list| {
                list.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default()
    }

    fn bound(&self, key: &str, exclusive: &str) -> Option<Bound> {
        self.source
            .get(key)
            .and_then(Value::as_f64)
            .map(|value| Bound {
                value,
                exclusive: self.flag(exclusive),
            })
    }

    fn kind(&mut self) -> Option<Kind> {
        let name = self.source.get("type").and_then(Value::as_str)?;
        match name {
            "" => None,
            "object" => Some(Kind::Object),
            "array" => Some(Kind::Array),
            "string" => Some(Kind::String),
            "integer" => Some(Kind::Integer),
            "number" => Some(Kind::Number),
            "boolean" => Some(Kind::Boolean),
            other => {
                let known: Vec<Value> =
                    ["array", "boolean", "integer", "number", "object", "string"]
                        .map(Value::from)
                        .to_vec();
                self.causes.push(Cause::not_supported(
                    format!("{}.type", self.path),
                    &other.into(),
                    &known,
                ));
                None
            }
        }
    }

    fn pattern(&mut self) -> Option<(String, regex::Regex)> {
        let source = self.source.get("pattern").and_then(Value::as_str)?;
        match RegexBuilder::new(source).size_limit(PATTERN_BYTES).build() {
            Ok(regex) => Some((source.to_owned(), regex)),
            Err(_) => {
                let detail = "must be a valid regular expression";
                self.causes.push(Cause::invalid(
                    format!("{}.pattern", self.path),
                    &source.into(),
                    detail,
                ));
                None
            }
        }
    }

    fn list_type(&mut self) -> ListType {
        match self
            .source
            .get("x-kubernetes-list-type")
            .and_then(Value::as_str)
        {
            None | Some("atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = self.strings("x-kubernetes-list-map-keys");
                if keys.is_empty() {
                    self.causes.push(Cause::required(
                        format!("{}.x-kubernetes-list-map-keys", self.path),
                        "must not be empty if x-kubernetes-list-type is map",
                    ));
                }
                ListType::Map(keys)
            }
            Some(other) => {
                let known: Vec<Value> = ["atomic", "map", "set"].map(Value::from).to_vec();
                self.causes.push(Cause::not_supported(
                    format!("{}.x-kubernetes-list-type", self.path),
                    &other.into(),
                    &known,
                ));
                ListType::Atomic
            }
        }
    }
}
