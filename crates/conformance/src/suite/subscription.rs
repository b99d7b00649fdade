//! Streams: who gets what, and who waits for whom.

use std::time::Duration;

use event_wire::proto::SubscriptionRequest;

use super::{Test, ensure, same, test};
use crate::context::{Context, Verdict};
use crate::play::{Behaviour, Source};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Subscription,
            every_stream_has_an_id_of_its_own,
            "ten subscriptions at once on each port: one header each, all different"
        ),
        test!(
            Subscription,
            heartbeats_are_regular,
            "both ports carry heartbeats, the first within 15 s"
        ),
        test!(
            Subscription,
            a_source_hears_only_of_its_own,
            "a status reaches every stream of its source and none of another"
        ),
        test!(
            Subscription,
            every_stream_of_a_cluster_gets_every_spec,
            "two agents of one cluster both get a work; another cluster's doesn't"
        ),
        test!(
            Subscription,
            the_source_decides_not_the_cluster,
            "cluster and data type of a source's subscription are ignored; an empty source hears nothing"
        ),
        test!(
            Subscription,
            quick_reconnects_do_not_double,
            "streams opened and closed quickly: the last one gets each work, and nothing is left behind"
        ),
        test!(
            Subscription,
            i7_a_stuck_agent_delays_nobody,
            "an agent that reads nothing delays no other cluster"
        )
        .alone(),
        test!(
            Subscription,
            i7_a_stuck_source_delays_nobody,
            "a source that reads nothing delays no other source"
        )
        .alone(),
        test!(
            Subscription,
            a_stuck_agent_gets_everything_in_the_end,
            "an agent that read nothing for a while gets the newest version of everything"
        ),
    ]
}

async fn every_stream_has_an_id_of_its_own(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let specs = futures::future::try_join_all((0..10).map(|_| agent.subscribe())).await?;
    let statuses = futures::future::try_join_all((0..10).map(|_| source.subscribe())).await?;
    let ids: std::collections::BTreeSet<&str> = specs
        .iter()
        .chain(&statuses)
        .filter_map(|stream| stream.subscription_id())
        .collect();
    same("different subscription ids of 20 streams", ids.len(), 20)
}

async fn heartbeats_are_regular(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let specs = c.agent(&cluster).await?.subscribe().await?;
    let statuses = c.source().await?.subscribe().await?;
    let (one, two) = tokio::join!(
        specs.beats(Duration::from_secs(15), 1),
        statuses.beats(Duration::from_secs(15), 1)
    );
    one?;
    two?;
    Ok(())
}

async fn a_source_hears_only_of_its_own(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (mine, theirs) = (c.source().await?, c.source().await?);
    let (mut one, mut two, mut other) = (
        mine.subscribe().await?,
        c.source_as(mine.id()).await?.subscribe().await?,
        theirs.subscribe().await?,
    );
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    // The same object from both sources: two works, each with its own story.
    let (work, same_object) = (mine.work(&cluster, "w"), theirs.work(&cluster, "w"));
    mine.create(&work).await?;
    for stream in [&mut one, &mut two] {
        stream
            .until("the status of its work", |seen| seen.id() == work.id)
            .await?;
    }
    let heard = other.listen(Duration::from_secs(1), |_| true).await;
    same("statuses at another source", heard.len(), 0)?;
    theirs.create(&same_object).await?;
    other
        .until("the status of its work", |seen| seen.id() == same_object.id)
        .await?;
    mine.delete(&work).await?;
    c.gone(&work.id).await?;
    ensure!(
        c.rest()?.bundle(&same_object.id).await?.is_some(),
        "expected the other source's work to stay, seen: gone"
    );
    Ok(())
}

async fn every_stream_of_a_cluster_gets_every_spec(c: Context) -> Verdict {
    let (cluster, elsewhere) = (c.cluster().await?, c.cluster().await?);
    let source = c.source().await?;
    let (mut one, mut two) = (
        c.agent(&cluster).await?.join(&[]).await?,
        c.agent(&cluster).await?.join(&[]).await?,
    );
    let mut other = c.agent(&elsewhere).await?.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    for stream in [&mut one, &mut two] {
        stream
            .until("the work", |seen| seen.id() == work.id)
            .await?;
    }
    let heard = other.listen(Duration::from_secs(1), |_| true).await;
    same("specs at another cluster", heard.len(), 0)
}

async fn the_source_decides_not_the_cluster(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut odd = source
        .subscribe_with(SubscriptionRequest {
            source: source.id().to_owned(),
            cluster_name: "elsewhere".to_owned(),
            data_type: "a.b.c".to_owned(),
        })
        .await?;
    let anonymous = source.subscribe_with(SubscriptionRequest::default()).await;
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    source.create(&source.work(&cluster, "w")).await?;
    odd.next().await?;
    // An empty source may be refused; it is no wildcard.
    if let Ok(mut anonymous) = anonymous {
        let heard = anonymous.listen(Duration::from_millis(500), |_| true).await;
        same("statuses at a stream without source", heard.len(), 0)?;
    }
    Ok(())
}

async fn quick_reconnects_do_not_double(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    for _ in 0..30 {
        drop(agent.subscribe().await?);
    }
    let mut specs = agent.join(&[]).await?;
    let works = c.works(&source, &cluster, 5);
    c.create_all(&source, &works).await?;
    specs.collect(Duration::from_secs(30), 5).await?;
    specs.listen(Duration::from_secs(2), |_| true).await;
    let seen = specs.seen().len();
    ensure!(
        seen <= 10,
        "expected 5 works once or twice each, seen {seen} events"
    );
    Ok(())
}

async fn i7_a_stuck_agent_delays_nobody(c: Context) -> Verdict {
    let (stuck, live) = (c.cluster().await?, c.cluster().await?);
    let source = c.source().await?;
    let behaviour = Behaviour {
        reading: false,
        ..Behaviour::default()
    };
    let _stuck = c.puppet(&stuck, behaviour).await?;
    let puppet = c.puppet(&live, Behaviour::default()).await?;
    let works: Vec<_> = c
        .works(&source, &stuck, c.size(160, 1000))
        .into_iter()
        .map(|work| work.with_bytes(6000))
        .collect();
    c.create_all(&source, &works).await?;
    let mut worst = Duration::ZERO;
    for work in c.works(&source, &live, 20) {
        let started = c.stage.recording.now();
        source.create(&work).await?;
        puppet
            .holds(Duration::from_secs(20), &[(work.id.clone(), 1)])
            .await?;
        worst = worst.max(
            puppet
                .work(&work.id)
                .map_or(started, |held| held.spec.at)
                .saturating_sub(started),
        );
    }
    fast(
        &c,
        worst,
        "works of another cluster",
        "an agent that reads nothing",
    )?;
    // A new subscription must not wait either.
    let another = c.cluster().await?;
    c.stage
        .within(
            Duration::from_secs(5),
            "a subscription beside a stuck agent",
            c.agent(&another).await?.subscribe(),
        )
        .await??;
    Ok(())
}

async fn i7_a_stuck_source_delays_nobody(c: Context) -> Verdict {
    // Clusters of their own: an agent that has a thousand works to report on is busy, whoever is stuck.
    let (busy, quiet) = (c.cluster().await?, c.cluster().await?);
    let (stuck, live) = (c.source().await?, c.source().await?);
    // On a connection of its own: what isn't read there holds up everything else on it.
    let jam = c.source_as(stuck.id()).await?.subscribe().await?;
    jam.pause();
    let _busy = c.puppet(&busy, Behaviour::default()).await?;
    let _quiet = c.puppet(&quiet, Behaviour::default()).await?;
    // Each status carries its spec back.
    let works: Vec<_> = c
        .works(&stuck, &busy, c.size(160, 1000))
        .into_iter()
        .map(|work| work.with_bytes(6000))
        .collect();
    c.create_all(&stuck, &works).await?;
    let worst = status_times(&c, &live, &quiet).await?;
    fast(
        &c,
        worst,
        "statuses of another source",
        "a source that reads nothing",
    )
}

/// The longest time from a create to its status at the source, of a few.
async fn status_times(
    c: &Context,
    source: &Source,
    cluster: &str,
) -> Result<Duration, crate::play::Error> {
    let mut statuses = source.subscribe().await?;
    let mut worst = Duration::ZERO;
    for work in c.works(source, cluster, 10) {
        let started = c.stage.recording.now();
        source.create(&work).await?;
        let status = statuses
            .until_within(Duration::from_secs(20), "a status", |seen| {
                seen.id() == work.id
            })
            .await?;
        worst = worst.max(status.at.saturating_sub(started));
    }
    Ok(worst)
}

fn fast(c: &Context, worst: Duration, what: &str, beside: &str) -> Verdict {
    let limit = c.stage.scale.of(Duration::from_secs(2));
    ensure!(
        worst <= limit,
        "expected {what} within {limit:.1?} beside {beside}, seen {worst:.1?}"
    );
    Ok(())
}

async fn a_stuck_agent_gets_everything_in_the_end(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let behaviour = Behaviour {
        reading: false,
        ..Behaviour::default()
    };
    let puppet = c.puppet(&cluster, behaviour).await?;
    let works: Vec<_> = c
        .works(&source, &cluster, 150)
        .into_iter()
        .map(|work| work.with_bytes(4000))
        .collect();
    c.create_all(&source, &works).await?;
    for work in works.iter().take(30) {
        source.update(&work.clone().with_map("second"), 1).await?;
    }
    puppet.behave(|wish| wish.reading = true);
    let wanted: Vec<(String, i32)> = works
        .iter()
        .enumerate()
        .map(|(number, work)| (work.id.clone(), if number < 30 { 2 } else { 1 }))
        .collect();
    puppet.holds(Duration::from_secs(45), &wanted).await?;
    Ok(())
}
