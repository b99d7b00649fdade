//! The suite `conformance` judges this binary as it judges any other server: on SQLite, on PostgreSQL, and as two
//! replicas on one PostgreSQL database. `docs/conformance.md` explains it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use conformance::context::{Doors, Profile, Target};
use conformance::play::TimeScale;
use conformance::runner::{Options, Outcome};
use conformance::suite::{Group, Test};
use conformance::{report, runner, suite};
use serde_json::Value;

/// One suite at a time: some tests measure.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A running `maestro server`; killed at the end.
struct Server {
    process: Child,
    addresses: Value,
}

impl Server {
    async fn start(folder: &Path, name: &str, database: &str) -> Self {
        let addresses = folder.join(format!("{name}.json"));
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        let ports = [
            "http-server",
            "grpc-server",
            "grpc-broker",
            "health-check-server",
            "metrics-server",
        ];
        let process = Command::new(env!("CARGO_BIN_EXE_maestro"))
            .args([
                "server",
                "--server-hostname=127.0.0.1",
                "--client-id",
                name,
                "--database",
                database,
            ])
            .args(ports.map(|port| format!("--{port}-bindport=0")))
            .arg("--addresses-file")
            .arg(&addresses)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            addresses: Value::Null,
        };
        for _ in 0..600 {
            let text = std::fs::read_to_string(&addresses).unwrap_or_default();
            if let Ok(found) = serde_json::from_str(&text) {
                server.addresses = found;
                return server;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "the server {name} did not start:\n{}",
            std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default()
        );
    }

    fn address(&self, of: &str) -> String {
        self.addresses[of].as_str().unwrap().to_owned()
    }

    fn doors(&self) -> Doors {
        Doors {
            rest: format!("http://{}", self.address("rest")),
            source: self.address("grpc"),
            agent: self.address("broker"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; the suite has told that by now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Machines that run tests are slow and busy: twice the time, unless it is said otherwise.
fn scale() -> TimeScale {
    match std::env::var_os("CONFORMANCE_TIME_SCALE") {
        Some(_) => TimeScale::from_env(),
        None => TimeScale::new(2.0).unwrap(),
    }
}

async fn judge(servers: &[Server], database: Option<String>, tests: Vec<Test>) {
    let [first, others @ ..] = servers else {
        panic!("a server is needed");
    };
    let options = Options {
        target: Arc::new(Target {
            first: first.doors(),
            second: others.first().map(Server::doors),
            health: Some(format!("http://{}", first.address("health"))),
            database,
            pid: Some(first.process.id()),
        }),
        profile: Profile::Ci,
        scale: scale(),
        at_once: 8,
    };
    let judged = runner::run(tests, &options, |test| {
        if test.outcome == Outcome::Fail {
            eprintln!("{}: {}", test.name, test.reason);
        }
    })
    .await;
    let failed = judged.iter().any(|test| test.outcome == Outcome::Fail);
    assert!(!failed, "{}", report::table(&judged));
    println!("{}", report::sum(&judged));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("maestro.db").display());
    let server = Server::start(folder.path(), "one", &database).await;
    judge(&[server], None, suite::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let url = testkit::postgres::Server::shared()
        .await
        .unwrap()
        .database()
        .await
        .unwrap()
        .url();
    let server = Server::start(folder.path(), "one", &url).await;
    // What depends on the database; the rest is judged with two replicas.
    let storage = [
        Group::Deletes,
        Group::Delivery,
        Group::Resync,
        Group::Versions,
    ];
    let tests = suite::all()
        .into_iter()
        .filter(|test| storage.contains(&test.group));
    judge(&[server], Some(url), tests.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_two_replicas_on_postgres() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let url = testkit::postgres::Server::shared()
        .await
        .unwrap()
        .database()
        .await
        .unwrap()
        .url();
    let one = Server::start(folder.path(), "one", &url).await;
    let two = Server::start(folder.path(), "two", &url).await;
    judge(&[one, two], Some(url), suite::all()).await;
}
