//! Rules from outside: what a validating webhook or a CRD's CEL rules would refuse.

use serde_json::Value;

pub use crate::failure::Cause;

/// What is about to happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The object doesn't exist yet.
    Create,
    /// The object changes, main resource or status.
    Update,
    /// The object is about to be deleted (or to get its deletionTimestamp).
    Delete,
}

/// A write that may be refused. The object already has its defaults and passed its schema.
#[derive(Clone, Copy, Debug)]
pub struct Review<'a> {
    /// What happens.
    pub operation: Operation,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Version of the request.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// `status`, `scale`, or empty.
    pub subresource: &'a str,
    /// Empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// The object after the write; the present object for deletes.
    pub object: &'a Value,
    /// The object before an update.
    pub old_object: Option<&'a Value>,
}

/// Decides about writes. Called by the task that owns the store: it must be quick and must not block.
pub trait Admission: Send + Sync {
    /// Accepts a write or says what is wrong with it.
    ///
    /// # Errors
    /// The causes; the client gets 422 Invalid with all of them.
    fn review(&self, review: &Review<'_>) -> Result<(), Vec<Cause>>;
}
