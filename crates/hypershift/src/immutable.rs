//! May a HostedCluster change like this? The `T` rules, comparing two renderings (or, at an API server, the stored and
//! the new object).
//!
//! A rule of the CRD fires only when the value stands in both documents, so that adding an optional field or leaving it
//! out again passes, unless a rule says otherwise. [`Change::message`] names the field, the old and the new value.

use std::fmt;

use serde_json::Value;

use crate::names::SERVICE_ACCOUNTS;
use crate::path;
use crate::release::Release;

/// Longest value shown in a message, characters.
const MAX_SHOWN: usize = 80;

/// One forbidden change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The broken rule, for example `T03`.
    pub rule: &'static str,
    /// Where.
    pub path: String,
    /// The rule's text.
    pub message: String,
    /// The value before; null if there was none.
    pub old: Value,
    /// The value asked for; null if there is none.
    pub new: Value,
}

/// What may be relaxed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Permit an older release image (T31).
    pub allow_downgrade: bool,
}

/// What a rule forbids.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// To change a value that is there.
    Change,
    /// As [`Kind::Change`], but an empty text may be filled in.
    ChangeOfFilled,
    /// To take the value away.
    Removal,
    /// To change, add or remove it.
    Any,
}

/// Paths, kinds and texts; more specific paths first, so that the cause stands before what contains it.
const RULES: &[(&str, &str, Kind, &str)] = &[
    ("T28", "metadata.name", Kind::Change, "name is immutable"),
    (
        "T28",
        "metadata.namespace",
        Kind::Change,
        "namespace is immutable",
    ),
    (
        "T01",
        "spec.platform.type",
        Kind::Change,
        "Type is immutable",
    ),
    (
        "T02",
        "spec.platform.gcp.project",
        Kind::Change,
        "Project is immutable",
    ),
    (
        "T03",
        "spec.platform.gcp.region",
        Kind::Change,
        "Region is immutable",
    ),
    (
        "T04",
        "spec.platform.gcp.networkConfig.network",
        Kind::Change,
        "Network is immutable",
    ),
    (
        "T05",
        "spec.platform.gcp.networkConfig.privateServiceConnectSubnet",
        Kind::Change,
        "Private Service Connect subnet is immutable",
    ),
    (
        "T07",
        "spec.platform.gcp.workloadIdentity.projectNumber",
        Kind::Change,
        "Project number is immutable",
    ),
    (
        "T08",
        "spec.platform.gcp.workloadIdentity.poolID",
        Kind::Change,
        "Pool ID is immutable",
    ),
    (
        "T09",
        "spec.platform.gcp.workloadIdentity.providerID",
        Kind::Change,
        "Provider ID is immutable",
    ),
    (
        "T06",
        "spec.platform.gcp.workloadIdentity",
        Kind::Change,
        "WorkloadIdentity is immutable",
    ),
    (
        "T11",
        "spec.clusterID",
        Kind::ChangeOfFilled,
        "clusterID is immutable",
    ),
    (
        "T13",
        "spec.clusterID",
        Kind::Removal,
        "clusterID cannot be removed once set",
    ),
    (
        "T12",
        "spec.infraID",
        Kind::ChangeOfFilled,
        "infraID is immutable",
    ),
    (
        "T13",
        "spec.infraID",
        Kind::Removal,
        "infraID cannot be removed once set",
    ),
    (
        "T14",
        "spec.networking.machineNetwork",
        Kind::Change,
        "machineNetwork is immutable and cannot be modified once set.",
    ),
    (
        "T14",
        "spec.networking.clusterNetwork",
        Kind::Change,
        "clusterNetwork is immutable and cannot be modified once set.",
    ),
    (
        "T14",
        "spec.networking.serviceNetwork",
        Kind::Change,
        "serviceNetwork is immutable and cannot be modified once set.",
    ),
    (
        "T14",
        "spec.networking.allocateNodeCIDRs",
        Kind::Change,
        "allocateNodeCIDRs is immutable and cannot be modified once set.",
    ),
    (
        "T15",
        "spec.networking.networkType",
        Kind::Change,
        "networkType is immutable",
    ),
    (
        "T16",
        "spec.dns.baseDomain",
        Kind::ChangeOfFilled,
        "baseDomain is immutable",
    ),
    (
        "T16",
        "spec.dns.publicZoneID",
        Kind::ChangeOfFilled,
        "publicZoneID is immutable",
    ),
    (
        "T16",
        "spec.dns.privateZoneID",
        Kind::ChangeOfFilled,
        "privateZoneID is immutable",
    ),
    (
        "T17",
        "spec.dns.baseDomainPrefix",
        Kind::Change,
        "baseDomainPrefix is immutable",
    ),
    (
        "T18",
        "spec.services",
        Kind::Change,
        "Services is immutable. Changes might result in unpredictable and disruptive behavior.",
    ),
    (
        "T19",
        "spec.etcd.managementType",
        Kind::Change,
        "managementType is immutable",
    ),
    (
        "T20",
        "spec.etcd.managed.storage.persistentVolume.size",
        Kind::Change,
        "Etcd PV storage size is immutable",
    ),
    (
        "T21",
        "spec.etcd.managed.storage.persistentVolume.storageClassName",
        Kind::Change,
        "storageClassName is immutable",
    ),
    (
        "T30",
        "spec.etcd.managed.storage.restoreSnapshotURL",
        Kind::Any,
        "restoreSnapshotURL cannot be added or removed after creation",
    ),
    (
        "T22",
        "spec.issuerURL",
        Kind::Change,
        "issuerURL is immutable",
    ),
    (
        "T23",
        "spec.controllerAvailabilityPolicy",
        Kind::Change,
        "ControllerAvailabilityPolicy is immutable",
    ),
    (
        "T24",
        "spec.capabilities",
        Kind::Change,
        "Capabilities is immutable. Changes might result in unpredictable and disruptive behavior.",
    ),
    ("T25", "spec.fips", Kind::Change, "fips is immutable"),
    (
        "T26",
        "spec.olmCatalogPlacement",
        Kind::Change,
        "OLMCatalogPlacement is immutable",
    ),
    (
        "T27",
        "spec.secretEncryption",
        Kind::Removal,
        "secretEncryption cannot be removed once configured",
    ),
];

/// Every forbidden change from `old` to `new`, the most telling first. A section is not blamed for a change that one of
/// its members is already blamed for.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    changes_with(old, new, Options::default())
}

/// As [`changes`], with relaxations.
pub fn changes_with(old: &Value, new: &Value, options: Options) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let mut rule = |rule: &'static str, at: &str, kind: Kind, message: String| {
        let (before, after) = (path::get(old, at), path::get(new, at));
        if !kind.forbids(before, after) {
            return;
        }
        let within = format!("{at}.");
        if found.iter().any(|known| known.path.starts_with(&within))
            && !has_other_change(before, after, &found, at)
        {
            return;
        }
        found.push(Change {
            rule,
            path: at.to_owned(),
            message,
            old: before.cloned().unwrap_or_default(),
            new: after.cloned().unwrap_or_default(),
        });
    };
    for (id, at, kind, message) in RULES {
        if *id == "T06" {
            for account in SERVICE_ACCOUNTS {
                let at =
                    format!("spec.platform.gcp.workloadIdentity.serviceAccountsEmails.{account}");
                rule(
                    "T10",
                    &at,
                    Kind::Change,
                    format!("{} is immutable", capitalized(account)),
                );
            }
        }
        rule(id, at, *kind, (*message).to_owned());
    }
    if !options.allow_downgrade {
        found.extend(downgrade(old, new));
    }
    found
}

impl Kind {
    fn forbids(self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (self, old, new) {
            (Self::Change | Self::Any, Some(old), Some(new)) => old != new,
            (Self::ChangeOfFilled, Some(old), Some(new)) => old != new && old != "",
            (Self::Removal | Self::Any, Some(_), None) => true,
            (Self::Any, None, Some(_)) => true,
            _ => false,
        }
    }
}

/// Whether the section at `at` differs in more than what `found` blames already.
fn has_other_change(old: Option<&Value>, new: Option<&Value>, found: &[Change], at: &str) -> bool {
    let (Some(mut old), Some(mut new)) = (old.cloned(), new.cloned()) else {
        return true;
    };
    let within = format!("{at}.");
    for change in found {
        if let Some(rest) = change.path.strip_prefix(&within) {
            remove(&mut old, rest);
            remove(&mut new, rest);
        }
    }
    old != new
}

fn remove(value: &mut Value, path: &str) {
    let Some(members) = value.as_object_mut() else {
        return;
    };
    match path.split_once('.') {
        Some((first, rest)) => {
            if let Some(member) = members.get_mut(first) {
                remove(member, rest);
            }
        }
        None => drop(members.remove(path)),
    }
}

fn downgrade(old: &Value, new: &Value) -> Option<Change> {
    let at = "spec.release.image";
    let (before, after) = (path::get(old, at)?, path::get(new, at)?);
    let (from, to) = (
        Release::of_image(before.as_str()?)?,
        Release::of_image(after.as_str()?)?,
    );
    (to < from).then(|| Change {
        rule: "T31",
        path: at.to_owned(),
        message: format!("downgrade from {from} to {to} is not supported"),
        old: before.clone(),
        new: after.clone(),
    })
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (was {}, requested {})",
            self.path,
            self.message,
            shown(&self.old),
            shown(&self.new)
        )
    }
}

/// A value for a message: texts quoted, anything as JSON, cut when long.
fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".into();
    }
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
