//! A server in a process of its own, killed without a word.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maestro_server::config::Secret;
use maestro_server::{Config, Database, Service};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::harness::{
    Agent, DEADLINE, Server, Source, bundle, config_map, impatient, postgres, try_connect,
};

/// How often the server is killed.
const KILLS: usize = 8;

/// Where the child finds its database.
const DATABASE: &str = "MAESTRO_TEST_DATABASE";

/// The child: a server that ends with its parent.
#[test]
#[ignore = "run by the other tests of this module as a process of its own"]
fn server_process() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let database = match database.strip_prefix("sqlite:") {
        Some(path) => Database::Sqlite(path.into()),
        None => Database::Postgres(Secret(database)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = Service::bind(impatient(Config {
            database,
            ..Config::default()
        }))
        .await
        .unwrap();
        let addresses = service.addresses();
        println!(
            "\nserving {} {} {}",
            addresses.rest, addresses.grpc, addresses.broker
        );
        service.run(CancellationToken::new()).await.unwrap();
    });
}

struct Process {
    child: Child,
    rest: String,
    grpc: String,
    broker: String,
}

impl Process {
    fn start(database: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::server_process",
                "--ignored",
                "--nocapture",
            ])
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .find_map(|line| {
                line.unwrap()
                    .strip_prefix("serving ")
                    .map(ToOwned::to_owned)
            })
            .unwrap();
        // Keeps the pipe open and empty.
        std::thread::spawn(move || lines.for_each(drop));
        let mut words = line.split(' ').map(ToOwned::to_owned);
        let mut next = || words.next().unwrap();
        Self {
            rest: next(),
            grpc: next(),
            broker: next(),
            child,
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// What the source knows of its works: version and whether it asked for the deletion, as far as it was answered.
type Known = Arc<Mutex<BTreeMap<String, (i64, bool)>>>;

#[tokio::test]
async fn after_kill_9_every_accepted_write_is_delivered_on_sqlite() {
    // On a disk, so that what is killed is what users have.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maestro.db");
    kill_and_look(&format!("sqlite:{}", path.display())).await;
}

#[tokio::test]
async fn after_kill_9_every_accepted_write_is_delivered_on_postgresql() {
    let Database::Postgres(Secret(url)) = postgres().await.database else {
        panic!()
    };
    kill_and_look(&url).await;
}

/// I2, I3: the process dies when the database has its word and nobody else has: the commit goes on without it.
#[tokio::test]
async fn f20_a_server_killed_between_its_commit_and_sending_loses_nothing() {
    let mut config = postgres().await;
    // Only the notification can explain what arrives.
    config.limits.grace = Duration::from_secs(600);
    config.instance_id = "survivor".into();
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!()
    };
    let survivor = Server::start(config).await;
    survivor.cluster("c1").await;
    let (db, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    db.batch_execute(
        "create function slow() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(1); return null; end $$; \
         create constraint trigger slow after insert or update on resources deferrable initially deferred \
             for each row execute function slow()",
    )
    .await
    .unwrap();
    let agent = survivor.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let mut statuses = survivor.source("s1").await.subscribe().await;
    let committing = async || {
        testkit::eventually("a commit on its way", DEADLINE, async || {
            let sql =
                "select count(*) from pg_stat_activity where state = 'active' and query = 'commit'";
            let running: i64 = db.query_one(sql, &[]).await.unwrap().get(0);
            (running > 0).then_some(())
        })
        .await;
    };
    let victim = Process::start(&url);
    let source = Source {
        id: "s1".into(),
        client: try_connect(victim.grpc.clone()).await.unwrap(),
    };
    let writing =
        tokio::spawn(async move { source.create("r1", "c1", &bundle(&[config_map("a")])).await });
    committing().await;
    victim.kill();
    assert!(writing.await.unwrap().is_err(), "nobody answered");
    let spec = specs.next().await;
    assert_eq!(spec.id, "r1");
    // The same for a status.
    let victim = Process::start(&url);
    let client = try_connect(victim.broker.clone()).await.unwrap();
    let reporter = Agent {
        cluster: "c1".into(),
        client,
    };
    let reporting = tokio::spawn(async move { reporter.applied(&spec).await });
    committing().await;
    victim.kill();
    assert!(reporting.await.unwrap().is_err(), "nobody answered");
    let status = statuses.next().await;
    assert_eq!(status.condition("Applied").as_deref(), Some("True"));
}

async fn kill_and_look(database: &str) {
    let known = Known::default();
    for round in 0..KILLS {
        let process = Process::start(database);
        if round == 0 {
            let url = format!("http://{}/api/maestro/v1/consumers", process.rest);
            let answer = crate::harness::http_client()
                .post(url)
                .body(r#"{"name":"c1"}"#)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 201);
        }
        let client = try_connect(process.grpc.clone()).await.unwrap();
        let source = Source {
            id: "s1".into(),
            client,
        };
        let traffic = tokio::spawn(write_until_broken(source, round, Arc::clone(&known)));
        tokio::time::sleep(Duration::from_millis(40 + 35 * round as u64)).await;
        process.kill();
        traffic.await.unwrap();
    }
    let process = Process::start(database);
    let known = known.lock().unwrap().clone();
    assert!(known.len() > KILLS, "{}", known.len());
    let client = try_connect(process.broker.clone()).await.unwrap();
    let agent = Agent {
        cluster: "c1".into(),
        client,
    };
    let mut specs = agent.join(&[]).await;
    let mut missing = known.clone();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !missing.is_empty() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "never came: {missing:?}"
        );
        let spec = specs.next().await;
        let Some((version, deleted)) = known.get(&spec.id) else {
            continue;
        };
        // What wasn't answered may have happened as well, but only one step further.
        let version_fits = (*version..=version + 1).contains(&i64::from(spec.version));
        assert!(
            version_fits,
            "{} has version {} instead of {version}",
            spec.id, spec.version
        );
        assert!(spec.deleting || !deleted, "{} forgot its deletion", spec.id);
        missing.remove(&spec.id);
    }
}

/// Creates, updates and deletes until the server is gone; notes what was answered.
async fn write_until_broken(source: Source, round: usize, known: Known) {
    for number in 0.. {
        let id = format!("r{round}-{number}");
        let note = |state: (i64, bool)| known.lock().unwrap().insert(id.clone(), state);
        let steps = async {
            source
                .create(&id, "c1", &bundle(&[config_map("a")]))
                .await?;
            note((1, false));
            if number % 2 == 0 {
                source
                    .update(&id, "c1", 1, &bundle(&[config_map("b")]))
                    .await?;
                note((2, false));
            }
            if number % 3 == 0 {
                source.delete(&id, "c1").await?;
                note((if number % 2 == 0 { 2 } else { 1 }, true));
            }
            Ok::<(), tonic::Status>(())
        };
        if let Err(status) = steps.await {
            assert!(
                matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Internal
                ),
                "{status}"
            );
            return;
        }
    }
}
