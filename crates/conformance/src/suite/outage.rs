//! Databases that stand still, or can't be reached.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connections::health;
use super::{Need, Test, same, test};
use crate::context::{Context, Stop, Verdict, create_surely, worth_a_retry};
use crate::play::{Behaviour, Error, Rest, Source, Work};

/// What is promised after a reconnect, a restart or a lost notification.
const RECOVERED: Duration = Duration::from_secs(30);
/// How soon after its database a server serves again.
const BACK: Duration = Duration::from_secs(5);
/// What probes wait for an answer.
const PROBE: Duration = Duration::from_secs(1);
/// What every server works with; nothing is read or written while they are locked.
const TABLES: &str = "resources, consumers, events, status_events, server_instances";
/// Without these no new session can answer anything.
const CATALOG: &str = "pg_catalog.pg_class, pg_catalog.pg_type";

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(Delivery, f22_a_database_that_pauses_loses_nothing, "the database stands still among 100 creates and 100 statuses: all arrive within 30 s of its return").needing(&[Need::Database]).alone(),
        test!(Connections, f56_a_stuck_database_is_not_a_dead_server, "while the tables of the database are locked /livez is 200; 5 s after that REST and readiness are, too").needing(&[Need::Database, Need::Health]).alone(),
        test!(Connections, f56_readiness_follows_the_database, "while no session of the database answers /healthcheck isn't 200 and /livez is; 5 s after that the server is ready").needing(&[Need::Database, Need::Health]).alone(),
    ]
}

async fn f22_a_database_that_pauses_loses_nothing(c: Context) -> Verdict {
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let writer = c.elsewhere();
    let source = writer.source().await?;
    let watcher = writer.watcher(source.id()).await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 100);
    let (before, during) = works.split_at(50);
    c.create_all(&source, before).await?;
    // The reports of these are on their way.
    hold(&database, TABLES).await?;
    // Longer than servers wait for an answer of their database.
    let pause = Duration::from_secs(c.size(12, 30) as u64);
    let patience = pause + c.stage.scale.of(RECOVERED);
    let pausing = async {
        tokio::time::sleep(pause).await;
        database.batch_execute("rollback").await
    };
    let writing = during
        .iter()
        .map(|work| create_in_time(&source, work, &c, patience));
    let (written, resumed) = tokio::join!(futures::future::try_join_all(writing), pausing);
    resumed?;
    written?;
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(RECOVERED, &wanted).await?;
    let applied = "Applied=True of every work";
    watcher
        .until(RECOVERED, applied, |statuses| {
            works.iter().all(|work| {
                statuses
                    .get(&work.id)
                    .is_some_and(|status| status.is_true("Applied"))
            })
        })
        .await?;
    Ok(())
}

/// Publishes until the server has it. While its database stands still it may refuse quickly or slowly.
async fn create_in_time(
    source: &Source,
    work: &Work,
    c: &Context,
    patience: Duration,
) -> Result<(), tonic::Status> {
    let started = Instant::now();
    loop {
        match create_surely(source, work, &c.stage).await {
            Err(status) if worth_a_retry(&status) && started.elapsed() < patience => {}
            outcome => return outcome,
        }
    }
}

async fn f56_a_stuck_database_is_not_a_dead_server(c: Context) -> Verdict {
    let database = c.database().await?;
    let health = health(&c)?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let stuck = Duration::from_secs(c.size(15, 60) as u64);
    hold(&database, TABLES).await?;
    let started = Instant::now();
    let work = source.work(&cluster, "during");
    let patience = stuck + c.stage.scale.of(RECOVERED);
    let publish = {
        let (source, work, c) = (source.clone(), work.clone(), c.clone());
        tokio::spawn(async move { create_in_time(&source, &work, &c, patience).await })
    };
    while started.elapsed() < stuck {
        is_alive(&c, &health).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    database.batch_execute("rollback").await?;
    is_back(&c, &health).await?;
    let published = publish
        .await
        .map_err(|error| Stop::Failed(error.to_string()))?;
    published?;
    puppet.holds(RECOVERED, &[(work.id.clone(), 1)]).await?;
    Ok(())
}

async fn f56_readiness_follows_the_database(c: Context) -> Verdict {
    const SUPERUSER: &str = "select usesuper from pg_user where usename = current_user";
    const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
    let database = c.database().await?;
    let health = health(&c)?;
    let superuser: bool = database.query_one(SUPERUSER, &[]).await?.get(0);
    if !superuser {
        return Err(Stop::NotApplicable(
            "needs a superuser in --database-url, who may lock the catalog of the database"
                .to_owned(),
        ));
    }
    // Sessions that know their catalog could still answer a ping: they are ended, and new ones know nothing.
    hold(&database, CATALOG).await?;
    database.batch_execute(TERMINATE).await?;
    let unready = "a server that isn't ready while its database answers nothing";
    c.stage
        .eventually(Duration::from_secs(20), unready, async || {
            // What doesn't answer a probe in time isn't ready either.
            let asked = c.stage.within(PROBE, "a probe", health.get("/healthcheck"));
            Ok(match asked.await {
                Ok(reply) => (reply?.status != 200).then_some(()),
                Err(_) => Some(()),
            })
        })
        .await?;
    let stuck = Duration::from_secs(c.size(3, 60) as u64);
    let started = Instant::now();
    while started.elapsed() < stuck {
        is_alive(&c, &health).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    database.batch_execute("rollback").await?;
    is_back(&c, &health).await?;
    // The next test may use the other replica.
    if let Ok(other) = c.other() {
        let rest = other.rest()?;
        c.stage
            .eventually(RECOVERED, "REST of the second replica", async || {
                serves(&rest).await
            })
            .await?;
    }
    Ok(())
}

async fn is_alive(c: &Context, health: &Rest) -> Verdict {
    let probe = c
        .stage
        .within(PROBE, "an answer of /livez", health.get("/livez"));
    same(
        "/livez while the database is stuck",
        probe.await??.status,
        200,
    )
}

/// Readiness and REST, soon after the database.
async fn is_back(c: &Context, health: &Rest) -> Verdict {
    let rest = c.rest()?;
    let what = "readiness and REST after the database is back";
    c.stage
        .eventually(BACK, what, async || {
            let ready = health.get("/healthcheck").await?.status == 200;
            Ok(if ready { serves(&rest).await? } else { None })
        })
        .await?;
    Ok(())
}

async fn serves(rest: &Rest) -> Result<Option<()>, Error> {
    let reply = rest.get("/api/maestro/v1/consumers?size=1").await?;
    Ok((reply.status == 200).then_some(()))
}

/// Locks tables until the session rolls back or ends, which it also does when the test breaks off.
async fn hold(database: &Client, tables: &str) -> Verdict {
    const ATTEMPTS: usize = 10;
    let lock = format!("begin; lock table {tables} in access exclusive mode");
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match database.batch_execute(&lock).await {
            Ok(()) => return Ok(()),
            // Somebody held one of them and wanted another.
            Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {
                database.batch_execute("rollback").await?;
                last = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    last.map_or(Ok(()), |error| Err(error.into()))
}
