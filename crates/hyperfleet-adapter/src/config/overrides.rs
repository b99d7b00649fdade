//! Values that the environment and flags put over the file: flag > environment > file > default.

use std::collections::BTreeMap;

use super::deployment::override_position;
use super::tree::Node;

/// Environment variables after `HYPERFLEET_`, and the key each sets.
///
/// Variables for Maestro change a `clients.maestro` block. They make one only if both addresses and the source id
/// are among them: a stray variable must not turn an adapter for Kubernetes into one for Maestro.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("DEBUG_CONFIG", "debug_config"),
    (
        "MAESTRO_GRPC_SERVER_ADDRESS",
        "clients.maestro.grpc_server_address",
    ),
    (
        "MAESTRO_HTTP_SERVER_ADDRESS",
        "clients.maestro.http_server_address",
    ),
    ("MAESTRO_SOURCE_ID", "clients.maestro.source_id"),
    ("MAESTRO_CLIENT_ID", "clients.maestro.client_id"),
    ("MAESTRO_AUTH_TYPE", "clients.maestro.auth.type"),
    ("MAESTRO_CA_FILE", "clients.maestro.auth.tls_config.ca_file"),
    (
        "MAESTRO_CERT_FILE",
        "clients.maestro.auth.tls_config.cert_file",
    ),
    (
        "MAESTRO_KEY_FILE",
        "clients.maestro.auth.tls_config.key_file",
    ),
    (
        "MAESTRO_HTTP_CA_FILE",
        "clients.maestro.auth.tls_config.http_ca_file",
    ),
    ("MAESTRO_TOKEN_FILE", "clients.maestro.auth.token_file"),
    ("MAESTRO_TIMEOUT", "clients.maestro.timeout"),
    (
        "MAESTRO_SERVER_HEALTHINESS_TIMEOUT",
        "clients.maestro.server_healthiness_timeout",
    ),
    ("MAESTRO_RETRY_ATTEMPTS", "clients.maestro.retry_attempts"),
    ("MAESTRO_KEEPALIVE_TIME", "clients.maestro.keepalive.time"),
    (
        "MAESTRO_KEEPALIVE_TIMEOUT",
        "clients.maestro.keepalive.timeout",
    ),
    ("MAESTRO_INSECURE", "clients.maestro.insecure"),
    ("API_BASE_URL", "clients.hyperfleet_api.base_url"),
    ("API_VERSION", "clients.hyperfleet_api.version"),
    ("API_TIMEOUT", "clients.hyperfleet_api.timeout"),
    (
        "API_RETRY_ATTEMPTS",
        "clients.hyperfleet_api.retry_attempts",
    ),
    ("API_RETRY_BACKOFF", "clients.hyperfleet_api.retry_backoff"),
    ("API_BASE_DELAY", "clients.hyperfleet_api.base_delay"),
    ("API_MAX_DELAY", "clients.hyperfleet_api.max_delay"),
    (
        "API_AUTH_TOKEN_PATH",
        "clients.hyperfleet_api.auth.token_path",
    ),
    (
        "API_AUTH_TOKEN_CACHE_TTL",
        "clients.hyperfleet_api.auth.token_cache_ttl",
    ),
    ("BROKER_SUBSCRIPTION_ID", "clients.broker.subscription_id"),
    ("BROKER_TOPIC", "clients.broker.topic"),
    (
        "KUBERNETES_KUBE_CONFIG_PATH",
        "clients.kubernetes.kube_config_path",
    ),
    ("KUBERNETES_API_VERSION", "clients.kubernetes.api_version"),
    ("KUBERNETES_QPS", "clients.kubernetes.qps"),
    ("KUBERNETES_BURST", "clients.kubernetes.burst"),
];

/// Variables without the prefix: name, key, and whether the value is lower-cased.
const PLAIN: &[(&str, &str, bool)] = &[
    ("LOG_LEVEL", "log.level", true),
    ("LOG_FORMAT", "log.format", true),
    ("LOG_OUTPUT", "log.output", false),
    (
        "BROKER_SUBSCRIPTION_ID",
        "clients.broker.subscription_id",
        false,
    ),
    ("BROKER_TOPIC", "clients.broker.topic", false),
    (
        "SUBSCRIBER_PARALLELISM",
        "clients.broker.parallelism",
        false,
    ),
];

/// The seed's names for two Maestro addresses; used only where the file has a `clients.maestro` block without them.
const SEED: &[(&str, &str)] = &[
    ("MAESTRO_API_URL", "http_server_address"),
    ("MAESTRO_GRPC_URL", "grpc_server_address"),
];

/// Puts the environment over the file's tree.
pub(crate) fn apply_environment(tree: &mut Node, environment: &BTreeMap<String, String>) {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    for (name, key, lower) in PLAIN {
        if let Some(value) = value(name) {
            let value = if *lower {
                value.to_lowercase()
            } else {
                value.clone()
            };
            put(tree, &format!("environment {name}"), key, &value);
        }
    }
    let maestro = tree
        .at_path("clients.maestro")
        .is_some_and(|maestro| !maestro.is_null())
        || ["GRPC_SERVER_ADDRESS", "HTTP_SERVER_ADDRESS", "SOURCE_ID"]
            .iter()
            .all(|suffix| value(&format!("HYPERFLEET_MAESTRO_{suffix}")).is_some());
    for (suffix, key) in ENVIRONMENT {
        let name = format!("HYPERFLEET_{suffix}");
        if let Some(value) = value(&name) {
            if key.starts_with("clients.maestro.") && !maestro {
                continue;
            }
            put(tree, &format!("environment {name}"), key, value);
        }
    }
    if tree
        .at_path("clients.maestro")
        .is_some_and(|maestro| !maestro.is_null())
    {
        for (name, key) in SEED {
            let path = format!("clients.maestro.{key}");
            if let Some(value) = value(name)
                && tree.at_path(&path).is_none()
            {
                put(tree, &format!("environment {name}"), &path, value);
            }
        }
    }
}

/// Puts one flag (or another explicit setting) over everything.
pub(crate) fn apply_setting(tree: &mut Node, key: &str, value: &serde_json::Value) {
    let at = override_position(&format!("setting {key}"));
    tree.set_path(key, Node::from_json(&at, value));
}

fn put(tree: &mut Node, origin: &str, key: &str, value: &str) {
    let at = override_position(origin);
    tree.set_path(key, Node::text(&at, value));
}
