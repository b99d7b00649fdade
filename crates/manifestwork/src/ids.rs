//! Identities that both ends compute for themselves.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Id of a work: UUIDv5 in the OID namespace over `<source>-manifestworks.work.open-cluster-management.io-<namespace>-<name>`.
///
/// The source id is part of the identity: another source can't address the same work.
#[must_use]
pub fn resource_id(source: &str, namespace: &str, name: &str) -> Uuid {
    let text = format!("{source}-manifestworks.work.open-cluster-management.io-{namespace}-{name}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
}

/// Hash of a server address exactly as it is written in the agent's configuration; lower-case hex SHA-256.
#[must_use]
pub fn hub_hash(server_address: &str) -> String {
    hex(&Sha256::digest(server_address.as_bytes()))
}

/// Name of the record of a work on the managed cluster: `<hub hash>-<work name>`.
#[must_use]
pub fn applied_work_name(hub_hash: &str, work_name: &str) -> String {
    format!("{hub_hash}-{work_name}")
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String doesn't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
