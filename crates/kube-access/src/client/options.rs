//! What can be said about a verb beside its object.

use serde_json::{Map, Value, json};

/// Options of a create, replace or patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Write {
    /// The manager recorded for the fields; empty means the user agent.
    pub field_manager: String,
    /// Check only, store nothing.
    pub dry_run: bool,
    /// Act as this user (`Impersonate-User`).
    pub impersonate_user: Option<String>,
}

/// Options of a server-side apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// The manager that owns the fields of the object.
    pub field_manager: String,
    /// Take fields from other managers instead of failing with a conflict.
    pub force: bool,
    /// Check only, store nothing.
    pub dry_run: bool,
}

impl Apply {
    /// An apply that doesn't take fields from others.
    pub fn new(field_manager: impl Into<String>) -> Self {
        Self {
            field_manager: field_manager.into(),
            force: false,
            dry_run: false,
        }
    }

    /// The same, taking fields from others.
    pub fn forced(mut self) -> Self {
        self.force = true;
        self
    }
}

/// A patch of one of the three older kinds; for server-side apply see [`Client::apply`](crate::Client::apply).
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 7396.
    Merge(Value),
    /// RFC 6902: an array of operations.
    Json(Value),
    /// Kubernetes' own, for built-in kinds only.
    Strategic(Value),
}

/// What becomes of dependents when their owner is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes them afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// Options of a delete. The default sends empty `DeleteOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delete {
    /// What becomes of dependents; the server chooses if it is absent.
    pub propagation: Option<Propagation>,
    /// Delete only this life of the object; otherwise 409.
    pub uid: Option<String>,
    /// Delete only this version of the object; otherwise 409.
    pub resource_version: Option<String>,
    /// Seconds until a pod is killed.
    pub grace_period_seconds: Option<u32>,
    /// Check only, delete nothing.
    pub dry_run: bool,
}

impl Delete {
    /// Background propagation, and only if the object still has this uid.
    pub fn background_of(uid: impl Into<String>) -> Self {
        Self {
            propagation: Some(Propagation::Background),
            uid: Some(uid.into()),
            ..Self::default()
        }
    }
}

/// Options of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// A label selector such as `app=x,tier!=y`.
    pub labels: Option<String>,
    /// A field selector such as `metadata.name=x`.
    pub fields: Option<String>,
    /// Objects per page; 0 means everything in one answer.
    pub limit: u32,
    /// The token of an earlier page.
    pub continue_token: Option<String>,
    /// Ask for `metadata` only.
    pub metadata_only: bool,
}

impl List {
    /// Everything that carries these labels.
    pub fn labelled(selector: impl Into<String>) -> Self {
        Self {
            labels: Some(selector.into()),
            ..Self::default()
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// The objects, each with `apiVersion` and `kind`.
    pub items: Vec<Value>,
    /// The version to watch from.
    pub resource_version: String,
    /// Set if there is another page.
    pub continue_token: Option<String>,
}

impl Delete {
    /// The `DeleteOptions` that say only what is set.
    pub(super) fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("kind".into(), json!("DeleteOptions"));
        body.insert("apiVersion".into(), json!("v1"));
        let mut preconditions = Map::new();
        if let Some(uid) = &self.uid {
            preconditions.insert("uid".into(), json!(uid));
        }
        if let Some(version) = &self.resource_version {
            preconditions.insert("resourceVersion".into(), json!(version));
        }
        if !preconditions.is_empty() {
            body.insert("preconditions".into(), Value::Object(preconditions));
        }
        if let Some(propagation) = self.propagation {
            let policy = match propagation {
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
                Propagation::Orphan => "Orphan",
            };
            body.insert("propagationPolicy".into(), json!(policy));
        }
        if let Some(seconds) = self.grace_period_seconds {
            body.insert("gracePeriodSeconds".into(), json!(seconds));
        }
        if self.dry_run {
            body.insert("dryRun".into(), json!(["All"]));
        }
        Value::Object(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_options_say_only_what_is_set() {
        assert_eq!(
            Delete::default().body(),
            json!({"kind": "DeleteOptions", "apiVersion": "v1"})
        );
        assert_eq!(
            Delete::background_of("u").body(),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "u"}, "propagationPolicy": "Background"})
        );
    }
}
