//! Requests that are answered and not stored: who am I, may I, is this token good. The sandbox allows everything.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::path::Place;
use super::{App, Head, body, respond};
use crate::failure::Failure;

/// The user that everybody is.
const USER: &str = "sandbox-admin";

/// Answers a review.
pub async fn serve(
    app: &App,
    head: &Head,
    place: &Place,
    request: Body,
) -> Result<Response, Failure> {
    if head.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let bytes = body::read(request).await?;
    let mut review = body::decode(&bytes, head.header(header::CONTENT_TYPE))?.value;
    let status = match (place.group.as_str(), place.plural.as_str()) {
        (
            "authorization.k8s.io",
            "subjectaccessreviews" | "selfsubjectaccessreviews" | "localsubjectaccessreviews",
        ) => json!({"allowed": true, "reason": "the sandbox allows everything"}),
        ("authorization.k8s.io", "selfsubjectrulesreviews") => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        ("authentication.k8s.io", "tokenreviews") => {
            let token = review
                .pointer("/spec/token")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let good = app.token.as_ref().is_none_or(|wanted| **wanted == *token);
            if good {
                json!({"authenticated": true, "user": user()})
            } else {
                json!({"authenticated": false})
            }
        }
        ("authentication.k8s.io", "selfsubjectreviews") => json!({"userInfo": user()}),
        _ => return Err(Failure::unknown_path()),
    };
    let Some(map) = review.as_object_mut() else {
        return Err(Failure::bad_request("a review must be an object"));
    };
    map.insert("status".to_owned(), status);
    map.entry("metadata").or_insert_with(|| json!({}));
    if let Some(Value::Object(spec)) = map.get_mut("spec") {
        spec.remove("token");
    }
    Ok(respond::json(StatusCode::CREATED, &review))
}

fn user() -> Value {
    json!({"username": USER, "groups": ["system:masters", "system:authenticated"]})
}
