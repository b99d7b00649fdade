//! OpenAPI documents: enough for `kubectl` to validate, apply and explain.
//!
//! Built-in kinds come without field descriptions; custom resources with the schema of their definition.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::respond;
use crate::failure::Failure;
use crate::registry::Registry;
use crate::resource::Resource;

/// `/openapi/...`
pub fn serve(registry: &Registry, rest: &str, accept: &str) -> Result<Response, Failure> {
    let protobuf_only = !accept.is_empty()
        && accept
            .split(',')
            .all(|range| range.contains("protobuf") || range.contains("com.github.proto-openapi"));
    if protobuf_only {
        return Err(Failure::not_acceptable("application/json"));
    }
    match rest {
        "v2" => Ok(respond::json(StatusCode::OK, &version_two(registry))),
        "v3" => Ok(respond::json(StatusCode::OK, &index(registry))),
        other => {
            let path = other
                .strip_prefix("v3/")
                .ok_or_else(Failure::unknown_path)?;
            let (group, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
                ["api", version] => (String::new(), (*version).to_owned()),
                ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
                _ => return Err(Failure::unknown_path()),
            };
            document(registry, &group, &version)
                .map(|document| respond::json(StatusCode::OK, &document))
                .ok_or_else(Failure::unknown_path)
        }
    }
}

fn base_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn group_versions(registry: &Registry) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = registry
        .all()
        .iter()
        .map(|resource| (resource.group.to_string(), resource.version.to_string()))
        .collect();
    list.sort();
    list.dedup();
    list
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, version) in group_versions(registry) {
        let Some(document) = document(registry, &group, &version) else {
            continue;
        };
        let path = base_path(&group, &version);
        let digest = Sha256::digest(document.to_string().as_bytes());
        let hash: String = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02X}"))
            .collect();
        paths.insert(
            path.clone(),
            json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
        );
    }
    json!({ "paths": paths })
}

/// The name of a kind's schema.
fn schema_name(resource: &Resource) -> String {
    let reversed: Vec<&str> = resource
        .group
        .rsplit('.')
        .filter(|part| !part.is_empty())
        .collect();
    let prefix = if reversed.is_empty() {
        "io.k8s.api.core".to_owned()
    } else {
        reversed.join(".")
    };
    format!("{prefix}.{}.{}", resource.version, resource.kind)
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": &*resource.group, "version": &*resource.version, "kind": resource.kind})
}

fn schema(resource: &Resource) -> Value {
    let mut schema =
        resource.open_api.as_deref().cloned().unwrap_or_else(
            || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        );
    if let Some(map) = schema.as_object_mut() {
        map.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([gvk(resource)]),
        );
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties
                .entry("apiVersion")
                .or_insert_with(|| json!({"type": "string"}));
            properties
                .entry("kind")
                .or_insert_with(|| json!({"type": "string"}));
            properties.insert(
                "metadata".to_owned(),
                json!({"type": "object", "description": "Standard object's metadata."}),
            );
        }
    }
    schema
}

const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

fn parameters() -> Value {
    let names = [
        ("dryRun", "string"),
        ("fieldManager", "string"),
        ("fieldValidation", "string"),
        ("force", "boolean"),
    ];
    names
        .iter()
        .map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}}))
        .collect()
}

fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let resources = registry.of_version(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        let name = schema_name(resource);
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        let place = if resource.namespaced {
            "namespaces/{namespace}/"
        } else {
            ""
        };
        let collection = format!("/{}/{place}{}", base_path(group, version), resource.plural);
        let answer = json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
        let body = json!({"content": {"application/json": {"schema": reference}}});
        // Strategic merge patch is served for built-in kinds and not listed: without field descriptions kubectl must
        // compute such patches from its own types.
        let patch_content: Map<String, Value> = PATCH_TYPES
            .into_iter()
            .filter(|kind| !kind.contains("strategic"))
            .map(|kind| (kind.to_owned(), json!({"schema": {"type": "object"}})))
            .collect();
        let operation = |action: &str| {
            json!({
                "parameters": parameters(),
                "responses": answer,
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk(resource),
            })
        };
        let with_body = |action: &str, body: Value| {
            let mut operation = operation(action);
            operation["requestBody"] = body;
            operation
        };
        paths.insert(
            collection.clone(),
            json!({"get": operation("list"), "post": with_body("post", body.clone())}),
        );
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({
                "get": operation("get"),
                "put": with_body("put", body),
                "patch": with_body("patch", json!({"content": patch_content})),
                "delete": operation("delete"),
            }),
        );
        schemas.insert(name, schema(resource));
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// The older document, for clients that fall back to it.
fn version_two(registry: &Registry) -> Value {
    let definitions: Map<String, Value> = registry
        .all()
        .iter()
        .map(|resource| (schema_name(resource), schema(resource)))
        .collect();
    let paths: Map<String, Value> = registry
        .all()
        .iter()
        .map(|resource| {
            let place = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
            let path = format!("/{}/{place}{}/{{name}}", base_path(&resource.group, &resource.version), resource.plural);
            let operation = json!({
                "patch": {
                    "consumes": PATCH_TYPES,
                    "parameters": [
                        {"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": true},
                        {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": true},
                    ],
                    "responses": {"200": {"description": "OK"}},
                    "x-kubernetes-group-version-kind": gvk(resource),
                    "x-kubernetes-action": "patch",
                },
            });
            (path, operation)
        })
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": paths,
        "definitions": definitions,
    })
}
