//! The agent of a consumer and what it hasn't settled; what operators did about it.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json as value;

use super::Api;
use super::consumers::not_found;
use super::extract::Id;
use super::response::{BASE, Failure, Operation, json};
use crate::delivery::Here;
use crate::model::ClusterName;
use crate::problem::Problem;
use crate::storage::Error;
use crate::storage::facts::{Ended, LastPresence, PENDING_COUNTED};

/// How it stands with the deliveries to a cluster.
#[derive(Serialize)]
pub(super) struct Delivery {
    /// Whether its agent has a stream on any server.
    connected: bool,
    /// Which server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// When it was last connected; null = never.
    last_seen: Option<Timestamp>,
    /// When it last said what it has.
    last_resync: Option<Timestamp>,
    /// Resources that wait for a place on its stream.
    queued: u64,
    /// Rows that it hasn't settled.
    pending: u64,
    /// Whether there are more than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending_is_more: bool,
    /// Those among them that are to go.
    pending_deletions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_pending: Option<Oldest>,
    /// Resources of the agent that nobody here knows and nobody dares to delete.
    held_orphans: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<Fault>,
}

#[derive(Serialize)]
struct Oldest {
    id: String,
    since: Timestamp,
}

#[derive(Serialize)]
struct Fault {
    at: Timestamp,
    message: String,
}

impl Delivery {
    pub(super) async fn of(api: &Api, cluster: &ClusterName) -> Result<Self, Error> {
        let agent = presence(api, cluster).await?;
        let pending = api.store.pending(cluster).await?;
        let mut delivery = Self {
            connected: false,
            instance: None,
            since: None,
            last_seen: None,
            last_resync: None,
            queued: 0,
            pending: pending.total,
            pending_is_more: pending.total >= PENDING_COUNTED,
            pending_deletions: pending.deleting,
            oldest_pending: pending.oldest.map(|(id, since)| Oldest {
                id: id.to_string(),
                since,
            }),
            held_orphans: 0,
            last_error: None,
        };
        if let Some(agent) = agent {
            delivery.connected = agent.instance.is_some();
            delivery.instance = agent.instance;
            delivery.since = agent.since;
            delivery.last_seen = Some(agent.last_seen);
            delivery.last_resync = agent.last_resync;
            delivery.queued = agent.waiting;
            delivery.held_orphans = agent.orphans;
            delivery.last_error = agent.last_error.map(|(at, message)| Fault { at, message });
        }
        Ok(delivery)
    }
}

/// The agent of a cluster: what this server sees itself, else what the others have written down.
pub(super) async fn presence(
    api: &Api,
    cluster: &ClusterName,
) -> Result<Option<LastPresence>, Error> {
    let noted = api.store.presence(cluster).await?;
    let Some(Here { newest, .. }) = api.hub.here(cluster) else {
        return Ok(match (noted, api.hub.left(cluster)) {
            (noted, None) => noted,
            (None, Some(left)) => Some(absent(&left)),
            (Some(noted), Some(left)) => {
                // Only this server's own note can be older than what it knows.
                let ours = noted.instance.as_deref() == Some(&*api.instance);
                let left = absent(&left);
                Some(LastPresence {
                    instance: noted.instance.filter(|_| !ours),
                    last_seen: left.last_seen.max(noted.last_seen),
                    last_resync: left.last_resync.max(noted.last_resync),
                    last_error: left.last_error.or(noted.last_error),
                    ..noted
                })
            }
        });
    };
    // Of several, the newest counts, wherever it is.
    if let Some(elsewhere) = &noted
        && elsewhere.instance.is_some()
        && elsewhere.instance.as_deref() != Some(&*api.instance)
        && elsewhere.since.is_some_and(|since| since > newest.since)
    {
        return Ok(noted);
    }
    let noted_resync = noted.as_ref().and_then(|noted| noted.last_resync);
    Ok(Some(LastPresence {
        instance: Some(api.instance.to_string()),
        since: Some(newest.since),
        last_seen: crate::storage::now(),
        last_resync: newest.resynced.or(noted_resync),
        waiting: newest.waiting,
        orphans: newest.orphans,
        last_error: noted.and_then(|noted| noted.last_error),
    }))
}

fn absent(left: &Ended) -> LastPresence {
    LastPresence {
        instance: None,
        since: None,
        last_seen: left.at,
        last_resync: left.resynced,
        waiting: 0,
        orphans: 0,
        last_error: left.error.clone().map(|error| (left.at, error)),
    }
}

pub(super) async fn get(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Body<'a> {
        kind: &'static str,
        id: &'a str,
        href: String,
        name: &'a str,
        #[serde(flatten)]
        delivery: Delivery,
    }
    let operation = Operation::of(&headers);
    let storage = |error| operation.failed(Problem::storage("Unable to find Consumer", &error));
    let Some(consumer) = api.store.consumer(&id).await.map_err(storage)? else {
        return Err(operation.failed(not_found(&id)));
    };
    let body = Body {
        kind: "ConsumerDelivery",
        id: &id,
        href: format!("{BASE}/consumers/{id}/delivery"),
        name: consumer.name.as_str(),
        delivery: Delivery::of(&api, &consumer.name).await.map_err(storage)?,
    };
    Ok(json(StatusCode::OK, &body))
}

/// What operators did: also about a consumer that is gone, by its id or its name.
pub(super) async fn audit(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let storage = |error| operation.failed(Problem::storage("Unable to read the audit", &error));
    let entries = api.store.audit(&id).await.map_err(storage)?;
    if entries.is_empty() && api.store.consumer(&id).await.map_err(storage)?.is_none() {
        return Err(operation.failed(not_found(&id)));
    }
    let items: Vec<_> = entries
        .iter()
        .map(|entry| {
            value!({
                "id": entry.id, "kind": "AuditEntry", "at": entry.at, "action": entry.action,
                "consumer_id": entry.consumer, "consumer_name": entry.cluster.as_str(),
                "who": entry.who, "reason": entry.reason, "resources": entry.resources,
            })
        })
        .collect();
    let body = value!({
        "kind": "AuditEntryList", "page": 1, "size": items.len(), "total": items.len(), "items": items,
    });
    Ok(json(StatusCode::OK, &body))
}
