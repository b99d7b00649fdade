//! Where a resource is, and one more delivery of it.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::json as value;

use super::Api;
use super::actor::Actor;
use super::delivery::presence;
use super::extract::Id;
use super::response::{BASE, Failure, Operation, json};
use crate::explain::{Explanation, Facts, explain};
use crate::model::{Change, SpecChange};
use crate::problem::{self, Problem};
use crate::storage::now;

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    id: &'a str,
    href: String,
    consumer_name: &'a str,
    consumer_id: &'a str,
    #[serde(flatten)]
    explanation: Explanation,
}

pub(super) async fn explained(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let storage = |error| operation.failed(Problem::storage("Unable to explain Resource", &error));
    let key = id.as_str().into();
    let Some(row) = api.store.resource(&key).await.map_err(storage)? else {
        return Err(operation.failed(no_resource(&id)));
    };
    let mut dispatch = api.store.dispatch(&key).await.map_err(storage)?;
    if let Some(mut sent) = api.hub.log.unwritten(&key) {
        if let Some(written) = &dispatch.sent
            && (written.version, written.deleting) == (sent.version, sent.deleting)
        {
            sent.times = sent.times.saturating_add(written.times);
        }
        dispatch.sent = Some(sent);
        dispatch.instance = Some(api.instance.to_string());
    }
    let agent = presence(&api, &row.cluster).await.map_err(storage)?;
    let consumer_id = api.store.consumer_id(&row.cluster).await.map_err(storage)?;
    let consumer_id = consumer_id.unwrap_or_default();
    let explanation = explain(&Facts {
        row: &row,
        consumer_id: &consumer_id,
        dispatch: &dispatch,
        presence: agent.as_ref(),
        queued_here: api.hub.is_queued(&row.cluster, &row.id),
        grace: SignedDuration::try_from(api.limits.grace).unwrap_or(SignedDuration::MAX),
        now: now(),
    });
    let body = Body {
        kind: "ResourceBundleExplanation",
        id: &id,
        href: format!("{BASE}/resource-bundles/{id}/explain"),
        consumer_name: row.cluster.as_str(),
        consumer_id: &consumer_id,
        explanation,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Asks whoever has the stream to send a resource once more.
pub(super) async fn resend(
    State(api): State<Api>,
    actor: Actor,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let storage = |error| operation.failed(Problem::storage("Unable to resend Resource", &error));
    let key = id.as_str().into();
    let who = actor.named(&operation);
    let Some(resend) = api.store.resend(&key, &who).await.map_err(storage)? else {
        return Err(operation.failed(no_resource(&id)));
    };
    // The other servers hear of it through the database.
    api.hub.changed(&Change::Spec {
        id: key,
        cluster: resend.cluster.clone(),
        kind: if resend.deleting {
            SpecChange::Deleted
        } else {
            SpecChange::Updated
        },
    });
    let agent = presence(&api, &resend.cluster).await.map_err(storage)?;
    let connected = agent.is_some_and(|agent| agent.instance.is_some());
    tracing::debug!(id = %id, consumer = %resend.cluster, operation = operation.id(), "A resource is sent again.");
    let body = value!({
        "kind": "ResourceBundleResend",
        "id": id,
        "href": format!("{BASE}/resource-bundles/{id}/explain"),
        "consumer_name": resend.cluster.as_str(),
        "version": resend.version,
        "deleting": resend.deleting,
        "connected": connected,
    });
    Ok(json(StatusCode::ACCEPTED, &body))
}

fn no_resource(id: &str) -> Problem {
    let reason = format!("Resource with id='{id}' not found");
    Problem::new(problem::NOT_FOUND, reason)
}
