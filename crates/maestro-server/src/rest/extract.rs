//! What handlers take from requests. What can't be taken is refused in the words of this API, and not in those of a library.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::StatusCode;
use http::request::Parts;

use super::response::{Failure, Operation};
use crate::problem::{self, Code, Problem};

/// The id in a path.
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => {
                let reason = "no id has this name: it isn't UTF-8";
                let problem = Problem::new(problem::NOT_FOUND, reason);
                Err(Operation::of(&parts.headers).failed(problem))
            }
        }
    }
}

/// A whole body, no larger than the limit and not slower than it may be.
pub(super) struct Body(pub(super) axum::body::Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let operation = Operation::of(request.headers());
        let read = axum::body::Bytes::from_request(request, state).await;
        read.map(Self)
            .map_err(|rejection| operation.failed(unread(&rejection)))
    }
}

fn unread(rejection: &BytesRejection) -> Problem {
    let status = rejection.status();
    let reason = if status == StatusCode::PAYLOAD_TOO_LARGE {
        format!("the request body is larger than {} bytes", super::MAX_BODY)
    } else {
        "the request body ended early, or took too long".to_owned()
    };
    let code = Code {
        status,
        ..problem::MALFORMED_REQUEST
    };
    Problem::new(code, reason)
}
