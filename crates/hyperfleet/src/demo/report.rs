//! The files and the table that the demo leaves behind.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::fact::Hop;
use super::watch::Watch;

/// What is kept from the moment at which the cluster was reconciled.
#[derive(Debug, Default)]
pub struct Kept {
    /// The ManifestWork, as Maestro shows it.
    pub work: Value,
    /// The HostedCluster, as the management cluster shows it.
    pub hosted_cluster: Value,
    /// The cluster and the adapters' reports, as the API shows them.
    pub conditions: Value,
}

/// The files that a report may have.
const FILES: [&str; 4] = [
    "manifestwork.yaml",
    "hostedcluster.yaml",
    "conditions.json",
    "timeline.json",
];

/// Removes the report of an earlier demo: what is in `folder` afterwards is about this one.
///
/// # Errors
/// When a file can't be removed.
pub fn clear(folder: &Path) -> anyhow::Result<()> {
    for name in FILES {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the report into `folder` and returns the files.
///
/// # Errors
/// When the folder or a file can't be written.
pub fn write(folder: &Path, kept: &Kept, watch: &Watch) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let timeline = json!({
        "milestones": watch.reached,
        "secondsPerHop": seconds_per_hop(watch),
        "facts": watch.timeline,
    });
    let texts = [
        yaml(&kept.work)?,
        yaml(&kept.hosted_cluster)?,
        pretty(&kept.conditions)?,
        pretty(&timeline)?,
    ];
    FILES
        .into_iter()
        .zip(texts)
        .filter(|(name, text)| name.ends_with(".json") || text.trim() != "null")
        .map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            Ok(path)
        })
        .collect()
}

/// Seconds between a milestone and the one before it, summed up per hop and stage.
pub fn seconds_per_hop(watch: &Watch) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut stages: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for reached in &watch.reached {
        stages.entry(reached.stage).or_default().push(reached);
    }
    for (stage, reached) in stages {
        let mut before = 0.0;
        for r in reached {
            let took = (r.seconds - before).max(0.0);
            before = r.seconds.max(before);
            rows.push(json!({
                "stage": stage, "hop": r.hop, "milestone": r.milestone,
                "seconds": round(took), "sinceStageBegan": round(r.seconds),
            }));
        }
    }
    rows
}

/// The closing summary for a person.
pub fn summary(watch: &Watch, kept: &Kept, files: &[PathBuf]) -> Vec<String> {
    let mut lines = vec![String::new(), "Report".to_owned()];
    let text = |v: &Value, p: &str| {
        v.pointer(p)
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    if kept.work.is_null() {
        lines.push("   sent to Maestro    nothing".to_owned());
    } else {
        lines.push(format!(
            "   sent to Maestro    {} for {}: {} manifest(s), update strategy {}",
            text(&kept.work, "/metadata/name"),
            text(&kept.work, "/metadata/namespace"),
            kept.work
                .pointer("/spec/workload/manifests")
                .and_then(Value::as_array)
                .map_or(0, Vec::len),
            text(&kept.work, "/spec/manifestConfigs/0/updateStrategy/type"),
        ));
        lines.push(format!(
            "   applied            HostedCluster {}/{}  release {}",
            text(&kept.hosted_cluster, "/metadata/namespace"),
            text(&kept.hosted_cluster, "/metadata/name"),
            text(&kept.hosted_cluster, "/spec/release/image"),
        ));
    }
    for condition in kept
        .conditions
        .pointer("/cluster/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(format!(
            "   condition          {}={}  {}",
            text(condition, "/type"),
            text(condition, "/status"),
            text(condition, "/reason"),
        ));
    }
    lines.push("   time per hop       stage  hop        seconds  milestone".to_owned());
    for row in seconds_per_hop(watch) {
        lines.push(format!(
            "                      {:<6} {:<10} {:>7.2}  {}",
            row["stage"],
            row["hop"].as_str().unwrap_or_default(),
            row["seconds"].as_f64().unwrap_or_default(),
            row["milestone"].as_str().unwrap_or_default(),
        ));
    }
    for file in files {
        lines.push(format!("   file               {}", file.display()));
    }
    lines
}

/// The hops at which something was seen at all.
pub fn hops_seen(watch: &Watch) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    for entry in &watch.timeline {
        if !hops.contains(&entry.hop) {
            hops.push(entry.hop);
        }
    }
    hops
}

fn yaml(value: &Value) -> anyhow::Result<String> {
    go_compat::yaml::to_string(value).context("write YAML")
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .context("write JSON")
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
