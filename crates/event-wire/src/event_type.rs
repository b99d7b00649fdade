//! Types of events: `<group>.<version>.<resource>.<spec|status>.<action>`.

use std::{fmt, str::FromStr};

use crate::error::TypeError;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataType {
    /// Group; may hold dots.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
}

/// Which half of a resource an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subresource {
    /// Desired state, on its way down.
    Spec,
    /// Observed state, on its way up.
    Status,
}

/// What an event asks for or answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A new resource.
    CreateRequest,
    /// A new version.
    UpdateRequest,
    /// Delete it.
    DeleteRequest,
    /// Send what I don't have.
    ResyncRequest,
    /// What you asked for.
    ResyncResponse,
    /// Only used in authorization checks.
    WatchRequest,
    /// Anything else; types with unknown actions can be read.
    Other(String),
}

/// A whole type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType {
    /// What it is about.
    pub data_type: DataType,
    /// Which half.
    pub subresource: Subresource,
    /// What it asks for.
    pub action: Action,
}

// === impl DataType ===

impl DataType {
    /// Bundles of manifests, the one data type of Maestro.
    #[must_use]
    pub fn manifest_bundles() -> Self {
        Self {
            group: "io.open-cluster-management.works".to_owned(),
            version: "v1alpha1".to_owned(),
            resource: "manifestbundles".to_owned(),
        }
    }

    /// True for bundles of manifests.
    #[must_use]
    pub fn is_manifest_bundles(&self) -> bool {
        self.resource == "manifestbundles"
            && self.version == "v1alpha1"
            && self.group == "io.open-cluster-management.works"
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.group, self.version, self.resource)
    }
}

impl FromStr for DataType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.rsplitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(resource), Some(version), Some(group)) => Ok(Self {
                group: group.to_owned(),
                version: version.to_owned(),
                resource: resource.to_owned(),
            }),
            _ => Err(TypeError::DataType),
        }
    }
}

// === impl Subresource ===

impl Subresource {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Subresource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Action ===

impl Action {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::CreateRequest => "create_request",
            Self::UpdateRequest => "update_request",
            Self::DeleteRequest => "delete_request",
            Self::ResyncRequest => "resync_request",
            Self::ResyncResponse => "resync_response",
            Self::WatchRequest => "watch_request",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for Action {
    fn from(text: &str) -> Self {
        match text {
            "create_request" => Self::CreateRequest,
            "update_request" => Self::UpdateRequest,
            "delete_request" => Self::DeleteRequest,
            "resync_request" => Self::ResyncRequest,
            "resync_response" => Self::ResyncResponse,
            "watch_request" => Self::WatchRequest,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl EventType ===

impl EventType {
    /// A type about bundles of manifests.
    #[must_use]
    pub fn manifest_bundles(subresource: Subresource, action: Action) -> Self {
        Self {
            data_type: DataType::manifest_bundles(),
            subresource,
            action,
        }
    }

    /// Bytes of its texts.
    pub(crate) fn size(&self) -> usize {
        let DataType {
            group,
            version,
            resource,
        } = &self.data_type;
        let action = match &self.action {
            Action::Other(text) => text.len(),
            _ => 0,
        };
        group.len() + version.len() + resource.len() + action
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.data_type, self.subresource, self.action)
    }
}

impl FromStr for EventType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let format = || TypeError::Format(text.to_owned());
        let mut parts = text.rsplitn(3, '.');
        let (Some(action), Some(subresource), Some(data_type)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(format());
        };
        let data_type = data_type.parse().map_err(|_| format())?;
        let subresource = match subresource {
            "spec" => Subresource::Spec,
            "status" => Subresource::Status,
            other => return Err(TypeError::Subresource(other.to_owned())),
        };
        Ok(Self {
            data_type,
            subresource,
            action: Action::from(action),
        })
    }
}
