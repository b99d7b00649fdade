//! What only an operator may decide: that a cluster has ended, and that resources which nobody knows may go.
//! Never a timer: this server can't tell a cluster that is gone from one that is cut off.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json as value;

use super::Api;
use super::actor::Actor;
use super::consumers::{not_found, parse};
use super::delivery::presence;
use super::extract::{Body, Id};
use super::response::{Failure, Operation, json};
use crate::model::Consumer;
use crate::problem::{self, Problem};
use crate::storage::facts::{AuditEntry, action};
use crate::storage::{Error, Forced, ForcedOutcome, now};

/// Longest reason, bytes.
const MAX_REASON: usize = 1024;

/// Ends a consumer and all of its resources.
pub(super) async fn force_remove(
    State(api): State<Api>,
    actor: Actor,
    headers: HeaderMap,
    Id(id): Id,
    Body(body): Body,
) -> Result<Response, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Content {
        #[serde(default)]
        reason: String,
        #[serde(default)]
        include_live: bool,
    }
    let operation = Operation::of(&headers);
    let Content {
        reason,
        include_live,
    } = parse(&body).map_err(|problem| operation.failed(problem))?;
    if reason.trim().is_empty() || reason.len() > MAX_REASON || reason.contains('\0') {
        let text = format!(
            "reason must be given, in at most {MAX_REASON} bytes: it is kept and told to the sources"
        );
        return Err(operation.failed(Problem::new(problem::VALIDATION, text)));
    }
    let consumer = consumer(&api, &operation, &id).await?;
    let doing = "Unable to remove Consumer";
    let storage = |error| operation.failed(Problem::storage(doing, &error));
    let connected = !api.hub.agents_of(&consumer.name).is_empty();
    let noted = api.store.last_seen(&consumer.name).await.map_err(storage)?;
    let left = api.hub.left(&consumer.name);
    let seen = noted.max(left.map(|ended| ended.at));
    // An agent that was connected so recently may well come back.
    let lately = SignedDuration::try_from(api.limits.seen_lately).unwrap_or(SignedDuration::MAX);
    if connected || seen.is_some_and(|seen| now().duration_since(seen) < lately) {
        let text = format!(
            "the agent of {} was connected within the last {} s; stop it, or delete the resources and let it finish",
            consumer.name,
            api.limits.seen_lately.as_secs()
        );
        return Err(operation.failed(Problem::new(problem::CONFLICT, text)));
    }
    let mut forced = Forced {
        id,
        cluster: consumer.name.clone(),
        reason,
        who: actor.named(&operation),
        include_live,
        first: true,
    };
    let mut removed = 0_usize;
    loop {
        let outcome = match portion(&api, &forced).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let mut problem = Problem::storage(doing, &error);
                if removed > 0 {
                    let so_far = format!("; {removed} resources are gone, ask again for the rest");
                    problem.reason.push_str(&so_far);
                }
                return Err(operation.failed(problem));
            }
        };
        match outcome {
            ForcedOutcome::Unknown => return Err(operation.failed(not_found(&forced.id))),
            ForcedOutcome::Live(count) => {
                let text = format!(
                    "{count} resources of {} are live; delete them first, or set \"includeLive\": true",
                    consumer.name
                );
                return Err(operation.failed(Problem::new(problem::CONFLICT, text)));
            }
            ForcedOutcome::Portion(changes) => {
                removed += changes.len();
                forced.first = false;
            }
            ForcedOutcome::Removed { resources, .. } => {
                tracing::warn!(
                    consumer = %consumer.name,
                    resources,
                    operation = operation.id(),
                    "A consumer was removed by force."
                );
                let body = value!({
                    "kind": "ConsumerRemoval", "id": forced.id, "name": consumer.name.as_str(), "resources": resources,
                });
                return Ok(json(StatusCode::OK, &body));
            }
        }
    }
}

/// Ends a portion of a consumer and tells the sources, in a task of its own: a caller who goes away in between takes no
/// statuses with him. The next portion isn't begun then.
async fn portion(api: &Api, forced: &Forced) -> Result<ForcedOutcome, Error> {
    let (store, hub, forced) = (Arc::clone(&api.store), Arc::clone(&api.hub), forced.clone());
    let task = tokio::spawn(async move {
        let outcome = store.force_remove(&forced).await?;
        if let ForcedOutcome::Portion(changes) | ForcedOutcome::Removed { changes, .. } = &outcome {
            if forced.first {
                tracing::warn!(
                    consumer = %forced.cluster,
                    who = %forced.who,
                    reason = ?forced.reason,
                    "The removal of a consumer by force began or goes on."
                );
            }
            changes.iter().for_each(|change| hub.changed(change));
        }
        Ok(outcome)
    });
    task.await
        .unwrap_or_else(|error| Err(Error::other(error.to_string())))
}

/// Lets the agent of a consumer delete what this server doesn't know, on whatever server it is connected.
pub(super) async fn accept_orphans(
    State(api): State<Api>,
    actor: Actor,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let consumer = consumer(&api, &operation, &id).await?;
    let storage = |error| operation.failed(Problem::storage("Unable to accept orphans", &error));
    let agent = presence(&api, &consumer.name).await.map_err(storage)?;
    let known = agent.map_or(0, |agent| agent.orphans);
    if known == 0 {
        let text = format!(
            "no unknown resources of {} wait for a decision; they show when its agent connects",
            consumer.name
        );
        return Err(operation.failed(Problem::new(problem::CONFLICT, text)));
    }
    let entry = AuditEntry {
        id: uuid::Uuid::new_v4().to_string(),
        at: now(),
        action: action::ACCEPT_ORPHANS.to_owned(),
        consumer: id.clone(),
        cluster: consumer.name.clone(),
        who: actor.named(&operation),
        reason: String::new(),
        resources: Vec::new(),
    };
    // What isn't written down doesn't happen.
    api.store.note_audit(&entry).await.map_err(storage)?;
    let count = match api.hub.accept_strangers(&consumer.name) {
        Some(count) => u64::try_from(count).unwrap_or(u64::MAX),
        None => {
            let accepted = api.store.accept_orphans(&consumer.name).await;
            accepted.map_err(storage)?;
            known
        }
    };
    tracing::warn!(
        consumer = %consumer.name,
        resources = count,
        operation = operation.id(),
        "An operator gave up unknown resources of a cluster."
    );
    let body = value!({"kind": "OrphanRemoval", "id": id, "name": consumer.name.as_str(), "resources": count});
    Ok(json(StatusCode::OK, &body))
}

async fn consumer(api: &Api, operation: &Operation, id: &str) -> Result<Consumer, Failure> {
    match api.store.consumer(id).await {
        Ok(Some(consumer)) => Ok(consumer),
        Ok(None) => Err(operation.failed(not_found(id))),
        Err(error) => Err(operation.failed(Problem::storage("Unable to find Consumer", &error))),
    }
}
