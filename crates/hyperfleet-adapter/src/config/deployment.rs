//! The deployment config: where to connect. Keys, defaults and rules: `docs/protocol/adapter-config.md`.

mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::tree::Position;

pub(crate) use read::{read, schema_version};

/// What replaces a secret when a config is shown.
pub const REDACTED: &str = "**REDACTED**";

/// The deployment (adapter) config, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Name and version of the adapter.
    pub adapter: Adapter,
    /// Log the redacted config at start and serve it at `/config`. Default false.
    pub debug_config: bool,
    /// What the front door uses to set up logs.
    pub log: Log,
    /// Whom to talk to.
    pub clients: Clients,
    /// When a failed event is delivered again. Default [`AckPolicy::Selective`].
    pub ack_policy: AckPolicy,
    /// The longest that one event may take. Default 120 s.
    pub event_timeout: Duration,
    /// Run post actions also when a required param can't be resolved. Default false, as upstream.
    pub report_param_failures: bool,
    /// Whether a change of an own object runs the pipeline again.
    pub rerun: Rerun,
    /// Server-side apply on Kubernetes instead of create and full replace. Default false, as upstream.
    pub server_side_apply: bool,
    /// Values for names that an older task config uses without declaring them.
    pub legacy_params: BTreeMap<String, Value>,
    /// Settings for resource policies, free form.
    pub policy: Map<String, Value>,
    /// Address of `/healthz`, `/readyz`, `/config`. Default `0.0.0.0:8080`; empty = no health server.
    pub health_listen: String,
    /// Address of `/metrics`. Default `0.0.0.0:9090`; empty = no metrics server.
    pub metrics_listen: String,
    /// What params with an `env.` source and templates see as environment. Filled by the loader, never by a file.
    pub environment: BTreeMap<String, String>,
}

/// Who this adapter is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Log component, metrics label and the `adapter` of reports. Required.
    pub name: String,
    /// Major and minor must equal the binary's; empty = not checked.
    pub version: String,
}

/// Logging, upstream's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `debug`, `info` (default), `warn`, `error`.
    pub level: String,
    /// `json` (default) or `text`.
    pub format: String,
    /// `stdout` (default) or `stderr`.
    pub output: String,
}

/// Connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Clients {
    /// The HyperFleet API.
    pub hyperfleet_api: HyperfleetApi,
    /// Maestro; present = resources without a `transport` of an older config use it.
    pub maestro: Option<Maestro>,
    /// Where pulses come from.
    pub broker: Broker,
    /// The cluster this adapter applies to directly.
    pub kubernetes: Kubernetes,
}

/// Growth of the wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// `base · 2^(n-1)`.
    #[default]
    Exponential,
    /// `base · n`.
    Linear,
    /// `base`.
    Constant,
}

impl Backoff {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "exponential" => Some(Self::Exponential),
            "linear" => Some(Self::Linear),
            "constant" => Some(Self::Constant),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Constant => "constant",
        }
    }
}

/// `clients.hyperfleet_api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HyperfleetApi {
    /// Such as `http://hyperfleet-api:8000`; required by `serve`.
    pub base_url: String,
    /// Completes relative URLs. Default `v1`.
    pub version: String,
    /// Per try. Default 10 s.
    pub timeout: Duration,
    /// Tries in total. Default 3.
    pub retry_attempts: u32,
    /// Default exponential.
    pub retry_backoff: Backoff,
    /// Default 1 s.
    pub base_delay: Duration,
    /// Default 30 s.
    pub max_delay: Duration,
    /// On every request.
    pub default_headers: BTreeMap<String, String>,
    /// Bearer token from a file.
    pub auth: Option<ApiAuth>,
}

/// `clients.hyperfleet_api.auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAuth {
    /// Absolute path of the token file.
    pub token_path: String,
    /// How long a token is kept; 0 = read for every request. Default 0.
    pub token_cache_ttl: Duration,
}

/// `clients.maestro`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maestro {
    /// `https://…`, or `http://…` with `insecure`.
    pub http_server_address: String,
    /// `host:port`.
    pub grpc_server_address: String,
    /// The identity of this source; part of every work's id.
    pub source_id: String,
    /// Accepted, unused.
    pub client_id: String,
    /// Credentials.
    pub auth: MaestroAuth,
    /// REST and publish timeout. Default 10 s.
    pub timeout: Duration,
    /// Silence after which the gRPC connection counts as lost. Default 20 s.
    pub server_healthiness_timeout: Duration,
    /// Tries in total for a transient error. Default 3.
    pub retry_attempts: u32,
    /// gRPC keepalive; `None` = the client's own.
    pub keepalive_time: Option<Duration>,
    /// gRPC keepalive timeout; `None` = the client's own.
    pub keepalive_timeout: Option<Duration>,
    /// Plain gRPC and HTTP. Default false.
    pub insecure: bool,
}

/// `clients.maestro.auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaestroAuth {
    /// `none`, `tls` or `token`; empty = by what is set.
    pub kind: String,
    /// Roots for gRPC.
    pub ca_file: Option<String>,
    /// Client certificate.
    pub cert_file: Option<String>,
    /// Its key.
    pub key_file: Option<String>,
    /// Roots for REST; default `ca_file`.
    pub http_ca_file: Option<String>,
    /// Bearer token file, re-read before each connection.
    pub token_file: Option<String>,
}

/// `clients.broker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Required by `serve`.
    pub subscription_id: String,
    /// Required by `serve`.
    pub topic: String,
    /// Events processed at once; events of one cluster never overlap. Default 10.
    pub parallelism: usize,
    /// Deliveries of one event before it is given up. Default 5.
    pub max_deliveries: u32,
    /// Wait before the first redelivery, doubling. Default 1 s.
    pub min_backoff: Duration,
    /// Longest wait. Default 30 s.
    pub max_backoff: Duration,
}

/// `clients.kubernetes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Kubernetes {
    /// Empty = in-cluster.
    pub kube_config_path: String,
    /// Requests per second. Default 100.
    pub qps: f64,
    /// Burst. Default 200.
    pub burst: u32,
}

/// When a failed event is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckPolicy {
    /// Never: the next pulse is the retry (upstream).
    Always,
    /// After a transient failure, bounded; everything else is acknowledged once.
    #[default]
    Selective,
}

/// `rerun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rerun {
    /// Watch the objects this adapter made and run again on a change. Default true.
    pub enabled: bool,
    /// Changes within this time cause one run. Default 250 ms.
    pub coalesce: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            adapter: Adapter::default(),
            debug_config: false,
            log: Log {
                level: "info".into(),
                format: "json".into(),
                output: "stdout".into(),
            },
            clients: Clients {
                hyperfleet_api: HyperfleetApi {
                    base_url: String::new(),
                    version: "v1".into(),
                    timeout: Duration::from_secs(10),
                    retry_attempts: 3,
                    retry_backoff: Backoff::Exponential,
                    base_delay: Duration::from_secs(1),
                    max_delay: Duration::from_secs(30),
                    default_headers: BTreeMap::new(),
                    auth: None,
                },
                maestro: None,
                broker: Broker {
                    subscription_id: String::new(),
                    topic: String::new(),
                    parallelism: 10,
                    max_deliveries: 5,
                    min_backoff: Duration::from_secs(1),
                    max_backoff: Duration::from_secs(30),
                },
                kubernetes: Kubernetes {
                    kube_config_path: String::new(),
                    qps: 100.0,
                    burst: 200,
                },
            },
            ack_policy: AckPolicy::Selective,
            event_timeout: Duration::from_secs(120),
            report_param_failures: false,
            rerun: Rerun {
                enabled: true,
                coalesce: Duration::from_millis(250),
            },
            server_side_apply: false,
            legacy_params: BTreeMap::new(),
            policy: Map::new(),
            health_listen: "0.0.0.0:8080".into(),
            metrics_listen: "0.0.0.0:9090".into(),
            environment: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The config with YAML's key names, as `config.` sources and templates see it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let seconds = |duration: Duration| go_compat::duration::format(duration);
        let api = &self.clients.hyperfleet_api;
        let mut clients = json!({
            "hyperfleet_api": {
                "base_url": api.base_url, "version": api.version, "timeout": seconds(api.timeout),
                "retry_attempts": api.retry_attempts, "retry_backoff": api.retry_backoff.as_str(),
                "base_delay": seconds(api.base_delay), "max_delay": seconds(api.max_delay),
                "default_headers": api.default_headers,
            },
            "broker": {
                "subscription_id": self.clients.broker.subscription_id, "topic": self.clients.broker.topic,
            },
            "kubernetes": {
                "kube_config_path": self.clients.kubernetes.kube_config_path,
                "qps": self.clients.kubernetes.qps, "burst": self.clients.kubernetes.burst,
            },
        });
        if let Some(auth) = &api.auth {
            clients["hyperfleet_api"]["auth"] = json!({"token_path": auth.token_path, "token_cache_ttl": seconds(auth.token_cache_ttl)});
        }
        if let Some(maestro) = &self.clients.maestro {
            clients["maestro"] = maestro.to_value();
        }
        let mut value = json!({
            "adapter": {"name": self.adapter.name, "version": self.adapter.version},
            "debug_config": self.debug_config,
            "log": {"level": self.log.level, "format": self.log.format, "output": self.log.output},
            "clients": clients,
        });
        if !self.legacy_params.is_empty() {
            value["legacy_params"] = json!(self.legacy_params);
        }
        if !self.policy.is_empty() {
            value["policy"] = Value::Object(self.policy.clone());
        }
        value
    }

    /// [`Config::to_value`] without file paths of credentials and without header values that carry them.
    #[must_use]
    pub fn to_redacted_value(&self) -> Value {
        let mut value = self.to_value();
        let hide = |value: &mut Value, path: &str| {
            if let Some(found) = value.pointer_mut(path)
                && found.as_str().is_some_and(|text| !text.is_empty())
            {
                *found = REDACTED.into();
            }
        };
        for file in ["ca_file", "cert_file", "key_file", "http_ca_file"] {
            hide(
                &mut value,
                &format!("/clients/maestro/auth/tls_config/{file}"),
            );
        }
        hide(&mut value, "/clients/maestro/auth/token_file");
        hide(&mut value, "/clients/hyperfleet_api/auth/token_path");
        if let Some(Value::Object(headers)) =
            value.pointer_mut("/clients/hyperfleet_api/default_headers")
        {
            for (name, header) in headers {
                if is_credential(name) {
                    *header = REDACTED.into();
                }
            }
        }
        value
    }

    /// Whether the config can serve: what only `serve` needs.
    ///
    /// # Errors
    /// The sentence that says which key is missing.
    pub(crate) fn check_for_serving(&self) -> Result<(), String> {
        if self.clients.hyperfleet_api.base_url.is_empty() {
            return Err("clients.hyperfleet_api.base_url is required (config file or HYPERFLEET_API_BASE_URL)".into());
        }
        if self.clients.broker.subscription_id.is_empty() {
            return Err("clients.broker.subscription_id is required".into());
        }
        if self.clients.broker.topic.is_empty() {
            return Err("clients.broker.topic is required".into());
        }
        Ok(())
    }
}

impl Maestro {
    fn to_value(&self) -> Value {
        let mut tls = Map::new();
        let auth = &self.auth;
        for (key, file) in [
            ("ca_file", &auth.ca_file),
            ("cert_file", &auth.cert_file),
            ("key_file", &auth.key_file),
            ("http_ca_file", &auth.http_ca_file),
        ] {
            if let Some(file) = file {
                tls.insert(key.into(), file.as_str().into());
            }
        }
        let mut auth_value = json!({"type": auth.kind, "tls_config": tls});
        if let Some(file) = &auth.token_file {
            auth_value["token_file"] = file.as_str().into();
        }
        json!({
            "http_server_address": self.http_server_address, "grpc_server_address": self.grpc_server_address,
            "source_id": self.source_id, "client_id": self.client_id, "auth": auth_value,
            "timeout": go_compat::duration::format(self.timeout),
            "server_healthiness_timeout": go_compat::duration::format(self.server_healthiness_timeout),
            "retry_attempts": self.retry_attempts, "insecure": self.insecure,
        })
    }
}

/// Header names whose values are credentials.
pub(crate) fn is_credential(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    [
        "authorization",
        "token",
        "secret",
        "password",
        "cookie",
        "api-key",
        "apikey",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Where overrides of the environment and of flags stand in messages.
pub(crate) fn override_position(name: &str) -> Position {
    Position::outside(name)
}
