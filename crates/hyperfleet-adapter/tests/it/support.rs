//! Shared by all modules.

use hyperfleet_adapter::{Loaded, Loader, Source, config};

pub const DEPLOYMENT: &str = r"
adapter: {name: test-adapter}
clients:
  hyperfleet_api: {base_url: 'http://api.test:8000'}
  broker: {subscription_id: test, topic: clusters}
";

pub const DEPLOYMENT_MAESTRO: &str = r"
adapter: {name: hypershift}
clients:
  hyperfleet_api: {base_url: 'http://api.test:8000'}
  maestro:
    http_server_address: http://maestro.test:8000
    grpc_server_address: maestro.test:8090
    source_id: controlplane-adapter
    insecure: true
  broker: {subscription_id: test, topic: clusters}
";

/// Loads a task config beside [`DEPLOYMENT`].
pub fn load(task: &str) -> Result<Loaded, config::Error> {
    load_with(DEPLOYMENT, task)
}

pub fn load_with(deployment: &str, task: &str) -> Result<Loaded, config::Error> {
    Loader::new(
        Source::text("adapter.yaml", deployment),
        Source::text("task.yaml", task),
    )
    .load()
}

/// The text of the error that a task config causes.
pub fn refusal(task: &str) -> String {
    match load(task) {
        Ok(_) => panic!("was accepted:\n{task}"),
        Err(error) => error.to_string(),
    }
}

/// The repository's `adapters` folder.
pub fn adapters() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../adapters")
}

/// A pulse for cluster `c1`.
pub fn pulse(generation: i64) -> event_broker::Event {
    event_broker::Event::new(
        "hyperfleet-sentinel",
        "com.redhat.hyperfleet.cluster.reconcile",
        serde_json::json!({"id": "c1", "kind": "Cluster", "href": "/api/hyperfleet/v1/clusters/c1", "generation": generation}),
    )
}

/// The spec fields of the design document.
pub fn seed_spec() -> serde_json::Value {
    serde_json::json!({
        "gcp_project_id": "my-project", "gcp_project_number": 123456789012i64, "gcp_region": "us-central1",
        "vpc_network_name": "vpc", "psc_subnet_name": "psc", "wif_pool_id": "pool", "wif_provider_id": "provider",
        "control_plane_sa_email": "cp@my-project.iam.gserviceaccount.com",
        "nodepool_sa_email": "np@my-project.iam.gserviceaccount.com", "endpoint_access": "Private",
        "openshift_version": "4.22.3", "cluster_network_cidr": "10.132.0.0/14",
        "service_network_cidr": "172.31.0.0/16", "machine_network_cidr": "10.0.0.0/16",
        "base_domain": "example.com",
    })
}

/// What adapters have reported so far: `Available` of each.
pub fn reports(adapters: &[(&str, &str)]) -> serde_json::Value {
    let items: Vec<_> = adapters
        .iter()
        .map(|(adapter, available)| {
            serde_json::json!({"adapter": adapter, "observed_generation": 1, "data": {},
                "conditions": [{"type": "Available", "status": available}]})
        })
        .collect();
    serde_json::json!({"kind": "AdapterStatusList", "items": items, "total": items.len()})
}

/// Recorded answers of the API for cluster `c1`.
pub fn answers(cluster: &serde_json::Value, statuses: &serde_json::Value) -> String {
    serde_json::json!({"responses": [
        {"match": {"method": "GET", "urlPattern": "/clusters/c1$"}, "responses": [{"body": cluster}]},
        {"match": {"method": "GET", "urlPattern": "/clusters/c1/statuses$"}, "responses": [{"body": statuses}]},
        {"match": {"method": "GET", "urlPattern": "/clusters/c1/nodepools$"}, "responses": [{"body": {"items": [], "total": 0}}]},
        {"match": {"method": "PUT", "urlPattern": "/clusters/c1/statuses$"}, "responses": [{"statusCode": 201}]},
    ]})
    .to_string()
}

/// Runs one event in memory; answers with the JSON trace.
pub async fn run(
    loaded: Loaded,
    generation: i64,
    answers: &str,
    discovery: &str,
) -> serde_json::Value {
    use hyperfleet_adapter::dry_run::{Answers, Discovery, Input, dry_run};
    let input = Input {
        event: pulse(generation),
        answers: Answers::parse("answers.json", answers).unwrap(),
        discovery: Discovery::parse(discovery).unwrap(),
    };
    let report = dry_run(loaded.config, loaded.task, input, Vec::new()).await;
    serde_json::from_str(&report.json(true)).unwrap()
}

/// The body of the report that a run sent.
pub fn reported(trace: &serde_json::Value) -> serde_json::Value {
    let puts: Vec<&serde_json::Value> = trace["apiRequests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| {
            call["method"] == "PUT"
                && call["url"]
                    .as_str()
                    .unwrap()
                    .ends_with("/clusters/c1/statuses")
        })
        .collect();
    assert_eq!(puts.len(), 1, "one report in\n{trace:#}");
    serde_json::from_str(puts[0]["requestBody"].as_str().unwrap()).unwrap()
}

/// Status of a condition of a report.
pub fn status(report: &serde_json::Value, type_: &str) -> String {
    let found = report["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == type_);
    found.unwrap_or_else(|| panic!("no {type_} in {report:#}"))["status"]
        .as_str()
        .unwrap()
        .to_owned()
}
