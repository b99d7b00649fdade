//! Several servers on one PostgreSQL: ours, and what a Go server leaves there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use maestro_server::config::Secret;
use maestro_server::{Config, Database};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    DEADLINE, Server, bundle, config_map, impatient, large_bundle, postgres, session, url,
};

async fn replica(name: &str, config: &Config) -> Server {
    Server::start(Config {
        instance_id: name.into(),
        ..config.clone()
    })
    .await
}

async fn number(db: &tokio_postgres::Client, sql: &str) -> i64 {
    db.query_one(sql, &[]).await.unwrap().get(0)
}

/// Servers that lose their listener look at the tables at once.
async fn end_listeners(db: &tokio_postgres::Client) {
    db.batch_execute(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and query like 'listen%'",
    )
    .await
    .unwrap();
}

/// What a Go server stores for a new resource.
async fn go_inserts(db: &tokio_postgres::Client, id: &str, cluster: &str, event: Option<&str>) {
    let payload = json!({"specversion": "1.0", "id": format!("e-{id}"), "source": "s1",
        "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
        "datacontenttype": "application/json", "time": "2026-01-01T00:00:00.5Z", "clustername": cluster, "resourceid": id,
        "resourceversion": 0, "originalsource": "", "metadata": {"name": "w"}, "data": bundle(&[config_map("a")])});
    db.execute(
        "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, payload, status) \
         values ($1, $1, 's1', $2, 1, '', now(), now(), $3, 'null'::jsonb)",
        &[&id, &cluster, &payload],
    )
    .await
    .unwrap();
    if let Some(event) = event {
        db.execute(
            "insert into events (id, created_at, updated_at, source, source_id, event_type) \
             values ($1, now(), now(), 'Resources', $2, 'Create')",
            &[&event, &id],
        )
        .await
        .unwrap();
        db.execute("select pg_notify('events', $1)", &[&event])
            .await
            .unwrap();
    }
}

/// F26, F21: the agent's calls are spread over servers, so what it has arrives where its stream isn't.
#[tokio::test]
async fn a_resync_that_reaches_another_server_is_answered() {
    const WORKS: usize = 3000;
    let mut config = postgres().await;
    // Only the resync can explain what arrives.
    config.limits.resync_wait = Duration::from_secs(600);
    config.limits.grace = Duration::from_secs(600);
    let (one, two) = (replica("one", &config).await, replica("two", &config).await);
    one.cluster("c1").await;
    let db = session(&config).await;
    // Long ids: the list doesn't fit into a notification.
    db.execute(
        "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, payload) \
         select 'resource-with-a-name-of-some-length-' || n, 'resource-with-a-name-of-some-length-' || n, 's1', 'c1', 2, '', \
             now(), now(), $1 from generate_series(1, $2) n",
        &[
            &json!({"specversion": "1.0", "id": "e", "source": "s1",
            "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
            "datacontenttype": "application/json", "data": bundle(&[config_map("a")])}),
            &(WORKS as i32),
        ],
    )
    .await
    .unwrap();
    let ids: Vec<String> = (1..=WORKS)
        .map(|n| format!("resource-with-a-name-of-some-length-{n}"))
        .collect();
    let outdated: BTreeSet<&str> = ["7", "42", "2999"]
        .map(|n| ids[n.parse::<usize>().unwrap() - 1].as_str())
        .into();
    let version = |id: &str| if outdated.contains(id) { 1 } else { 2 };
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), version(id))).collect();

    let mut specs = two.agent("c1").await.subscribe().await;
    let elsewhere = one.agent("c1").await;
    let started = Instant::now();
    // The newest word counts: an agent that has nothing would get everything.
    elsewhere.resync(&held).await.unwrap();
    elsewhere.resync(&held).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "nobody waits");
    let came = specs.collect(outdated.len()).await;
    let came: BTreeSet<&str> = came.keys().map(String::as_str).collect();
    assert_eq!(came, outdated);
    let kept = number(&db, "select count(*) from resyncs").await;
    assert_eq!(kept, 1, "one word for each cluster");
    // Whoever claims to be an unknown cluster leaves nothing behind.
    one.agent("nobody").await.resync(&held).await.unwrap();
    assert_eq!(number(&db, "select count(*) from resyncs").await, 1);
}

/// I7: every 30 s, and after each lost listener, the tables are read for what no notification told. That may take long, and
/// what is told meanwhile doesn't wait for it.
#[tokio::test]
async fn i7_a_look_at_the_tables_holds_no_notification_up() {
    let config = postgres().await;
    let (one, two) = (replica("one", &config).await, replica("two", &config).await);
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let mut specs = two.agent("c1").await.join(&[]).await;
    let (holder, db) = (session(&config).await, session(&config).await);
    // Of all that a look reads, only this table has nothing to do with specs.
    holder
        .batch_execute("begin; lock table resyncs in access exclusive mode")
        .await
        .unwrap();
    end_listeners(&db).await;
    testkit::eventually("both servers to look", DEADLINE, async || {
        let looking = "select count(*) from pg_stat_activity where datname = current_database() \
            and wait_event_type = 'Lock' and query like '%from resyncs%'";
        (number(&db, looking).await >= 2).then_some(())
    })
    .await;
    let started = Instant::now();
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert_eq!(specs.next().await.id, "r1");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    holder.batch_execute("commit").await.unwrap();
}

/// F22: the word isn't lost with the connection that listens.
#[tokio::test]
async fn f22_a_resync_survives_a_lost_listener() {
    let server = testkit::postgres::Server::start().await.unwrap();
    let mut config = Config {
        database: Database::Postgres(Secret(server.database().await.unwrap().url())),
        ..Config::default()
    };
    config.limits.resync_wait = Duration::from_secs(600);
    config.limits.grace = Duration::from_secs(600);
    let (one, two) = (replica("one", &config).await, replica("two", &config).await);
    one.cluster("c1").await;
    let source = one.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let mut specs = two.agent("c1").await.subscribe().await;
    let elsewhere = one.agent("c1").await;
    // F23: a listener in a transaction would fill the queue of notifications.
    let db = session(&config).await;
    let listeners = "select count(*) from pg_stat_activity where query like 'listen%'";
    assert_eq!(
        number(&db, &format!("{listeners} and xact_start is not null")).await,
        0
    );
    server
        .terminate_sessions("query like 'listen%'")
        .await
        .unwrap();
    elsewhere.resync(&[]).await.unwrap();
    let started = Instant::now();
    assert_eq!(specs.next().await.id, "r1");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
}

/// F22: the database stands still for longer than anybody waits.
#[tokio::test]
async fn f22_a_database_that_pauses_delays_and_loses_nothing() {
    let pause = std::env::var("MAESTRO_TEST_PAUSE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    let database = testkit::postgres::Server::start().await.unwrap();
    let mut config = Config {
        database: Database::Postgres(Secret(database.database().await.unwrap().url())),
        ..Config::default()
    };
    config.database_timeout = Duration::from_secs(1);
    let (one, two) = (replica("one", &config).await, replica("two", &config).await);
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let agent = two.agent("c1").await;
    let mut statuses = source.subscribe().await;
    let mut specs = agent.join(&[]).await;
    let mut accepted = BTreeSet::new();
    for n in 0..40 {
        let id = format!("r{n}");
        if n == 20 {
            database.pause().await.unwrap();
            let refused = source
                .create("paused", "c1", &bundle(&[config_map("a")]))
                .await;
            assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);
            tokio::time::sleep(Duration::from_secs(pause)).await;
            database.resume().await.unwrap();
        }
        testkit::eventually("a create to be accepted", DEADLINE, async || {
            let outcome = source.create(&id, "c1", &bundle(&[config_map("a")])).await;
            match outcome {
                Ok(()) => Some(()),
                Err(status) if status.code() == tonic::Code::AlreadyExists => Some(()),
                Err(_) => None,
            }
        })
        .await;
        accepted.insert(id);
    }
    let resumed = Instant::now();
    while !accepted.is_empty() {
        let spec = specs.next().await;
        if accepted.remove(&spec.id) {
            agent.applied(&spec).await.unwrap();
        }
    }
    statuses.collect(40).await;
    println!("everything came {:?} after the pause", resumed.elapsed());
    assert!(resumed.elapsed() < Duration::from_secs(35));
}

/// I1: a live spec is not begun more than two seconds after the answer to the deletion, whichever server gave it.
#[tokio::test]
async fn f5_a_deletion_on_one_server_stops_specs_on_another() {
    const WORKS: usize = 60;
    let config = postgres().await;
    let (one, two) = (replica("one", &config).await, replica("two", &config).await);
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let mut specs = two.agent("c1").await.join(&[]).await;
    for n in 0..WORKS {
        source
            .create(&format!("r{n}"), "c1", &large_bundle(100_000))
            .await
            .unwrap();
    }
    // The agent has read nothing yet: its connection is full.
    for n in 0..WORKS {
        source.delete(&format!("r{n}"), "c1").await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // What the transport held is the only thing that may still be live, and after its deletion nothing is.
    let (mut deleted, mut live) = (BTreeSet::new(), 0);
    while deleted.len() < WORKS {
        let spec = specs.next().await;
        if spec.deleting {
            deleted.insert(spec.id);
        } else {
            assert!(!deleted.contains(&spec.id), "{} lives again", spec.id);
            live += 1;
        }
    }
    assert!(live < WORKS / 2, "{live} live specs were still begun");
}

/// I1: how fresh a row is counts from the question, for another server may delete it before the answer comes.
#[tokio::test]
async fn a_row_whose_answer_was_held_up_is_read_again_before_it_is_sent() {
    const ID: &str = "held-up";
    let config = postgres().await;
    let one = replica("one", &config).await;
    let direct = url(&config);
    let (port, hold) = holding_relay(target_of(&direct), ID).await;
    let two = Config {
        database: Database::Postgres(Secret(
            direct.replace(&target_of(&direct), &format!("127.0.0.1:{port}")),
        )),
        ..config.clone()
    };
    let two = replica("two", &two).await;
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let mut specs = two.agent("c1").await.join(&[]).await;
    // The other server learns of it, asks for the row, and hears nothing more from the database.
    source
        .create(ID, "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let mut held = hold.subscribe();
    tokio::time::timeout(DEADLINE, held.wait_for(|held| *held))
        .await
        .expect("the question in time")
        .unwrap();
    // The database has answered by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    source.delete(ID, "c1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    hold.send_replace(false);
    let first = specs.next().await;
    assert!(first.deleting, "a live spec 2 s after its deletion");
}

/// Passes bytes on, but holds all that the database says from the first question that names `id` until it is released.
async fn holding_relay(
    target: String,
    id: &'static str,
) -> (u16, tokio::sync::watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hold = tokio::sync::watch::Sender::new(false);
    let (sender, armed) = (hold.clone(), Arc::new(AtomicBool::new(true)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let (hold, armed) = (sender.clone(), Arc::clone(&armed));
            let mut held = hold.subscribe();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = from_client.read(&mut buffer).await {
                    let names = buffer[..bytes]
                        .windows(id.len())
                        .any(|part| part == id.as_bytes());
                    if names && armed.swap(false, Ordering::SeqCst) {
                        hold.send_replace(true);
                    }
                    if to_server.write_all(&buffer[..bytes]).await.is_err() {
                        break;
                    }
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = from_server.read(&mut buffer).await {
                    if held.wait_for(|held| !held).await.is_err()
                        || to_client.write_all(&buffer[..bytes]).await.is_err()
                    {
                        break;
                    }
                }
            });
        }
    });
    (port, hold)
}

/// Host and port of a database address.
fn target_of(url: &str) -> String {
    let at = url.split('@').next_back().unwrap();
    at.split('/').next().unwrap().to_owned()
}

/// F30: three servers, the agent on the first, sources on the others.
#[tokio::test]
async fn f30_every_source_stream_ends_with_the_last_status() {
    const WORKS: usize = 30;
    let config = postgres().await;
    let servers = [
        replica("one", &config).await,
        replica("two", &config).await,
        replica("three", &config).await,
    ];
    servers[0].cluster("c1").await;
    let agent = servers[0].agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let mut streams = Vec::new();
    for server in &servers[1..] {
        for _ in 0..2 {
            streams.push(server.source("s1").await.subscribe().await);
        }
    }
    let source = servers[1].source("s1").await;
    for n in 0..WORKS {
        source
            .create(&format!("r{n}"), "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let created = specs.collect(WORKS).await;
    for spec in created.values() {
        for round in 0..5 {
            let conditions = crate::harness::condition("Applied", "True", spec.version);
            let mut status = agent.status(spec, &conditions);
            status.set_json(&json!({"conditions": conditions, "round": round}));
            agent.publish(status).await.unwrap();
        }
    }
    for stream in &mut streams {
        let mut last = BTreeSet::new();
        while last.len() < WORKS {
            let status = stream.next().await;
            if status.data()["round"] == 4 {
                last.insert(status.id);
            }
        }
    }
    for n in 0..WORKS {
        source.delete(&format!("r{n}"), "c1").await.unwrap();
    }
    let mut gone = BTreeSet::new();
    while gone.len() < WORKS {
        let deletion = specs.until(|event| event.deleting).await;
        agent.deleted(&deletion).await.unwrap();
        gone.insert(deletion.id);
    }
    for stream in &mut streams {
        let mut finals = std::collections::BTreeMap::<String, usize>::new();
        while finals.len() < WORKS {
            let status = stream.next().await;
            if status.condition("Deleted").as_deref() == Some("True") {
                assert!(status.data()["manifestBundle"].is_object());
                assert!(status.metadata.is_some());
                *finals.entry(status.id).or_default() += 1;
            }
        }
        assert!(finals.values().all(|count| *count == 1), "{finals:?}");
    }
}

/// D24: without a Go server events are closed when they are written; beside one they stay open until somebody handles
/// them, for a Go server passes over closed events.
#[tokio::test]
async fn events_are_closed_for_go_servers_and_seen_status_events_are_noted() {
    let config = postgres().await;
    let server = replica("ours", &config).await;
    server.cluster("here").await;
    server.cluster("there").await;
    let (source, agent) = (server.source("s1").await, server.agent("here").await);
    let mut specs = agent.join(&[]).await;
    let db = session(&config).await;
    let open = "select count(*) from events where reconciled_date is null";
    testkit::eventually("our own sign of life", DEADLINE, async || {
        (number(
            &db,
            "select count(*) from server_instances where ready and id = 'ours'",
        )
        .await
            == 1)
            .then_some(())
    })
    .await;
    source
        .create("alone", "there", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert_eq!(number(&db, open).await, 0, "nobody else has to handle it");

    db.batch_execute(
        "insert into server_instances (id, created_at, updated_at, last_heartbeat, ready) \
         values ('go', now(), now(), now(), true)",
    )
    .await
    .unwrap();
    source
        .create("theirs", "there", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source
        .create("ours", "here", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    go_inserts(&db, "from-go", "here", Some("go-1")).await;
    let came = specs.collect(2).await;
    let closed = async |id: &str| {
        number(&db, &format!("select count(*) from events where source_id = '{id}' and reconciled_date is not null")).await == 1
    };
    testkit::eventually("ours to be closed", DEADLINE, async || {
        (closed("ours").await && closed("from-go").await).then_some(())
    })
    .await;
    assert!(
        !closed("theirs").await,
        "the other server's agent may be meant"
    );

    // Status events, our own and others', are noted as seen by this server when it looks at the tables.
    for spec in came.values() {
        agent.applied(spec).await.unwrap();
    }
    db.batch_execute(
        "insert into status_events (id, created_at, updated_at, resource_id, status_event_type) \
             values ('go-status', now(), now(), 'from-go', 'StatusUpdate'); \
         select pg_notify('status_events', 'go-status')",
    )
    .await
    .unwrap();
    end_listeners(&db).await;
    testkit::eventually("status events to be noted", DEADLINE, async || {
        let unseen = "select count(*) from status_events s where not exists ( \
            select from event_instances n where n.event_id = s.id and n.instance_id = 'ours')";
        let all = number(&db, "select count(*) from status_events").await;
        (all == 3 && number(&db, unseen).await == 0).then_some(())
    })
    .await;

    // The other server leaves.
    db.batch_execute("update server_instances set ready = false, last_heartbeat = now() - interval '1 hour' where id = 'go'")
        .await
        .unwrap();
    testkit::eventually("everything to be closed", DEADLINE, async || {
        (number(&db, open).await == 0).then_some(())
    })
    .await;
}

/// I9: events drain to zero; beside a Go server only what it has seen goes.
#[tokio::test]
async fn f53_event_tables_drain() {
    let mut config = impatient(postgres().await);
    config.limits.events_kept = Duration::from_secs(1);
    let server = replica("ours", &config).await;
    server.cluster("c1").await;
    let db = session(&config).await;
    db.batch_execute(
        "insert into server_instances (id, created_at, updated_at, last_heartbeat, ready) \
             values ('go', now(), now(), now() + interval '1 hour', true); \
         insert into status_events (id, created_at, updated_at, resource_id, status_event_type) values \
             ('unseen', now(), now(), 'x', 'StatusUpdate'), ('seen', now(), now(), 'x', 'StatusUpdate'); \
         insert into event_instances (event_id, instance_id) values ('seen', 'go')",
    )
    .await
    .unwrap();
    let gone = async |id: &str| {
        number(
            &db,
            &format!("select count(*) from status_events where id = '{id}'"),
        )
        .await
            == 0
    };
    testkit::eventually("what the Go server saw to go", DEADLINE, async || {
        gone("seen").await.then_some(())
    })
    .await;
    assert!(!gone("unseen").await, "a slow Go server gets its time");
    db.batch_execute("delete from server_instances where id = 'go'")
        .await
        .unwrap();
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    agent.applied(&specs.next().await).await.unwrap();
    source.delete("r1", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    agent.deleted(&deletion).await.unwrap();
    testkit::eventually("events to drain", DEADLINE, async || {
        let left = "select (select count(*) from events) + (select count(*) from status_events) \
            + (select count(*) from event_instances) + (select count(*) from delivery)";
        (number(&db, left).await == 0).then_some(())
    })
    .await;
}

/// F20, I3: whatever way a row came to be undelivered, the sweep finds it.
#[tokio::test]
async fn f20b_undelivered_rows_are_found_whatever_the_cause() {
    let config = impatient(postgres().await);
    let server = replica("ours", &config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    for id in ["older", "null", "odd"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
        agent
            .applied(&specs.until(|event| event.id == id).await)
            .await
            .unwrap();
    }
    // Nothing is due any more.
    specs.silence(Duration::from_millis(500)).await;
    let db = session(&config).await;
    db.batch_execute(
        "update resources set version = 2 where id = 'older'; \
         update resources set status = 'null'::jsonb where id = 'null'; \
         update resources set status = jsonb_set(status, '{resourceversion}', '\"x\"') where id = 'odd'",
    )
    .await
    .unwrap();
    go_inserts(&db, "no-event", "c1", None).await;
    go_inserts(&db, "from-a-backup", "c1", None).await;
    db.batch_execute(
        "update resources set updated_at = '2020-01-01', created_at = '2020-01-01' where id = 'from-a-backup'",
    )
    .await
    .unwrap();
    db.batch_execute("update resources set updated_at = null where id = 'no-event'")
        .await
        .unwrap();
    let found = specs.collect(5).await;
    let found: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(found, ["from-a-backup", "no-event", "null", "odd", "older"]);
}

/// Counts how often the talk on a connection changes direction from the server back to the client: round trips.
async fn counting_relay(target: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trips = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&trips);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let asked = Arc::new(AtomicBool::new(false));
            let (question, trips) = (Arc::clone(&asked), Arc::clone(&counter));
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = from_client.read(&mut buffer).await {
                    question.store(true, Ordering::SeqCst);
                    if to_server.write_all(&buffer[..bytes]).await.is_err() {
                        break;
                    }
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(bytes @ 1..) = from_server.read(&mut buffer).await {
                    if asked.swap(false, Ordering::SeqCst) {
                        trips.fetch_add(1, Ordering::SeqCst);
                    }
                    if to_client.write_all(&buffer[..bytes]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, trips)
}

#[tokio::test]
async fn a_mutation_costs_one_transaction_and_two_round_trips() {
    const ROUNDS: usize = 100;
    let mut config = postgres().await;
    let direct = url(&config);
    let target = target_of(&direct);
    let (port, trips) = counting_relay(target.clone()).await;
    config.database = Database::Postgres(Secret(
        direct.replace(&target, &format!("127.0.0.1:{port}")),
    ));
    let server = replica("ours", &config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let agent = server.agent("c1").await;
    // Statements are prepared once for each connection.
    for id in ["warm", "up"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let (before, started) = (trips.load(Ordering::SeqCst), Instant::now());
    for n in 0..ROUNDS {
        source
            .create(&format!("r{n}"), "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
        source
            .update(&format!("r{n}"), "c1", 1, &bundle(&[config_map("b")]))
            .await
            .unwrap();
        source.delete(&format!("r{n}"), "c1").await.unwrap();
    }
    drop(agent);
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let each = (trips.load(Ordering::SeqCst) - before) as f64 / (3 * ROUNDS) as f64;
    // Probes and signs of life take their share.
    let noise = 0.2 + 3.0 * started.elapsed().as_secs_f64() / (3 * ROUNDS) as f64;
    println!("{each:.2} round trips for each mutation");
    assert!(each <= 2.0 + noise, "{each} round trips for each mutation");
}

/// A session that holds a row or a consumer, with or without the locks of Go servers, delays only what it holds.
#[tokio::test]
async fn a_stuck_session_delays_only_its_row() {
    let config = postgres().await;
    let server = replica("ours", &config).await;
    for cluster in ["c1", "held"] {
        server.cluster(cluster).await;
    }
    let source = server.source("s1").await;
    for id in ["row", "free"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let db = session(&config).await;
    db.batch_execute(
        "begin; select 1 from resources where id = 'row' for update; select 1 from consumers where name = 'held' for update",
    )
    .await
    .unwrap();
    let waiting = [
        tokio::spawn({
            let source = source.clone();
            async move {
                source
                    .update("row", "c1", 1, &bundle(&[config_map("b")]))
                    .await
            }
        }),
        tokio::spawn({
            let source = source.clone();
            async move {
                source
                    .create("new", "held", &bundle(&[config_map("b")]))
                    .await
            }
        }),
    ];
    for version in 1..20 {
        let content = bundle(&[config_map(&format!("v{version}"))]);
        let started = Instant::now();
        source
            .update("free", "c1", version, &content)
            .await
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert!(waiting.iter().all(|task| !task.is_finished()));
    db.batch_execute("commit").await.unwrap();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.bundle("row").await.1["version"], 2);
}

/// F1, I7, I9: many deletions for clusters that are away.
#[tokio::test]
async fn f1_a_large_backlog_costs_other_clusters_nothing() {
    let backlog: i32 = std::env::var("MAESTRO_TEST_BACKLOG")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let config = impatient(postgres().await);
    let server = replica("ours", &config).await;
    for cluster in ["away", "here"] {
        server.cluster(cluster).await;
    }
    let (source, agent) = (server.source("s1").await, server.agent("here").await);
    let mut specs = agent.join(&[]).await;
    let db = session(&config).await;
    let before = creates(&source, &agent, &mut specs, "before").await;
    let payload = json!({"specversion": "1.0", "id": "e", "source": "s1",
        "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
        "datacontenttype": "application/json", "data": bundle(&[config_map("a")])});
    db.execute(
        "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, deleted_at, payload) \
         select 'away-' || n, 'away-' || n, 's1', 'away', 1, '', now(), now(), now(), $1 from generate_series(1, $2) n",
        &[&payload, &backlog],
    )
    .await
    .unwrap();
    // The cluster that is connected has many works, all settled.
    db.execute(
        "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, payload, status) \
         select 'settled-' || n, 'settled-' || n, 's1', 'here', 1, '', now(), now(), $1, '{\"resourceversion\": 1}' \
         from generate_series(1, 2000) n",
        &[&payload],
    )
    .await
    .unwrap();
    db.batch_execute("analyze").await.unwrap();
    // Callers repeat their deletions.
    let retries = tokio::spawn({
        let source = source.clone();
        async move {
            for n in (1..).step_by(17) {
                source
                    .delete(&format!("away-{}", n % backlog), "away")
                    .await
                    .unwrap();
            }
        }
    });
    let after = creates(&source, &agent, &mut specs, "after").await;
    retries.abort();
    println!(
        "{backlog} deletions wait; slowest create of another cluster: {before:?} before, {after:?} with them"
    );
    assert!(
        after < Duration::from_secs(5),
        "{before:?} became {after:?}"
    );
    assert_eq!(
        number(
            &db,
            "select count(*) from events where source_id like 'away%'"
        )
        .await,
        0,
        "repeated deletions add nothing"
    );
    // What sweeps read doesn't depend on what waits elsewhere: about forty of them in two seconds.
    let read = async || {
        number(
            &db,
            "select (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables \
             where relname in ('resources', 'events', 'delivery'))",
        )
        .await
    };
    let settle = async || tokio::time::sleep(Duration::from_secs(2)).await;
    settle().await;
    let before = read().await;
    settle().await;
    let rows = read().await - before;
    println!("sweeps read {rows} rows in two seconds");
    assert!(rows < i64::from(backlog), "sweeps read {rows} rows");
    // Once its agent comes, it gets all of them.
    let mut specs = server.agent("away").await.join(&[]).await;
    for _ in 0..200 {
        assert!(specs.next().await.deleting);
    }
}

/// Creates works one after the other until the agent has each; tells the 90th percentile.
async fn creates(
    source: &crate::harness::Source,
    agent: &crate::harness::Agent,
    specs: &mut crate::harness::Events,
    name: &str,
) -> Duration {
    let mut times = Vec::new();
    for n in 0..60 {
        let id = format!("{name}-{n}");
        let started = Instant::now();
        source
            .create(&id, &agent.cluster, &bundle(&[config_map("a")]))
            .await
            .unwrap();
        let spec = specs.until(|event| event.id == id).await;
        times.push(started.elapsed());
        agent.applied(&spec).await.unwrap();
    }
    times.sort_unstable();
    times[times.len() * 9 / 10]
}
