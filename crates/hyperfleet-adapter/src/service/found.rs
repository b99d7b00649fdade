//! Own objects on Kubernetes from before the start. They carry a label with the adapter's name and the pulse that they were
//! written for, so that each makes its resource run once. Objects of others are never asked for.

use std::time::Duration;

use kube_access::{Client, Gvk, List, object};
use tokio::sync::mpsc;

use super::watch::Change;
use crate::pipeline::outcome::Touched;
use crate::pipeline::pulse;

/// Objects per page; only their metadata is read.
const PAGE_SIZE: u32 = 500;
/// First and longest wait before a list that failed is repeated.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Tells of every own object in a place, once; repeated while the API server is away.
pub(super) async fn look(
    client: Client,
    (gvk, namespace): (Gvk, Option<String>),
    labels: String,
    changes: mpsc::Sender<Change>,
) {
    let mut wait = BACKOFF.0;
    while let Err(error) = tell(&client, &gvk, namespace.as_deref(), &labels, &changes).await {
        if !error.is_retryable() {
            tracing::warn!(
                kind = %gvk.kind,
                namespace = namespace.as_deref().unwrap_or("(all)"),
                "own objects from before the start can't be listed; their resources run with their next pulse: {error}"
            );
            return;
        }
        tracing::debug!(kind = %gvk.kind, "own objects are not listed yet: {error}");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

async fn tell(
    client: &Client,
    gvk: &Gvk,
    namespace: Option<&str>,
    labels: &str,
    changes: &mpsc::Sender<Change>,
) -> Result<(), kube_access::Error> {
    let resource = client.resolve(&gvk.api_version(), &gvk.kind).await?;
    let mut options = List {
        limit: PAGE_SIZE,
        metadata_only: true,
        ..List::labelled(labels)
    };
    loop {
        let page = client.list(&resource, namespace, &options).await?;
        for found in &page.items {
            let note = object::annotation(found, pulse::ANNOTATION);
            let (Some(pulse), Some(name)) = (note.and_then(pulse::read), object::name(found))
            else {
                continue;
            };
            let touched = Touched {
                target: None,
                gvk: gvk.clone(),
                namespace: object::namespace(found).map(str::to_owned),
                name: name.to_owned(),
            };
            let change = Change::Found(touched, Box::new(pulse));
            if changes.send(change).await.is_err() {
                return Ok(());
            }
        }
        match page.continue_token {
            Some(token) => options.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}
