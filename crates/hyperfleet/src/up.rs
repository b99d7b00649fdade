//! The stack until Ctrl-C, with its data in a directory.

use anyhow::bail;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::stack::{self, Stack};

/// Starts everything, says where it is, and runs until `shutdown` or until a part ends.
///
/// # Errors
/// When a part doesn't start, or ends although nobody asked it to.
pub async fn run(options: stack::Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut stack = Stack::start(options, &shutdown).await?;
    let endpoints = stack.endpoints().clone();
    print(&endpoints);
    let machine: Map<String, Value> = endpoints
        .named()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    stack.data().write_json("endpoints.json", &machine)?;
    let ended = tokio::select! {
        () = shutdown.cancelled() => None,
        ended = stack.ended() => Some(ended),
    };
    let _ = std::fs::remove_file(stack.data().join("endpoints.json"));
    let stopped = stack.stop().await;
    if let Some(ended) = ended {
        bail!(
            "{ended}; the log is {}",
            endpoints.data.join("hyperfleet.log").display()
        );
    }
    stopped
}

fn print(endpoints: &stack::Endpoints) {
    println!("HyperFleet is up. Data: {}", endpoints.data.display());
    for (name, address) in endpoints.rows() {
        println!("   {name:<22} {address}");
    }
    for (name, file) in [
        ("adapters' YAML", "adapters"),
        ("log of all parts", "hyperfleet.log"),
    ] {
        println!("   {name:<22} {}", endpoints.data.join(file).display());
    }
    println!("\nTry");
    for command in endpoints.commands() {
        println!("   {command}");
    }
    println!("\nCtrl-C stops everything; start again with the same --data-dir to go on.");
}
