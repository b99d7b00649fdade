//! Request bodies: JSON to plain data, with the path of what has the wrong type.

use std::{collections::BTreeMap, sync::Arc};

use hyperfleet_types::{Code, ObjectReference};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    domain::{names, references::References, report::Incoming},
    error::Rejection,
    registry::{Kind, Registry},
    schema::Schemas,
    service::Scope,
};

/// Largest body of a request, bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest reason of a forced deletion, bytes.
pub const MAX_REASON_BYTES: usize = 1024;

type Result<T> = std::result::Result<T, Rejection>;

/// A create request, types checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewResource {
    /// Kind, perhaps empty.
    pub kind: String,
    /// Name, perhaps empty.
    pub name: String,
    /// Spec, if there is one.
    pub spec: Option<Map<String, Value>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Links.
    pub references: References,
}

impl NewResource {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Rejection`] if it can't be read or has members of a wrong type.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let body = object(body)?;
        Ok(Self {
            kind: string(&body, "kind")?.unwrap_or_default(),
            name: string(&body, "name")?.unwrap_or_default(),
            spec: map(&body, "spec")?,
            labels: labels(&body)?.unwrap_or_default(),
            references: links(&body)?.unwrap_or_default(),
        })
    }

    /// Checks the members, in the order in which the first wrong one is reported; returns the kind.
    ///
    /// # Errors
    /// A [`Rejection`] for the first wrong member.
    pub fn check(&self, scope: &Scope, registry: &Registry) -> Result<Arc<Kind>> {
        let spec = || {
            self.spec
                .as_ref()
                .map(|_| ())
                .ok_or_else(|| Rejection::invalid("spec is required"))
        };
        match &scope.kind {
            Some(kind) => {
                if self.kind.is_empty() {
                    return Err(Rejection::invalid("kind is required"));
                }
                if self.kind != kind.kind {
                    return Err(Rejection::invalid(format!("kind must be '{}'", kind.kind)));
                }
                names::check_name(kind, &self.name)?;
                spec()?;
                names::check_labels(&self.labels)?;
                Ok(kind.clone())
            }
            None => {
                spec()?;
                names::check_labels(&self.labels)?;
                if self.kind.is_empty() {
                    return Err(Rejection::invalid("kind is required"));
                }
                let kind = registry.kind(&self.kind);
                let kind = kind.ok_or_else(|| {
                    Rejection::invalid(format!("Unknown entity kind: {}", self.kind))
                })?;
                if kind.parent_kind.is_none() {
                    names::check_name(kind, &self.name)?;
                }
                Ok(kind.clone())
            }
        }
    }

    /// Ids of everything it links to.
    pub fn targets(&self) -> Vec<String> {
        targets(&self.references)
    }
}

/// A patch request, types checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourcePatch {
    /// New spec.
    pub spec: Option<Map<String, Value>>,
    /// New labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// New links.
    pub references: Option<References>,
}

impl ResourcePatch {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Rejection`] if it can't be read, has unknown members or members of a wrong type, or changes nothing.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let body = object(body)?;
        if let Some(unknown) = body
            .keys()
            .find(|key| !matches!(key.as_str(), "spec" | "labels" | "references"))
        {
            return Err(Rejection::malformed(format!(
                "Invalid request format: unknown field \"{unknown}\""
            )));
        }
        let patch = Self {
            spec: map(&body, "spec")?,
            labels: labels(&body)?,
            references: links(&body)?,
        };
        if patch == Self::default() {
            return Err(Rejection::new(
                Code::BadRequest,
                "at least one field must be provided for update",
            ));
        }
        if let Some(labels) = &patch.labels {
            names::check_labels(labels)?;
        }
        Ok(patch)
    }

    /// Ids of everything it links to.
    pub fn targets(&self) -> Vec<String> {
        self.references.as_ref().map(targets).unwrap_or_default()
    }
}

/// Reads an adapter's report.
///
/// # Errors
/// A [`Rejection`] if it can't be read or has members of a wrong type.
pub fn report(body: &[u8]) -> Result<Incoming> {
    let body = object(body)?;
    let observed_time = match string(&body, "observed_time")? {
        None => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
            Rejection::malformed(format!(
                "Invalid request format: observed_time \"{text}\" is not an RFC 3339 time"
            ))
        })?),
    };
    let observed_generation = match body.get("observed_generation") {
        None | Some(Value::Null) => 0,
        Some(Value::Number(number)) => number.as_i64().ok_or_else(|| {
            Rejection::invalid("field 'observed_generation' must be a 32-bit integer")
        })?,
        Some(_) => {
            return Err(Rejection::invalid(
                "field 'observed_generation' must be a number",
            ));
        }
    };
    let mut conditions = Vec::new();
    match body.get("conditions") {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("conditions[{index}]");
                let item = item
                    .as_object()
                    .ok_or_else(|| must_be(&path, "an object"))?;
                let member = |name: &str| member(item, name, &format!("{path}.{name}"));
                let (type_, status) = (
                    member("type")?.unwrap_or_default(),
                    member("status")?.unwrap_or_default(),
                );
                conditions.push((type_, status, member("reason")?, member("message")?));
            }
        }
        Some(_) => return Err(must_be("conditions", "an array")),
    }
    Ok(Incoming {
        adapter: string(&body, "adapter")?.unwrap_or_default(),
        observed_generation,
        observed_time,
        conditions,
        metadata: map(&body, "metadata")?,
        data: map(&body, "data")?,
    })
}

/// Reads the reason of a forced deletion.
///
/// # Errors
/// A [`Rejection`] if there is none or it is too long.
pub fn reason(body: &[u8]) -> Result<String> {
    let reason = string(&object(body)?, "reason")?.unwrap_or_default();
    if reason.trim().is_empty() {
        return Err(Rejection::invalid("reason is required"));
    }
    if reason.len() > MAX_REASON_BYTES {
        return Err(Rejection::invalid(format!(
            "reason must be at most {MAX_REASON_BYTES} characters"
        )));
    }
    Ok(reason)
}

/// Checks the spec of a create or patch against the schema of its kind, if that has one; `kind` is that of the route, `None` takes
/// the body's.
///
/// # Errors
/// A [`Rejection`] that names every wrong member of the spec.
pub fn check_spec(schemas: &Schemas, kind: Option<&str>, body: &[u8]) -> Result<()> {
    if kind.is_some_and(|kind| schemas.name(kind).is_none()) || schemas.is_empty() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Rejection::malformed("Invalid JSON in request body"))?;
    let Some(kind) = kind.or_else(|| body.get("kind").and_then(Value::as_str)) else {
        return Ok(());
    };
    let (Some(name), Some(spec)) = (schemas.name(kind), body.get("spec")) else {
        return Ok(());
    };
    let spec = spec
        .as_object()
        .ok_or_else(|| Rejection::invalid("spec field must be an object"))?;
    let errors = schemas.check(kind, spec);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Rejection::invalid(format!("Invalid {name}")).errors(errors))
    }
}

// === Parts ===

fn object(body: &[u8]) -> Result<Map<String, Value>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Rejection::malformed(
            "Request body is required but was empty",
        ));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Rejection::malformed(format!("Invalid request format: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Rejection::malformed(
            "Invalid request format: the body must be a JSON object",
        ));
    };
    // No database text can hold a NUL; found here it is the request's fault, found there it would be ours.
    match object.iter().find_map(|(key, value)| nul(value, key)) {
        None => Ok(object),
        Some(path) => Err(Rejection::invalid(format!(
            "field '{path}' must not contain NUL characters"
        ))),
    }
}

/// Path of the first text with a NUL in it.
fn nul(value: &Value, path: &str) -> Option<String> {
    if path.contains('\0') {
        return Some(path.replace('\0', "\u{fffd}"));
    }
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| nul(item, &format!("{path}[{index}]"))),
        Value::Object(members) => members
            .iter()
            .find_map(|(key, member)| nul(member, &format!("{path}.{key}"))),
        _ => None,
    }
}

fn must_be(path: &str, what: &str) -> Rejection {
    Rejection::invalid(format!("field '{path}' must be {what}"))
}

fn string(body: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    member(body, name, name)
}

fn member(body: &Map<String, Value>, name: &str, path: &str) -> Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(must_be(path, "a string")),
    }
}

fn map(body: &Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        Some(_) => Err(must_be(name, "an object")),
    }
}

fn labels(body: &Map<String, Value>) -> Result<Option<BTreeMap<String, String>>> {
    let Some(map) = map(body, "labels")? else {
        return Ok(None);
    };
    let label = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Null => Ok((key, String::new())),
        _ => Err(must_be(&format!("labels.{key}"), "a string")),
    };
    map.into_iter().map(label).collect::<Result<_>>().map(Some)
}

fn links(body: &Map<String, Value>) -> Result<Option<References>> {
    let Some(map) = map(body, "references")? else {
        return Ok(None);
    };
    let mut references = References::new();
    for (ref_type, links) in map {
        let path = format!("references.{ref_type}");
        let links = links.as_array().ok_or_else(|| must_be(&path, "an array"))?;
        for (index, link) in links.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let link = link
                .as_object()
                .ok_or_else(|| must_be(&path, "an object"))?;
            let member = |name: &str| member(link, name, &format!("{path}.{name}"));
            let (id, kind) = (
                member("id")?.unwrap_or_default(),
                member("kind")?.unwrap_or_default(),
            );
            references
                .entry(ref_type.clone())
                .or_default()
                .push(ObjectReference {
                    id,
                    kind,
                    href: String::new(),
                });
        }
        references.entry(ref_type).or_default();
    }
    Ok(Some(references))
}

fn targets(references: &References) -> Vec<String> {
    references
        .values()
        .flatten()
        .map(|link| link.id.clone())
        .collect()
}

#[cfg(test)]
mod tests;
