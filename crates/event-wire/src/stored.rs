//! The JSON form of events: what databases hold, and what structured events are.
//!
//! Standard attributes and extensions are keys of one object, `data` is the payload itself, and the `metadata` extension
//! is an object so that labels can be searched. Data is moved as text; no tree of it is built.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use manifestwork::manifest::compact;
use serde_json::{Value, value::RawValue};

use crate::{
    Attribute, Error, Event,
    attribute::name,
    convert::{extension_name, not_an_event},
    event::SPEC_VERSION,
};

/// An event as JSON text.
///
/// # Errors
/// A `metadata` extension that isn't a JSON object.
pub fn to_string(event: &Event) -> Result<String, Error> {
    let mut object: BTreeMap<&str, Piece<'_>> = BTreeMap::new();
    let mut size = FRAME;
    for (key, value) in &event.extensions {
        let piece = match (key.as_str(), value) {
            (name::METADATA, Attribute::String(text)) if !text.is_empty() => {
                size += text.len();
                Piece::Raw(metadata_object(text)?)
            }
            (_, Attribute::Bool(truth)) => Piece::Owned(raw(truth)),
            (_, Attribute::Int(number)) => Piece::Owned(raw(number)),
            (_, Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text)) => {
                size += text.len();
                Piece::Owned(raw(text))
            }
            (_, Attribute::Bytes(bytes)) => Piece::Owned(raw(&STANDARD.encode(bytes))),
            (_, Attribute::Timestamp(time)) => Piece::Owned(raw(&time.to_string())),
        };
        object.insert(key, piece);
    }
    let mut text = |key, value: &str| object.insert(key, Piece::Owned(raw(value)));
    text("specversion", SPEC_VERSION);
    text("id", &event.id);
    text("source", &event.source);
    text("type", &event.event_type.to_string());
    for (key, value) in [
        ("datacontenttype", event.content_type.as_deref()),
        ("dataschema", event.data_schema.as_deref()),
        ("subject", event.subject.as_deref()),
    ] {
        if let Some(value) = value {
            text(key, value);
        }
    }
    if let Some(time) = event.time {
        text("time", &time.to_string());
    }
    if let Some(data) = &event.data {
        size += data.len();
        match serde_json::from_slice::<&RawValue>(data) {
            Ok(json) => object.insert("data", Piece::Raw(json)),
            Err(_) => object.insert("data_base64", Piece::Owned(raw(&STANDARD.encode(data)))),
        };
    }
    let mut out = String::with_capacity(size);
    for (key, piece) in object {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push('"');
        // Names of extensions are letters and digits.
        out.push_str(key);
        out.push_str("\":");
        out.push_str(match &piece {
            Piece::Raw(raw) => raw.get(),
            Piece::Owned(raw) => raw.get(),
        });
    }
    out.push('}');
    Ok(out)
}

/// Room for keys, ids, times and types.
const FRAME: usize = 512;

/// A value of the object: large ones are only copied into the result.
enum Piece<'a> {
    Raw(&'a RawValue),
    Owned(Box<RawValue>),
}

/// An event as a JSON tree. [`to_string`] is cheaper.
///
/// # Errors
/// Those of [`to_string`].
pub fn to_json(event: &Event) -> Result<Value, Error> {
    serde_json::from_str(&to_string(event)?).map_err(|error| Error::Data {
        why: error.to_string(),
    })
}

/// Reads an event from JSON text. White space between the tokens of data and metadata (as a database adds it) is left out.
///
/// Numbers become integers, truth values stay, every other extension becomes text.
///
/// # Errors
/// Not the JSON of an event.
pub fn from_str(text: &str) -> Result<Event, Error> {
    let object: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| wrong(&error))?;
    let take = |key: &str| -> Result<Option<String>, Error> {
        let Some(raw) = object.get(key) else {
            return Ok(None);
        };
        serde_json::from_str::<Option<String>>(raw.get()).map_err(|_| Error::Structured {
            why: format!("{key} must be text"),
        })
    };
    let required = |key: &str| {
        take(key)?.ok_or_else(|| Error::Structured {
            why: format!("{key} is missing"),
        })
    };

    match take("specversion")?.as_deref() {
        None | Some("1.0" | "0.3") => {}
        Some(_) => return Err(Error::UnknownEncoding),
    }
    let data = match (object.get("data"), take("data_base64")?) {
        (Some(raw), _) if raw.get() != "null" => Some(Bytes::from(compact(raw.get()))),
        (_, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|error| Error::Structured {
                why: format!("data_base64: {error}"),
            })?;
            Some(Bytes::from(bytes))
        }
        _ => None,
    };
    let time = take("time")?
        .map(|text| {
            text.parse::<Timestamp>()
                .map_err(|error| Error::Structured {
                    why: format!("time: {error}"),
                })
        })
        .transpose()?;
    let mut extensions = BTreeMap::new();
    for (key, raw) in &object {
        if STANDARD_KEYS.contains(&key.as_str()) {
            continue;
        }
        if let Some(value) = extension(key, raw)? {
            extensions.insert(extension_name(key)?, value);
        }
    }
    Ok(Event {
        id: required("id")?,
        source: required("source")?,
        event_type: required("type")?.parse()?,
        time,
        content_type: not_an_event(take("datacontenttype")?.filter(|text| !text.is_empty()))?,
        data_schema: take("dataschema")?.filter(|text| !text.is_empty()),
        subject: take("subject")?.filter(|text| !text.is_empty()),
        extensions,
        data,
    })
}

/// Reads an event from a JSON tree. [`from_str`] is cheaper.
///
/// # Errors
/// Not the JSON of an event.
pub fn from_json(value: &Value) -> Result<Event, Error> {
    from_str(&value.to_string())
}

/// Names of the JSON form that are no extensions.
pub(crate) const STANDARD_KEYS: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "datacontenttype",
    "dataschema",
    "subject",
    "time",
    "data",
    "data_base64",
];

fn extension(key: &str, raw: &RawValue) -> Result<Option<Attribute>, Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Some(Attribute::String(
            serde_json::from_str(text).map_err(|error| wrong(&error))?,
        )),
        Some(b't') => Some(Attribute::Bool(true)),
        Some(b'f') => Some(Attribute::Bool(false)),
        Some(b'n') | None => None,
        Some(b'{' | b'[') => Some(Attribute::String(compact(text))),
        Some(_) => Some(
            Attribute::String(text.to_owned())
                .as_int()
                .map(Attribute::Int)
                .map_err(|why| Error::Structured {
                    why: format!("{key}: {why}"),
                })?,
        ),
    })
}

/// The text of a metadata extension, checked to be an object.
fn metadata_object(text: &str) -> Result<&RawValue, Error> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| Error::Metadata {
        why: error.to_string(),
    })?;
    if !raw.get().starts_with('{') {
        return Err(Error::Metadata {
            why: "it must be an object".to_owned(),
        });
    }
    Ok(raw)
}

fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("text and numbers print as JSON")
}

fn wrong(error: &serde_json::Error) -> Error {
    Error::Structured {
        why: error.to_string(),
    }
}
