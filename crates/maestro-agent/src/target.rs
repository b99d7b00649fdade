//! Which object a manifest is about, once discovery has said how its kind is served.

use std::sync::Arc;

use kube_access::{Client, Error, Resource};
use manifestwork::{AppliedResourceMeta, ResourceIdentifier, ResourceMeta};
use serde_json::Value;

use crate::bundle::Head;

/// One object on the cluster. The namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// How the kind is served.
    pub resource: Arc<Resource>,
    /// Its namespace; empty if there is none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

// === impl Target ===

impl Target {
    /// Finds how the kind of a manifest is served.
    ///
    /// # Errors
    /// [`Error::NoSuchKind`], or what discovery met.
    pub async fn of_manifest(client: &Client, head: &Head) -> Result<Self, Error> {
        let resource = client
            .resolve(&head.gvk.api_version(), &head.gvk.kind)
            .await?;
        Ok(Self {
            namespace: namespace_if(&resource, &head.namespace),
            resource: Arc::new(resource),
            name: head.name.clone(),
        })
    }

    /// Finds how the kind of a recorded object is served, in whatever version there is.
    ///
    /// # Errors
    /// As [`Target::of_manifest`].
    pub async fn of_record(client: &Client, entry: &AppliedResourceMeta) -> Result<Self, Error> {
        let resource = client.resolve_plural(&entry.group, &entry.resource).await?;
        Ok(Self {
            namespace: namespace_if(&resource, &entry.namespace),
            resource: Arc::new(resource),
            name: entry.name.clone(),
        })
    }

    /// The namespace as requests want it.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|text| !text.is_empty())
    }

    /// The name under which rules match it.
    pub fn identifier(&self) -> ResourceIdentifier {
        ResourceIdentifier {
            group: self.resource.gvk.group.clone(),
            resource: self.resource.plural.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The name under which its status is reported.
    pub fn meta(&self, ordinal: usize) -> ResourceMeta {
        ResourceMeta {
            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
            group: self.resource.gvk.group.clone(),
            version: self.resource.gvk.version.clone(),
            kind: self.resource.gvk.kind.clone(),
            resource: self.resource.plural.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The entry in the record of what was applied.
    pub fn entry(&self, uid: &str) -> AppliedResourceMeta {
        AppliedResourceMeta {
            group: self.resource.gvk.group.clone(),
            version: self.resource.gvk.version.clone(),
            resource: self.resource.plural.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: uid.to_owned(),
        }
    }

    /// Whether a recorded entry names this object; versions and lives don't matter.
    pub fn is(&self, entry: &AppliedResourceMeta) -> bool {
        entry.group == self.resource.gvk.group
            && entry.resource == self.resource.plural
            && entry.namespace == self.namespace
            && entry.name == self.name
    }

    /// Reads the object.
    ///
    /// # Errors
    /// What the request met, other than "not found".
    pub async fn find(&self, client: &Client) -> Result<Option<Value>, Error> {
        client
            .find(&self.resource, self.namespace(), &self.name)
            .await
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.resource.plural)?;
        if !self.resource.gvk.group.is_empty() {
            write!(f, ".{}", self.resource.gvk.group)?;
        }
        write!(f, " ")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}", self.name)
    }
}

/// Cluster-scoped kinds have no namespace, whatever the manifest says.
fn namespace_if(resource: &Resource, namespace: &str) -> String {
    if resource.namespaced {
        namespace.to_owned()
    } else {
        String::new()
    }
}
