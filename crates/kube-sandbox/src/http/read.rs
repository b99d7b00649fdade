//! GET of objects and lists.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::negotiate::{self, Form};
use super::path::Place;
use super::{App, Head, respond, table};
use crate::failure::{Cause, Failure};
use crate::object::{Key, Object};
use crate::resource::{Resource, api_version};
use crate::selector::Selector;

/// One object.
pub fn get(
    app: &App,
    head: &Head,
    resource: &Arc<Resource>,
    place: &Place,
) -> Result<Response, Failure> {
    match place.subresource.as_deref() {
        None => {}
        Some("status") if resource.has_status => {}
        Some(_) => return Err(Failure::unknown_path()),
    }
    let form = negotiate::form(head.header(header::ACCEPT))?;
    let name = place.name.as_deref().unwrap_or_default();
    let key = Key::new(
        &resource.storage,
        place.namespace.as_deref().unwrap_or_default(),
        name,
    );
    let object = app
        .store
        .get(&key)
        .ok_or_else(|| Failure::not_found(&resource.subject(name)))?;
    let mut response = match form {
        Form::Json => respond::json_bytes(StatusCode::OK, in_version(&object, resource)),
        Form::Yaml => yaml(&in_version_value(&object, resource))?,
        Form::Metadata => respond::json(StatusCode::OK, &partial(&object)),
        Form::Table => {
            let objects = [object];
            let include = table::Include::parse(head.query.get("includeObject"))?;
            let revision = objects
                .first()
                .map(|object| object.revision)
                .unwrap_or_default();
            respond::json(
                StatusCode::OK,
                &table::table(resource, &objects, revision, None, include, (app.clock)()),
            )
        }
    };
    respond::warn(&mut response, resource.deprecation.as_slice());
    Ok(response)
}

/// A list.
pub fn list(
    app: &App,
    head: &Head,
    resource: &Arc<Resource>,
    place: &Place,
) -> Result<Response, Failure> {
    let form = negotiate::form(head.header(header::ACCEPT))?;
    if head.query.flag("sendInitialEvents")? {
        let cause = Cause::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        );
        return Err(Failure::invalid_options("ListOptions", &[cause]));
    }
    let selector = Selector::parse(
        head.query.get("labelSelector"),
        head.query.get("fieldSelector"),
        resource,
    )?;
    check_version_options(app, head)?;
    let limit = head.query.number("limit")?.filter(|limit| *limit > 0);
    let start = match head.query.get("continue") {
        "" => None,
        token => Some(Continue::decode(token)?),
    };
    if let Some(start) = &start {
        app.store
            .check_history(start.revision)
            .map_err(|_| continue_expired())?;
    }
    let after = start
        .as_ref()
        .map(|start| Key::new(&resource.storage, &start.namespace, &start.name));
    let (objects, revision) = app.store.list(
        &resource.storage,
        place.namespace.as_deref(),
        after.as_ref(),
    );
    // All pages carry the version of the first, so that a watch from there misses nothing.
    let revision = start.map_or(revision, |start| start.revision);
    let mut selected: Vec<Arc<Object>> = objects
        .into_iter()
        .filter(|object| selector.matches(object))
        .collect();
    let mut next = None;
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if selected.len() > limit {
            let remaining = selected.len() - limit;
            selected.truncate(limit);
            let token = selected.last().map(|last| Continue {
                revision,
                namespace: last.key.namespace.to_string(),
                name: last.key.name.to_string(),
            });
            next = token.map(|token| Next {
                token: token.encode(),
                remaining: selector.is_empty().then_some(remaining),
            });
        }
    }
    let mut response = match form {
        Form::Json => respond::json_bytes(
            StatusCode::OK,
            list_bytes(resource, &selected, revision, next.as_ref()),
        ),
        Form::Yaml => {
            let bytes = list_bytes(resource, &selected, revision, next.as_ref());
            yaml(&serde_json::from_slice(&bytes).unwrap_or(Value::Null))?
        }
        Form::Metadata => {
            let items: Vec<Value> = selected.iter().map(|object| partial(object)).collect();
            let document = json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": list_metadata(revision, next.as_ref()),
                "items": items,
            });
            respond::json(StatusCode::OK, &document)
        }
        Form::Table => {
            let include = table::Include::parse(head.query.get("includeObject"))?;
            let metadata = list_metadata(revision, next.as_ref());
            respond::json(
                StatusCode::OK,
                &table::table(
                    resource,
                    &selected,
                    revision,
                    Some(metadata),
                    include,
                    (app.clock)(),
                ),
            )
        }
    };
    respond::warn(&mut response, resource.deprecation.as_slice());
    Ok(response)
}

/// `resourceVersion` and `resourceVersionMatch` of a list.
fn check_version_options(app: &App, head: &Head) -> Result<(), Failure> {
    let text = head.query.get("resourceVersion");
    let rule = head.query.get("resourceVersionMatch");
    let refuse = |field: &str, detail: &str| {
        Err(Failure::invalid_options(
            "ListOptions",
            &[Cause::forbidden(field, detail)],
        ))
    };
    if !rule.is_empty() && text.is_empty() {
        return refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        );
    }
    if rule == "Exact" && text == "0" {
        return refuse(
            "resourceVersionMatch",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        );
    }
    if !matches!(rule, "" | "Exact" | "NotOlderThan") {
        let cause = Cause::not_supported(
            "resourceVersionMatch",
            &rule.into(),
            &["Exact".into(), "NotOlderThan".into()],
        );
        return Err(Failure::invalid_options("ListOptions", &[cause]));
    }
    let Some(wanted) = parse_revision(text)? else {
        return Ok(());
    };
    let current = app.store.revision();
    if wanted > current {
        return Err(Failure::timeout(format!(
            "Too large resource version: {wanted}, current: {current}"
        )));
    }
    if rule == "Exact" && wanted != current {
        // Only the present state is kept.
        return Err(Failure::expired(wanted, current));
    }
    Ok(())
}

/// A resourceVersion option; `None` for absent and `0`.
pub fn parse_revision(text: &str) -> Result<Option<u64>, Failure> {
    match text {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let cause = Cause::invalid("resourceVersion", &text.into(), "must be a number");
            Failure::invalid_options("ListOptions", &[cause])
        }),
    }
}

fn continue_expired() -> Failure {
    Failure {
        code: 410,
        reason: "Expired",
        message: "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.".to_owned(),
        details: None,
    }
}

/// Where the next page starts.
struct Continue {
    revision: u64,
    namespace: String,
    name: String,
}

/// The token of the next page.
struct Next {
    token: String,
    remaining: Option<usize>,
}

impl Continue {
    fn encode(&self) -> String {
        let text = json!({"v": "sandbox/v1", "rv": self.revision, "ns": self.namespace, "name": self.name}).to_string();
        URL_SAFE_NO_PAD.encode(text)
    }

    fn decode(token: &str) -> Result<Self, Failure> {
        let bad = || Failure::bad_request("continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let text = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(bad)
        };
        if text("v")? != "sandbox/v1" {
            return Err(bad());
        }
        let revision = value.get("rv").and_then(Value::as_u64).ok_or_else(bad)?;
        Ok(Self {
            revision,
            namespace: text("ns")?,
            name: text("name")?,
        })
    }
}

fn list_metadata(revision: u64, next: Option<&Next>) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let (Some(next), Some(map)) = (next, metadata.as_object_mut()) {
        map.insert("continue".to_owned(), next.token.as_str().into());
        if let Some(remaining) = next.remaining {
            map.insert("remainingItemCount".to_owned(), remaining.into());
        }
    }
    metadata
}

/// A list document, put together from the stored texts of its items.
fn list_bytes(
    resource: &Resource,
    objects: &[Arc<Object>],
    revision: u64,
    next: Option<&Next>,
) -> Bytes {
    let items: Vec<Bytes> = objects
        .iter()
        .map(|object| in_version(object, resource))
        .collect();
    let head = json!({
        "apiVersion": api_version(&resource.group, &resource.version),
        "kind": resource.list_kind,
        "metadata": list_metadata(revision, next),
    })
    .to_string();
    let mut out = BytesMut::with_capacity(
        head.len() + 16 + items.iter().map(|item| item.len() + 1).sum::<usize>(),
    );
    out.put_slice(head.trim_end_matches('}').as_bytes());
    // The trimmed braces were those of metadata and of the document.
    out.put_slice(b"},\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(item);
    }
    out.put_slice(b"]}");
    out.freeze()
}

/// The text of an object in the version of a request.
pub fn in_version(object: &Object, resource: &Resource) -> Bytes {
    if resource.version == resource.storage_version {
        return object.json.clone();
    }
    Bytes::from(in_version_value(object, resource).to_string())
}

/// The tree of an object in the version of a request.
pub fn in_version_value(object: &Object, resource: &Resource) -> Value {
    let mut value = object.value();
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), resource.api_version().into());
    }
    value
}

/// `PartialObjectMetadata` of a stored object.
pub fn partial(object: &Object) -> Value {
    partial_of(&object.value())
}

/// `PartialObjectMetadata` of an object.
pub fn partial_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata"),
    })
}

fn yaml(value: &Value) -> Result<Response, Failure> {
    let text =
        go_compat::yaml::to_string(value).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(respond::with_type(StatusCode::OK, "application/yaml", text))
}
