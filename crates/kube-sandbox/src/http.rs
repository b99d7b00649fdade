//! The HTTP side: from a request to a read, a write or a watch, and back.

mod access;
mod body;
mod discovery;
mod negotiate;
mod openapi;
mod path;
mod protobuf;
mod query;
mod read;
mod respond;
mod reviews;
mod scale;
mod table;
mod watch;
mod write;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::rbac::User;
use crate::store::Store;
use path::Path;
use query::Query;

/// What handlers need.
#[derive(Clone)]
pub struct App {
    /// The objects.
    pub store: Store,
    /// Whether only this machine can reach the address.
    pub loopback: bool,
    /// Whether permissions are checked.
    pub rbac: bool,
    /// Required token, if any.
    pub token: Option<Arc<str>>,
    /// Ends watches.
    pub shutdown: CancellationToken,
    /// Open watches.
    pub watches: Arc<AtomicUsize>,
    /// The time.
    pub clock: fn() -> jiff::Timestamp,
}

/// All paths of the API.
pub fn router(app: App) -> Router {
    Router::new().fallback(handle).with_state(app)
}

async fn handle(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let user = match access::user(&app, &parts.headers) {
        Ok(user) => user,
        Err(failure) => return respond::failure(&failure),
    };
    let head = Head {
        method: parts.method,
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        path: parts.uri.path().to_owned(),
        user,
        checked: app.rbac,
    };
    let verb = head.method.clone();
    match dispatch(&app, head, body).await {
        Ok(response) => response,
        Err(failure) => {
            tracing::debug!(method = %verb, code = failure.code, message = %failure.message, "Refused a request.");
            respond::failure(&failure)
        }
    }
}

/// A request without its body.
pub struct Head {
    method: Method,
    query: Query,
    headers: axum::http::HeaderMap,
    path: String,
    user: User,
    /// Whether permissions are checked.
    checked: bool,
}

impl Head {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

async fn dispatch(app: &App, head: Head, body: Body) -> Result<Response, Failure> {
    let registry = app.store.registry();
    match Path::parse(&head.path)? {
        Path::Health => Ok(respond::text(StatusCode::OK, "ok")),
        Path::Version => Ok(respond::json(StatusCode::OK, &version())),
        Path::Root => Ok(respond::json(StatusCode::OK, &discovery::root(&registry))),
        Path::Core => discovery::core(&registry, &head),
        Path::Groups => discovery::groups(&registry, &head),
        Path::Group(group) => discovery::group(&registry, &group),
        Path::GroupVersion(group, version) => discovery::group_version(&registry, &group, &version),
        Path::OpenApi(rest) => openapi::serve(&registry, &rest, head.header(header::ACCEPT)),
        Path::Object(place) => {
            access::check(app, &head, &place)?;
            if place.is_review() {
                return reviews::serve(app, &head, &place, body).await;
            }
            let resource = registry
                .find(&place.group, &place.version, &place.plural)
                .cloned()
                .ok_or_else(Failure::unknown_path)?;
            if resource.namespaced == place.namespace.is_none()
                && !(place.namespace.is_none() && place.name.is_none())
            {
                return Err(Failure::unknown_path());
            }
            if place.subresource.as_deref() == Some("scale") {
                return scale::serve(app, &head, &resource, place, body).await;
            }
            match (&head.method, &place.name) {
                (&Method::GET | &Method::HEAD, Some(name)) if head.query.flag("watch")? => {
                    let name = name.clone();
                    watch::serve(app, &head, &resource, &place, Some(&name))
                }
                (&Method::GET | &Method::HEAD, Some(_)) => read::get(app, &head, &resource, &place),
                (&Method::GET | &Method::HEAD, None) if head.query.flag("watch")? => {
                    watch::serve(app, &head, &resource, &place, None)
                }
                (&Method::GET | &Method::HEAD, None) => read::list(app, &head, &resource, &place),
                _ => write::serve(app, &head, &resource, place, body).await,
            }
        }
    }
}

/// What `kubectl version` shows: the API level that is served.
fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": concat!("v1.32.0+hyperfleet-sandbox-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
