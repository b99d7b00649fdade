//! Works that their source publishes by itself, under ids that say nothing about their names.

use conformance::play::{Behaviour, Proxy, Source};
use maestro_client::WatchOptions;
use serde_json::json;

use super::follower::Follower;
use super::place::{Database, Place, is_foreign};

on_both_databases!(a_work_with_an_id_of_its_own_is_followed_by_label_and_by_name);

async fn a_work_with_an_id_of_its_own_is_followed_by_label_and_by_name(database: Database) {
    let place = Place::start(database).await;
    let _agent = place.agent("c1", Behaviour::default()).await;
    let client = place.client();
    let raw = Source::connect(&place.grpc(), client.source_id(), &place.stage)
        .await
        .unwrap();
    let mut own = raw.work("c1", "w").with_label("app", "x");
    own.id = "0d8c2f5e-5b0f-4c8e-9f53-3a1d0c1b7e11".to_owned();
    let metadata = own.metadata.as_mut().unwrap();
    metadata["uid"] = json!(own.id);
    raw.create(&own).await.unwrap();

    let line = Proxy::start(&place.grpc()).await.unwrap();
    let works = place.client_through(line.address()).works("c1");
    let mut by_label = Follower::new(works.watch(WatchOptions {
        label_selector: "app=x".parse().unwrap(),
        ..WatchOptions::default()
    }));
    let mut by_name = Follower::new(works.watch(WatchOptions {
        name: Some("w".to_owned()),
        ..WatchOptions::default()
    }));
    for follower in [&mut by_label, &mut by_name] {
        follower.until("w", |told| told.is_applied("w", 1)).await;
        follower.until_synced_once().await;
    }
    // It loses the label while nobody looks, and gets it back while they do.
    line.refuse();
    by_label.until_interrupted().await;
    by_name.until_interrupted().await;
    let relabelled = own.clone().with_label("app", "y");
    raw.update(&relabelled, 1).await.unwrap();
    line.accept();
    by_label
        .until("w to leave", |told| told.view().is_empty())
        .await;
    raw.update(&own, 2).await.unwrap();
    for follower in [&mut by_label, &mut by_name] {
        follower
            .until("w again", |told| told.is_applied("w", 3))
            .await;
    }
    let told = by_name.take();
    assert!(
        !told.iter().any(|line| line.starts_with("D ")),
        "it was there all the time: {told:?}"
    );
    if !is_foreign() {
        let found = client.works("c1").explain("w").await.unwrap();
        assert_eq!(found.id, own.id);
    }
}
