//! A server that can be killed and started again on the same ports, and clients and agents around it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use conformance::play::{Behaviour, Puppet, Stage, TimeScale};
use maestro_client::{Client, Config};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{PATIENCE, maestro};

/// Ports for servers, below those of outgoing connections: one that is down for a moment keeps its own. Not those of the fault
/// runner, which runs beside this.
const PORTS: Range<u16> = 20_000..29_000;

/// Who we are.
const SOURCE: &str = "sdk";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

/// A server, and what it stands on. The server is killed at the end.
pub(super) struct Place {
    binary: Option<String>,
    /// REST, source, agent, health, metrics.
    ports: [u16; 5],
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    server: Child,
    /// What the players share.
    pub(super) stage: Stage,
}

/// Whether another binary than ours is asked for.
pub(super) fn is_foreign() -> bool {
    std::env::var_os("MAESTRO_BINARY").is_some()
}

impl Place {
    /// A running server with consumer `c1`.
    pub(super) async fn start(database: Database) -> Self {
        let place = Self::start_with(database, |_| Vec::new()).await;
        place.consumer("c1").await;
        place
    }

    /// A running server with more flags, which may name files in the folder that is given.
    pub(super) async fn start_with(
        database: Database,
        flags: impl FnOnce(&std::path::Path) -> Vec<String>,
    ) -> Self {
        service_runtime::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let binary = std::env::var("MAESTRO_BINARY").ok();
        let ports = free_ports();
        let mut arguments = vec![
            "server".to_owned(),
            "--server-hostname=127.0.0.1".to_owned(),
        ];
        let names = [
            "http-server",
            "grpc-server",
            "grpc-broker",
            "health-check-server",
            "metrics-server",
        ];
        arguments.extend(
            names
                .iter()
                .zip(ports)
                .map(|(name, port)| format!("--{name}-bindport={port}")),
        );
        match database {
            Database::Sqlite => {
                let file = folder.path().join("maestro.db");
                arguments.push(format!("--database=sqlite:{}", file.display()));
            }
            Database::Postgres => {
                arguments.push("--message-broker-type=grpc".to_owned());
                let files = database_files(folder.path()).await;
                let mut migration = command(binary.as_deref(), &["migration".to_owned()]);
                let done = migration.args(&files).output().await.unwrap();
                assert!(
                    done.status.success(),
                    "{}",
                    String::from_utf8_lossy(&done.stderr)
                );
                arguments.extend(files);
            }
        }
        arguments.extend(flags(folder.path()));
        let server = spawn(binary.as_deref(), &arguments, folder.path());
        let mut place = Self {
            binary,
            ports,
            arguments,
            folder,
            server,
            stage: Stage::new(scale()),
        };
        place.is_back().await;
        place
    }

    /// Kills the server with SIGKILL.
    pub(super) async fn kill(&mut self) {
        self.server.kill().await.unwrap();
    }

    /// Starts it again, and returns as soon as it listens on both ports that sources use.
    pub(super) async fn start_again(&mut self) {
        self.server = spawn(self.binary.as_deref(), &self.arguments, self.folder.path());
        self.is_back().await;
    }

    async fn is_back(&mut self) {
        testkit::eventually("the server to listen", PATIENCE, async || {
            if let Some(status) = self.server.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            for port in &self.ports[..3] {
                TcpStream::connect(("127.0.0.1", *port)).await.ok()?;
            }
            let health = format!("http://{}/healthcheck", self.address(3));
            // Over TLS it says nothing here; then listening is enough.
            let ready = reqwest::get(health).await;
            ready
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(())
        })
        .await;
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where sources publish, `host:port`.
    pub(super) fn grpc(&self) -> String {
        self.address(1)
    }

    fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.ports[index])
    }

    pub(super) fn config(&self) -> Config {
        Config {
            rest_url: format!("http://{}", self.address(0)),
            grpc_address: self.grpc(),
            source_id: SOURCE.to_owned(),
            // Also on a machine that is busy with something else.
            wait_for_server: PATIENCE,
            request_timeout: PATIENCE,
            ..Config::default()
        }
    }

    /// A client as another process would have: it shares nothing with the others.
    pub(super) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    /// A client whose source connection goes another way.
    pub(super) fn client_through(&self, grpc_address: String) -> Client {
        Client::new(Config {
            grpc_address,
            ..self.config()
        })
        .unwrap()
    }

    pub(super) async fn consumer(&self, name: &str) {
        let consumers = self.client().consumers();
        consumers.create(name, &BTreeMap::new()).await.unwrap();
    }

    /// An agent of a consumer, connected.
    pub(super) async fn agent(&self, consumer: &str, behaviour: Behaviour) -> Puppet {
        let agent = Puppet::start(&self.address(2), consumer, &self.stage, behaviour);
        agent.joined().await.unwrap();
        agent
    }
}

fn command(binary: Option<&str>, arguments: &[String]) -> Command {
    let mut command = match binary {
        None => maestro(&[]),
        Some(binary) => Command::new(binary),
    };
    command
        .args(arguments)
        .env("MAESTRO_ENV", "production")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn spawn(binary: Option<&str>, arguments: &[String], folder: &std::path::Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    command(binary, arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A new database, as flags: upstream's server reads the parts of its address from files.
async fn database_files(folder: &std::path::Path) -> Vec<String> {
    let postgres = testkit::postgres::Server::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let port = postgres.port().to_string();
    let parts = [
        ("host", "127.0.0.1"),
        ("port", &port),
        ("user", "postgres"),
        ("password", "none"),
        ("name", database.name()),
    ];
    let mut flags = vec!["--db-sslmode=disable".to_owned()];
    for (key, value) in parts {
        let path = folder.join(format!("db.{key}"));
        std::fs::write(&path, value).unwrap();
        flags.push(format!("--db-{key}-file={}", path.display()));
    }
    flags
}

/// Ports that nobody listens on and that no other test was given.
fn free_ports() -> [u16; 5] {
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = PORTS.end - PORTS.start;
    let noise = RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(noise % u64::from(count)).unwrap();
    let mut free = (0..count)
        .map(|step| PORTS.start + (first + step) % count)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    std::array::from_fn(|_| {
        let port = free
            .find(|port| !taken.contains(port))
            .expect("a free port");
        taken.push(port);
        port
    })
}

/// Machines that run tests are slow and busy: twice the time, unless it is said otherwise.
fn scale() -> TimeScale {
    match std::env::var_os("CONFORMANCE_TIME_SCALE") {
        Some(_) => TimeScale::from_env(),
        None => TimeScale::new(2.0).unwrap(),
    }
}
