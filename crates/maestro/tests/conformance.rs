//! The suite `conformance` judges this binary as it judges any other server: on SQLite, on PostgreSQL, as three
//! replicas on one PostgreSQL database, and behind TLS and tokens. `docs/conformance.md` explains it.
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
use conformance::play::{Access, TimeScale, access};
use conformance::runner::{Options, Outcome};
use conformance::suite::{Group, Test};
use conformance::{report, runner, suite};
use serde_json::Value;
use testkit::certs::Ca;

#[path = "conformance/reviewer.rs"]
mod reviewer;

/// One suite at a time: some tests measure.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A running `maestro server`; killed at the end.
struct Server {
    process: Child,
    addresses: Value,
}

impl Server {
    async fn start(folder: &Path, name: &str, database: &str) -> Self {
        Self::start_with(folder, name, database, &[]).await
    }

    async fn start_with(folder: &Path, name: &str, database: &str, flags: &[String]) -> Self {
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
            .args(flags)
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
                if server.is_ready().await {
                    return server;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "the server {name} did not start:\n{}",
            std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default()
        );
    }

    /// The addresses are known a moment before the database is open.
    async fn is_ready(&self) -> bool {
        service_runtime::install_crypto_provider();
        let answer = reqwest::get(format!("http://{}/healthcheck", self.address("health"))).await;
        answer.is_ok_and(|answer| answer.status().is_success())
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
    let target = Target {
        first: first.doors(),
        second: others.first().map(Server::doors),
        third: others.get(1).map(|server| server.address("grpc")),
        health: Some(format!("http://{}", first.address("health"))),
        database,
        pid: Some(first.process.id()),
        access: Access::default(),
    };
    run(target, tests).await;
}

/// Runs them; how many passed.
async fn run(target: Target, tests: Vec<Test>) -> usize {
    let options = Options {
        target: Arc::new(target),
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
    judged
        .iter()
        .filter(|test| test.outcome == Outcome::Pass)
        .count()
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
    // What depends on the database; the rest is judged with replicas.
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
async fn as_replicas_on_postgres() {
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
    let third = Server::start(folder.path(), "three", &url).await;
    judge(&[one, two, third], Some(url), suite::all()).await;
}

/// The agent port wants a certificate, the source port and REST want a token, and all of them are named otherwise than
/// the proxies that agents are put behind.
#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_and_tokens() {
    const TESTS: [&str; 9] = [
        "f20_a_spec_in_flight_is_not_lost",
        "f45_a_stalled_link_is_noticed",
        "f47_headers_come_at_once",
        "f47_a_refusal_has_words",
        "f47_a_wrong_token_is_refused_with_words",
        "f54_large_lists_are_whole_and_cheap",
        "the_final_status_is_complete",
        "a_consumer_lives",
        "probes_answer",
    ];
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ca = Ca::new();
    let server = ca.server(&["localhost"]).write(path, "server").unwrap();
    let client = ca.client("conformance", "tests").write(path, "client");
    let client = client.unwrap();
    let authority = ca.write(path).unwrap();
    let token = path.join("player");
    std::fs::write(&token, format!("{}\n", reviewer::TOKEN)).unwrap();
    let kubeconfig = reviewer::start(path).await;
    let mut flags = vec![
        "--enable-https".to_owned(),
        "--grpc-authn-type=token".to_owned(),
        "--rest-authn=token".to_owned(),
        format!("--grpc-authorizer-config={}", kubeconfig.display()),
        format!("--grpc-broker-client-ca-file={}", authority.display()),
    ];
    for door in ["https", "grpc-tls", "grpc-broker-tls"] {
        flags.push(format!("--{door}-cert-file={}", server.cert.display()));
        flags.push(format!("--{door}-key-file={}", server.key.display()));
    }
    let database = format!("sqlite:{}", path.join("maestro.db").display());
    let server = Server::start_with(path, "one", &database, &flags).await;
    let named = |of: &str| server.address(of).replace("127.0.0.1", "localhost");
    let files = access::Files {
        ca: Some(authority),
        cert: Some(client.cert),
        key: Some(client.key),
        token: Some(token),
    };
    let target = Target {
        first: Doors {
            rest: format!("https://{}", named("rest")),
            source: named("grpc"),
            agent: named("broker"),
        },
        second: None,
        third: None,
        health: Some(format!("http://{}", server.address("health"))),
        database: None,
        pid: Some(server.process.id()),
        access: Access::read(&files).unwrap(),
    };
    let mut tests = suite::all();
    tests.retain(|test| TESTS.contains(&test.name));
    assert_eq!(run(target, tests).await, TESTS.len());
}
