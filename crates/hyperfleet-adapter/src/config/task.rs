//! The task config: what to do for an event, compiled. `docs/protocol/adapter-config.md` has all keys.
//!
//! Values of this module can only come from a document that passed every check: templates, expressions and paths
//! are parsed, names are unique, files are read.

pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod read;
mod read_call;
mod read_params;
mod read_post;
mod read_resource;
pub(crate) mod shape;

use std::time::Duration;

use kube_access::{Gvk, Propagation};
use serde_json::Value;

use super::deployment::Backoff;
use super::tree::Node;
use crate::api::Method;
use crate::lang::{Expression, FieldPath, Text};
use shape::Shape;

/// A checked task config in the current schema, whatever generation the file was written for.
#[derive(Debug, Clone)]
pub struct TaskConfig {
    pub(crate) params: Vec<Param>,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) actions: Vec<Action>,
    /// The document in the current schema, for `config-dump`.
    pub(crate) tree: Node,
}

impl TaskConfig {
    /// Names of the resources, in order.
    pub fn resource_names(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| resource.name.as_str())
    }

    /// The document in the current schema as JSON, with file contents in place.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.tree.to_json()
    }

    /// Whether any resource uses Maestro.
    #[must_use]
    pub fn uses_maestro(&self) -> bool {
        self.resources
            .iter()
            .any(|resource| resource.target.is_some())
    }

    /// Whether any resource, or a param, uses the adapter's own cluster.
    #[must_use]
    pub fn uses_kubernetes(&self) -> bool {
        self.resources
            .iter()
            .any(|resource| resource.target.is_none())
            || self
                .params
                .iter()
                .any(|param| matches!(param.source, Source::Object { .. }))
    }
}

/// `params[]`.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) kind: Option<ParamType>,
    pub(crate) required: bool,
    pub(crate) default: Option<Value>,
}

/// Where a param comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// `env.NAME`.
    Env { text: String, name: String },
    /// `event.a.b`, `config.a.b`, `param.a.b`, or a path into the event.
    Path {
        text: String,
        root: Root,
        path: Vec<String>,
    },
    /// An HTTP call whose response object is the value.
    ApiCall(Box<ApiCall>),
    /// A CEL value.
    Expression(Expression),
    /// The text of a file, read for every event.
    File { path: String, trim: bool },
    /// A key of a Secret or ConfigMap; older configs only.
    Object {
        text: String,
        kind: ObjectKind,
        namespace: String,
        name: String,
        key: String,
    },
}

/// First part of a dotted path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Event,
    Config,
    /// A param if one of that name is resolved, else the event.
    Param,
}

/// Kinds that hold text by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Secret,
    ConfigMap,
}

/// `params[].type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamType {
    String,
    Int,
    Float,
    Bool,
}

impl ParamType {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "string" => Some(Self::String),
            "int" | "int64" => Some(Self::Int),
            "float" | "float64" => Some(Self::Float),
            "bool" => Some(Self::Bool),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
        }
    }
}

/// `api_call`.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    pub(crate) url: Text,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) body: Option<Text>,
    pub(crate) headers: Vec<(String, Text)>,
    /// Rewrite paths of the API as older configs wrote them.
    pub(crate) older_paths: bool,
}

/// `log` of a precondition or action.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) message: Text,
    pub(crate) level: tracing::Level,
}

/// `preconditions[]`.
#[derive(Debug, Clone)]
pub(crate) struct Precondition {
    pub(crate) name: String,
    pub(crate) api_call: Option<ApiCall>,
    /// Fetch the adapters' reports too and show them as `status.adapters`, where older configs look for them.
    pub(crate) adapters_view: bool,
    pub(crate) log: Option<Log>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) check: Check,
}

/// What a precondition demands.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// Nothing beyond its call.
    None,
    /// All of these.
    Conditions(Vec<Condition>),
    Expression(Expression),
}

/// `capture[]`.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) how: How,
    pub(crate) default: Option<Value>,
}

/// A value by path or by expression.
#[derive(Debug, Clone)]
pub(crate) enum How {
    Field(FieldPath),
    Expression(Expression),
}

/// `conditions[]`.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) field: FieldPath,
    pub(crate) operator: Operator,
    pub(crate) expected: Value,
}

/// Operators of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Contains,
    GreaterThan,
    LessThan,
    GreaterThanOrEqual,
    LessThanOrEqual,
    Exists,
    NotExists,
}

impl Operator {
    /// Those that upstream's message lists.
    pub(crate) const LISTED: &str =
        "equals, notEquals, in, notIn, contains, greaterThan, lessThan, exists";

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "equals" => Self::Equals,
            "notEquals" => Self::NotEquals,
            "in" => Self::In,
            "notIn" => Self::NotIn,
            "contains" => Self::Contains,
            "greaterThan" => Self::GreaterThan,
            "lessThan" => Self::LessThan,
            "greaterThanOrEqual" => Self::GreaterThanOrEqual,
            "lessThanOrEqual" => Self::LessThanOrEqual,
            "exists" => Self::Exists,
            "notExists" | "doesNotExist" => Self::NotExists,
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "notEquals",
            Self::In => "in",
            Self::NotIn => "notIn",
            Self::Contains => "contains",
            Self::GreaterThan => "greaterThan",
            Self::LessThan => "lessThan",
            Self::GreaterThanOrEqual => "greaterThanOrEqual",
            Self::LessThanOrEqual => "lessThanOrEqual",
            Self::Exists => "exists",
            Self::NotExists => "notExists",
        }
    }
}

/// `resources[]`.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) name: String,
    /// The consumer for Maestro; `None` = Kubernetes.
    pub(crate) target: Option<Text>,
    pub(crate) manifest: Manifest,
    /// As far as the manifest names it without being rendered.
    pub(crate) gvk: Option<Gvk>,
    /// The objects inside of a ManifestWork that are known without rendering it.
    pub(crate) carried: Vec<Gvk>,
    pub(crate) discovery: Discovery,
    pub(crate) nested: Vec<Nested>,
    pub(crate) recreate_on_change: bool,
    pub(crate) create_when: Option<Expression>,
    pub(crate) delete: Option<DeleteRule>,
    /// `lifecycle.recreate`.
    pub(crate) recreate_when: Option<Expression>,
}

impl Resource {
    /// Whether the resource has a `lifecycle`.
    pub(crate) fn has_lifecycle(&self) -> bool {
        self.create_when.is_some() || self.delete.is_some() || self.recreate_when.is_some()
    }
}

/// `lifecycle.delete`.
#[derive(Debug, Clone)]
pub(crate) struct DeleteRule {
    pub(crate) when: Expression,
    pub(crate) propagation: Propagation,
}

/// `manifest`.
#[derive(Debug, Clone)]
pub(crate) enum Manifest {
    /// Leaves are rendered in place; strings stay strings.
    Map(Shape),
    /// Rendered as a whole, then parsed.
    Text(Text),
}

/// `discovery`.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    pub(crate) namespace: Option<Text>,
    pub(crate) by: By,
}

/// How a discovery finds.
#[derive(Debug, Clone)]
pub(crate) enum By {
    Name(Text),
    /// Keys are templates too.
    Labels(Vec<(Text, Text)>),
}

/// `nested_discoveries[]`.
#[derive(Debug, Clone)]
pub(crate) struct Nested {
    pub(crate) name: String,
    pub(crate) discovery: Discovery,
}

/// `post.payloads[]`.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) name: String,
    pub(crate) build: Build,
    pub(crate) when: Option<Expression>,
}

/// `build`.
#[derive(Debug, Clone)]
pub(crate) enum Build {
    Map(Shape),
    /// A top-level value that is no map goes out as it is.
    Raw(Value),
}

/// `post.post_actions[]`.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) when: Option<Expression>,
    pub(crate) api_call: Option<ApiCall>,
    pub(crate) log: Option<Log>,
}
