//! What there is to know about a `HostedCluster` on GCP, as functions on plain data.
//!
//! In reading order: [`names`] and [`hosted_cluster`] (what it is called and how to read it), [`release`] and [`cidr`]
//! (the two kinds of text that rules are about), [`validate`] (is it acceptable), [`immutable`] (may it change like
//! this), [`conditions`], [`status`] and [`deletion`] (what its status means to HyperFleet), [`timeline`] (how the
//! operator walks it through its life) and
//! [`crd`] (the schemas a sandbox serves), with an [`example`] that keeps all rules.
//!
//! No I/O, no clock: callers pass the time. The facts are written down in `docs/protocol/hostedcluster-gcp.md`.

pub mod cidr;
pub mod conditions;
pub mod crd;
pub mod deletion;
pub mod example;
pub mod hosted_cluster;
pub mod immutable;
pub mod names;
pub mod release;
pub mod status;
pub mod timeline;
pub mod validate;

mod path;
