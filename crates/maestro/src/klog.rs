//! The flags of Go's logger.

use anyhow::Context;
use service_runtime::logs;

/// Sets up logs of a component: JSON lines on standard error, at `info`.
///
/// # Errors
/// When logs are set up already.
pub fn init(component: &str) -> anyhow::Result<()> {
    logs::init(logs::Options {
        level: "info".to_owned(),
        component: component.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..logs::Options::default()
    })
    .context("set up logs")
}
