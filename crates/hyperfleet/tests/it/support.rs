//! A running `hyperfleet up`, and what can be asked of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;

/// Long enough for the slowest shared machine; a healthy path takes seconds.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn hyperfleet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hyperfleet"));
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// `hyperfleet up` in a process of its own, killed on drop.
pub struct Up {
    child: Child,
    data: PathBuf,
    arguments: Vec<String>,
    http: reqwest::Client,
    endpoints: Value,
}

impl Up {
    /// Starts it on `data` and waits until it has said where everything listens.
    pub async fn start(data: &Path, arguments: &[&str]) -> Self {
        hyperfleet::install_crypto_provider();
        let mut up = Self {
            child: spawn(data, arguments),
            data: data.to_owned(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            http: reqwest::Client::new(),
            endpoints: Value::Null,
        };
        up.wait_ready().await;
        up
    }

    /// `kill -9`, then the same command again.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.child = spawn(&self.data, &arguments);
        self.wait_ready().await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = std::fs::remove_file(self.data.join("endpoints.json"));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn wait_ready(&mut self) {
        let file = self.data.join("endpoints.json");
        let child = &mut self.child;
        let log = self.data.join("hyperfleet.log");
        self.endpoints = eventually(
            "hyperfleet up to write endpoints.json",
            PATIENCE,
            async || {
                if let Ok(Some(status)) = child.try_wait() {
                    panic!("hyperfleet up ended with {status}:\n{}", tail(&log));
                }
                serde_json::from_slice(&std::fs::read(&file).ok()?).ok()
            },
        )
        .await;
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.data.join("hyperfleet.log"))
    }

    /// An address from `endpoints.json`.
    pub fn endpoint(&self, key: &str) -> String {
        self.endpoints[key]
            .as_str()
            .unwrap_or_else(|| panic!("no endpoint {key} in {}", self.endpoints))
            .to_owned()
    }

    /// One request at the HyperFleet API.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.request(
            method,
            &format!("{}/api/hyperfleet/v1{path}", self.endpoint("api")),
            body,
        )
        .await
    }

    /// One request anywhere; status 0 when nobody answered.
    pub async fn request(&self, method: &str, url: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self
            .http
            .request(method.parse().expect("a method"), url)
            .timeout(Duration::from_secs(20));
        if let Some(body) = body {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                (status, response.json().await.unwrap_or_default())
            }
            Err(_) => (0, Value::Null),
        }
    }

    /// Creates the sample cluster under another name; returns its id.
    pub async fn create_cluster(&self, name: &str) -> String {
        let mut request: Value =
            serde_json::from_str(hyperfleet::demo::CLUSTER).expect("the sample cluster");
        request["name"] = json!(name);
        let (status, answer) = self.api("POST", "/clusters", Some(request)).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Merges fields into the spec of a cluster.
    pub async fn patch_spec(&self, id: &str, fields: Value) {
        let (_, cluster) = self.api("GET", &format!("/clusters/{id}"), None).await;
        let mut spec = cluster["spec"].clone();
        for (key, value) in fields.as_object().expect("fields") {
            spec[key] = value.clone();
        }
        let (status, answer) = self
            .api(
                "PATCH",
                &format!("/clusters/{id}"),
                Some(json!({"spec": spec})),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Waits until the cluster is `Reconciled=True` at `generation`.
    pub async fn reconciled(&self, id: &str, generation: i64) -> Value {
        let mut last = Value::Null;
        let log = self.data.join("hyperfleet.log");
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let (status, cluster) = self.api("GET", &format!("/clusters/{id}"), None).await;
                if status == 200 && is_reconciled(&cluster, generation) {
                    return cluster;
                }
                last = cluster;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        match found {
            Ok(cluster) => cluster,
            Err(_) => {
                let (_, statuses) = self
                    .api("GET", &format!("/clusters/{id}/statuses"), None)
                    .await;
                panic!(
                    "not reconciled at generation {generation}:\n{last:#}\n{statuses:#}\n{}",
                    tail(&log)
                )
            }
        }
    }

    /// The HostedCluster of that name, if it is there.
    pub async fn hosted_cluster(&self, name: &str) -> Option<Value> {
        let url = format!(
            "{}/apis/hypershift.openshift.io/v1beta1/namespaces/clusters/hostedclusters/{name}",
            self.endpoint("management")
        );
        let (status, object) = self.request("GET", &url, None).await;
        (status == 200).then_some(object)
    }

    /// The bundles that Maestro holds, whose name contains `id`.
    pub async fn bundles(&self, id: &str) -> Vec<Value> {
        let url = format!(
            "{}/api/maestro/v1/resource-bundles?size=500",
            self.endpoint("maestroRest")
        );
        let (_, list) = self.request("GET", &url, None).await;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .into_iter()
            .filter(|b| {
                b["metadata"]["name"]
                    .as_str()
                    .is_some_and(|n| n.contains(id))
            })
            .collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(data: &Path, arguments: &[&str]) -> Child {
    hyperfleet()
        .args(["up", "--data-dir"])
        .arg(data)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start hyperfleet up")
}

/// Whether `Reconciled` is `True` at that generation or a later one.
pub fn is_reconciled(cluster: &Value, generation: i64) -> bool {
    cluster["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| {
            c["type"] == "Reconciled"
                && c["status"] == "True"
                && c["observed_generation"].as_i64() >= Some(generation)
        })
        && cluster["generation"].as_i64() >= Some(generation)
}

/// The end of a log file, without the requests that the tests make themselves.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("HTTP request completed"))
        .collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
