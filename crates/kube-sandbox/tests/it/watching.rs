//! Watches: initial events, continuation, bookmarks, selectors, the end of history.

use serde_json::json;

use crate::support::{CONFIG_MAPS, Sandbox, config_map};

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_sees_what_is_there_and_what_comes() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    assert_eq!(watch.seen().await, pair("ADDED", "a"));
    api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    assert_eq!(watch.seen().await, pair("ADDED", "b"));
    api.merge(&format!("{CONFIG_MAPS}/a"), &json!({"data": {"x": "y"}}))
        .await
        .expect(200);
    assert_eq!(watch.seen().await, pair("MODIFIED", "a"));
    let deleted = api.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    api.delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await
        .expect(200);
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_ne!(
        event["object"]["metadata"]["resourceVersion"], deleted["metadata"]["resourceVersion"],
        "the object of a deletion carries the version of the deletion"
    );
    // Other namespaces are not seen.
    api.post(
        "/api/v1/namespaces/kube-system/configmaps",
        &config_map("z"),
    )
    .await
    .expect(201);
    api.post(CONFIG_MAPS, &config_map("c")).await.expect(201);
    assert_eq!(watch.seen().await, pair("ADDED", "c"));
}

#[tokio::test]
async fn a_watch_continues_after_a_version() {
    let api = Sandbox::start().await;
    let first = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    api.delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await
        .expect(200);
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}"))
        .await;
    assert_eq!(watch.seen().await, pair("ADDED", "b"));
    assert_eq!(watch.seen().await, pair("DELETED", "a"));
    // A version from another life of the cluster.
    api.get(&format!(
        "{CONFIG_MAPS}?watch=true&resourceVersion=99999999"
    ))
    .await
    .refused(410, "Expired");
    api.get(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=abc"))
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.seen().await, pair("ADDED", "a"));
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"],
        json!({"k8s.io/initial-events-end": "true"})
    );
    let revision = bookmark["object"]["metadata"]["resourceVersion"]
        .as_str()
        .unwrap();
    assert_eq!(
        api.get(CONFIG_MAPS).await.expect(200)["metadata"]["resourceVersion"],
        revision
    );
    api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    assert_eq!(watch.seen().await, pair("ADDED", "b"));
    for bad in [
        "watch=true&sendInitialEvents=true",
        "watch=true&resourceVersionMatch=NotOlderThan",
    ] {
        api.get(&format!("{CONFIG_MAPS}?{bad}"))
            .await
            .refused(422, "Invalid");
    }
}

#[tokio::test]
async fn a_selector_turns_leaving_into_deletion() {
    let api = Sandbox::start().await;
    let mut watch = api
        .watch(&format!("{CONFIG_MAPS}?watch=true&labelSelector=app%3Dweb"))
        .await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let label = |value: serde_json::Value| json!({"metadata": {"labels": {"app": value}}});
    let path = format!("{CONFIG_MAPS}/a");
    api.merge(&path, &label("web".into())).await.expect(200);
    assert_eq!(watch.seen().await, pair("ADDED", "a"));
    api.merge(&path, &json!({"data": {"x": "y"}}))
        .await
        .expect(200);
    assert_eq!(watch.seen().await, pair("MODIFIED", "a"));
    api.merge(&path, &label("db".into())).await.expect(200);
    assert_eq!(watch.seen().await, pair("DELETED", "a"));
    api.delete(&path, &json!({})).await.expect(200);
    let mut one = api.watch(&format!("{CONFIG_MAPS}/b?watch=true")).await;
    api.post(CONFIG_MAPS, &config_map("c")).await.expect(201);
    api.post(CONFIG_MAPS, &config_map("b")).await.expect(201);
    assert_eq!(one.seen().await, pair("ADDED", "b"));
}

#[tokio::test]
async fn a_watch_ends_after_its_time_with_a_bookmark() {
    let api = Sandbox::start().await;
    let mut watch = api
        .watch(&format!(
            "{CONFIG_MAPS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true"
        ))
        .await;
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_when_the_sandbox_stops() {
    let api = Sandbox::start().await;
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    api.stop().await;
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_that_falls_behind_the_history_is_told() {
    let api = Sandbox::start().await;
    let first = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let revision = first["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    // 40 objects of 2 MB: more than the history keeps.
    let large = "x".repeat(2 * 1024 * 1024);
    for index in 0..40 {
        let change = json!({"data": {"large": format!("{index}{large}")}});
        api.merge(&format!("{CONFIG_MAPS}/a"), &change)
            .await
            .expect(200);
    }
    let message = api
        .get(&format!(
            "{CONFIG_MAPS}?watch=true&resourceVersion={revision}"
        ))
        .await
        .refused(410, "Expired");
    assert!(
        message.starts_with(&format!("too old resource version: {revision} (")),
        "{message}"
    );
}

#[tokio::test]
async fn many_watches_see_every_change_in_order() {
    let api = Sandbox::start().await;
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(api.watch(&format!("{CONFIG_MAPS}?watch=true")).await);
    }
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    for index in 0..50 {
        api.merge(
            &format!("{CONFIG_MAPS}/a"),
            &json!({"data": {"n": index.to_string()}}),
        )
        .await
        .expect(200);
    }
    for watch in &mut watches {
        assert_eq!(watch.seen().await, pair("ADDED", "a"));
        for index in 0..50 {
            assert_eq!(
                watch.next().await.unwrap()["object"]["data"]["n"],
                index.to_string()
            );
        }
    }
}
