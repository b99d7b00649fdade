//! The simulator on a sandbox, seen through the Kubernetes API.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

use std::time::Duration;

use hypershift_simulator::{Config, DEGRADE_ANNOTATION, Service};
use kube_access::{Apply, Client, Delete, Patch, Resource, Write};
use serde_json::{Value, json};
use testkit::eventually;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    client: Client,
    resource: Resource,
    stop: CancellationToken,
}

impl Cluster {
    async fn start() -> Self {
        service_runtime_provider();
        let config = kube_sandbox::Config {
            crds: vec![
                hypershift::crd::hosted_cluster(),
                hypershift::crd::node_pool(),
            ],
            admission: vec![hypershift_simulator::admission()],
            ..kube_sandbox::Config::default()
        };
        let sandbox = kube_sandbox::Service::bind(config).await.unwrap();
        let client = Client::from_url(&sandbox.url()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.run(stop.clone()));
        let namespaces = client.resolve("v1", "Namespace").await.unwrap();
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clusters"}});
        client
            .apply(
                &namespaces,
                None,
                "clusters",
                &namespace,
                &Apply::new("test"),
            )
            .await
            .unwrap();
        let resource = client
            .resolve("hypershift.openshift.io/v1beta1", "HostedCluster")
            .await
            .unwrap();
        Self {
            client,
            resource,
            stop,
        }
    }

    fn simulate(&self) -> CancellationToken {
        let stop = self.stop.child_token();
        let (client, token) = (self.client.clone(), stop.clone());
        tokio::spawn(async move {
            let config = Config {
                time_scale: 2000.0,
                ..Config::default()
            };
            Service::bind(config, client)
                .await
                .unwrap()
                .run(token)
                .await
                .unwrap();
        });
        stop
    }

    async fn apply(&self, object: &Value) -> Result<Value, kube_access::Error> {
        self.client
            .apply(
                &self.resource,
                Some("clusters"),
                "c",
                object,
                &Apply::new("work-agent"),
            )
            .await
    }

    async fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, async || {
            self.client
                .find(&self.resource, Some("clusters"), "c")
                .await
                .ok()
                .flatten()
                .filter(|o| is(o))
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn service_runtime_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn hosted_cluster(version: &str) -> Value {
    let account = |name: &str| format!("{name}@acme-clusters.iam.gserviceaccount.com");
    let services = ["APIServer", "OAuthServer", "Konnectivity", "Ignition"]
        .map(|service| json!({"service": service, "servicePublishingStrategy": {"type": "Route"}}));
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": "c", "namespace": "clusters", "annotations": {"hypershift.openshift.io/cleanup-cloud-resources": "true"}},
        "spec": {
            "clusterID": "0198f3a2-6c1e-7b44-9d0a-3f5e8c1b2a77", "infraID": "hf-0198f3a2",
            "release": {"image": format!("quay.io/openshift-release-dev/ocp-release:{version}-multi")},
            "controllerAvailabilityPolicy": "HighlyAvailable", "infrastructureAvailabilityPolicy": "SingleReplica",
            "platform": {"type": "GCP", "gcp": {
                "project": "acme-clusters", "region": "us-central1", "endpointAccess": "Private",
                "networkConfig": {"network": {"name": "vpc"}, "privateServiceConnectSubnet": {"name": "psc"}},
                "workloadIdentity": {
                    "projectNumber": "123456789012", "poolID": "my-pool", "providerID": "my-provider",
                    "serviceAccountsEmails": {
                        "controlPlane": account("controlplane"), "nodePool": account("nodepool"),
                        "cloudController": account("cloudcontroller"), "storage": account("storage"),
                        "imageRegistry": account("imageregistry"), "network": account("network"),
                    },
                },
                "resourceLabels": [{"key": "managed-by", "value": "hyperfleet"}],
            }},
            "networking": {"networkType": "OVNKubernetes", "clusterNetwork": [{"cidr": "10.132.0.0/14"}], "serviceNetwork": [{"cidr": "172.31.0.0/16"}]},
            "dns": {"baseDomain": "example.com"},
            "etcd": {"managementType": "Managed", "managed": {"storage": {"type": "PersistentVolume", "persistentVolume": {"size": "8Gi"}}}},
            "services": services,
            "pullSecret": {"name": "pull-secret"}, "issuerURL": "https://issuer.example.com/c",
            "serviceAccountSigningKey": {"name": "signing-key"},
            "configuration": {"featureGate": {"featureSet": "TechPreviewNoUpgrade"}},
        },
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let list = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .find(|c| c["type"] == kind)
        .and_then(|c| c["status"].as_str())
        .unwrap_or_default()
}

fn completed(object: &Value, version: &str) -> bool {
    object
        .pointer("/status/version/history/0")
        .is_some_and(|h| h["version"] == version && h["state"] == "Completed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosted_cluster_lives_its_whole_life_over_restarts_of_the_simulator() {
    let cluster = Cluster::start().await;
    cluster.apply(&hosted_cluster("4.22.3")).await.unwrap();
    let simulator = cluster.simulate();
    cluster
        .wait("the finalizer", |o| {
            !kube_access::object::finalizers(o).is_empty()
        })
        .await;
    simulator.cancel();
    let simulator = cluster.simulate();
    cluster
        .wait("Available=True", |o| {
            condition(o, "Available") == "True" && completed(o, "4.22.3")
        })
        .await;

    cluster.apply(&hosted_cluster("4.22.5")).await.unwrap();
    simulator.cancel();
    cluster.simulate();
    cluster
        .wait("the upgrade", |o| completed(o, "4.22.5"))
        .await;

    let write = Write::default();
    let annotate = |value: Value| {
        Patch::Merge(json!({"metadata": {"annotations": {DEGRADE_ANNOTATION: value}}}))
    };
    let patch = annotate(json!("D1"));
    cluster
        .client
        .patch(&cluster.resource, Some("clusters"), "c", &patch, &write)
        .await
        .unwrap();
    cluster
        .wait("Degraded=True", |o| condition(o, "Degraded") == "True")
        .await;
    let patch = annotate(Value::Null);
    cluster
        .client
        .patch(&cluster.resource, Some("clusters"), "c", &patch, &write)
        .await
        .unwrap();
    cluster
        .wait("Degraded=False", |o| condition(o, "Degraded") == "False")
        .await;

    cluster
        .client
        .delete(&cluster.resource, Some("clusters"), "c", &Delete::default())
        .await
        .unwrap();
    eventually("the HostedCluster to be gone", PATIENCE, async || {
        let found = cluster
            .client
            .find(&cluster.resource, Some("clusters"), "c")
            .await
            .ok()?;
        found.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_refuses_what_the_crd_and_the_webhooks_would_refuse() {
    let cluster = Cluster::start().await;
    let mut invalid = hosted_cluster("4.22.3");
    invalid["spec"]["platform"]["gcp"]["workloadIdentity"]["projectNumber"] = json!("not-a-number");
    invalid["spec"]["platform"]["gcp"]["region"] = json!("US");
    let refused = cluster.apply(&invalid).await.unwrap_err();
    let fields: Vec<&str> = refused.causes().iter().map(|c| c.field.as_str()).collect();
    assert!(
        fields.iter().any(|f| f.contains("projectNumber")),
        "{refused}: {fields:?}"
    );

    cluster.apply(&hosted_cluster("4.22.3")).await.unwrap();
    let mut moved = hosted_cluster("4.22.3");
    moved["spec"]["platform"]["gcp"]["region"] = json!("us-east4");
    let refused = cluster.apply(&moved).await.unwrap_err().to_string();
    assert!(refused.contains("region"), "{refused}");
}
