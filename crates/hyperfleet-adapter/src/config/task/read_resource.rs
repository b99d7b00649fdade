//! `resources[]`.

use kube_access::{Gvk, Propagation};

use super::super::problem::Stage;
use super::super::read::Reader;
use super::super::tree::{Kind, Node};
use super::names::Names;
use super::read::{Context, Scope, expression, identifier, one_of, template};
use super::shape::{self, Leaves};
use super::{By, DeleteRule, Discovery, Manifest, Nested, Resource};
use crate::lang::{Expression, Text};

pub(super) fn resource(
    reader: &Reader<'_>,
    names: &Names,
    context: &Context<'_>,
) -> Option<Resource> {
    if !reader.map(&[
        "name",
        "transport",
        "manifest",
        "discovery",
        "nested_discoveries",
        "recreate_on_change",
        "lifecycle",
    ]) {
        return None;
    }
    let name = identifier(reader);
    let target = transport(reader, names, context);
    let manifest = manifest(reader, names, context, target.is_some());
    let discovery_reader = reader.required("discovery");
    let has_discovery = discovery_reader.is_some();
    let discovery = discovery_reader.and_then(|child| discovery(&child, names));
    let nested = reader
        .list("nested_discoveries")
        .iter()
        .filter_map(|item| nested(item, names))
        .collect();
    let recreate_on_change = reader
        .get("recreate_on_change")
        .and_then(|child| child.bool())
        .unwrap_or(false);
    if recreate_on_change && target.is_some() {
        reader.warn("recreate_on_change has no effect with the Maestro transport");
    }
    let lifecycle = lifecycle(reader, names, has_discovery);
    if recreate_on_change && lifecycle.recreate.is_some() {
        reader.semantic("recreate_on_change and lifecycle.recreate are two rules for one thing; use only lifecycle.recreate");
    }
    let manifest = manifest?;
    Some(Resource {
        name,
        target,
        gvk: manifest.gvk,
        carried: manifest.carried,
        manifest: manifest.manifest,
        discovery: discovery?,
        nested,
        recreate_on_change,
        create_when: lifecycle.create,
        delete: lifecycle.delete,
        recreate_when: lifecycle.recreate,
    })
}

/// The consumer template of a Maestro resource.
fn transport(reader: &Reader<'_>, names: &Names, context: &Context<'_>) -> Option<Text> {
    let transport = reader.get("transport")?;
    if !transport.map(&["client", "maestro"]) {
        return None;
    }
    let client = transport.required("client")?;
    match client.text()?.as_str() {
        "kubernetes" => None,
        "maestro" => {
            if !context.maestro {
                client.semantic("transport.client is \"maestro\", but the deployment config has no clients.maestro");
            }
            let Some(maestro) = transport.get("maestro") else {
                transport
                    .semantic("maestro transport config is required when client is \"maestro\"");
                return None;
            };
            if !maestro.map(&["target_cluster"]) {
                return None;
            }
            match maestro.get("target_cluster") {
                Some(child)
                    if child
                        .node
                        .scalar_text()
                        .is_some_and(|text| !text.trim().is_empty()) =>
                {
                    template(&child, names)
                }
                _ => {
                    maestro.semantic("target_cluster is required for maestro transport");
                    None
                }
            }
        }
        "" => {
            transport.missing("client");
            None
        }
        word => {
            client.structural(&format!(
                "{word:?} is invalid (allowed: kubernetes, maestro)"
            ));
            None
        }
    }
}

struct Read {
    manifest: Manifest,
    gvk: Option<Gvk>,
    carried: Vec<Gvk>,
}

fn manifest(
    reader: &Reader<'_>,
    names: &Names,
    context: &Context<'_>,
    maestro: bool,
) -> Option<Read> {
    let Some(child) = reader.get("manifest") else {
        let transport = if maestro { "maestro" } else { "kubernetes" };
        reader.semantic(format!("manifest is required for {transport} transport"));
        return None;
    };
    match &child.node.kind {
        Kind::Map(entries) if entries.len() == 1 && child.node.has("ref") => {
            let reference = match child.get("ref") {
                Some(reference)
                    if reference
                        .node
                        .scalar_text()
                        .is_some_and(|text| !text.is_empty()) =>
                {
                    reference
                }
                _ => {
                    child.semantic("manifest ref cannot be empty");
                    return None;
                }
            };
            let file = context.directory.read(&reference)?;
            let node = Node::text(
                &super::super::tree::Position {
                    file: file.path.display().to_string().into(),
                    line: 1,
                    column: 1,
                },
                file.text,
            );
            text_manifest(
                &Reader::new(&node, child.path.clone(), reader.problems),
                names,
            )
        }
        Kind::Map(_) => {
            let gvk = literal_gvk(child.node);
            let carried = child
                .node
                .at_path("spec.workload.manifests")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .filter_map(literal_gvk)
                .collect();
            let manifest = Manifest::Map(shape::compile(&child, Leaves::Plain, names));
            Some(Read {
                manifest,
                gvk,
                carried,
            })
        }
        Kind::Text(_) => text_manifest(&child, names),
        _ => {
            child.error(
                Stage::Parse,
                format!(
                    "expected a map, a text or {{ref: path}}, got {}",
                    child.node.describe()
                ),
            );
            None
        }
    }
}

fn text_manifest(reader: &Reader<'_>, names: &Names) -> Option<Read> {
    let source = reader.node.as_text().unwrap_or_default();
    let gvk = gvk_of_text(source);
    let carried = if gvk.is_some() {
        kinds_of_text(source).into_iter().skip(1).collect()
    } else {
        Vec::new()
    };
    let text = template(reader, names)?;
    Some(Read {
        manifest: Manifest::Text(text),
        gvk,
        carried,
    })
}

fn literal_gvk(object: &Node) -> Option<Gvk> {
    let text = |key: &str| {
        object
            .get(key)
            .and_then(Node::as_text)
            .filter(|text| !text.is_empty() && !text.contains("{{"))
    };
    Some(Gvk::new(text("apiVersion")?, text("kind")?))
}

/// The kind of a text manifest, from the first lines that start with its keys.
pub(crate) fn gvk_of_text(text: &str) -> Option<Gvk> {
    let find = |key: &str| {
        text.lines()
            .find_map(|line| literal_value(line.trim(), key))
    };
    Some(Gvk::new(&find("apiVersion:")?, &find("kind:")?))
}

/// All kinds that a text names literally, in order: an `apiVersion` with the next `kind`.
fn kinds_of_text(text: &str) -> Vec<Gvk> {
    let mut kinds = Vec::new();
    let mut version: Option<String> = None;
    for line in text.lines() {
        let line = line.trim().trim_start_matches("- ");
        if let Some(found) = literal_value(line, "apiVersion:") {
            version = Some(found);
        } else if let Some(kind) = literal_value(line, "kind:")
            && let Some(version) = version.take()
        {
            kinds.push(Gvk::new(&version, &kind));
        }
    }
    kinds
}

/// The value of `key: value`, unless it is empty or a template.
fn literal_value(line: &str, key: &str) -> Option<String> {
    let value = line
        .strip_prefix(key)?
        .split(" #")
        .next()?
        .trim()
        .trim_matches(['"', '\'']);
    (!value.is_empty() && !value.contains("{{")).then(|| value.to_owned())
}

fn discovery(reader: &Reader<'_>, names: &Names) -> Option<Discovery> {
    if !reader.map(&["namespace", "by_name", "by_selectors"]) {
        return None;
    }
    let namespace = reader
        .get("namespace")
        .and_then(|child| template(&child, names));
    let (key, child) = one_of(reader, "by_name", "by_selectors")?;
    let by = if key == "by_name" {
        By::Name(template(&child, names)?)
    } else {
        if !child.map(&["label_selector"]) {
            return None;
        }
        let labels = child
            .get("label_selector")
            .filter(|labels| !labels.node.entries().is_empty());
        let Some(labels) = labels else {
            child.missing("label_selector");
            return None;
        };
        let mut pairs = Vec::new();
        for entry in labels.node.entries() {
            let key = super::read::key_template(&labels, entry, names);
            if let Some(value) = labels
                .get_any(&entry.key)
                .and_then(|child| template(&child, names))
            {
                pairs.push((key, value));
            }
        }
        By::Labels(pairs)
    };
    Some(Discovery { namespace, by })
}

fn nested(reader: &Reader<'_>, names: &Names) -> Option<Nested> {
    if !reader.map(&["name", "discovery"]) {
        return None;
    }
    let name = identifier(reader);
    let discovery = discovery(&reader.required("discovery")?, names)?;
    Some(Nested { name, discovery })
}

#[derive(Default)]
struct Lifecycle {
    create: Option<Expression>,
    delete: Option<DeleteRule>,
    recreate: Option<Expression>,
}

fn lifecycle(reader: &Reader<'_>, names: &Names, has_discovery: bool) -> Lifecycle {
    let Some(lifecycle) = reader.get("lifecycle") else {
        return Lifecycle::default();
    };
    if !lifecycle.map(&["create", "delete", "recreate"]) {
        return Lifecycle::default();
    }
    let when = |block: &Reader<'_>, message: &str| -> Option<Expression> {
        let when = block.get("when");
        if let Some(when) = &when
            && !when.map(&["expression"])
        {
            return None;
        }
        let child = when.as_ref().and_then(|when| when.get("expression"));
        match child.filter(|child| {
            child
                .node
                .scalar_text()
                .is_some_and(|text| !text.trim().is_empty())
        }) {
            Some(child) => expression(&child, names, Scope::Everything),
            None => {
                block.semantic(message);
                None
            }
        }
    };
    let create = lifecycle.get("create").filter(|create| create.map(&["when"])).and_then(|create| {
        if !has_discovery {
            create.semantic("lifecycle.create requires a discovery config to check if the resource already exists");
        }
        when(&create, "lifecycle.create.when.expression is required when lifecycle.create is configured")
    });
    let delete = lifecycle.get("delete").filter(|delete| delete.map(&["when", "propagationPolicy"])).and_then(|delete| {
        if !has_discovery {
            delete.semantic("lifecycle.delete requires a discovery config to locate the resource for deletion");
        }
        let propagation = propagation(&delete);
        let when = when(
            &delete,
            "lifecycle.delete.when.expression is required: without it the resource will never be deleted",
        )?;
        Some(DeleteRule { when, propagation })
    });
    let recreate = lifecycle.get("recreate").filter(|recreate| recreate.map(&["when"])).and_then(|recreate| {
        if !has_discovery {
            recreate.semantic("lifecycle.recreate requires a discovery config to tell when the old resource is gone");
        }
        when(&recreate, "lifecycle.recreate.when.expression is required: without it the resource will never be recreated")
    });
    Lifecycle {
        create,
        delete,
        recreate,
    }
}

fn propagation(delete: &Reader<'_>) -> Propagation {
    let Some(child) = delete.get("propagationPolicy") else {
        return Propagation::Background;
    };
    match child.text().unwrap_or_default().as_str() {
        "" | "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        word => {
            child.semantic(format!(
                "invalid propagationPolicy {word:?}: must be one of Background, Foreground, Orphan"
            ));
            Propagation::Background
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_text_is_read_among_its_templates() {
        let text = "{{ if .x }}\napiVersion: apps/v1 # comment\nkind: \"Deployment\"\n{{ end }}\n";
        assert_eq!(gvk_of_text(text), Some(Gvk::new("apps/v1", "Deployment")));
        for text in [
            "",
            "kind: X",
            "apiVersion: v1",
            "garbage",
            "apiVersion: v1\nkind: {{ .kind }}",
        ] {
            assert_eq!(gvk_of_text(text), None, "{text}");
        }
        let work = "apiVersion: w/v1\nkind: ManifestWork\nspec:\n  - apiVersion: h/v1\n    kind: HostedCluster\n  - apiVersion: v1\n    kind: Secret\n";
        assert_eq!(
            kinds_of_text(work),
            [
                Gvk::new("w/v1", "ManifestWork"),
                Gvk::new("h/v1", "HostedCluster"),
                Gvk::new("v1", "Secret")
            ]
        );
    }
}
