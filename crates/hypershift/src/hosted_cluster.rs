//! Reading a HostedCluster document without trusting its shape: what is absent or of another type reads as empty.
//! The typed GCP part is in [`gcp`].

pub mod gcp;

use serde_json::Value;

use crate::names::{
    ANNOTATION_CLEANUP, ANNOTATION_DESTROY_GRACE, ANNOTATION_GENERATION, API_VERSION,
    HOSTED_CLUSTER,
};

/// A borrowed HostedCluster.
#[derive(Clone, Copy, Debug)]
pub struct HostedCluster<'v> {
    object: &'v Value,
}

impl<'v> HostedCluster<'v> {
    /// Wraps a document.
    pub fn new(object: &'v Value) -> Self {
        Self { object }
    }

    /// Whether the document says that it is a HostedCluster of the version known here.
    pub fn is_one(&self) -> bool {
        self.text("/apiVersion") == API_VERSION && self.text("/kind") == HOSTED_CLUSTER
    }

    /// `metadata.name`.
    pub fn name(&self) -> &'v str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &'v str {
        self.text("/metadata/namespace")
    }

    /// `<namespace>/<name>`, as messages show it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// `metadata.generation`; 0 if absent.
    pub fn generation(&self) -> i64 {
        self.object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&'v str> {
        self.object
            .get("metadata")?
            .get("annotations")?
            .get(name)?
            .as_str()
    }

    /// A label.
    pub fn label(&self, name: &str) -> Option<&'v str> {
        self.object
            .get("metadata")?
            .get("labels")?
            .get(name)?
            .as_str()
    }

    /// The HyperFleet generation it was rendered from.
    pub fn hyperfleet_generation(&self) -> Option<i64> {
        self.annotation(ANNOTATION_GENERATION)?.parse().ok()
    }

    /// `spec.release.image`.
    pub fn release_image(&self) -> &'v str {
        self.text("/spec/release/image")
    }

    /// `spec.pullSecret.name`.
    pub fn pull_secret(&self) -> &'v str {
        self.text("/spec/pullSecret/name")
    }

    /// Whether the API server is reachable from outside: `endpointAccess` is `PublicAndPrivate` (default `Private`).
    pub fn is_public(&self) -> bool {
        self.text("/spec/platform/gcp/endpointAccess")
            == gcp::EndpointAccess::PublicAndPrivate.as_str()
    }

    /// The hostname under which a service is published as a Route.
    pub fn route_hostname(&self, service: &str) -> Option<&'v str> {
        let entry = self
            .services()
            .find(|entry| entry.get("service").and_then(Value::as_str) == Some(service))?;
        let hostname = entry
            .pointer("/servicePublishingStrategy/route/hostname")?
            .as_str()?;
        Some(hostname).filter(|hostname| !hostname.is_empty())
    }

    /// The entries of `spec.services`.
    pub fn services(&self) -> impl Iterator<Item = &'v Value> + use<'v> {
        self.object
            .pointer("/spec/services")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    /// Whether the guest's cloud resources go with the cluster.
    pub fn cleans_cloud_resources(&self) -> bool {
        self.annotation(ANNOTATION_CLEANUP) == Some("true")
    }

    /// The annotated grace period before the finalizer goes; `None` if absent.
    ///
    /// # Errors
    /// The text, if it is not a Go duration: the operator then fails every reconciliation.
    pub fn destroy_grace_period(&self) -> Result<Option<std::time::Duration>, &'v str> {
        match self.annotation(ANNOTATION_DESTROY_GRACE) {
            None | Some("") => Ok(None),
            Some(text) => go_compat::duration::parse(text).map(Some).map_err(|_| text),
        }
    }

    /// `.status`, if there is one.
    pub fn status(&self) -> Option<&'v Value> {
        self.object
            .get("status")
            .filter(|status| status.is_object())
    }

    fn text(&self, pointer: &str) -> &'v str {
        self.object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}
