//! Resources of older task configs: inline objects, `backend`, and what follows from their metadata.

use super::super::problem::{Problem, Problems, Stage};
use super::super::task::files::Directory;
use super::super::tree::{Entry, Kind, Node, Position};
use super::task::for_each;
use super::work::{self, Reading};
use super::{Notes, lower_camel, rename};

/// The annotation that every object needs.
const GENERATION: &str = "hyperfleet.io/generation";
/// Keys of a resource that are not part of an inline object.
const OWN_KEYS: &[&str] = &[
    "alias",
    "transport",
    "discovery",
    "nested_discoveries",
    "recreate_on_change",
    "lifecycle",
];
/// Keys of an inline object that belong to its metadata.
const METADATA_KEYS: &[&str] = &["name", "namespace", "labels", "annotations"];

/// Spellings only; the meaning stays.
pub(super) fn spellings(
    tree: &mut Node,
    directory: &Directory,
    notes: &Notes,
    problems: &Problems,
) {
    let reading = Reading {
        directory,
        notes,
        problems,
    };
    for_each(tree, "resources", |item, path| {
        rename(
            item,
            path,
            "recreateOnChange",
            "recreate_on_change",
            true,
            notes,
            problems,
        );
        rename(
            item,
            path,
            "nestedDiscoveries",
            "nested_discoveries",
            true,
            notes,
            problems,
        );
        track(item, path, notes);
        if let Some(maestro) = item
            .get_mut("transport")
            .and_then(|transport| transport.get_mut("maestro"))
        {
            rename(
                maestro,
                &format!("{path}.transport.maestro"),
                "targetCluster",
                "target_cluster",
                true,
                notes,
                problems,
            );
        }
        backend(item, path, notes, problems);
        if let Some(found) = item.get_mut("discovery") {
            discovery(found, &format!("{path}.discovery"), notes, problems);
        }
        if let Some(nested) = item.get_mut("nested_discoveries") {
            for (index, item) in nested.items_mut().iter_mut().enumerate() {
                let path = format!("{path}.nested_discoveries[{index}]");
                if let Some(found) = item.get_mut("discovery") {
                    discovery(found, &format!("{path}.discovery"), notes, problems);
                }
            }
        }
        if let Some(delete) = item
            .get_mut("lifecycle")
            .and_then(|lifecycle| lifecycle.get_mut("delete"))
        {
            rename(
                delete,
                &format!("{path}.lifecycle.delete"),
                "propagation_policy",
                "propagationPolicy",
                false,
                notes,
                problems,
            );
        }
        inline_object(item, path, notes, problems);
        reading.frame(item, path);
        reading.manifests(item, path);
    });
}

fn discovery(node: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    rename(node, path, "byName", "by_name", true, notes, problems);
    rename(
        node,
        path,
        "bySelectors",
        "by_selectors",
        true,
        notes,
        problems,
    );
    if let Some(selectors) = node.get_mut("by_selectors") {
        rename(
            selectors,
            &format!("{path}.by_selectors"),
            "labelSelector",
            "label_selector",
            true,
            notes,
            problems,
        );
    }
}

/// `track: {as, discovery}`.
fn track(item: &mut Node, path: &str, notes: &Notes) {
    let Some(mut entry) = item.take("track") else {
        return;
    };
    notes.older(
        &entry.key_at,
        &format!("{path}.track"),
        "track",
        "name and discovery of the resource",
    );
    if let Some(alias) = entry.value.take("as") {
        item.set("alias", alias.value);
    }
    if let Some(found) = entry.value.take("discovery")
        && !item.has("discovery")
    {
        item.set("discovery", found.value);
    }
}

/// `backend` and `targetCluster`.
fn backend(item: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    if let Some(entry) = item.take("backend") {
        notes.older(
            &entry.key_at,
            &format!("{path}.backend"),
            "backend",
            "transport.client",
        );
        if item.at_path("transport.client").is_some() {
            problems.error(
                Stage::Parse,
                Problem::new(&entry.key_at, format!("{path}.backend"), "backend and transport.client are two spellings of one key; use only transport.client"),
            );
        } else {
            item.set_path("transport.client", entry.value);
        }
    }
    if let Some(entry) = item.take("targetCluster") {
        notes.older(
            &entry.key_at,
            &format!("{path}.targetCluster"),
            "targetCluster",
            "transport.maestro.target_cluster",
        );
        item.set_path("transport.maestro.target_cluster", entry.value);
    }
}

/// An object written directly as the resource: `kind` and `apiVersion` beside `name`.
fn inline_object(item: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    if item.has("manifest") || item.has("manifests") || !item.has("kind") || !item.has("apiVersion")
    {
        return;
    }
    let at = item.at.clone();
    notes.older(
        &at,
        path,
        "an object as the resource itself",
        "name, manifest and discovery",
    );
    let Some(entries) = item.entries_mut() else {
        return;
    };
    let (own, object): (Vec<Entry>, Vec<Entry>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| OWN_KEYS.contains(&entry.key.as_str()));
    *entries = own;
    let mut manifest = Node {
        kind: Kind::Map(Vec::new()),
        at: at.clone(),
    };
    let mut metadata = Node {
        kind: Kind::Map(Vec::new()),
        at: at.clone(),
    };
    for entry in object {
        if METADATA_KEYS.contains(&entry.key.as_str()) {
            metadata.set(&entry.key, entry.value);
        } else {
            manifest.set(&entry.key, entry.value);
        }
    }
    if let Some(Entry {
        value: Node {
            kind: Kind::Map(more),
            ..
        },
        ..
    }) = manifest.take("metadata")
    {
        for entry in more {
            metadata.set(&entry.key, entry.value);
        }
    }
    manifest.set("metadata", metadata);
    let kind = manifest
        .get("kind")
        .and_then(Node::scalar_text)
        .unwrap_or_default();
    let alias = item
        .take("alias")
        .map_or_else(|| Node::text(&at, lower_camel(&kind)), |entry| entry.value);
    if alias.scalar_text().is_some_and(|name| name.is_empty()) {
        problems.error(
            Stage::Structure,
            Problem::new(
                &at,
                format!("{path}.kind"),
                format!("{path}.kind is required"),
            ),
        );
    }
    item.set("name", alias);
    item.set(
        "inline",
        Node {
            kind: Kind::Bool(true),
            at: at.clone(),
        },
    );
    item.set("manifest", manifest);
}

/// Drops what [`spellings`] left for [`complete`]: a document of the current generation stays as it is written.
pub(super) fn leave(item: &mut Node) {
    item.take("inline");
    item.take(work::NAMES);
    if let Some(frame) = item.take(work::FRAME) {
        item.set("manifest", frame.value);
    }
}

/// Adds what older documents leave out: transport, ManifestWork, discovery, generation, deletion.
pub(super) fn complete(tree: &mut Node, maestro: bool, notes: &Notes, problems: &Problems) {
    let mut aliases: Vec<(String, Position)> = Vec::new();
    for_each(tree, "resources", |item, path| {
        let inline = item.take("inline").is_some();
        if inline && let Some(name) = item.get("name").and_then(Node::scalar_text) {
            if let Some((_, first)) = aliases.iter().find(|(have, _)| *have == name) {
                problems.error(
                    Stage::Structure,
                    Problem::new(
                        &item.at,
                        path,
                        format!("two resources of one kind are both called {name:?} (the other in line {}): give one an explicit alias: key", first.line),
                    ),
                );
            }
            aliases.push((name, item.at.clone()));
        }
        if let Some(alias) = item.take("alias") {
            item.set("name", alias.value);
        }
        if inline && item.at_path("transport.client").is_none() && maestro {
            let at = item.at.clone();
            item.set_path("transport.client", Node::text(&at, "maestro"));
        }
        let carried = item.at_path("transport.client").and_then(Node::as_text) == Some("maestro");
        if carried {
            if item.at_path("transport.maestro.target_cluster").is_none() {
                let at = item.at.clone();
                item.set_path(
                    "transport.maestro.target_cluster",
                    Node::text(&at, "{{ .managementClusterName }}"),
                );
            }
            work::wrap(item, path, notes);
        } else {
            direct(item);
        }
        if (inline || carried) && !item.has("lifecycle") {
            let at = item.at.clone();
            item.set_path(
                "lifecycle.delete.when.expression",
                Node::text(&at, "deletedTime != ''"),
            );
        }
    });
}

/// An object for Kubernetes: its discovery and generation follow from its metadata.
fn direct(item: &mut Node) {
    let Some(manifest) = item.get_mut("manifest") else {
        return;
    };
    if !matches!(manifest.kind, Kind::Map(_)) || manifest.has("ref") {
        return;
    }
    annotate(manifest);
    let name = manifest.at_path("metadata.name").cloned();
    let namespace = manifest.at_path("metadata.namespace").cloned();
    if let Some(name) = name
        && !item.has("discovery")
    {
        item.set("discovery", by_name(name, namespace));
    }
}

pub(super) fn by_name(name: Node, namespace: Option<Node>) -> Node {
    let at = name.at.clone();
    let mut entries = Vec::new();
    if let Some(namespace) = namespace {
        entries.push(("namespace", namespace));
    }
    entries.push(("by_name", name));
    Node::map(&at, entries)
}

/// Sets the generation annotation unless there is one.
pub(super) fn annotate(object: &mut Node) {
    let at = object.at.clone();
    if object
        .at_path("metadata.annotations")
        .and_then(|annotations| annotations.get(GENERATION))
        .is_some()
    {
        return;
    }
    if !object
        .at_path("metadata.annotations")
        .is_some_and(|node| matches!(node.kind, Kind::Map(_)))
    {
        object.set_path(
            "metadata.annotations",
            Node {
                kind: Kind::Map(Vec::new()),
                at: at.clone(),
            },
        );
    }
    if let Some(annotations) = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
    {
        annotations.set(GENERATION, Node::text(&at, "{{ .generation }}"));
    }
}
