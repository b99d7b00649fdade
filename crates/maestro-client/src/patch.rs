//! Partial changes of a work.

use manifestwork::ManifestWork;
use serde_json::Value;

use crate::Error;

/// A partial change.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// JSON merge patch (RFC 7386): given keys are set, `null` removes, arrays are replaced as a whole.
    Merge(Value),
    /// JSON patch (RFC 6902): a list of operations.
    Json(Value),
}

/// The work after the patch. Identity and status can't be patched; `metadata.generation` can: it is the version that the
/// change is based on.
///
/// # Errors
/// A patch that can't be applied, or a result that is no work.
pub fn apply(work: &ManifestWork, patch: &Patch) -> Result<ManifestWork, Error> {
    let bad = |why: String| Error::invalid(format!("the patch can't be applied: {why}"));
    let mut tree = serde_json::to_value(work).map_err(|error| bad(error.to_string()))?;
    match patch {
        Patch::Merge(change) => {
            if !change.is_object() {
                return Err(bad("a merge patch must be an object".to_owned()));
            }
            json_patch::merge(&mut tree, change);
        }
        Patch::Json(operations) => {
            let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                .map_err(|error| bad(error.to_string()))?;
            json_patch::patch(&mut tree, &operations).map_err(|error| bad(error.to_string()))?;
        }
    }
    let mut patched: ManifestWork =
        serde_json::from_value(tree).map_err(|error| bad(error.to_string()))?;
    for (path, before, after) in [
        ("metadata.name", &work.metadata.name, &patched.metadata.name),
        (
            "metadata.namespace",
            &work.metadata.namespace,
            &patched.metadata.namespace,
        ),
        ("metadata.uid", &work.metadata.uid, &patched.metadata.uid),
    ] {
        if before != after {
            return Err(bad(format!(
                "{path} can't be changed from {before:?} to {after:?}"
            )));
        }
    }
    patched.status = work.status.clone();
    patched.metadata.creation_timestamp = work.metadata.creation_timestamp;
    patched.metadata.deletion_timestamp = work.metadata.deletion_timestamp;
    Ok(patched)
}
