//! Older spellings of the deployment config: camelCase, the envelope, no `clients` level.

use super::super::problem::Problems;
use super::super::tree::{Kind, Node};
use super::{Notes, rename};

/// camelCase key → current key, for the block at the path.
const RENAMES: &[(&str, &[(&str, &str)])] = &[
    ("", &[("debugConfig", "debug_config")]),
    ("clients", &[("hyperfleetApi", "hyperfleet_api")]),
    (
        "clients.hyperfleet_api",
        &[
            ("baseUrl", "base_url"),
            ("retryAttempts", "retry_attempts"),
            ("retryBackoff", "retry_backoff"),
            ("baseDelay", "base_delay"),
            ("maxDelay", "max_delay"),
            ("defaultHeaders", "default_headers"),
        ],
    ),
    ("clients.broker", &[("subscriptionId", "subscription_id")]),
    (
        "clients.kubernetes",
        &[
            ("apiVersion", "api_version"),
            ("kubeConfigPath", "kube_config_path"),
        ],
    ),
    (
        "clients.maestro",
        &[
            ("grpcServerAddress", "grpc_server_address"),
            ("httpServerAddress", "http_server_address"),
            ("sourceId", "source_id"),
            ("clientId", "client_id"),
            ("retryAttempts", "retry_attempts"),
            ("serverHealthinessTimeout", "server_healthiness_timeout"),
        ],
    ),
    (
        "clients.maestro.auth",
        &[("tlsConfig", "tls_config"), ("tokenFile", "token_file")],
    ),
    (
        "clients.maestro.auth.tls_config",
        &[
            ("caFile", "ca_file"),
            ("certFile", "cert_file"),
            ("keyFile", "key_file"),
            ("httpCaFile", "http_ca_file"),
        ],
    ),
];

/// Blocks that once stood at the top level.
const CLIENTS: &[(&str, &str)] = &[
    ("hyperfleetApi", "hyperfleet_api"),
    ("hyperfleet_api", "hyperfleet_api"),
    ("kubernetes", "kubernetes"),
    ("maestro", "maestro"),
    ("broker", "broker"),
];

/// Rewrites a deployment config in place.
pub(crate) fn rewrite(tree: &mut Node, notes: &Notes, problems: &Problems) {
    open_envelope(tree, notes);
    lift_clients(tree, notes);
    for (path, renames) in RENAMES {
        let Some(block) = block_mut(tree, path) else {
            continue;
        };
        for (old, new) in *renames {
            // One-word keys are the same in all generations; these mark a current document, unless the key was moved
            // here just now.
            rename(block, path, old, new, *path != "clients", notes, problems);
        }
    }
    if let Some(version) = tree.entry("schemaVersion") {
        notes.current(&version.key_at, "schemaVersion");
    }
}

/// Moves `spec.*` up and `metadata.name` to `adapter.name`.
fn open_envelope(tree: &mut Node, notes: &Notes) {
    if !(tree.has("apiVersion") && tree.has("kind") && tree.has("spec")) {
        return;
    }
    let name = tree
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .cloned();
    for key in ["apiVersion", "kind", "metadata"] {
        tree.take(key);
    }
    let Some(spec) = tree.take("spec") else {
        return;
    };
    notes.older(
        &spec.key_at,
        "spec",
        "the envelope apiVersion/kind/metadata/spec",
        "the keys of spec at the top level",
    );
    if let Kind::Map(entries) = spec.value.kind {
        for entry in entries {
            tree.set(&entry.key, entry.value);
        }
    }
    if let Some(name) = name
        && tree.at_path("adapter.name").is_none()
    {
        tree.set_path("adapter.name", name);
    }
}

/// Moves the client blocks below `clients`.
pub(super) fn lift_clients(tree: &mut Node, notes: &Notes) {
    for (old, new) in CLIENTS {
        let Some(entry) = tree.take(old) else {
            continue;
        };
        notes.older(
            &entry.key_at,
            old,
            &format!("{old} at the top level"),
            &format!("clients.{new}"),
        );
        let path = format!("clients.{new}");
        if tree.at_path(&path).is_none() {
            tree.set_path(&path, entry.value);
        }
    }
}

fn block_mut<'a>(tree: &'a mut Node, path: &str) -> Option<&'a mut Node> {
    if path.is_empty() {
        return Some(tree);
    }
    path.split('.')
        .try_fold(tree, |node, key| node.get_mut(key))
}
