//! hypershift's CRDs on an API server: they take what the rules take, and every status that a timeline writes.

use hypershift::timeline::{self, CreationFault, Deletion, Parameters, Step, Upgrade};
use hypershift::validate::{self, Mode};
use hypershift::{crd, example, names};
use kube_access::{Client, Patch, Resource, Write};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "clusters";

struct Cluster {
    client: Client,
    resource: Resource,
    shutdown: CancellationToken,
}

async fn start() -> Cluster {
    let config = kube_sandbox::Config {
        crds: vec![crd::hosted_cluster(), crd::node_pool()],
        validate_schemas: true,
        ..kube_sandbox::Config::default()
    };
    service_runtime::install_crypto_provider();
    let service = kube_sandbox::Service::bind(config).await.unwrap();
    let client = Client::from_url(&service.url()).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(service.run(shutdown.clone()));
    let namespaces = client.resolve("v1", "Namespace").await.unwrap();
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    client
        .create(&namespaces, None, &namespace, &Write::default())
        .await
        .unwrap();
    let resource = client
        .resolve(names::API_VERSION, names::HOSTED_CLUSTER)
        .await
        .unwrap();
    assert!(resource.has_subresource("status"));
    Cluster {
        client,
        resource,
        shutdown,
    }
}

impl Cluster {
    async fn create(&self, object: &Value) -> Result<Value, kube_access::Error> {
        self.client
            .create(&self.resource, Some(NAMESPACE), object, &Write::default())
            .await
    }

    /// Writes the status after each step, and expects that nothing of it is refused or dropped.
    async fn walk(&self, name: &str, steps: &[Step], status: &mut Value, deleting: bool) {
        for step in steps {
            step.patch
                .apply(status, jiff::Timestamp::now(), 1, deleting);
            if step.patch.is_empty() {
                continue;
            }
            let patch = Patch::Merge(json!({"status": status}));
            let stored = self
                .client
                .patch_status(
                    &self.resource,
                    Some(NAMESPACE),
                    name,
                    &patch,
                    &Write::default(),
                )
                .await;
            let stored = stored.unwrap_or_else(|error| panic!("{}: {error}", step.id));
            for member in [
                "conditions",
                "controlPlaneEndpoint",
                "controlPlaneVersion",
                "kubeconfig",
                "payloadArch",
            ] {
                assert_eq!(
                    stored["status"].get(member),
                    status.get(member),
                    "{}: {member}",
                    step.id
                );
            }
        }
    }
}

#[tokio::test]
async fn what_keeps_the_rules_is_admitted_with_its_defaults() {
    let cluster = start().await;
    let mut object = example::hosted_cluster("demo");
    for member in ["etcd", "networking", "controllerAvailabilityPolicy"] {
        object["spec"].as_object_mut().unwrap().remove(member);
    }
    object["spec"]["platform"]["gcp"]
        .as_object_mut()
        .unwrap()
        .remove("endpointAccess");
    let stored = cluster.create(&object).await.unwrap();
    assert_eq!(
        stored["spec"]["etcd"]["managed"]["storage"]["persistentVolume"]["size"],
        "8Gi"
    );
    assert_eq!(
        stored["spec"]["networking"]["clusterNetwork"],
        json!([{"cidr": "10.132.0.0/14"}])
    );
    assert_eq!(
        stored["spec"]["controllerAvailabilityPolicy"],
        "HighlyAvailable"
    );
    assert_eq!(
        stored["spec"]["platform"]["gcp"]["endpointAccess"],
        "Private"
    );
    assert_eq!(
        stored["spec"]["configuration"]["featureGate"]["featureSet"],
        "TechPreviewNoUpgrade"
    );
    cluster.shutdown.cancel();
}

#[tokio::test]
async fn what_the_validator_calls_structural_the_schema_refuses_at_the_same_path() {
    let cluster = start().await;
    let gcp = "/spec/platform/gcp";
    let cases = [
        ("/spec/services".to_owned(), Value::Null),
        ("/spec/pullSecret".to_owned(), Value::Null),
        ("/spec/release/image".to_owned(), json!("")),
        (format!("{gcp}/project"), json!("short")),
        (format!("{gcp}/region"), Value::Null),
        (format!("{gcp}/endpointAccess"), json!("Public")),
        (format!("{gcp}/networkConfig/network/name"), json!("")),
        (format!("{gcp}/workloadIdentity/projectNumber"), json!(5)),
        (format!("{gcp}/workloadIdentity/poolID"), json!("abc")),
        (
            format!("{gcp}/workloadIdentity/serviceAccountsEmails/storage"),
            Value::Null,
        ),
        ("/spec/dns/publicZoneID".to_owned(), json!("")),
        ("/spec/clusterID".to_owned(), json!("x")),
        ("/spec/networking/networkType".to_owned(), json!("Flannel")),
        ("/spec/networking/machineNetwork".to_owned(), json!([])),
        ("/spec/etcd/managementType".to_owned(), json!("Magic")),
        ("/spec/services/0/service".to_owned(), json!("Api")),
        ("/spec/secretEncryption/type".to_owned(), json!("rot13")),
        (
            "/spec/capabilities".to_owned(),
            json!({"disabled": ["Toaster"]}),
        ),
        ("/spec/pausedUntil".to_owned(), json!("no")),
    ];
    for (pointer, value) in cases {
        let mut object = example::hosted_cluster("demo");
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match (object.pointer_mut(parent).unwrap(), value) {
            (Value::Object(members), Value::Null) => drop(members.remove(last)),
            (Value::Object(members), value) => drop(members.insert(last.to_owned(), value)),
            (other, _) => panic!("{pointer} leads into {other}"),
        }
        let ours = validate::host_cluster(&object, Mode::Admission);
        let error = cluster.create(&object).await.expect_err(&pointer);
        let paths: Vec<&str> = error
            .causes()
            .iter()
            .map(|cause| cause.field.as_str())
            .collect();
        for violation in ours
            .iter()
            .filter(|violation| violation.rule.starts_with('S'))
        {
            assert!(
                paths.contains(&violation.path.as_str()),
                "{pointer}: ours {violation}, theirs {error}"
            );
        }
        assert!(
            !ours.is_empty(),
            "{pointer}: only the schema refuses it: {error}"
        );
    }
    cluster.shutdown.cancel();
}

#[tokio::test]
async fn every_status_of_every_timeline_is_accepted() {
    let cluster = start().await;
    let object = cluster
        .create(&example::hosted_cluster("demo"))
        .await
        .unwrap();
    let parameters = Parameters::of(&object, jiff::Timestamp::now(), 1.0);
    let mut status = Value::Null;
    cluster
        .walk(
            "demo",
            &timeline::creation(&parameters, CreationFault::None),
            &mut status,
            false,
        )
        .await;
    cluster
        .walk(
            "demo",
            &timeline::degradation(&parameters),
            &mut status,
            false,
        )
        .await;
    let upgrade = timeline::upgrade(&parameters, &status.clone(), &Upgrade::Proceeds);
    cluster.walk("demo", &upgrade, &mut status, false).await;
    for verdict in [
        Upgrade::NotUpgradeable,
        Upgrade::InvalidRelease("no".into()),
    ] {
        cluster
            .walk(
                "demo",
                &timeline::upgrade(&parameters, &status.clone(), &verdict),
                &mut status,
                false,
            )
            .await;
    }
    for how in [
        Deletion::Clean,
        Deletion::StuckBucket,
        Deletion::CleanupSkipped,
        Deletion::CleanupTimedOut,
    ] {
        let grace = Some(std::time::Duration::from_secs(60));
        cluster
            .walk(
                "demo",
                &timeline::deletion(&parameters, how, grace, true),
                &mut status,
                true,
            )
            .await;
    }
    cluster.shutdown.cancel();
}

#[tokio::test]
async fn node_pools_have_a_schema_too() {
    let cluster = start().await;
    let resource = cluster
        .client
        .resolve(names::API_VERSION, names::NODE_POOL)
        .await
        .unwrap();
    let mut pool = json!({
        "apiVersion": names::API_VERSION, "kind": names::NODE_POOL, "metadata": {"name": "p", "namespace": NAMESPACE},
        "spec": {
            "clusterName": "demo", "replicas": 2, "release": {"image": "quay.io/ocp:4.22.3-multi"},
            "management": {"upgradeType": "Replace"},
            "platform": {"type": "GCP", "gcp": {"machineType": "n2-standard-4", "zone": "us-central1-a", "subnet": "s"}},
        },
    });
    let create = async |pool: &Value| {
        cluster
            .client
            .create(&resource, Some(NAMESPACE), pool, &Write::default())
            .await
    };
    let stored = create(&pool).await.unwrap();
    assert_eq!(stored["spec"]["arch"], "amd64");
    pool["metadata"]["name"] = json!("q");
    pool["spec"]["platform"]["gcp"]["zone"] = json!("Mars");
    assert!(create(&pool).await.is_err());
    cluster.shutdown.cancel();
}
