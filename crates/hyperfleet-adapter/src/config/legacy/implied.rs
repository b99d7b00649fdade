//! Names that older documents use and never define: `clusterId`, `clusterName`, `generationId`, …
//!
//! Where a name has one obvious source it becomes a param or a capture. The rest must come from `params` or from
//! `legacy_params` of the deployment config; what is missing there is one error that lists all of it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::deployment::Config;
use super::super::problem::{Problem, Problems, Stage};
use super::super::task::names::TEMPLATE_BUILTINS;
use super::super::task::read::declared;
use super::super::tree::{Kind, Node, Position};
use super::report::add_capture;
use super::task::add_param;
use crate::lang::Text;

/// Name → source of a param.
const PARAMS: &[(&str, &str)] = &[
    ("clusterId", "event.id"),
    (
        "hyperfleetApiBaseUrl",
        "config.clients.hyperfleet_api.base_url",
    ),
    (
        "hyperfleetApiVersion",
        "config.clients.hyperfleet_api.version",
    ),
    ("managementClusterName", "env.MANAGEMENT_CLUSTER_CONSUMER"),
    (
        "managementClusterConsumer",
        "env.MANAGEMENT_CLUSTER_CONSUMER",
    ),
    (
        "maestroApiUrl",
        "config.clients.maestro.http_server_address",
    ),
    (
        "maestroGrpcUrl",
        "config.clients.maestro.grpc_server_address",
    ),
    ("generation", "event.generation"),
    ("generationId", "event.generation"),
];

/// Name → field of the cluster, captured from the first GET.
const CAPTURES: &[(&str, &str)] = &[
    ("clusterName", "name"),
    ("generation", "generation"),
    ("generationId", "generation"),
    ("deletedTime", "deleted_time"),
];

/// Adds what a document implies.
pub(crate) struct Implied<'a> {
    pub(crate) config: &'a Config,
    pub(crate) problems: &'a Problems,
}

impl Implied<'_> {
    pub(crate) fn add(&self, tree: &mut Node) {
        let at = tree.at.clone();
        let used = used(tree);
        let declared = declared(tree);
        let wanted = |name: &str| {
            !declared.contains(name) && (used.contains_key(name) || name == "generation")
        };
        let deletes = mentions(tree, "deletedTime") && !declared.contains("deletedTime");

        let mut known: BTreeSet<String> = BTreeSet::new();
        let getter = first_get(tree);
        if let Some(precondition) =
            getter.and_then(|index| tree.get_mut("preconditions")?.items_mut().get_mut(index))
        {
            for (name, field) in CAPTURES {
                if (wanted(name) || (*name == "deletedTime" && deletes))
                    && !self.config.legacy_params.contains_key(*name)
                {
                    add_capture(precondition, capture(&at, name, field));
                    known.insert((*name).to_owned());
                }
            }
        }
        let mut params = Vec::new();
        if deletes {
            // Defined even before the first GET.
            let source = Node::map(&at, [("expression", Node::text(&at, "''"))]);
            params.push(Node::map(
                &at,
                [("name", Node::text(&at, "deletedTime")), ("source", source)],
            ));
            or_deleting(tree);
        }
        for name in self.config.legacy_params.keys() {
            if !declared.contains(name) {
                params.push(param(
                    &at,
                    name,
                    &format!("config.legacy_params.{name}"),
                    true,
                ));
                known.insert(name.clone());
            }
        }
        for (name, source) in PARAMS {
            if wanted(name) && !self.config.legacy_params.contains_key(*name) {
                let required = !name.starts_with("generation");
                params.push(param(&at, name, source, required));
                known.insert((*name).to_owned());
            }
        }
        for param in params.into_iter().rev() {
            add_param(tree, param);
        }
        self.report_missing(&at, &used, |name| {
            declared.contains(name) || known.contains(name)
        });
    }

    fn report_missing(
        &self,
        at: &Position,
        used: &BTreeMap<String, Position>,
        known: impl Fn(&str) -> bool,
    ) {
        let missing: Vec<String> = used
            .iter()
            .filter(|(name, _)| !TEMPLATE_BUILTINS.contains(&name.as_str()) && !known(name))
            .map(|(name, at)| format!("{name} (line {})", at.line))
            .collect();
        if missing.is_empty() {
            return;
        }
        self.problems.error(
            Stage::Semantic,
            Problem::new(
                at,
                "params",
                format!(
                    "{} name(s) are used and never defined: {}; declare them under params, or give them values under \
                     legacy_params in the deployment config",
                    missing.len(),
                    missing.join(", ")
                ),
            ),
        );
    }
}

fn param(at: &Position, name: &str, source: &str, required: bool) -> Node {
    Node::map(
        at,
        [
            ("name", Node::text(at, name)),
            ("source", Node::text(at, source)),
            (
                "required",
                Node {
                    kind: Kind::Bool(required),
                    at: at.clone(),
                },
            ),
        ],
    )
}

fn capture(at: &Position, name: &str, field: &str) -> Node {
    let mut capture = Node::map(
        at,
        [
            ("name", Node::text(at, name)),
            ("field", Node::text(at, field)),
        ],
    );
    if name == "deletedTime" {
        capture.set("default", Node::text(at, ""));
    }
    capture
}

/// The first precondition that reads a resource.
fn first_get(tree: &Node) -> Option<usize> {
    tree.get("preconditions")?
        .items()
        .iter()
        .position(|precondition| {
            let Some(call) = precondition.get("api_call") else {
                return false;
            };
            let url = call.get("url").and_then(Node::as_text).unwrap_or_default();
            call.get("method").and_then(Node::as_text) == Some("GET")
                && !url.trim_end_matches('/').ends_with("/statuses")
        })
}

/// What must hold before a resource is applied says nothing about deleting it.
fn or_deleting(tree: &mut Node) {
    let Some(list) = tree.get_mut("preconditions") else {
        return;
    };
    for precondition in list.items_mut() {
        if let Some(node) = precondition.get_mut("expression")
            && let Some(source) = node.as_text()
        {
            let both = format!("deletedTime != '' || ({source}\n)");
            node.kind = Kind::Text(both);
        }
    }
}

/// Names that templates of the document use, with the first place of each. Names of `range` variables and the like
/// are not among them.
fn used(tree: &Node) -> BTreeMap<String, Position> {
    let mut used = BTreeMap::new();
    visit(tree, &mut |node, text| {
        if let Ok(text) = Text::compile("", text) {
            for reference in text.references() {
                if let Some(name) = reference.path.first() {
                    used.entry(name.clone()).or_insert_with(|| node.clone());
                }
            }
        }
    });
    used
}

fn mentions(tree: &Node, word: &str) -> bool {
    let mut found = false;
    visit(tree, &mut |_, text| found |= text.contains(word));
    found
}

fn visit(node: &Node, see: &mut dyn FnMut(&Position, &str)) {
    match &node.kind {
        Kind::Text(text) => see(&node.at, text),
        Kind::List(items) => items.iter().for_each(|item| visit(item, see)),
        Kind::Map(entries) => {
            for entry in entries {
                see(&entry.key_at, &entry.key);
                visit(&entry.value, see);
            }
        }
        _ => {}
    }
}
