//! Every refusal of the two gRPC doors: upstream's texts where it has them, with the codes that they should have had.

use tonic::Code;

use super::certificate::MAX_NAME_BYTES;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The call carries nothing beside its message.
    #[error("missing metadata")]
    NoMetadata,
    /// There is no `authorization`, or it can't be a token.
    #[error("invalid token")]
    InvalidToken,
    /// The Kubernetes API doesn't know the token, or not any more.
    #[error("token not authenticated")]
    UnknownToken,
    /// The Kubernetes API can't say whose token it is.
    #[error("token not reviewed: the Kubernetes API can't be asked, try again later")]
    TokenNotReviewed,
    /// There is no certificate, or it can't be read.
    #[error("could not verify peer certificate")]
    NoCertificate,
    /// The certificate has no common name.
    #[error("could not find user in peer certificate")]
    NoUser,
    /// The certificate has no organization.
    #[error("could not find group in peer certificate")]
    NoGroup,
    /// A source without name.
    #[error("failed to authorize the request: resource cannot be empty")]
    NoSource,
    /// A source with a name that is too long to ask about.
    #[error(
        "failed to authorize the request: the name of the source is longer than {MAX_NAME_BYTES} bytes"
    )]
    LongSource,
    /// A user without groups.
    #[error("failed to authorize the request: groups must be set when user is specified")]
    NoGroups,
    /// The Kubernetes API can't say whether it is allowed.
    #[error("failed to authorize the request: the Kubernetes API can't be asked, try again later")]
    AccessNotReviewed,
    /// The Kubernetes API says no.
    #[error("unauthorized to publish the event from source {0}")]
    MayNotPublish(String),
    /// The Kubernetes API says no.
    #[error("unauthorized to subscribe the event from source {0}")]
    MayNotSubscribe(String),
    /// An agent whose name isn't formed as it should be.
    #[error(
        "{identity:?} names no cluster by the pattern {pattern:?}, so it may not act for cluster {cluster:?}"
    )]
    NoCluster {
        /// Who it is.
        identity: String,
        /// How names are formed.
        pattern: String,
        /// What it asked for.
        cluster: String,
    },
    /// An agent of another cluster.
    #[error(
        "{identity:?} is the agent of cluster {own:?}, so it may not act for cluster {cluster:?}"
    )]
    OtherCluster {
        /// Who it is.
        identity: String,
        /// Its cluster.
        own: String,
        /// What it asked for.
        cluster: String,
    },
}

impl Denied {
    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoMetadata | Self::NoSource | Self::LongSource => Code::InvalidArgument,
            Self::InvalidToken
            | Self::UnknownToken
            | Self::NoCertificate
            | Self::NoUser
            | Self::NoGroup => Code::Unauthenticated,
            Self::TokenNotReviewed | Self::AccessNotReviewed => Code::Unavailable,
            Self::NoGroups
            | Self::MayNotPublish(_)
            | Self::MayNotSubscribe(_)
            | Self::NoCluster { .. }
            | Self::OtherCluster { .. } => Code::PermissionDenied,
        }
    }
}
