//! Checking a value.

use hyperfleet_types::FieldError;
use serde_json::{Map, Value};

use super::{
    MAX_ERRORS,
    compile::{Additional, Bound, Components, Range, Schema, Type},
};
use crate::domain::lifecycle::same;

/// Longest list whose items are compared with each other.
const MAX_UNIQUE_ITEMS: usize = 1000;

/// What is wrong with an object, as the component `name` sees it.
pub(super) fn object(
    components: &Components,
    name: &str,
    members: &Map<String, Value>,
    path: &str,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(schema) = components.get(name) {
        let checker = Checker { components };
        checker.check(schema, &Value::Object(members.clone()), path, &mut errors);
    }
    errors.truncate(MAX_ERRORS);
    errors
}

#[derive(Clone, Copy)]
struct Checker<'c> {
    components: &'c Components,
}

impl Checker<'_> {
    fn fits(self, schema: &Schema, value: &Value) -> bool {
        let mut errors = Vec::new();
        self.check(schema, value, "", &mut errors);
        errors.is_empty()
    }

    fn check(self, schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if let Some(target) = schema
            .reference
            .as_ref()
            .and_then(|name| self.components.get(name))
        {
            return self.check(target, value, path, errors);
        }
        if errors.len() > MAX_ERRORS || (value.is_null() && schema.nullable) {
            return;
        }
        if !schema.types.is_empty() && !schema.types.iter().any(|type_| is(*type_, value)) {
            let names: Vec<&str> = schema.types.iter().map(|type_| type_.name()).collect();
            errors.push(FieldError::new(
                path,
                format!("must be {}", names.join(" or ")),
            ));
            return;
        }
        if let Some(values) = &schema.values
            && !values.iter().any(|allowed| same(allowed, value))
        {
            let text = format!("must be one of {}", listed(values));
            errors.push(FieldError::new(path, text).constraint("enum"));
        }
        match value {
            Value::Number(number) => {
                bounds(schema, number.as_f64().unwrap_or_default(), path, errors)
            }
            Value::String(text) => string(schema, text, path, errors),
            Value::Array(items) => self.array(schema, items, path, errors),
            Value::Object(members) => self.members_of(schema, members, path, errors),
            Value::Null | Value::Bool(_) => {}
        }
        for part in &schema.all {
            self.check(part, value, path, errors);
        }
        if !schema.any.is_empty() && !schema.any.iter().any(|part| self.fits(part, value)) {
            self.alternatives(&schema.any, value, path, errors);
        }
        match schema
            .one
            .iter()
            .filter(|part| self.fits(part, value))
            .count()
        {
            1 => {}
            0 if schema.one.is_empty() => {}
            0 => self.alternatives(&schema.one, value, path, errors),
            _ => errors.push(FieldError::new(
                path,
                "must match exactly one of its alternatives",
            )),
        }
        if schema.not.as_ref().is_some_and(|not| self.fits(not, value)) {
            errors.push(FieldError::new(path, "is not allowed to be this"));
        }
    }

    /// The errors of the alternative that comes closest.
    fn alternatives(
        self,
        parts: &[std::sync::Arc<Schema>],
        value: &Value,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let closest = parts.iter().map(|part| {
            let mut errors = Vec::new();
            self.check(part, value, path, &mut errors);
            errors
        });
        if let Some(found) = closest.min_by_key(Vec::len) {
            errors.extend(found);
        }
    }

    fn array(self, schema: &Schema, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
        size(
            schema.count,
            items.len(),
            "items",
            ["min_length", "max_length"],
            path,
            errors,
        );
        if schema.unique && items.len() > MAX_UNIQUE_ITEMS {
            let text = format!("must have at most {MAX_UNIQUE_ITEMS} items");
            errors.push(FieldError::new(path, text).constraint("max_length"));
            return;
        }
        let repeated =
            |index: usize, item: &Value| items.iter().take(index).any(|other| same(other, item));
        if schema.unique
            && items
                .iter()
                .enumerate()
                .any(|(index, item)| repeated(index, item))
        {
            errors.push(FieldError::new(path, "must not have equal items").constraint("unique"));
        }
        if let Some(each) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.check(each, item, &format!("{path}[{index}]"), errors);
            }
        }
    }

    fn members_of(
        self,
        schema: &Schema,
        members: &Map<String, Value>,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) {
        size(
            schema.members,
            members.len(),
            "members",
            ["min_length", "max_length"],
            path,
            errors,
        );
        for name in schema
            .required
            .iter()
            .filter(|name| !members.contains_key(*name))
        {
            errors.push(
                FieldError::new(format!("{path}.{name}"), "is required").constraint("required"),
            );
        }
        for (name, value) in members {
            let path = format!("{path}.{name}");
            match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => self.check(property, value, &path, errors),
                (None, Additional::Any) => {}
                (None, Additional::None) => {
                    errors.push(FieldError::new(path, "is not a known field"))
                }
                (None, Additional::Schema(other)) => self.check(other, value, &path, errors),
            }
        }
    }
}

fn is(type_: Type, value: &Value) -> bool {
    match type_ {
        Type::Null => value.is_null(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Type::Number => value.is_number(),
        Type::String => value.is_string(),
        Type::Array => value.is_array(),
        Type::Object => value.is_object(),
    }
}

fn bounds(schema: &Schema, number: f64, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(Bound { value, exclusive }) = schema.minimum
        && (number < value || (exclusive && number <= value))
    {
        let text = format!(
            "must be {} {value}",
            if exclusive {
                "greater than"
            } else {
                "at least"
            }
        );
        errors.push(FieldError::new(path, text).value(number).constraint("min"));
    }
    if let Some(Bound { value, exclusive }) = schema.maximum
        && (number > value || (exclusive && number >= value))
    {
        let text = format!(
            "must be {} {value}",
            if exclusive { "less than" } else { "at most" }
        );
        errors.push(FieldError::new(path, text).value(number).constraint("max"));
    }
}

fn string(schema: &Schema, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    size(
        schema.length,
        text.chars().count(),
        "characters",
        ["min_length", "max_length"],
        path,
        errors,
    );
    if let Some(pattern) = schema
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.is_match(text))
    {
        errors.push(
            FieldError::new(path, format!("must match the pattern {pattern}"))
                .constraint("pattern"),
        );
    }
}

fn size(
    range: Range,
    size: usize,
    what: &str,
    constraints: [&str; 2],
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let size = size as u64;
    let [too_small, too_large] = constraints;
    if let Some(min) = range.min.filter(|min| size < *min) {
        errors.push(
            FieldError::new(path, format!("must have at least {min} {what}")).constraint(too_small),
        );
    }
    if let Some(max) = range.max.filter(|max| size > *max) {
        errors.push(
            FieldError::new(path, format!("must have at most {max} {what}")).constraint(too_large),
        );
    }
}

fn listed(values: &[Value]) -> String {
    values
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
