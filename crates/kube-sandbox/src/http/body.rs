//! Request bodies: size limit, JSON or YAML, duplicate keys.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::protobuf;
use crate::config::MAX_BODY_BYTES;
use crate::failure::Failure;

/// A decoded body.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The value.
    pub value: Value,
    /// Paths of keys that occur twice.
    pub duplicates: Vec<String>,
}

/// Reads a body up to [`MAX_BODY_BYTES`].
///
/// # Errors
/// 413 if it is larger, 400 if the client breaks off.
pub async fn read(body: Body) -> Result<Bytes, Failure> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(MAX_BODY_BYTES)),
        Err(_) => Err(Failure::bad_request(
            "the body of the request could not be read",
        )),
    }
}

/// Decodes a JSON body, or YAML if the content type says so.
///
/// # Errors
/// 400 with position, 415 for other content types.
pub fn decode(bytes: &Bytes, content_type: &str) -> Result<Document, Failure> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type {
        "" | "application/json" | "*/*" => json(bytes),
        "application/yaml" | "application/apply-patch+yaml" => json(bytes).or_else(|_| yaml(bytes)),
        "application/merge-patch+json"
        | "application/json-patch+json"
        | "application/strategic-merge-patch+json" => json(bytes),
        protobuf::MEDIA_TYPE => protobuf::decode(bytes).map(|value| Document {
            value,
            duplicates: Vec::new(),
        }),
        _ => Err(Failure::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

fn json(bytes: &Bytes) -> Result<Document, Failure> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Tracked::deserialize(&mut deserializer)
        .and_then(|tracked| deserializer.end().map(|()| tracked));
    match parsed {
        Ok(Tracked { value, duplicates }) => Ok(Document { value, duplicates }),
        Err(error) => Err(Failure::bad_request(format!(
            "the body of the request is not valid JSON: {error}"
        ))),
    }
}

fn yaml(bytes: &Bytes) -> Result<Document, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::bad_request("the body of the request is not UTF-8"))?;
    match go_compat::yaml::from_str_k8s::<Value>(text) {
        Ok(value) => Ok(Document {
            value,
            duplicates: Vec::new(),
        }),
        Err(error) => Err(Failure::bad_request(format!("error parsing YAML: {error}"))),
    }
}

/// A JSON value that remembers which keys came twice (the last one counts).
struct Tracked {
    value: Value,
    duplicates: Vec<String>,
}

impl<'de> Deserialize<'de> for Tracked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TrackedVisitor)
    }
}

struct TrackedVisitor;

impl Tracked {
    fn leaf(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            duplicates: Vec::new(),
        }
    }
}

impl<'de> Visitor<'de> for TrackedVisitor {
    type Value = Tracked;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tracked, E> {
        Ok(Tracked::leaf(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Tracked, E> {
        Ok(Tracked::leaf(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tracked, A::Error> {
        let mut items = Vec::new();
        let mut duplicates = Vec::new();
        while let Some(item) = access.next_element::<Tracked>()? {
            let index = items.len();
            duplicates.extend(
                item.duplicates
                    .into_iter()
                    .map(|path| format!("[{index}]{}", dotted(&path))),
            );
            items.push(item.value);
        }
        Ok(Tracked {
            value: Value::Array(items),
            duplicates,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tracked, A::Error> {
        let mut map = Map::new();
        let mut duplicates = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            let item = access.next_value::<Tracked>()?;
            duplicates.extend(
                item.duplicates
                    .into_iter()
                    .map(|path| format!("{key}{}", dotted(&path))),
            );
            if map.insert(key.clone(), item.value).is_some() {
                duplicates.push(key);
            }
        }
        Ok(Tracked {
            value: Value::Object(map),
            duplicates,
        })
    }
}

fn dotted(path: &str) -> String {
    if path.starts_with('[') {
        path.to_owned()
    } else {
        format!(".{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_with_their_paths() {
        let text =
            br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2, "big": 18446744073709551615, "f": 1.5}"#;
        let document = decode(&Bytes::from_static(text), "application/json").expect("JSON");
        assert_eq!(document.duplicates, ["b[0].c", "a"]);
        assert_eq!(document.value["a"], 2);
        assert_eq!(document.value["big"], u64::MAX);
    }

    #[test]
    fn trailing_junk_and_other_types_are_refused() {
        assert_eq!(
            decode(&Bytes::from_static(b"{} x"), "")
                .expect_err("junk")
                .code,
            400
        );
        assert_eq!(
            decode(&Bytes::from_static(b"{}"), "application/cbor")
                .expect_err("type")
                .code,
            415
        );
    }
}
