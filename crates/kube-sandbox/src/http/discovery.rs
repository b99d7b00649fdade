//! Which groups, versions and resource types there are: the plain documents and the aggregated one.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Head, negotiate, respond};
use crate::failure::Failure;
use crate::registry::Registry;
use crate::resource::{Resource, VERBS, api_version};

/// Content type of aggregated documents.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Groups that are answered without being stored: group, version, plural, kind, namespaced.
const REVIEWS: &[(&str, &str, &str, &str, bool)] = &[
    (
        "authentication.k8s.io",
        "v1",
        "selfsubjectreviews",
        "SelfSubjectReview",
        false,
    ),
    (
        "authentication.k8s.io",
        "v1",
        "tokenreviews",
        "TokenReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "v1",
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
        true,
    ),
    (
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "v1",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        false,
    ),
    (
        "authorization.k8s.io",
        "v1",
        "subjectaccessreviews",
        "SubjectAccessReview",
        false,
    ),
];

/// `/`
pub fn root(registry: &Registry) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in groups_with_versions(registry) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    json!({ "paths": paths })
}

/// `/api`
pub fn core(registry: &Registry, head: &Head) -> Result<Response, Failure> {
    let accept = head.header(header::ACCEPT);
    if negotiate::wants_aggregated(accept) {
        return Ok(aggregated(&[aggregated_group(
            registry,
            "",
            &["v1".to_owned()],
        )]));
    }
    negotiate::form(accept)?;
    let host = head.header(header::HOST);
    Ok(respond::json(
        StatusCode::OK,
        &json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
        }),
    ))
}

/// `/apis`
pub fn groups(registry: &Registry, head: &Head) -> Result<Response, Failure> {
    let accept = head.header(header::ACCEPT);
    let groups = groups_with_versions(registry);
    if negotiate::wants_aggregated(accept) {
        let items: Vec<Value> = groups
            .iter()
            .map(|(group, versions)| aggregated_group(registry, group, versions))
            .collect();
        return Ok(aggregated(&items));
    }
    negotiate::form(accept)?;
    let list: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| group_document(group, versions))
        .collect();
    Ok(respond::json(
        StatusCode::OK,
        &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}),
    ))
}

/// `/apis/<group>`
pub fn group(registry: &Registry, name: &str) -> Result<Response, Failure> {
    let groups = groups_with_versions(registry);
    let (group, versions) = groups
        .iter()
        .find(|(group, _)| group == name)
        .ok_or_else(Failure::unknown_path)?;
    let mut document = group_document(group, versions);
    if let Some(map) = document.as_object_mut() {
        map.insert("kind".to_owned(), "APIGroup".into());
        map.insert("apiVersion".to_owned(), "v1".into());
    }
    Ok(respond::json(StatusCode::OK, &document))
}

/// `/api/v1` and `/apis/<group>/<version>`
pub fn group_version(registry: &Registry, group: &str, version: &str) -> Result<Response, Failure> {
    let mut resources: Vec<Value> = Vec::new();
    for resource in registry.of_version(group, version) {
        resources.push(with_extras(
            json!({
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": VERBS,
            }),
            resource,
        ));
        for Subresource {
            name: subresource,
            group_version: scope_group,
            kind,
        } in subresources(resource)
        {
            let mut entry = json!({
                "name": format!("{}/{subresource}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": subresource_verbs(subresource),
            });
            if let (Some((group, version)), Some(map)) = (scope_group, entry.as_object_mut()) {
                map.insert("group".to_owned(), group.into());
                map.insert("version".to_owned(), version.into());
            }
            resources.push(entry);
        }
    }
    for (_, _, plural, kind, namespaced) in
        REVIEWS.iter().filter(|(review_group, review_version, ..)| {
            *review_group == group && *review_version == version
        })
    {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind,
            "verbs": ["create"],
        }));
    }
    if resources.is_empty() {
        return Err(Failure::unknown_path());
    }
    Ok(respond::json(
        StatusCode::OK,
        &json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": api_version(group, version),
            "resources": resources,
        }),
    ))
}

fn with_extras(mut entry: Value, resource: &Resource) -> Value {
    if let Some(map) = entry.as_object_mut() {
        if !resource.short_names.is_empty() {
            map.insert("shortNames".to_owned(), resource.short_names.clone().into());
        }
        if !resource.categories.is_empty() {
            map.insert("categories".to_owned(), resource.categories.clone().into());
        }
    }
    entry
}

/// An endpoint below an object.
struct Subresource {
    name: &'static str,
    /// Group and version of its kind, if they differ from the object's.
    group_version: Option<(&'static str, &'static str)>,
    kind: String,
}

fn subresources(resource: &Resource) -> Vec<Subresource> {
    let own_kind = |name| Subresource {
        name,
        group_version: None,
        kind: resource.kind.clone(),
    };
    let mut list = Vec::new();
    if resource.kind == "Namespace" {
        list.push(own_kind("finalize"));
    }
    if resource.scale.is_some() {
        list.push(Subresource {
            name: "scale",
            group_version: Some(("autoscaling", "v1")),
            kind: "Scale".to_owned(),
        });
    }
    if resource.has_status {
        list.push(own_kind("status"));
    }
    list
}

fn subresource_verbs(subresource: &str) -> &'static [&'static str] {
    match subresource {
        "finalize" => &["update"],
        _ => &["get", "patch", "update"],
    }
}

fn groups_with_versions(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = registry
        .groups()
        .into_iter()
        .map(|(group, versions)| {
            (
                group.to_string(),
                versions.iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    for (group, version, ..) in REVIEWS {
        if !groups.iter().any(|(name, _)| name == group) {
            groups.push(((*group).to_owned(), vec![(*version).to_owned()]));
        }
    }
    groups
}

fn group_document(group: &str, versions: &[String]) -> Value {
    let entry = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({
        "name": group,
        "versions": versions.iter().map(entry).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(entry),
    })
}

fn aggregated(items: &[Value]) -> Response {
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    respond::with_type(StatusCode::OK, AGGREGATED, document.to_string())
}

fn aggregated_group(registry: &Registry, group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let mut by_name: BTreeMap<String, Value> = BTreeMap::new();
            for resource in registry.of_version(group, version) {
                by_name.insert(resource.plural.clone(), aggregated_resource(resource));
            }
            for (_, _, plural, kind, namespaced) in REVIEWS
                .iter()
                .filter(|(review_group, review_version, ..)| *review_group == group && review_version == version)
            {
                by_name.insert(
                    (*plural).to_owned(),
                    json!({
                        "resource": plural,
                        "responseKind": {"group": "", "version": "", "kind": kind},
                        "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                        "singularResource": kind.to_lowercase(),
                        "verbs": ["create"],
                    }),
                );
            }
            json!({"version": version, "freshness": "Current", "resources": by_name.into_values().collect::<Vec<_>>()})
        })
        .collect();
    let metadata = if group.is_empty() {
        json!({})
    } else {
        json!({"name": group})
    };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(
            |Subresource {
                 name,
                 group_version,
                 kind,
             }| {
                let (group, version) = group_version.unwrap_or_default();
                json!({
                    "subresource": name,
                    "responseKind": {"group": group, "version": version, "kind": kind},
                    "verbs": subresource_verbs(name),
                })
            },
        )
        .collect();
    let mut entry = with_extras(
        json!({
            "resource": resource.plural,
            "responseKind": {"group": "", "version": "", "kind": resource.kind},
            "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": resource.singular,
            "verbs": VERBS,
        }),
        resource,
    );
    if let (false, Some(map)) = (subresources.is_empty(), entry.as_object_mut()) {
        map.insert("subresources".to_owned(), subresources.into());
    }
    entry
}
