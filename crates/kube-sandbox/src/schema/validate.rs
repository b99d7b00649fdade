//! Checking an object against its schema: every violation at once, in the words of the API server.

use serde_json::{Number, Value};

use super::{Additional, Kind, ListType, Schema};
use crate::failure::Cause;

/// At most this many causes are reported for one object.
const MAX_CAUSES: usize = 100;

/// What is wrong with `new`. A violation of a value that `old` has unchanged at the same place is tolerated
/// (ratcheting), so that objects stay editable after their schema became stricter.
pub fn validate(new: &Value, old: Option<&Value>, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(new, old, schema, "", &mut causes);
    causes.truncate(MAX_CAUSES);
    causes
}

fn child_path(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn check(value: &Value, old: Option<&Value>, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if old == Some(value) || causes.len() >= MAX_CAUSES {
        return;
    }
    if value.is_null() {
        if !schema.nullable && (schema.kind.is_some() || schema.int_or_string) {
            causes.push(type_error(path, value, schema));
        }
        return;
    }
    if !type_matches(value, schema) {
        causes.push(type_error(path, value, schema));
        return;
    }
    if !schema.allowed.is_empty() && !schema.allowed.contains(value) {
        causes.push(Cause::not_supported(path, value, &schema.allowed));
    }
    match value {
        Value::Object(object) => {
            for name in &schema.required {
                if !object.contains_key(name) {
                    causes.push(Cause::required(child_path(path, name), ""));
                }
            }
            count(
                object.len(),
                schema.min_properties,
                schema.max_properties,
                "properties",
                path,
                value,
                causes,
            );
            for (name, child) in object {
                let child_schema = match schema.properties.get(name) {
                    Some(child_schema) => child_schema,
                    None => match &schema.additional {
                        Additional::Schema(child_schema) => child_schema,
                        _ => continue,
                    },
                };
                check(
                    child,
                    old.and_then(|old| old.get(name)),
                    child_schema,
                    &child_path(path, name),
                    causes,
                );
            }
        }
        Value::Array(items) => check_list(items, old, schema, path, value, causes),
        Value::String(text) => check_string(text, schema, path, value, causes),
        Value::Number(number) => check_number(number, schema, path, value, causes),
        Value::Bool(_) | Value::Null => {}
    }
    check_alternatives(value, schema, path, causes);
}

fn check_alternatives(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let holds = |candidate: &Schema| {
        let mut inner = Vec::new();
        check(value, None, candidate, path, &mut inner);
        inner.is_empty()
    };
    let shown = type_name(value);
    let mut refuse = |text: &str| {
        causes.push(Cause::invalid(
            path,
            &shown.into(),
            &format!("{path:?} {text}"),
        ))
    };
    if !schema.all_of.iter().all(holds) {
        refuse("must validate all the schemas (allOf)");
    }
    if !schema.any_of.is_empty() && !schema.any_of.iter().any(holds) {
        refuse("must validate at least one schema (anyOf)");
    }
    if !schema.one_of.is_empty()
        && schema
            .one_of
            .iter()
            .filter(|candidate| holds(candidate))
            .count()
            != 1
    {
        refuse("must validate one and only one schema (oneOf)");
    }
    if schema
        .not
        .as_ref()
        .is_some_and(|candidate| holds(candidate))
    {
        refuse("must not validate the schema (not)");
    }
}

fn check_list(
    items: &[Value],
    old: Option<&Value>,
    schema: &Schema,
    path: &str,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    count(
        items.len(),
        schema.min_items,
        schema.max_items,
        "items",
        path,
        value,
        causes,
    );
    let old_items = old.and_then(Value::as_array);
    if let Some(item_schema) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            let counterpart = old_items.and_then(|old_items| match &schema.list_type {
                ListType::Map(keys) => old_items
                    .iter()
                    .find(|other| keys.iter().all(|key| other.get(key) == item.get(key))),
                ListType::Set | ListType::Atomic => old_items.iter().find(|other| *other == item),
            });
            check(
                item,
                counterpart,
                item_schema,
                &format!("{path}[{index}]"),
                causes,
            );
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let identity = match &schema.list_type {
            ListType::Map(keys) => {
                let picked: serde_json::Map<String, Value> = keys
                    .iter()
                    .filter_map(|key| {
                        let fallback =
                            || schema.items.as_ref()?.properties.get(key)?.default.as_ref();
                        item.get(key)
                            .or_else(fallback)
                            .map(|value| (key.clone(), value.clone()))
                    })
                    .collect();
                Value::Object(picked)
            }
            ListType::Set => item.clone(),
            ListType::Atomic if schema.unique_items => item.clone(),
            ListType::Atomic => return,
        };
        if !seen.insert(identity.to_string()) {
            causes.push(Cause::duplicate(format!("{path}[{index}]"), &identity));
        }
    }
}

fn check_string(text: &str, schema: &Schema, path: &str, value: &Value, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body should be at least {least} chars long"),
        ));
    }
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        causes.push(Cause::new(
            path,
            "FieldValueTooLong",
            format!("Too long: may not be more than {most} bytes"),
        ));
    }
    if let Some((source, regex)) = &schema.pattern
        && !regex.is_match(text)
    {
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body should match '{source}'"),
        ));
    }
    if let Some(format) = &schema.format
        && !format_matches(text, format)
    {
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body must be of type {format}: {text:?}"),
        ));
    }
}

fn check_number(
    number: &Number,
    schema: &Schema,
    path: &str,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    let Some(number) = number.as_f64() else {
        return;
    };
    if let Some(bound) = schema.minimum
        && (number < bound.value || (bound.exclusive && number == bound.value))
    {
        let relation = if bound.exclusive {
            "greater than"
        } else {
            "greater than or equal to"
        };
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body should be {relation} {}", bound.value),
        ));
    }
    if let Some(bound) = schema.maximum
        && (number > bound.value || (bound.exclusive && number == bound.value))
    {
        let relation = if bound.exclusive {
            "less than"
        } else {
            "less than or equal to"
        };
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body should be {relation} {}", bound.value),
        ));
    }
    if let Some(factor) = schema.multiple_of.filter(|factor| *factor > 0.0) {
        let quotient = number / factor;
        if (quotient - quotient.round()).abs() > 1e-9 {
            causes.push(Cause::invalid(
                path,
                value,
                &format!("{path} in body should be a multiple of {factor}"),
            ));
        }
    }
    let out_of_range = match schema.format.as_deref() {
        Some("int32") => value
            .as_i64()
            .is_none_or(|number| i32::try_from(number).is_err()),
        Some("int64") => value.as_i64().is_none() && schema.kind == Some(Kind::Integer),
        _ => false,
    };
    if out_of_range {
        let format = schema.format.as_deref().unwrap_or_default();
        causes.push(Cause::invalid(
            path,
            value,
            &format!("{path} in body must be of type {format}: {value}"),
        ));
    }
}

fn count(
    length: usize,
    least: Option<u64>,
    most: Option<u64>,
    what: &str,
    path: &str,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    let length = length as u64;
    if let Some(least) = least.filter(|least| length < *least) {
        let shown = if value.is_array() {
            Value::from(length)
        } else {
            "object".into()
        };
        causes.push(Cause::invalid(
            path,
            &shown,
            &format!("{path} in body should have at least {least} {what}"),
        ));
    }
    if let Some(most) = most.filter(|most| length > *most) {
        causes.push(Cause::new(
            path,
            "FieldValueTooMany",
            format!(
                "Too many: {length}: must have at most {most} {}",
                if what == "items" { "items" } else { what }
            ),
        ));
    }
}

fn type_matches(value: &Value, schema: &Schema) -> bool {
    if schema.int_or_string {
        return value.is_string() || is_integer(value);
    }
    match schema.kind {
        None => true,
        Some(Kind::Object) => value.is_object(),
        Some(Kind::Array) => value.is_array(),
        Some(Kind::String) => value.is_string(),
        Some(Kind::Integer) => is_integer(value),
        Some(Kind::Number) => value.is_number(),
        Some(Kind::Boolean) => value.is_boolean(),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_error(path: &str, value: &Value, schema: &Schema) -> Cause {
    let wanted = match schema.kind {
        Some(kind) => kind.as_str(),
        None => "integer,string",
    };
    let name = type_name(value);
    Cause::new(
        path,
        "FieldValueTypeInvalid",
        format!("Invalid value: {name:?}: {path} in body must be of type {wanted}: {name:?}"),
    )
}

fn format_matches(text: &str, format: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "uuid" => uuid::Uuid::try_parse(text).is_ok() && text.len() == 36,
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, bits)| {
            bits.parse::<u8>()
                .is_ok_and(|bits| match address.parse::<std::net::IpAddr>() {
                    Ok(std::net::IpAddr::V4(_)) => bits <= 32,
                    Ok(std::net::IpAddr::V6(_)) => bits <= 128,
                    Err(_) => false,
                })
        }),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .is_ok()
        }
        _ => true,
    }
}
