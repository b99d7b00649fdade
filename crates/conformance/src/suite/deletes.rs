//! Deletes: one-way, acknowledged, repeated, visible, ended by force only.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;

use super::{Need, Test, ensure, refused, same, test};
use crate::context::{Context, Verdict};
use crate::play::rest::ROOT;
use crate::play::{Behaviour, Seen};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(Deletes, f1_a_backlog_of_deletes_delays_nobody, "deletes for a cluster without agent, repeated by their caller, leave another cluster's creates at 2 s or less, and one event each").alone(),
        test!(Deletes, f3_an_unacknowledged_delete_is_sent_again, "a delete that the agent never acknowledged is sent again within 60 s without anybody asking; callers' repetitions add nothing"),
        test!(Deletes, f4_a_row_goes_only_after_the_acknowledgement, "a delete while the create is still on its way reaches the agent, and the row stays until the agent acknowledges").alone(),
        test!(Deletes, f4_late_events_of_a_deleting_row_change_nothing, "create and update events handled late neither revive nor remove a deleting row").needing(&[Need::Database]),
        test!(Deletes, f5_nothing_live_after_a_delete, "create, update, update, delete while the agent is away: it hears of the delete only"),
        test!(Deletes, f5_deletion_is_one_way_for_a_connected_agent, "rapid create, update, delete of many works: no live spec after a delete, and every delete ends"),
        test!(Deletes, f6_a_dead_cluster_stays_visible_until_forced, "without agent, deleting rows stay and are shown; only a forced removal ends them, with a final status that says so"),
        test!(Deletes, f6_a_connected_cluster_cannot_be_forced, "a cluster whose agent is connected can't be removed by force"),
        test!(Deletes, f8_an_agent_that_was_down_converges, "deleted, updated and created while the agent was away: all three within 30 s of its return"),
        test!(Deletes, f10_an_orphan_is_told_in_full, "the delete for a work that the server doesn't know can be read by every agent: version and source are there"),
        test!(Deletes, f11_every_publication_has_its_own_id, "create, update and delete reach the agent as events of different ids"),
        test!(Deletes, f12_statuses_are_stored_while_deleting, "statuses of a deleting work are stored, then its acknowledgement ends it"),
        test!(Deletes, f14_a_deleting_work_is_not_updated, "updates of a deleting work are refused as a conflict"),
        test!(Deletes, f17_what_is_left_of_a_set_is_found, "after half of a labelled set was deleted, a search by label finds exactly the rest"),
        test!(Deletes, f18_one_work_can_be_sent_again, "one command sends one work again; the others of its cluster hear nothing"),
        test!(Deletes, f19_deletion_shows_at_both_places, "a deleting bundle has deleted_at at its root and deletionTimestamp in its metadata"),
        test!(Deletes, the_final_status_is_complete, "every open stream of the source gets a final status with Deleted=True, the spec and the source's metadata"),
        test!(Deletes, a_short_life_is_seen_to_its_end, "created and deleted within a second: the source still sees the end"),
        test!(Deletes, repeated_deletes_are_one, "deleting again, and deleting what isn't there, is accepted and changes nothing"),
        test!(Deletes, an_id_can_be_used_again, "while deleting the id is taken; afterwards the same work is created again at version 1"),
        test!(Deletes, words_of_an_earlier_life_end_nothing, "a late Deleted=True of an earlier life of the same id doesn't end the present one"),
        test!(Deletes, a_live_work_is_not_ended_by_its_agent, "Deleted=True for a work that nobody deleted doesn't remove it; the spec is sent again"),
    ]
}

async fn f1_a_backlog_of_deletes_delays_nobody(c: Context) -> Verdict {
    const CREATES: usize = 50;
    const LIMIT: Duration = Duration::from_secs(2);
    let (dead, live) = (c.cluster().await?, c.cluster().await?);
    let source = c.source().await?;
    let puppet = c.puppet(&live, Behaviour::default()).await?;
    let backlog = c.works(&source, &dead, c.size(150, 1000));
    c.create_all(&source, &backlog).await?;
    for _ in 0..c.size(4, 20) {
        c.delete_all(&source, &backlog).await?;
    }
    let limit = c.stage.scale.of(LIMIT);
    for work in c.works(&source, &live, CREATES) {
        let started = c.stage.recording.now();
        source.create(&work).await?;
        puppet
            .holds(Duration::from_secs(30), &[(work.id.clone(), 1)])
            .await?;
        let held = puppet.work(&work.id).map_or(started, |held| held.spec.at);
        let took = held.saturating_sub(started);
        ensure!(
            took <= limit,
            "expected every create to arrive within {limit:.1?} beside {} pending deletes, seen {took:.1?}",
            backlog.len()
        );
    }
    if c.target.database.is_some() {
        let database = c.database().await?;
        let ids: Vec<&str> = backlog.iter().map(|work| work.id.as_str()).collect();
        let query = "select coalesce(max(n), 0) from (select count(*) n from events where event_type = 'Delete' and source_id = any($1) group by source_id) counts";
        let most: i64 = database.query_one(query, &[&ids]).await?.get(0);
        ensure!(
            most <= 1,
            "expected at most one delete event per row, seen {most}"
        );
    } else {
        c.leave_out("one delete event per row", "needs --database-url");
    }
    Ok(())
}

async fn f3_an_unacknowledged_delete_is_sent_again(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    agent.applied(&spec).await?;
    source.delete(&work).await?;
    specs.until("the delete", Seen::deleting).await?;
    for _ in 0..5 {
        source.delete(&work).await?;
    }
    let echoes = specs
        .listen(c.stage.scale.of(Duration::from_secs(2)), Seen::deleting)
        .await;
    ensure!(
        echoes.len() <= 1,
        "expected the caller's 5 repetitions to add no events, seen {}",
        echoes.len()
    );
    let again = specs
        .until_within(
            Duration::from_secs(65),
            "a second delivery of the unacknowledged delete",
            Seen::deleting,
        )
        .await?;
    agent.deleted(&again).await?;
    c.gone(&work.id).await?;
    Ok(())
}

async fn f4_a_row_goes_only_after_the_acknowledgement(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut statuses = source.subscribe().await?;
    let mut specs = agent.join(&[]).await?;
    specs.pause();
    // More than the agent's window takes: the create waits behind it.
    let ahead: Vec<_> = c
        .works(&source, &cluster, 60)
        .into_iter()
        .map(|work| work.with_bytes(6000))
        .collect();
    c.create_all(&source, &ahead).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.delete(&work).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let row = c.rest()?.bundle(&work.id).await?;
    ensure!(
        row.is_some(),
        "expected the row to stay until the agent acknowledges, seen: gone"
    );
    specs.resume();
    let delete = specs
        .until("the delete", |seen| seen.id() == work.id && seen.deleting())
        .await?;
    let row = c.rest()?.bundle(&work.id).await?;
    ensure!(
        row.is_some(),
        "expected the row to stay until the agent acknowledges, seen: gone after the delete was sent"
    );
    agent.deleted(&delete).await?;
    c.gone(&work.id).await?;
    statuses
        .until("the final status", |status| status.is_true("Deleted"))
        .await?;
    Ok(())
}

async fn f4_late_events_of_a_deleting_row_change_nothing(c: Context) -> Verdict {
    let database = c.database().await?;
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    agent.applied(&spec).await?;
    source.delete(&work).await?;
    specs.until("the delete", Seen::deleting).await?;
    for kind in ["Create", "Update"] {
        let event = uuid::Uuid::new_v4().to_string();
        let insert = "insert into events (id, created_at, updated_at, source, source_id, event_type) values ($1, now(), now(), 'Resources', $2, $3)";
        database.execute(insert, &[&event, &work.id, &kind]).await?;
        database
            .execute("select pg_notify('events', $1)", &[&event])
            .await?;
    }
    let live = specs
        .listen(Duration::from_secs(4), |seen| !seen.deleting())
        .await;
    ensure!(
        live.is_empty(),
        "expected no live spec after the delete, seen {}",
        live.first().map_or_else(String::new, ToString::to_string)
    );
    ensure!(
        c.rest()?.bundle(&work.id).await?.is_some(),
        "expected the row to stay until the agent acknowledges, seen: removed by a late event"
    );
    Ok(())
}

async fn f5_nothing_live_after_a_delete(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let works = c.works(&source, &cluster, 10);
    for work in &works {
        source.create(work).await?;
        source.update(&work.clone().with_map("second"), 1).await?;
        source.update(&work.clone().with_map("third"), 2).await?;
        source.delete(work).await?;
    }
    let mut specs = agent.join(&[]).await?;
    specs.collect(Duration::from_secs(30), works.len()).await?;
    specs.listen(Duration::from_secs(3), |_| true).await;
    let live = specs.seen().into_iter().find(|seen| !seen.deleting());
    ensure!(
        live.is_none(),
        "expected nothing but deletes, seen {}",
        live.map_or_else(String::new, |seen| seen.to_string())
    );
    Ok(())
}

async fn f5_deletion_is_one_way_for_a_connected_agent(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let behaviour = Behaviour {
        acknowledge_after: Some(Duration::from_millis(300)),
        ..Behaviour::default()
    };
    let puppet = c.puppet(&cluster, behaviour).await?;
    let works = c.works(&source, &cluster, c.size(40, 400));
    for work in &works {
        source.create(work).await?;
        source.update(&work.clone().with_map("second"), 0).await?;
        source.delete(work).await?;
    }
    for work in &works {
        c.gone(&work.id).await?;
    }
    let revived = puppet.revived();
    ensure!(
        revived.is_empty(),
        "expected no live spec after a delete on the same stream, seen {} such as {}",
        revived.len(),
        revived
            .first()
            .map_or_else(String::new, ToString::to_string)
    );
    Ok(())
}

async fn f6_a_dead_cluster_stays_visible_until_forced(c: Context) -> Verdict {
    let (cluster, consumer) = c.cluster_with_id().await?;
    let source = c.source().await?;
    let rest = c.rest()?;
    let mut statuses = source.subscribe().await?;
    let works = c.works(&source, &cluster, 5);
    c.create_all(&source, &works).await?;
    c.delete_all(&source, &works).await?;
    for work in &works {
        let row = rest.bundle(&work.id).await?.unwrap_or_default();
        ensure!(
            row.get("deleted_at").is_some(),
            "expected the row to be shown as deleting, seen {row}"
        );
    }
    let refusal = rest.delete_consumer(&consumer).await?;
    same(
        "removing a consumer with works, status",
        refusal.status,
        403,
    )?;
    let path = format!("{ROOT}/consumers/{consumer}/force-remove");
    let body = json!({"reason": "the cluster burnt down"}).to_string();
    let reply = rest.send("POST", &path, &[], Some(body.as_bytes())).await?;
    ensure!(
        reply.status == 200,
        "expected the forced removal to be accepted, seen {}: {}",
        reply.status,
        reply.short()
    );
    let last = statuses
        .collect(Duration::from_secs(30), works.len())
        .await?;
    for work in &works {
        let status = last.get(&work.id).ok_or_else(|| {
            crate::context::Stop::Failed(format!("expected a final status of {}", work.id))
        })?;
        let reason = status
            .condition("Deleted")
            .and_then(|condition| condition.get("reason").cloned())
            .unwrap_or_default();
        ensure!(
            status.is_true("Deleted") && reason == "ConsumerRemoved",
            "expected Deleted=True with reason ConsumerRemoved, seen {status} {reason}"
        );
        c.gone(&work.id).await?;
    }
    let reply = rest.get(&format!("{ROOT}/consumers/{consumer}")).await?;
    same("the removed consumer, status", reply.status, 404)
}

async fn f6_a_connected_cluster_cannot_be_forced(c: Context) -> Verdict {
    let (cluster, consumer) = c.cluster_with_id().await?;
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let path = format!("{ROOT}/consumers/{consumer}/force-remove");
    let body = br#"{"reason":"by mistake","includeLive":true}"#;
    let reply = c.rest()?.send("POST", &path, &[], Some(body)).await?;
    same(
        "forced removal of a connected cluster, status",
        reply.status,
        409,
    )
}

async fn f8_an_agent_that_was_down_converges(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 3);
    let [deleted, updated, created] = works.as_slice() else {
        return Ok(());
    };
    c.create_all(&source, &[deleted.clone(), updated.clone()])
        .await?;
    let limit = Duration::from_secs(30);
    let both = [(deleted.id.clone(), 1), (updated.id.clone(), 1)];
    puppet.holds(limit, &both).await?;
    puppet.behave(|wish| wish.connected = false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    source.delete(deleted).await?;
    source
        .update(&updated.clone().with_map("second"), 1)
        .await?;
    source.create(created).await?;
    puppet.behave(|wish| wish.connected = true);
    let rest = [(updated.id.clone(), 2), (created.id.clone(), 1)];
    puppet.holds(limit, &rest).await?;
    c.gone(&deleted.id).await?;
    Ok(())
}

async fn f10_an_orphan_is_told_in_full(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let agent = c.agent(&cluster).await?;
    let unknown = uuid::Uuid::new_v4().to_string();
    let mut specs = agent.join(&[(&unknown, 3)]).await?;
    let event = specs
        .until("the delete of an unknown work", |seen| {
            seen.id() == unknown && seen.deleting()
        })
        .await?;
    let version = event.event.resource_version();
    ensure!(
        version.is_ok(),
        "expected the event to carry a resourceversion, which agents require, seen: {}",
        version
            .err()
            .map_or_else(String::new, |why| why.to_string())
    );
    same(
        "the source of the event",
        event.event.source.as_str(),
        "maestro",
    )
}

async fn f11_every_publication_has_its_own_id(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let mut ids = vec![specs.next().await?.event.id.clone()];
    source.update(&work.clone().with_map("second"), 1).await?;
    let second = specs
        .until("the update", |seen| seen.version() == 2)
        .await?;
    ids.push(second.event.id.clone());
    source.delete(&work).await?;
    let third = specs.until("the delete", Seen::deleting).await?;
    ids.push(third.event.id.clone());
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    ensure!(
        different.len() == 3,
        "expected three different event ids for create, update and delete, seen {ids:?}"
    );
    Ok(())
}

async fn f12_statuses_are_stored_while_deleting(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let mut statuses = source.subscribe().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    agent.applied(&spec).await?;
    source.delete(&work).await?;
    let delete = specs.until("the delete", Seen::deleting).await?;
    for reason in ["one", "two", "three"] {
        let data = json!({"conditions": [{"type": "Deleting", "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]});
        agent.publish(agent.status(&delete, &data)).await?;
        statuses
            .until("the status of a deleting work", |status| {
                let found = status.condition("Deleting");
                found.is_some_and(|condition| {
                    condition.get("reason").is_some_and(|seen| seen == reason)
                })
            })
            .await?;
    }
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let reason = row.pointer("/status/conditions/0/reason").cloned();
    same("the stored reason", reason, Some(json!("three")))?;
    agent.deleted(&delete).await?;
    c.gone(&work.id).await?;
    statuses
        .until("the final status", |status| status.is_true("Deleted"))
        .await?;
    Ok(())
}

async fn f14_a_deleting_work_is_not_updated(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.delete(&work).await?;
    for version in [0, 1] {
        let update = source
            .update(&work.clone().with_map("second"), version)
            .await;
        refused(
            "an update of a deleting work",
            update,
            "the resource is under deletion",
        )?;
    }
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same("its version", row.get("version").cloned(), Some(json!(1)))
}

async fn f17_what_is_left_of_a_set_is_found(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let set = c.name("set");
    let works: Vec<_> = c
        .works(&source, &cluster, 6)
        .into_iter()
        .map(|work| work.with_label("set", &set))
        .collect();
    c.create_all(&source, &works).await?;
    let (first, second) = works.split_at(3);
    c.delete_all(&source, first).await?;
    for work in first {
        c.gone(&work.id).await?;
    }
    let search = format!("payload->'metadata'->'labels'@>'{{\"set\":\"{set}\"}}'");
    let found = c
        .rest()?
        .list("resource-bundles", &[("search", &search)])
        .await?;
    let mut ids = ids_of(&found.json());
    let mut expected: Vec<String> = second.iter().map(|work| work.id.clone()).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    same("what the label finds", ids, expected)
}

async fn f18_one_work_can_be_sent_again(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let works = c.works(&source, &cluster, c.size(10, 100));
    c.create_all(&source, &works).await?;
    let all = specs.collect(Duration::from_secs(30), works.len()).await?;
    for spec in all.values() {
        agent.applied(spec).await?;
    }
    specs.skip();
    let Some(stuck) = works.first() else {
        return Ok(());
    };
    let path = format!("{ROOT}/resource-bundles/{}/resend", stuck.id);
    let reply = c.rest()?.send("POST", &path, &[], Some(b"{}")).await?;
    ensure!(
        (200..300).contains(&reply.status),
        "expected the resend of one work to be accepted, seen {}: {}",
        reply.status,
        reply.short()
    );
    specs
        .until("the work once more", |seen| seen.id() == stuck.id)
        .await?;
    let others = specs
        .listen(Duration::from_secs(1), |seen| seen.id() != stuck.id)
        .await;
    same("events of other works", others.len(), 0)
}

async fn f19_deletion_shows_at_both_places(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    ensure!(
        row.get("deleted_at").is_none() && row.pointer("/metadata/deletionTimestamp").is_none(),
        "expected no trace of deletion in a live bundle, seen {row}"
    );
    source.delete(&work).await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    ensure!(
        row.get("deleted_at").is_some_and(Value::is_string)
            && row
                .pointer("/metadata/deletionTimestamp")
                .is_some_and(Value::is_string),
        "expected deleted_at and metadata.deletionTimestamp, seen {row}"
    );
    Ok(())
}

async fn the_final_status_is_complete(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let (mut one, mut two) = (source.subscribe().await?, source.subscribe().await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "complete").with_label("a", "b");
    source.create(&work).await?;
    let spec = specs.next().await?;
    agent.applied(&spec).await?;
    source.delete(&work).await?;
    let delete = specs.until("the delete", Seen::deleting).await?;
    agent.deleted(&delete).await?;
    for stream in [&mut one, &mut two] {
        let last = stream
            .until("the final status", |status| status.is_true("Deleted"))
            .await?;
        same("id of the final status", last.id(), work.id.as_str())?;
        let manifests = last.data().pointer("/manifestBundle/manifests").cloned();
        same(
            "manifests of the final status",
            manifests.as_ref(),
            work.data.get("manifests"),
        )?;
        let metadata = last.metadata();
        same(
            "name in the final status",
            metadata.get("name").cloned(),
            Some(json!("complete")),
        )?;
        same(
            "labels in the final status",
            metadata.get("labels").cloned(),
            Some(json!({"a": "b"})),
        )?;
    }
    Ok(())
}

async fn a_short_life_is_seen_to_its_end(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut statuses = source.subscribe().await?;
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 10);
    for work in &works {
        source.create(work).await?;
        source.delete(work).await?;
    }
    for work in &works {
        let ended = |seen: &Seen| seen.id() == work.id && seen.is_true("Deleted");
        if !statuses.seen().iter().any(|seen| ended(seen)) {
            statuses.until("the end of a short life", ended).await?;
        }
    }
    Ok(())
}

async fn repeated_deletes_are_one(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.delete(&work).await?;
    source.create(&work).await?;
    specs.next().await?;
    source.delete(&work).await?;
    let first = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    source.delete(&work).await?;
    let path = format!("{ROOT}/resource-bundles/{}", work.id);
    let reply = c.rest()?.send("DELETE", &path, &[], None).await?;
    same(
        "REST delete of a deleting bundle, status",
        reply.status,
        204,
    )?;
    let second = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    same(
        "deleted_at",
        second.get("deleted_at"),
        first.get("deleted_at"),
    )?;
    let deletes = specs.listen(Duration::from_secs(2), Seen::deleting).await;
    ensure!(
        (1..=2).contains(&deletes.len()),
        "expected one delete event for three requests, seen {}",
        deletes.len()
    );
    Ok(())
}

async fn an_id_can_be_used_again(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.update(&work.clone().with_map("second"), 1).await?;
    source.delete(&work).await?;
    let delete = specs.until("the delete", Seen::deleting).await?;
    refused(
        "a create while deleting",
        source.create(&work).await,
        "This Resource already exists",
    )?;
    agent.deleted(&delete).await?;
    c.gone(&work.id).await?;
    source.create(&work).await?;
    let spec = specs.until("the new life", |seen| !seen.deleting()).await?;
    same("version of the new life", spec.version(), 1)
}

async fn words_of_an_earlier_life_end_nothing(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    specs.next().await?;
    source.delete(&work).await?;
    let first = specs.until("the delete", Seen::deleting).await?;
    agent.deleted(&first).await?;
    c.gone(&work.id).await?;
    // Lives are told apart by the second of their creation.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    source.create(&work).await?;
    specs.until("the new life", |seen| !seen.deleting()).await?;
    source.delete(&work).await?;
    let second = specs.until("the second delete", Seen::deleting).await?;
    // Accepted or refused: it only mustn't end the row.
    let _ = agent.deleted(&first).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(
        c.rest()?.bundle(&work.id).await?.is_some(),
        "expected the present life to wait for its own acknowledgement, seen: ended by one of the life before"
    );
    agent.deleted(&second).await?;
    c.gone(&work.id).await?;
    Ok(())
}

async fn a_live_work_is_not_ended_by_its_agent(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    // Accepted or refused: it only mustn't end the row.
    if let Err(status) = agent.deleted(&spec).await {
        ensure!(
            status.code() != Code::Unknown,
            "expected an answer with a code, seen {status}"
        );
    }
    ensure!(
        c.rest()?.bundle(&work.id).await?.is_some(),
        "expected the work to stay, for nobody deleted it, seen: gone"
    );
    specs
        .until("the spec once more", |seen| {
            seen.id() == work.id && !seen.deleting()
        })
        .await?;
    Ok(())
}

/// Ids of the items of a list.
pub(super) fn ids_of(list: &Value) -> Vec<String> {
    let items = list.get("items").and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(|item| item.get("id")?.as_str().map(ToOwned::to_owned))
        .collect()
}
