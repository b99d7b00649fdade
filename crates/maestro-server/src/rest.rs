//! The REST API (`docs/protocol/maestro-rest.md`).

mod access;
mod actor;
mod bundles;
mod compress;
mod consumers;
mod cors;
mod delivery;
mod endings;
mod errors;
mod explain;
mod extract;
mod ksuid;
mod list;
mod meta;
mod places;
mod response;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use event_wire::{attribute::name, trace::TraceContext};
use http::{HeaderMap, Method};
use tracing::{Instrument as _, Span};

use crate::authn::RestDoor;
use crate::delivery::{Hub, Limits};
use crate::storage::Store;
use crate::telemetry::Telemetry;
use crate::writer::Writer;
pub use bundles::Shown;
pub use places::Places;
pub(crate) use response::no_such_path;

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
    /// Items of lists that were shown before.
    pub shown: Arc<Shown>,
    /// How many lists are written at once.
    pub places: Places,
}

/// All routes. A method that a path doesn't have is answered as upstream does it: like an unknown path, except for single
/// consumers.
pub fn router(api: Api) -> Router {
    let upstream = Router::new()
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
                .delete(consumers::delete)
                .fallback(response::no_such_method),
        );
    let ours = Router::new()
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
        .nest("/api/maestro/v1", upstream.merge(ours))
        .method_not_allowed_fallback(response::no_such_path)
        .route_layer(middleware::from_fn_with_state(
            api.door.clone(),
            access::admit,
        ))
        .route_layer(middleware::from_fn_with_state(api.clone(), observe))
        .fallback(response::no_such_path)
        .layer(middleware::from_fn(compress::compressed))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api);
    // Outside of the router, because paths are matched before its layers run.
    let router = router.layer(middleware::from_fn(storable_path));
    Router::new()
        .fallback_service(tower::util::MapRequest::new(router, without_trailing_slash))
        .layer(middleware::from_fn(cors::cross_origin))
}

/// No id holds U+0000, and databases refuse to compare with it.
async fn storable_path(request: Request, next: Next) -> Response {
    if request.uri().path().contains("%00") {
        let uri = axum::extract::OriginalUri(request.uri().clone());
        return response::no_such_path(uri, request).await;
    }
    next.run(request).await
}

/// Counts requests by route.
async fn observe(
    State(api): State<Api>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (started, method) = (Instant::now(), label(request.method()));
    let span = joined(request.headers());
    let response = next.run(request).instrument(span).await;
    let path = path.as_str().replace("{id}", "-");
    api.telemetry
        .rest_call(method, &path, response.status().as_u16(), started.elapsed());
    response
}

/// What log lines about a request carry, if it belongs to a trace.
fn joined(headers: &HeaderMap) -> Span {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let parent = text(name::TRACE_PARENT);
    match parent.and_then(|parent| TraceContext::parse(parent, None)) {
        Some(trace) => tracing::error_span!("request", trace_id = trace.trace_id()),
        None => Span::none(),
    }
}

/// Anybody may invent methods; labels are few.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
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
