//! Probes: `/livez` depends on nothing, readiness on the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{StatusCode, header};
use service_runtime::health::{Gate, Health};
use service_runtime::{http as http_server, tls};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::storage::Store;
use crate::telemetry::Telemetry;

/// How often the database is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long answers to probes may take at the end.
const DRAIN: Duration = Duration::from_secs(1);

/// The health listener runs before the database is open, so that waiting for it isn't taken for death.
pub(super) struct Probes {
    pub(super) health: Health,
    pub(super) database: Gate,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Probes {
    /// Stops answering.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Probes {
    /// Starts to answer: alive, not ready yet.
    pub(super) fn start(listener: TcpListener, tls: Option<tls::Server>) -> Self {
        let health = Health::new();
        let database = health.gate("database");
        database.not_ready("opening the database");
        let stop = CancellationToken::new();
        let router = probe_router(health.clone());
        let options = http_server::Options {
            drain_timeout: DRAIN,
            ..http_server::Options::default()
        };
        let serve = http_server::serve_with(listener, router, tls, options, stop.clone());
        let task = tokio::spawn(serve);
        Self {
            health,
            database,
            stop,
            task,
        }
    }
}

/// `/livez` and `/healthcheck` answer with upstream's bodies; `/readyz` says what is missing.
fn probe_router(health: Health) -> Router {
    let text = |status: StatusCode, body: &'static str| {
        (
            status,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            body,
        )
    };
    Router::new()
        .route(
            "/livez",
            get(move || async move { text(StatusCode::OK, r#"{"status": "ok"}"#) }),
        )
        .route(
            "/healthcheck",
            get(move |State(health): State<Health>| async move {
                if health.is_ready() {
                    text(StatusCode::OK, r#"{"status": "ok"}"#)
                } else {
                    text(
                        StatusCode::SERVICE_UNAVAILABLE,
                        r#"{"status": "not ready"}"#,
                    )
                }
            }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { health.report() }),
        )
        .with_state(health)
}

/// Keeps readiness in step with the database.
pub(super) async fn watch_database(
    store: Arc<dyn Store>,
    gate: Gate,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut probe = tokio::time::interval(PROBE_INTERVAL);
    let mut was_up = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = probe.tick() => {}
        }
        let asked_at = Instant::now();
        let up = match store.ping().await {
            Ok(()) => {
                telemetry.flow().database("ping", asked_at.elapsed());
                gate.ready();
                true
            }
            Err(error) => {
                gate.not_ready("the database doesn't answer");
                if was_up != Some(false) {
                    tracing::warn!(%error, "The database doesn't answer: not ready.");
                }
                false
            }
        };
        if up && was_up == Some(false) {
            tracing::info!("The database answers again: ready.");
        }
        was_up = Some(up);
    }
}

/// Load balancers must stop sending as soon as the end begins.
pub(super) async fn not_ready_from(stop: CancellationToken, health: Health) {
    stop.cancelled().await;
    health.shutting_down();
}
