//! PostgreSQL as it is in the field: shared, away, frozen, and older than this server.

use std::time::Duration;

use maestro_server::config::Secret;
use maestro_server::{Config, Database};
use serde_json::json;
use testkit::postgres::Server as Postgres;
use tonic::Code;

use crate::harness::{DEADLINE, Server, bundle, config_map, impatient, postgres, session};

fn on(postgres: &testkit::postgres::Database) -> Config {
    Config {
        database: Database::Postgres(Secret(postgres.url())),
        ..Config::default()
    }
}

async fn health(server: &Server, path: &str) -> u16 {
    let url = format!("http://{}{path}", server.addresses.health);
    reqwest::get(url).await.unwrap().status().as_u16()
}

async fn ready(server: &Server, wanted: bool) {
    testkit::eventually("readiness to follow the database", DEADLINE, async || {
        ((health(server, "/readyz").await == 200) == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f56_a_database_that_freezes_and_comes_back() {
    let database_server = Postgres::start().await.unwrap();
    let mut config = on(&database_server.database().await.unwrap());
    config.database_timeout = Duration::from_millis(500);
    let server = Server::start(impatient(config)).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("before", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert_eq!(specs.next().await.id, "before");
    ready(&server, true).await;

    database_server.pause().await.unwrap();
    let error = source
        .create("during", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(
        error.message().contains("the database is unavailable"),
        "{error}"
    );
    let (status, body) = server.get("/api/maestro/v1/consumers").await;
    assert_eq!(status, 503, "{body}");
    ready(&server, false).await;
    assert_eq!(
        health(&server, "/livez").await,
        200,
        "a restart wouldn't help"
    );
    assert_eq!(health(&server, "/healthcheck").await, 503);

    database_server.resume().await.unwrap();
    ready(&server, true).await;
    source
        .create("after", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    // The same stream goes on.
    specs.until(|event| event.id == "after").await;
}

#[tokio::test]
async fn a_status_resync_that_was_accepted_is_answered_once_the_database_is_back() {
    let database_server = Postgres::start().await.unwrap();
    let mut config = on(&database_server.database().await.unwrap());
    config.database_timeout = Duration::from_millis(500);
    let server = Server::start(impatient(config)).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    agent.applied(&spec).await.unwrap();

    database_server.pause().await.unwrap();
    ready(&server, false).await;
    let mut statuses = source.subscribe().await;
    let everything = event_wire::codec::source::status_resync_request(
        &source.id,
        Vec::new(),
        event_wire::Stamp::now(),
    );
    source.publish(everything).await.unwrap();
    // Long enough for the first comparison to have failed.
    tokio::time::sleep(Duration::from_secs(2)).await;
    database_server.resume().await.unwrap();
    assert_eq!(statuses.next().await.id, "r1");
}

/// I4, I6: the server never learns that a report was stored, so it doesn't tell its own streams; nor does the agent that
/// repeats it, for then it is old, or the resource gone.
#[tokio::test]
async fn reports_whose_commit_was_never_answered_reach_their_source() {
    let mut config = postgres().await;
    config.database_timeout = Duration::from_secs(1);
    let database = session(&config).await;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    // Commits take longer than the server waits for them.
    database
        .batch_execute(
            "create function dawdle() returns trigger language plpgsql as \
                 'begin perform pg_sleep(3); return null; end'; \
             create constraint trigger slow after insert on status_events deferrable initially deferred \
                 for each row execute function dawdle()",
        )
        .await
        .unwrap();
    let unanswered = agent.applied(&spec).await.unwrap_err();
    assert_eq!(unanswered.code(), Code::Unavailable, "{unanswered}");
    let status = statuses.next().await;
    assert!(status.condition("Applied").is_some());
    source.delete("r1", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    let unanswered = agent.deleted(&deletion).await.unwrap_err();
    assert_eq!(unanswered.code(), Code::Unavailable, "{unanswered}");
    statuses
        .until(|event| event.condition("Deleted").is_some())
        .await;
    agent.deleted(&deletion).await.unwrap();
    assert_eq!(server.bundle("r1").await.0, 404);
}

#[tokio::test]
async fn a_database_that_crashes_loses_nothing_that_was_acknowledged() {
    let database_server = Postgres::start().await.unwrap();
    let config = on(&database_server.database().await.unwrap());
    let server = Server::start(impatient(config)).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let mut accepted = Vec::new();
    for number in 0..60 {
        let id = format!("r{number}");
        if number == 30 {
            database_server.crash().await.unwrap();
        }
        let outcome = source.create(&id, "c1", &bundle(&[config_map("a")])).await;
        match outcome {
            Ok(()) => accepted.push(id),
            Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
        }
        if number == 35 {
            database_server.start_again().await.unwrap();
            ready(&server, true).await;
        }
    }
    assert!(accepted.len() >= 50, "{}", accepted.len());
    for id in &accepted {
        assert_eq!(server.bundle(id).await.0, 200, "{id}");
    }
    let mut missing: std::collections::BTreeSet<String> = accepted.into_iter().collect();
    while !missing.is_empty() {
        missing.remove(&specs.next().await.id);
    }
}

#[tokio::test]
async fn f59_a_server_waits_for_its_database() {
    // This test asks before its server has begun.
    service_runtime::install_crypto_provider();
    let database_server = Postgres::start().await.unwrap();
    let mut config = on(&database_server.database().await.unwrap());
    database_server.stop().await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    config.health_listen = format!("127.0.0.1:{port}");
    let starting = tokio::spawn(Server::start(config));
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}"))
            .await
            .ok()?;
        Some(answer.status().as_u16())
    };
    testkit::eventually("liveness", DEADLINE, async || {
        (get("/livez").await? == 200).then_some(())
    })
    .await;
    assert_eq!(get("/readyz").await, Some(503));
    assert!(!starting.is_finished());
    database_server.start_again().await.unwrap();
    let server = tokio::time::timeout(DEADLINE, starting)
        .await
        .unwrap()
        .unwrap();
    ready(&server, true).await;
}

#[tokio::test]
async fn f21_f30_writes_of_one_server_reach_the_streams_of_another() {
    let config = postgres().await;
    let one = Server::start(Config {
        instance_id: "one".into(),
        ..config.clone()
    })
    .await;
    let two = Server::start(Config {
        instance_id: "two".into(),
        ..config.clone()
    })
    .await;
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let agent = two.agent("c1").await;
    let mut here = source.subscribe().await;
    let mut there = two.source("s1").await.subscribe().await;
    let mut specs = agent.join(&[]).await;
    for number in 0..20 {
        source
            .create(&format!("r{number}"), "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    for spec in specs.collect(20).await.values() {
        agent.applied(spec).await.unwrap();
    }
    for stream in [&mut here, &mut there] {
        assert_eq!(stream.collect(20).await.len(), 20);
    }
    source.delete("r0", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    agent.deleted(&deletion).await.unwrap();
    for stream in [&mut here, &mut there] {
        let last = stream
            .until(|status| status.condition("Deleted").is_some())
            .await;
        assert!(last.data()["manifestBundle"].is_object());
    }
    // The agent moves to the other server.
    drop(specs);
    let mut specs = one.agent("c1").await.join(&[]).await;
    assert_eq!(specs.collect(19).await.len(), 19);
}

#[tokio::test]
async fn f22_lost_notifications_are_made_up_for() {
    let database_server = Postgres::start().await.unwrap();
    let database = database_server.database().await.unwrap();
    let config = on(&database);
    let one = Server::start(Config {
        instance_id: "one".into(),
        ..config.clone()
    })
    .await;
    let two = Server::start(Config {
        instance_id: "two".into(),
        ..config.clone()
    })
    .await;
    one.cluster("c1").await;
    let source = one.source("s1").await;
    let agent = two.agent("c1").await;
    let mut statuses = source.subscribe().await;
    let mut specs = agent.join(&[]).await;
    let listening = "query like 'listen%'";
    let writes = async {
        for number in 0..100 {
            source
                .create(&format!("r{number}"), "c1", &bundle(&[config_map("a")]))
                .await
                .unwrap();
            if number % 10 == 0 {
                database_server.terminate_sessions(listening).await.unwrap();
            }
        }
    };
    let reports = async {
        for (number, spec) in specs.collect(100).await.values().enumerate() {
            agent.applied(spec).await.unwrap();
            if number % 10 == 0 {
                database_server.terminate_sessions(listening).await.unwrap();
            }
        }
    };
    let all = async { tokio::join!(writes, reports, statuses.collect(100)) };
    tokio::time::timeout(DEADLINE, all)
        .await
        .expect("everything arrives within the time of a sweep");
}

#[tokio::test]
async fn the_schema_is_upstreams_and_so_are_the_ids_of_its_migrations() {
    let config = postgres().await;
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!()
    };
    let server = Server::start(config.clone()).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let column = async |sql: &str| -> Vec<String> {
        client
            .query(sql, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    };
    let ids = column("select id from migrations order by id collate \"C\"").await;
    let upstream = [
        "201911212019",
        "202309020925",
        "202311151850",
        "202311151856",
        "202311151859",
        "202401151014",
        "202406241426",
        "202406241506",
        "202412171429",
        "202412181141",
    ];
    assert_eq!(ids[..10], upstream);
    assert!(
        ids[10..].iter().all(|id| id.starts_with("rust-")),
        "{ids:?}"
    );
    let columns = async |table: &str| {
        let sql = format!(
            "select column_name || ' ' || udt_name || case is_nullable when 'NO' then ' not null' else '' end \
             from information_schema.columns where table_name = '{table}' order by ordinal_position"
        );
        column(&sql).await.join(", ")
    };
    assert_eq!(
        columns("resources").await,
        "name text, id text not null, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, source text, \
         consumer_name text, version int8 not null, type text, payload jsonb, status jsonb"
    );
    assert_eq!(
        columns("server_instances").await,
        "id text not null, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, \
         last_heartbeat timestamptz, ready bool"
    );
    assert_eq!(
        columns("event_instances").await,
        "event_id text, instance_id text, spec_event_id text"
    );
    let constraints =
        column("select conname from pg_constraint where contype = 'f' order by conname").await;
    for name in [
        "fk_event_instances_events",
        "fk_event_instances_server_instances",
        "fk_event_instances_status_events",
        "fk_resources_consumers",
    ] {
        assert!(
            constraints.iter().any(|found| found == name),
            "{name} is missing"
        );
    }
    let indexes = column("select indexname from pg_indexes where schemaname = 'public'").await;
    for name in [
        "idx_resources_name",
        "idx_resources_consumer_name",
        "idx_consumers_name",
        "idx_events_reconciled_date",
        "idx_status_events_resource_id",
        "idx_status_event_instance",
        "idx_event_instances_spec_event_id",
    ] {
        assert!(
            indexes.iter().any(|found| found == name),
            "{name} is missing"
        );
    }
    let instances = async || column("select id from server_instances where ready").await;
    testkit::eventually("a sign of life", DEADLINE, async || {
        (instances().await == ["maestro"]).then_some(())
    })
    .await;
    server.stop().await;
    assert_eq!(
        instances().await,
        Vec::<String>::new(),
        "a server that leaves says so"
    );
}

/// What a Go server writes: JSON null for "no status", an event, a notification.
#[tokio::test]
async fn f20b_rows_of_a_go_server_are_delivered() {
    let config = postgres().await;
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!()
    };
    let mut config = impatient(config);
    // The event comes before the reminder, also on a slow machine.
    config.limits.grace = Duration::from_secs(3);
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    // What the agent said that it has is compared before anything is sent.
    let source = server.source("s1").await;
    let first = bundle(&[config_map("first")]);
    source.create("first", "c1", &first).await.unwrap();
    specs.until(|event| event.id == "first").await;
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let payload = json!({"specversion": "1.0", "id": "e1", "source": "go", "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
        "datacontenttype": "application/json", "time": "2026-01-01T00:00:00.5Z", "clustername": "c1", "resourceid": "g1", "resourceversion": 0,
        "originalsource": "", "metadata": {"name": "w"}, "data": bundle(&[config_map("a")])});
    let insert = "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, payload, status) \
        values ($1, $1, 'go', 'c1', 1, '', now(), now(), $2, 'null'::jsonb)";
    // A row and its event come together; alone, the row would be found as one that waits for long.
    let created = client.transaction().await.unwrap();
    created.execute(insert, &[&"g1", &payload]).await.unwrap();
    created
        .batch_execute(
            "insert into events (id, created_at, updated_at, source, source_id, event_type) \
             values ('go-event', now(), now(), 'Resources', 'g1', 'Create'); select pg_notify('events', 'go-event')",
        )
        .await
        .unwrap();
    created.commit().await.unwrap();
    // A slow machine may be reminded of the first one meanwhile.
    let spec = specs.until(|event| event.id == "g1").await;
    assert_eq!(spec.action().as_str(), "create_request");
    assert_eq!(spec.metadata.as_ref().unwrap()["name"], "g1");
    assert_eq!(spec.data(), bundle(&[config_map("a")]));
    // And one whose event got lost between two statements.
    let mut lost = payload.clone();
    lost["resourceid"] = "g2".into();
    client.execute(insert, &[&"g2", &lost]).await.unwrap();
    specs.until(|event| event.id == "g2").await;
    let (_, body) = server.bundle("g1").await;
    assert_eq!(body["status"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_row_that_a_go_server_holds_delays_only_itself() {
    let config = postgres().await;
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!()
    };
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    for id in ["held", "free"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let hash = "held".bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let (id, kind) = (hash.cast_signed(), 1_893_056_498_i32);
    client.batch_execute("begin").await.unwrap();
    client
        .execute("select pg_advisory_xact_lock($1, $2)", &[&id, &kind])
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let source = source.clone();
        async move {
            source
                .update("held", "c1", 1, &bundle(&[config_map("b")]))
                .await
        }
    });
    source
        .update("free", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap();
    assert!(!waiting.is_finished());
    client.batch_execute("commit").await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(server.bundle("held").await.1["version"], 2);
}
