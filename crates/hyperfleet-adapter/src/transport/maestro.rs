//! ManifestWorks for management clusters. The consumer travels with every call; nothing is shared between clusters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube_access::{Gvk, Propagation, object};
use maestro_client::{Client, Deletion, LabelSelector, ListOptions, Patch, TraceContext, Works};
use manifestwork::ManifestWork;
use serde_json::{Value, json};

use super::select::{check_generation, matches};
use super::{Created, Error, Transport, gvk_of};
use crate::pipeline::{MANIFEST_WORK, carried, with_status};
use crate::policy::FailureClass;

/// Wait after the first failed try; doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between tries.
const MAX_RETRY: Duration = Duration::from_secs(8);

pub(crate) struct Maestro {
    client: Client,
    /// Tries in total for a passing error.
    attempts: u32,
}

impl Maestro {
    pub(crate) fn new(client: Client, attempts: u32) -> Self {
        Self {
            client,
            attempts: attempts.max(1),
        }
    }

    fn works(&self, target: Option<&str>) -> Result<(Works, String), Error> {
        let consumer = target
            .filter(|consumer| !consumer.is_empty())
            .ok_or_else(|| {
                Error::new(
                    FailureClass::Internal,
                    "consumer name (target cluster) is required: set TransportContext.ConsumerName",
                )
            })?;
        Ok((self.client.works(consumer), consumer.to_owned()))
    }

    /// Tries again while the error is a passing one.
    async fn retry<T, F>(
        &self,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<T, maestro_client::Error>
    where
        F: Future<Output = Result<T, maestro_client::Error>> + Send,
    {
        let mut wait = FIRST_RETRY;
        let mut attempt = 1;
        loop {
            match call().await {
                Err(error) if error.is_retryable() && attempt < self.attempts => {
                    tracing::debug!(
                        "Maestro call failed, trying again in {} s: {error}",
                        wait.as_secs()
                    );
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(MAX_RETRY);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn find(
        &self,
        works: &Works,
        consumer: &str,
        name: &str,
    ) -> Result<Option<ManifestWork>, Error> {
        match self.retry(|| works.get(name)).await {
            Ok(work) => Ok(Some(work)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(explain(&error, "get", consumer, name)),
        }
    }

    async fn list_works(
        &self,
        works: &Works,
        consumer: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Error> {
        let options = ListOptions {
            label_selector: LabelSelector::equals(labels),
            limit: None,
        };
        let list = self.retry(|| works.list(&options)).await;
        let list = list.map_err(|error| explain(&error, "list", consumer, ""))?;
        list.iter().map(to_value).collect()
    }

    /// Objects of another kind are looked for inside of the consumer's works.
    async fn search(
        &self,
        works: &Works,
        consumer: &str,
        gvk: &Gvk,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        let mut found = Vec::new();
        for work in self.list_works(works, consumer, &BTreeMap::new()).await? {
            for manifest in carried(&work) {
                let same_kind = gvk_of(manifest).as_ref() == Some(gvk);
                if same_kind && (namespace.is_none() || namespace == object::namespace(manifest)) {
                    found.push(with_status(&work, manifest.clone()));
                }
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Transport for Maestro {
    fn traced(&self, span: &TraceContext) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Self {
            client: self.client.with_trace(span.clone()),
            attempts: self.attempts,
        }))
    }

    async fn get(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let (works, consumer) = self.works(target)?;
        if gvk.kind == MANIFEST_WORK {
            return self
                .find(&works, &consumer, name)
                .await?
                .as_ref()
                .map(to_value)
                .transpose();
        }
        let found = self.search(&works, &consumer, gvk, namespace).await?;
        Ok(found
            .into_iter()
            .find(|object| object::name(object) == Some(name)))
    }

    async fn list(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Error> {
        let (works, consumer) = self.works(target)?;
        if gvk.kind == MANIFEST_WORK {
            return self.list_works(&works, &consumer, labels).await;
        }
        let found = self.search(&works, &consumer, gvk, namespace).await?;
        Ok(found
            .into_iter()
            .filter(|object| matches(object, labels))
            .collect())
    }

    fn check(&self, work: &Value) -> Result<(), Error> {
        let invalid = |message: String| {
            Error::new(
                FailureClass::Rejected,
                format!(
                    "failed to apply ManifestWork: hyperfleet-adapter-16: invalid ManifestWork: hyperfleet-adapter-2: {message}"
                ),
            )
        };
        let kind = object::kind(work).unwrap_or_default();
        if kind != MANIFEST_WORK {
            return Err(invalid(format!(
                "the Maestro transport carries ManifestWorks, not {kind}"
            )));
        }
        let name = object::name(work).unwrap_or_default();
        check_generation(work).map_err(|why| {
            invalid(format!(
                "ManifestWork {name:?}: hyperfleet-adapter-2: {why}"
            ))
        })?;
        for (index, manifest) in carried(work).into_iter().enumerate() {
            check_generation(manifest).map_err(|why| {
                let kind = object::kind(manifest).unwrap_or_default();
                let of = object::name(manifest).unwrap_or_default();
                invalid(format!("ManifestWork {name:?} manifest[{index}] {kind}/{of}: hyperfleet-adapter-2: {why}"))
            })?;
        }
        Ok(())
    }

    async fn create(
        &self,
        target: Option<&str>,
        _gvk: &Gvk,
        wanted: &Value,
    ) -> Result<Created, Error> {
        let (works, consumer) = self.works(target)?;
        let work = from_value(wanted, &consumer)?;
        match self.retry(|| works.create(&work)).await {
            Ok(_) => Ok(Created::Yes),
            Err(maestro_client::Error::AlreadyExists { .. }) => Ok(Created::Existed),
            Err(error) => Err(explain(&error, "create", &consumer, &work.metadata.name)),
        }
    }

    async fn update(
        &self,
        target: Option<&str>,
        _gvk: &Gvk,
        current: &Value,
        wanted: &Value,
    ) -> Result<(), Error> {
        let (works, consumer) = self.works(target)?;
        let work = to_value(&from_value(wanted, &consumer)?)?;
        let part = |path: &str| work.pointer(path).cloned().unwrap_or_else(|| json!({}));
        // Everything is replaced as a whole, so that what the new manifest leaves out goes away; and it is based on the
        // version that was compared with.
        let patch = Patch::Json(json!([
            {"op": "add", "path": "/metadata/generation", "value": object::generation(current).unwrap_or(0)},
            {"op": "add", "path": "/metadata/labels", "value": part("/metadata/labels")},
            {"op": "add", "path": "/metadata/annotations", "value": part("/metadata/annotations")},
            {"op": "add", "path": "/spec", "value": part("/spec")},
        ]));
        let name = object::name(wanted).unwrap_or_default();
        match self.retry(|| works.patch(name, &patch)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(&error, "patch", &consumer, name)),
        }
    }

    async fn delete(
        &self,
        target: Option<&str>,
        _gvk: &Gvk,
        _namespace: Option<&str>,
        name: &str,
        _propagation: Propagation,
    ) -> Result<(), Error> {
        let (works, consumer) = self.works(target)?;
        match self.retry(|| works.delete(name)).await {
            Ok(Deletion::Requested | Deletion::AlreadyRequested | Deletion::Absent) => Ok(()),
            Err(error) => Err(explain(&error, "delete", &consumer, name)),
        }
    }
}

/// A work as `resources.*` shows it.
pub(crate) fn to_value(work: &ManifestWork) -> Result<Value, Error> {
    serde_json::to_value(work).map_err(|error| {
        Error::new(
            FailureClass::Internal,
            format!("ManifestWork as JSON: {error}"),
        )
    })
}

fn from_value(work: &Value, consumer: &str) -> Result<ManifestWork, Error> {
    let mut work: ManifestWork = serde_json::from_value(work.clone()).map_err(|error| {
        Error::new(
            FailureClass::Rejected,
            format!("hyperfleet-adapter-16: invalid ManifestWork: {error}"),
        )
    })?;
    work.metadata.namespace = consumer.to_owned();
    Ok(work)
}

/// Texts are upstream's, without what only its server's database says.
fn explain(error: &maestro_client::Error, operation: &str, consumer: &str, name: &str) -> Error {
    use maestro_client::Error as Maestro;
    let class = match error {
        Maestro::ConsumerNotFound { .. } => {
            return Error::new(
                FailureClass::ConsumerNotFound,
                format!("hyperfleet-adapter-1: consumer {consumer:?} is not registered in Maestro"),
            );
        }
        Maestro::Unauthenticated { .. } | Maestro::Denied { .. } => FailureClass::Unauthorized,
        Maestro::Invalid { .. } | Maestro::TooLarge { .. } => FailureClass::Rejected,
        // Read again with the next delivery; a work on its way out has to be gone first.
        Maestro::Conflict { .. } | Maestro::Deleting { .. } => FailureClass::Transient,
        _ if error.is_retryable() => FailureClass::Transient,
        _ => FailureClass::Internal,
    };
    let place = if name.is_empty() {
        consumer.to_owned()
    } else {
        format!("{consumer}/{name}")
    };
    Error::new(
        class,
        format!("hyperfleet-adapter-16: failed to {operation} ManifestWork {place}: {error}"),
    )
}
