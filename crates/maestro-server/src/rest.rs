//! The REST API (`docs/protocol/maestro-rest.md`).

mod access;
mod actor;
mod bundles;
mod consumers;
mod delivery;
mod endings;
mod errors;
mod explain;
mod ksuid;
mod list;
mod meta;
mod response;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderValue, Method, StatusCode, header};

use crate::authn::RestDoor;
use crate::delivery::{Hub, Limits};
use crate::storage::Store;
use crate::telemetry::Telemetry;
use crate::writer::Writer;

/// Largest request body, bytes.
const MAX_BODY: usize = 1024 * 1024;

/// What handlers need.
#[derive(Clone)]
pub struct Api {
    /// Rows.
    pub store: Arc<dyn Store>,
    /// Changes.
    pub writer: Writer,
    /// Streams.
    pub hub: Arc<Hub>,
    /// Counters.
    pub telemetry: Telemetry,
    /// Patience with agents.
    pub limits: Limits,
    /// Name of this server.
    pub instance: Arc<str>,
    /// Who is let in.
    pub door: Arc<RestDoor>,
}

/// All routes.
pub fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/", get(meta::version))
        .route("/openapi", get(meta::openapi))
        .route("/errors", get(errors::list))
        .route("/errors/{id}", get(errors::get))
        .route("/resource-bundles", get(bundles::list_all))
        .route(
            "/resource-bundles/{id}",
            get(bundles::get).delete(bundles::delete),
        )
        .route(
            "/consumers",
            get(consumers::list_all).post(consumers::create),
        )
        .route(
            "/consumers/{id}",
            get(consumers::get)
                .patch(consumers::update)
                .delete(consumers::delete),
        );
    let v1 = v1
        .route("/resource-bundles/{id}/explain", get(explain::explained))
        .route("/resource-bundles/{id}/resend", post(explain::resend))
        .route("/consumers/{id}/delivery", get(delivery::get))
        .route("/consumers/{id}/audit", get(delivery::audit))
        .route("/consumers/{id}/force-remove", post(endings::force_remove))
        .route(
            "/consumers/{id}/accept-orphans",
            post(endings::accept_orphans),
        );
    let router = Router::new()
        .route("/api/maestro", get(meta::api))
        .nest("/api/maestro/v1", v1)
        .route_layer(middleware::from_fn_with_state(
            api.door.clone(),
            access::admit,
        ))
        .route_layer(middleware::from_fn_with_state(api.clone(), observe))
        .fallback(response::no_such_path)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api);
    // Outside of the router, because paths are matched before its layers run.
    Router::new()
        .fallback_service(tower::util::MapRequest::new(router, without_trailing_slash))
        .layer(middleware::from_fn(cross_origin))
}

/// Counts requests by route.
async fn observe(
    State(api): State<Api>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (started, method) = (Instant::now(), request.method().clone());
    let response = next.run(request).await;
    let path = path.as_str().replace("{id}", "-");
    api.telemetry.rest_call(
        method.as_str(),
        &path,
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}

/// One slash at the end of a path means nothing.
fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1
        && let Some(path) = path.strip_suffix('/')
    {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        if let Ok(uri) = target.parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Browsers of any origin may call.
async fn cross_origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    let preflight = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    let any = HeaderValue::from_static("*");
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    if preflight {
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("DELETE,GET,PATCH,POST");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static("Authorization,Content-Type");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("600"),
        );
    }
    response
}
