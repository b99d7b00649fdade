//! Specs on their way down and statuses on their way up, whatever happens to connections and notifications.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Need, Test, deletes::ids_of, ensure, refused, same, test};
use crate::context::{Context, Stop, Verdict, create_surely};
use crate::play::{Behaviour, Seen};

/// What is promised after a reconnect, a restart or a lost notification.
const RECOVERED: Duration = Duration::from_secs(30);

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(Delivery, f20_a_cut_stream_loses_nothing, "the agent's stream is cut around creates again and again: every work arrives without anybody's help"),
        test!(Delivery, f20_a_spec_in_flight_is_not_lost, "the connection dies silently while works are on their way: they arrive over the next one"),
        test!(Delivery, f20b_undelivered_is_found_whatever_the_cause, "a row that no event tells of reaches its connected agent, whether its status is NULL or the JSON null").needing(&[Need::Database]).alone(),
        test!(Delivery, f22_terminated_listen_sessions_lose_nothing, "database sessions that listen are terminated during creates and statuses: all arrive within 30 s").needing(&[Need::Database]).alone(),
        test!(Delivery, f23_no_session_rests_in_a_transaction, "no session of the server stays in a transaction, and its notification queue is empty").needing(&[Need::Database]),
        test!(Delivery, f24_a_status_missed_while_away_is_had_by_asking, "statuses changed while the source was away: a status resync brings exactly those"),
        test!(Delivery, f26_a_resync_is_answered_outside_of_the_call, "an agent that reads nothing until its resync was answered gets 300 works")
        .alone(),
        test!(Delivery, f27_nothing_changed_nothing_sent, "agent and source reconnect with what they have: no event at all"),
        test!(Delivery, f28_specs_and_statuses_do_not_overwrite_each_other, "spec updates and statuses interleaved on one row: the last of both stands"),
        test!(Delivery, f33_a_status_belongs_to_its_version, "the observed version equals the version at each step; statuses of other versions change nothing"),
        test!(Delivery, f35_a_stream_opened_during_writes_misses_nothing, "a source that subscribes and asks while 100 statuses are written ends with all of them"),
        test!(Delivery, f37_no_work_is_beyond_a_page, "every one of 250 works is found by walking pages, once each"),
        test!(Delivery, f39_the_second_writer_is_refused, "two updates from the same version: the second is refused, and nothing of the first is lost"),
        test!(Delivery, f42_manifests_come_and_go, "manifests are added, removed and replaced; duplicates are refused"),
    ]
}

async fn f20_a_cut_stream_loses_nothing(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let (proxy, puppet) = c
        .puppet_behind_proxy(&cluster, Behaviour::default())
        .await?;
    let works = c.works(&source, &cluster, c.size(90, 2000));
    for (number, work) in works.iter().enumerate() {
        if number % 3 == 0 {
            // Before, during and after the create, in turn.
            let wait = Duration::from_millis((number as u64 * 7) % 23);
            let cut = async {
                tokio::time::sleep(wait).await;
                proxy.cut();
            };
            let (created, ()) = tokio::join!(source.create(work), cut);
            created?;
        } else {
            source.create(work).await?;
        }
    }
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(RECOVERED, &wanted).await?;
    ensure!(
        puppet.streams() > 1,
        "expected the stream to have been cut, seen one stream only"
    );
    Ok(())
}

async fn f20_a_spec_in_flight_is_not_lost(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let (proxy, puppet) = c
        .puppet_behind_proxy(&cluster, Behaviour::default())
        .await?;
    proxy.stall();
    let works = c.works(&source, &cluster, 20);
    c.create_all(&source, &works).await?;
    // What the server has sent by now is lost with the connection.
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.cut();
    proxy.flow();
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(RECOVERED, &wanted).await?;
    Ok(())
}

async fn f20b_undelivered_is_found_whatever_the_cause(c: Context) -> Verdict {
    // A row as a create leaves it when everything after the row was lost, twenty minutes ago.
    const COPY: &str = "insert into resources (id, name, created_at, updated_at, source, consumer_name, version, type, payload, status)
        select $1::text, $1::text, now() - interval '20 minutes', now() - interval '20 minutes', source, consumer_name, version, type,
            jsonb_set(payload, '{resourceid}', to_jsonb($1::text)), case when $3::boolean then null else 'null'::jsonb end
        from resources where id = $2::text";
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let model = source.work(&cluster, "model");
    source.create(&model).await?;
    puppet.holds(RECOVERED, &[(model.id.clone(), 1)]).await?;
    let mut copies = Vec::new();
    for sql_null in [true, false] {
        let id = uuid::Uuid::new_v4().to_string();
        database.execute(COPY, &[&id, &model.id, &sql_null]).await?;
        copies.push((id, 1));
    }
    let limit = Duration::from_secs(c.size(50, 240) as u64);
    for (id, which) in copies.iter().zip(["NULL", "the JSON null"]) {
        let found = puppet.holds(limit, std::slice::from_ref(id)).await;
        ensure!(
            found.is_ok(),
            "expected a row without any event, whose status is {which}, to be found and delivered within {limit:?}, seen: not delivered"
        );
    }
    Ok(())
}

async fn f22_terminated_listen_sessions_lose_nothing(c: Context) -> Verdict {
    const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and query ilike 'listen%'";
    const TERMINATE_ALL: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state = 'idle'";
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let writer = c.elsewhere();
    let source = writer.source().await?;
    let watcher = writer.watcher(source.id()).await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 100);
    for (number, work) in works.iter().enumerate() {
        if number % 30 == 10 {
            let mut hit: i64 = database.query_one(TERMINATE, &[]).await?.get(0);
            if hit == 0 {
                // Some drivers run other queries on a session that listens.
                hit = database.query_one(TERMINATE_ALL, &[]).await?.get(0);
            }
            c.stage.recording.note(format!("terminated {hit} sessions"));
            ensure!(
                hit > 0,
                "expected sessions of the server on --database-url, seen none: is it the server's database?"
            );
        }
        create_surely(&source, work, &c.stage).await?;
    }
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(RECOVERED, &wanted).await?;
    let expected = works.len();
    let complete = watcher
        .until(RECOVERED, "a status of every work", |statuses| {
            statuses
                .values()
                .filter(|seen| seen.is_true("Applied"))
                .count()
                == expected
        })
        .await;
    let seen = watcher.statuses().len();
    ensure!(
        complete.is_ok(),
        "expected {expected} statuses at the source within {RECOVERED:?}, seen {seen}"
    );
    Ok(())
}

async fn f23_no_session_rests_in_a_transaction(c: Context) -> Verdict {
    const OLD: &str = "select count(*) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and state like 'idle in transaction%' and xact_start < now() - interval '5 seconds'";
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 50);
    c.create_all(&source, &works).await?;
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(RECOVERED, &wanted).await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let resting: i64 = database.query_one(OLD, &[]).await?.get(0);
    same("sessions that rest in a transaction", resting, 0)?;
    let usage: f64 = database
        .query_one("select pg_notification_queue_usage()", &[])
        .await?
        .get(0);
    ensure!(
        usage < 0.01,
        "expected an empty notification queue, seen {:.1} % in use",
        usage * 100.0
    );
    Ok(())
}

async fn f24_a_status_missed_while_away_is_had_by_asking(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let mut statuses = source.subscribe().await?;
    let works = c.works(&source, &cluster, 5);
    c.create_all(&source, &works).await?;
    let specs = specs.collect(RECOVERED, works.len()).await?;
    for spec in specs.values() {
        agent.report(spec, "Applied", "False").await?;
    }
    let known = statuses.collect(RECOVERED, works.len()).await?;
    drop(statuses);
    let changed: Vec<&Arc<Seen>> = specs.values().take(2).collect();
    for spec in &changed {
        agent.applied(spec).await?;
    }
    let mut statuses = source.subscribe().await?;
    let hashes: Vec<(&str, &str)> = known
        .values()
        .map(|seen| (seen.id(), hash_of(seen)))
        .collect();
    source.resync(&hashes).await?;
    let news = statuses.collect(RECOVERED, changed.len()).await?;
    ensure!(
        news.values().all(|seen| seen.is_true("Applied")),
        "expected the new statuses, seen old ones"
    );
    let more = statuses.listen(Duration::from_secs(1), |seen| !seen.is_true("Applied"));
    same("statuses that hadn't changed", more.await.len(), 0)
}

async fn f26_a_resync_is_answered_outside_of_the_call(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let count = c.size(300, 6000);
    let works: Vec<_> = c
        .works(&source, &cluster, count)
        .into_iter()
        .map(|work| work.with_bytes(2400))
        .collect();
    c.create_all(&source, &works).await?;
    let agent = c.agent(&cluster).await?;
    let mut specs = agent.subscribe().await?;
    // As a Go agent, whose receiving waits while it sends.
    specs.pause();
    let answer = agent.resync(&[]).await;
    specs.resume();
    ensure!(
        answer.is_ok(),
        "expected the resync to be answered while the agent reads nothing, seen {}",
        answer
            .err()
            .map_or_else(String::new, |status| status.to_string())
    );
    specs.collect(Duration::from_secs(60), count).await?;
    Ok(())
}

async fn f27_nothing_changed_nothing_sent(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let count = c.size(100, 1000);
    let mut statuses = source.subscribe().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, count);
    c.create_all(&source, &works).await?;
    let known = statuses.collect(Duration::from_secs(60), count).await?;
    drop(puppet);
    drop(statuses);
    let held: Vec<(&str, i32)> = works.iter().map(|work| (work.id.as_str(), 1)).collect();
    let hashes: Vec<(&str, &str)> = known
        .values()
        .map(|seen| (seen.id(), hash_of(seen)))
        .collect();
    for _ in 0..2 {
        let mut specs = c.agent(&cluster).await?.join(&held).await?;
        let mut statuses = c.source_as(source.id()).await?.subscribe().await?;
        source.resync(&hashes).await?;
        let specs = specs.listen(Duration::from_secs(2), |_| true).await;
        same("specs sent again", specs.len(), 0)?;
        let statuses = statuses.listen(Duration::from_millis(100), |_| true).await;
        same("statuses sent again", statuses.len(), 0)?;
    }
    Ok(())
}

async fn f28_specs_and_statuses_do_not_overwrite_each_other(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let rounds = i32::try_from(c.size(60, 200)).unwrap_or(i32::MAX);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let first = specs.next().await?;
    let writer = async {
        for version in 1..rounds {
            let next = work.clone().with_map(&format!("m{}", version + 1));
            source.update(&next, version).await?;
        }
        Ok::<(), tonic::Status>(())
    };
    // Four reporters, each with whatever version is the newest that it knows.
    let (newest, watch) = tokio::sync::watch::channel(first);
    let reporters = (0..4).map(|_| {
        let (agent, watch) = (agent.clone(), watch.clone());
        async move {
            loop {
                let spec = Arc::clone(&watch.borrow());
                agent.applied(&spec).await?;
                if spec.version() >= rounds {
                    return Ok::<(), tonic::Status>(());
                }
            }
        }
    });
    let reader = async {
        loop {
            let seen = specs.next().await?;
            let done = seen.version() >= rounds;
            newest.send_replace(seen);
            if done {
                return Ok::<(), crate::play::Error>(());
            }
        }
    };
    // A lost update shows at once: the next one is refused.
    tokio::try_join!(
        async { writer.await.map_err(Stop::from) },
        async { reader.await.map_err(Stop::from) },
        async {
            let reporters = futures::future::try_join_all(reporters);
            reporters.await.map(drop).map_err(Stop::from)
        },
    )?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let seen = (
        row.get("version").cloned(),
        row.pointer("/manifests/0/metadata/name").cloned(),
        row.pointer("/status/ObservedVersion").cloned(),
    );
    let expected = (
        Some(json!(rounds)),
        Some(json!(format!("m{rounds}"))),
        Some(json!(rounds)),
    );
    same(
        "version, spec and observed version at the end",
        seen,
        expected,
    )
}

async fn f33_a_status_belongs_to_its_version(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut statuses = source.subscribe().await?;
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let mut first = None;
    for version in 1..=3 {
        let spec = specs
            .until("the next version", |seen| seen.version() == version)
            .await?;
        agent.applied(&spec).await?;
        let status = statuses
            .until("its status", |seen| seen.version() == version)
            .await?;
        let generation = status
            .condition("Applied")
            .and_then(|condition| condition.get("observedGeneration").cloned());
        same("observedGeneration", generation, Some(json!(version)))?;
        c.bundle(&work.id, "the observed version", |row| {
            row.pointer("/status/ObservedVersion")
                .is_some_and(|seen| *seen == json!(version))
        })
        .await?;
        first.get_or_insert(spec);
        if version < 3 {
            let next = work.clone().with_map(&format!("m{version}"));
            source.update(&next, version).await?;
        }
    }
    let Some(first) = first else { return Ok(()) };
    // Neither of an older nor of a coming version; accepted or refused, it is not stored.
    for version in [1, 9] {
        let mut event = agent.status(&first, &json!({"conditions": []}));
        event.set(event_wire::attribute::name::RESOURCE_VERSION, version);
        let _ = agent.publish(event).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let observed = row.pointer("/status/ObservedVersion").cloned();
    same("the observed version", observed, Some(json!(3)))
}

async fn f35_a_stream_opened_during_writes_misses_nothing(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let works = c.works(&source, &cluster, 100);
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    // A stream that is given up, then another while everything is being written.
    drop(source.subscribe().await?);
    let writer = c.create_all(&source, &works);
    let reader = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let mut statuses = source.subscribe().await?;
        source.resync(&[]).await?;
        statuses.collect(RECOVERED, works.len()).await
    };
    let (written, read) = tokio::join!(writer, reader);
    written?;
    read?;
    Ok(())
}

async fn f37_no_work_is_beyond_a_page(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let works = c.works(&source, &cluster, 250);
    c.create_all(&source, &works).await?;
    let rest = c.rest()?;
    let search = format!("consumer_name='{cluster}'");
    let first = rest
        .list("resource-bundles", &[("search", &search)])
        .await?;
    let list = first.json();
    let seen = (list.get("size").cloned(), list.get("total").cloned());
    same(
        "size and total of the default page",
        seen,
        (Some(json!(100)), Some(json!(250))),
    )?;
    let mut found = Vec::new();
    // Seven pages, if each goes on where the last one ended.
    for page in 1..=9 {
        let page = page.to_string();
        let query = [
            ("search", search.as_str()),
            ("size", "40"),
            ("page", &page),
            ("orderBy", "id"),
        ];
        let ids = ids_of(&rest.list("resource-bundles", &query).await?.json());
        let last = ids.len() < 40;
        found.extend(ids);
        if last {
            break;
        }
    }
    let mut expected: Vec<String> = works.iter().map(|work| work.id.clone()).collect();
    found.sort_unstable();
    expected.sort_unstable();
    ensure!(
        found == expected,
        "expected 250 works once each, seen {} ids",
        found.len()
    );
    Ok(())
}

async fn f39_the_second_writer_is_refused(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let one = c.source().await?;
    let two = c.source_as(one.id()).await?;
    let work = one.work(&cluster, "w");
    one.create(&work).await?;
    one.update(&work.clone().with_map("mine"), 1).await?;
    refused(
        "an update from the version before",
        two.update(&work.clone().with_map("theirs"), 1).await,
        "the resource version is not the latest, the latest version: 2",
    )?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let map = row.pointer("/manifests/0/metadata/name").cloned();
    same("the spec", map, Some(json!("mine")))?;
    two.update(&work.clone().with_map("theirs"), 2).await?;
    Ok(())
}

async fn f42_manifests_come_and_go(c: Context) -> Verdict {
    use crate::play::work::config_map;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let [a, b, other] = ["a", "b", "c"].map(config_map);
    let work = source
        .work(&cluster, "w")
        .with_manifests(std::slice::from_ref(&a));
    source.create(&work).await?;
    let steps = [
        vec![a.clone(), b.clone()],
        vec![b.clone()],
        vec![other.clone()],
    ];
    for (version, manifests) in (1..).zip(steps) {
        let next = work.clone().with_manifests(&manifests);
        source.update(&next, version).await?;
        let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
        same(
            "the manifests",
            row.get("manifests").cloned(),
            Some(json!(manifests)),
        )?;
    }
    let twice = work.clone().with_manifests(&[a.clone(), a]);
    refused(
        "a manifest twice",
        source.update(&twice, 4).await,
        "duplicate manifest for resource default/a with resource type v1.ConfigMap",
    )?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same("the version", row.get("version").cloned(), Some(json!(4)))
}

/// The hash that travels with a status.
fn hash_of(seen: &Seen) -> &str {
    seen.event.status_hash().ok().flatten().unwrap_or_default()
}
