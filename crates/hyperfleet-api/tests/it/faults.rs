use std::time::Duration;

use hyperfleet_api::{Database, Service};
use serde_json::json;
use testkit::eventually;

use crate::server::{CLUSTERS, Server, cluster};

const PATIENCE: Duration = Duration::from_secs(60);

async fn postgres() -> (testkit::postgres::Server, Server) {
    let postgres = testkit::postgres::Server::start_durable().await.unwrap();
    let database = postgres.database().await.unwrap();
    let config = sql_store::postgres::Config::from_url(&database.url()).unwrap();
    let server = Server::ready(Server::config(Database::Postgres(Box::new(config)))).await;
    (postgres, server)
}

#[tokio::test]
async fn f92_a_database_that_is_away_is_503_and_comes_back_with_everything() {
    let (postgres, server) = postgres().await;
    let path = server.cluster("abc").await;
    postgres.crash().await.unwrap();
    for answer in [
        server.get(&path).await,
        server.post(CLUSTERS, cluster("new")).await,
        server.report(&path, "dns", 1, "True").await,
    ] {
        assert_eq!(
            answer.problem(),
            (503, "SVC-001", "Database connection unavailable")
        );
        assert!(
            !answer.text.contains("postgres") && !answer.text.contains("sql"),
            "{}",
            answer.text
        );
    }
    let readiness = async || server.get(&format!("{}/readyz", server.health)).await;
    let away = eventually("not ready without the database", PATIENCE, async || {
        Some(readiness().await).filter(|answer| answer.status == 503)
    })
    .await;
    assert_eq!(
        away.body,
        json!({"status": "not_ready", "reason": "Database connection not available"})
    );
    assert_eq!(
        server
            .get(&format!("{}/healthz", server.health))
            .await
            .status,
        200,
        "alive all the same"
    );
    postgres.start_again().await.unwrap();
    eventually("ready again", PATIENCE, async || {
        (readiness().await.status == 200).then_some(())
    })
    .await;
    assert_eq!(server.get(&path).await.expect(200)["name"], "abc");
    server.post(CLUSTERS, cluster("new")).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn f92_a_server_that_starts_before_its_database_says_so_and_recovers() {
    let postgres = testkit::postgres::Server::start_durable().await.unwrap();
    let database = postgres.database().await.unwrap();
    postgres.stop().await.unwrap();
    let settings = sql_store::postgres::Config::from_url(&database.url()).unwrap();
    let server = Server::start(Server::config(Database::Postgres(Box::new(settings)))).await;
    assert_eq!(
        server.get(CLUSTERS).await.problem(),
        (503, "SVC-001", "Database connection unavailable")
    );
    let readiness = server.get(&format!("{}/readyz", server.health)).await;
    assert_eq!(
        readiness.body,
        json!({"status": "not_ready", "reason": "Application is not ready"})
    );
    assert_eq!(server.get("/api/hyperfleet").await.status, 200);
    postgres.start_again().await.unwrap();
    eventually("the server has started", PATIENCE, async || {
        (server.post(CLUSTERS, cluster("abc")).await.status == 201).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn f87_a_report_whose_session_dies_is_stored_whole_or_not_at_all() {
    let (postgres, server) = postgres().await;
    let path = server.cluster("abc").await;
    let mut stored = false;
    for round in 0..16_u64 {
        let kill = async {
            // From at once to long after, on slow machines too.
            tokio::time::sleep(Duration::from_micros(100 << round.min(12))).await;
            postgres
                .terminate_sessions("usename is not null")
                .await
                .unwrap();
        };
        let generation = round + 1;
        let change = async {
            let patched = server.patch(&path, json!({"spec": {"round": round}})).await;
            let reported = server
                .report(&path, "dns", i64::try_from(generation).unwrap(), "True")
                .await;
            (patched, reported)
        };
        let ((patched, reported), ()) = tokio::join!(change, kill);
        for answer in [&patched, &reported] {
            assert!(
                matches!(answer.status.as_u16(), 200 | 201 | 204 | 503),
                "{answer:?}"
            );
        }
        let resource = eventually("the database is back", PATIENCE, async || {
            let answer = server.get(&path).await;
            (answer.status == 200).then_some(answer.body)
        })
        .await;
        // The generation counts the specs that were stored, and the conditions speak of that generation: one transaction.
        let reconciled = crate::server::condition(&resource, "Reconciled");
        assert_eq!(reconciled["observed_generation"], resource["generation"]);
        let statuses = eventually("the statuses are back", PATIENCE, async || {
            let answer = server.get(&format!("{path}/statuses")).await;
            (answer.status == 200).then_some(answer.body)
        })
        .await;
        let condition = crate::server::condition(&resource, "DnsSuccessful");
        stored |= statuses["total"] == 1;
        if let Some(status) = statuses["items"].get(0) {
            assert_eq!(
                condition["observed_generation"], status["observed_generation"],
                "report and condition go together"
            );
            assert_eq!(condition["last_updated_time"], status["last_report_time"]);
        } else {
            assert!(condition.is_null());
        }
    }
    assert!(stored, "some rounds got through");
}

#[tokio::test]
async fn f92_a_rollout_fails_no_request() {
    let database = testkit::postgres::Server::shared()
        .await
        .unwrap()
        .database()
        .await
        .unwrap();
    let config = || {
        let settings = sql_store::postgres::Config::from_url(&database.url()).unwrap();
        let database = Database::Postgres(Box::new(settings));
        hyperfleet_api::Config {
            drain_delay: Duration::from_millis(500),
            ..Server::config(database)
        }
    };
    let (old, new) = (Server::ready(config()).await, Server::ready(config()).await);
    let ready = async |server: &Server| {
        server
            .get(&format!("{}/readyz", server.health))
            .await
            .status
            == 200
    };
    for server in [&old, &new] {
        eventually("ready", PATIENCE, async || {
            ready(server).await.then_some(())
        })
        .await;
    }
    let stop = old.stopper();
    let load = async {
        let mut served = [0, 0];
        let mut stopped = false;
        // As a load balancer does: to the old server as long as it is ready, then to the new one.
        for number in 0.. {
            let to_old = served[1] == 0 && ready(&old).await;
            let server = if to_old { &old } else { &new };
            server
                .post(CLUSTERS, cluster(&format!("cluster-{number}")))
                .await
                .expect(201);
            served[usize::from(!to_old)] += 1;
            if served[0] >= 20 && !stopped {
                stop.cancel();
                stopped = true;
            }
            if served[1] >= 20 {
                break;
            }
        }
        served
    };
    let served = load.await;
    assert!(served[0] >= 20, "{served:?}");
    let body = new.list(CLUSTERS, &[("size", "1")]).await.expect(200);
    assert_eq!(body["total"], served[0] + served[1]);
    old.stop().await;
}

#[tokio::test]
async fn f88_servers_that_start_together_migrate_once() {
    let database = testkit::postgres::Server::shared()
        .await
        .unwrap()
        .database()
        .await
        .unwrap();
    let config = || {
        Database::Postgres(Box::new(
            sql_store::postgres::Config::from_url(&database.url()).unwrap(),
        ))
    };
    let servers =
        futures::future::join_all((0..5).map(|_| Server::start(Server::config(config())))).await;
    for (index, server) in servers.iter().enumerate() {
        let name = format!("cluster-{index}");
        let created = eventually("the server has migrated", PATIENCE, async || {
            let answer = server.post(CLUSTERS, cluster(&name)).await;
            (answer.status == 201).then_some(answer.body)
        })
        .await;
        assert_eq!(created["name"], name);
    }
    assert_eq!(
        servers[0].get(CLUSTERS).await.body["total"],
        5,
        "they share what is stored"
    );
}

#[tokio::test]
async fn a_file_survives_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Server::config(Database::Sqlite(folder.path().join("api.db")));
    let server = Server::ready(config()).await;
    let path = server.cluster("abc").await;
    server.report(&path, "dns", 1, "True").await.expect(201);
    let before = server.get(&path).await.expect(200);
    let other = Service::bind(config())
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(other.contains("in use by another process"), "{other}");
    server.stop().await;
    let server = Server::ready(config()).await;
    assert_eq!(server.get(&path).await.expect(200), before);
}

#[tokio::test]
async fn figures_and_health_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Server::config(Database::Sqlite(folder.path().join("api.db")));
    let server = Server::ready(config()).await;
    let path = server.cluster("abc").await;
    server.stop().await;
    let server = Server::ready(config()).await;
    server.cluster("new").await;
    server.get(&path).await.expect(200);
    server.get("/nowhere").await;
    assert_eq!(
        server
            .get(&format!("{}/readyz", server.health))
            .await
            .status,
        200
    );
    let text = eventually("the pending cluster is counted", PATIENCE, async || {
        let text = server
            .get(&format!("{}/metrics", server.metrics))
            .await
            .text;
        text.contains("hyperfleet_api_resource_pending_reconciliation{")
            .then_some(text)
    })
    .await;
    for line in [
        r#"hyperfleet_api_requests_total{component="api",version="0.1.0",method="GET",path="/api/hyperfleet/v1/clusters/-",code="200"} 1"#,
        r#"hyperfleet_api_requests_total{component="api",version="0.1.0",method="GET",path="-",code="404"} 1"#,
        r#"hyperfleet_api_reconciliation_started_total{component="api",version="0.1.0",resource_type="Cluster",is_delete="false"} 1"#,
        r#"hyperfleet_api_resource_pending_reconciliation{component="api",version="0.1.0",resource_type="cluster",is_delete="false"} 1"#,
        r#"hyperfleet_api_resource_pending_reconciliation_stuck{component="api",version="0.1.0",resource_type="cluster",is_delete="false"} 0"#,
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once() {
    let mut config = Server::config(Database::SqliteMemory);
    config.entities[1].on_parent_delete = None;
    config.identity.identity_header = "Authorization".into();
    let text = Service::bind(config)
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    for expected in [
        "NodePool: on_parent_delete",
        "server.identity_header: Authorization carries secrets",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}
