//! Browsers of any origin may call: who is answered how, as upstream does it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Methods that a page may use beyond those that need no permission.
const METHODS: [&str; 4] = ["DELETE", "GET", "PATCH", "POST"];
/// Methods that need no permission of their own.
const SIMPLE_METHODS: [&str; 2] = ["GET", "POST"];
/// Headers that a page may set …
const HEADERS: [&str; 2] = ["Authorization", "Content-Type"];
/// … beyond those that need no permission.
const SIMPLE_HEADERS: [&str; 4] = ["Accept", "Accept-Language", "Content-Language", "Origin"];
/// How long a permission holds, seconds.
const MAX_AGE: &str = "600";

/// The outermost layer: OPTIONS is answered here, whatever the path.
pub(super) async fn cross_origin(request: Request, next: Next) -> Response {
    let has_origin = request.headers().contains_key(header::ORIGIN);
    if request.method() == Method::OPTIONS {
        return if has_origin {
            preflight(request.headers())
        } else {
            StatusCode::OK.into_response()
        };
    }
    let mut response = next.run(request).await;
    if has_origin {
        allow_any(response.headers_mut());
    }
    response
}

/// The answer to a browser that asks before it calls.
fn preflight(asked: &HeaderMap) -> Response {
    let text = |name: &HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let Some(method) = text(&header::ACCESS_CONTROL_REQUEST_METHOD) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !METHODS.contains(&method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let mut headers = Vec::new();
    let wanted = text(&header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    for name in wanted
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let known = |list: &[&'static str]| {
            list.iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .copied()
        };
        match (known(&SIMPLE_HEADERS), known(&HEADERS)) {
            (Some(_), _) => {}
            (None, Some(name)) => headers.push(name),
            (None, None) => return StatusCode::FORBIDDEN.into_response(),
        }
    }
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    allow_any(answer);
    answer.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(MAX_AGE),
    );
    if let Ok(value) = headers.join(",").parse::<HeaderValue>()
        && !headers.is_empty()
    {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    if let Ok(value) = method.parse()
        && !SIMPLE_METHODS.contains(&method)
    {
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value);
    }
    response
}

fn allow_any(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
}
