//! Deletion by label, by a process that is killed half way.

use std::process::Stdio;
use std::time::Duration;

use conformance::play::{Behaviour, Proxy};
use maestro_client::{Client, Config};

use super::follower::Follower;
use super::place::{Database, Place};
use super::{create_all, labelled};

on_both_databases!(f17_a_deletion_by_label_goes_on_after_its_process_was_killed);

const MANY: usize = 150;
const SELECTOR: &str = "cluster=x";

async fn f17_a_deletion_by_label_goes_on_after_its_process_was_killed(database: Database) {
    let place = Place::start(database).await;
    let behaviour = Behaviour {
        acknowledge_after: None,
        ..Behaviour::default()
    };
    let agent = place.agent("c1", behaviour).await;
    let client = place.client();
    let works = client.works("c1");
    let many = (0..MANY).map(|number| labelled(&format!("w{number}"), "cluster", "x"));
    create_all(&works, many).await;
    works
        .create(&labelled("other", "cluster", "y"))
        .await
        .unwrap();
    let mut follower = Follower::new(works.watch(Default::default()));
    follower.until_synced().await;

    // A slow line, so that it can be cut half way on any machine.
    let line = Proxy::start(&place.grpc()).await.unwrap();
    line.delay(Duration::from_millis(100));
    let mut process = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sdk::deleting::a_process_that_is_killed",
            "--ignored",
        ])
        .env("SDK_REST", place.config().rest_url)
        .env("SDK_GRPC", line.address())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = |held: &std::collections::BTreeMap<String, conformance::play::Held>| {
        held.values().filter(|held| held.deleting).count() >= 10
    };
    agent
        .until(Duration::from_secs(60), "the first deletions", begun)
        .await
        .unwrap();
    line.stall();
    process.kill().await.unwrap();
    drop(line);

    let deletions = place
        .client()
        .works("c1")
        .delete_matching(&SELECTOR.parse().unwrap())
        .await
        .unwrap();
    assert!(deletions.is_complete(), "{:?}", deletions.failed);
    let (already, requested) = (deletions.already_requested.len(), deletions.requested.len());
    assert_eq!(already + requested, MANY);
    assert!(already >= 10 && requested > 0, "{already} + {requested}");

    agent.behave(|behaviour| behaviour.acknowledge_after = Some(Duration::ZERO));
    follower
        .until("all to go", |told| told.view().len() == 1)
        .await;
    let told = follower.take();
    let ends = told.iter().filter(|line| line.starts_with("D ")).count();
    assert_eq!(ends, MANY, "one end for each");
    let other = works.get("other").await.unwrap();
    assert!(!other.metadata.is_deleting());
    assert!(agent.revived().is_empty());
}

/// The process of the test above: deletes until it is killed.
#[tokio::test]
#[ignore = "played by another test"]
async fn a_process_that_is_killed() {
    let (Ok(rest_url), Ok(grpc_address)) = (std::env::var("SDK_REST"), std::env::var("SDK_GRPC"))
    else {
        return;
    };
    let client = Client::new(Config {
        rest_url,
        grpc_address,
        source_id: "sdk".into(),
        ..Config::default()
    })
    .unwrap();
    let works = client.works("c1");
    works
        .delete_matching(&SELECTOR.parse().unwrap())
        .await
        .unwrap();
}
