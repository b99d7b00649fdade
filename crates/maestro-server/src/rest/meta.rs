//! What the API says about itself.

use axum::response::Response;
use http::StatusCode;

use super::response::raw;

const API: &str = r#"{"id":"maestro","href":"/api/maestro","kind":"API","versions":[{"id":"v1","href":"/api/maestro/v1","kind":"","collections":null}]}"#;
const VERSION: &str = r#"{"id":"v1","href":"/api/maestro/v1","kind":"APIVersion","collections":[{"id":"resources","href":"/api/maestro/v1/resources","kind":"ResourceList"}]}"#;
const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn api() -> Response {
    raw(StatusCode::OK, API)
}

pub(super) async fn version() -> Response {
    raw(StatusCode::OK, VERSION)
}

pub(super) async fn openapi() -> Response {
    raw(StatusCode::OK, OPENAPI)
}
