//! A sandbox on its own: `cargo run -p kube-sandbox --example serve -- --listen 127.0.0.1:8001`.

use anyhow::Context as _;
use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = kube_sandbox::cli::Args::parse().into_config()?;
    let service = kube_sandbox::Service::bind(config).await?;
    print!("{}", service.kubeconfig());
    let shutdown = service_runtime::shutdown::on_signals();
    service.run(shutdown).await.context("serve the sandbox")
}
