//! The definition of AppliedManifestWork, for clusters that don't have it yet.

use std::time::Duration;

use kube_access::{Client, Error, Write};
use manifestwork::constants::{API_VERSION, APPLIED_KIND, APPLIED_RESOURCE, GROUP};
use serde_json::{Value, json};

/// How long a new definition may take until it is served.
const ESTABLISH_LIMIT: Duration = Duration::from_secs(30);
/// How often that is looked at.
const ESTABLISH_PAUSE: Duration = Duration::from_millis(100);

/// Creates the definition if the kind isn't served, and waits until it is.
///
/// # Errors
/// What the requests met; [`Error::NoSuchKind`] if the kind still isn't served after a while.
pub async fn install(client: &Client) -> Result<(), Error> {
    match client.resolve(API_VERSION, APPLIED_KIND).await {
        Ok(_) => return Ok(()),
        Err(Error::NoSuchKind { .. }) => {}
        Err(error) => return Err(error),
    }
    let resource = client
        .resolve("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        .await?;
    match client
        .create(&resource, None, &definition(), &Write::default())
        .await
    {
        Ok(_) | Err(Error::AlreadyExists(_)) => {}
        Err(error) => return Err(error),
    }
    let begin = tokio::time::Instant::now();
    loop {
        match client.resolve(API_VERSION, APPLIED_KIND).await {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed() > ESTABLISH_LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(ESTABLISH_PAUSE).await,
        }
    }
}

/// The definition, with the fields that agents of both kinds write.
pub fn definition() -> Value {
    let text = json!({"type": "string"});
    let entry = json!({
        "type": "object",
        "required": ["resource", "name", "version"],
        "properties": {
            "group": text, "resource": text, "namespace": text, "name": text, "version": text, "uid": text,
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{APPLIED_RESOURCE}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "kind": APPLIED_KIND,
                "listKind": format!("{APPLIED_KIND}List"),
                "plural": APPLIED_RESOURCE,
                "singular": "appliedmanifestwork",
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "The record of a work on the cluster: owner of the objects that the work applied.",
                    "properties": {
                        "apiVersion": text,
                        "kind": text,
                        "metadata": {"type": "object"},
                        "spec": {
                            "type": "object",
                            "properties": {"hubHash": text, "agentID": text, "manifestWorkName": text},
                        },
                        "status": {
                            "type": "object",
                            "properties": {
                                "appliedResources": {"type": "array", "items": entry},
                                "evictionStartTime": {"type": "string", "format": "date-time"},
                            },
                        },
                    },
                }},
            }],
        },
    })
}
