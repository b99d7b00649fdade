//! Which kinds of resources there are: read from configuration, checked once, never changed.
//!
//! Clusters and node pools are not special anywhere else: routes, aggregation and deletion follow from what is said here.

use std::{collections::HashMap, fmt, sync::Arc};

use hyperfleet_types::condition::{LAST_KNOWN_RECONCILED, RECONCILED};
use serde::{Deserialize, Serialize};

use crate::domain::mapping::{self, Rule};

/// Longest name of a resource, bytes; what the database column holds.
pub const MAX_NAME_BYTES: usize = 100;
/// Longest kind or plural, bytes.
const MAX_KIND_BYTES: usize = 63;

/// One kind, as the configuration key `entities` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Name of the kind, e.g. `Cluster`.
    pub kind: String,
    /// Path segment, e.g. `clusters`.
    pub plural: String,
    /// Makes it a child kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_kind: Option<String>,
    /// What deleting the parent does; required on child kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_parent_delete: Option<OnParentDelete>,
    /// Adapters that must report before a resource is reconciled, or gone.
    #[serde(default)]
    pub required_adapters: Vec<String>,
    /// Component of the schema document that `spec` must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_schema_name: Option<String>,
    /// Refuse to start if that component is missing; otherwise the spec is not checked then.
    #[serde(default)]
    pub require_spec_schema: bool,
    /// Shortest name, bytes; 0 = 1.
    #[serde(default)]
    pub name_min_len: usize,
    /// Longest name, bytes; 0 = 100.
    #[serde(default)]
    pub name_max_len: usize,
    /// Links to other kinds.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// Conditions beside those of aggregation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<mapping::Config>,
}

/// What deleting a parent does to its children of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnParentDelete {
    /// The parent can't be deleted while live children exist.
    Restrict,
    /// The children are deleted with it.
    Cascade,
}

/// A link that does not own its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Name of the link, e.g. `wif_config`.
    pub ref_type: String,
    /// Kind it points to.
    pub target_kind: String,
    /// Fewest targets.
    #[serde(default)]
    pub min: usize,
    /// Most targets; 0 = no limit.
    #[serde(default)]
    pub max: usize,
}

/// A checked kind.
#[derive(Debug)]
pub struct Kind {
    /// As configured.
    pub entity: Entity,
    /// Compiled `conditions`, sorted by type.
    pub rules: Vec<Rule>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.entity == other.entity
    }
}

impl Eq for Kind {}

impl std::ops::Deref for Kind {
    type Target = Entity;

    fn deref(&self) -> &Entity {
        &self.entity
    }
}

impl Kind {
    fn compile(entity: Entity, problems: &mut Vec<String>) -> Self {
        let mut rules = Vec::new();
        for (index, config) in entity.conditions.iter().enumerate() {
            match Rule::compile(config) {
                Ok(rule) => rules.push(rule),
                Err(found) => problems.extend(found.into_iter().map(|problem| {
                    format!(
                        "{}: conditions[{index}] ({}): {problem}",
                        entity.kind, config.type_
                    )
                })),
            }
        }
        rules.sort_by(|a, b| a.type_().cmp(b.type_()));
        Self { entity, rules }
    }

    /// A kind without mapped conditions, not checked.
    pub fn plain(entity: Entity) -> Self {
        Self {
            entity,
            rules: Vec::new(),
        }
    }

    /// Shortest and longest name, bytes.
    pub fn name_bounds(&self) -> (usize, usize) {
        let max = if self.name_max_len == 0 {
            MAX_NAME_BYTES
        } else {
            self.name_max_len
        };
        (self.name_min_len.max(1), max)
    }

    /// The reference of this type.
    pub fn reference(&self, ref_type: &str) -> Option<&Reference> {
        self.references
            .iter()
            .find(|reference| reference.ref_type == ref_type)
    }
}

/// Everything wrong with a list of entities, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<String>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entities: {}", self.0.join("; "))
    }
}

impl std::error::Error for Invalid {}

/// All kinds, in the order of the configuration.
#[derive(Debug)]
pub struct Registry {
    kinds: Vec<Arc<Kind>>,
    by_kind: HashMap<String, Arc<Kind>>,
    by_plural: HashMap<String, Arc<Kind>>,
}

impl Registry {
    /// Checks the entities.
    ///
    /// # Errors
    /// [`Invalid`] with every problem found.
    pub fn new(entities: Vec<Entity>) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let kinds: Vec<Arc<Kind>> = entities
            .into_iter()
            .map(|entity| Arc::new(Kind::compile(entity, &mut problems)))
            .collect();
        let (mut by_kind, mut by_plural) = (HashMap::new(), HashMap::new());
        for kind in &kinds {
            check_names(kind, &mut problems);
            if by_kind.insert(kind.kind.clone(), kind.clone()).is_some() {
                problems.push(format!("kind {:?} is listed twice", kind.kind));
            }
            if by_plural
                .insert(kind.plural.clone(), kind.clone())
                .is_some()
            {
                problems.push(format!("plural {:?} is used twice", kind.plural));
            }
        }
        let registry = Self {
            kinds,
            by_kind,
            by_plural,
        };
        for kind in &registry.kinds {
            registry.check_parent(kind, &mut problems);
            registry.check_references(kind, &mut problems);
            check_adapters(kind, &mut problems);
            registry.check_conditions(kind, &mut problems);
        }
        if problems.is_empty() {
            Ok(registry)
        } else {
            Err(Invalid(problems))
        }
    }

    /// Whether any kind maps conditions, which may look at the spec.
    pub fn maps_conditions(&self) -> bool {
        self.kinds.iter().any(|kind| !kind.rules.is_empty())
    }

    /// All kinds.
    pub fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// A kind by its name.
    pub fn kind(&self, kind: &str) -> Option<&Arc<Kind>> {
        self.by_kind.get(kind)
    }

    /// A kind by its path segment.
    pub fn plural(&self, plural: &str) -> Option<&Arc<Kind>> {
        self.by_plural.get(plural)
    }

    fn check_parent(&self, kind: &Kind, problems: &mut Vec<String>) {
        let name = &kind.kind;
        let Some(parent) = &kind.parent_kind else {
            if kind.on_parent_delete.is_some() {
                problems.push(format!(
                    "{name}: on_parent_delete is set, but there is no parent_kind"
                ));
            }
            return;
        };
        if kind.on_parent_delete.is_none() {
            problems.push(format!("{name}: on_parent_delete must be restrict or cascade, or its resources outlive their parents"));
        }
        if self.kind(parent).is_none() {
            problems.push(format!("{name}: parent_kind {parent:?} is not listed"));
        }
        let mut seen = vec![name.as_str()];
        let mut next = kind.parent_kind.as_deref();
        while let Some(parent) = next {
            if seen.contains(&parent) {
                problems.push(format!(
                    "{name}: parent_kind leads in a circle ({} -> {parent})",
                    seen.join(" -> ")
                ));
                return;
            }
            seen.push(parent);
            next = self
                .kind(parent)
                .and_then(|kind| kind.parent_kind.as_deref());
        }
    }

    fn check_references(&self, kind: &Kind, problems: &mut Vec<String>) {
        let name = &kind.kind;
        for (index, reference) in kind.references.iter().enumerate() {
            let Reference {
                ref_type,
                target_kind,
                min,
                max,
            } = reference;
            if ref_type.is_empty() {
                problems.push(format!("{name}: references[{index}]: ref_type is required"));
            }
            if kind
                .references
                .iter()
                .take(index)
                .any(|other| other.ref_type == *ref_type)
            {
                problems.push(format!("{name}: reference {ref_type:?} is listed twice"));
            }
            if self.kind(target_kind).is_none() {
                problems.push(format!(
                    "{name}: reference {ref_type:?}: target_kind {target_kind:?} is not listed"
                ));
            }
            if *max != 0 && max < min {
                problems.push(format!(
                    "{name}: reference {ref_type:?}: max {max} is less than min {min}"
                ));
            }
        }
        if self.requires(kind, name, &mut Vec::new()) {
            problems.push(format!("{name}: required references lead in a circle"));
        }
    }

    fn check_conditions(&self, kind: &Kind, problems: &mut Vec<String>) {
        let adapters = self.kinds.iter().flat_map(|kind| &kind.required_adapters);
        let mut taken: Vec<String> = adapters.map(|adapter| adapter_condition(adapter)).collect();
        taken.extend([RECONCILED, LAST_KNOWN_RECONCILED].map(str::to_owned));
        for config in &kind.conditions {
            if taken.contains(&config.type_) {
                problems.push(format!(
                    "{}: condition type {:?} is reserved or listed twice",
                    kind.kind, config.type_
                ));
            }
            taken.push(config.type_.clone());
        }
    }

    /// Whether following required references from `kind` arrives at `goal`.
    fn requires<'r>(&'r self, kind: &'r Kind, goal: &str, seen: &mut Vec<&'r str>) -> bool {
        let required = kind.references.iter().filter(|reference| reference.min > 0);
        required.into_iter().any(|reference| {
            let target = reference.target_kind.as_str();
            if target == goal {
                return true;
            }
            if seen.contains(&target) {
                return false;
            }
            seen.push(target);
            self.kind(target)
                .is_some_and(|kind| self.requires(kind, goal, seen))
        })
    }
}

fn check_names(kind: &Kind, problems: &mut Vec<String>) {
    let name = &kind.kind;
    let word = |text: &str| {
        text.len() <= MAX_KIND_BYTES
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.is_empty() || !word(name) {
        problems.push(format!(
            "kind {name:?} must be 1-{MAX_KIND_BYTES} letters, digits, - or _"
        ));
    }
    if kind.plural.is_empty() || !word(&kind.plural) {
        problems.push(format!(
            "{name}: plural {:?} must be 1-{MAX_KIND_BYTES} letters, digits, - or _",
            kind.plural
        ));
    }
    if matches!(
        kind.plural.as_str(),
        "resources" | "openapi" | "statuses" | "force-delete"
    ) {
        problems.push(format!("{name}: plural {:?} is reserved", kind.plural));
    }
    let (min, max) = kind.name_bounds();
    if min > max || max > MAX_NAME_BYTES {
        problems.push(format!(
            "{name}: name lengths {min}-{max} are not within 1-{MAX_NAME_BYTES}"
        ));
    }
    if kind.require_spec_schema && kind.spec_schema_name.is_none() {
        problems.push(format!(
            "{name}: require_spec_schema needs spec_schema_name"
        ));
    }
}

fn check_adapters(kind: &Kind, problems: &mut Vec<String>) {
    let name = &kind.kind;
    let mut conditions: HashMap<String, &str> = HashMap::new();
    for adapter in &kind.required_adapters {
        if adapter.is_empty() {
            problems.push(format!("{name}: required_adapters has an empty name"));
        } else if let Some(other) = conditions.insert(adapter_condition(adapter), adapter) {
            problems.push(format!(
                "{name}: required_adapters {other:?} and {adapter:?} share the condition {}",
                adapter_condition(adapter)
            ));
        }
    }
}

/// Condition type that shows what an adapter says: `my-adapter` → `MyAdapterSuccessful`.
pub fn adapter_condition(adapter: &str) -> String {
    let mut type_ = String::with_capacity(adapter.len() + 10);
    for part in adapter.split('-') {
        let mut letters = part.chars();
        type_.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        type_.push_str(letters.as_str());
    }
    type_ + "Successful"
}

/// The kinds of a HyperFleet installation that configures none of its own.
pub fn standard() -> Vec<Entity> {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let entity = |kind: &str, plural: &str, schema: &str| Entity {
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        spec_schema_name: Some(schema.to_owned()),
        ..Entity::default()
    };
    vec![
        Entity {
            required_adapters: names(&["validation", "dns", "pullsecret", "hypershift"]),
            name_min_len: 3,
            name_max_len: 53,
            references: vec![Reference {
                ref_type: "wif_config".to_owned(),
                target_kind: "WifConfig".to_owned(),
                min: 0,
                max: 1,
            }],
            ..entity("Cluster", "clusters", "ClusterSpec")
        },
        Entity {
            parent_kind: Some("Cluster".to_owned()),
            on_parent_delete: Some(OnParentDelete::Cascade),
            required_adapters: names(&["validation", "hypershift"]),
            name_min_len: 3,
            name_max_len: 15,
            ..entity("NodePool", "nodepools", "NodePoolSpec")
        },
        entity("Channel", "channels", "ChannelSpec"),
        Entity {
            parent_kind: Some("Channel".to_owned()),
            on_parent_delete: Some(OnParentDelete::Restrict),
            ..entity("Version", "versions", "VersionSpec")
        },
        entity("WifConfig", "wifconfigs", "WifConfigSpec"),
        Entity {
            name_min_len: 3,
            name_max_len: 53,
            ..entity(
                "ManagementCluster",
                "management-clusters",
                "ManagementClusterSpec",
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Vec<Entity>)) -> String {
        let mut entities = standard();
        change(&mut entities);
        Registry::new(entities).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_standard_kinds_are_valid() {
        let registry = Registry::new(standard()).unwrap();
        assert_eq!(
            registry.plural("nodepools").unwrap().parent_kind.as_deref(),
            Some("Cluster")
        );
        assert_eq!(registry.kind("Channel").unwrap().name_bounds(), (1, 100));
    }

    #[test]
    fn adapter_names_become_condition_types() {
        for (adapter, type_) in [
            ("dns", "DnsSuccessful"),
            ("my-adapter", "MyAdapterSuccessful"),
            ("pullsecret", "PullsecretSuccessful"),
            ("a--b", "ABSuccessful"),
        ] {
            assert_eq!(adapter_condition(adapter), type_);
        }
    }

    #[test]
    fn every_mistake_is_named_and_all_are_reported() {
        let text = problems(|entities| {
            entities[0].plural = "resources".to_owned();
            entities[1].on_parent_delete = None;
            entities[3].parent_kind = Some("Nothing".to_owned());
            entities[2].parent_kind = Some("Channel".to_owned());
            entities[0].required_adapters = vec!["a-b".to_owned(), "aB".to_owned()];
            entities[0].references[0].min = 2;
            entities[4].name_min_len = 101;
        });
        for expected in [
            "Cluster: plural \"resources\" is reserved",
            "NodePool: on_parent_delete must be",
            "Version: parent_kind \"Nothing\" is not listed",
            "Channel: parent_kind leads in a circle (Channel -> Channel)",
            "share the condition ABSuccessful",
            "max 1 is less than min 2",
            "WifConfig: name lengths 101-100",
        ] {
            assert!(text.contains(expected), "{expected} not in {text}");
        }
    }

    #[test]
    fn required_references_may_not_lead_in_a_circle() {
        let link = |to: &str, min| Reference {
            ref_type: "link".to_owned(),
            target_kind: to.to_owned(),
            min,
            max: 0,
        };
        let text = problems(|entities| {
            entities[4].references = vec![link("Channel", 1)];
            entities[2].references = vec![link("WifConfig", 1)];
        });
        assert!(
            text.contains("WifConfig: required references lead in a circle"),
            "{text}"
        );
        let mut entities = standard();
        entities[4].references = vec![link("Channel", 1)];
        entities[2].references = vec![link("WifConfig", 0)];
        assert!(Registry::new(entities).is_ok());
    }
}
