//! The `scale` subresource: one number of an object, under a common kind.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::path::Place;
use super::{App, Head, respond, write};
use crate::engine::{Part, Target, Write};
use crate::failure::{Cause, Failure};
use crate::object::Key;
use crate::patch::Patch;
use crate::resource::{Resource, Scale};

/// GET, PUT and PATCH of `/scale`.
pub async fn serve(
    app: &App,
    head: &Head,
    resource: &Arc<Resource>,
    place: Place,
    request: Body,
) -> Result<Response, Failure> {
    let (Some(scale), Some(name)) = (&resource.scale, &place.name) else {
        return Err(Failure::unknown_path());
    };
    let namespace = place.namespace.clone().unwrap_or_default();
    let key = Key::new(&resource.storage, &namespace, name);
    let live = app
        .store
        .get(&key)
        .ok_or_else(|| Failure::not_found(&resource.subject(name)))?;
    let current = document(&live.value(), scale);
    let (wanted, options) = match head.method {
        Method::GET | Method::HEAD => return Ok(respond::json(StatusCode::OK, &current)),
        Method::PUT => write::object_and_options(head, resource, request).await?,
        Method::PATCH => {
            let (patch, options) = write::patch_and_options(head, resource, request).await?;
            if matches!(patch, Patch::Apply { .. }) {
                return Err(Failure::unsupported_media_type(
                    "application/json-patch+json, application/merge-patch+json",
                ));
            }
            (
                patch.apply_to(
                    &current,
                    &crate::shape::Shape::Unknown,
                    &resource.subject(name),
                )?,
                options,
            )
        }
        _ => return Err(Failure::method_not_allowed()),
    };
    let replicas = wanted
        .pointer("/spec/replicas")
        .cloned()
        .unwrap_or(json!(0));
    if !replicas
        .as_i64()
        .is_some_and(|number| (0..=i64::from(i32::MAX)).contains(&number))
    {
        let cause = Cause::invalid(
            "spec.replicas",
            &replicas,
            "must be greater than or equal to 0",
        );
        return Err(Failure::invalid(&resource.subject(name), &[cause]));
    }
    let mut change = nested(&scale.spec_replicas, replicas);
    let revision = crate::object::metadata_text(&wanted, "resourceVersion");
    if !revision.is_empty() {
        crate::object::set_metadata(&mut change, "resourceVersion", revision.into());
    }
    let target = Target {
        group: place.group,
        version: place.version,
        plural: place.plural,
        namespace,
        name: name.clone(),
        part: Part::Whole,
    };
    let outcome = app
        .store
        .write(Write::Patch {
            target,
            patch: Patch::Merge(change),
            options,
        })
        .await?;
    Ok(respond::json(
        StatusCode::OK,
        &document(&outcome.object, scale),
    ))
}

fn document(object: &Value, scale: &Scale) -> Value {
    let number = |path: &str| lookup(object, path).cloned().unwrap_or(json!(0));
    let mut metadata = Map::new();
    for name in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(name))
        {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": number(&scale.status_replicas)});
    let selector = match &scale.selector {
        Some(path) => lookup(object, path)
            .and_then(Value::as_str)
            .map(str::to_owned),
        None => object.pointer("/spec/selector").map(match_labels),
    };
    if let (Some(selector), Some(map)) = (selector, status.as_object_mut()) {
        map.insert("selector".to_owned(), selector.into());
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&scale.spec_replicas)},
        "status": status,
    })
}

fn match_labels(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector);
    labels
        .as_object()
        .map(|labels| {
            labels
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
                .collect::<Vec<_>>()
                .join(",")
        })
        .unwrap_or_default()
}

fn lookup<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|name| !name.is_empty())
        .try_fold(object, |value, name| value.get(name))
}

fn nested(path: &str, leaf: Value) -> Value {
    path.split('.')
        .filter(|name| !name.is_empty())
        .rev()
        .fold(leaf, |value, name| {
            let mut map = Map::new();
            map.insert(name.to_owned(), value);
            Value::Object(map)
        })
}
