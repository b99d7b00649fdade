//! Status hashes: how a source or server knows without the text whether it has the same status.

use sha2::{Digest, Sha256};

use crate::{ids::hex, status::Status};

/// Hash of the empty string: what a server tells for a resource that has no status yet.
pub const NO_STATUS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Lower-case hex SHA-256 over the status as compact JSON with keys sorted at every level and Go's HTML escapes.
#[must_use]
pub fn status_hash(status: &Status) -> String {
    let tree = serde_json::to_value(status).expect("a status is plain data");
    hex(&Sha256::digest(
        go_compat::json::to_string_sorted(&tree).as_bytes(),
    ))
}
