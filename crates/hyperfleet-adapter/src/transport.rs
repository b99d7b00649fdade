//! How objects get to where they belong: one trait, chosen per resource.
//!
//! The pipeline decides (is it there, does the generation differ, may it be written) and a transport does one thing at
//! a time. Kubernetes speaks to the adapter's own cluster, Maestro carries ManifestWorks to management clusters; a dry
//! run puts an in-memory one in their place. `docs/protocol/adapter-pipeline.md`, "Transports".

pub(crate) mod kubernetes;
pub(crate) mod maestro;
pub(crate) mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kube_access::{Gvk, Propagation};
use maestro_client::TraceContext;
use serde_json::Value;

use crate::policy::FailureClass;

/// What happened to a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// The object is new.
    Yes,
    /// Somebody else made it in between.
    Existed,
}

/// Writes and reads objects. `target` is the management cluster for Maestro, `None` for Kubernetes.
#[async_trait]
pub(crate) trait Transport: Send + Sync {
    /// The same transport, whose requests say that they are part of this span; `None` if it has no way to say so.
    fn traced(&self, _span: &TraceContext) -> Option<Arc<dyn Transport>> {
        None
    }

    /// Reads one object; absent is `None`.
    async fn get(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error>;

    /// Lists the objects that carry all `labels`.
    async fn list(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Error>;

    /// Checks what the transport demands of an object before anything is compared or written.
    fn check(&self, _object: &Value) -> Result<(), Error> {
        Ok(())
    }

    /// Creates the object.
    async fn create(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        object: &Value,
    ) -> Result<Created, Error>;

    /// Makes `current` equal to `object`.
    async fn update(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        current: &Value,
        object: &Value,
    ) -> Result<(), Error>;

    /// Deletes `current` and creates `object`. Transports that can't do it update.
    async fn recreate(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        current: &Value,
        object: &Value,
    ) -> Result<(), Error> {
        self.update(target, gvk, current, object).await
    }

    /// Asks for deletion; absent is success.
    async fn delete(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
        propagation: Propagation,
    ) -> Result<(), Error>;
}

/// Why a transport failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) class: FailureClass,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }

    /// The same error with the sentence of the caller before it.
    pub(crate) fn context(self, what: &str) -> Self {
        Self {
            class: self.class,
            message: format!("{what}: {}", self.message),
        }
    }
}

/// `group/version` and `kind` of an object.
pub(crate) fn gvk_of(object: &Value) -> Option<Gvk> {
    kube_access::object::gvk(object)
}
