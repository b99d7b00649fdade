//! Golden bytes and attributes of the protocol, tolerance of its readers, words of its errors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod agent;
mod server;
mod source;
mod stored;
mod types;
mod wire;

use event_wire::{Event, Stamp, proto};
use proptest::prelude::*;

/// Sources and consumers of all examples.
const SOURCE: &str = "controlplane-adapter";
const CONSUMER: &str = "us-east-mgmt-01";
const AGENT: &str = "us-east-mgmt-01-work-agent";
const ID: &str = "a0368fb6-32c0-52ec-8a38-4de8388e3c3e";
const BUNDLE: &str = r#"{"manifests":[{"apiVersion":"hypershift.openshift.io/v1beta1","kind":"HostedCluster","metadata":{"name":"my-cluster","namespace":"clusters"},"spec":{"platform":{"type":"GCP"}}}],"deleteOption":{"propagationPolicy":"Foreground"},"manifestConfigs":[{"resourceIdentifier":{"group":"hypershift.openshift.io","resource":"hostedclusters","name":"my-cluster","namespace":"clusters"},"feedbackRules":[{"type":"JSONPaths","jsonPaths":[{"name":"status","path":".status"}]}],"updateStrategy":{"type":"ServerSideApply"}}]}"#;
const STATUS: &str = r#"{"conditions":[{"type":"Applied","status":"True","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:03Z","reason":"AppliedManifestWorkComplete","message":"Apply manifest work complete"},{"type":"Available","status":"True","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:04Z","reason":"ResourcesAvailable","message":"All resources are available"}],"resourceStatus":[{"resourceMeta":{"ordinal":0,"group":"hypershift.openshift.io","version":"v1beta1","kind":"HostedCluster","resource":"hostedclusters","name":"my-cluster","namespace":"clusters"},"statusFeedback":{"values":[{"name":"status","fieldValue":{"type":"JsonRaw","jsonRaw":"{\"conditions\":[{\"type\":\"Available\",\"status\":\"False\"}]}"}}]},"conditions":[{"type":"Applied","status":"True","lastTransitionTime":"2026-01-01T00:00:03Z","reason":"AppliedManifestComplete","message":"Apply manifest complete"}]}]}"#;

fn stamp(id: &str, time: &str) -> Stamp {
    Stamp {
        id: id.parse().unwrap(),
        time: time.parse().unwrap(),
    }
}

/// Attributes as `key=arm:value`, sorted: easy to read beside the protocol's page.
fn attributes(event: &Event) -> Vec<String> {
    use proto::cloud_event_attribute_value::Attr;
    proto::CloudEvent::from(event)
        .attributes
        .iter()
        .map(|(key, value)| match value.attr.as_ref().unwrap() {
            Attr::CeInteger(number) => format!("{key}=int:{number}"),
            Attr::CeString(text) => format!("{key}=string:{text}"),
            Attr::CeTimestamp(time) => format!("{key}=time:{}.{}", time.seconds, time.nanos),
            other => format!("{key}={other:?}"),
        })
        .collect()
}

fn data(event: &Event) -> &str {
    std::str::from_utf8(event.data.as_deref().unwrap_or_default()).unwrap()
}

/// The example work after the server has given it a version.
fn work() -> manifestwork::ManifestWork {
    let mut work = manifestwork::ManifestWork::new(CONSUMER, "hostedcluster-abc123");
    work.metadata.uid = ID.to_owned();
    work.metadata
        .labels
        .insert("hyperfleet.io/cluster-id".into(), "abc123".into());
    work.spec = serde_json::from_str::<event_wire::payload::ManifestBundle>(BUNDLE)
        .unwrap()
        .into();
    work
}

fn quick(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
