//! A sandbox in this process and a plain HTTP client for it.

use std::collections::VecDeque;
use std::time::Duration;

use kube_sandbox::{Config, Service};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running sandbox.
pub struct Sandbox {
    pub url: String,
    pub kubeconfig: String,
    /// Acts as service account `sa` of namespace `default`.
    pub kubeconfig_as: String,
    http: reqwest::Client,
    shutdown: CancellationToken,
    task: Option<JoinHandle<Result<(), kube_sandbox::Error>>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, if the code is the expected one.
    #[track_caller]
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }

    /// The message of a refusal.
    #[track_caller]
    pub fn refused(self, code: u16, reason: &str) -> String {
        assert_eq!(
            (self.code, self.body["reason"].as_str()),
            (code, Some(reason)),
            "{}",
            self.body
        );
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["status"], "Failure");
        assert_eq!(self.body["code"], code);
        self.body["message"].as_str().unwrap().to_owned()
    }
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        service_runtime::install_crypto_provider();
        let service = Service::bind(config).await.unwrap();
        let shutdown = CancellationToken::new();
        Self {
            url: service.url(),
            kubeconfig: service.kubeconfig(),
            kubeconfig_as: service.kubeconfig_as("system:serviceaccount:default:sa"),
            http: reqwest::Client::new(),
            task: Some(tokio::spawn(service.run(shutdown.clone()))),
            shutdown,
        }
    }

    /// Stops and waits until it has stopped.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("user-agent", "tests/1.0 (it)")
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer {
            code,
            headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(self.request("GET", path).header("accept", accept))
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PUT", path).json(body)).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.send(self.request("DELETE", path).json(options)).await
    }

    pub async fn patch(&self, path: &str, content_type: &str, body: &Value) -> Answer {
        self.send(
            self.request("PATCH", path)
                .header("content-type", content_type)
                .body(body.to_string()),
        )
        .await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.patch(path, "application/merge-patch+json", body).await
    }

    /// Server-side apply.
    pub async fn apply(&self, path: &str, manager: &str, body: &Value) -> Answer {
        self.patch(
            &format!("{path}?fieldManager={manager}"),
            "application/apply-patch+yaml",
            body,
        )
        .await
    }

    /// Server-side apply with force.
    pub async fn force(&self, path: &str, manager: &str, body: &Value) -> Answer {
        self.patch(
            &format!("{path}?fieldManager={manager}&force=true"),
            "application/apply-patch+yaml",
            body,
        )
        .await
    }

    pub async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let response = self
            .request("GET", path)
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        Watch {
            response,
            buffer: Vec::new(),
            events: VecDeque::new(),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An open watch.
pub struct Watch {
    response: reqwest::Response,
    buffer: Vec<u8>,
    events: VecDeque<Value>,
}

impl Watch {
    /// The next event, or `None` when the server ends the watch.
    pub async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(DEADLINE, async {
            loop {
                if let Some(event) = self.events.pop_front() {
                    return Some(event);
                }
                let chunk = self.response.chunk().await.ok()??;
                self.buffer.extend_from_slice(&chunk);
                while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.buffer.drain(..=end).collect();
                    self.events
                        .push_back(serde_json::from_slice(&line).unwrap());
                }
            }
        })
        .await
        .expect("an event before the deadline")
    }

    /// Type and name of the next event.
    pub async fn seen(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
pub const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

pub fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}})
}

/// A CRD with most of what schemas can say.
pub fn widget_crd() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100},
                    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                    "title": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]*$"},
                    "port": {"x-kubernetes-int-or-string": true},
                    "parts": {
                        "type": "array", "maxItems": 3,
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {
                            "name": {"type": "string"}, "value": {"type": "string"}}},
                    },
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "lines": {"type": "array", "items": {"type": "string"}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
                        "a": {"type": "string"}, "b": {"type": "string"}}},
                    "maybe": {"type": "string", "nullable": true},
                },
            },
            "status": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "phase": {"type": "string"},
                "conditions": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                    "items": {"type": "object", "required": ["type"], "properties": {
                        "type": {"type": "string"}, "status": {"type": "string"}}},
                },
            }},
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string",
                     "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }],
        },
    })
}

/// A sandbox that serves widgets.
pub async fn with_widgets() -> Sandbox {
    Sandbox::with(Config {
        crds: vec![widget_crd()],
        ..Config::default()
    })
    .await
}
