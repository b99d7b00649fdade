//! Entities: a cluster, a node pool, or any other kind the API was configured with.
//!
//! All kinds have one shape; what differs is the kind's name, its parent and what its `spec` means.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::condition::{RECONCILED, ResourceCondition};

/// A resource of kind `Cluster`.
pub type Cluster = Resource;
/// A resource of kind `NodePool`, a child of a cluster.
pub type NodePool = Resource;

/// Another resource, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReference {
    /// UUID of the target.
    pub id: String,
    /// Kind of the target.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Canonical path of the target.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub href: String,
}

/// One entity as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// UUIDv7 in lower case, made by the API, ordered by time.
    pub id: String,
    /// Kind as registered, e.g. `Cluster`.
    pub kind: String,
    /// Name, unique among the live resources of its kind (and parent).
    pub name: String,
    /// Canonical path.
    #[serde(default)]
    pub href: String,
    /// What the user wants; opaque to everybody but the adapters.
    #[serde(default)]
    pub spec: Map<String, Value>,
    /// Searchable labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Tenant dimensions stamped at creation.
    #[serde(default)]
    pub tenancy: BTreeMap<String, String>,
    /// Counts what adapters must act on, from 1.
    #[serde(default)]
    pub generation: i32,
    /// When it was created.
    pub created_time: Timestamp,
    /// When its generation last changed.
    pub updated_time: Timestamp,
    /// Who created it.
    #[serde(default)]
    pub created_by: String,
    /// Who changed it last.
    #[serde(default)]
    pub updated_by: String,
    /// Present once deletion was asked for; this is the deletion signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_time: Option<Timestamp>,
    /// Who asked for the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<String>,
    /// The parent; one object, only on child kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_references: Option<ObjectReference>,
    /// Links to resources that do not own this one, by reference type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, Vec<ObjectReference>>,
    /// Conditions.
    #[serde(default)]
    pub status: ResourceStatus,
}

impl Resource {
    /// The condition of this type, if it is there.
    pub fn condition(&self, type_: &str) -> Option<&ResourceCondition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    /// Whether the resource is reconciled at its current generation.
    pub fn is_reconciled(&self) -> bool {
        self.condition(RECONCILED)
            .is_some_and(|c| c.status.is_true() && c.observed_generation == self.generation)
    }

    /// Whether deletion was asked for.
    pub fn is_deleting(&self) -> bool {
        self.deleted_time.is_some()
    }
}

/// What the API knows about a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Conditions; always present on the wire, may be empty.
    #[serde(default)]
    pub conditions: Vec<ResourceCondition>,
}

/// Body of a create request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewResource {
    /// Kind; must be the kind of the route.
    pub kind: String,
    /// Name.
    pub name: String,
    /// What the user wants.
    pub spec: Map<String, Value>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Links by reference type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, Vec<ObjectReference>>,
}

impl NewResource {
    /// A resource of `kind` without labels and references.
    pub fn new(kind: impl Into<String>, name: impl Into<String>, spec: Map<String, Value>) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            spec,
            labels: BTreeMap::new(),
            references: BTreeMap::new(),
        }
    }
}

/// Body of a patch request: each member that is present replaces the stored one whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePatch {
    /// New spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Map<String, Value>>,
    /// New labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// New links; an empty map removes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<BTreeMap<String, Vec<ObjectReference>>>,
}

impl ResourcePatch {
    /// A patch that replaces the spec only.
    pub fn spec(spec: Map<String, Value>) -> Self {
        Self {
            spec: Some(spec),
            ..Self::default()
        }
    }
}
