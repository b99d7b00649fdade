//! Running a shipped task config in memory.

use std::path::{Path, PathBuf};

use hyperfleet_adapter::dry_run::{Answers, Discovery, Input, dry_run};
use hyperfleet_adapter::{Loaded, Loader, Source};
use hypershift::timeline::{self, CreationFault, Parameters};
use serde_json::{Value, json};

pub const CLUSTER: &str = "0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88";

/// The repository's `adapters` folder.
pub fn adapters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../adapters")
}

/// Both files of an adapter, as they are shipped.
pub fn load(name: &str, environment: &[(&str, &str)]) -> Loaded {
    load_with(name, environment, |loader| loader)
}

pub fn load_with(
    name: &str,
    environment: &[(&str, &str)],
    change: impl FnOnce(Loader) -> Loader,
) -> Loaded {
    let folder = adapters().join(name);
    let deployment = Source::deployment_file(&folder.join("deployment.yaml")).unwrap();
    let task = Source::task_file(&folder.join("task.yaml")).unwrap();
    let loader = Loader::new(deployment, task).environment(
        environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    change(loader)
        .load()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The cluster of the dry-run files, to be changed.
pub fn cluster() -> Value {
    let text = std::fs::read_to_string(adapters().join("controlplane/dry-run/api-responses.json"))
        .unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    file["responses"][0]["responses"][0]["body"].clone()
}

/// What the API and Maestro answer in one run.
pub struct World {
    pub cluster: Value,
    pub statuses: Value,
    pub node_pools: Value,
    /// Objects that exist, by name.
    pub objects: Value,
}

impl World {
    pub fn new(cluster: Value) -> Self {
        Self {
            cluster,
            statuses: json!([]),
            node_pools: json!([]),
            objects: json!({}),
        }
    }

    /// Runs one pulse and gives the whole trace.
    pub async fn run(&self, loaded: Loaded) -> Value {
        let generation = self.cluster["generation"].as_i64().unwrap();
        let list = |items: &Value| json!({"items": items});
        let answers = json!({"responses": [
            {"match": {"method": "GET", "urlPattern": "/clusters/[^/]+$"}, "responses": [{"body": self.cluster}]},
            {"match": {"method": "GET", "urlPattern": "/statuses$"}, "responses": [{"body": list(&self.statuses)}]},
            {"match": {"method": "GET", "urlPattern": "/nodepools$"}, "responses": [{"body": list(&self.node_pools)}]},
            {"match": {"method": "PUT", "urlPattern": "/statuses$"}, "responses": [{"statusCode": 201}]},
        ]});
        let data = json!({"id": CLUSTER, "kind": "Cluster", "href": format!("/api/hyperfleet/v1/clusters/{CLUSTER}"),
            "generation": generation});
        let event =
            event_broker::Event::new("test", "com.redhat.hyperfleet.cluster.reconcile", data);
        let input = Input {
            event,
            answers: Answers::parse("answers.json", &answers.to_string()).unwrap(),
            discovery: Discovery::parse(&self.objects.to_string()).unwrap(),
        };
        let report = dry_run(
            loaded.config,
            loaded.task,
            input,
            vec![controlplane_adapter::policy()],
        )
        .await;
        serde_json::from_str(&report.json(true)).unwrap()
    }

    /// Runs one pulse of a shipped adapter and gives its report.
    pub async fn report(&self, name: &str, environment: &[(&str, &str)]) -> Value {
        report_of(&self.run(load(name, environment)).await)
    }
}

/// The body of the status report in a trace.
pub fn report_of(trace: &Value) -> Value {
    let calls = trace["apiRequests"]
        .as_array()
        .unwrap_or_else(|| panic!("no calls in {trace:#}"));
    let put = calls
        .iter()
        .find(|call| call["method"] == "PUT")
        .unwrap_or_else(|| panic!("no report in {trace:#}"));
    serde_json::from_str(put["requestBody"].as_str().unwrap()).unwrap()
}

/// `True ControlPlaneReady`.
pub fn short(report: &Value, type_: &str) -> String {
    let condition = condition(report, type_);
    format!(
        "{} {}",
        condition["status"].as_str().unwrap(),
        condition["reason"].as_str().unwrap_or_default()
    )
}

pub fn message<'r>(report: &'r Value, type_: &str) -> &'r str {
    condition(report, type_)["message"]
        .as_str()
        .unwrap_or_default()
}

fn condition<'r>(report: &'r Value, type_: &str) -> &'r Value {
    let conditions = report["conditions"].as_array().unwrap();
    conditions
        .iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_else(|| panic!("no {type_} in {report:#}"))
}

/// The work that a run applied, as the trace shows it.
pub fn applied_work(trace: &Value) -> Value {
    let work = &trace["discoveredResources"]["hostedClusterWork"];
    assert_eq!(work["kind"], "ManifestWork", "{trace:#}");
    work.clone()
}

/// The HostedCluster's status after a step of its creation.
pub fn created(hosted_cluster: &Value, last: &str) -> Value {
    let mut object = hosted_cluster.clone();
    object["metadata"]["generation"] = json!(1);
    // Long enough ago for every grace period.
    let started = jiff::Timestamp::now()
        .checked_sub(jiff::SignedDuration::from_hours(1))
        .unwrap();
    let steps = timeline::creation(&Parameters::of(&object, started, 1.0), CreationFault::None);
    let mut status = Value::Null;
    for step in &steps {
        let now = started
            .checked_add(jiff::SignedDuration::try_from(step.after).unwrap())
            .unwrap();
        step.patch.apply(&mut status, now, 1, false);
        if step.id == last {
            return status;
        }
    }
    panic!("no step {last}")
}

/// `work` as Maestro shows it when the agent has applied it and fed `status` back.
pub fn answered(work: &Value, status: &Value, applied: (&str, &str)) -> Value {
    let mut work = work.clone();
    let manifest = work["spec"]["workload"]["manifests"][0].clone();
    let generation = work["metadata"]["generation"].as_i64().unwrap_or(1);
    work["metadata"]["generation"] = json!(generation);
    work["metadata"]["creationTimestamp"] = json!(jiff::Timestamp::now().to_string());
    let text = |pointer: &str| status.pointer(pointer).cloned().unwrap_or(Value::Null);
    let available = hypershift::conditions::find(status, "Available").map_or("", |c| c.status);
    let asked = work["spec"]["manifestConfigs"].to_string();
    let mut values = vec![];
    if status.is_object() {
        let host = text("/controlPlaneEndpoint/host");
        let fields = [
            (
                "status",
                json!({"type": "JsonRaw", "jsonRaw": status.to_string()}),
            ),
            ("available", json!({"type": "String", "string": available})),
            ("endpointHost", json!({"type": "String", "string": host})),
        ];
        // The agent feeds back what the work asks for.
        let asked = fields
            .into_iter()
            .filter(|(name, _)| asked.contains(&format!("\"name\":\"{name}\"")));
        values.extend(asked.map(|(name, field)| json!({"name": name, "fieldValue": field})));
    }
    work["status"] = json!({
        "conditions": [{"type": "Applied", "status": applied.0, "reason": "R", "message": applied.1, "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "resourceStatus": {"manifests": [{
            "resourceMeta": {"ordinal": 0, "group": "hypershift.openshift.io", "version": "v1beta1", "kind": "HostedCluster",
                "resource": "hostedclusters", "name": manifest["metadata"]["name"], "namespace": manifest["metadata"]["namespace"]},
            "statusFeedback": {"values": values},
            "conditions": [{"type": "Applied", "status": applied.0, "reason": "R", "message": applied.1, "observedGeneration": generation}],
        }]},
    });
    work
}
