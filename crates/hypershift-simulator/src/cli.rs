//! The flags of `hyperfleet hypershift-simulator`.

use std::path::PathBuf;

use clap::ValueEnum;
use hypershift::timeline::{CreationFault, Deletion};

use crate::Config;

/// Play the HyperShift operator on a cluster that has the HostedCluster CRD.
///
/// Nothing is started: the objects only say what they would say, along the timeline of a real control plane.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster; without it $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How much faster than real time (1 = a control plane takes about five minutes)
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub time_scale: f64,
    /// What is wrong while control planes are created
    #[arg(long, value_enum, default_value_t = Creation::Clean)]
    pub creation: Creation,
    /// How deletions go
    #[arg(long, value_enum, default_value_t = How::Clean)]
    pub deletion: How,
}

/// What is wrong while a control plane is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Creation {
    /// Nothing
    Clean,
    /// The pull secret is missing
    NoPullSecret,
    /// Neither a signing key nor a bucket
    NoOidc,
    /// No free subnet for Private Service Connect
    NoServiceConnectSubnet,
    /// The services lack Ignition
    NoIgnition,
}

/// How deletions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// Everything goes within five minutes
    Clean,
    /// A finalizer on the network objects stays, for ever
    StuckNetwork,
    /// The OIDC bucket can't be cleaned, for ever
    StuckBucket,
    /// The guest's API server died first; its cloud resources stay behind
    CleanupSkipped,
    /// Some cloud resource can't be deleted; given up after ten minutes
    CleanupTimedOut,
}

impl Args {
    /// The configuration that the flags say.
    pub fn config(&self) -> Config {
        Config {
            time_scale: self.time_scale,
            creation: match self.creation {
                Creation::Clean => CreationFault::None,
                Creation::NoPullSecret => CreationFault::NoPullSecret,
                Creation::NoOidc => CreationFault::NoOidc,
                Creation::NoServiceConnectSubnet => CreationFault::NoServiceConnectSubnet,
                Creation::NoIgnition => CreationFault::NoIgnition,
            },
            deletion: match self.deletion {
                How::Clean => Deletion::Clean,
                How::StuckNetwork => Deletion::StuckNetwork,
                How::StuckBucket => Deletion::StuckBucket,
                How::CleanupSkipped => Deletion::CleanupSkipped,
                How::CleanupTimedOut => Deletion::CleanupTimedOut,
            },
        }
    }
}
