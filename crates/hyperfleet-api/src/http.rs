//! The HTTP face: one dispatcher that routes, reads, calls the [`Api`], and answers.
//!
//! ```text
//!  request ─► route ─► identity ─► body (bounded) ─► Api ─► reply
//! ```
//!
//! - [`route`]: path and method → action
//! - [`query`]: query parameters
//! - [`identity`]: who asks
//! - [`reply`]: JSON answers, problem documents, field selection

pub mod identity;
pub mod query;
pub mod reply;
pub mod route;

use std::{convert::Infallible, sync::Arc, time::Instant};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{HeaderValue, Method, StatusCode, header};
use hyperfleet_types::{Code, List, Problem, Resource};
use tower::service_fn;

use crate::{
    error::{Error, Rejection},
    health::{Health, Readiness},
    http::{
        identity::Identity,
        query::{Fields, Params},
        route::{Action, Refused, Route},
    },
    metrics::Metrics,
    request::{self, MAX_BODY_BYTES, NewResource, ResourcePatch},
    schema::Schemas,
    service::{Api, Caller, Scope},
    store,
};

/// Longest time for one request, body included.
pub const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
/// Header that names a request; an incoming value is ignored.
pub const REQUEST_ID: &str = "x-request-id";

/// What every request needs.
#[derive(Debug)]
pub struct App {
    /// The API.
    pub api: Api,
    /// Schemas of specs.
    pub schemas: Schemas,
    /// How callers are known.
    pub identity: Identity,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether requests can be served.
    pub health: Health,
    /// Version of this program.
    pub version: String,
}

/// The router of the API port.
pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback_service(service_fn(move |request: Request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(dispatch(app, request).await) }
    }))
}

/// A request as far as problems speak of it.
struct Asked {
    id: String,
    path: String,
}

async fn dispatch(app: Arc<App>, request: Request) -> Response {
    let started = Instant::now();
    let asked = Asked {
        id: uuid::Uuid::now_v7().to_string(),
        path: request.uri().path().to_owned(),
    };
    let method = request.method().clone();
    let agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    tracing::debug!(request_id = asked.id, %method, path = asked.path, user_agent = agent, "HTTP request received");
    let route = route::route(app.api.registry(), &method, &asked.path);
    let template = route
        .as_ref()
        .map_or_else(Refused::template, |route| route.template.clone());
    let outcome = match route {
        Err(refused) => Err(refused),
        Ok(route) => {
            let work = handle(app.clone(), route, request);
            match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
                Ok(answer) => Ok(answer),
                Err(_) => Ok(Err(Rejection::new(
                    Code::Timeout,
                    "The request took too long",
                )
                .into())),
            }
        }
    };
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            if let Error::Store(cause) = &error {
                tracing::error!(request_id = asked.id, error = %cause, "storage failed");
            }
            reply::problem(error.problem(), &asked.path, Some(&asked.id))
        }
        Err(refused) => refused.reply(&asked.path),
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        headers.insert(REQUEST_ID, id);
    }
    if method == Method::HEAD {
        let length = axum::body::HttpBody::size_hint(response.body()).exact();
        *response.body_mut() = Body::empty();
        if let Some(length) = length {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
    }
    let status = response.status().as_u16();
    app.metrics
        .request(&method, &template, status, started.elapsed());
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        request_id = asked.id, %method, path = asked.path, status_code = status, duration_ms, user_agent = agent,
        "HTTP request completed"
    );
    response
}

async fn handle(app: Arc<App>, route: Route, request: Request) -> Result<Response, Error> {
    if app.health.get() == Readiness::Starting && route.action.needs_storage() {
        return Err(sql_store::Error::unavailable("the start is not complete").into());
    }
    let (parts, body) = request.into_parts();
    let params = Params::parse(&parts.uri)?;
    let writes = !matches!(parts.method, Method::GET | Method::HEAD);
    let caller = if writes {
        app.identity.caller(&parts.headers, &route.action)?
    } else {
        Caller::default()
    };
    let body = if writes {
        read(body).await?
    } else {
        Vec::new()
    };
    let handling = Handling {
        app: &app,
        legacy: route.legacy,
        params,
        caller,
        body,
    };
    match route.action {
        Action::Metadata => Ok(reply::metadata(&app.version)),
        Action::OpenApi => Ok(reply::json(
            StatusCode::OK,
            &crate::openapi::document(app.api.registry(), &app.version),
        )),
        Action::OpenApiPage => Ok(reply::page(crate::openapi::page(app.api.registry()))),
        Action::List(scope) => handling.list(&scope).await,
        Action::Create(scope) => handling.create(&scope).await,
        Action::Get(scope, id) => handling.get(&scope, &id).await,
        Action::Patch(scope, id) => handling.patch(&scope, &id).await,
        Action::Delete(scope, id) => handling.delete(&scope, &id).await,
        Action::ForceDelete(scope, id) => handling.force_delete(&scope, &id).await,
        Action::Statuses(scope, id) => handling.statuses(&scope, &id).await,
        Action::Report(scope, id) => handling.report(&scope, &id).await,
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Error> {
    match axum::body::to_bytes(body, MAX_BODY_BYTES).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            let too_large = std::error::Error::source(&error)
                .is_some_and(|cause| cause.to_string().contains("length limit"));
            let text = format!("Request body must be at most {MAX_BODY_BYTES} bytes");
            Err(if too_large {
                Rejection::malformed(text).status(413)
            } else {
                Rejection::malformed("Request body could not be read")
            }
            .into())
        }
    }
}

/// One request on its way.
struct Handling<'a> {
    app: &'a App,
    legacy: bool,
    params: Params,
    caller: Caller,
    body: Vec<u8>,
}

impl Handling<'_> {
    async fn list(self, scope: &Scope) -> Result<Response, Error> {
        let api = &self.app.api;
        api.check_parent(scope).await?;
        let page = self.params.page()?;
        let fields = self.params.fields()?;
        let query = store::Query {
            kind: self.params.kind(scope, api.registry())?,
            linked: self.params.linked(scope)?,
            search: self.params.search(scope)?,
            order: self.params.order()?,
            offset: page.offset(),
            limit: page.size,
            ..store::Query::default()
        };
        let (resources, total) = api.list(scope, query).await?;
        let mut items = Vec::with_capacity(resources.len());
        for resource in resources {
            items.push(self.show(resource, &fields).await?);
        }
        // Older clients read this one list as a bare array.
        let kind = scope.kind.as_ref();
        if self.legacy && kind.is_some_and(|kind| kind.plural == query::MANAGEMENT_CLUSTERS) {
            return Ok(reply::json(StatusCode::OK, &items));
        }
        Ok(reply::json(
            StatusCode::OK,
            &List::new(items, page.number, total),
        ))
    }

    async fn create(self, scope: &Scope) -> Result<Response, Error> {
        request::check_spec(
            &self.app.schemas,
            scope.kind.as_ref().map(|kind| kind.kind.as_str()),
            &self.body,
        )?;
        let new = NewResource::parse(&self.body)?;
        let resource = self.app.api.create(scope, &self.caller, new).await?;
        Ok(reply::json(StatusCode::CREATED, &resource))
    }

    async fn get(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let fields = self.params.fields()?;
        let resource = self.app.api.get(scope, id).await?;
        Ok(reply::json(
            StatusCode::OK,
            &self.show(resource, &fields).await?,
        ))
    }

    async fn patch(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let kind = match &scope.kind {
            Some(kind) => Some(kind.kind.clone()),
            // On the root the stored kind decides; an unknown id is found out later.
            None => self
                .app
                .api
                .get(scope, id)
                .await
                .ok()
                .map(|resource| resource.kind),
        };
        if kind.is_some() {
            request::check_spec(&self.app.schemas, kind.as_deref(), &self.body)?;
        }
        let patch = ResourcePatch::parse(&self.body)?;
        let resource = self.app.api.patch(scope, &self.caller, id, patch).await?;
        Ok(reply::json(StatusCode::OK, &resource))
    }

    async fn delete(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let resource = self.app.api.delete(scope, &self.caller, id).await?;
        Ok(reply::json(StatusCode::ACCEPTED, &resource))
    }

    async fn force_delete(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let reason = request::reason(&self.body)?;
        let removed = self.app.api.force_delete(scope, id).await?;
        tracing::warn!(
            resource_kind = scope.label(),
            resource_id = id,
            caller = self.caller.actor,
            reason,
            child_resource_ids = removed
                .iter()
                .filter(|removed| *removed != id)
                .cloned()
                .collect::<Vec<_>>()
                .join(","),
            "resource was force-deleted; what its adapters made stays"
        );
        Ok(reply::empty())
    }

    async fn statuses(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let page = self.params.page()?;
        let (statuses, total) = self
            .app
            .api
            .statuses(scope, id, page.offset(), page.size)
            .await?;
        Ok(reply::json(
            StatusCode::OK,
            &List::new(statuses, page.number, total),
        ))
    }

    async fn report(self, scope: &Scope, id: &str) -> Result<Response, Error> {
        let incoming = request::report(&self.body)?;
        match self.app.api.report(scope, id, incoming).await? {
            Some(status) => Ok(reply::json(StatusCode::CREATED, &status)),
            None => Ok(reply::empty()),
        }
    }

    /// A resource as it is shown: as it is, in part, or with the members that older clients expect on their path.
    async fn show(&self, resource: Resource, fields: &Fields) -> Result<reply::Shown, Error> {
        if self.legacy {
            let (statuses, _) = self
                .app
                .api
                .store()
                .statuses(&resource.id, 0, query::MAX_SIZE)
                .await?;
            return Ok(reply::Shown::Part(
                fields.apply(reply::legacy(&resource, &statuses)),
            ));
        }
        if fields.is_all() {
            return Ok(reply::Shown::Whole(Box::new(resource)));
        }
        Ok(reply::Shown::Part(fields.apply(reply::value(&resource))))
    }
}

/// A problem about a method that a path does not know.
pub(crate) fn method_not_allowed(allowed: &str) -> Problem {
    let mut problem = Problem::new(
        Code::BadRequest,
        format!("This path answers to {allowed} only"),
    );
    problem.status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    problem.title = "Method Not Allowed".to_owned();
    problem
}
