//! Watches, across whatever happens to the connection.

use futures::{Stream, StreamExt};
use kube_access::watch::{Event, Observation, Selection};
use kube_access::{Client, Delete, Patch, Resource, Write, object};
use serde_json::{Value, json};
use testkit::proxy::Proxy;

use crate::{PATIENCE, Sandbox, config_map};

async fn next<T>(events: &mut (impl Stream<Item = T> + Unpin)) -> T {
    tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("an event in time")
        .expect("watches never end")
}

/// The next sight of the object, failures left out.
async fn sight(events: &mut (impl Stream<Item = Observation> + Unpin)) -> Option<Value> {
    loop {
        match next(events).await {
            Observation::Present(live) => return Some(live),
            Observation::Absent => return None,
            Observation::Failed(_) => {}
        }
    }
}

async fn create(client: &Client, maps: &Resource, name: &str) {
    client
        .create(
            maps,
            Some("default"),
            &config_map(name, json!({})),
            &Write::default(),
        )
        .await
        .unwrap();
}

async fn set(client: &Client, maps: &Resource, name: &str, value: &str) {
    let patch = Patch::Merge(json!({"data": {"v": value}}));
    client
        .patch(maps, Some("default"), name, &patch, &Write::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn one_object_comes_changes_and_goes() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    let mut events = client.watch_one(&maps, Some("default"), "a");
    assert!(sight(&mut events).await.is_none());
    create(&client, &maps, "b").await;
    create(&client, &maps, "a").await;
    let live = sight(&mut events).await.unwrap();
    assert_eq!(object::name(&live), Some("a"));
    set(&client, &maps, "a", "1").await;
    assert_eq!(sight(&mut events).await.unwrap()["data"]["v"], "1");
    client
        .delete(&maps, Some("default"), "a", &Delete::default())
        .await
        .unwrap();
    assert!(sight(&mut events).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_connection_is_cut_is_not_missed() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let proxy = Proxy::start(sandbox.address).await.unwrap();
    let watching = Client::from_url(&format!("http://{}", proxy.address())).unwrap();
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    create(&client, &maps, "a").await;
    let mut events = watching.watch_one(&maps, Some("default"), "a");
    assert!(sight(&mut events).await.is_some());
    for value in ["1", "2", "3"] {
        proxy.refuse();
        set(&client, &maps, "a", value).await;
        proxy.accept();
        while sight(&mut events).await.unwrap()["data"]["v"] != value {}
    }
    proxy.refuse();
    client
        .delete(&maps, Some("default"), "a", &Delete::default())
        .await
        .unwrap();
    proxy.accept();
    while sight(&mut events).await.is_some() {}
}

#[tokio::test]
async fn a_kind_with_its_metadata_only() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    create(&client, &maps, "a").await;
    let selection = Selection {
        metadata_only: true,
        ..Selection::default()
    };
    let mut events = client.watch(&maps, Some("default"), selection);
    let Event::Listed(items) = next(&mut events).await else {
        panic!("a list comes first");
    };
    assert_eq!(items.len(), 1);
    assert_eq!(
        (object::kind(&items[0]), object::name(&items[0])),
        (Some("ConfigMap"), Some("a"))
    );
    set(&client, &maps, "a", "1").await;
    let Event::Applied(item) = next(&mut events).await else {
        panic!("a change comes next");
    };
    assert_eq!(item.get("data"), None);
    client
        .delete(&maps, Some("default"), "a", &Delete::default())
        .await
        .unwrap();
    assert!(matches!(next(&mut events).await, Event::Deleted(_)));
}
