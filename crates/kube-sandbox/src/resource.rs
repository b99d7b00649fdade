//! One resource type: its names, rules and shape.

use std::sync::Arc;

use crate::failure::Subject;
use crate::schema::Schema;
use crate::shape::Shape;

/// Where a resource type comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Part of every cluster.
    BuiltIn,
    /// Made by a CustomResourceDefinition.
    Custom,
}

/// When `metadata.generation` goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationRule {
    /// The kind has no generation.
    None,
    /// With every change of `spec` (built-in kinds).
    Spec,
    /// With every change outside of `metadata` (and outside of `status`, if that is a subresource).
    Content,
}

/// A column of `kubectl get` for a custom resource.
#[derive(Clone, Debug)]
pub struct PrinterColumn {
    /// Title.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// OpenAPI format, may be empty.
    pub format: String,
    /// Explanation, may be empty.
    pub description: String,
    /// 0 is always shown, others with `-o wide`.
    pub priority: i64,
    /// JSONPath of the value, without braces.
    pub json_path: String,
}

/// The `scale` subresource of a custom resource.
#[derive(Clone, Debug)]
pub struct Scale {
    /// JSONPath (`.spec.replicas`) of the wanted number.
    pub spec_replicas: String,
    /// JSONPath of the observed number.
    pub status_replicas: String,
    /// JSONPath of the selector, if any.
    pub selector: Option<String>,
}

/// One version of a resource type.
#[derive(Clone, Debug)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: Arc<str>,
    /// Version, for example `v1beta1`.
    pub version: Arc<str>,
    /// Version in which objects are stored.
    pub storage_version: Arc<str>,
    /// Kind.
    pub kind: String,
    /// Kind of lists.
    pub list_kind: String,
    /// Plural name, as in paths.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Short names for `kubectl`.
    pub short_names: Vec<String>,
    /// Categories for `kubectl`, for example `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Built-in or custom.
    pub origin: Origin,
    /// Whether `status` is a subresource.
    pub has_status: bool,
    /// The scale subresource, if served.
    pub scale: Option<Scale>,
    /// When the generation goes up.
    pub generation: GenerationRule,
    /// Structural schema, if the type has one.
    pub schema: Option<Arc<Schema>>,
    /// The schema as written, for OpenAPI.
    pub open_api: Option<Arc<serde_json::Value>>,
    /// Merge rules.
    pub shape: Arc<Shape>,
    /// Extra columns; `None` for built-in tables.
    pub columns: Option<Vec<PrinterColumn>>,
    /// Paths beyond `metadata.name` and `metadata.namespace` that field selectors may use (dotted).
    pub selectable_fields: Vec<String>,
    /// Name under which objects are stored: `plural.group`.
    pub storage: Arc<str>,
    /// Text of a `Warning` header for uses of this version, if deprecated.
    pub deprecation: Option<String>,
}

/// Verbs of every stored resource type.
pub const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

impl Resource {
    /// `group/version`, or `version` in the core group.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The stored form's `apiVersion`.
    pub fn storage_api_version(&self) -> String {
        api_version(&self.group, &self.storage_version)
    }

    /// What an error about object `name` is about.
    pub fn subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject {
            group: &self.group,
            resource: &self.plural,
            kind: &self.kind,
            name,
        }
    }

    /// Whether it comes from a CRD.
    pub fn is_custom(&self) -> bool {
        self.origin == Origin::Custom
    }
}

/// `group/version`, or `version` in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}
