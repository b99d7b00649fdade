//! What every service needs around its work, and nothing of the work itself.
//!
//! ```text
//!  defaults < file < environment < flags ──► config ──► the service's own `Config`
//!  SIGTERM, SIGINT ──► shutdown ──► CancellationToken ──► every task
//!  tracing events  ──► logs     ──► one JSON or text line each, with the fleet's field names
//!  gates of parts  ──► health   ──► /livez /healthz /readyz
//!  counters        ──► metrics  ──► /metrics
//!  TcpListener + Router (+ tls) ──► http::serve: limits, deadlines, drain (accept: what all listeners share)
//! ```
//!
//! The binary (the front door) calls [`install_crypto_provider`], [`logs::init`] and [`shutdown::on_signals`]; a
//! service only gets plain data, a token, and the handles of [`health`] and [`metrics`]. The conventions are written
//! down in `docs/protocol/service-conventions.md`.

pub mod accept;
pub mod config;
pub mod health;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod shutdown;
pub mod tls;

pub use tls::install_crypto_provider;
