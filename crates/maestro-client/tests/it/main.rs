//! The client against a server in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[allow(
    dead_code,
    reason = "shared with the CLI's tests, which press other buttons"
)]
mod fake;

mod away;
mod changing;
mod executors;
mod half_open;
mod listing;
mod other_ids;
mod peer;
mod refusals;
mod security;
mod watching;

use std::time::Duration;

use fake::Fake;
use maestro_client::{Client, Config, LabelSelector, ListOptions, Patch};
use manifestwork::{Manifest, ManifestWork};
use serde_json::json;

/// Long enough for a slow machine; nothing waits for it when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

fn config(fake: &Fake) -> Config {
    Config {
        rest_url: fake.rest_url(),
        grpc_address: fake.grpc.to_string(),
        source_id: "s1".to_owned(),
        ..Config::default()
    }
}

fn client(fake: &Fake) -> Client {
    Client::new(config(fake)).unwrap()
}

fn config_map(name: &str, value: &str) -> Manifest {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"key": value}}).into()
}

fn work(name: &str, value: &str) -> ManifestWork {
    let mut work = ManifestWork::new("c1", name);
    work.spec.workload.manifests.push(config_map(name, value));
    work
}

#[test]
fn every_call_can_be_made_from_a_spawned_task() {
    fn sendable<T: Send>(_: &T) {}
    let client = Client::new(Config {
        source_id: "s".into(),
        ..Config::default()
    })
    .unwrap();
    let (works, consumers) = (client.works("c"), client.consumers());
    let (work, patch, options) = (
        work("w", "1"),
        Patch::Merge(json!({})),
        ListOptions::default(),
    );
    sendable(&works.get("w"));
    sendable(&works.list(&options));
    sendable(&works.create(&work));
    sendable(&works.patch("w", &patch));
    sendable(&works.apply(&work));
    sendable(&works.edit("w", |_| {}));
    sendable(&works.delete("w"));
    sendable(&works.delete_matching(&LabelSelector::default()));
    sendable(&works.walk(&LabelSelector::default()).unwrap().next());
    sendable(&consumers.list());
}
