//! The patch types other than server-side apply: JSON Patch, JSON merge patch, strategic merge patch.

mod strategic;

use serde_json::Value;

use crate::failure::{Cause, Failure, Subject};
use crate::shape::Shape;

/// Most operations of one JSON Patch.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// A patch as it came, not yet applied.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Merge with list keys; built-in kinds only.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// The configuration.
        config: Value,
        /// Take fields from other managers.
        force: bool,
    },
}

impl Patch {
    /// Reads a JSON Patch.
    ///
    /// # Errors
    /// 400 if it isn't one, 413 if it is too long.
    pub fn json(value: Value) -> Result<Self, Failure> {
        if value
            .as_array()
            .is_some_and(|operations| operations.len() > MAX_JSON_PATCH_OPERATIONS)
        {
            let text = format!(
                "The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}"
            );
            return Err(Failure {
                code: 413,
                reason: "RequestEntityTooLarge",
                message: text,
                details: None,
            });
        }
        match serde_json::from_value(value) {
            Ok(patch) => Ok(Self::Json(patch)),
            Err(error) => Err(Failure::bad_request(format!(
                "error decoding patch: {error}"
            ))),
        }
    }

    /// The object after the patch; not for server-side apply, which needs the owners of fields.
    ///
    /// # Errors
    /// 422 if an operation can't be done, 400 if the patch makes no object.
    pub fn apply_to(
        &self,
        live: &Value,
        shape: &Shape,
        subject: &Subject<'_>,
    ) -> Result<Value, Failure> {
        let patched = match self {
            Self::Json(patch) => {
                let mut target = live.clone();
                json_patch::patch(&mut target, patch).map_err(|error| {
                    let mut failure = Failure::invalid(subject, &[]);
                    failure.message = format!(
                        "the server rejected our request due to an error in our request: {error}"
                    );
                    failure
                })?;
                target
            }
            Self::Merge(patch) => {
                let mut target = live.clone();
                json_patch::merge(&mut target, patch);
                target
            }
            Self::Strategic(patch) => {
                strategic::merge(live, patch, shape).map_err(Failure::bad_request)?
            }
            Self::Apply { .. } => {
                return Err(Failure::internal("server-side apply isn't a plain patch"));
            }
        };
        if !patched.is_object() {
            return Err(Failure::bad_request("the patch doesn't make an object"));
        }
        let uid = crate::object::metadata_text(&patched, "uid");
        if uid != crate::object::metadata_text(live, "uid") {
            let cause = Cause::invalid("metadata.uid", &uid.into(), "field is immutable");
            return Err(Failure::invalid(subject, &[cause]));
        }
        Ok(patched)
    }
}
