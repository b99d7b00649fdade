//! Verbs, discovery and errors.

use kube_access::{Apply, Client, Delete, Error, Kubeconfig, List, Patch, Write, object};
use serde_json::json;
use testkit::eventually;

use crate::{PATIENCE, Sandbox, config_map};

#[tokio::test]
async fn an_object_from_creation_to_deletion() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    assert_eq!(
        (maps.plural.as_str(), maps.namespaced),
        ("configmaps", true)
    );
    let ns = Some("default");
    let made = client
        .create(
            &maps,
            ns,
            &config_map("a", json!({"k": "1"})),
            &Write::default(),
        )
        .await
        .unwrap();
    let again = client
        .create(&maps, ns, &config_map("a", json!({})), &Write::default())
        .await;
    assert!(matches!(again, Err(Error::AlreadyExists(_))), "{again:?}");
    let mut changed = made.clone();
    changed["data"]["k"] = json!("2");
    let changed = client
        .replace(&maps, ns, "a", &changed, &Write::default())
        .await
        .unwrap();
    assert_eq!(changed["data"]["k"], "2");
    let stale = client
        .replace(&maps, ns, "a", &made, &Write::default())
        .await
        .unwrap_err();
    assert!(stale.is_conflict() && stale.is_retryable(), "{stale}");
    let patch = Patch::Merge(json!({"data": {"l": "3"}}));
    client
        .patch(&maps, ns, "a", &patch, &Write::default())
        .await
        .unwrap();
    let patch = Patch::Json(json!([{"op": "remove", "path": "/data/k"}]));
    client
        .patch(&maps, ns, "a", &patch, &Write::default())
        .await
        .unwrap();
    let live = client.get(&maps, ns, "a").await.unwrap();
    assert_eq!(live["data"], json!({"l": "3"}));
    let other_life = client
        .delete(&maps, ns, "a", &Delete::background_of("another"))
        .await;
    assert!(other_life.unwrap_err().is_conflict());
    let uid = object::uid(&live).unwrap();
    client
        .delete(&maps, ns, "a", &Delete::background_of(uid))
        .await
        .unwrap();
    assert!(client.find(&maps, ns, "a").await.unwrap().is_none());
    let missing = client.get(&maps, ns, "a").await.unwrap_err();
    assert!(missing.is_not_found());
    assert_eq!(missing.to_string(), "configmaps \"a\" not found");
}

#[tokio::test]
async fn server_side_apply_conflicts_name_their_manager() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    let apply = |value: &str, options: Apply| {
        let (client, maps) = (client.clone(), maps.clone());
        let object = config_map("a", json!({"k": value}));
        async move {
            client
                .apply(&maps, Some("default"), "a", &object, &options)
                .await
        }
    };
    apply("1", Apply::new("first")).await.unwrap();
    let conflict = apply("2", Apply::new("second")).await.unwrap_err();
    let fields = conflict.field_conflicts();
    assert_eq!(fields.len(), 1);
    assert_eq!(
        (fields[0].manager.as_str(), fields[0].field.as_str()),
        ("first", ".data.k")
    );
    let forced = apply("2", Apply::new("second").forced()).await.unwrap();
    assert_eq!(forced["data"]["k"], "2");
}

#[tokio::test]
async fn lists_page_by_page_and_by_selector() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let maps = client.resolve("v1", "ConfigMap").await.unwrap();
    for number in 0..7 {
        let mut object = config_map(&format!("a{number}"), json!({}));
        object["metadata"]["labels"] = json!({"odd": (number % 2 == 1).to_string()});
        client
            .create(&maps, Some("default"), &object, &Write::default())
            .await
            .unwrap();
    }
    let options = List {
        limit: 3,
        ..List::default()
    };
    let page = client.list(&maps, Some("default"), &options).await.unwrap();
    assert_eq!(page.items.len(), 3);
    assert!(page.continue_token.is_some());
    let all = client
        .list_all(&maps, Some("default"), &options)
        .await
        .unwrap();
    assert_eq!(all.items.len(), 7);
    assert!(
        all.items
            .iter()
            .all(|item| object::kind(item) == Some("ConfigMap"))
    );
    let odd = client
        .list_all(&maps, None, &List::labelled("odd=true"))
        .await
        .unwrap();
    assert_eq!(odd.items.len(), 3);
}

#[tokio::test]
async fn kinds_that_appear_later_are_found() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.client().await;
    let missing = client.resolve("test.io/v1", "Thing").await.unwrap_err();
    assert!(missing.is_no_such_kind());
    assert_eq!(
        missing.to_string(),
        "the server doesn't have a resource type \"Thing\""
    );
    assert!(
        client
            .resolve_plural("test.io", "things")
            .await
            .unwrap_err()
            .is_no_such_kind()
    );
    let definitions = client
        .resolve("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        .await
        .unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.io"},
        "spec": {"group": "test.io", "scope": "Cluster",
                 "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
                 "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                               "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    client
        .create(&definitions, None, &definition, &Write::default())
        .await
        .unwrap();
    let things = eventually("the kind is served", PATIENCE, async || {
        client.resolve("test.io/v1", "Thing").await.ok()
    })
    .await;
    assert!(!things.namespaced && things.has_subresource("status"));
    assert_eq!(
        client.resolve_plural("test.io", "things").await.unwrap(),
        things
    );
    let thing = json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "status": {"ignored": true}});
    client
        .create(&things, None, &thing, &Write::default())
        .await
        .unwrap();
    let patch = Patch::Merge(json!({"status": {"ready": true}}));
    let live = client
        .patch_status(&things, None, "t", &patch, &Write::default())
        .await
        .unwrap();
    assert_eq!(live["status"], json!({"ready": true}));
}

#[tokio::test]
async fn the_token_of_the_kubeconfig_is_sent() {
    let config = kube_sandbox::Config {
        bearer_token: Some("secret".into()),
        ..kube_sandbox::Config::default()
    };
    let sandbox = Sandbox::start_with(config).await;
    assert!(
        sandbox
            .client()
            .await
            .resolve("v1", "ConfigMap")
            .await
            .is_ok()
    );
    let anonymous = Client::from_url(&format!("http://{}", sandbox.address)).unwrap();
    let refused = anonymous.resolve("v1", "ConfigMap").await.unwrap_err();
    assert!(matches!(refused, Error::Unauthorized(_)), "{refused:?}");
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_says_why() {
    let text = |text: &str| Kubeconfig::Text(text.to_owned());
    let error = |source, context: Option<&'static str>| async move {
        Client::from_kubeconfig(source, context)
            .await
            .unwrap_err()
            .to_string()
    };
    let missing = error(Kubeconfig::Path("/no/such/kubeconfig".into()), None).await;
    assert!(missing.contains("/no/such/kubeconfig"), "{missing}");
    assert!(error(text("a: [b"), None).await.starts_with("kubeconfig: "));
    let sandbox = Sandbox::start().await;
    let context = error(text(&sandbox.kubeconfig), Some("elsewhere")).await;
    assert!(context.contains("elsewhere"), "{context}");
    let debug = format!("{:?}", text("token: secret"));
    assert!(!debug.contains("secret"), "{debug}");
}
