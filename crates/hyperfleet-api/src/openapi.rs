//! The OpenAPI document of the kinds that are configured, and a page of it for people.

use hyperfleet_types::API_PREFIX;
use serde_json::{Map, Value, json};

use crate::registry::{Kind, Registry};

/// OpenAPI 3.0.
pub fn document(registry: &Registry, version: &str) -> Value {
    let mut paths = Map::new();
    for kind in registry.kinds() {
        collection(
            &mut paths,
            &format!("{API_PREFIX}/{}", kind.plural),
            kind,
            &[],
        );
        if let Some(parent) = kind
            .parent_kind
            .as_deref()
            .and_then(|parent| registry.kind(parent))
        {
            let base = format!(
                "{API_PREFIX}/{}/{{parent_id}}/{}",
                parent.plural, kind.plural
            );
            collection(&mut paths, &base, kind, &["parent_id"]);
        }
    }
    let resources = Kind::plain(crate::registry::Entity {
        kind: "Resource".to_owned(),
        plural: "resources".to_owned(),
        ..Default::default()
    });
    collection(
        &mut paths,
        &format!("{API_PREFIX}/resources"),
        &resources,
        &[],
    );
    json!({
        "openapi": "3.0.3",
        "info": {"title": "HyperFleet API", "version": version, "description": "Clusters, node pools and other resources, and what adapters report about them."},
        "paths": paths,
        "components": {"schemas": schemas()},
    })
}

/// The paths of a document as HTML, without scripts.
pub fn page(registry: &Registry) -> String {
    let document = document(registry, "");
    let mut rows = String::new();
    for (path, item) in document
        .get("paths")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        for (method, operation) in item
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(method, _)| *method != "parameters")
        {
            let summary = operation
                .get("summary")
                .and_then(Value::as_str)
                .unwrap_or_default();
            rows.push_str(&format!(
                "<tr><td>{}</td><td><code>{path}</code></td><td>{summary}</td></tr>\n",
                method.to_uppercase()
            ));
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>HyperFleet API</title></head>\n<body><h1>HyperFleet API</h1>\n\
         <p>The whole document: <a href=\"{API_PREFIX}/openapi\">{API_PREFIX}/openapi</a></p>\n<table>\n{rows}</table></body></html>\n"
    )
}

fn collection(paths: &mut Map<String, Value>, base: &str, kind: &Kind, parameters: &[&str]) {
    let name = &kind.kind;
    let parameter = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}});
    let with = |more: &[&str]| {
        parameters
            .iter()
            .chain(more)
            .map(|name| parameter(name))
            .collect::<Vec<_>>()
    };
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let body = |name: &str| json!({"required": true, "content": {"application/json": {"schema": schema(name)}}});
    let answer = |text: &str, name: &str| json!({"description": text, "content": {"application/json": {"schema": schema(name)}}});
    let problem = json!({"description": "Problem", "content": {"application/problem+json": {"schema": schema("Problem")}}});
    let query =
        |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind}});
    let lists = [
        query("page", "integer"),
        query("size", "integer"),
        query("order", "string"),
        query("search", "string"),
        query("fields", "string"),
    ];
    paths.insert(
        base.to_owned(),
        json!({
            "parameters": with(&[]),
            "get": {"summary": format!("List {}", kind.plural), "parameters": lists,
                    "responses": {"200": answer("One page", "ResourceList"), "default": problem}},
            "post": {"summary": format!("Create a {name}"), "requestBody": body("NewResource"),
                     "responses": {"201": answer("Created", "Resource"), "default": problem}},
        }),
    );
    paths.insert(
        format!("{base}/{{id}}"),
        json!({
            "parameters": with(&["id"]),
            "get": {"summary": format!("Get a {name}"), "responses": {"200": answer("The resource", "Resource"), "default": problem}},
            "patch": {"summary": format!("Replace spec, labels or references of a {name}"), "requestBody": body("ResourcePatch"),
                      "responses": {"200": answer("The resource", "Resource"), "default": problem}},
            "delete": {"summary": format!("Ask for deletion of a {name}"),
                       "responses": {"202": answer("The resource as it was deleted", "Resource"), "default": problem}},
        }),
    );
    paths.insert(
        format!("{base}/{{id}}/force-delete"),
        json!({
            "parameters": with(&["id"]),
            "post": {"summary": format!("Remove a {name} that is being deleted without waiting for adapters"),
                     "requestBody": body("ForceDelete"), "responses": {"204": {"description": "Removed"}, "default": problem}},
        }),
    );
    paths.insert(
        format!("{base}/{{id}}/statuses"),
        json!({
            "parameters": with(&["id"]),
            "get": {"summary": format!("List what adapters report about a {name}"),
                    "responses": {"200": answer("One page", "AdapterStatusList"), "default": problem}},
            "put": {"summary": format!("Report about a {name}"), "requestBody": body("AdapterStatusRequest"),
                    "responses": {"201": answer("Stored", "AdapterStatus"), "204": {"description": "It told nothing new"}, "default": problem}},
        }),
    );
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let time = || json!({"type": "string", "format": "date-time"});
    let any = || json!({"type": "object", "additionalProperties": true});
    let words = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    let int = || json!({"type": "integer", "format": "int32"});
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let list = |of: &str| json!({"type": "array", "items": reference(of)});
    let page = |of: &str| {
        json!({"type": "object", "required": ["items", "page", "size", "total"],
               "properties": {"items": list(of), "page": int(), "size": int(), "total": {"type": "integer", "format": "int64"}}})
    };
    let links = || json!({"type": "object", "additionalProperties": list("ObjectReference")});
    let status = json!({"type": "string", "enum": ["True", "False", "Unknown"]});
    let condition = json!({"type": "object", "required": ["type", "status"],
                           "properties": {"type": text(), "status": status, "reason": text(), "message": text(),
                                          "last_transition_time": time()}});
    json!({
        "ObjectReference": {"type": "object", "required": ["id"], "properties": {"id": text(), "kind": text(), "href": text()}},
        "Resource": {"type": "object", "properties": {
            "id": text(), "kind": text(), "name": text(), "href": text(), "spec": any(), "labels": words(), "tenancy": words(),
            "generation": int(), "created_time": time(), "updated_time": time(), "created_by": text(), "updated_by": text(),
            "deleted_time": time(), "deleted_by": text(), "owner_references": reference("ObjectReference"), "references": links(),
            "status": {"type": "object", "properties": {"conditions": list("ResourceCondition")}}}},
        "ResourceCondition": {"type": "object", "properties": {
            "type": text(), "status": {"type": "string", "enum": ["True", "False"]}, "reason": text(), "message": text(),
            "observed_generation": int(), "created_time": time(), "last_updated_time": time(), "last_transition_time": time()}},
        "ResourceList": page("Resource"),
        "NewResource": {"type": "object", "required": ["kind", "name", "spec"], "properties": {
            "kind": text(), "name": text(), "spec": any(), "labels": words(), "references": links()}},
        "ResourcePatch": {"type": "object", "additionalProperties": false, "minProperties": 1,
                          "properties": {"spec": any(), "labels": words(), "references": links()}},
        "ForceDelete": {"type": "object", "required": ["reason"], "properties": {"reason": {"type": "string", "maxLength": 1024}}},
        "AdapterCondition": condition,
        "AdapterStatusRequest": {"type": "object", "required": ["adapter", "observed_generation", "conditions"], "properties": {
            "adapter": text(), "observed_generation": {"type": "integer", "format": "int32", "minimum": 1}, "observed_time": time(),
            "conditions": list("AdapterCondition"), "metadata": any(), "data": any()}},
        "AdapterStatus": {"type": "object", "properties": {
            "adapter": text(), "observed_generation": int(), "conditions": list("AdapterCondition"), "metadata": any(), "data": any(),
            "created_time": time(), "last_report_time": time()}},
        "AdapterStatusList": page("AdapterStatus"),
        "Problem": {"type": "object", "properties": {
            "type": text(), "title": text(), "status": int(), "detail": text(), "instance": text(), "code": text(), "timestamp": time(),
            "trace_id": text(), "errors": {"type": "array", "items": {"type": "object", "properties": {
                "field": text(), "message": text(), "value": {}, "constraint": text()}}}}},
    })
}
