//! Text for people.

use std::fmt::Write;

use maestro_client::Bundle;
use manifestwork::serde_util::seconds;

use super::views::{feedback, names};

const LINE: &str = "─────────────────────────────────────────";

/// Text of `list`.
#[must_use]
pub fn list(bundles: &[Bundle], consumer: &str, filter: Option<&str>) -> String {
    if bundles.is_empty() {
        return match filter {
            Some(filter) => {
                format!("No ManifestWorks matching '{filter}' found for consumer {consumer}\n")
            }
            None => format!("No ManifestWorks found for consumer {consumer}\n"),
        };
    }
    let mut out = String::new();
    for bundle in bundles {
        let _ = writeln!(out, "ManifestWork: {}", bundle.work_name());
        let _ = writeln!(out, "  ID:        {}", bundle.id);
        let _ = writeln!(out, "  Version:   {}", bundle.version);
        let _ = writeln!(out, "  Created:   {}", time(bundle.created_at));
        let _ = writeln!(out, "  Updated:   {}", time(bundle.updated_at));
        if let Some(since) = bundle.deleted_at.or(bundle.metadata.deletion_timestamp) {
            let _ = writeln!(out, "  Deleting since: {}", seconds::to_string(since));
        }
        let _ = writeln!(out, "  Manifests ({}):", bundle.manifests.len());
        for name in names(&bundle.manifests) {
            let _ = writeln!(out, "    - {name}");
        }
        let conditions = bundle
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        if !conditions.is_empty() {
            out.push_str("  Conditions:\n");
            for condition in conditions {
                let _ = writeln!(out, "    - {}: {}", condition.type_, condition.status);
            }
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "{LINE}\nTotal: {} ManifestWork(s) for consumer {consumer}",
        bundles.len()
    );
    out
}

/// Text of `describe`.
#[must_use]
pub fn describe(bundle: &Bundle) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "{:<14}{value}", format!("{key}:"));
    };
    line("Name", bundle.work_name());
    line("ID", &bundle.id);
    line("Consumer", &bundle.consumer_name);
    line("Version", &bundle.version.to_string());
    line("Created", &time(bundle.created_at));
    line("Updated", &time(bundle.updated_at));
    if let Some(since) = bundle.deleted_at.or(bundle.metadata.deletion_timestamp) {
        line("Deleting", &format!("since {}", seconds::to_string(since)));
    }
    out.push_str("\nConditions:\n");
    let status = bundle.status.clone().unwrap_or_default();
    if status.conditions.is_empty() {
        out.push_str("  (none)\n");
    }
    for condition in &status.conditions {
        let _ = writeln!(out, "  {}:", condition.type_);
        let _ = writeln!(out, "    Status:  {}", condition.status);
        for (key, value) in [
            ("Reason:  ", &condition.reason),
            ("Message: ", &condition.message),
        ] {
            if !value.is_empty() {
                let _ = writeln!(out, "    {key}{value}");
            }
        }
        if let Some(at) = condition.last_transition_time {
            let _ = writeln!(out, "    LastTransitionTime: {}", seconds::to_string(at));
        }
    }
    if bundle.status.is_some() && status.observed_version < bundle.version {
        let _ = writeln!(
            out,
            "  (about version {}; the agent has not yet reported on version {})",
            status.observed_version, bundle.version
        );
    }
    let _ = writeln!(out, "\nManifests ({}):", bundle.manifests.len());
    for (index, name) in names(&bundle.manifests).iter().enumerate() {
        let _ = writeln!(out, "  [{index}] {name}");
    }
    if !status.resource_status.is_empty() {
        out.push_str("\nResource Status:\n");
        for resource in &status.resource_status {
            let meta = &resource.resource_meta;
            let _ = writeln!(out, "  {}/{}:", meta.kind, meta.name);
            if !meta.namespace.is_empty() {
                let _ = writeln!(out, "    Namespace: {}", meta.namespace);
            }
            for condition in &resource.conditions {
                let why = if condition.message.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", condition.message)
                };
                let _ = writeln!(out, "    {}: {}{why}", condition.type_, condition.status);
            }
            let values = feedback(resource);
            if !values.is_empty() {
                out.push_str("    Feedback:\n");
                for (name, value) in values {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    let _ = writeln!(out, "      {name}: {text}");
                }
            }
        }
    }
    let policy = bundle
        .delete_option
        .as_ref()
        .map(|option| option.propagation_policy.as_str())
        .unwrap_or_default();
    if !policy.is_empty() {
        let _ = writeln!(out, "\nDelete Option: {policy}");
    }
    out
}

fn time(time: Option<jiff::Timestamp>) -> String {
    time.map(seconds::to_string).unwrap_or_default()
}
