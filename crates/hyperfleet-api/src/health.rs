//! `/healthz` and `/readyz`, with the bodies that clients of this API know. Liveness depends on nothing.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

/// Whether requests can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet.
    Starting,
    /// Yes.
    Ready,
    /// Not while the database is away.
    NoDatabase,
    /// Not any more; this is for good.
    ShuttingDown,
}

/// The readiness of one API. Clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    readiness: Arc<Mutex<Readiness>>,
}

impl Health {
    /// Before the start is complete.
    pub fn new() -> Self {
        Self {
            readiness: Arc::new(Mutex::new(Readiness::Starting)),
        }
    }

    /// Changes the readiness.
    pub fn set(&self, readiness: Readiness) {
        let mut current = self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *current != Readiness::ShuttingDown {
            *current = readiness;
        }
    }

    /// The readiness now.
    pub fn get(&self) -> Readiness {
        *self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// `/livez`, `/healthz`, `/readyz`.
    pub fn router(&self) -> Router {
        let alive = || async { Json(json!({"status": "ok"})) };
        Router::new()
            .route("/livez", get(alive))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let (status, reason) = match health.get() {
        Readiness::Ready => return Json(json!({"status": "ok"})).into_response(),
        Readiness::Starting => ("not_ready", "Application is not ready"),
        Readiness::NoDatabase => ("not_ready", "Database connection not available"),
        Readiness::ShuttingDown => ("shutting_down", "Application is shutting down"),
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({"status": status, "reason": reason})),
    )
        .into_response()
}
