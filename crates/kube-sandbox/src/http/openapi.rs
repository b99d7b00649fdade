//! OpenAPI documents: enough for `kubectl` to validate, apply and explain.
//!
//! Built-in kinds come with their members and without descriptions; custom resources with the schema of their
//! definition.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::respond;
use crate::builtin::types::{self, Merge, Message, Type};
use crate::failure::Failure;
use crate::registry::Registry;
use crate::resource::Resource;

/// Where schemas are in documents of version 3.
const COMPONENTS: &str = "components/schemas/";
/// Where schemas are in documents of version 2.
const DEFINITIONS: &str = "definitions/";

/// `/openapi/...`
pub fn serve(registry: &Registry, rest: &str, accept: &str) -> Result<Response, Failure> {
    let protobuf_only = !accept.is_empty()
        && accept
            .split(',')
            .all(|range| range.contains("protobuf") || range.contains("com.github.proto-openapi"));
    if protobuf_only {
        return Err(Failure::not_acceptable("application/json"));
    }
    let documents = registry.documents(|| documents(registry));
    match rest {
        "v2" => Ok(respond::json(StatusCode::OK, &version_two(registry))),
        "v3" => {
            let paths: Map<String, Value> = documents
                .iter()
                .map(|(path, text)| {
                    let digest = Sha256::digest(text);
                    let hash: String = digest
                        .iter()
                        .take(16)
                        .map(|byte| format!("{byte:02X}"))
                        .collect();
                    (
                        path.clone(),
                        json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
                    )
                })
                .collect();
            Ok(respond::json(StatusCode::OK, &json!({ "paths": paths })))
        }
        other => other
            .strip_prefix("v3/")
            .and_then(|path| documents.get(path))
            .map(|text| respond::json_bytes(StatusCode::OK, text.clone()))
            .ok_or_else(Failure::unknown_path),
    }
}

/// The documents of version 3, by path.
fn documents(registry: &Registry) -> BTreeMap<String, Bytes> {
    let mut documents = BTreeMap::new();
    for resource in registry.all() {
        let path = base_path(&resource.group, &resource.version);
        documents.entry(path).or_insert_with(|| {
            let document = document(registry, &resource.group, &resource.version);
            Bytes::from(document.to_string())
        });
    }
    documents
}

fn base_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The name of a kind's schema among the components of a document.
fn schema_name(resource: &Resource) -> String {
    if !resource.is_custom() {
        return types::name_of(&resource.group, &resource.version, &resource.kind);
    }
    let reversed: Vec<&str> = resource.group.rsplit('.').collect();
    format!(
        "{}.{}.{}",
        reversed.join("."),
        resource.version,
        resource.kind
    )
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": &*resource.group, "version": &*resource.version, "kind": resource.kind})
}

/// Adds the schema of a type, and those that it refers to. `prefix` is where components are.
fn add_schema(schemas: &mut Map<String, Value>, resource: &Resource, prefix: &str) {
    let name = schema_name(resource);
    let mut schema = match &resource.open_api {
        Some(source) => source.as_ref().clone(),
        None => {
            add_message(schemas, &name, prefix);
            schemas
                .get(&name)
                .cloned()
                .unwrap_or_else(|| json!({"type": "object"}))
        }
    };
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
            properties.insert("metadata".to_owned(), reference(prefix, METADATA));
        }
    }
    add_message(schemas, METADATA, prefix);
    schemas.insert(name, schema);
}

/// The schema of `metadata`.
const METADATA: &str = "meta.ObjectMeta";

fn reference(prefix: &str, name: &str) -> Value {
    json!({"$ref": format!("#/{prefix}{name}")})
}

/// Adds a built-in type and, in turn, the types of its members.
fn add_message(schemas: &mut Map<String, Value>, name: &str, prefix: &str) {
    if schemas.contains_key(name) {
        return;
    }
    let Some(message) = types::message(name) else {
        return;
    };
    // Entered before its members, so that types that refer to each other end.
    schemas.insert(name.to_owned(), Value::Null);
    let mut properties = Map::new();
    add_properties(schemas, &mut properties, message, prefix);
    schemas.insert(
        name.to_owned(),
        json!({"type": "object", "properties": properties}),
    );
}

fn add_properties(
    schemas: &mut Map<String, Value>,
    properties: &mut Map<String, Value>,
    message: &Message,
    prefix: &str,
) {
    for field in &message.fields {
        match (&field.name, &field.kind) {
            (Some(name), kind) => {
                let mut schema = of_type(schemas, kind, prefix);
                if let (Merge::Keys(keys), Some(map)) = (&field.merge, schema.as_object_mut()) {
                    map.insert("x-kubernetes-list-type".to_owned(), "map".into());
                    map.insert("x-kubernetes-list-map-keys".to_owned(), keys.clone().into());
                }
                properties.insert(name.clone(), schema);
            }
            (None, Type::Message(embedded)) => {
                if let Some(embedded) = types::message(embedded) {
                    add_properties(schemas, properties, embedded, prefix);
                }
            }
            (None, _) => {}
        }
    }
}

fn of_type(schemas: &mut Map<String, Value>, kind: &Type, prefix: &str) -> Value {
    match kind {
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Time | Type::MicroTime => json!({"type": "string", "format": "date-time"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Double => json!({"type": "number", "format": "double"}),
        Type::Quantity => json!({"type": "string", "format": "quantity"}),
        Type::IntOrString => json!({"type": "string", "format": "int-or-string"}),
        Type::Raw | Type::Fields | Type::Json | Type::Schema => json!({"type": "object"}),
        Type::Message(name) => {
            add_message(schemas, name, prefix);
            reference(prefix, name)
        }
        Type::List(item) => json!({"type": "array", "items": of_type(schemas, item, prefix)}),
        Type::Map(value) => {
            json!({"type": "object", "additionalProperties": of_type(schemas, value, prefix)})
        }
    }
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

fn document(registry: &Registry, group: &str, version: &str) -> Value {
    let resources = registry.of_version(group, version);
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        let schema = reference(COMPONENTS, &schema_name(resource));
        let place = if resource.namespaced {
            "namespaces/{namespace}/"
        } else {
            ""
        };
        let collection = format!("/{}/{place}{}", base_path(group, version), resource.plural);
        let answer = json!({"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}});
        let body = json!({"content": {"application/json": {"schema": schema}}});
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
        add_schema(&mut schemas, resource, COMPONENTS);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// The older document, for clients that fall back to it.
fn version_two(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    for resource in registry.all() {
        add_schema(&mut definitions, resource, DEFINITIONS);
    }
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
