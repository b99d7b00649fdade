//! The same through kube-rs, with its typed and dynamic APIs, discovery and watcher.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Discovery};
use kube::runtime::watcher;
use serde_json::json;

use crate::support::{Sandbox, with_widgets};

async fn client(api: &Sandbox) -> kube::Client {
    client_of(&api.kubeconfig).await
}

async fn client_of(kubeconfig: &str) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn typed_objects() {
    let sandbox = Sandbox::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&sandbox).await);
    let body: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).unwrap();
    let created = maps.create(&PostParams::default(), &body).await.unwrap();
    assert!(created.metadata.uid.is_some());
    let applied = maps
        .patch("a", &PatchParams::apply("tests").force(), &Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "w"}})))
        .await
        .unwrap();
    assert_eq!(applied.data.unwrap()["k"], "w");
    assert_eq!(
        maps.list(&ListParams::default().limit(500))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        maps.list_metadata(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    match maps.get("b").await {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (404, "NotFound"))
        }
        other => panic!("{other:?}"),
    }
    assert!(
        maps.delete("a", &DeleteParams::background())
            .await
            .unwrap()
            .is_right()
    );
}

#[tokio::test]
async fn discovery_and_dynamic_objects() {
    let sandbox = with_widgets().await;
    let client = client(&sandbox).await;
    for run in [
        Discovery::new(client.clone()).run().await,
        Discovery::new(client.clone()).run_aggregated().await,
    ] {
        let found = run.unwrap();
        let (resource, capabilities) = found
            .resolve_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"))
            .unwrap();
        assert_eq!(resource.plural, "widgets");
        assert!(capabilities.supports_operation(discovery::verbs::WATCH));
        assert!(found.groups().any(|group| group.name() == "apps"));
    }
    let (resource, _) = discovery::pinned_kind(
        &client,
        &GroupVersionKind::gvk("example.com", "v1", "Widget"),
    )
    .await
    .unwrap();
    let widgets: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 2}});
    widgets
        .patch("w", &PatchParams::apply("tests"), &Patch::Apply(&body))
        .await
        .unwrap();
    let status = json!({"status": {"phase": "Ready"}});
    let after = widgets
        .patch_status("w", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    assert_eq!(after.data["status"]["phase"], "Ready");
    let scale = widgets.get_scale("w").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(2));
}

#[tokio::test]
async fn watchers_in_both_modes() {
    let sandbox = Sandbox::start().await;
    let client = client(&sandbox).await;
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut events = watcher(namespaces.clone(), config).boxed();
        let mut initial = Vec::new();
        loop {
            match events.try_next().await.unwrap().unwrap() {
                watcher::Event::InitApply(namespace) => {
                    initial.push(namespace.metadata.name.unwrap())
                }
                watcher::Event::InitDone => break,
                watcher::Event::Init => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            initial,
            ["default", "kube-node-lease", "kube-public", "kube-system"]
        );
        let body: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        namespaces
            .create(&PostParams::default(), &body)
            .await
            .unwrap();
        match events.try_next().await.unwrap().unwrap() {
            watcher::Event::Apply(namespace) => {
                assert_eq!(namespace.metadata.name.as_deref(), Some("n"))
            }
            other => panic!("{other:?}"),
        }
        namespaces
            .delete("n", &DeleteParams::default())
            .await
            .unwrap();
        loop {
            match events.try_next().await.unwrap().unwrap() {
                watcher::Event::Delete(_) => break,
                watcher::Event::Apply(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_kubeconfig_can_act_as_somebody() {
    let config = kube_sandbox::Config {
        rbac: true,
        ..Default::default()
    };
    let sandbox = Sandbox::with(config).await;
    let namespaces: Api<Namespace> = Api::all(client_of(&sandbox.kubeconfig_as).await);
    match namespaces.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"))
        }
        other => panic!("{other:?}"),
    }
}
