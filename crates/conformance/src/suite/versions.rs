//! Versions of specs, sequences of statuses.

use std::time::Duration;

use event_wire::{Action, attribute::name};
use serde_json::{Value, json};

use super::{Test, ensure, refused, same, test};
use crate::context::{Context, Verdict};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Versions,
            twenty_updates_of_one_version_are_one,
            "20 updates of one version at once: one is accepted, 19 are conflicts"
        ),
        test!(
            Versions,
            version_nought_is_whatever_there_is,
            "an update with version 0 is accepted on top of what there is"
        ),
        test!(
            Versions,
            an_update_raises_the_version,
            "each accepted update raises the version by one, also at the agent"
        ),
        test!(
            Versions,
            an_unchanged_update_is_none,
            "the same content again, as after a lost answer, changes nothing and sends nothing"
        ),
        test!(
            Versions,
            a_label_is_a_change,
            "a changed label alone is a new version"
        ),
        test!(
            Versions,
            a_row_stays_where_it_is,
            "consumer and source of a work never change"
        ),
        test!(
            Versions,
            a_source_touches_only_its_own,
            "updates and deletes by another source are refused"
        ),
        test!(
            Versions,
            statuses_are_ordered_by_sequence,
            "a status with an older or equal sequence changes nothing"
        ),
        test!(
            Versions,
            i8_a_status_leaves_the_spec_alone,
            "a status leaves version and spec, an update leaves the status"
        ),
        test!(
            Versions,
            i6_a_burst_ends_with_the_last_status,
            "ten statuses per work in a burst: every source ends with the last"
        ),
    ]
}

async fn twenty_updates_of_one_version_are_one(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let updates = (0..20).map(|number| {
        let (source, next) = (source.clone(), work.clone().with_map(&format!("m{number}")));
        async move { source.update(&next, 1).await }
    });
    let outcomes = futures::future::join_all(updates).await;
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        refused(
            "one of twenty updates",
            outcome,
            "the resource version is not the latest, the latest version: 2",
        )?;
    }
    same("accepted updates of twenty", accepted, 1)?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same("the version", row.get("version").cloned(), Some(json!(2)))
}

async fn version_nought_is_whatever_there_is(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    for (map, version) in [("second", 2), ("third", 3)] {
        source.update(&work.clone().with_map(map), 0).await?;
        let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
        same(
            "the version",
            row.get("version").cloned(),
            Some(json!(version)),
        )?;
    }
    Ok(())
}

async fn an_update_raises_the_version(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    specs.next().await?;
    for version in 1..5 {
        let next = work.clone().with_map(&format!("m{version}"));
        source.update(&next, version).await?;
        let seen = specs
            .until("the new version", |seen| seen.version() == version + 1)
            .await?;
        same("its action", seen.action(), "update_request".to_owned())?;
        same("its data", seen.data(), next.data)?;
    }
    Ok(())
}

async fn an_unchanged_update_is_none(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    specs.next().await?;
    let update = work
        .clone()
        .with_map("second")
        .event(source.id(), Action::UpdateRequest, 1);
    source.publish(update.clone()).await?;
    specs.until("version 2", |seen| seen.version() == 2).await?;
    // The very same event once more, then the same content as a new event.
    source.publish(update).await?;
    source.update(&work.clone().with_map("second"), 2).await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same("the version", row.get("version").cloned(), Some(json!(2)))?;
    let sent = specs.listen(Duration::from_secs(1), |_| true).await;
    same("events of unchanged updates", sent.len(), 0)
}

async fn a_label_is_a_change(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.update(&work.clone().with_label("a", "b"), 1).await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let seen = (
        row.get("version").cloned(),
        row.pointer("/metadata/labels").cloned(),
    );
    same(
        "version and labels",
        seen,
        (Some(json!(2)), Some(json!({"a": "b"}))),
    )
}

async fn a_row_stays_where_it_is(c: Context) -> Verdict {
    let (cluster, elsewhere) = (c.cluster().await?, c.cluster().await?);
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let mut moved = work.clone().with_map("second");
    moved.cluster.clone_from(&elsewhere);
    // Accepted or refused: the row stays.
    let _ = source.update(&moved, 1).await;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same(
        "its consumer",
        row.get("consumer_name").cloned(),
        Some(json!(cluster)),
    )
}

async fn a_source_touches_only_its_own(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (mine, theirs) = (c.source().await?, c.source().await?);
    let work = mine.work(&cluster, "w");
    mine.create(&work).await?;
    refused(
        "an update by another source",
        theirs.update(&work.clone().with_map("second"), 1).await,
        "",
    )?;
    refused("a delete by another source", theirs.delete(&work).await, "")?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let seen = (row.get("version").cloned(), row.get("deleted_at").cloned());
    same("version and deletion", seen, (Some(json!(1)), None))
}

async fn statuses_are_ordered_by_sequence(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut statuses = source.subscribe().await?;
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    let reason = |reason: &str| {
        json!({"conditions": [{"type": "Applied", "status": "True", "reason": reason, "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    };
    let older = agent.status(&spec, &reason("older"));
    let newer = agent.status(&spec, &reason("newer"));
    let mut equal = agent.status(&spec, &reason("equal"));
    if let Some(sequence) = newer.extensions.get(name::SEQUENCE_ID) {
        equal.set(name::SEQUENCE_ID, sequence.clone());
    }
    agent.publish(newer).await?;
    agent.publish(older).await?;
    agent.publish(equal).await?;
    statuses.next().await?;
    let more = statuses.listen(Duration::from_secs(1), |seen| {
        seen.condition("Applied")
            .and_then(|found| found.get("reason").cloned())
            != Some(json!("newer"))
    });
    same("older statuses at the source", more.await.len(), 0)?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same(
        "the stored reason",
        row.pointer("/status/conditions/0/reason").cloned(),
        Some(json!("newer")),
    )
}

async fn i8_a_status_leaves_the_spec_alone(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    let before = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    agent.applied(&spec).await?;
    let after = c
        .bundle(&work.id, "the status", |row| row.get("status").is_some())
        .await?;
    for key in ["version", "manifests", "metadata", "created_at"] {
        same(
            &format!("{key} after a status"),
            after.get(key),
            before.get(key),
        )?;
    }
    source.update(&work.clone().with_map("second"), 1).await?;
    let updated = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same(
        "the version after an update",
        updated.get("version").cloned(),
        Some(json!(2)),
    )?;
    same(
        "the status after an update",
        updated.get("status"),
        after.get("status"),
    )?;
    ensure!(
        updated
            .pointer("/status/conditions")
            .is_some_and(Value::is_array),
        "expected the status to survive, seen {updated}"
    );
    Ok(())
}

async fn i6_a_burst_ends_with_the_last_status(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let (one, two) = (c.watcher(source.id()).await?, c.watcher(source.id()).await?);
    let mut specs = agent.join(&[]).await?;
    let works = c.works(&source, &cluster, 10);
    c.create_all(&source, &works).await?;
    let specs = specs.collect(Duration::from_secs(30), 10).await?;
    let mut last = std::collections::BTreeMap::new();
    for round in 0..10 {
        for spec in specs.values() {
            let data = json!({"conditions": [crate::play::agent::condition(&format!("Round{round}"), "True", 1)]});
            let event = agent.status(spec, &data);
            last.insert(spec.id().to_owned(), event.sequence_id().ok());
            agent.publish(event).await?;
        }
    }
    for watcher in [&one, &two] {
        watcher
            .until(
                Duration::from_secs(30),
                "the last status of every work",
                |seen| {
                    last.iter().all(|(id, sequence)| {
                        seen.get(id)
                            .is_some_and(|seen| seen.sequence() == *sequence)
                    })
                },
            )
            .await?;
    }
    Ok(())
}
