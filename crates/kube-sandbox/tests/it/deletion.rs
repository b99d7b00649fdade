//! Finalizers, owners, namespaces.

use kube_sandbox::Config;
use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, with_widgets};

fn held(name: &str) -> Value {
    let mut object = widget(name);
    object["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    object
}

fn owned(name: &str, owner: &Value, block: bool) -> Value {
    let mut object = config_map(name);
    object["metadata"]["ownerReferences"] = json!([reference(owner, block)]);
    object
}

fn reference(owner: &Value, block: bool) -> Value {
    json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": block})
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let api = with_widgets().await;
    api.post(WIDGETS, &held("w")).await.expect(201);
    let path = format!("{WIDGETS}/w");
    let mut watch = api.watch(&format!("{WIDGETS}?watch=true")).await;
    watch.next().await;
    let deleting = api.delete(&path, &json!({})).await.expect(200);
    assert_eq!(deleting["kind"], "Widget");
    assert!(deleting["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(deleting["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(deleting["metadata"]["generation"], 2);
    assert_eq!(watch.next().await.unwrap()["type"], "MODIFIED");
    assert_eq!(
        api.delete(&path, &json!({})).await.expect(200),
        deleting,
        "again: nothing new"
    );

    let message = api
        .merge(
            &path,
            &json!({"metadata": {"finalizers": ["example.com/a", "example.com/c"]}}),
        )
        .await
        .refused(422, "Invalid");
    assert!(message.contains("metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/c\"}"), "{message}");
    api.merge(&path, &json!({"metadata": {"deletionTimestamp": null}}))
        .await
        .expect(200);
    assert!(
        api.get(&path).await.expect(200)["metadata"]["deletionTimestamp"].is_string(),
        "deletion is one-way"
    );
    api.merge(
        &path,
        &json!({"metadata": {"finalizers": ["example.com/b"]}}),
    )
    .await
    .expect(200);
    assert_eq!(watch.next().await.unwrap()["type"], "MODIFIED");
    let last = api
        .merge(&path, &json!({"metadata": {"finalizers": null}}))
        .await
        .expect(200);
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(
        event["object"]["metadata"]["resourceVersion"],
        last["metadata"]["resourceVersion"]
    );
    api.get(&path).await.refused(404, "NotFound");
    // The name is free again, for another life.
    let again = api.post(WIDGETS, &widget("w")).await.expect(201);
    assert_ne!(again["metadata"]["uid"], deleting["metadata"]["uid"]);
}

#[tokio::test]
async fn preconditions() {
    let api = Sandbox::start().await;
    let created = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let uid = created["metadata"]["uid"].as_str().unwrap();
    let message = api
        .delete(&path, &json!({"preconditions": {"uid": "other"}}))
        .await
        .refused(409, "Conflict");
    assert_eq!(
        message,
        format!(
            "Operation cannot be fulfilled on configmaps \"a\": Precondition failed: UID in precondition: other, UID in object meta: {uid}"
        )
    );
    api.delete(&path, &json!({"preconditions": {"resourceVersion": "1"}}))
        .await
        .refused(409, "Conflict");
    let mut other = created.clone();
    other["metadata"]["uid"] = "other".into();
    api.put(&path, &other).await.refused(409, "Conflict");
    api.delete(&path, &json!({"propagationPolicy": "Sideways"}))
        .await
        .refused(422, "Invalid");
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}, "propagationPolicy": "Background"});
    api.delete(&path, &options).await.expect(200);
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let api = with_widgets().await;
    let one = api.post(WIDGETS, &widget("one")).await.expect(201);
    let two = api.post(WIDGETS, &widget("two")).await.expect(201);
    api.post(CONFIG_MAPS, &owned("only-one", &one, false))
        .await
        .expect(201);
    let mut both = owned("both", &one, false);
    both["metadata"]["ownerReferences"]
        .as_array_mut()
        .unwrap()
        .push(reference(&two, false));
    api.post(CONFIG_MAPS, &both).await.expect(201);
    api.delete(&format!("{WIDGETS}/one"), &json!({}))
        .await
        .expect(200);
    api.get(&format!("{CONFIG_MAPS}/only-one"))
        .await
        .refused(404, "NotFound");
    let left = api.get(&format!("{CONFIG_MAPS}/both")).await.expect(200);
    assert_eq!(
        left["metadata"]["ownerReferences"],
        json!([reference(&two, false)]),
        "the dangling reference is dropped"
    );
    api.delete(
        &format!("{WIDGETS}/two"),
        &json!({"propagationPolicy": "Orphan"}),
    )
    .await
    .expect(200);
    let orphan = api.get(&format!("{CONFIG_MAPS}/both")).await.expect(200);
    assert!(orphan["metadata"].get("ownerReferences").is_none());
    api.get(&format!("{WIDGETS}/two"))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn references_to_other_lives_and_other_namespaces_dangle() {
    let api = with_widgets().await;
    let owner = api.post(WIDGETS, &widget("w")).await.expect(201);
    let mut stranger = owner.clone();
    stranger["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    api.post(CONFIG_MAPS, &owned("wrong-uid", &stranger, false))
        .await
        .expect(201);
    api.get(&format!("{CONFIG_MAPS}/wrong-uid"))
        .await
        .refused(404, "NotFound");
    let elsewhere = "/api/v1/namespaces/kube-system/configmaps";
    api.post(elsewhere, &owned("elsewhere", &owner, false))
        .await
        .expect(201);
    api.get(&format!("{elsewhere}/elsewhere"))
        .await
        .refused(404, "NotFound");
    // Owners of kinds that aren't served can't be looked up: nothing is deleted on a guess.
    stranger["kind"] = "Unknown".into();
    api.post(CONFIG_MAPS, &owned("unknown-kind", &stranger, false))
        .await
        .expect(201);
    api.get(&format!("{CONFIG_MAPS}/unknown-kind"))
        .await
        .expect(200);
    // Cluster-scoped owners own everywhere.
    let node = api
        .post(
            "/api/v1/nodes",
            &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}),
        )
        .await
        .expect(201);
    api.post(CONFIG_MAPS, &owned("of-node", &node, false))
        .await
        .expect(201);
    api.get(&format!("{CONFIG_MAPS}/of-node")).await.expect(200);
    api.delete("/api/v1/nodes/n", &json!({})).await.expect(200);
    api.get(&format!("{CONFIG_MAPS}/of-node"))
        .await
        .refused(404, "NotFound");
    let incomplete = json!({"metadata": {"name": "x", "ownerReferences": [{"kind": "Widget"}]}});
    api.post(CONFIG_MAPS, &incomplete)
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn foreground_waits_for_blocking_dependents() {
    let api = with_widgets().await;
    let owner = api.post(WIDGETS, &widget("owner")).await.expect(201);
    let mut blocker = widget("blocker");
    blocker["metadata"]["ownerReferences"] = json!([reference(&owner, true)]);
    blocker["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(WIDGETS, &blocker).await.expect(201);
    api.post(CONFIG_MAPS, &owned("bystander", &owner, false))
        .await
        .expect(201);
    let deleting = api
        .delete(
            &format!("{WIDGETS}/owner"),
            &json!({"propagationPolicy": "Foreground"}),
        )
        .await
        .expect(200);
    assert_eq!(
        deleting["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    let blocker = api.get(&format!("{WIDGETS}/blocker")).await.expect(200);
    assert!(blocker["metadata"]["deletionTimestamp"].is_string());
    api.get(&format!("{CONFIG_MAPS}/bystander"))
        .await
        .expect(200);
    api.merge(
        &format!("{WIDGETS}/blocker"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await
    .expect(200);
    api.get(&format!("{WIDGETS}/owner"))
        .await
        .refused(404, "NotFound");
    api.get(&format!("{CONFIG_MAPS}/bystander"))
        .await
        .refused(404, "NotFound");
    // Without dependents it is immediate.
    api.post(WIDGETS, &widget("alone")).await.expect(201);
    api.delete(
        &format!("{WIDGETS}/alone?propagationPolicy=Foreground"),
        &json!({}),
    )
    .await
    .expect(200);
    api.get(&format!("{WIDGETS}/alone"))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn garbage_collection_can_be_switched_off() {
    let config = Config {
        garbage_collection: false,
        crds: vec![crate::support::widget_crd()],
        ..Config::default()
    };
    let api = Sandbox::with(config).await;
    let owner = api.post(WIDGETS, &widget("w")).await.expect(201);
    api.post(CONFIG_MAPS, &owned("c", &owner, true))
        .await
        .expect(201);
    api.delete(
        &format!("{WIDGETS}/w"),
        &json!({"propagationPolicy": "Foreground"}),
    )
    .await
    .expect(200);
    api.get(&format!("{WIDGETS}/w"))
        .await
        .refused(404, "NotFound");
    api.get(&format!("{CONFIG_MAPS}/c")).await.expect(200);
}

#[tokio::test]
async fn a_namespace_goes_with_its_content_and_says_what_holds_it() {
    let api = with_widgets().await;
    let created = api
        .post("/api/v1/namespaces", &json!({"metadata": {"name": "n"}}))
        .await
        .expect(201);
    assert_eq!(
        created["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "n"})
    );
    assert_eq!(
        (&created["spec"]["finalizers"], &created["status"]["phase"]),
        (&json!(["kubernetes"]), &json!("Active"))
    );
    let inside = |path: &str| path.replace("default", "n");
    api.post(&inside(CONFIG_MAPS), &config_map("c"))
        .await
        .expect(201);
    api.post(&inside(WIDGETS), &held("w")).await.expect(201);
    let deleting = api
        .delete("/api/v1/namespaces/n", &json!({}))
        .await
        .expect(200);
    assert_eq!(deleting["status"]["phase"], "Terminating");
    api.get(&format!("{}/c", inside(CONFIG_MAPS)))
        .await
        .refused(404, "NotFound");
    let answer = api.post(&inside(CONFIG_MAPS), &config_map("late")).await;
    assert_eq!(
        answer.body["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    assert_eq!(
        answer.refused(403, "Forbidden"),
        "configmaps \"late\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    let namespace = api.get("/api/v1/namespaces/n").await.expect(200);
    let text = namespace["status"]["conditions"].to_string();
    assert!(
        text.contains("widgets.example.com has 1 resource instances"),
        "{text}"
    );
    assert!(
        text.contains("example.com/a in 1 resource instances"),
        "{text}"
    );
    api.merge(
        &format!("{}/w", inside(WIDGETS)),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await
    .expect(200);
    api.get("/api/v1/namespaces/n")
        .await
        .refused(404, "NotFound");
    api.delete("/api/v1/namespaces/default", &json!({}))
        .await
        .refused(403, "Forbidden");
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let api = Sandbox::start().await;
    for (name, app) in [("a", "web"), ("b", "web"), ("c", "db")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"app": app});
        api.post(CONFIG_MAPS, &object).await.expect(201);
    }
    let deleted = api
        .delete(
            &format!("{CONFIG_MAPS}?labelSelector=app%3Dweb"),
            &json!({}),
        )
        .await
        .expect(200);
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    let left = api.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(left["items"][0]["metadata"]["name"], "c");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}
