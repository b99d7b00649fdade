//! Liveness and readiness.
//!
//! Liveness depends on nothing: a database that is away must not restart a process that could serve as soon as it
//! is back. Readiness is the conjunction of named gates, each held by the part that knows; until every gate has
//! said [`Gate::ready`], and from shutdown on, the service is not ready.
//!
//! Paths and bodies follow `docs/protocol/service-conventions.md`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

/// The health of one service: a set of named gates.
#[derive(Clone, Debug, Default)]
pub struct Health {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None` = open, `Some(reason)` = closed (the reason may be empty before the first word).
    gates: BTreeMap<String, Option<String>>,
    shutting_down: bool,
}

/// One named condition of readiness. Cheap to clone; starts closed.
#[derive(Clone, Debug)]
pub struct Gate {
    name: String,
    health: Health,
}

/// A snapshot of [`Health`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// From [`Health::shutting_down`] on.
    pub shutting_down: bool,
    /// Gate name to the reason why it is closed; `None` = open.
    pub checks: BTreeMap<String, Option<String>>,
}

// === impl Health ===

impl Health {
    /// A service with no gates: ready at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a closed gate; the service is not ready until somebody calls [`Gate::ready`] on it.
    ///
    /// Asking twice for the same name gives the same gate (and closes it).
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let gate = Gate {
            name: name.into(),
            health: self.clone(),
        };
        gate.not_ready("");
        gate
    }

    /// Closes readiness for good: the load balancer must stop sending while the service drains.
    pub fn shutting_down(&self) {
        self.lock().shutting_down = true;
    }

    /// Whether every gate is open and no shutdown has begun.
    pub fn is_ready(&self) -> bool {
        self.report().is_ready()
    }

    /// All gates at this moment.
    pub fn report(&self) -> Report {
        let inner = self.lock();
        Report {
            shutting_down: inner.shutting_down,
            checks: inner.gates.clone(),
        }
    }

    /// `GET /livez`, `/healthz` (always 200) and `/readyz` (200 or 503).
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
            .route("/livez", get(alive))
            .route("/healthz", get(alive))
            .route(
                "/readyz",
                get(|State(health): State<Health>| async move { health.report().into_response() }),
            )
            .with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave a map of strings half-written: go on with what is there.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

// === impl Gate ===

impl Gate {
    /// Opens the gate.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Closes the gate and says why, in words for an operator.
    pub fn not_ready(&self, reason: &str) {
        self.set(Some(reason.to_owned()));
    }

    fn set(&self, state: Option<String>) {
        self.health.lock().gates.insert(self.name.clone(), state);
    }
}

// === impl Report ===

impl Report {
    /// Whether every gate is open and no shutdown has begun.
    pub fn is_ready(&self) -> bool {
        !self.shutting_down && self.checks.values().all(Option::is_none)
    }
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        if self.shutting_down {
            let body = json!({"status": "error", "message": "server is shutting down"});
            return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
        }
        let ready = self.is_ready();
        let mut body = Map::new();
        if !self.checks.is_empty() {
            let state = |closed: &Option<String>| {
                Value::from(if closed.is_none() { "ok" } else { "error" })
            };
            body.insert(
                "checks".into(),
                self.checks
                    .iter()
                    .map(|(name, closed)| (name.clone(), state(closed)))
                    .collect(),
            );
        }
        if ready {
            body.insert("status".into(), "ok".into());
            return (StatusCode::OK, Json(Value::Object(body))).into_response();
        }
        let reasons: Map<String, Value> = self
            .checks
            .into_iter()
            .filter_map(|(name, closed)| {
                closed
                    .filter(|reason| !reason.is_empty())
                    .map(|reason| (name, reason.into()))
            })
            .collect();
        if !reasons.is_empty() {
            body.insert("reasons".into(), Value::Object(reasons));
        }
        body.insert("status".into(), "error".into());
        body.insert("message".into(), "not ready".into());
        (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Object(body))).into_response()
    }
}
