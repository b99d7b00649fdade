//! Bodies and headers of answers.

use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::ksuid;
use crate::problem::{Code, Problem};

/// Header by which a caller names its operation.
const OPERATION_ID: &str = "x-operation-id";

/// Longest id that a caller may give, visible ASCII characters.
const MAX_OPERATION_ID: usize = 128;

/// Prefix of all paths.
pub(super) const BASE: &str = "/api/maestro/v1";

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => raw(status, text),
        Err(error) => {
            tracing::error!(%error, "An answer can't be written.");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// There was nothing to say.
pub(super) fn no_content() -> Response {
    raw(StatusCode::NO_CONTENT, axum::body::Body::empty())
}

/// A method that a single consumer doesn't have.
pub(super) async fn no_such_method() -> Response {
    StatusCode::METHOD_NOT_ALLOWED.into_response()
}

/// A JSON answer from its text.
pub(super) fn raw(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    response
}

/// The body of an error, or an entry of the catalogue.
#[derive(Serialize)]
pub(super) struct ErrorBody {
    kind: &'static str,
    id: String,
    href: String,
    code: String,
    reason: String,
    operation_id: String,
}

impl ErrorBody {
    pub(super) fn new(code: Code, reason: &str, operation_id: String) -> Self {
        Self {
            kind: "Error",
            id: code.number.to_string(),
            href: format!("{BASE}/errors/{}", code.number),
            code: format!("maestro-{}", code.number),
            reason: reason.to_owned(),
            operation_id,
        }
    }
}

/// A request that failed, on its way to the client.
pub(super) struct Failure {
    problem: Problem,
    operation_id: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self {
            problem,
            operation_id,
        } = self;
        let body = ErrorBody::new(problem.code, &problem.reason, operation_id);
        json(problem.status(), &body)
    }
}

/// The operation that a request belongs to: the caller's id for it, or a new one.
pub(super) struct Operation {
    id: String,
}

impl Operation {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let named = headers
            .get(OPERATION_ID)
            .and_then(|value| value.to_str().ok());
        // It is logged and kept in the audit, so nobody fills them with it.
        let id = named
            .filter(|text| (1..=MAX_OPERATION_ID).contains(&text.len()))
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
            .map_or_else(ksuid::new, ToOwned::to_owned);
        Self { id }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Says what went wrong.
    pub(super) fn failed(&self, problem: Problem) -> Failure {
        Failure {
            problem,
            operation_id: self.id.clone(),
        }
    }
}

/// The odd answer to unknown paths.
pub(crate) async fn no_such_path(OriginalUri(uri): OriginalUri, _: Request) -> Response {
    let path = uri.path();
    let path = path
        .strip_suffix('/')
        .filter(|path| !path.is_empty())
        .unwrap_or(path);
    #[derive(Serialize)]
    struct Body {
        r#type: &'static str,
        id: &'static str,
        href: String,
        code: &'static str,
        reason: String,
    }
    let body = Body {
        r#type: "Error",
        id: "404",
        href: format!("{BASE}/errors/404"),
        code: "maestro-404",
        reason: format!("The requested resource '{path}' doesn't exist"),
    };
    let mut response = json(StatusCode::NOT_FOUND, &body);
    response.headers_mut().remove(header::VARY);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_operation_ids_come_from_outside() {
        let of = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(OPERATION_ID, given.parse().unwrap());
            Operation::of(&headers).id().to_owned()
        };
        let longest = "x".repeat(MAX_OPERATION_ID);
        for taken in ["op-1", "a/b:c=\"{}\"", &longest] {
            assert_eq!(of(taken), taken);
        }
        let longer = "x".repeat(MAX_OPERATION_ID + 1);
        for refused in ["", "a b", "a\tb", &longer] {
            assert_eq!(of(refused).len(), 27, "{refused:?}");
        }
    }
}
