//! Configs of older generations: the design document's own, word for word, and what came between it and today.

use hyperfleet_adapter::{Loaded, Loader, Source};
use serde_json::{Value, json};

use crate::support::{
    DEPLOYMENT, DEPLOYMENT_MAESTRO, adapters, answers, load_with, reported, reports, run,
    seed_spec, status,
};

/// Its task config as it stands in the repository, with the environment that it expects.
fn seed() -> Loaded {
    let legacy = "legacy_params: {pullSecretName: pull-secret, publicZoneId: zone}\n";
    seed_with(&format!("{DEPLOYMENT_MAESTRO}{legacy}")).unwrap()
}

fn seed_with(deployment: &str) -> Result<Loaded, hyperfleet_adapter::config::Error> {
    Loader::new(
        Source::text("adapter.yaml", deployment),
        Source::task_file(&adapters().join("seed/task.yaml")).unwrap(),
    )
    .environment([(
        "MANAGEMENT_CLUSTER_CONSUMER".to_owned(),
        "us-east-mgmt-01".to_owned(),
    )])
    .load()
}

fn cluster(generation: i64) -> Value {
    json!({"id": "c1", "kind": "Cluster", "name": "demo", "generation": generation, "spec": seed_spec(),
        "status": {"conditions": []}})
}

fn all_available() -> Value {
    reports(&[
        ("validation", "True"),
        ("dns", "True"),
        ("pullsecret", "True"),
    ])
}

/// The work as Maestro shows it when the agent has sent `feedback`.
fn fed_back(feedback: Option<Value>) -> String {
    let mut entry = json!({
        "resourceMeta": {"ordinal": 0, "group": "hypershift.openshift.io", "version": "v1beta1", "kind": "HostedCluster",
            "resource": "hostedclusters", "name": "demo", "namespace": "clusters"},
        "conditions": [{"type": "Applied", "status": "True"}],
    });
    if let Some(feedback) = feedback {
        entry["statusFeedback"] = json!({"values": [
            {"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": feedback.to_string()}}]});
    }
    json!({"hostedcluster-c1": {
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {"name": "hostedcluster-c1", "namespace": "us-east-mgmt-01", "annotations": {"hyperfleet.io/generation": "5"}},
        "spec": {"workload": {"manifests": [{"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
            "metadata": {"name": "demo", "namespace": "clusters"}}]}},
        "status": {"conditions": [], "resourceStatus": {"manifests": [entry]}},
    }})
    .to_string()
}

#[tokio::test]
async fn the_seed_runs_word_for_word() {
    let loaded = seed();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    for construct in [
        "apiCall is an older spelling: write api_call",
        "endpoint is an older spelling: write url",
        "as is an older spelling: write name",
        "an object as the resource itself",
        "an object for Maestro without a ManifestWork",
        "parameters is an older spelling: write payloads",
        "conditions as a map",
        "postActions",
        "type: api_call",
        "POST …/statuses",
        "?? is an older spelling",
        "nil is an older spelling: write null",
    ] {
        let count = warnings
            .iter()
            .filter(|warning| warning.contains(construct))
            .count();
        assert_eq!(count, 1, "{construct}: once per construct\n{warnings:#?}");
    }

    let trace = run(loaded, 5, &answers(&cluster(5), &all_available()), "{}").await;
    assert_eq!(trace["status"], "success", "{trace:#}");
    let calls: Vec<String> = trace["apiRequests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            format!(
                "{} {}",
                call["method"].as_str().unwrap(),
                call["url"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            "GET /api/hyperfleet/v1/clusters/c1",
            "GET /api/hyperfleet/v1/clusters/c1/statuses",
            "PUT /api/hyperfleet/v1/clusters/c1/statuses",
        ]
    );
    let resource = &trace["resources"][0];
    assert_eq!(
        (resource["operation"].as_str(), resource["kind"].as_str()),
        (Some("create"), Some("ManifestWork"))
    );
    let work = &resource["manifest"];
    assert_eq!(work["metadata"]["name"], "hostedcluster-c1");
    assert_eq!(
        work["metadata"]["labels"],
        json!({"hyperfleet.io/cluster-id": "c1", "hyperfleet.io/adapter": "hypershift"})
    );
    assert_eq!(
        work["metadata"]["annotations"]["hyperfleet.io/generation"],
        "5"
    );
    assert_eq!(
        work["spec"]["deleteOption"]["propagationPolicy"],
        "Foreground"
    );
    assert_eq!(
        work["spec"]["manifestConfigs"][0],
        json!({
            "resourceIdentifier": {"group": "hypershift.openshift.io", "resource": "hostedclusters",
                "namespace": "clusters", "name": "demo"},
            "updateStrategy": {"type": "ServerSideApply"},
            "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "status", "path": ".status"}]}],
        })
    );
    let hosted = &work["spec"]["workload"]["manifests"][0];
    assert_eq!(
        (hosted["kind"].as_str(), hosted["metadata"]["name"].as_str()),
        (Some("HostedCluster"), Some("demo"))
    );
    assert_eq!(
        hosted["metadata"]["annotations"]["hyperfleet.io/generation"],
        "5"
    );
    assert_eq!(
        hosted["spec"]["platform"]["gcp"]["workloadIdentity"]["projectNumber"],
        "123456789012"
    );
    assert_eq!(hosted["spec"]["pullSecret"]["name"], "pull-secret");
    assert_eq!(hosted["spec"]["dns"]["publicZoneID"], "zone");

    let report = reported(&trace);
    assert_eq!(
        (
            report["adapter"].as_str(),
            report["observed_generation"].as_i64()
        ),
        (Some("hypershift"), Some(5))
    );
    assert!(report["observed_time"].is_string());
    // No feedback yet.
    for (condition, expected) in [
        ("Applied", "False"),
        ("Available", "False"),
        ("Health", "True"),
        ("Finalized", "False"),
    ] {
        assert_eq!(status(&report, condition), expected, "{condition}");
    }
    assert_eq!(
        report["data"],
        json!({"control_plane_endpoint": "", "version": ""})
    );
}

#[tokio::test]
async fn the_seed_reads_the_feedback_of_the_hosted_cluster() {
    let feedback = json!({
        "conditions": [{"type": "Available", "status": "True"}, {"type": "Degraded", "status": "False"}],
        "controlPlaneEndpoint": "https://x", "version": "4.22.3",
    });
    let trace = run(
        seed(),
        5,
        &answers(&cluster(5), &all_available()),
        &fed_back(Some(feedback)),
    )
    .await;
    assert_eq!(
        trace["resources"][0]["reason"], "generation 5 unchanged",
        "{trace:#}"
    );
    let report = reported(&trace);
    for (condition, expected) in [
        ("Applied", "True"),
        ("Available", "True"),
        ("Health", "True"),
        ("Finalized", "False"),
    ] {
        assert_eq!(
            status(&report, condition),
            expected,
            "{condition} in {report:#}"
        );
    }
    assert_eq!(
        report["data"],
        json!({"control_plane_endpoint": "https://x", "version": "4.22.3"})
    );

    let degraded = json!({"conditions": [{"type": "Available", "status": "True"}, {"type": "Degraded", "status": "True"}]});
    let trace = run(
        seed(),
        5,
        &answers(&cluster(5), &all_available()),
        &fed_back(Some(degraded)),
    )
    .await;
    let report = reported(&trace);
    assert_eq!(
        (
            status(&report, "Available").as_str(),
            status(&report, "Health").as_str()
        ),
        ("True", "False")
    );
}

#[tokio::test]
async fn the_seed_waits_for_the_other_adapters() {
    for statuses in [
        reports(&[]),
        reports(&[
            ("validation", "True"),
            ("dns", "False"),
            ("pullsecret", "True"),
        ]),
    ] {
        let trace = run(seed(), 5, &answers(&cluster(5), &statuses), "{}").await;
        assert_eq!(
            (
                trace["status"].as_str(),
                trace["preconditions"][0]["matched"].as_bool()
            ),
            (Some("success"), Some(false))
        );
        assert!(
            trace.get("resources").is_none() && trace.get("transportOperations").is_none(),
            "{trace:#}"
        );
        let report = reported(&trace);
        assert_eq!(
            (
                status(&report, "Applied").as_str(),
                status(&report, "Health").as_str()
            ),
            ("False", "True")
        );
    }
}

#[tokio::test]
async fn the_seed_deletes_what_it_made() {
    let mut deleted = cluster(6);
    deleted["deleted_time"] = json!("2026-01-01T00:00:00Z");
    // The other adapters clean up too: they are not Available any more.
    let trace = run(
        seed(),
        6,
        &answers(&deleted, &reports(&[("dns", "False")])),
        &fed_back(None),
    )
    .await;
    assert_eq!(trace["resources"][0]["operation"], "delete", "{trace:#}");
    let report = reported(&trace);
    assert_eq!(status(&report, "Finalized"), "False");
    // The work is gone.
    let trace = run(seed(), 6, &answers(&deleted, &reports(&[])), "{}").await;
    assert_eq!(
        trace["resources"][0]["reason"],
        "resource already deleted or never existed"
    );
    let report = reported(&trace);
    assert_eq!(
        (
            status(&report, "Finalized").as_str(),
            status(&report, "Available").as_str()
        ),
        ("True", "False")
    );
    assert_eq!(report["observed_generation"], 6);
}

#[test]
fn names_that_the_seed_never_defines_are_listed_all() {
    let error = seed_with(DEPLOYMENT_MAESTRO).unwrap_err().to_string();
    assert!(
        error.contains("2 name(s) are used and never defined: publicZoneId (line ")
            && error.contains("pullSecretName (line "),
        "{error}"
    );
    assert!(
        error.contains("legacy_params in the deployment config"),
        "{error}"
    );
    assert!(
        !error.contains("undefined template variable \"clusterId\""),
        "{error}"
    );
}

const BACKEND: &str = r#"
resources:
  - name: "hostedCluster"
    backend: "maestro"
    targetCluster: "{{ .managementClusterName }}"
    manifest:
      apiVersion: hypershift.openshift.io/v1beta1
      kind: HostedCluster
      metadata: {name: "{{ .clusterId }}", namespace: clusters}
      spec: {infraID: "{{ .clusterId }}"}
post:
  parameters:
    - name: payload
      build:
        conditions:
          applied: {status: {expression: "resources.hostedCluster.conditions != nil"}}
  postActions:
    - {type: api_call, method: POST, endpoint: "/clusters/{{ .clusterId }}/statuses", body: "{{ .payload }}"}
"#;

#[tokio::test]
async fn backend_and_target_cluster_give_the_same_work() {
    let deployment =
        format!("{DEPLOYMENT_MAESTRO}legacy_params: {{managementClusterName: other-mgmt}}\n");
    let loaded = load_with(&deployment, BACKEND).unwrap();
    assert_eq!(
        loaded.task.resource_names().collect::<Vec<_>>(),
        ["hostedClusterWork"]
    );
    let trace = run(loaded, 3, &answers(&cluster(3), &reports(&[])), "{}").await;
    let work = &trace["resources"][0]["manifest"];
    assert_eq!(work["metadata"]["name"], "hostedcluster-c1", "{trace:#}");
    assert_eq!(
        work["spec"]["workload"]["manifests"][0]["kind"],
        "HostedCluster"
    );
    assert_eq!(
        work["spec"]["manifestConfigs"][0]["updateStrategy"]["type"],
        "ServerSideApply"
    );
    let report = reported(&trace);
    assert_eq!(status(&report, "Finalized"), "False");
}

/// The generation between: an envelope around everything, camelCase, deployment keys beside the task.
const ENVELOPE: &str = r#"
apiVersion: hyperfleet.redhat.com/v1alpha1
kind: AdapterConfig
metadata: {name: gcp-validation, labels: {app: x}}
spec:
  adapter: {version: "0.1.0"}
  hyperfleetApi: {baseUrl: "http://from-task:8000", timeout: 2s, retryAttempts: 3, retryBackoff: exponential}
  kubernetes: {apiVersion: v1}
  params:
    - {name: clusterId, source: event.id, type: string, required: true}
    - {name: jobNamespace, source: env.JOB_NAMESPACE, default: jobs}
  preconditions:
    - name: clusterStatus
      apiCall:
        method: GET
        url: "/clusters/{{ .clusterId }}"
        timeout: 10s
        retryAttempts: 3
        retryBackoff: exponential
      capture:
        - {name: clusterName, field: name}
        - {name: generation, field: generation}
        - {name: phase, field: status.phase}
      conditions:
        - {field: clusterName, operator: exists}
        - {field: generation, operator: in, values: [5, 6]}
  resources:
    - name: validationJob
      manifest:
        apiVersion: batch/v1
        kind: Job
        metadata: {name: "validate-{{ .clusterId }}", namespace: "{{ .jobNamespace }}", labels: {cluster: "{{ .clusterId }}"}}
        spec: {template: {spec: {restartPolicy: Never}}}
      discovery:
        namespace: "{{ .jobNamespace }}"
        bySelectors: {labelSelector: {cluster: "{{ .clusterId }}"}}
      recreateOnChange: true
  post:
    payloads:
      - name: statusPayload
        build:
          adapter: "{{ .metadata.name }}"
          conditions:
            - {type: Applied, status: {expression: "has(resources.validationJob.metadata.name) ? 'True' : 'False'"}}
            - {type: Available, status: "False"}
            - {type: Health, status: {value: "True", description: always}}
          observed_generation: {expression: "int(generation)"}
          observed_time: "{{ now | date \"2006-01-02T15:04:05Z07:00\" }}"
    postActions:
      - name: report
        apiCall: {method: PUT, url: "/clusters/{{ .clusterId }}/statuses", body: "{{ .statusPayload }}"}
"#;

#[tokio::test]
async fn the_generation_with_an_envelope_loads_with_warnings_only() {
    let deployment = "clients: {broker: {subscription_id: s, topic: t}}";
    let loaded = load_with(deployment, ENVELOPE).unwrap();
    assert_eq!(loaded.config.adapter.name, "gcp-validation");
    assert_eq!(
        loaded.config.clients.hyperfleet_api.base_url,
        "http://from-task:8000"
    );
    assert_eq!(
        load_with(DEPLOYMENT, ENVELOPE)
            .unwrap()
            .config
            .clients
            .hyperfleet_api
            .base_url,
        "http://api.test:8000",
        "the deployment wins"
    );
    let trace = run(loaded, 5, &answers(&cluster(5), &reports(&[])), "{}").await;
    assert_eq!(
        (
            trace["status"].as_str(),
            trace["resources"][0]["operation"].as_str()
        ),
        (Some("success"), Some("create")),
        "{trace:#}"
    );
    assert_eq!(
        trace["resources"][0]["manifest"]["metadata"]["annotations"]["hyperfleet.io/generation"],
        "5"
    );
    let report = reported(&trace);
    assert_eq!(report["adapter"], "gcp-validation");
    for (condition, expected) in [
        ("Applied", "True"),
        ("Available", "False"),
        ("Health", "True"),
    ] {
        assert_eq!(status(&report, condition), expected, "{condition}");
    }
}

#[tokio::test]
async fn the_first_generation_loads_too() {
    let task = r#"
apiVersion: hyperfleet.redhat.com/v1alpha1
kind: AdapterConfig
metadata: {name: first}
spec:
  parameters:
    - {name: clusterId, source: event.id, required: true}
  preconditions:
    - name: fetchCluster
      type: api_call
      method: GET
      endpoint: "{{ .hyperfleetApiBaseUrl }}/api/v1/clusters/{{ .clusterId }}"
      storeResponseAs: cluster
      extract: [{as: clusterName, field: name}]
      when: {expression: "clusterName != nil && cluster.status.conditions[?(@.type=='X')].status ?? true", description: why}
  resources:
    - apiVersion: v1
      kind: ConfigMap
      name: "{{ .clusterName }}"
      namespace: default
      data: {json: "{{ toJson .cluster.spec }}"}
      track: {as: settings, discovery: {byName: "{{ .clusterName }}", namespace: default}}
"#;
    let loaded = load_with(DEPLOYMENT, task).unwrap();
    assert_eq!(
        loaded.task.resource_names().collect::<Vec<_>>(),
        ["settings"]
    );
    let trace = run(loaded, 1, &answers(&cluster(1), &reports(&[])), "{}").await;
    assert_eq!(trace["status"], "success", "{trace:#}");
    let config_map = &trace["resources"][0]["manifest"];
    assert_eq!(config_map["metadata"]["name"], "demo");
    assert!(
        config_map["data"]["json"]
            .as_str()
            .unwrap()
            .contains("gcp_project_id")
    );
}

#[test]
fn two_spellings_of_one_key_and_two_objects_of_one_kind_are_refused() {
    let refusal = |task: &str| load_with(DEPLOYMENT, task).unwrap_err().to_string();
    let error = refusal(
        "preconditions: [{name: p, apiCall: {method: GET, url: /x}, api_call: {method: GET, url: /x}}]",
    );
    assert!(
        error.contains("apiCall and api_call are two spellings of one key"),
        "{error}"
    );
    let inline = "{apiVersion: v1, kind: ConfigMap, name: x, namespace: n}";
    let error = refusal(&format!("resources: [{inline}, {inline}]"));
    assert!(
        error.contains("two resources of one kind are both called \"configMap\"")
            && error.contains("alias"),
        "{error}"
    );
    let aliased = "{apiVersion: v1, kind: ConfigMap, name: y, namespace: n, alias: other}";
    load_with(DEPLOYMENT, &format!("resources: [{inline}, {aliased}]")).unwrap();
    let error = refusal("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    assert!(
        error.contains("this is a Kubernetes object of kind ConfigMap, not a task config"),
        "{error}"
    );
    let error = refusal("postActions: [{type: log, name: a}]");
    assert!(
        error.contains("type \"log\" is unknown (known: api_call)"),
        "{error}"
    );
}

#[test]
fn camel_case_deployment_configs_load() {
    let deployment = r"
adapter: {name: a}
debugConfig: true
hyperfleetApi: {baseUrl: 'http://x', retryAttempts: 4, maxDelay: 5s}
broker: {subscriptionId: s, topic: t}
maestro:
  httpServerAddress: https://m
  grpcServerAddress: m:1
  sourceId: s
  serverHealthinessTimeout: 30s
  auth: {tlsConfig: {caFile: /ca}}
";
    let loaded = load_with(deployment, "").unwrap();
    assert!(loaded.config.debug_config);
    assert_eq!(loaded.config.clients.hyperfleet_api.retry_attempts, 4);
    assert_eq!(loaded.config.clients.broker.subscription_id, "s");
    assert_eq!(
        loaded
            .config
            .clients
            .maestro
            .unwrap()
            .auth
            .ca_file
            .as_deref(),
        Some("/ca")
    );
    assert!(loaded.warnings.iter().any(|warning| {
        warning
            .message
            .contains("debugConfig is an older spelling: write debug_config")
    }));
    let error = load_with(
        "adapter: {name: a}\nclients: {broker: {subscriptionId: s}, hyperfleet_api: {base_url: x}}",
        "",
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("subscriptionId is an older spelling: write subscription_id"),
        "{error}"
    );
}

#[test]
fn current_documents_pass_unchanged() {
    for name in [
        "controlplane",
        "validation",
        "dns",
        "pullsecret",
        "upstream-style",
    ] {
        let path = adapters().join(name);
        let text = std::fs::read_to_string(path.join("task.yaml")).unwrap();
        let loaded = Loader::new(
            Source::deployment_file(&path.join("deployment.yaml")).unwrap(),
            Source::task_file(&path.join("task.yaml")).unwrap(),
        )
        .load()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
        let plain: Value = go_compat::yaml::from_str_config(&text).unwrap();
        assert_eq!(loaded.task.to_value(), plain, "{name}");
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
    }
}
