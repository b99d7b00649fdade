//! `/healthz` and `/readyz`: whether polling goes on, and whether pulses can flow.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use event_broker::Broker;
use serde_json::{Map, Value, json};

/// Polls that may be missed before polling counts as stale.
const MISSED_POLLS: u32 = 3;

/// What is known about the health of one Sentinel. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Arc<dyn Broker>,
    limit: Duration,
    last_poll: Mutex<Option<Instant>>,
    shutting_down: AtomicBool,
}

impl Health {
    /// Before the first poll.
    pub fn new(broker: Arc<dyn Broker>, poll_interval: Duration) -> Self {
        let limit = poll_interval.saturating_mul(MISSED_POLLS);
        Self {
            inner: Arc::new(Inner {
                broker,
                limit,
                last_poll: Mutex::new(None),
                shutting_down: AtomicBool::new(false),
            }),
        }
    }

    /// All resources were fetched just now.
    pub fn polled(&self) {
        *self
            .inner
            .last_poll
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// From now on nothing is ready.
    pub fn shutting_down(&self) {
        self.inner.shutting_down.store(true, Ordering::Relaxed);
    }

    /// Time since the last successful poll.
    fn age(&self) -> Option<Duration> {
        self.inner
            .last_poll
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|at| at.elapsed())
    }

    fn is_stale(&self) -> bool {
        self.age().is_some_and(|age| age > self.inner.limit)
    }

    /// Each check with its problem.
    fn checks(&self) -> [(&'static str, Result<(), String>); 2] {
        if self.inner.shutting_down.load(Ordering::Relaxed) {
            return ["broker", "sentinel_poll"].map(|name| (name, Err("unavailable".to_owned())));
        }
        let poll = match self.age() {
            None => Err("no successful poll completed yet".to_owned()),
            Some(age) if age > self.inner.limit => {
                Err(format!("last successful poll was {}s ago", age.as_secs()))
            }
            Some(_) => Ok(()),
        };
        [
            (
                "broker",
                self.inner
                    .broker
                    .health()
                    .map_err(|error| error.to_string()),
            ),
            ("sentinel_poll", poll),
        ]
    }

    /// `/livez` (always 200), `/healthz`, `/readyz`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(|| async { Json(json!({"status": "ok"})) }))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

async fn alive(State(health): State<Health>) -> Response {
    if health.is_stale() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "poll stale"})),
        )
            .into_response();
    }
    Json(json!({"status": "ok"})).into_response()
}

async fn ready(State(health): State<Health>) -> Response {
    let checks = health.checks();
    let ready = checks.iter().all(|(_, check)| check.is_ok());
    let checks: Map<String, Value> = checks
        .into_iter()
        .map(|(name, check)| {
            (
                name.to_owned(),
                check.map_or_else(Value::from, |()| Value::from("ok")),
            )
        })
        .collect();
    let (code, status) = if ready {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "error")
    };
    (code, Json(json!({"checks": checks, "status": status}))).into_response()
}
