//! The deployment config: where to connect. Keys, defaults and rules: `docs/protocol/adapter-config.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::problem::{Problem, Problems, Stage};
use super::read::Reader;
use super::tree::{Node, Position};

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

/// Reads the merged tree. Missing keys take their defaults.
pub(crate) fn read(tree: &Node, problems: &Problems) -> Config {
    let mut config = Config::default();
    let root = Reader::new(tree, "", problems);
    let known = [
        "adapter",
        "debug_config",
        "log",
        "clients",
        "schemaVersion",
        "ack_policy",
        "event_timeout",
        "report_param_failures",
        "rerun",
        "server_side_apply",
        "legacy_params",
        "policy",
        "health_listen",
        "metrics_listen",
    ];
    if !root.map(&known) {
        return config;
    }
    match root.get("adapter") {
        Some(adapter) if adapter.map(&["name", "version"]) => {
            config.adapter.name = adapter.required_text("name").unwrap_or_default();
            config.adapter.version = adapter.optional_text("version").unwrap_or_default();
        }
        Some(_) => {}
        None => {
            let at = tree
                .entry("adapter")
                .map_or(&tree.at, |entry| &entry.key_at);
            problems.error(
                Stage::Structure,
                Problem::new(at, "adapter.name", "adapter.name is required"),
            );
        }
    }
    if let Some(version) = root.get("schemaVersion") {
        read_schema_version(&version);
    }
    set(
        &mut config.debug_config,
        root.get("debug_config").and_then(|r| r.bool()),
    );
    read_log(&root, &mut config.log);
    if let Some(clients) = root.get("clients")
        && clients.map(&["maestro", "hyperfleet_api", "broker", "kubernetes"])
    {
        read_api(&clients, &mut config.clients.hyperfleet_api);
        config.clients.maestro = clients.get("maestro").map(|maestro| read_maestro(&maestro));
        read_broker(&clients, &mut config.clients.broker);
        read_kubernetes(&clients, &mut config.clients.kubernetes);
    }
    read_extensions(&root, &mut config);
    config
}

/// `1`, `"1"` and `v1` are this schema.
pub(crate) fn read_schema_version(reader: &Reader<'_>) {
    let Some(text) = reader.text() else { return };
    let major = text
        .trim_start_matches('v')
        .split('.')
        .next()
        .unwrap_or_default();
    match major.parse::<u32>() {
        Ok(0 | 1) => {}
        Ok(_) => reader.semantic(format!(
            "schemaVersion {text:?} is newer than this binary understands (1)"
        )),
        Err(_) => reader.semantic(format!(
            "schemaVersion {text:?} is no version: expected 1, \"1\" or v1"
        )),
    }
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn read_log(root: &Reader<'_>, log: &mut Log) {
    let Some(reader) = root.get("log") else {
        return;
    };
    if !reader.map(&["level", "format", "output"]) {
        return;
    }
    if let Some(level) = reader.optional_text("level") {
        log.level = match level.to_ascii_lowercase().as_str() {
            "debug" => "debug".into(),
            "warn" | "warning" => "warn".into(),
            "error" => "error".into(),
            _ => "info".into(),
        };
    }
    if let Some(child) = reader.get("format")
        && let Some(format) = child.text()
    {
        match format.to_ascii_lowercase().as_str() {
            "" => {}
            word @ ("json" | "text") => log.format = word.into(),
            _ => child.error(
                Stage::Structure,
                format!("invalid log format {format:?}: must be \"json\" or \"text\""),
            ),
        }
    }
    if let Some(child) = reader.get("output")
        && let Some(output) = child.text()
    {
        match output.to_ascii_lowercase().as_str() {
            "" => {}
            word @ ("stdout" | "stderr") => log.output = word.into(),
            _ => child.error(
                Stage::Structure,
                format!("invalid log output {output:?}: must be 'stdout', 'stderr', or empty"),
            ),
        }
    }
}

fn read_api(clients: &Reader<'_>, api: &mut HyperfleetApi) {
    let Some(reader) = clients.get("hyperfleet_api") else {
        return;
    };
    if !reader.map(&[
        "base_url",
        "version",
        "timeout",
        "retry_attempts",
        "retry_backoff",
        "base_delay",
        "max_delay",
        "default_headers",
        "auth",
    ]) {
        return;
    }
    set(&mut api.base_url, reader.optional_text("base_url"));
    if let Some(version) = reader.optional_text("version")
        && !version.is_empty()
    {
        api.version = version;
    }
    for (slot, key) in [
        (&mut api.timeout, "timeout"),
        (&mut api.base_delay, "base_delay"),
        (&mut api.max_delay, "max_delay"),
    ] {
        // 0 means the default, as upstream.
        set(
            slot,
            reader
                .get(key)
                .and_then(|r| r.duration())
                .filter(|duration| !duration.is_zero()),
        );
    }
    set(
        &mut api.retry_attempts,
        reader
            .get("retry_attempts")
            .and_then(|r| r.integer())
            .filter(|n| *n > 0)
            .and_then(|n| u32::try_from(n).ok()),
    );
    if let Some(child) = reader.get("retry_backoff")
        && let Some(word) = child.text()
    {
        match Backoff::parse(&word) {
            Some(backoff) => api.retry_backoff = backoff,
            None => child.error(
                Stage::Structure,
                format!("invalid retry backoff strategy {word:?} (supported: exponential, linear, constant)"),
            ),
        }
    }
    set(
        &mut api.default_headers,
        reader.get("default_headers").map(|r| r.text_map()),
    );
    if let Some(auth) = reader.get("auth")
        && auth.map(&["token_path", "token_cache_ttl"])
    {
        api.auth = read_api_auth(&auth);
    }
}

fn read_api_auth(auth: &Reader<'_>) -> Option<ApiAuth> {
    let path = auth.optional_text("token_path").unwrap_or_default();
    if path.is_empty() {
        auth.error(
            Stage::Structure,
            "clients.hyperfleet_api.auth.token_path must be set when auth is configured",
        );
        return None;
    }
    if !Path::new(&path).is_absolute() {
        auth.error(
            Stage::Structure,
            format!(
                "clients.hyperfleet_api.auth.token_path must be an absolute path, got {path:?}"
            ),
        );
    }
    let mut token_cache_ttl = Duration::ZERO;
    if let Some(ttl) = auth.get("token_cache_ttl") {
        if ttl
            .node
            .as_text()
            .is_some_and(|text| text.trim_start().starts_with('-'))
        {
            ttl.error(
                Stage::Structure,
                "clients.hyperfleet_api.auth.token_cache_ttl must not be negative",
            );
        } else {
            set(&mut token_cache_ttl, ttl.duration());
        }
    }
    Some(ApiAuth {
        token_path: path,
        token_cache_ttl,
    })
}

fn read_maestro(reader: &Reader<'_>) -> Maestro {
    let mut maestro = Maestro {
        http_server_address: String::new(),
        grpc_server_address: String::new(),
        source_id: String::new(),
        client_id: String::new(),
        auth: MaestroAuth::default(),
        timeout: Duration::from_secs(10),
        server_healthiness_timeout: Duration::from_secs(20),
        retry_attempts: 3,
        keepalive_time: None,
        keepalive_timeout: None,
        insecure: false,
    };
    if !reader.map(&[
        "http_server_address",
        "grpc_server_address",
        "source_id",
        "client_id",
        "auth",
        "timeout",
        "server_healthiness_timeout",
        "retry_attempts",
        "keepalive",
        "insecure",
    ]) {
        return maestro;
    }
    set(
        &mut maestro.insecure,
        reader.get("insecure").and_then(|r| r.bool()),
    );
    maestro.http_server_address = reader
        .required_text("http_server_address")
        .unwrap_or_default();
    maestro.grpc_server_address = reader
        .required_text("grpc_server_address")
        .unwrap_or_default();
    maestro.source_id = reader.required_text("source_id").unwrap_or_default();
    check_rest_scheme(reader, &maestro);
    if let Some(client) = reader.get("client_id") {
        set(&mut maestro.client_id, client.text());
        if !maestro.client_id.is_empty() {
            client.warn("client_id is accepted for compatibility and has no effect");
        }
    }
    for (slot, key, name) in [
        (&mut maestro.timeout, "timeout", "timeout"),
        (
            &mut maestro.server_healthiness_timeout,
            "server_healthiness_timeout",
            "serverHealthinessTimeout",
        ),
    ] {
        if let Some(child) = reader.get(key)
            && let Some(text) = child.text()
        {
            match go_compat::duration::parse(&text) {
                Ok(duration) if !duration.is_zero() => *slot = duration,
                Ok(_) => {}
                Err(error) => {
                    child.error(
                        Stage::Structure,
                        format!("invalid maestro {name} {text:?}: {error}"),
                    );
                }
            }
        }
    }
    set(
        &mut maestro.retry_attempts,
        reader
            .get("retry_attempts")
            .and_then(|r| r.integer())
            .filter(|n| *n > 0)
            .and_then(|n| u32::try_from(n).ok()),
    );
    if let Some(keepalive) = reader.get("keepalive")
        && keepalive.map(&["time", "timeout"])
    {
        maestro.keepalive_time = keepalive.get("time").and_then(|r| r.duration());
        maestro.keepalive_timeout = keepalive.get("timeout").and_then(|r| r.duration());
    }
    if let Some(auth) = reader.get("auth")
        && auth.map(&["type", "tls_config", "token_file"])
    {
        maestro.auth = read_maestro_auth(&auth);
    }
    maestro
}

fn check_rest_scheme(reader: &Reader<'_>, maestro: &Maestro) {
    let address = &maestro.http_server_address;
    if address.is_empty() {
        return;
    }
    let Some(child) = reader.get("http_server_address") else {
        return;
    };
    match address.split_once("://").map(|(scheme, _)| scheme) {
        Some("https") => {}
        Some("http") if maestro.insecure => {}
        Some("http") => child.semantic(
            "MaestroServerAddr must use https:// scheme when Insecure=false (got \"http\"); use https:// URL or set \
             Insecure=true for http:// connections",
        ),
        other => child.semantic(format!(
            "MaestroServerAddr must use http:// or https:// scheme (got scheme {:?} in {address:?})",
            other.unwrap_or_default()
        )),
    }
}

fn read_maestro_auth(reader: &Reader<'_>) -> MaestroAuth {
    let mut auth = MaestroAuth::default();
    let file =
        |reader: &Reader<'_>, key: &str| reader.optional_text(key).filter(|path| !path.is_empty());
    if let Some(kind) = reader.get("type")
        && let Some(word) = kind.text()
    {
        match word.as_str() {
            "" | "none" | "tls" | "token" => auth.kind = word,
            _ => kind.structural(&format!("{word:?} is invalid (allowed: none, tls, token)")),
        }
    }
    auth.token_file = file(reader, "token_file");
    if let Some(tls) = reader.get("tls_config")
        && tls.map(&["ca_file", "cert_file", "key_file", "http_ca_file"])
    {
        auth.ca_file = file(&tls, "ca_file");
        auth.cert_file = file(&tls, "cert_file");
        auth.key_file = file(&tls, "key_file");
        auth.http_ca_file = file(&tls, "http_ca_file");
        if auth.cert_file.is_some() != auth.key_file.is_some() {
            tls.semantic("cert_file and key_file must be set together");
        }
    }
    if auth.kind == "token" && auth.token_file.is_none() {
        reader.semantic("auth.type token needs token_file");
    }
    auth
}

fn read_broker(clients: &Reader<'_>, broker: &mut Broker) {
    let Some(reader) = clients.get("broker") else {
        return;
    };
    if !reader.map(&[
        "subscription_id",
        "topic",
        "parallelism",
        "max_deliveries",
        "min_backoff",
        "max_backoff",
    ]) {
        return;
    }
    set(
        &mut broker.subscription_id,
        reader.optional_text("subscription_id"),
    );
    set(&mut broker.topic, reader.optional_text("topic"));
    set(
        &mut broker.parallelism,
        at_least_one(&reader, "parallelism").and_then(|n| usize::try_from(n).ok()),
    );
    set(
        &mut broker.max_deliveries,
        at_least_one(&reader, "max_deliveries").and_then(|n| u32::try_from(n).ok()),
    );
    set(
        &mut broker.min_backoff,
        reader.get("min_backoff").and_then(|r| r.duration()),
    );
    set(
        &mut broker.max_backoff,
        reader.get("max_backoff").and_then(|r| r.duration()),
    );
}

fn at_least_one(reader: &Reader<'_>, key: &str) -> Option<i64> {
    let child = reader.get(key)?;
    let number = child.integer()?;
    if (1..=100_000).contains(&number) {
        return Some(number);
    }
    child.structural("must be between 1 and 100000");
    None
}

fn read_kubernetes(clients: &Reader<'_>, kubernetes: &mut Kubernetes) {
    let Some(reader) = clients.get("kubernetes") else {
        return;
    };
    if !reader.map(&["kube_config_path", "qps", "burst", "api_version"]) {
        return;
    }
    set(
        &mut kubernetes.kube_config_path,
        reader.optional_text("kube_config_path"),
    );
    set(
        &mut kubernetes.qps,
        reader
            .get("qps")
            .and_then(|r| r.float())
            .filter(|qps| *qps > 0.0),
    );
    set(
        &mut kubernetes.burst,
        reader
            .get("burst")
            .and_then(|r| r.integer())
            .filter(|n| *n > 0)
            .and_then(|n| u32::try_from(n).ok()),
    );
    if let Some(version) = reader.get("api_version") {
        version.warn("api_version is accepted for compatibility and has no effect");
    }
}

fn read_extensions(root: &Reader<'_>, config: &mut Config) {
    if let Some(child) = root.get("ack_policy")
        && let Some(word) = child.text()
    {
        match word.as_str() {
            "always" => config.ack_policy = AckPolicy::Always,
            "selective" => config.ack_policy = AckPolicy::Selective,
            _ => child.structural(&format!("{word:?} is invalid (allowed: always, selective)")),
        }
    }
    if let Some(child) = root.get("event_timeout")
        && let Some(duration) = child.duration()
    {
        if duration.is_zero() {
            child.structural("must be greater than 0");
        } else {
            config.event_timeout = duration;
        }
    }
    set(
        &mut config.report_param_failures,
        root.get("report_param_failures").and_then(|r| r.bool()),
    );
    set(
        &mut config.server_side_apply,
        root.get("server_side_apply").and_then(|r| r.bool()),
    );
    if let Some(rerun) = root.get("rerun")
        && rerun.map(&["enabled", "coalesce"])
    {
        set(
            &mut config.rerun.enabled,
            rerun.get("enabled").and_then(|r| r.bool()),
        );
        set(
            &mut config.rerun.coalesce,
            rerun.get("coalesce").and_then(|r| r.duration()),
        );
    }
    if let Some(params) = root.get("legacy_params")
        && params.any_map()
    {
        config.legacy_params = params
            .node
            .entries()
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.to_json()))
            .collect();
    }
    if let Some(policy) = root.get("policy")
        && policy.any_map()
        && let Value::Object(map) = policy.json()
    {
        config.policy = map;
    }
    set(
        &mut config.health_listen,
        root.get("health_listen").and_then(|r| r.text()),
    );
    set(
        &mut config.metrics_listen,
        root.get("metrics_listen").and_then(|r| r.text()),
    );
}

/// Where overrides of the environment and of flags stand in messages.
pub(crate) fn override_position(name: &str) -> Position {
    Position::outside(name)
}
