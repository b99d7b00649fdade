//! Ours beside a server of upstream on one database. It needs upstream's binary, which this repository doesn't have:
//! `MAESTRO_PEER=<its path> cargo test -p maestro-server --test it beside_go -- --ignored`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use maestro_server::config::Secret;
use maestro_server::{Config, Database};
use serde_json::{Value, json};

use crate::harness::{
    Agent, DEADLINE, Events, Server, Source, bundle, config_map, connect, http_client, postgres,
};

struct Go {
    process: Child,
    rest: u16,
    source: u16,
    broker: u16,
}

impl Drop for Go {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The database's address in files, as upstream wants it.
fn database_flags(folder: &Path, url: &str) -> Vec<String> {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let password = config.get_password().unwrap_or(b"none");
    let parts = [
        ("host", "127.0.0.1".to_owned()),
        ("port", config.get_ports()[0].to_string()),
        ("user", config.get_user().unwrap().to_owned()),
        ("password", String::from_utf8(password.to_vec()).unwrap()),
        ("name", config.get_dbname().unwrap().to_owned()),
    ];
    let mut flags = vec!["--db-sslmode=disable".to_owned()];
    for (name, text) in parts {
        let file = folder.join(format!("db.{name}"));
        std::fs::write(&file, text).unwrap();
        flags.push(format!("--db-{name}-file={}", file.display()));
    }
    flags
}

impl Go {
    fn migrate(peer: &str, folder: &Path, url: &str) {
        let status = Command::new(peer)
            .arg("migration")
            .args(database_flags(folder, url))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }

    async fn start(peer: &str, folder: &Path, url: &str, name: &str) -> Self {
        let [rest, source, broker, health, metrics] = std::array::from_fn(|_| free_port());
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        let process = Command::new(peer)
            .env("MAESTRO_ENV", "production")
            .args([
                "server",
                "--message-broker-type=grpc",
                "--server-hostname=127.0.0.1",
                "-v=1",
            ])
            .arg(format!("--client-id={name}"))
            .arg(format!("--http-server-bindport={rest}"))
            .arg(format!("--grpc-server-bindport={source}"))
            .arg(format!("--grpc-broker-bindport={broker}"))
            .arg(format!("--health-check-server-bindport={health}"))
            .arg(format!("--metrics-server-bindport={metrics}"))
            .args(database_flags(folder, url))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let go = Self {
            process,
            rest,
            source,
            broker,
        };
        let health = format!("http://127.0.0.1:{health}/healthcheck");
        testkit::eventually("upstream's server to be ready", DEADLINE, async || {
            let answer = http_client().get(&health).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
        go
    }

    async fn cluster(&self, name: &str) {
        let url = format!("http://127.0.0.1:{}/api/maestro/v1/consumers", self.rest);
        let body = json!({"name": name}).to_string();
        let answer = http_client().post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    async fn source(&self, id: &str) -> Source {
        Source {
            id: id.into(),
            client: connect(format!("127.0.0.1:{}", self.source)).await,
        }
    }

    async fn agent(&self, cluster: &str) -> Agent {
        Agent {
            cluster: cluster.into(),
            client: connect(format!("127.0.0.1:{}", self.broker)).await,
        }
    }
}

#[tokio::test]
#[ignore = "needs upstream's binary: see the top of the file"]
async fn beside_a_go_server_everything_flows_both_ways() {
    let peer =
        std::env::var("MAESTRO_PEER").expect("MAESTRO_PEER is the path of upstream's binary");
    let config = Config {
        instance_id: "ours".into(),
        ..postgres().await
    };
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!()
    };
    let folder = tempfile::tempdir().unwrap();
    Go::migrate(&peer, folder.path(), &url);
    let go = Go::start(&peer, folder.path(), &url, "go").await;
    let ours = Server::start(config).await;
    // Again, on a database that ours has brought up to date.
    Go::migrate(&peer, folder.path(), &url);
    for cluster in ["at-ours", "at-go"] {
        go.cluster(cluster).await;
    }
    let sources = [ours.source("s1").await, go.source("s1").await];
    let mut streams = [sources[0].subscribe().await, sources[1].subscribe().await];
    let mut agents = [
        (ours.agent("at-ours").await, None::<Events>),
        (go.agent("at-go").await, None),
    ];
    for (agent, specs) in &mut agents {
        *specs = Some(agent.join(&[]).await);
    }
    let (db, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);

    // Each source writes for each cluster.
    let mut all = BTreeSet::new();
    for (index, source) in sources.iter().enumerate() {
        for (agent, _) in &agents {
            for n in 0..5 {
                let id = format!("{}-by-{index}-{n}", agent.cluster);
                source
                    .create(&id, &agent.cluster, &bundle(&[config_map("a")]))
                    .await
                    .unwrap();
                all.insert(id);
            }
        }
    }
    for (agent, specs) in &mut agents {
        let came = specs.as_mut().unwrap().collect(10).await;
        for spec in came.values() {
            agent.applied(spec).await.unwrap();
        }
    }
    for stream in &mut streams {
        let came = stream.collect(all.len()).await;
        assert_eq!(came.keys().cloned().collect::<BTreeSet<_>>(), all);
    }
    // An update by the other server.
    for (agent, _) in &agents {
        for (index, source) in sources.iter().enumerate() {
            let id = format!("{}-by-{}-0", agent.cluster, 1 - index);
            source
                .update(&id, &agent.cluster, 1, &bundle(&[config_map("b")]))
                .await
                .unwrap();
        }
    }
    for (_, specs) in &mut agents {
        for _ in 0..2 {
            specs
                .as_mut()
                .unwrap()
                .until(|spec| spec.version == 2)
                .await;
        }
    }
    // Deletions by either server end, and both streams hear of each.
    for (n, id) in all.iter().enumerate() {
        let cluster = id.split("-by-").next().unwrap();
        sources[n % 2].delete(id, cluster).await.unwrap();
    }
    for (agent, specs) in &mut agents {
        let mut gone = BTreeSet::new();
        while gone.len() < 10 {
            let deletion = specs.as_mut().unwrap().until(|event| event.deleting).await;
            if gone.insert(deletion.id.clone()) {
                agent.deleted(&deletion).await.unwrap();
            }
        }
    }
    for stream in &mut streams {
        let mut finals = BTreeSet::new();
        while finals.len() < all.len() {
            let status = stream.next().await;
            if status.condition("Deleted").as_deref() == Some("True") {
                assert!(status.data()["manifestBundle"].is_object());
                finals.insert(status.id);
            }
        }
    }
    let number = async |sql: &str| -> i64 { db.query_one(sql, &[]).await.unwrap().get(0) };
    testkit::eventually("tables to be in order", DEADLINE, async || {
        let rows = number("select count(*) from resources").await;
        let open = number("select count(*) from events where reconciled_date is null").await;
        let unseen = number(
            "select count(*) from status_events s, server_instances i where i.ready and s.status_event_type = 'StatusDelete' \
             and not exists (select from event_instances n where n.event_id = s.id and n.instance_id = i.id)",
        )
        .await;
        let ready = number("select count(*) from server_instances where ready").await;
        println!("rows {rows}, open events {open}, unseen final statuses {unseen}, ready servers {ready}");
        (rows == 0 && open == 0 && unseen == 0 && ready == 2).then_some(())
    })
    .await;

    // The agent of upstream's server moves to ours and back: what it lacks comes with its resync.
    for n in 0..3 {
        sources[n % 2]
            .create(&format!("move-{n}"), "at-go", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    drop(agents[1].1.take());
    let mut specs = ours.agent("at-go").await.join(&[("move-0", 1)]).await;
    let came = specs.collect(2).await;
    assert_eq!(came.keys().collect::<Vec<_>>(), ["move-1", "move-2"]);
    drop(specs);
    let mut specs = go.agent("at-go").await.join(&[("move-1", 1)]).await;
    specs.until(|event| event.id == "move-2").await;

    // Upstream's server leaves without a word; ours goes on alone and closes what it left.
    let payload: Value = json!({"specversion": "1.0", "id": "e"});
    db.execute(
        "insert into events (id, created_at, updated_at, source, source_id, event_type) \
         select 'left-over', now() - interval '1 day', now(), 'Resources', 'move-0', 'Create' where $1::jsonb is not null",
        &[&payload],
    )
    .await
    .unwrap();
    drop(specs);
    drop(go);
    db.batch_execute(
        "update server_instances set last_heartbeat = now() - interval '1 hour' where id = 'go'",
    )
    .await
    .unwrap();
    testkit::eventually("events to be closed", 2 * DEADLINE, async || {
        let open = number("select count(*) from events where reconciled_date is null").await;
        (open == 0).then_some(())
    })
    .await;
}
