//! Objects on the adapter's own cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube_access::{Apply, Client, Delete, Gvk, List, Propagation, Resource, Write, object};
use maestro_client::TraceContext;
use serde_json::{Map, Value};

use super::select::{generation, selector};
use super::{Created, Error, Transport};
use crate::policy::FailureClass;
use crate::trace;

/// Who owns the fields that this adapter sets.
pub(crate) const FIELD_MANAGER: &str = "hyperfleet-adapter";
/// Reads and writes again after a conflict.
const CONFLICT_RETRIES: u32 = 5;
/// How long a recreate waits for the old object to go.
const RECREATE_DEADLINE: Duration = Duration::from_secs(60);
const RECREATE_POLL: Duration = Duration::from_millis(100);

pub(crate) struct Kubernetes {
    client: Client,
    server_side_apply: bool,
}

impl Kubernetes {
    pub(crate) fn new(client: Client, server_side_apply: bool) -> Self {
        Self {
            client,
            server_side_apply,
        }
    }

    async fn resolve(&self, gvk: &Gvk, operation: &str) -> Result<Resource, Error> {
        self.client
            .resolve(&gvk.api_version(), &gvk.kind)
            .await
            .map_err(|error| explain(&error, operation, gvk, None, ""))
    }

    fn write() -> Write {
        Write {
            field_manager: FIELD_MANAGER.into(),
            ..Write::default()
        }
    }

    async fn apply(&self, resource: &Resource, gvk: &Gvk, wanted: &Value) -> Result<(), Error> {
        let (namespace, name) = place(wanted)?;
        self.client
            .apply(
                resource,
                namespace,
                name,
                wanted,
                &Apply::new(FIELD_MANAGER).forced(),
            )
            .await
            .map(drop)
            .map_err(|error| explain(&error, "apply", gvk, namespace, name))
    }
}

#[async_trait]
impl Transport for Kubernetes {
    fn traced(&self, span: &TraceContext) -> Option<Arc<dyn Transport>> {
        let mut client = self.client.with_header(trace::PARENT, span.parent()).ok()?;
        if let Some(state) = span.state() {
            client = client.with_header(trace::STATE, state).ok()?;
        }
        Some(Arc::new(Self {
            client,
            server_side_apply: self.server_side_apply,
        }))
    }

    async fn get(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let resource = self.resolve(gvk, "get").await?;
        self.client
            .find(&resource, namespace, name)
            .await
            .map_err(|error| explain(&error, "get", gvk, namespace, name))
    }

    async fn list(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Error> {
        let resource = self.resolve(gvk, "list").await?;
        let listed = self
            .client
            .list_all(&resource, namespace, &List::labelled(selector(labels)))
            .await
            .map_err(|error| explain(&error, "list", gvk, namespace, ""))?;
        Ok(listed.items)
    }

    async fn create(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        wanted: &Value,
    ) -> Result<Created, Error> {
        let resource = self.resolve(gvk, "create").await?;
        let (namespace, name) = place(wanted)?;
        if self.server_side_apply {
            return self
                .apply(&resource, gvk, wanted)
                .await
                .map(|()| Created::Yes);
        }
        match self
            .client
            .create(&resource, namespace, wanted, &Self::write())
            .await
        {
            Ok(_) => Ok(Created::Yes),
            Err(kube_access::Error::AlreadyExists(_)) => Ok(Created::Existed),
            Err(error) => Err(explain(&error, "create", gvk, namespace, name)),
        }
    }

    async fn update(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        current: &Value,
        wanted: &Value,
    ) -> Result<(), Error> {
        let resource = self.resolve(gvk, "update").await?;
        if self.server_side_apply {
            return self.apply(&resource, gvk, wanted).await;
        }
        let (namespace, name) = place(wanted)?;
        let mut current = current.clone();
        let mut attempt = 0;
        loop {
            let body = replacement(&current, wanted);
            match self
                .client
                .replace(&resource, namespace, name, &body, &Self::write())
                .await
            {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() && attempt < CONFLICT_RETRIES => {
                    attempt += 1;
                    let read = self
                        .client
                        .find(&resource, namespace, name)
                        .await
                        .map_err(|error| explain(&error, "get", gvk, namespace, name))?;
                    let Some(read) = read else {
                        return Err(explain(&error, "update", gvk, namespace, name));
                    };
                    if generation(&read) > generation(wanted) {
                        return Err(Error::new(
                            FailureClass::Conflict,
                            format!(
                                "{} was updated to a newer generation meanwhile",
                                describe(gvk, namespace, name)
                            ),
                        ));
                    }
                    current = read;
                }
                Err(error) => return Err(explain(&error, "update", gvk, namespace, name)),
            }
        }
    }

    async fn recreate(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        current: &Value,
        wanted: &Value,
    ) -> Result<(), Error> {
        let resource = self.resolve(gvk, "delete").await?;
        let (namespace, name) = place(wanted)?;
        let delete = Delete {
            uid: object::uid(current).map(str::to_owned),
            ..Delete::default()
        };
        match self
            .client
            .delete(&resource, namespace, name, &delete)
            .await
        {
            Ok(_) | Err(kube_access::Error::NotFound(_)) => {}
            Err(error) => return Err(explain(&error, "delete", gvk, namespace, name)),
        }
        let old = object::uid(current).map(str::to_owned);
        let deadline = tokio::time::Instant::now() + RECREATE_DEADLINE;
        loop {
            let live = self
                .client
                .find(&resource, namespace, name)
                .await
                .map_err(|error| explain(&error, "get", gvk, namespace, name))?;
            match live {
                None => break,
                Some(live) if object::uid(&live).map(str::to_owned) != old => break,
                Some(live) if tokio::time::Instant::now() >= deadline => {
                    return Err(Error::new(
                        FailureClass::Transient,
                        format!(
                            "{} still exists {} s after its deletion; finalizers: {}",
                            describe(gvk, namespace, name),
                            RECREATE_DEADLINE.as_secs(),
                            object::finalizers(&live).join(", ")
                        ),
                    ));
                }
                Some(_) => tokio::time::sleep(RECREATE_POLL).await,
            }
        }
        self.create(None, gvk, wanted).await.map(drop)
    }

    async fn delete(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let resource = self.resolve(gvk, "delete").await?;
        let options = Delete {
            propagation: Some(propagation),
            ..Delete::default()
        };
        match self
            .client
            .delete(&resource, namespace, name, &options)
            .await
        {
            Ok(_) | Err(kube_access::Error::NotFound(_)) => Ok(()),
            Err(error) => Err(explain(&error, "delete", gvk, namespace, name)),
        }
    }
}

fn place(object: &Value) -> Result<(Option<&str>, &str), Error> {
    let name = object::name(object).filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| Error::new(FailureClass::Rejected, "manifest has no metadata.name"))?;
    Ok((
        object::namespace(object).filter(|namespace| !namespace.is_empty()),
        name,
    ))
}

/// The wanted object with the identity of the live one. What controllers keep in metadata stays unless the manifest
/// says otherwise: losing a finalizer would skip a clean-up.
fn replacement(current: &Value, wanted: &Value) -> Value {
    let mut body = wanted.clone();
    let empty = Map::new();
    let live = current
        .get("metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    if let Some(metadata) = object::metadata_mut(&mut body) {
        for key in ["resourceVersion", "uid"] {
            if let Some(value) = live.get(key) {
                metadata.insert(key.into(), value.clone());
            }
        }
        for key in ["finalizers", "ownerReferences"] {
            if let (Some(value), false) = (live.get(key), metadata.contains_key(key)) {
                metadata.insert(key.into(), value.clone());
            }
        }
    }
    body
}

fn describe(gvk: &Gvk, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{}/{name} (namespace: {namespace})", gvk.kind),
        None => format!("{}/{name}", gvk.kind),
    }
}

fn explain(
    error: &kube_access::Error,
    operation: &str,
    gvk: &Gvk,
    namespace: Option<&str>,
    name: &str,
) -> Error {
    use kube_access::Error as Kube;
    let class = match error {
        Kube::Unauthorized(_) | Kube::Forbidden(_) => FailureClass::Unauthorized,
        Kube::Invalid(_) | Kube::Api(_) | Kube::NoSuchKind { .. } | Kube::BadInput(_) => {
            FailureClass::Rejected
        }
        // A missing namespace, for example: somebody may still be about to make it.
        Kube::NotFound(_) => FailureClass::Transient,
        Kube::Config(_) => FailureClass::Internal,
        _ if error.is_retryable() => FailureClass::Transient,
        _ => FailureClass::Internal,
    };
    Error::new(
        class,
        format!(
            "K8s {operation} operation failed: {}: {error}",
            describe(gvk, namespace, name)
        ),
    )
}
