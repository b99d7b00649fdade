//! Requests that are answered and not stored: who am I, may I, is this token good.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::path::Place;
use super::{App, Head, access, body, respond};
use crate::failure::Failure;
use crate::rbac::User;

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
    let Some(map) = review.as_object_mut() else {
        return Err(Failure::bad_request("a review must be an object"));
    };
    let spec = map.get("spec").cloned().unwrap_or(Value::Null);
    let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = match (place.group.as_str(), place.plural.as_str()) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => decision(app, &head.user, &spec),
        ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews") => {
            let groups = spec
                .get("groups")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let groups = groups
                .filter_map(|group| group.as_str().map(str::to_owned))
                .collect();
            let user = match text("user") {
                name if name == User::admin().name => User::admin(),
                name => User::named(name, groups),
            };
            decision(app, &user, &spec)
        }
        ("authorization.k8s.io", "selfsubjectrulesreviews") => {
            let (resources, paths) = access::rules(app, &head.user, text("namespace"));
            json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
        }
        ("authentication.k8s.io", "tokenreviews") => {
            let good = app
                .token
                .as_ref()
                .is_none_or(|wanted| **wanted == *text("token"));
            if good {
                json!({"authenticated": true, "user": shown(&User::admin())})
            } else {
                json!({"authenticated": false})
            }
        }
        ("authentication.k8s.io", "selfsubjectreviews") => json!({"userInfo": shown(&head.user)}),
        _ => return Err(Failure::unknown_path()),
    };
    map.insert("status".to_owned(), status);
    map.entry("metadata").or_insert_with(|| json!({}));
    if let Some(Value::Object(spec)) = map.get_mut("spec") {
        spec.remove("token");
    }
    Ok(respond::json(StatusCode::CREATED, &review))
}

fn decision(app: &App, user: &User, spec: &Value) -> Value {
    let allowed = access::reviewed(app, user, spec);
    let reason = match (allowed, app.rbac) {
        (_, false) => "the sandbox allows everything",
        (true, true) => "RBAC: allowed",
        (false, true) => "RBAC: no rule allows it",
    };
    json!({"allowed": allowed, "reason": reason})
}

fn shown(user: &User) -> Value {
    json!({"username": user.name, "groups": user.groups})
}
