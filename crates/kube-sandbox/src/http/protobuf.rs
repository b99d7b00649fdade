//! Protobuf request bodies of Kubernetes clients, turned into JSON.
//!
//! Typed Go clients send built-in objects in this form and can't be told otherwise; they accept JSON answers. The
//! envelope is four magic bytes and a message with `apiVersion`, `kind` and the bytes of the typed message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::builtin::types::{self, Field, Message, Type};
use crate::failure::Failure;

/// Content type of these bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// First bytes of every body.
const MAGIC: &[u8] = b"k8s\0";
/// Deepest nesting of messages.
const MAX_DEPTH: usize = 64;

/// Decodes a body. Objects of types that aren't known here are refused with 415.
///
/// # Errors
/// 400 if the bytes are malformed, 415 for other types.
pub fn decode(bytes: &Bytes) -> Result<Value, Failure> {
    let envelope = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| malformed("the magic bytes are missing"))?;
    let mut api_version = String::new();
    let mut kind = String::new();
    let mut raw: &[u8] = &[];
    for entry in Entries(envelope) {
        match entry.map_err(malformed)? {
            (1, Wire::Bytes(meta)) => {
                for entry in Entries(meta) {
                    match entry.map_err(malformed)? {
                        (1, Wire::Bytes(text)) => api_version = utf8(text).map_err(malformed)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text).map_err(malformed)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    // A few shared types, such as DeleteOptions, come under whatever version the client speaks.
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let message = types::message(&types::name_of(group, version, &kind))
        .or_else(|| types::message(&format!("meta.{kind}")))
        .ok_or_else(|| {
            let mut failure = Failure::unsupported_media_type("application/json, application/yaml");
            failure
                .message
                .push_str(&format!(" (protobuf of {api_version} {kind} is not read)"));
            failure
        })?;
    let mut object = read_message(raw, message, 0).map_err(malformed)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn malformed(detail: &str) -> Failure {
    Failure::bad_request(format!(
        "the body of the request is not valid Kubernetes protobuf: {detail}"
    ))
}

fn utf8(bytes: &[u8]) -> Result<String, &'static str> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "text is not UTF-8")
}

/// A value as it is on the wire.
#[derive(Clone, Copy, Debug)]
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The numbered values of a message.
struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("unexpected end")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(length).ok_or("unexpected end")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "unexpected end")
    }

    fn entry(&mut self) -> Result<(u32, Wire<'a>), &'static str> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "a field number is too large")?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "unexpected end")?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err("an unknown wire type"),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(u32, Wire<'a>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.0 = &[];
        }
        Some(entry)
    }
}

fn read_message(
    bytes: &[u8],
    message: &Message,
    depth: usize,
) -> Result<Map<String, Value>, &'static str> {
    if depth > MAX_DEPTH {
        return Err("messages are nested too deep");
    }
    let mut object = Map::new();
    for entry in Entries(bytes) {
        let (number, wire) = entry?;
        let Some(field) = message.fields.iter().find(|field| field.number == number) else {
            continue;
        };
        read_field(&mut object, field, wire, depth)?;
    }
    Ok(object)
}

fn read_field(
    object: &mut Map<String, Value>,
    field: &Field,
    wire: Wire<'_>,
    depth: usize,
) -> Result<(), &'static str> {
    let Some(name) = &field.name else {
        // Members of an embedded type are members of the outer type.
        if let (Type::Message(embedded), Wire::Bytes(bytes)) = (&field.kind, wire)
            && let Some(message) = types::message(embedded)
        {
            object.append(&mut read_message(bytes, message, depth + 1)?);
        }
        return Ok(());
    };
    match &field.kind {
        Type::List(item) => {
            let value = read_value(item, wire, depth)?;
            if let Value::Array(items) = object
                .entry(name)
                .or_insert_with(|| Value::Array(Vec::new()))
            {
                items.push(value);
            }
        }
        Type::Map(of) => {
            let Wire::Bytes(bytes) = wire else {
                return Err("a map entry is not a message");
            };
            let (key, value) = read_map_entry(bytes, of, depth)?;
            if let Value::Object(map) = object
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()))
            {
                map.insert(key, value);
            }
        }
        kind => {
            let value = read_value(kind, wire, depth)?;
            if field.pointer || !is_zero(kind, &value) {
                object.insert(name.clone(), value);
            }
        }
    }
    Ok(())
}

/// Members that Go writes although nobody set them.
fn is_zero(kind: &Type, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null) => true,
        (Type::IntOrString, value) => value == &Value::from(0),
        (Type::Message(_), Value::Object(map)) => map.is_empty(),
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Bool(value)) => !value,
        _ => false,
    }
}

fn read_map_entry(bytes: &[u8], of: &Type, depth: usize) -> Result<(String, Value), &'static str> {
    let mut key = String::new();
    let mut value = None;
    for entry in Entries(bytes) {
        match entry? {
            (1, Wire::Bytes(text)) => key = utf8(text)?,
            (2, wire) => value = Some(read_value(of, wire, depth)?),
            _ => {}
        }
    }
    let value = match (value, of) {
        (Some(value), _) => value,
        (None, Type::Message(_)) => Value::Object(Map::new()),
        (None, _) => Value::String(String::new()),
    };
    Ok((key, value))
}

fn read_value(kind: &Type, wire: Wire<'_>, depth: usize) -> Result<Value, &'static str> {
    match (kind, wire) {
        (Type::Bool, Wire::Varint(number)) => Ok((number != 0).into()),
        // Negative numbers come as ten-byte two's complement.
        (Type::Int32 | Type::Int64, Wire::Varint(number)) => Ok(number.cast_signed().into()),
        (Type::Double, Wire::Fixed64(bytes)) => Ok(f64::from_le_bytes(bytes).into()),
        (Type::String, Wire::Bytes(bytes)) => Ok(utf8(bytes)?.into()),
        (Type::Bytes, Wire::Bytes(bytes)) => Ok(STANDARD.encode(bytes).into()),
        (Type::Time, Wire::Bytes(bytes)) => time(bytes, crate::time::rfc3339),
        (Type::MicroTime, Wire::Bytes(bytes)) => time(bytes, crate::time::rfc3339_micro),
        (Type::Quantity, Wire::Bytes(bytes)) => Ok(utf8(first_bytes(bytes, 1)?)?.into()),
        (Type::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes),
        (Type::Raw | Type::Fields | Type::Json, Wire::Bytes(bytes)) => {
            let raw = first_bytes(bytes, 1)?;
            if raw.is_empty() {
                Ok(Value::Null)
            } else {
                serde_json::from_slice(raw).map_err(|_| "embedded JSON is malformed")
            }
        }
        (Type::Schema, Wire::Bytes(bytes)) => {
            let message =
                types::message("apiextensions.JSONSchemaProps").ok_or("schemas are not known")?;
            Ok(Value::Object(read_schema(bytes, message, depth + 1)?))
        }
        (Type::Message(name), Wire::Bytes(bytes)) => special_or_message(name, bytes, depth),
        (Type::List(item), wire) => Ok(Value::Array(vec![read_value(item, wire, depth)?])),
        _ => Err("a value has the wrong wire type"),
    }
}

fn special_or_message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, &'static str> {
    let short = name.rsplit('.').next().unwrap_or_default();
    match short {
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            either(short, bytes, depth)
        }
        _ => {
            let message = types::message(name).ok_or("a type is not known")?;
            Ok(Value::Object(read_message(bytes, message, depth + 1)?))
        }
    }
}

fn read_schema(
    bytes: &[u8],
    message: &Message,
    depth: usize,
) -> Result<Map<String, Value>, &'static str> {
    read_message(bytes, message, depth)
}

/// A schema, or something simpler in its place.
fn either(kind: &str, bytes: &[u8], depth: usize) -> Result<Value, &'static str> {
    let mut items = Vec::new();
    let mut allowed = None;
    for entry in Entries(bytes) {
        match (kind, entry?) {
            ("JSONSchemaPropsOrBool", (1, Wire::Varint(number))) => allowed = Some(number != 0),
            ("JSONSchemaPropsOrBool", (2, wire))
            | ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", (1, wire)) => {
                return read_value(&Type::Schema, wire, depth);
            }
            ("JSONSchemaPropsOrArray", (2, wire)) => {
                items.push(read_value(&Type::Schema, wire, depth)?)
            }
            ("JSONSchemaPropsOrStringArray", (2, wire)) => {
                items.push(read_value(&Type::String, wire, depth)?)
            }
            _ => {}
        }
    }
    Ok(allowed.map_or(Value::Array(items), Value::Bool))
}

/// The bytes of field `number` of a wrapper message.
fn first_bytes(bytes: &[u8], number: u32) -> Result<&[u8], &'static str> {
    for entry in Entries(bytes) {
        if let (found, Wire::Bytes(inner)) = entry?
            && found == number
        {
            return Ok(inner);
        }
    }
    Ok(&[])
}

fn time(bytes: &[u8], format: fn(Timestamp) -> String) -> Result<Value, &'static str> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    let mut given = false;
    for entry in Entries(bytes) {
        given = true;
        match entry? {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => {
                nanoseconds =
                    i32::try_from(number.cast_signed()).map_err(|_| "a time is out of range")?;
            }
            _ => {}
        }
    }
    if !given {
        return Ok(Value::Null);
    }
    let time = Timestamp::new(seconds, nanoseconds).map_err(|_| "a time is out of range")?;
    Ok(format(time).into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, &'static str> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for entry in Entries(bytes) {
        match entry? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

#[cfg(test)]
mod tests;
