use std::time::Duration;

use sql_store::postgres::{Config, Notice, Pool, listen, migrate};
use sql_store::{Error, Migration};
use testkit::postgres::Server;
use tokio_util::sync::CancellationToken;

use super::DEADLINE;

const STEPS: &[Migration] = &[
    Migration {
        id: "1",
        sql: "create table parent (id text primary key);",
    },
    Migration {
        id: "2",
        sql: "create table child (id text primary key, parent text constraint of_parent references parent (id), \
              number int not null default 0); insert into parent values ('p');",
    },
];

async fn pool() -> (Config, Pool) {
    let database = Server::shared().await.unwrap().database().await.unwrap();
    let config = Config::from_url(&database.url()).unwrap();
    let pool = Pool::connect(&config).unwrap();
    (config, pool)
}

#[tokio::test]
async fn f88_of_several_migrations_at_once_one_does_the_work() {
    let (_, pool) = pool().await;
    let all = (0..5).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { migrate(&pool, "migrations", 7, STEPS).await.unwrap().len() })
    });
    let mut applied = Vec::new();
    for one in all.collect::<Vec<_>>() {
        applied.push(one.await.unwrap());
    }
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, 2]);
}

#[tokio::test]
async fn a_failing_migration_changes_nothing() {
    let (_, pool) = pool().await;
    let broken = [
        STEPS[0],
        Migration {
            id: "x",
            sql: "create table oops (",
        },
    ];
    assert!(matches!(
        migrate(&pool, "migrations", 7, &broken).await,
        Err(Error::Other(_))
    ));
    assert_eq!(
        migrate(&pool, "migrations", 7, STEPS).await.unwrap(),
        ["1", "2"]
    );
}

#[tokio::test]
async fn errors_have_classes() {
    let (_, pool) = pool().await;
    migrate(&pool, "migrations", 7, STEPS).await.unwrap();
    let client = pool.get().await.unwrap();
    let run = async |sql: &str| Error::from(client.batch_execute(sql).await.unwrap_err());

    let error = run("insert into parent values ('p')").await;
    assert!(
        matches!(&error, Error::Unique { constraint } if constraint == "parent_pkey"),
        "{error}"
    );
    let error = run("insert into child values ('c', 'q')").await;
    assert!(
        matches!(&error, Error::ForeignKey { constraint } if constraint == "of_parent"),
        "{error}"
    );
    let error = run("insert into child values ('c', 'p', 99999999999)").await;
    assert!(matches!(&error, Error::Invalid(_)), "{error}");
    let error = run("select nothing").await;
    assert!(
        matches!(&error, Error::Other(_)) && !error.is_retryable(),
        "{error}"
    );
    let error = run("set statement_timeout = 1; select pg_sleep(5)").await;
    assert!(
        matches!(&error, Error::Unavailable(_)) && error.is_retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn f56_a_frozen_database_is_an_error_and_then_works_again() {
    let server = Server::start().await.unwrap();
    let database = server.database().await.unwrap();
    let mut config = Config::from_url(&database.url()).unwrap();
    config.answer_timeout = Duration::from_millis(300);
    let pool = Pool::connect(&config).unwrap();
    pool.wait_until_available(&CancellationToken::new())
        .await
        .unwrap();

    server.pause().await.unwrap();
    assert!(matches!(pool.ping().await, Err(Error::Unavailable(_))));
    server.resume().await.unwrap();
    testkit::eventually("an answer", DEADLINE, async || pool.ping().await.ok()).await;

    server.stop().await.unwrap();
    assert!(matches!(pool.ping().await, Err(Error::Unavailable(_))));
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.wait_until_available(&CancellationToken::new()).await }
    });
    server.start_again().await.unwrap();
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn waiting_ends_with_the_shutdown() {
    let pool =
        Pool::connect(&Config::from_url("postgres://nobody@127.0.0.1:1/none").unwrap()).unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    assert!(pool.wait_until_available(&shutdown).await.is_err());
}

#[tokio::test]
async fn f22_a_listener_that_lost_its_session_says_resync() {
    let server = Server::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let config = Config::from_url(&database.url()).unwrap();
    let mut notices = listen(&config, &["events", "it's"], CancellationToken::new()).unwrap();
    let client = database.connect().await.unwrap();

    assert_eq!(next(&mut notices).await, Notice::Resync);
    client
        .batch_execute("select pg_notify('events', 'a'); select pg_notify('it''s', 'b')")
        .await
        .unwrap();
    let expected = [("events", "a"), ("it's", "b")];
    for (channel, payload) in expected {
        assert_eq!(
            next(&mut notices).await,
            Notice::Notify {
                channel: channel.into(),
                payload: payload.into()
            }
        );
    }
    let ended = server
        .terminate_sessions(&format!(
            "datname = '{}' and query like 'listen%'",
            database.name()
        ))
        .await
        .unwrap();
    assert_eq!(ended, 1);
    assert_eq!(next(&mut notices).await, Notice::Resync);
    client
        .batch_execute("select pg_notify('events', 'c')")
        .await
        .unwrap();
    assert_eq!(
        next(&mut notices).await,
        Notice::Notify {
            channel: "events".into(),
            payload: "c".into()
        }
    );
}

async fn next(notices: &mut tokio::sync::mpsc::Receiver<Notice>) -> Notice {
    tokio::time::timeout(DEADLINE, notices.recv())
        .await
        .unwrap()
        .unwrap()
}
