use serde_json::json;

use super::*;

fn owner() -> Owner {
    Owner {
        name: "h-w".into(),
        uid: "amw".into(),
    }
}

fn live(mut object: Value) -> Value {
    let metadata = object::metadata_mut(&mut object).unwrap();
    metadata.insert("uid".into(), json!("u"));
    metadata.insert("resourceVersion".into(), json!("5"));
    metadata.insert("ownerReferences".into(), json!([owner().reference()]));
    object
}

fn exact(required: &Value, live: &Value) -> Plan {
    plan(required, live, Ownership::Own(&owner()), Compare::Exact).unwrap()
}

fn replaced(plan: Plan) -> Value {
    match plan {
        Plan::Replace(object) => object,
        other => unreachable!("{other:?}"),
    }
}

fn cluster(spec: Value) -> Value {
    json!({"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec})
}

#[test]
fn equal_spec_and_metadata_send_nothing() {
    let required = cluster(json!({"a": 1}));
    assert_eq!(exact(&required, &live(required.clone())), Plan::Unchanged);
}

#[test]
fn status_is_no_difference_and_is_kept() {
    let required = cluster(json!({"a": 1}));
    let mut have = live(required.clone());
    have["status"] = json!({"ready": true});
    assert_eq!(exact(&required, &have), Plan::Unchanged);
    have["spec"] = json!({"a": 2});
    let sent = replaced(exact(&required, &have));
    assert_eq!(sent["status"], json!({"ready": true}));
    assert_eq!(sent["spec"], json!({"a": 1}));
    assert_eq!(sent["metadata"]["resourceVersion"], "5");
}

#[test]
fn labels_merge_and_finalizers_stay() {
    let mut required = cluster(json!({}));
    required["metadata"]["labels"] = json!({"c": "d", "gone-": ""});
    required["metadata"]["finalizers"] = json!(["foo1"]);
    let mut have = live(cluster(json!({})));
    have["metadata"]["labels"] = json!({"a": "b", "gone": "x"});
    have["metadata"]["finalizers"] = json!(["foo"]);
    let sent = replaced(exact(&required, &have));
    assert_eq!(sent["metadata"]["labels"], json!({"a": "b", "c": "d"}));
    assert_eq!(sent["metadata"]["finalizers"], json!(["foo"]));
    required["metadata"]["labels"] = json!({});
    assert_eq!(exact(&required, &have), Plan::Unchanged);
}

#[test]
fn drift_leaves_additions_of_others_alone() {
    let required = cluster(json!({"a": 1, "list": [{"n": 1}]}));
    let have = live(cluster(
        json!({"a": 1, "b": "defaulted", "list": [{"n": 1, "m": 2}]}),
    ));
    let drift =
        |have: &Value| plan(&required, have, Ownership::Own(&owner()), Compare::Required).unwrap();
    assert_eq!(drift(&have), Plan::Unchanged);
    assert!(matches!(exact(&required, &have), Plan::Replace(_)));
    let mut changed = have;
    changed["spec"]["a"] = json!(7);
    assert!(matches!(drift(&changed), Plan::Replace(_)));
}

#[test]
fn the_owner_is_added_and_removed() {
    let required = cluster(json!({}));
    let mut have = live(required.clone());
    let disown = plan(
        &required,
        &have,
        Ownership::Disown(&owner()),
        Compare::Exact,
    )
    .unwrap();
    assert_eq!(replaced(disown)["metadata"]["ownerReferences"], json!([]));
    have["metadata"]["ownerReferences"] = json!([]);
    let sent = replaced(exact(&required, &have));
    assert_eq!(
        sent["metadata"]["ownerReferences"],
        json!([owner().reference()])
    );
}

#[test]
fn creation_drops_what_only_asks_for_removal() {
    let required = json!({"metadata": {"name": "x", "uid": "u", "resourceVersion": "1", "ownerReferences": [{"uid": "z"}],
                                       "labels": {"a": "b", "c-": ""}, "annotations": {"d-": ""}}});
    let made = for_creation(&required, Ownership::Own(&owner()));
    assert_eq!(
        made["metadata"],
        json!({"name": "x", "labels": {"a": "b"}, "annotations": {}, "ownerReferences": [owner().reference()]})
    );
    let made = for_creation(&required, Ownership::Disown(&owner()));
    assert_eq!(made["metadata"].get("ownerReferences"), None);
}

fn typed(api_version: &str, kind: &str, rest: Value) -> Value {
    let mut object = rest;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "x", "namespace": "n"});
    object
}

#[test]
fn namespaces_and_pods_only_merge_metadata() {
    let required = typed("v1", "Pod", json!({"spec": {"image": "new"}}));
    let have = live(typed("v1", "Pod", json!({"spec": {"image": "old"}})));
    assert_eq!(exact(&required, &have), Plan::Unchanged);
}

#[test]
fn config_maps_are_replaced_as_a_whole_except_for_injected_keys() {
    let mut required = typed("v1", "ConfigMap", json!({"data": {"a": "1"}}));
    let have = live(typed(
        "v1",
        "ConfigMap",
        json!({"data": {"a": "1", "ca-bundle.crt": "PEM"}}),
    ));
    assert_eq!(replaced(exact(&required, &have))["data"], json!({"a": "1"}));
    required["metadata"]["labels"] = json!({"config.openshift.io/inject-trusted-cabundle": "true"});
    let mut have = have;
    have["metadata"]["labels"] = required["metadata"]["labels"].clone();
    assert_eq!(exact(&required, &have), Plan::Unchanged);
}

#[test]
fn secrets_fold_text_and_are_made_anew_for_another_type() {
    let required = typed("v1", "Secret", json!({"stringData": {"a": "hi"}}));
    let have = live(typed(
        "v1",
        "Secret",
        json!({"type": "Opaque", "data": {"a": "aGk="}}),
    ));
    assert_eq!(exact(&required, &have), Plan::Unchanged);
    let other = live(typed(
        "v1",
        "Secret",
        json!({"type": "kubernetes.io/tls", "data": {"a": "aGk="}}),
    ));
    assert!(matches!(exact(&required, &other), Plan::Recreate(_)));
    let both = typed(
        "v1",
        "Secret",
        json!({"stringData": {"a": "hi"}, "data": {"a": "aGk="}}),
    );
    let error = plan(&both, &have, Ownership::Own(&owner()), Compare::Exact).unwrap_err();
    assert!(error.contains("stringData[a]"), "{error}");
}

#[test]
fn service_account_tokens_keep_the_keys_of_the_controller() {
    let token = "kubernetes.io/service-account-token";
    let required = typed("v1", "Secret", json!({"type": token}));
    let have = live(typed(
        "v1",
        "Secret",
        json!({"type": token, "data": {"token": "dA=="}}),
    ));
    assert_eq!(exact(&required, &have), Plan::Unchanged);
}

#[test]
fn services_keep_what_the_server_allots() {
    let required = typed(
        "v1",
        "Service",
        json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]}}),
    );
    let mut have = live(typed(
        "v1",
        "Service",
        json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"a": "b"}, "ports": [{"port": 1, "protocol": "TCP"}]}}),
    ));
    assert_eq!(exact(&required, &have), Plan::Unchanged);
    have["spec"]["selector"] = json!({"a": "c"});
    let sent = replaced(exact(&required, &have));
    assert_eq!(sent["spec"]["clusterIP"], "10.0.0.1");
    assert_eq!(sent["spec"]["selector"], json!({"a": "b"}));
}

#[test]
fn bindings_compare_after_defaulting() {
    let rbac = "rbac.authorization.k8s.io/v1";
    let required = typed(
        rbac,
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]}),
    );
    let group = "rbac.authorization.k8s.io";
    let have = live(typed(
        rbac,
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r", "apiGroup": group}, "subjects": [{"kind": "User", "name": "u", "apiGroup": group}]}),
    ));
    assert_eq!(exact(&required, &have), Plan::Unchanged);
}
