//! What is measured.

mod growing;
mod isolation;
mod many;
mod mix;
mod reads;
mod resync;

use serde_json::Value;

use crate::args::Scenario;
use crate::load::Load;

/// Runs one scenario and returns its figures.
pub async fn run(scenario: Scenario, load: &mut Load) -> anyhow::Result<Value> {
    // Each is large with all that it holds.
    match scenario {
        Scenario::Mix | Scenario::All => Box::pin(mix::mix(load)).await,
        Scenario::List => Box::pin(reads::lists(load)).await,
        Scenario::IdleAgents => Box::pin(many::idle(load)).await,
        Scenario::Latency => Box::pin(mix::latency(load)).await,
        Scenario::Concurrency => Box::pin(mix::concurrency(load)).await,
        Scenario::Resync => Box::pin(resync::resync(load)).await,
        Scenario::ReconnectStorm => Box::pin(many::storm(load)).await,
        Scenario::Isolation => Box::pin(isolation::isolation(load)).await,
        Scenario::Growing => Box::pin(growing::growing(load)).await,
    }
}

/// Removes the works of the mix, if there are any.
pub async fn delete_mix(load: &mut Load) -> anyhow::Result<Option<Value>> {
    Box::pin(mix::delete(load)).await
}
