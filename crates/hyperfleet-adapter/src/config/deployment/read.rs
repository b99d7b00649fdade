//! From the merged tree to the typed deployment config.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::problem::{Problem, Problems, Stage};
use super::super::read::Reader;
use super::super::tree::Node;
use super::{
    AckPolicy, ApiAuth, Backoff, Broker, Config, HyperfleetApi, Kubernetes, Log, Maestro,
    MaestroAuth,
};

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
        schema_version(&version);
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
pub(crate) fn schema_version(reader: &Reader<'_>) {
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
