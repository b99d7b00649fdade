//! POST, PUT, PATCH, DELETE.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::body::{self, Document};
use super::path::Place;
use super::{App, Head, access, respond};
use crate::engine::{
    DeleteOptions, FieldValidation, Outcome, Part, Propagation, Target, Write, WriteOptions,
};
use crate::failure::{Cause, Failure};
use crate::object::Key;
use crate::patch::Patch;
use crate::resource::Resource;
use crate::selector::Selector;

/// Longest name of a field manager, bytes.
const MAX_MANAGER_BYTES: usize = 128;
/// Patch types, as 415 answers list them.
const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

/// Does a write.
pub async fn serve(
    app: &App,
    head: &Head,
    resource: &Arc<Resource>,
    place: Place,
    request: Body,
) -> Result<Response, Failure> {
    let part = match place.subresource.as_deref() {
        None => Part::Whole,
        Some("status") if resource.has_status => Part::Status,
        Some("finalize") if resource.kind == "Namespace" => Part::Finalize,
        Some(_) => return Err(Failure::unknown_path()),
    };
    let target = Target {
        group: place.group,
        version: place.version,
        plural: place.plural,
        namespace: place.namespace.unwrap_or_default(),
        name: place.name.clone().unwrap_or_default(),
        part,
    };
    if resource.namespaced && target.namespace.is_empty() {
        // A collection of all namespaces can only be read.
        return Err(Failure::method_not_allowed());
    }
    let write = match (&head.method, place.name.is_some()) {
        (&Method::POST, false) => {
            let (object, options) = object_and_options(head, resource, request).await?;
            Write::Create {
                target,
                object,
                options,
            }
        }
        (&Method::PUT, true) => {
            let (object, options) = object_and_options(head, resource, request).await?;
            Write::Replace {
                target,
                object,
                options,
            }
        }
        (&Method::PATCH, true) => {
            let (patch, options) = patch_and_options(head, resource, request).await?;
            if matches!(patch, Patch::Apply { .. }) {
                let key = Key::new(&resource.storage, &target.namespace, &target.name);
                if app.store.get(&key).is_none() {
                    access::check_creation(app, head, &target)?;
                }
            }
            Write::Patch {
                target,
                patch,
                options,
            }
        }
        (&Method::DELETE, true) => {
            let options = delete_options(head, request).await?;
            return deleted(app, resource, target, options).await;
        }
        (&Method::DELETE, false) => {
            let options = delete_options(head, request).await?;
            let selector = Selector::parse(
                head.query.get("labelSelector"),
                head.query.get("fieldSelector"),
                resource,
            )?;
            let namespace = resource.namespaced.then_some(target.namespace.as_str());
            let (objects, _) = app.store.list(&resource.storage, namespace, None);
            let keys: Vec<Key> = objects
                .iter()
                .filter(|object| selector.matches(object))
                .map(|object| object.key.clone())
                .collect();
            Write::DeleteCollection {
                target,
                keys,
                options,
            }
        }
        _ => return Err(Failure::method_not_allowed()),
    };
    let outcome = app.store.write(write).await?;
    Ok(answer(resource, &outcome))
}

/// The response to a write.
pub fn answer(resource: &Resource, outcome: &Outcome) -> Response {
    let status = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = match &outcome.stored {
        // The stored text is the answer, unless another version was asked for.
        Some(stored) if resource.version == resource.storage_version => {
            respond::json_bytes(status, stored.json.clone())
        }
        _ => respond::json(status, &outcome.object),
    };
    respond::warn(&mut response, &outcome.warnings);
    respond::warn(&mut response, resource.deprecation.as_slice());
    response
}

async fn deleted(
    app: &App,
    resource: &Arc<Resource>,
    target: Target,
    options: DeleteOptions,
) -> Result<Response, Failure> {
    let name = target.name.clone();
    let dry_run = options.dry_run;
    let outcome = app.store.write(Write::Delete { target, options }).await?;
    if !outcome.removed && !dry_run {
        return Ok(respond::json(StatusCode::OK, &outcome.object));
    }
    let uid = outcome
        .object
        .pointer("/metadata/uid")
        .cloned()
        .unwrap_or(Value::Null);
    let mut details = json!({"name": name, "kind": resource.plural, "uid": uid});
    if let (false, Some(map)) = (resource.group.is_empty(), details.as_object_mut()) {
        map.insert("group".to_owned(), resource.group.to_string().into());
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Ok(respond::json(StatusCode::OK, &status))
}

/// Reads a body that must be an object, with the options of the query.
pub async fn object_and_options(
    head: &Head,
    resource: &Resource,
    request: Body,
) -> Result<(Value, WriteOptions), Failure> {
    let options = write_options(head)?;
    let bytes = body::read(request).await?;
    let document = body::decode(&bytes, head.header(header::CONTENT_TYPE))?;
    check_duplicates(&document, resource, &options)?;
    if !document.value.is_object() {
        return Err(Failure::bad_request(format!(
            "the body of the request must be a {}",
            resource.kind
        )));
    }
    Ok((document.value, options))
}

/// Reads a patch, with the options of the query.
pub async fn patch_and_options(
    head: &Head,
    resource: &Resource,
    request: Body,
) -> Result<(Patch, WriteOptions), Failure> {
    let mut options = write_options(head)?;
    let content_type = head.header(header::CONTENT_TYPE).to_owned();
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let is_apply = media_type == "application/apply-patch+yaml";
    let force = head.query.flag("force")?;
    if is_apply && head.query.get("fieldManager").is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid_options("PatchOptions", &[cause]));
    }
    if !is_apply && head.query.has("force") {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(Failure::invalid_options("PatchOptions", &[cause]));
    }
    let known = matches!(
        media_type.as_str(),
        "application/json-patch+json"
            | "application/merge-patch+json"
            | "application/strategic-merge-patch+json"
            | "application/apply-patch+yaml"
    );
    if !known {
        return Err(Failure::unsupported_media_type(PATCH_TYPES));
    }
    let bytes = body::read(request).await?;
    let document = body::decode(&bytes, &media_type)?;
    check_duplicates(&document, resource, &options)?;
    let value = document.value;
    let patch = match media_type.as_str() {
        "application/json-patch+json" => Patch::json(value)?,
        _ if !value.is_object() => return Err(Failure::bad_request("a patch must be an object")),
        "application/merge-patch+json" => Patch::Merge(value),
        "application/strategic-merge-patch+json" => Patch::Strategic(value),
        _ => {
            options.manager = head.query.get("fieldManager").to_owned();
            Patch::Apply {
                config: value,
                force,
            }
        }
    };
    Ok((patch, options))
}

fn check_duplicates(
    document: &Document,
    resource: &Resource,
    options: &WriteOptions,
) -> Result<(), Failure> {
    if options.field_validation != FieldValidation::Strict || document.duplicates.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = document
        .duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .collect();
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
        resource.kind,
        resource.version,
        resource.kind,
        texts.join(", ")
    )))
}

/// Options of POST, PUT and PATCH.
pub fn write_options(head: &Head) -> Result<WriteOptions, Failure> {
    let field_validation = match head.query.get("fieldValidation") {
        "Strict" => FieldValidation::Strict,
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        other => {
            let known = ["Ignore".into(), "Strict".into(), "Warn".into()];
            let cause = Cause::not_supported("fieldValidation", &other.into(), &known);
            return Err(Failure::invalid_options("CreateOptions", &[cause]));
        }
    };
    let manager = match head.query.get("fieldManager") {
        // `kubectl/v1.32.0 (linux/amd64)` writes as `kubectl`.
        "" => head
            .header(header::USER_AGENT)
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        name => name.to_owned(),
    };
    if manager.len() > MAX_MANAGER_BYTES || manager.chars().any(char::is_control) {
        let cause = Cause::new(
            "fieldManager",
            "FieldValueTooLong",
            format!(
                "Too long: may not be more than {MAX_MANAGER_BYTES} bytes, and must be printable"
            ),
        );
        return Err(Failure::invalid_options("CreateOptions", &[cause]));
    }
    let manager = if manager.is_empty() {
        "unknown".to_owned()
    } else {
        manager
    };
    Ok(WriteOptions {
        dry_run: head.query.dry_run()?,
        user: Some(head.user.clone()).filter(|_| head.checked),
        manager,
        field_validation,
    })
}

/// Options of DELETE: the body counts, then the query.
async fn delete_options(head: &Head, request: Body) -> Result<DeleteOptions, Failure> {
    let bytes = body::read(request).await?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        body::decode(&bytes, head.header(header::CONTENT_TYPE))?.value
    };
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let policy = text("/propagationPolicy").unwrap_or_else(|| head.query.get("propagationPolicy"));
    let orphan = body.get("orphanDependents").and_then(Value::as_bool);
    let propagation = match (policy, orphan) {
        ("Foreground", _) => Propagation::Foreground,
        ("Orphan", _) | ("", Some(true)) => Propagation::Orphan,
        ("" | "Background", _) => Propagation::Background,
        (other, _) => {
            let known = ["Background".into(), "Foreground".into(), "Orphan".into()];
            let cause = Cause::not_supported("propagationPolicy", &other.into(), &known);
            return Err(Failure::invalid_options("DeleteOptions", &[cause]));
        }
    };
    let dry_run_in_body = body
        .get("dryRun")
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|value| value == "All"));
    Ok(DeleteOptions {
        dry_run: dry_run_in_body || head.query.dry_run()?,
        uid: text("/preconditions/uid").map(str::to_owned),
        resource_version: text("/preconditions/resourceVersion").map(str::to_owned),
        propagation,
    })
}
