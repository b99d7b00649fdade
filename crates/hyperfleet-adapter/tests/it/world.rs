//! Everything around one adapter: API, broker, sandbox cluster, Maestro.

use std::sync::Arc;
use std::time::Duration;

use event_broker::{Broker, Event, MemoryBroker};
use hyperfleet_adapter::{Dependencies, Loaded, Loader, ResourcePolicy, Service, Source, service};
use kube_access::Gvk;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::FakeApi;
use crate::fake_maestro::Fake;

/// Long enough for a slow machine; nothing waits for it when all is well.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The subscription that adapters under test use.
pub const SUBSCRIPTION: &str = "test";
const TOPIC: &str = "clusters";

/// The parts around the adapter.
pub struct World {
    pub api: FakeApi,
    pub broker: Arc<MemoryBroker>,
    pub maestro: Fake,
    pub kube: kube_access::Client,
    shutdown: CancellationToken,
    sandbox: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.sandbox.abort();
    }
}

/// A running adapter.
pub struct Adapter {
    pub addresses: hyperfleet_adapter::Addresses,
    pub metrics: service_runtime::metrics::Metrics,
    shutdown: CancellationToken,
    task: Option<JoinHandle<Result<(), service::Error>>>,
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Adapter {
    /// Asks it to stop and waits for the end.
    pub async fn stop(mut self) -> Result<(), service::Error> {
        self.shutdown.cancel();
        self.task.take().unwrap().await.unwrap()
    }

    /// Ends it between two steps, as `kill -9` would.
    pub async fn kill(mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        drop(task.await);
    }

    /// Waits for the end that it finds itself.
    pub async fn end(mut self) -> Result<(), service::Error> {
        self.task.take().unwrap().await.unwrap()
    }
}

impl World {
    pub async fn new() -> Self {
        let shutdown = CancellationToken::new();
        let sandbox = kube_sandbox::Service::bind(kube_sandbox::Config::default())
            .await
            .unwrap();
        let kube = kube_access::Client::from_url(&sandbox.url()).unwrap();
        let stop = shutdown.clone();
        let sandbox = tokio::spawn(async move { sandbox.run(stop).await.unwrap() });
        Self {
            api: FakeApi::start().await,
            broker: MemoryBroker::new(),
            maestro: Fake::start().await,
            kube,
            shutdown,
            sandbox,
        }
    }

    /// A deployment config for this world; `more` is added at the top level.
    pub fn deployment(&self, name: &str, more: &str) -> String {
        format!(
            "
adapter: {{name: {name}}}
health_listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
clients:
  hyperfleet_api: {{base_url: '{}', retry_attempts: 2, base_delay: 10ms, timeout: 20s}}
  maestro: {{http_server_address: '{}', grpc_server_address: '{}', source_id: test-source, insecure: true, retry_attempts: 1}}
  broker: {{subscription_id: {SUBSCRIPTION}, topic: {TOPIC}, min_backoff: 50ms, max_backoff: 500ms, max_deliveries: 20}}
{more}
",
            self.api.url(),
            self.maestro.rest_url(),
            self.maestro.grpc
        )
    }

    pub async fn start(&self, task: &str) -> Adapter {
        self.start_with(&self.deployment("test", ""), task, Vec::new())
            .await
    }

    pub async fn start_with(
        &self,
        deployment: &str,
        task: &str,
        policies: Vec<Arc<dyn ResourcePolicy>>,
    ) -> Adapter {
        let loaded = Loader::new(
            Source::text("adapter.yaml", deployment),
            Source::text("task.yaml", task),
        )
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
        self.start_loaded(loaded, policies).await
    }

    pub async fn start_loaded(
        &self,
        loaded: Loaded,
        policies: Vec<Arc<dyn ResourcePolicy>>,
    ) -> Adapter {
        let dependencies = Dependencies {
            kubernetes: Some(self.kube.clone()),
            policies,
            ..Dependencies::new(Arc::clone(&self.broker) as Arc<dyn Broker>)
        };
        let service = Service::bind(loaded.config, loaded.task, dependencies)
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        let (addresses, metrics) = (service.addresses(), service.metrics());
        let task = tokio::spawn(service.run(shutdown.clone()));
        Adapter {
            addresses,
            metrics,
            shutdown,
            task: Some(task),
        }
    }

    pub async fn pulse(&self, cluster: &str, generation: i64) {
        self.publish(json!({"id": cluster, "kind": "Cluster", "generation": generation}))
            .await;
    }

    pub async fn publish(&self, data: Value) {
        let event = Event::new(
            "hyperfleet-sentinel",
            "com.redhat.hyperfleet.cluster.reconcile",
            data,
        );
        self.broker.publish(TOPIC, &event).await.unwrap();
    }

    /// Waits until the broker has nothing left for the adapter.
    pub async fn settled(&self) {
        eventually("every event settled", DEADLINE, async || {
            let depth = self.broker.depth(SUBSCRIPTION);
            (depth.waiting == 0 && depth.in_hand == 0).then_some(())
        })
        .await;
    }

    /// Waits for a report of the adapter `test` that pleases.
    pub async fn reported(
        &self,
        cluster: &str,
        what: &str,
        pleases: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Some(report) = self.api.report(cluster, "test") {
                    if pleases(&report) {
                        return report;
                    }
                    last = report;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        found.unwrap_or_else(|_| panic!("no report that says {what}; the last: {last:#}"))
    }

    pub async fn config_map(&self, name: &str) -> Option<Value> {
        let resource = self.kube.resolve("v1", "ConfigMap").await.unwrap();
        self.kube
            .find(&resource, Some("default"), name)
            .await
            .unwrap()
    }

    /// Works by consumer, with their names.
    pub fn works(&self) -> Vec<(String, String)> {
        let data = self.maestro.data();
        data.rows
            .values()
            .map(|row| {
                (
                    row.consumer.clone(),
                    row.spec.metadata().unwrap().unwrap().name,
                )
            })
            .collect()
    }
}

/// Status of a condition of a report; empty if it is not there.
pub fn status<'a>(report: &'a Value, type_: &str) -> &'a str {
    condition(report, type_)
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub fn condition<'a>(report: &'a Value, type_: &str) -> &'a Value {
    let found = report["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|condition| condition["type"] == type_));
    found.unwrap_or(&Value::Null)
}

pub fn hosted_cluster() -> Gvk {
    Gvk::new("hypershift.openshift.io/v1beta1", "HostedCluster")
}

/// A ConfigMap on the adapter's own cluster, deleted with its cluster; the report has its resource version.
pub const CONFIG_MAP_TASK: &str = r#"
params:
  - {name: clusterId, source: event.id, required: true}
  - {name: cluster, source: {api_call: {method: GET, url: "/clusters/{{ .clusterId }}"}}, required: true}
  - {name: generation, source: cluster.generation, type: int}
  - {name: isDeleting, source: {expression: "cluster.?deleted_time.hasValue()"}}
resources:
  - name: settings
    manifest:
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: "settings-{{ .clusterId }}"
        namespace: default
        annotations: {hyperfleet.io/generation: "{{ .generation }}"}
      data: {generation: "{{ .generation }}"}
    discovery: {namespace: default, by_name: "settings-{{ .clusterId }}"}
    lifecycle: {delete: {when: {expression: isDeleting}}}
post:
  payloads:
    - name: report
      build:
        adapter: "{{ .adapter.name }}"
        observed_generation: {expression: int(generation)}
        observed_time: '{{ now | date "2006-01-02T15:04:05.999999999Z07:00" }}'
        conditions:
          - {type: Applied, status: {expression: "resources.?settings.hasValue() ? 'True' : 'False'"}}
          - {type: Available, status: {expression: "dig(resources, 'settings.data.ready') == 'yes' ? 'True' : 'False'"}}
          - {type: Health, status: {expression: "adapter.executionStatus == 'success' ? 'True' : 'False'"},
             reason: {expression: adapter.errorReason}, message: {expression: adapter.errorMessage}}
          - {type: Finalized, status: {expression: "isDeleting && adapter.executionStatus == 'success' && !resources.?settings.hasValue() ? 'True' : 'False'"}}
  post_actions:
    - {name: put, api_call: {method: PUT, url: "/clusters/{{ .clusterId }}/statuses", body: "{{ .report }}"}}
"#;

/// A HostedCluster in a ManifestWork; the consumer is in the event.
pub const WORK_TASK: &str = r#"
params:
  - {name: clusterId, source: event.id, required: true}
  - {name: consumer, source: event.consumer, default: c1}
  - {name: cluster, source: {api_call: {method: GET, url: "/clusters/{{ .clusterId }}"}}, required: true}
  - {name: generation, source: cluster.generation, type: int}
  - {name: isDeleting, source: {expression: "cluster.?deleted_time.hasValue()"}}
  - {name: strategy, source: cluster.spec.strategy, default: ""}
resources:
  - name: work
    transport: {client: maestro, maestro: {target_cluster: "{{ .consumer }}"}}
    manifest: |
      apiVersion: work.open-cluster-management.io/v1
      kind: ManifestWork
      metadata:
        name: hostedcluster-{{ .clusterId }}
        annotations: {hyperfleet.io/generation: "{{ .generation }}"}
      spec:
        {{- if .strategy }}
        manifestConfigs:
        - resourceIdentifier: {group: hypershift.openshift.io, resource: hostedclusters, namespace: clusters, name: "{{ .clusterId }}"}
          feedbackRules: [{type: JSONPaths, jsonPaths: [{name: status, path: .status}]}]
        {{- end }}
        workload:
          manifests:
          - apiVersion: hypershift.openshift.io/v1beta1
            kind: HostedCluster
            metadata:
              name: "{{ .clusterId }}"
              namespace: clusters
              annotations: {hyperfleet.io/generation: "{{ .generation }}"}
            spec: {infraID: "{{ .clusterId }}"}
    discovery: {by_name: "hostedcluster-{{ .clusterId }}"}
    nested_discoveries: [{name: hostedCluster, discovery: {namespace: clusters, by_name: "{{ .clusterId }}"}}]
    lifecycle: {delete: {when: {expression: isDeleting}}}
post:
  payloads:
    - name: report
      build:
        adapter: "{{ .adapter.name }}"
        observed_generation: {expression: int(generation)}
        conditions:
          - {type: Applied, status: {expression: "conditionStatus(dig(resources, 'work.status.conditions'), 'Applied')", default: "False"}}
          - {type: Available, status: {expression: "conditionStatus(dig(resources, 'hostedCluster.status.conditions'), 'Available')", default: "False"}}
          - {type: Health, status: {expression: "adapter.executionStatus == 'success' ? 'True' : 'False'"}, message: {expression: adapter.errorMessage}}
          - {type: Finalized, status: {expression: "isDeleting && adapter.executionStatus == 'success' && !resources.?work.hasValue() ? 'True' : 'False'"}}
        data: {consumer: "{{ .consumer }}"}
  post_actions:
    - {name: put, api_call: {method: PUT, url: "/clusters/{{ .clusterId }}/statuses", body: "{{ .report }}"}}
"#;
