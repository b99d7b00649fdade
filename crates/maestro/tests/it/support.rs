//! Starting the binary, and looking at it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

/// How long anything may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, without what the environment of the tests says.
pub(crate) fn maestro(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maestro"));
    command.args(arguments).kill_on_drop(true);
    for (name, _) in std::env::vars() {
        if name.starts_with("MAESTRO_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    tokio::time::timeout(PATIENCE, maestro(arguments).output())
        .await
        .unwrap()
        .unwrap()
}

/// As [`run`]: exit code, standard output, standard error.
pub(crate) async fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A running server in a folder of its own.
pub(crate) struct Server {
    pub(crate) child: Child,
    addresses: Value,
    folder: tempfile::TempDir,
}

/// Flags that let the system choose every port.
pub(crate) const FREE_PORTS: [&str; 5] = [
    "--http-server-bindport=0",
    "--grpc-server-bindport=0",
    "--grpc-broker-bindport=0",
    "--health-check-server-bindport=0",
    "--metrics-server-bindport=0",
];

impl Server {
    /// Starts it, and waits for its addresses (not for its database).
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // Reqwest asks for it even for plain HTTP.
        service_runtime::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("addresses.json");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = maestro(&["server"]);
        command
            .args(arguments)
            .args(FREE_PORTS)
            .arg("--addresses-file")
            .arg(&file)
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let addresses = testkit::eventually("the addresses of a server", PATIENCE, async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "the server ended with {status}: {}",
                    read(folder.path(), "log")
                );
            }
            serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()
        })
        .await;
        Self {
            child,
            addresses,
            folder,
        }
    }

    /// One of `rest`, `grpc`, `broker`, `health`, `metrics`.
    pub(crate) fn address(&self, name: &str) -> Option<String> {
        self.addresses[name].as_str().map(str::to_owned)
    }

    pub(crate) fn rest(&self) -> String {
        format!("http://{}", self.address("rest").unwrap())
    }

    /// Status and body of a probe.
    pub(crate) async fn probe(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address("health").unwrap());
        let response = reqwest::get(url).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn is_ready(&self) {
        testkit::eventually("readiness", PATIENCE, async || {
            (self.probe("/healthcheck").await.0 == 200).then_some(())
        })
        .await;
    }

    pub(crate) fn log(&self) -> String {
        read(self.folder.path(), "log")
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.unwrap().unwrap().code().unwrap()
    }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}
