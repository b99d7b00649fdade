//! Older spellings of the task config's keys.

use super::super::problem::{Problem, Problems, Stage};
use super::super::task::files::Directory;
use super::super::tree::{Entry, Kind, Node};
use super::{Generation, Notes, rename, report, resources};

/// Blocks of the deployment config that older task files carried.
const DEPLOYMENT_KEYS: &[&str] = &[
    "adapter",
    "hyperfleetApi",
    "hyperfleet_api",
    "kubernetes",
    "maestro",
    "broker",
    "clients",
];

/// Keys of an API call that once stood on the precondition or action itself.
const CALL_KEYS: &[&str] = &[
    "method",
    "endpoint",
    "url",
    "body",
    "headers",
    "timeout",
    "retryAttempts",
    "retryBackoff",
    "retry_attempts",
    "retry_backoff",
];

/// A task config in the current schema.
pub(crate) struct Rewritten {
    /// The document.
    pub(crate) tree: Node,
    /// What it was written for.
    pub(crate) generation: Generation,
    /// Keys of the deployment config that it carried; the deployment file wins over them.
    pub(crate) deployment: Node,
}

/// Rewrites the document, whose files are in `directory`. `maestro` says whether the deployment has a Maestro client; it is asked after the
/// deployment keys of this document are known.
pub(crate) fn rewrite(
    mut tree: Node,
    maestro: impl Fn(&Node) -> bool,
    directory: &Directory,
    problems: &Problems,
) -> Rewritten {
    let notes = Notes::default();
    let metadata = open_envelope(&mut tree, &notes, problems);
    let mut deployment = take_deployment(&mut tree, &notes, problems);
    if let Some(name) = metadata.as_ref().and_then(|metadata| metadata.get("name"))
        && deployment.at_path("adapter.name").is_none()
    {
        deployment.set_path("adapter.name", name.clone());
    }
    if let Some(version) = tree.entry("schemaVersion") {
        notes.current(&version.key_at, "schemaVersion");
    }
    rename(
        &mut tree,
        "",
        "parameters",
        "params",
        false,
        &notes,
        problems,
    );
    params(&mut tree, &notes, problems);
    for_each(&mut tree, "preconditions", |item, path| {
        precondition(item, path, &notes, problems)
    });
    resources::spellings(&mut tree, directory, &notes, problems);
    report::spellings(&mut tree, &notes, problems);

    // The generation is known from here on; what follows changes meaning, not spelling.
    if notes.generation() == Generation::Older {
        let maestro = maestro(&deployment);
        resources::complete(&mut tree, maestro, &notes, problems);
        report::complete(&mut tree, &notes);
        if let Some(metadata) = metadata {
            add_constant(&mut tree, "metadata", metadata);
        }
    } else {
        for_each(&mut tree, "resources", |item, _| resources::leave(item));
    }
    let generation = notes.report(problems);
    Rewritten {
        tree,
        generation,
        deployment,
    }
}

/// Moves `spec.*` up; answers `metadata`.
fn open_envelope(tree: &mut Node, notes: &Notes, problems: &Problems) -> Option<Node> {
    let kind = tree.get("kind")?.clone();
    let version = tree.get("apiVersion")?.clone();
    let ours = version
        .as_text()
        .is_some_and(|text| text.starts_with("hyperfleet."));
    if !ours {
        let name = kind.scalar_text().unwrap_or_default();
        problems.error(
            Stage::Parse,
            Problem::new(
                &kind.at,
                "kind",
                format!("this is a Kubernetes object of kind {name}, not a task config"),
            ),
        );
        tree.entries_mut().map(Vec::clear);
        return None;
    }
    tree.take("apiVersion");
    tree.take("kind");
    let metadata = tree.take("metadata").map(|entry| entry.value);
    notes.older(
        &version.at,
        "apiVersion",
        "the envelope apiVersion/kind/metadata/spec",
        "the keys of spec at the top level",
    );
    if let Some(Entry {
        value: Node {
            kind: Kind::Map(entries),
            ..
        },
        ..
    }) = tree.take("spec")
    {
        for entry in entries {
            tree.set(&entry.key, entry.value);
        }
    }
    metadata
}

fn take_deployment(tree: &mut Node, notes: &Notes, problems: &Problems) -> Node {
    let mut deployment = Node {
        kind: Kind::Map(Vec::new()),
        at: tree.at.clone(),
    };
    for key in DEPLOYMENT_KEYS {
        if let Some(entry) = tree.take(key) {
            notes.older(
                &entry.key_at,
                key,
                &format!("{key} in the task config"),
                "it in the deployment config",
            );
            deployment.set(key, entry.value);
        }
    }
    // Its own spellings are judged by the same rules, and belong to this document.
    let inner = Notes::default();
    super::deployment::rewrite(&mut deployment, &inner, problems);
    deployment
}

/// Visits the items of a list with their path.
pub(super) fn for_each(tree: &mut Node, key: &str, mut visit: impl FnMut(&mut Node, &str)) {
    let Some(list) = tree.get_mut(key) else {
        return;
    };
    for (index, item) in list.items_mut().iter_mut().enumerate() {
        visit(item, &format!("{key}[{index}]"));
    }
}

fn params(tree: &mut Node, notes: &Notes, problems: &Problems) {
    for_each(tree, "params", |param, path| {
        let Some(source) = param.get_mut("source") else {
            return;
        };
        if !matches!(source.kind, Kind::Map(_)) {
            return;
        }
        notes.current(&source.at.clone(), &format!("{path}.source"));
        if let Some(call) = source.get_mut("api_call") {
            api_call(call, &format!("{path}.source.api_call"), notes, problems);
        }
    });
}

fn precondition(item: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    rename(item, path, "apiCall", "api_call", true, notes, problems);
    hoist_call(item, path, notes, problems);
    if let Some(call) = item.get_mut("api_call") {
        api_call(call, &format!("{path}.api_call"), notes, problems);
    }
    rename(item, path, "extract", "capture", false, notes, problems);
    if let Some(captures) = item.get_mut("capture") {
        for (index, capture) in captures.items_mut().iter_mut().enumerate() {
            let path = format!("{path}.capture[{index}]");
            rename(capture, &path, "as", "name", false, notes, problems);
            drop_key(capture, &path, "description", notes);
        }
    }
    store_response(item, path, notes);
    unfold_when(item, path, notes);
    if let Some(conditions) = item.get_mut("conditions") {
        for (index, condition) in conditions.items_mut().iter_mut().enumerate() {
            let path = format!("{path}.conditions[{index}]");
            let scalar = condition
                .get("values")
                .is_some_and(|values| !matches!(values.kind, Kind::List(_)));
            if scalar {
                rename(condition, &path, "values", "value", false, notes, problems);
            }
        }
    }
}

/// Spellings inside of an API call.
pub(super) fn api_call(call: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    rename(call, path, "endpoint", "url", false, notes, problems);
    rename(
        call,
        path,
        "retryAttempts",
        "retry_attempts",
        true,
        notes,
        problems,
    );
    rename(
        call,
        path,
        "retryBackoff",
        "retry_backoff",
        true,
        notes,
        problems,
    );
}

/// `type: api_call` with the call's keys beside it.
pub(super) fn hoist_call(item: &mut Node, path: &str, notes: &Notes, problems: &Problems) {
    let Some(kind) = item.get("type").cloned() else {
        return;
    };
    let key = format!("{path}.type");
    match kind.as_text() {
        Some("api_call" | "apiCall") => {}
        _ => {
            let word = kind.scalar_text().unwrap_or_default();
            problems.error(
                Stage::Structure,
                Problem::new(
                    &kind.at,
                    key,
                    format!("type {word:?} is unknown (known: api_call)"),
                ),
            );
            item.take("type");
            return;
        }
    }
    notes.older(&kind.at, &key, "type: api_call", "the call under api_call");
    item.take("type");
    let mut call: Vec<Entry> = Vec::new();
    for name in CALL_KEYS {
        if let Some(entry) = item.take(name) {
            call.push(entry);
        }
    }
    if !item.has("api_call") {
        item.set(
            "api_call",
            Node {
                kind: Kind::Map(call),
                at: kind.at,
            },
        );
    }
}

fn drop_key(item: &mut Node, path: &str, key: &str, notes: &Notes) {
    if let Some(entry) = item.take(key) {
        notes.older(
            &entry.key_at,
            &format!("{path}.{key}"),
            &format!("{key} of a capture"),
            "a YAML comment",
        );
    }
}

/// `storeResponseAs: x`: the response becomes a capture, because it is stored under the precondition's name anyway.
fn store_response(item: &mut Node, path: &str, notes: &Notes) {
    let Some(entry) = item.take("storeResponseAs") else {
        return;
    };
    notes.older(
        &entry.key_at,
        &format!("{path}.storeResponseAs"),
        "storeResponseAs",
        "a capture whose expression is the precondition's name",
    );
    let (Some(alias), Some(name)) = (
        entry.value.scalar_text(),
        item.get("name").and_then(Node::scalar_text),
    ) else {
        return;
    };
    let at = entry.key_at;
    let capture = Node::map(
        &at,
        [
            ("name", Node::text(&at, alias)),
            ("expression", Node::text(&at, name)),
        ],
    );
    push(item, "capture", capture);
}

/// `when: {expression | conditions, description}` of a precondition.
fn unfold_when(item: &mut Node, path: &str, notes: &Notes) {
    let Some(mut when) = item.take("when") else {
        return;
    };
    notes.older(
        &when.key_at,
        &format!("{path}.when"),
        "when of a precondition",
        "expression or conditions on the precondition",
    );
    for key in ["expression", "conditions"] {
        if let Some(entry) = when.value.take(key)
            && !item.has(key)
        {
            item.set(key, entry.value);
        }
    }
}

/// Appends to a list, making it.
pub(super) fn push(item: &mut Node, key: &str, value: Node) {
    let at = value.at.clone();
    match item.get_mut(key) {
        Some(Node {
            kind: Kind::List(items),
            ..
        }) => items.push(value),
        _ => item.set(key, Node::list(&at, vec![value])),
    }
}

/// A param with a fixed value, before all others.
pub(super) fn add_constant(tree: &mut Node, name: &str, value: Node) {
    let at = value.at.clone();
    let param = Node::map(
        &at,
        [
            ("name", Node::text(&at, name)),
            (
                "source",
                Node::map(&at, [("expression", Node::text(&at, "null"))]),
            ),
            ("default", value),
        ],
    );
    add_param(tree, param);
}

/// Puts a param before all others.
pub(super) fn add_param(tree: &mut Node, param: Node) {
    let at = param.at.clone();
    match tree.get_mut("params") {
        Some(Node {
            kind: Kind::List(items),
            ..
        }) => items.insert(0, param),
        _ => tree.set("params", Node::list(&at, vec![param])),
    }
}
