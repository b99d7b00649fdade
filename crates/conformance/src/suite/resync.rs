//! Resyncs: who has what, and gets the rest.

use std::time::Duration;

use event_wire::{Action, Event, EventType, Stamp, Subresource, attribute::name};
use serde_json::json;

use super::{Test, ensure, refused, same, test};
use crate::context::{Context, Verdict};

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Resync,
            f9_a_resync_brings_what_is_outdated_or_unknown,
            "current: nothing; outdated: its version; unknown: a delete; an empty list: everything"
        ),
        test!(
            Resync,
            a_deleting_work_is_always_told,
            "a deleting work is sent whatever version the agent claims, each time with a new event id"
        ),
        test!(
            Resync,
            a_resync_is_of_one_cluster,
            "an agent gets the works of its own cluster only, of every source"
        ),
        test!(
            Resync,
            bad_resyncs_are_refused,
            "a spec resync without cluster or list is refused with a text"
        ),
        test!(
            Resync,
            a_status_resync_brings_what_differs,
            "an empty list brings every status; else those on the list whose hash differs"
        ),
        test!(
            Resync,
            many_strangers_are_not_deleted,
            "an agent full of works that the server has never known is not told to delete them all"
        ),
        test!(
            Resync,
            a_resync_that_never_comes_is_made_up_for,
            "an agent that subscribes and says nothing still gets its works"
        ),
    ]
}

async fn f9_a_resync_brings_what_is_outdated_or_unknown(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let (current, outdated) = (
        source.work(&cluster, "current"),
        source.work(&cluster, "outdated"),
    );
    source.create(&current).await?;
    source.create(&outdated).await?;
    source
        .update(&outdated.clone().with_map("second"), 1)
        .await?;
    let unknown = uuid::Uuid::new_v4().to_string();
    let held = [
        (current.id.as_str(), 1),
        (outdated.id.as_str(), 1),
        (unknown.as_str(), 1),
    ];
    let mut specs = agent.join(&held).await?;
    let events = specs.collect(LIMIT, 2).await?;
    let update = events
        .get(&outdated.id)
        .map(|seen| (seen.version(), seen.deleting(), seen.action()));
    same(
        "the answer for the outdated one",
        update,
        Some((2, false, "resync_response".to_owned())),
    )?;
    same(
        "the answer for the unknown one deletes",
        events.get(&unknown).map(|seen| seen.deleting()),
        Some(true),
    )?;
    let more = specs
        .listen(Duration::from_secs(1), |seen| seen.id() == current.id)
        .await;
    same("answers for the current one", more.len(), 0)?;
    agent.resync(&[]).await?;
    let all = specs.collect(LIMIT, 2).await?;
    ensure!(
        all.contains_key(&current.id) && all.contains_key(&outdated.id),
        "expected both works for an empty list, seen {:?}",
        all.keys()
    );
    Ok(())
}

async fn a_deleting_work_is_always_told(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.delete(&work).await?;
    let mut ids = std::collections::BTreeSet::new();
    for version in [0, 1, 99] {
        let mut specs = agent.join(&[(&work.id, version)]).await?;
        let seen = specs
            .until("the delete", |seen| seen.id() == work.id && seen.deleting())
            .await?;
        ids.insert(seen.event.id.clone());
        let time = seen.event.deletion_timestamp();
        ensure!(
            matches!(time, Ok(Some(_))),
            "expected a deletion timestamp that can be read, seen {time:?}"
        );
    }
    same("different event ids of three deliveries", ids.len(), 3)
}

async fn a_resync_is_of_one_cluster(c: Context) -> Verdict {
    let (cluster, elsewhere) = (c.cluster().await?, c.cluster().await?);
    let (one, two) = (c.source().await?, c.source().await?);
    let expected = [one.work(&cluster, "a"), two.work(&cluster, "a")];
    one.create(&expected[0]).await?;
    two.create(&expected[1]).await?;
    one.create(&one.work(&elsewhere, "b")).await?;
    let mut specs = c.agent(&cluster).await?.join(&[]).await?;
    let seen = specs.collect(LIMIT, 2).await?;
    ensure!(
        expected.iter().all(|work| seen.contains_key(&work.id)),
        "expected the works of both sources, seen {:?}",
        seen.keys()
    );
    specs.listen(Duration::from_secs(1), |_| true).await;
    let foreign = specs
        .seen()
        .into_iter()
        .filter(|seen| seen.event.cluster_name().ok() != Some(cluster.as_str()))
        .count();
    same("works of another cluster", foreign, 0)
}

async fn bad_resyncs_are_refused(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let agent = c.agent(&cluster).await?;
    let kind = || EventType::manifest_bundles(Subresource::Spec, Action::ResyncRequest);
    let mut homeless = Event::new(kind(), "agent", Stamp::now());
    homeless
        .set(name::ORIGINAL_SOURCE, "")
        .set_json(&json!({"resourceVersions": []}));
    let mut empty = Event::new(kind(), "agent", Stamp::now());
    empty
        .set(name::ORIGINAL_SOURCE, "")
        .set(name::CLUSTER_NAME, cluster.as_str());
    let mut broken = empty.clone();
    broken.set_json(&json!({"resourceVersions": "all"}));
    for (what, event) in [
        ("a resync without cluster", homeless),
        ("a resync without list", empty),
        ("a resync with a bad list", broken),
    ] {
        let status = refused(what, agent.publish(event).await, "")?;
        ensure!(
            !status.message().is_empty() && status.message() != "{}",
            "{what}: expected a text, seen {:?}",
            status.message()
        );
    }
    Ok(())
}

async fn a_status_resync_brings_what_differs(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut statuses = source.subscribe().await?;
    let _puppet = c
        .puppet(&cluster, crate::play::Behaviour::default())
        .await?;
    let works = c.works(&source, &cluster, 3);
    c.create_all(&source, &works).await?;
    let known = statuses.collect(LIMIT, 3).await?;
    drop(statuses);
    let mut statuses = source.subscribe().await?;
    source.resync(&[]).await?;
    statuses.collect(LIMIT, 3).await?;
    let mut list: Vec<(&str, &str)> = known
        .values()
        .map(|seen| {
            (
                seen.id(),
                seen.event.status_hash().ok().flatten().unwrap_or_default(),
            )
        })
        .collect();
    // One is known with another hash, one isn't on the list.
    list.pop();
    let Some(first) = list.first_mut() else {
        return Ok(());
    };
    first.1 = "other";
    let wanted = first.0.to_owned();
    statuses.skip();
    source.resync(&list).await?;
    statuses
        .until("the status whose hash differs", |seen| seen.id() == wanted)
        .await?;
    let more = statuses
        .listen(Duration::from_secs(1), |seen| seen.id() != wanted)
        .await;
    same("statuses that weren't asked for", more.len(), 0)
}

async fn many_strangers_are_not_deleted(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let agent = c.agent(&cluster).await?;
    let ids: Vec<String> = (0..40).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let held: Vec<(&str, i32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    let mut specs = agent.join(&held).await?;
    let deletes = specs
        .listen(Duration::from_secs(3), |seen| seen.deleting())
        .await;
    ensure!(
        deletes.is_empty(),
        "expected an agent with 40 works that an empty server doesn't know to keep them (a restored database must not wipe a cluster), seen {} deletes",
        deletes.len()
    );
    Ok(())
}

async fn a_resync_that_never_comes_is_made_up_for(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let mut specs = c.agent(&cluster).await?.subscribe().await?;
    specs
        .until("a work although nothing was asked for", |seen| {
            seen.id() == work.id
        })
        .await?;
    Ok(())
}
