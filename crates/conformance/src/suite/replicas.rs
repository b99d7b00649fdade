//! Two servers on one database.

use std::time::Duration;

use serde_json::json;

use super::{Need, Test, ensure, refused, same, test};
use crate::context::{Context, Verdict};
use crate::play::Behaviour;

const LIMIT: Duration = Duration::from_secs(30);
/// What the other replica writes reaches an agent that nothing disturbs in 2 s, and a few on a busy machine. Longer, and
/// a server that forgets what others write would pass by its reminders.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn tests() -> Vec<Test> {
    let tests = vec![
        test!(
            Replicas,
            f5_nothing_live_after_a_delete_by_either,
            "create, update, delete by turns through both replicas: the agent hears of the delete only"
        ),
        test!(
            Replicas,
            f21_a_work_follows_its_agent,
            "writes through one replica reach an agent of the other, also after it has moved"
        ),
        test!(
            Replicas,
            f30_every_source_hears_of_every_status,
            "sources at every replica get every status and every end, wherever the agent is"
        ),
        test!(
            Replicas,
            updates_through_both_are_one,
            "20 updates of one version through both replicas: one is accepted"
        ),
        test!(
            Replicas,
            a_delete_is_acknowledged_anywhere,
            "deleted through one replica, acknowledged at the other, gone at both"
        ),
        test!(
            Replicas,
            what_one_writes_the_other_reads,
            "consumers and works written at one replica are there at the other at once"
        ),
        test!(
            Replicas,
            an_agent_at_both_is_told_at_both,
            "two streams of one cluster at two replicas both get every work"
        ),
        test!(
            Replicas,
            a_status_resync_works_at_the_other,
            "a source resyncs at a replica that its agent isn't at"
        ),
    ];
    tests
        .into_iter()
        .map(|test| test.needing(&[Need::Replica]))
        .collect()
}

async fn f5_nothing_live_after_a_delete_by_either(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let one = c.source().await?;
    let two = other.source_as(one.id()).await?;
    let works = c.works(&one, &cluster, 10);
    for work in &works {
        one.create(work).await?;
        two.update(&work.clone().with_map("second"), 1).await?;
        one.update(&work.clone().with_map("third"), 2).await?;
        two.delete(work).await?;
        refused(
            "an update at the other replica",
            one.update(&work.clone().with_map("late"), 0).await,
            "under deletion",
        )?;
    }
    let mut specs = other.agent(&cluster).await?.join(&[]).await?;
    specs.collect(LIMIT, works.len()).await?;
    specs.listen(Duration::from_secs(3), |_| true).await;
    let live = specs.seen().iter().filter(|seen| !seen.deleting()).count();
    same("live specs after the deletes", live, 0)
}

async fn f21_a_work_follows_its_agent(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let (proxy, puppet) = other
        .puppet_behind_proxy(&cluster, Behaviour::default())
        .await?;
    let works = c.works(&source, &cluster, 30);
    let (first, rest) = works.split_at(15);
    c.create_all(&source, first).await?;
    let wanted: Vec<(String, i32)> = first.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(SOON, &wanted).await?;
    // It moves while the rest is being written.
    let moving = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        proxy.redirect(&c.doors().agent);
        proxy.cut();
    };
    let (written, ()) = tokio::join!(c.create_all(&source, rest), moving);
    written?;
    let wanted: Vec<(String, i32)> = works.iter().map(|work| (work.id.clone(), 1)).collect();
    puppet.holds(LIMIT, &wanted).await?;
    Ok(())
}

async fn f30_every_source_hears_of_every_status(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut streams = vec![
        source.subscribe().await?,
        other.source_as(source.id()).await?.subscribe().await?,
    ];
    match c.third_source_as(source.id()).await? {
        Some(source) => streams.push(source.subscribe().await?),
        None => c.leave_out("a third replica", "needs --source-grpc-3"),
    }
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 30);
    c.create_all(&source, &works).await?;
    for stream in &mut streams {
        let seen = stream.collect(LIMIT, works.len()).await?;
        ensure!(
            seen.values().all(|seen| seen.is_true("Applied")),
            "expected Applied=True of every work, seen others"
        );
    }
    c.delete_all(&source, &works).await?;
    for stream in &streams {
        c.stage
            .eventually(LIMIT, "every end at every source", async || {
                let seen = stream.seen();
                let ended: std::collections::BTreeSet<&str> = seen
                    .iter()
                    .filter(|seen| seen.is_true("Deleted"))
                    .map(|seen| seen.id())
                    .collect();
                Ok((ended.len() == works.len()).then_some(()))
            })
            .await?;
    }
    drop(puppet);
    Ok(())
}

async fn updates_through_both_are_one(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let one = c.source().await?;
    let two = other.source_as(one.id()).await?;
    let work = one.work(&cluster, "w");
    one.create(&work).await?;
    let updates = (0..20).map(|number| {
        let source = if number % 2 == 0 {
            one.clone()
        } else {
            two.clone()
        };
        let next = work.clone().with_map(&format!("m{number}"));
        async move { source.update(&next, 1).await }
    });
    let accepted = futures::future::join_all(updates)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    same("accepted updates of twenty", accepted, 1)
}

async fn a_delete_is_acknowledged_anywhere(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let _puppet = other.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 10);
    c.create_all(&source, &works).await?;
    c.delete_all(&source, &works).await?;
    for work in &works {
        c.gone(&work.id).await?;
        other.gone(&work.id).await?;
    }
    Ok(())
}

async fn what_one_writes_the_other_reads(c: Context) -> Verdict {
    let other = c.other()?;
    let (cluster, id) = c.cluster_with_id().await?;
    let seen = other
        .rest()?
        .get(&format!("{}/consumers/{id}", crate::play::rest::ROOT))
        .await?;
    same(
        "the consumer at the other replica",
        seen.json().get("name").cloned(),
        Some(json!(cluster)),
    )?;
    let source = other.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    ensure!(
        c.rest()?.bundle(&work.id).await?.is_some(),
        "expected the work at the first replica, seen nothing"
    );
    Ok(())
}

async fn an_agent_at_both_is_told_at_both(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut here = c.agent(&cluster).await?.join(&[]).await?;
    let mut there = other.agent(&cluster).await?.join(&[]).await?;
    let works = c.works(&source, &cluster, 10);
    c.create_all(&source, &works).await?;
    here.collect(SOON, works.len()).await?;
    there.collect(SOON, works.len()).await?;
    Ok(())
}

async fn a_status_resync_works_at_the_other(c: Context) -> Verdict {
    let other = c.other()?;
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let works = c.works(&source, &cluster, 5);
    c.create_all(&source, &works).await?;
    puppet
        .until(LIMIT, "reports of every work", |held| {
            held.values().filter(|held| held.reported == 1).count() == works.len()
        })
        .await?;
    let there = other.source_as(source.id()).await?;
    let mut statuses = there.subscribe().await?;
    there.resync(&[]).await?;
    statuses.collect(LIMIT, works.len()).await?;
    Ok(())
}
