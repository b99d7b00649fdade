//! `maestro migration` as a process.

use testkit::postgres::Server;

use crate::support::{maestro, outcome};

/// The ids that upstream's migrations leave behind.
const UPSTREAM: [&str; 10] = [
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

#[tokio::test]
async fn five_at_once_leave_one_schema() {
    let database = Server::shared().await.unwrap().database().await.unwrap();
    let url = database.url();
    let running: Vec<_> = (0..5)
        .map(|_| {
            maestro(&["migration", "--database", &url])
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{log}");
    }
    let client = database.connect().await.unwrap();
    let rows = client
        .query("select id from migrations order by id", &[])
        .await;
    let ids: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(
        ids.iter().filter(|id| id.starts_with("20")).count(),
        UPSTREAM.len()
    );
    for id in UPSTREAM {
        assert!(ids.iter().any(|known| known == id), "{id} {ids:?}");
    }
    let (code, _, log) = outcome(&["migration", "--database", &url]).await;
    assert_eq!(code, 0);
    assert!(log.contains("\"steps\":0"), "{log}");
}

#[tokio::test]
async fn it_waits_for_its_database_for_a_while() {
    let postgres = Server::start().await.unwrap();
    let url = postgres.database().await.unwrap().url();
    postgres.stop().await.unwrap();
    let (code, _, log) = outcome(&["migration", "--database", &url, "--db-wait=1s"]).await;
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("the database didn't answer for 1s"), "{log}");
    let waiting = maestro(&["migration", "--database", &url, "--db-wait=60s"])
        .spawn()
        .unwrap();
    postgres.start_again().await.unwrap();
    let output = waiting.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn what_waiting_does_not_cure_is_said_at_once() {
    let database = Server::shared().await.unwrap().database().await.unwrap();
    let missing = database.url().replace(database.name(), "no_such_database");
    let (code, _, log) = outcome(&["migration", "--database", &missing]).await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("no_such_database"), "{log}");
}

#[tokio::test]
async fn an_sqlite_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maestro.db");
    let url = format!("sqlite:{}", file.display());
    assert_eq!(outcome(&["migration", "--database", &url]).await.0, 0);
    assert!(file.exists());
}
