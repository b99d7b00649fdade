//! What is asked of the engine, and what it answers.

use std::sync::Arc;

use serde_json::Value;

use super::DeleteOptions;
use crate::object::{Key, Object};
use crate::patch::Patch;
use crate::rbac::User;

/// The part of an object that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object itself.
    Whole,
    /// `/status`.
    Status,
    /// `/finalize` of a namespace.
    Finalize,
}

/// What a write is about. The type is looked up again by the engine, since a CRD may have gone in between.
#[derive(Clone, Debug)]
pub struct Target {
    /// API group, empty for the core group.
    pub group: String,
    /// Version of the request.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty for creates and collections.
    pub name: String,
    /// Main resource or subresource.
    pub part: Part,
}

/// What to do about unknown fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so.
    Warn,
    /// Refuse the request.
    Strict,
}

/// How a write is to be done.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Check everything, store nothing.
    pub dry_run: bool,
    /// Who writes, if permissions to grant permissions are to be checked.
    pub user: Option<User>,
    /// Name of the field manager.
    pub manager: String,
    /// Unknown fields.
    pub field_validation: FieldValidation,
}

/// A write request.
#[derive(Debug)]
pub enum Write {
    /// POST.
    Create {
        /// Where to.
        target: Target,
        /// The object.
        object: Value,
        /// How.
        options: WriteOptions,
    },
    /// PUT.
    Replace {
        /// Which.
        target: Target,
        /// The object.
        object: Value,
        /// How.
        options: WriteOptions,
    },
    /// PATCH.
    Patch {
        /// Which.
        target: Target,
        /// The change.
        patch: Patch,
        /// How.
        options: WriteOptions,
    },
    /// DELETE of one object.
    Delete {
        /// Which.
        target: Target,
        /// How.
        options: DeleteOptions,
    },
    /// DELETE of a collection.
    DeleteCollection {
        /// Which type and namespace.
        target: Target,
        /// Names of the selected objects (looked up by the caller, checked again here).
        keys: Vec<Key>,
        /// How.
        options: DeleteOptions,
    },
}

/// The result of a write.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The object after the write, in the requested version.
    pub object: Value,
    /// The same as stored, unless nothing was.
    pub stored: Option<Arc<Object>>,
    /// The object is new.
    pub created: bool,
    /// The object is gone.
    pub removed: bool,
    /// For `Warning` headers.
    pub warnings: Vec<String>,
}
