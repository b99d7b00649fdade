//! JSON Patch, merge patch, strategic merge patch.

use serde_json::json;

use crate::support::{CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, with_widgets};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

#[tokio::test]
async fn json_patch() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let patch = json!([
        {"op": "test", "path": "/data/key", "value": "value"},
        {"op": "add", "path": "/data/new", "value": "x"},
        {"op": "remove", "path": "/data/key"},
    ]);
    assert_eq!(
        api.patch(&path, JSON, &patch).await.expect(200)["data"],
        json!({"new": "x"})
    );
    let message = api.patch(&path, JSON, &patch).await.refused(422, "Invalid");
    assert!(
        message.starts_with("the server rejected our request due to an error in our request"),
        "{message}"
    );
    api.patch(&path, JSON, &json!([{"op": "explode", "path": "/"}]))
        .await
        .refused(400, "BadRequest");
    api.patch(
        &path,
        JSON,
        &json!([{"op": "replace", "path": "", "value": 5}]),
    )
    .await
    .refused(400, "BadRequest");
    let many: Vec<_> = (0..10_001)
        .map(|_| json!({"op": "test", "path": "/kind", "value": "ConfigMap"}))
        .collect();
    api.patch(&path, JSON, &many.into())
        .await
        .refused(413, "RequestEntityTooLarge");
    assert_eq!(
        api.get(&path).await.expect(200)["data"],
        json!({"new": "x"})
    );
}

#[tokio::test]
async fn merge_patch_with_identity() {
    let api = Sandbox::start().await;
    let created = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let (uid, revision) = (
        &created["metadata"]["uid"],
        &created["metadata"]["resourceVersion"],
    );
    let body = json!({"metadata": {"uid": uid, "resourceVersion": revision}, "data": {"key": null, "n": "1"}});
    assert_eq!(
        api.patch(&path, MERGE, &body).await.expect(200)["data"],
        json!({"n": "1"})
    );
    api.patch(&path, MERGE, &body)
        .await
        .refused(409, "Conflict");
    let other = json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}});
    let message = api
        .patch(&path, MERGE, &other)
        .await
        .refused(422, "Invalid");
    assert_eq!(
        message,
        "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"00000000-0000-0000-0000-000000000000\": field is immutable"
    );
    api.patch(&path, MERGE, &json!([1]))
        .await
        .refused(400, "BadRequest");
    api.patch(&format!("{CONFIG_MAPS}/none"), MERGE, &json!({}))
        .await
        .refused(404, "NotFound");
    let rename = json!({"metadata": {"name": "b"}});
    api.patch(&path, MERGE, &rename)
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn strategic_merge_patch_is_for_built_in_kinds() {
    let api = with_widgets().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}],
        "tolerations": [{"key": "x"}]}});
    api.post(pods, &pod).await.expect(201);
    let patch = json!({"spec": {
        "containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "b", "$patch": "delete"}],
        "tolerations": [{"key": "y"}]}});
    let spec = api
        .patch(&format!("{pods}/p"), STRATEGIC, &patch)
        .await
        .expect(200)["spec"]
        .clone();
    assert_eq!(
        spec["containers"],
        json!([{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}])
    );
    assert_eq!(spec["tolerations"], json!([{"key": "y"}]));
    let broken = json!({"spec": {"containers": [{"image": "x"}]}});
    api.patch(&format!("{pods}/p"), STRATEGIC, &broken)
        .await
        .refused(400, "BadRequest");
    api.post(WIDGETS, &widget("w")).await.expect(201);
    api.patch(&format!("{WIDGETS}/w"), STRATEGIC, &json!({}))
        .await
        .refused(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn options_that_do_not_fit_are_refused() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    api.patch(&path, "application/json", &json!({}))
        .await
        .refused(415, "UnsupportedMediaType");
    api.patch(&format!("{path}?force=true"), MERGE, &json!({}))
        .await
        .refused(422, "Invalid");
    api.patch(&path, "application/apply-patch+yaml", &config_map("a"))
        .await
        .refused(422, "Invalid");
    let long = "m".repeat(200);
    api.patch(&format!("{path}?fieldManager={long}"), MERGE, &json!({}))
        .await
        .refused(422, "Invalid");
    api.patch(&format!("{path}?fieldValidation=Maybe"), MERGE, &json!({}))
        .await
        .refused(422, "Invalid");
}
