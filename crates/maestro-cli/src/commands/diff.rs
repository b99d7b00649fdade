//! `diff`: a file against what Maestro has.

use std::{collections::BTreeMap, fmt::Write};

use manifestwork::{ManifestWork, Spec};
use serde_json::{Map, Value};
use similar::TextDiff;

use super::Context;
use crate::{
    ExitCode, Failure, cli, lookup, manifests,
    output::{self, views},
    usage::required,
};

/// Metadata that only the server or cluster writes.
const IGNORED_METADATA: [&str; 6] = [
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
];

pub(crate) async fn run(context: Context, flags: cli::Diff) -> Result<ExitCode, Failure> {
    let file = (!flags.manifest_file.is_empty()).then(|| flags.manifest_file.join(","));
    let [consumer, _] = required([("consumer", &flags.consumer), ("manifest-file", &file)])?;
    let local = manifests::load(&flags.manifest_file, flags.name.as_deref(), &consumer)
        .map_err(|failure| failure.context("failed to load local ManifestWork"))?;
    let name = local.metadata.name.clone();
    let found = context
        .bounded("diff", async {
            lookup::consumer(&context.client, &consumer).await?;
            match lookup::one(&context.client, &consumer, &name, None).await? {
                Some(found) => Ok(Some(context.client.bundles().get(&found.id).await?)),
                None => Ok(None),
            }
        })
        .await?;
    let Some(bundle) = found else {
        let mut out = format!(
            "ManifestWork {name:?} does not exist on consumer {consumer:?}\n\nLocal ManifestWork would CREATE:\n"
        );
        let names = views::names(&local.spec.workload.manifests);
        let _ = writeln!(out, "  Name: {name}\n  Manifests: {}", names.len());
        for (index, name) in names.iter().enumerate() {
            let _ = writeln!(out, "    [{index}] {name}");
        }
        output::print(&out)?;
        return Ok(exit(&flags, false));
    };
    let header = format!(
        "Comparing ManifestWork {name:?}\n  Remote ID: {}\n  Remote Version: {}\n\n",
        bundle.id, bundle.version
    );
    let remote = ManifestWork::from(bundle);
    let (text, same) = compare(&local, &remote);
    let mut out = header + &text;
    if flags.show_diff && !same {
        let yaml =
            |work: &ManifestWork| go_compat::yaml::to_string(&whole(work)).unwrap_or_default();
        let (before, after) = (yaml(&remote), yaml(&local));
        let lines = TextDiff::from_lines(before.as_str(), after.as_str());
        let _ = write!(out, "\n{}", lines.unified_diff().header("remote", "local"));
    }
    output::print(&out)?;
    Ok(exit(&flags, same))
}

fn exit(flags: &cli::Diff, same: bool) -> ExitCode {
    if flags.exit_code && !same {
        ExitCode::Failed
    } else {
        ExitCode::Ok
    }
}

/// The difference as text, and whether there is none.
fn compare(local: &ManifestWork, remote: &ManifestWork) -> (String, bool) {
    let (ours, theirs) = (by_key(&local.spec), by_key(&remote.spec));
    let mut out = String::new();
    if ours.len() != theirs.len() {
        let _ = writeln!(
            out,
            "Manifest count differs: local={}, remote={}",
            ours.len(),
            theirs.len()
        );
    }
    let added: Vec<&String> = ours
        .keys()
        .filter(|key| !theirs.contains_key(*key))
        .collect();
    let removed: Vec<&String> = theirs
        .keys()
        .filter(|key| !ours.contains_key(*key))
        .collect();
    let mut modified = Vec::new();
    for (key, value) in &ours {
        if let Some(before) = theirs.get(key) {
            let mut changes = Vec::new();
            differences("", before, value, &mut changes);
            if !changes.is_empty() {
                modified.push((key.clone(), changes));
            }
        }
    }
    // Beside the manifests: everything else that travels.
    let mut changes = Vec::new();
    differences("", &settings(remote), &settings(local), &mut changes);
    if !changes.is_empty() {
        modified.push(("ManifestWork".to_owned(), changes));
    }
    if added.is_empty() && removed.is_empty() && modified.is_empty() {
        return (
            "No differences found - manifests are identical\n".to_owned(),
            true,
        );
    }
    out.push_str("Differences found:\n\n");
    for (sign, title, keys) in [('+', "Added", &added), ('-', "Removed", &removed)] {
        if !keys.is_empty() {
            let _ = writeln!(out, "  {sign} {title} ({}):", keys.len());
            for key in keys {
                let _ = writeln!(out, "    {sign} {key}");
            }
            out.push('\n');
        }
    }
    if !modified.is_empty() {
        let _ = writeln!(out, "  ~ Modified ({}):", modified.len());
        for (key, changes) in &modified {
            let _ = writeln!(out, "    ~ {key}");
            for change in changes {
                let _ = writeln!(out, "      {change}");
            }
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "Summary: {} added, {} removed, {} modified",
        added.len(),
        removed.len(),
        modified.len()
    );
    (out, false)
}

/// Manifests by `Kind/namespace/name`; the group is added where kinds of several groups share a name.
fn by_key(spec: &Spec) -> BTreeMap<String, Value> {
    let names = views::names(&spec.workload.manifests);
    let mut manifests = BTreeMap::new();
    for (manifest, name) in spec.workload.manifests.iter().zip(names) {
        let value = cleaned(manifest.to_value());
        let key = name.to_string();
        let key = if manifests.contains_key(&key) {
            let api_version = value
                .get("apiVersion")
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("{key} ({api_version})")
        } else {
            key
        };
        manifests.insert(key, value);
    }
    manifests
}

/// A manifest without status and what only a cluster writes.
fn cleaned(mut manifest: Value) -> Value {
    if let Some(object) = manifest.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in IGNORED_METADATA {
                metadata.remove(key);
            }
        }
    }
    manifest
}

/// What a work says beside its manifests.
fn settings(work: &ManifestWork) -> Value {
    let mut tree = whole(work);
    if let Some(object) = tree.pointer_mut("/spec").and_then(Value::as_object_mut) {
        object.remove("workload");
    }
    tree
}

/// Labels, annotations and spec of a work.
fn whole(work: &ManifestWork) -> Value {
    let mut annotations = work.metadata.annotations.clone();
    annotations.retain(|key, _| {
        !key.starts_with("cloudevents.open-cluster-management.io/")
            && !key.starts_with("logging.open-cluster-management.io/")
    });
    let mut tree = Map::new();
    tree.insert(
        "labels".to_owned(),
        serde_json::to_value(&work.metadata.labels).unwrap_or_default(),
    );
    tree.insert(
        "annotations".to_owned(),
        serde_json::to_value(annotations).unwrap_or_default(),
    );
    tree.insert(
        "spec".to_owned(),
        serde_json::to_value(&work.spec).unwrap_or_default(),
    );
    Value::Object(tree)
}

/// One line per path that differs; lists are compared as a whole.
fn differences(path: &str, before: &Value, after: &Value, changes: &mut Vec<String>) {
    let (Value::Object(before_map), Value::Object(after_map)) = (before, after) else {
        if before != after {
            changes.push(format!("~ {path}: {} → {}", shown(before), shown(after)));
        }
        return;
    };
    let keys: std::collections::BTreeSet<&String> =
        before_map.keys().chain(after_map.keys()).collect();
    for key in keys {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match (before_map.get(key), after_map.get(key)) {
            (Some(before), Some(after)) => differences(&path, before, after, changes),
            (None, Some(after)) => changes.push(format!("+ {path}: {}", shown(after))),
            (Some(before), None) => changes.push(format!("- {path}: {}", shown(before))),
            (None, None) => {}
        }
    }
}

/// A value in one line, cut where it is long.
fn shown(value: &Value) -> String {
    let cut = |text: &str, limit: usize, keep: usize| {
        if text.len() > limit {
            Some(text.chars().take(keep).collect::<String>())
        } else {
            None
        }
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => match cut(text, 50, 47) {
            Some(short) => format!("{}...", Value::from(short)),
            None => value.to_string(),
        },
        Value::Object(_) | Value::Array(_) => {
            let yaml = go_compat::yaml::to_string(value).unwrap_or_default();
            let text = yaml.trim();
            cut(text, 60, 57).map_or_else(|| text.to_owned(), |short| short + "...")
        }
        other => other.to_string(),
    }
}
