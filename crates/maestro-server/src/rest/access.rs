//! Lets callers in, or says why not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use super::response::Operation;
use crate::authn::{RestDoor, Turned};
use crate::problem::{self, Problem};

/// Before every handler. A caller that was let in is an extension of its request.
pub(super) async fn admit(
    State(door): State<Arc<RestDoor>>,
    mut request: Request,
    next: Next,
) -> Response {
    let turned = match door.admit(request.method(), request.headers()).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            return next.run(request).await;
        }
        Err(turned) => turned,
    };
    let challenge = match turned {
        Turned::NoToken => Some(r#"Bearer realm="maestro""#),
        Turned::BadToken => Some(r#"Bearer realm="maestro", error="invalid_token""#),
        Turned::MayOnlyRead => Some(r#"Bearer realm="maestro", error="insufficient_scope""#),
        Turned::NoJudge => None,
    };
    let operation = Operation::of(request.headers());
    let mut response = operation.failed(problem(turned)).into_response();
    if let Some(challenge) = challenge {
        let challenge = HeaderValue::from_static(challenge);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn problem(turned: Turned) -> Problem {
    match turned {
        Turned::NoToken | Turned::BadToken => {
            Problem::new(problem::UNAUTHENTICATED, problem::UNAUTHENTICATED.reason)
        }
        Turned::MayOnlyRead => Problem::new(problem::UNAUTHORIZED, problem::UNAUTHORIZED.reason),
        Turned::NoJudge => Problem {
            code: problem::GENERAL,
            reason: "Tokens can't be checked now, try again later".to_owned(),
            unavailable: true,
        },
    }
}
