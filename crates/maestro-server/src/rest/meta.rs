//! What the API says about itself.

use axum::response::Response;
use http::{StatusCode, header};

use super::response::raw;

const API: &str = r#"{"id":"maestro","href":"/api/maestro","kind":"API","versions":[{"id":"v1","href":"/api/maestro/v1","kind":"","collections":null}]}"#;
const VERSION: &str = r#"{"id":"v1","href":"/api/maestro/v1","kind":"APIVersion","collections":[{"id":"resources","href":"/api/maestro/v1/resources","kind":"ResourceList"}]}"#;
const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn api() -> Response {
    plain(API)
}

pub(super) async fn version() -> Response {
    plain(VERSION)
}

pub(super) async fn openapi() -> Response {
    plain(OPENAPI)
}

/// The same for everybody.
fn plain(text: &'static str) -> Response {
    let mut response = raw(StatusCode::OK, text);
    response.headers_mut().remove(header::VARY);
    response
}
