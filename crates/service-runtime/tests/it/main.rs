//! The surroundings of a service over real sockets and files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may say what it expects"
)]

mod health;
mod http;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use service_runtime::http::{Options, serve_with};
use service_runtime::tls::Server;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A router being served on a free port.
struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

async fn start(router: axum::Router, tls: Option<Server>, options: Options) -> Running {
    service_runtime::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(serve_with(listener, router, tls, options, shutdown.clone()));
    Running {
        address,
        shutdown,
        served,
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.served)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}
