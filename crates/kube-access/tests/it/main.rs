//! The client against a sandbox cluster, and against servers that misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may say what they expect"
)]

mod fake;
mod reviews;
mod verbs;
mod watching;

use std::time::Duration;

use kube_access::{Client, Kubeconfig};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// How long a test waits before it fails; the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox cluster. Dropping it stops it.
struct Sandbox {
    kubeconfig: String,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
}

impl Sandbox {
    async fn start() -> Self {
        Self::start_with(kube_sandbox::Config::default()).await
    }

    async fn start_with(config: kube_sandbox::Config) -> Self {
        service_runtime::install_crypto_provider();
        let service = kube_sandbox::Service::bind(config).await.unwrap();
        let shutdown = CancellationToken::new();
        let sandbox = Self {
            kubeconfig: service.kubeconfig(),
            address: service.addresses().api,
            shutdown: shutdown.clone(),
        };
        tokio::spawn(service.run(shutdown));
        sandbox
    }

    async fn client(&self) -> Client {
        Client::from_kubeconfig(Kubeconfig::Text(self.kubeconfig.clone()), None)
            .await
            .unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data})
}
