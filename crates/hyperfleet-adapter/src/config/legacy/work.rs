//! The ManifestWork that older task configs leave out, or write in parts: `manifests[]`, and its frame under
//! `transport.maestro.manifestWork`.

use super::super::problem::{Problem, Problems, Stage};
use super::super::task::files::Directory;
use super::super::tree::{self, Kind, Node, Position};
use super::resources::{annotate, by_name};
use super::{Notes, lower_camel};

/// The kind that carries others.
const MANIFEST_WORK: &str = "ManifestWork";
const API_VERSION: &str = "work.open-cluster-management.io/v1";
/// What `spellings` leaves for `complete`: the frame, and the names of the manifests. No document has these keys.
pub(super) const FRAME: &str = "(frame)";
pub(super) const NAMES: &str = "(names)";

/// Files, and where problems go.
pub(super) struct Reading<'a> {
    pub(super) directory: &'a Directory,
    pub(super) notes: &'a Notes,
    pub(super) problems: &'a Problems,
}

impl Reading<'_> {
    fn error(&self, stage: Stage, at: &Position, key: &str, message: impl Into<String>) {
        self.problems
            .error(stage, Problem::new(at, key, message.into()));
    }

    /// What `{ref: file}` refers to, or the node itself.
    fn referred(&self, node: &Node, key: &str) -> Option<Node> {
        if !node.has("ref") || node.entries().len() != 1 {
            return Some(node.clone());
        }
        let name = node
            .get("ref")
            .and_then(Node::scalar_text)
            .unwrap_or_default();
        let key = format!("{key}.ref");
        let file = match self.directory.load(&name) {
            Ok(file) => file,
            Err(message) => {
                self.error(Stage::Files, &node.at, &key, format!("{key}: {message}"));
                return None;
            }
        };
        match tree::parse(&file.path.display().to_string(), &file.text) {
            Ok(read) if matches!(read.kind, Kind::Map(_)) => Some(read),
            Ok(read) => {
                let message = format!("expected a map of keys, got {}", read.describe());
                self.error(Stage::Files, &read.at, &key, message);
                None
            }
            Err(mut problem) => {
                problem.message += "; it must be YAML before it is rendered: a file with {{ if }} around lines works \
                                    as a whole ManifestWork under manifest.ref";
                self.problems.error(Stage::Files, problem);
                None
            }
        }
    }

    /// `transport.maestro.manifestWork: {ref: file}`, or the ManifestWork itself, with or without manifests.
    pub(super) fn frame(&self, item: &mut Node, path: &str) {
        let maestro = item
            .get_mut("transport")
            .and_then(|transport| transport.get_mut("maestro"));
        let Some(entry) = maestro.and_then(|maestro| maestro.take("manifestWork")) else {
            return;
        };
        let key = format!("{path}.transport.maestro.manifestWork");
        self.notes.older(
            &entry.key_at,
            &key,
            "transport.maestro.manifestWork",
            "the ManifestWork under manifest, or manifest.ref",
        );
        if item.has("manifest") {
            let message = "manifest and transport.maestro.manifestWork are mutually exclusive";
            return self.error(Stage::Parse, &entry.key_at, &key, message);
        }
        let Some(frame) = self.referred(&entry.value, &key) else {
            // The file is the problem; a missing manifest would only be a consequence.
            return item.set("manifest", entry.value);
        };
        let kind = frame.get("kind").and_then(Node::scalar_text);
        if let Some(kind) = kind.filter(|kind| kind != MANIFEST_WORK) {
            let message = format!("expected a {MANIFEST_WORK}, got kind {kind:?}");
            return self.error(Stage::Parse, &frame.at, &key, message);
        }
        if !item.has("manifests") {
            let at = frame.at.clone();
            item.set("manifest", Node::list(&at, Vec::new()));
        }
        item.set(FRAME, frame);
    }

    /// `manifests: [...]`: several objects that travel in one ManifestWork, each as it is or as `{name, manifest}`.
    pub(super) fn manifests(&self, item: &mut Node, path: &str) {
        let Some(entry) = item.take("manifests") else {
            return;
        };
        let key = format!("{path}.manifests");
        self.notes.older(
            &entry.key_at,
            &key,
            "manifests",
            "one ManifestWork under manifest",
        );
        if item.has("manifest") {
            let message = "manifest and manifests are mutually exclusive";
            return self.error(Stage::Parse, &entry.key_at, &key, message);
        }
        let mut objects = Vec::new();
        let mut names = Vec::new();
        for (index, listed) in entry.value.items().iter().enumerate() {
            let key = format!("{key}[{index}]");
            let object = listed.get("manifest").unwrap_or(listed);
            if let Some(object) = self.referred(object, &key) {
                let name = listed.get("name").filter(|_| listed.has("manifest"));
                names.push(name.cloned().unwrap_or_else(|| Node::null(&listed.at)));
                objects.push(object);
            }
        }
        item.set("manifest", Node::list(&entry.value.at, objects));
        item.set(NAMES, Node::list(&entry.value.at, names));
    }
}

/// Puts the object, or objects, into a ManifestWork: the resource becomes `<alias>Work`, the object `<alias>`. With names of
/// their own, the objects have those and the resource keeps its.
pub(super) fn wrap(item: &mut Node, path: &str, notes: &Notes) {
    let frame = item.take(FRAME).map(|entry| entry.value);
    let names = item.take(NAMES).map(|entry| entry.value);
    let Some(manifest) = item.get("manifest") else {
        return;
    };
    let at = manifest.at.clone();
    let objects: Vec<Node> = match &manifest.kind {
        Kind::List(objects) => objects.clone(),
        Kind::Map(_) if manifest.has("ref") => return,
        Kind::Map(_) if manifest.get("kind").and_then(Node::as_text) == Some(MANIFEST_WORK) => {
            if let Some(manifest) = item.get_mut("manifest") {
                annotate_work(manifest);
            }
            return;
        }
        Kind::Map(_) => vec![manifest.clone()],
        _ => return,
    };
    let is_framed = frame.is_some();
    if !is_framed {
        notes.older(
            &at,
            &format!("{path}.manifest"),
            "an object for Maestro without a ManifestWork",
            "the ManifestWork with manifestConfigs",
        );
    }
    let frame = frame.unwrap_or_else(|| Node::map::<&str>(&at, []));
    let work = framed(frame, objects);
    let objects = work
        .at_path("spec.workload.manifests")
        .map(Node::items)
        .unwrap_or_default();
    let alias = item
        .get("name")
        .and_then(Node::scalar_text)
        .or_else(|| objects.first().map(object_alias))
        .unwrap_or_default();
    // The frame's own manifests come first.
    let names = names.unwrap_or_else(|| Node::list(&at, Vec::new()));
    let unnamed = objects.len().saturating_sub(names.items().len());
    let given = |index: usize| {
        let name = names.items().get(index.checked_sub(unnamed)?)?;
        name.scalar_text()
    };
    let named = (0..objects.len()).any(|index| given(index).is_some());
    let nested: Vec<Node> = objects
        .iter()
        .enumerate()
        .map(|(index, object)| {
            let otherwise = || match index {
                0 if !named => alias.clone(),
                _ => object_alias(object),
            };
            nested_discovery(object, given(index).unwrap_or_else(otherwise))
        })
        .collect();
    let taken = nested
        .iter()
        .any(|nested| nested.get("name").and_then(Node::as_text) == Some(&alias));
    let name = if taken { format!("{alias}Work") } else { alias };
    item.set("name", Node::text(&at, name));
    if !is_framed || !item.has("discovery") {
        let by = work.at_path("metadata.name").cloned();
        item.set(
            "discovery",
            by_name(by.unwrap_or_else(|| Node::null(&at)), None),
        );
    }
    item.set("manifest", work);
    if !item.has("nested_discoveries") {
        item.set("nested_discoveries", Node::list(&at, nested));
    }
}

fn object_alias(object: &Node) -> String {
    lower_camel(&kind_of(object))
}

fn kind_of(object: &Node) -> String {
    object
        .get("kind")
        .and_then(Node::scalar_text)
        .unwrap_or_default()
}

fn nested_discovery(object: &Node, alias: String) -> Node {
    let at = &object.at;
    let name = object
        .at_path("metadata.name")
        .cloned()
        .unwrap_or_else(|| Node::text(at, ""));
    Node::map(
        at,
        [
            ("name", Node::text(at, alias)),
            (
                "discovery",
                by_name(name, object.at_path("metadata.namespace").cloned()),
            ),
        ],
    )
}

fn annotate_work(work: &mut Node) {
    annotate(work);
    if let Some(manifests) = work
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("workload"))
        .and_then(|workload| workload.get_mut("manifests"))
    {
        manifests.items_mut().iter_mut().for_each(annotate);
    }
}

/// A whole ManifestWork of a frame and the objects that go into it. What the frame says stays.
fn framed(mut frame: Node, objects: Vec<Node>) -> Node {
    let at = frame.at.clone();
    let text = |value: &str| Node::text(&at, value);
    let mut manifests: Vec<Node> = frame
        .at_path("spec.workload.manifests")
        .map(|manifests| manifests.items().to_vec())
        .unwrap_or_default();
    manifests.extend(objects);
    let kind = manifests.first().map(kind_of).unwrap_or_default();
    let name = format!("{}-{{{{ .clusterId }}}}", kind.to_lowercase());
    let labels = [
        ("hyperfleet.io/cluster-id", text("{{ .clusterId }}")),
        ("hyperfleet.io/adapter", text("{{ .adapter.name }}")),
    ];
    let configs = manifests.iter().map(manifest_config).collect();
    for (path, value) in [
        ("apiVersion", text(API_VERSION)),
        ("kind", text(MANIFEST_WORK)),
        ("metadata.name", text(&name)),
        ("metadata.labels", Node::map(&at, labels)),
        ("spec.deleteOption.propagationPolicy", text("Foreground")),
        ("spec.manifestConfigs", Node::list(&at, configs)),
    ] {
        if frame.at_path(path).is_none_or(Node::is_null) {
            frame.set_path(path, value);
        }
    }
    frame.set_path("spec.workload.manifests", Node::list(&at, manifests));
    annotate_work(&mut frame);
    frame
}

fn manifest_config(object: &Node) -> Node {
    let at = &object.at;
    let text = |value: &str| Node::text(at, value);
    let api_version = object
        .get("apiVersion")
        .and_then(Node::scalar_text)
        .unwrap_or_default();
    let group = api_version
        .split_once('/')
        .map_or("", |(group, _)| group)
        .to_owned();
    let kind = kind_of(object);
    let mut identifier = Node::map(
        at,
        [("group", text(&group)), ("resource", text(&plural(&kind)))],
    );
    for key in ["namespace", "name"] {
        if let Some(value) = object.at_path(&format!("metadata.{key}")) {
            identifier.set(key, value.clone());
        }
    }
    let status = Node::map(at, [("name", text("status")), ("path", text(".status"))]);
    let rule = Node::map(
        at,
        [
            ("type", text("JSONPaths")),
            ("jsonPaths", Node::list(at, vec![status])),
        ],
    );
    Node::map(
        at,
        [
            ("resourceIdentifier", identifier),
            (
                "updateStrategy",
                Node::map(at, [("type", text("ServerSideApply"))]),
            ),
            ("feedbackRules", Node::list(at, vec![rule])),
        ],
    )
}

/// The usual plural: `hostedclusters`, `networkpolicies`, `ingresses`.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if let Some(stem) = lower.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
    {
        return format!("{stem}ies");
    }
    if ["s", "x", "ch", "sh"]
        .iter()
        .any(|end| lower.ends_with(end))
    {
        return format!("{lower}es");
    }
    format!("{lower}s")
}
