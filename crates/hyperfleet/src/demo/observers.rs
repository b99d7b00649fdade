//! Tasks that look at the public interfaces and send what they see.
//!
//! Each sends whole objects; the [`super::observation::Tracker`] finds the news. The channel is bounded: a slow console slows the
//! observers, never the system under observation.

use std::time::Duration;

use futures::StreamExt;
use manifestwork::ManifestWork;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::observation::Observation;

/// How often REST interfaces, which can't be watched, are asked.
const POLL: Duration = Duration::from_millis(40);

/// Observations that may wait for the console.
pub const QUEUE: usize = 256;

/// What to look at.
#[derive(Clone)]
pub struct Targets {
    /// Base URL of the HyperFleet API.
    pub api: String,
    /// The source client of Maestro, under the adapter's source id.
    pub maestro: maestro_client::Client,
    /// The consumer, which is the management cluster's name.
    pub consumer: String,
    /// The management cluster.
    pub management: kube_access::Client,
    /// Namespace of the HostedClusters.
    pub namespace: String,
}

/// Starts the observers of one cluster; they end with `stop`.
pub fn observe(
    targets: &Targets,
    cluster_id: &str,
    cluster_name: &str,
    into: mpsc::Sender<Observation>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let spawn = |future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => (), () = future => () }
        });
    };
    spawn(Box::pin(cluster(
        targets.api.clone(),
        cluster_id.to_owned(),
        into.clone(),
    )));
    spawn(Box::pin(statuses(
        targets.api.clone(),
        cluster_id.to_owned(),
        into.clone(),
    )));
    spawn(Box::pin(work(
        targets.maestro.clone(),
        targets.consumer.clone(),
        cluster_id.to_owned(),
        into.clone(),
    )));
    spawn(Box::pin(hosted_cluster(
        targets.management.clone(),
        targets.namespace.clone(),
        cluster_name.to_owned(),
        into,
    )));
}

async fn cluster(api: String, id: String, into: mpsc::Sender<Observation>) {
    let http = reqwest::Client::new();
    let url = format!("{api}/api/hyperfleet/v1/clusters/{id}");
    let mut last: Option<Option<Value>> = None;
    loop {
        if let Some(now) = get(&http, &url).await
            && last.as_ref() != Some(&now)
        {
            last = Some(now.clone());
            if into.send(Observation::Cluster(now)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn statuses(api: String, id: String, into: mpsc::Sender<Observation>) {
    let http = reqwest::Client::new();
    let url = format!("{api}/api/hyperfleet/v1/clusters/{id}/statuses?pageSize=100");
    let mut last = Value::Null;
    loop {
        if let Some(Some(now)) = get(&http, &url).await
            && now != last
        {
            last = now.clone();
            let items = now
                .get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            if into.send(Observation::Statuses(items)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `Some(None)` is a 404; `None` is no answer worth telling (the next poll asks again).
async fn get(http: &reqwest::Client, url: &str) -> Option<Option<Value>> {
    let response = http
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    match response.status().as_u16() {
        200 => response.json().await.ok().map(Some),
        404 => Some(None),
        _ => None,
    }
}

/// Follows the work that carries the label of the cluster: status by the gRPC stream, spec, deletion and absence by REST.
async fn work(
    client: maestro_client::Client,
    consumer: String,
    cluster_id: String,
    into: mpsc::Sender<Observation>,
) {
    let works = client.works(&consumer);
    let mut events = works.watch(maestro_client::WatchOptions::default());
    let mut poll = tokio::time::interval(POLL);
    let mut seen: Option<ManifestWork> = None;
    let mut stream_open = true;
    loop {
        let next = tokio::select! {
            event = events.next_event(), if stream_open => match event {
                Some(event) => streamed(&seen, event, &cluster_id),
                None => { stream_open = false; None }
            },
            _ = poll.tick() => polled(&works, &seen, &cluster_id).await,
        };
        if let Some(next) = next {
            seen.clone_from(&next);
            let value = next.and_then(|work| serde_json::to_value(work).ok());
            if into.send(Observation::Work(value)).await.is_err() {
                return;
            }
        }
    }
}

fn streamed(
    seen: &Option<ManifestWork>,
    event: maestro_client::WatchEvent,
    cluster_id: &str,
) -> Option<Option<ManifestWork>> {
    use maestro_client::WatchEvent;
    match event {
        WatchEvent::Added(work) | WatchEvent::Modified(work) if belongs(&work, cluster_id) => {
            let older = seen
                .as_ref()
                .is_some_and(|s| s.metadata.generation > work.metadata.generation);
            (!older).then(|| {
                let mut work = *work;
                // A status may overtake the deletion mark, which REST has already shown.
                if let Some(seen) = seen
                    && work.metadata.deletion_timestamp.is_none()
                {
                    work.metadata
                        .deletion_timestamp
                        .clone_from(&seen.metadata.deletion_timestamp);
                }
                Some(work)
            })
        }
        WatchEvent::Deleted(work) if belongs(&work, cluster_id) => seen.as_ref().map(|_| None),
        _ => None,
    }
}

async fn polled(
    works: &maestro_client::Works,
    seen: &Option<ManifestWork>,
    cluster_id: &str,
) -> Option<Option<ManifestWork>> {
    let now = match seen {
        None => works
            .list(&maestro_client::ListOptions::default())
            .await
            .ok()?
            .into_iter()
            .find(|work| belongs(work, cluster_id))?,
        Some(seen) => match works.get(&seen.metadata.name).await {
            Ok(work) => work,
            Err(maestro_client::Error::NotFound { .. }) => return Some(None),
            Err(_) => return None,
        },
    };
    let news = seen.as_ref().is_none_or(|seen| {
        seen.metadata.generation < now.metadata.generation
            || seen.metadata.deletion_timestamp.is_none()
                && now.metadata.deletion_timestamp.is_some()
    });
    news.then(|| {
        let mut now = now;
        // Status is told from the gRPC stream only.
        now.status = seen
            .as_ref()
            .map(|seen| seen.status.clone())
            .unwrap_or_default();
        Some(now)
    })
}

fn belongs(work: &ManifestWork, cluster_id: &str) -> bool {
    work.metadata.name.contains(cluster_id)
        || work
            .metadata
            .labels
            .values()
            .any(|value| value == cluster_id)
}

async fn hosted_cluster(
    client: kube_access::Client,
    namespace: String,
    name: String,
    into: mpsc::Sender<Observation>,
) {
    use kube_access::watch::Observation as Seen;
    let resource = loop {
        match client
            .resolve(
                hypershift::names::API_VERSION,
                hypershift::names::HOSTED_CLUSTER,
            )
            .await
        {
            Ok(resource) => break resource,
            Err(_) => tokio::time::sleep(POLL).await,
        }
    };
    let mut seen = client.watch_one(&resource, Some(&namespace), &name);
    while let Some(seen) = seen.next().await {
        let now = match seen {
            Seen::Present(object) => Some(object),
            Seen::Absent => None,
            // The watch goes on by itself.
            Seen::Failed(_) => continue,
        };
        if into.send(Observation::HostedCluster(now)).await.is_err() {
            return;
        }
    }
}
