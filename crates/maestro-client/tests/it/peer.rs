//! The client against a running server, upstream's or ours, with an agent played here. Not part of a normal run:
//!
//! ```sh
//! MAESTRO_REST=http://127.0.0.1:8000 MAESTRO_GRPC=127.0.0.1:8090 MAESTRO_BROKER=127.0.0.1:8091 \
//!   cargo test -p maestro-client --test it peer -- --ignored
//! ```

use std::{collections::BTreeMap, time::Duration};

use event_wire::{
    Action, Event, Incoming, MANIFEST_BUNDLES, SequenceGenerator, Stamp,
    codec::agent::{self, SpecMessage},
    proto::{
        PublishRequest, SubscriptionRequest, cloud_event_service_client::CloudEventServiceClient,
    },
};
use maestro_client::{
    Applied, Client, Config, Error, ListOptions, Patch, WatchEvent, WatchOptions,
};
use manifestwork::{Condition, Executor, ManifestWork, conditions};
use serde_json::json;
use tonic::transport::Channel;

use crate::{DEADLINE, work};

fn address(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} names the server"))
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

fn connect(source: &str) -> Client {
    Client::new(Config {
        rest_url: address("MAESTRO_REST"),
        grpc_address: address("MAESTRO_GRPC"),
        source_id: source.to_owned(),
        page_size: 100,
        ..Config::default()
    })
    .unwrap()
}

/// An agent that applies everything at once.
async fn play_agent(consumer: String) {
    let channel = Channel::from_shared(format!("http://{}", address("MAESTRO_BROKER")))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = CloudEventServiceClient::new(channel);
    let request = SubscriptionRequest {
        cluster_name: consumer.clone(),
        data_type: MANIFEST_BUNDLES.to_owned(),
        ..SubscriptionRequest::default()
    };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let publish = |mut client: CloudEventServiceClient<Channel>, event: Event| async move {
        let request = PublishRequest {
            event: Some(event.into()),
        };
        client.publish(request).await.unwrap();
    };
    let resync = agent::spec_resync_request("agent", &consumer, Vec::new(), Stamp::now());
    publish(client.clone(), resync).await;
    let sequences = SequenceGenerator::default();
    while let Some(message) = stream.message().await.unwrap() {
        let Incoming::Event(event) = Incoming::from_proto(message).unwrap() else {
            continue;
        };
        let (mut work, condition) = match agent::decode_spec(&event).unwrap() {
            SpecMessage::Apply(work) => (work, "Applied"),
            SpecMessage::Delete(deletion) => {
                let work = ManifestWork {
                    metadata: deletion.metadata,
                    ..ManifestWork::default()
                };
                (work, "Deleted")
            }
            SpecMessage::Invalid { reason, .. } => panic!("{reason}"),
        };
        let mut condition = Condition::new(condition, true, "Played", "");
        condition.observed_generation = work.metadata.generation;
        let now = jiff::Timestamp::now();
        conditions::set(&mut work.status.conditions, condition, now);
        let sequence = sequences.next(now);
        let status = agent::encode_status(
            &work,
            Action::UpdateRequest,
            "agent",
            sequence,
            Stamp::now(),
        );
        publish(client.clone(), status.unwrap()).await;
    }
}

#[tokio::test]
#[ignore = "needs a running server: see the top of the file"]
async fn a_running_server_is_what_the_client_expects() {
    let (source, consumer) = (unique("s"), unique("c"));
    let client = connect(&source);
    client
        .consumers()
        .create(&consumer, &BTreeMap::default())
        .await
        .unwrap();
    let agent = tokio::spawn(play_agent(consumer.clone()));
    let works = client.works(&consumer);
    let mut watch = works.watch(WatchOptions::default());
    let named = |name: &str, value: &str| {
        let mut work = work(name, value);
        work.metadata.namespace.clone_from(&consumer);
        work.metadata.labels.insert("run".into(), "one".into());
        work
    };

    // A life.
    let executor: Executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    let mut first = named("first", "1");
    first.spec.executor = Some(executor.clone());
    works.create(&first).await.unwrap();
    let told = until(&mut watch, "first", 1).await;
    assert_eq!(told.spec.executor, Some(executor.clone()));
    assert!(matches!(
        works.create(&first).await,
        Err(Error::AlreadyExists { .. })
    ));
    assert!(matches!(
        works.apply(&first).await.unwrap(),
        Applied::Unchanged(_)
    ));

    // F39: a change from an old copy is refused, retried on a fresh one, and the executor stays.
    let stale = works.get("first").await.unwrap();
    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"step": value}}}));
    works.patch("first", &label("2")).await.unwrap();
    assert!(works.apply(&stale).await.unwrap_err().is_conflict());
    let editors = (0..5).map(|number| {
        let works = works.clone();
        tokio::spawn(async move {
            let change = move |work: &mut ManifestWork| {
                work.metadata
                    .labels
                    .insert(format!("editor-{number}"), "x".into());
            };
            works.edit("first", change).await.unwrap();
        })
    });
    for editor in editors.collect::<Vec<_>>() {
        editor.await.unwrap();
    }
    let told = until(&mut watch, "first", 7).await;
    assert_eq!(told.metadata.labels.len(), 7, "{:?}", told.metadata.labels);
    assert_eq!(told.spec.executor, Some(executor.clone()));

    // Another process, which has never seen the work.
    let stranger = connect(&source).works(&consumer);
    stranger.patch("first", &label("8")).await.unwrap();
    let told = until(&mut watch, "first", 8).await;
    assert_eq!(told.spec.executor, Some(executor), "kept by a newcomer");

    // F37, I12: many pages, each work once, also while others go.
    const MANY: usize = 250;
    for number in 0..MANY {
        works
            .create(&named(&format!("w{number:03}"), "1"))
            .await
            .unwrap();
    }
    let selected = ListOptions {
        label_selector: "run=one,step!=8".parse().unwrap(),
        ..ListOptions::default()
    };
    let mut names: Vec<String> = works
        .list(&selected)
        .await
        .unwrap()
        .into_iter()
        .map(|work| work.metadata.name)
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), MANY);

    // Classes.
    let nobody = connect(&source).works("nobody");
    let mut lost = work("lost", "1");
    lost.metadata.namespace = "nobody".into();
    assert!(matches!(
        nobody.create(&lost).await.unwrap_err(),
        Error::ConsumerNotFound { .. }
    ));
    assert!(works.get("nothing").await.unwrap_err().is_not_found());

    // F17, and one end for each.
    let deletions = works
        .delete_matching(&selected.label_selector)
        .await
        .unwrap();
    assert!(deletions.is_complete());
    assert_eq!(deletions.requested.len(), MANY);
    let mut ended = BTreeMap::new();
    while ended.len() < MANY {
        let event = tokio::time::timeout(DEADLINE, watch.next_event())
            .await
            .expect("an end of every work in time")
            .unwrap();
        if let WatchEvent::Deleted(work) = event {
            *ended.entry(work.metadata.name).or_insert(0) += 1;
        }
    }
    assert!(ended.values().all(|count| *count == 1), "{ended:?}");
    assert_eq!(
        works.list(&ListOptions::default()).await.unwrap().len(),
        1,
        "the first is still there"
    );
    works.delete("first").await.unwrap();
    testkit::eventually("the last work is gone", DEADLINE, async || {
        works.get("first").await.is_err().then_some(())
    })
    .await;
    agent.abort();
}

/// Reads until a work is reported at a version.
async fn until(watch: &mut maestro_client::Watch, name: &str, version: i64) -> ManifestWork {
    let find = async {
        loop {
            if let Some(WatchEvent::Added(work) | WatchEvent::Modified(work)) =
                watch.next_event().await
                && work.metadata.name == name
                && work.metadata.generation == version
                && conditions::is_true(&work.status.conditions, "Applied")
            {
                return *work;
            }
        }
    };
    tokio::time::timeout(DEADLINE, find)
        .await
        .unwrap_or_else(|_| panic!("{name} at {version} in time"))
}

/// Keeps a watch open and says what happens: for killing the server by hand.
///
/// `SECONDS=60` sets how long.
#[tokio::test]
#[ignore = "needs a running server, and somebody who stops and starts it"]
async fn a_server_that_goes_and_comes_is_found_again() {
    let seconds = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let started = std::time::Instant::now();
    let mut watch = connect("watcher")
        .all_works()
        .watch(WatchOptions::default());
    let follow = async {
        while let Some(event) = watch.next_event().await {
            println!(
                "{} {:?} {event:?}",
                jiff::Timestamp::now(),
                started.elapsed()
            );
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(seconds), follow).await;
}
