//! Connections, events of rows that are gone, and memory.

use std::time::{Duration, Instant};

use event_wire::proto::SubscriptionRequest;

use super::{Need, Test, ensure, same, test};
use crate::context::{Context, Stop, Verdict};
use crate::play::rest::list_path;
use crate::play::{Behaviour, Error, Rest, Subscription};

const MIB: u64 = 1024 * 1024;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(Connections, f45_a_stalled_link_is_noticed, "a link stalls without an end: heartbeats stop, the agent comes back, and what was written meanwhile arrives"),
        test!(Connections, f46_idle_is_not_failure, "streams without traffic stay open and carry heartbeats"),
        test!(Connections, f47_headers_come_at_once, "a subscription is answered at once, and what is published right after that answer arrives"),
        test!(Connections, f47_a_refusal_has_words, "a refused subscription says why, at once"),
        test!(Connections, f47_a_wrong_token_is_refused_with_words, "where the source port checks tokens, a wrong one is refused at once, and the refusal says why"),
        test!(Connections, f51_late_events_of_a_row_that_is_gone, "events of a row that no longer exists are passed over; the server goes on").needing(&[Need::Database]),
        test!(Connections, f52_events_of_a_vanished_row_are_closed, "events that nobody handled are closed within 30 s when their row is gone").needing(&[Need::Database]),
        test!(Connections, f53_event_tables_drain, "events and status events that were handled are purged").needing(&[Need::Database]),
        test!(Connections, f54_large_lists_are_whole_and_cheap, "8 clients list everything in one page: whole answers, and memory does not follow the table").alone(),
        test!(Connections, f55_slow_agents_do_not_fill_memory, "large works for agents that read nothing on many streams: the others get theirs, and memory does not follow the load").alone(),
        test!(Connections, probes_answer, "/livez and /healthcheck say ok").needing(&[Need::Health]),
    ]
}

async fn f45_a_stalled_link_is_noticed(c: Context) -> Verdict {
    const PATIENCE: Duration = Duration::from_secs(22);
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let behaviour = Behaviour {
        patience: Some(PATIENCE),
        ..Behaviour::default()
    };
    let (proxy, puppet) = c.puppet_behind_proxy(&cluster, behaviour).await?;
    let work = source.work(&cluster, "before");
    source.create(&work).await?;
    let limit = Duration::from_secs(30);
    puppet.holds(limit, &[(work.id.clone(), 1)]).await?;
    // Only heartbeats tell a quiet link from a dead one.
    let noticed = PATIENCE + Duration::from_secs(2);
    tokio::time::sleep(noticed).await;
    same("streams of a link that is only quiet", puppet.streams(), 1)?;
    let connections = proxy.connections();
    proxy.stall();
    let during = source.work(&cluster, "during");
    source.create(&during).await?;
    let back = "another connection of an agent whose link has stalled";
    c.stage
        .eventually(noticed, back, async || {
            Ok((proxy.connections() > connections).then_some(()))
        })
        .await?;
    // Connections made while nothing flows are stuck as well.
    proxy.cut();
    proxy.flow();
    puppet.holds(limit, &[(during.id.clone(), 1)]).await?;
    Ok(())
}

async fn f46_idle_is_not_failure(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let (specs, statuses) = (agent.join(&[]).await?, source.subscribe().await?);
    let idle = Duration::from_secs(c.size(35, 1800) as u64);
    tokio::time::sleep(idle).await;
    for (whose, stream) in [("agent", &specs), ("source", &statuses)] {
        ensure!(
            stream.end().is_none(),
            "expected the idle stream of the {whose} to stay open for {idle:?}, seen its end: {}",
            stream.end().map_or_else(String::new, |end| end.to_string())
        );
        let beats = stream.heartbeats();
        ensure!(
            beats >= 2,
            "expected heartbeats on the idle stream of the {whose}, one per 10 s, seen {beats}"
        );
        ensure!(
            stream.unreadable().is_empty(),
            "expected nothing unreadable, seen {:?}",
            stream.unreadable()
        );
    }
    Ok(())
}

/// How long "at once" is.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn f47_headers_come_at_once(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let agent = c.agent(&cluster).await?;
    for round in 0..20 {
        let work = source.work(&cluster, &format!("w{round}"));
        let mut specs = c
            .stage
            .within(AT_ONCE, "the header of a subscription", agent.subscribe())
            .await??;
        ensure!(
            specs.subscription_id().is_some(),
            "expected the header subscription-id, which agents require, seen none"
        );
        source.create(&work).await?;
        let spec = specs
            .until("a work created right after the header", |seen| {
                seen.id() == work.id
            })
            .await?;
        let mut statuses = c
            .stage
            .within(AT_ONCE, "the header of a subscription", source.subscribe())
            .await??;
        ensure!(
            statuses.subscription_id().is_some(),
            "expected the header subscription-id on the source port, seen none"
        );
        agent.applied(&spec).await?;
        statuses
            .until("a status reported right after the header", |seen| {
                seen.id() == work.id
            })
            .await?;
    }
    Ok(())
}

async fn f47_a_refusal_has_words(c: Context) -> Verdict {
    let agent = c.agent("").await?;
    let requests = [
        (
            SubscriptionRequest {
                data_type: event_wire::MANIFEST_BUNDLES.to_owned(),
                ..SubscriptionRequest::default()
            },
            "missing cluster name",
        ),
        (
            SubscriptionRequest {
                cluster_name: "c".to_owned(),
                data_type: "nonsense".to_owned(),
                ..SubscriptionRequest::default()
            },
            "invalid data type",
        ),
    ];
    for (request, words) in requests {
        let refusal = refusal(&c, agent.subscribe_with(request)).await?;
        let seen = refusal.unwrap_or_else(|| "a stream".to_owned());
        ensure!(
            seen.contains(words),
            "expected a refusal with {words:?}, seen {seen:?}"
        );
    }
    Ok(())
}

async fn f47_a_wrong_token_is_refused_with_words(c: Context) -> Verdict {
    const WRONG: &str = "conformance-made-this-up";
    let cluster = c.cluster().await?;
    let source = c.source().await?.with_token(WRONG);
    let Some(words) = refusal(&c, source.subscribe()).await? else {
        return Err(Stop::NotApplicable(
            "the source port checks no tokens: it takes one that was made up".to_owned(),
        ));
    };
    let work = source.work(&cluster, "w");
    let published = c
        .stage
        .within(
            AT_ONCE,
            "the refusal of a publication",
            source.create(&work),
        )
        .await?;
    let Err(status) = published else {
        return Err(Stop::Failed(
            "expected the wrong token to be refused for publications, too, seen: accepted"
                .to_owned(),
        ));
    };
    for said in [words.as_str(), status.message()] {
        ensure!(
            said.contains("token") && !said.contains(WRONG),
            "expected words about the token, without it, seen {said:?}"
        );
    }
    Ok(())
}

/// What the server says to a subscription that it refuses, which has to come at once; `None` if it gives a stream.
async fn refusal(
    c: &Context,
    answer: impl Future<Output = Result<Subscription, Error>>,
) -> Result<Option<String>, Stop> {
    let answer = c
        .stage
        .within(AT_ONCE, "the answer to a subscription", answer)
        .await?;
    match answer {
        Err(Error::Status(status)) => Ok(Some(status.message().to_owned())),
        Err(other) => Err(other.into()),
        // It may also come as the end of the stream.
        Ok(stream) => Ok(stream.ended(AT_ONCE).await.ok().map(|end| end.to_string())),
    }
}

async fn f51_late_events_of_a_row_that_is_gone(c: Context) -> Verdict {
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let gone = uuid::Uuid::new_v4().to_string();
    for kind in ["Create", "Update", "Delete"] {
        let event = uuid::Uuid::new_v4().to_string();
        let insert = "insert into events (id, created_at, updated_at, source, source_id, event_type) values ($1, now(), now(), 'Resources', $2, $3)";
        database.execute(insert, &[&event, &gone, &kind]).await?;
        database
            .execute("select pg_notify('events', $1)", &[&event])
            .await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    same(
        "events about a row that doesn't exist",
        puppet.works().len(),
        0,
    )?;
    let work = source.work(&cluster, "after");
    source.create(&work).await?;
    puppet
        .holds(Duration::from_secs(30), &[(work.id.clone(), 1)])
        .await?;
    Ok(())
}

async fn f52_events_of_a_vanished_row_are_closed(c: Context) -> Verdict {
    const LEFT: &str =
        "select count(*) from events where source_id = $1 and reconciled_date is null";
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    database
        .execute("delete from resources where id = $1", &[&work.id])
        .await?;
    for kind in ["Create", "Update", "Delete"] {
        let event = uuid::Uuid::new_v4().to_string();
        let insert = "insert into events (id, created_at, updated_at, source, source_id, event_type) values ($1, now(), now(), 'Resources', $2, $3)";
        database.execute(insert, &[&event, &work.id, &kind]).await?;
        database
            .execute("select pg_notify('events', $1)", &[&event])
            .await?;
    }
    let limit = c.stage.scale.of(Duration::from_secs(30));
    let started = Instant::now();
    loop {
        let left: i64 = database.query_one(LEFT, &[&work.id]).await?.get(0);
        if left == 0 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < limit,
            "expected events of a row that is gone to be closed within {limit:.1?}, seen {left} that are tried again"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn f53_event_tables_drain(c: Context) -> Verdict {
    const LEFT: &str = "select (select count(*) from events where source_id = any($1)) + (select count(*) from status_events where resource_id = any($1))";
    if c.size(0, 1) == 0 {
        return Err(Stop::NotApplicable(
            "waits up to 20 minutes: --profile full".to_owned(),
        ));
    }
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 100);
    c.create_all(&source, &works).await?;
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(Duration::from_secs(30), &wanted).await?;
    let ids: Vec<&str> = works.iter().map(|work| work.id.as_str()).collect();
    let started = Instant::now();
    loop {
        let left: i64 = database.query_one(LEFT, &[&ids]).await?.get(0);
        if left == 0 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < Duration::from_secs(1200),
            "expected handled events to be purged within 20 minutes, seen {left}"
        );
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// How long a large list may take: each is a gigabyte in the full profile.
const LIST: Duration = Duration::from_secs(600);

/// What counts of a list.
#[derive(serde::Deserialize, Default)]
struct List {
    size: u64,
    items: Vec<serde::de::IgnoredAny>,
}

async fn f54_large_lists_are_whole_and_cheap(c: Context) -> Verdict {
    const CLIENTS: usize = 8;
    const ROW_BYTES: usize = 50_000;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let rows = c.size(400, 20_000);
    let works: Vec<_> = c
        .works(&source, &cluster, rows)
        .into_iter()
        .map(|work| work.with_bytes(ROW_BYTES))
        .collect();
    c.create_all(&source, &works).await?;
    drop(works);
    let before = memory_before(&c)?;
    let search = format!("consumer_name='{cluster}'");
    let peak = std::sync::atomic::AtomicU64::new(0);
    let watch = async {
        loop {
            // A process that is gone shows in the answers.
            let now = c.memory().ok().flatten().unwrap_or(0);
            peak.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let query = [("search", search.as_str()), ("size", "20000")];
    let path = list_path("resource-bundles", &query)?;
    let rest = c.rest()?;
    // One client reads its list, the others only take theirs: nothing changes, so all are equally long.
    let others = (1..CLIENTS).map(|_| rest.drain(&path, LIST));
    let clients = futures::future::try_join(
        rest.parse::<List>(&path, LIST),
        futures::future::try_join_all(others),
    );
    let (list, lengths) = tokio::select! {
        both = clients => both?,
        () = watch => return Ok(()),
    };
    same("items of a large page", list.items.len(), rows)?;
    same("its size", list.size, rows as u64)?;
    ensure!(
        lengths.iter().all(|length| Some(length) == lengths.first()),
        "expected {} equally long lists, seen {lengths:?} bytes",
        lengths.len()
    );
    if let Some(before) = before {
        let growth = peak.into_inner().saturating_sub(before);
        ensure!(
            growth < 96 * MIB,
            "expected memory to stay within 96 MiB more than before while {CLIENTS} clients list {} MiB each, seen {} MiB more",
            rows * ROW_BYTES / 1_048_576,
            growth / MIB
        );
    }
    Ok(())
}

/// Memory before the load. Where nobody may look at the process, the verdict says that its memory was not judged.
fn memory_before(c: &Context) -> Result<Option<u64>, Stop> {
    let memory = c.memory()?;
    if memory.is_none() {
        c.leave_out("memory", "needs --server-pid");
    }
    Ok(memory)
}

async fn f55_slow_agents_do_not_fill_memory(c: Context) -> Verdict {
    const ROW_BYTES: usize = 49_000;
    /// Streams of an agent that reads nothing: with each row on each of them, the load is far above the limit.
    const STREAMS: usize = 50;
    let source = c.source().await?;
    let (clusters, each) = (c.size(4, 10), c.size(60, 600));
    let before = memory_before(&c)?;
    let mut puppets = Vec::new();
    let mut stuck = Vec::new();
    let mut all = Vec::new();
    for number in 0..clusters {
        let cluster = c.cluster().await?;
        let slow = number < 2;
        let behaviour = Behaviour {
            reading: !slow,
            ..Behaviour::default()
        };
        let puppet = c.puppet(&cluster, behaviour).await?;
        // A server that keeps what its streams haven't taken keeps it for each of them.
        for _ in 0..if slow { STREAMS } else { 0 } {
            let stream = c.agent(&cluster).await?.subscribe().await?;
            stream.pause();
            stuck.push(stream);
        }
        let works: Vec<_> = c
            .works(&source, &cluster, each)
            .into_iter()
            .map(|work| work.with_bytes(ROW_BYTES))
            .collect();
        puppets.push((puppet, slow, works));
    }
    for number in 0..each {
        for (_, _, works) in &puppets {
            all.extend(works.get(number).cloned());
        }
    }
    c.create_all(&source, &all).await?;
    drop(all);
    for (puppet, slow, works) in &puppets {
        if !slow {
            let wanted: Vec<(String, i32)> =
                works.iter().map(|work| (work.id.clone(), 1)).collect();
            puppet.holds(Duration::from_secs(30), &wanted).await?;
        }
    }
    if let (Some(before), Some(after)) = (before, c.memory()?) {
        let growth = after.saturating_sub(before);
        ensure!(
            growth < 192 * MIB,
            "expected memory to stay within 192 MiB more than before, seen {} MiB more",
            growth / MIB
        );
    }
    Ok(())
}

async fn probes_answer(c: Context) -> Verdict {
    let health = health(&c)?;
    for path in ["/livez", "/healthcheck"] {
        let reply = health.get(path).await?;
        same(
            path,
            (reply.status, reply.text()),
            (200, r#"{"status": "ok"}"#.to_owned()),
        )?;
    }
    let reply = health.get("/elsewhere").await?;
    same("an unknown path, status", reply.status, 404)
}

pub(super) fn health(c: &Context) -> Result<Rest, Stop> {
    let base = c
        .target
        .health
        .as_deref()
        .ok_or_else(|| Stop::NotApplicable("needs --health".to_owned()))?;
    Ok(Rest::new(base, &c.stage)?)
}
