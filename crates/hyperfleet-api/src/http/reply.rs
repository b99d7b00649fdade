//! Answers.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use hyperfleet_types::{AdapterStatus, Problem, Resource, problem::CONTENT_TYPE};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// A JSON answer, written as Go writes it: members in their order, no newline at the end.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match go_compat::json::to_vec(value) {
        Ok(body) => with(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            with(StatusCode::INTERNAL_SERVER_ERROR, CONTENT_TYPE, Vec::new())
        }
    }
}

/// 204.
pub fn empty() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An HTML page.
pub fn page(html: String) -> Response {
    with(
        StatusCode::OK,
        "text/html; charset=utf-8",
        html.into_bytes(),
    )
}

/// A problem document.
pub fn problem(mut problem: Problem, path: &str, request: Option<&str>) -> Response {
    problem.instance = Some(path.to_owned());
    problem.timestamp = Some(crate::domain::microseconds(Timestamp::now()));
    problem.trace_id = request.map(str::to_owned);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &problem);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// Which API this is.
pub fn metadata(version: &str) -> Response {
    #[derive(Serialize)]
    struct Metadata<'a> {
        id: &'a str,
        href: &'a str,
        kind: &'a str,
        version: &'a str,
        build_time: &'a str,
    }
    let metadata = Metadata {
        id: "hyperfleet",
        href: "/api/hyperfleet",
        kind: "API",
        version,
        build_time: "unknown",
    };
    json(StatusCode::OK, &metadata)
}

fn with(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A resource as it is shown.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// All of it, members in their order.
    Whole(Box<Resource>),
    /// Some members, or more of them.
    Part(Value),
}

/// A resource as JSON.
pub fn value(resource: &Resource) -> Value {
    // Strings, numbers and maps with text keys always have a JSON form.
    serde_json::to_value(resource).unwrap_or_default()
}

/// A resource with the members that clients of the older path read: `status.phase`, `status.adapters`, `metadata.id`.
pub fn legacy(resource: &Resource, statuses: &[AdapterStatus]) -> Value {
    let phase = match (resource.is_deleting(), resource.is_reconciled()) {
        (true, _) => "Terminating",
        (false, true) => "Ready",
        (false, false) => "NotReady",
    };
    let adapters: Vec<Value> = statuses
        .iter()
        .map(|status| {
            json!({
                "name": status.adapter,
                "observed_generation": status.observed_generation,
                "conditions": status.conditions,
                "data": status.data,
                "last_report_time": status.last_report_time,
            })
        })
        .collect();
    let mut value = value(resource);
    if let Some(members) = value.as_object_mut() {
        members.insert("metadata".to_owned(), json!({"id": resource.id}));
        if let Some(status) = members.get_mut("status").and_then(Value::as_object_mut) {
            status.insert("phase".to_owned(), phase.into());
            status.insert("adapters".to_owned(), adapters.into());
        }
    }
    value
}
