//! What the server has, and what it answers to events, with upstream's texts.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use event_wire::{Action, Event, attribute::name, codec::server, proto::CloudEvent};
use jiff::Timestamp;
use manifestwork::validate;
use serde_json::Value;
use tokio::sync::mpsc;
use tonic::Status;

use super::Answer;

type Outgoing = mpsc::Sender<Answer<CloudEvent>>;

/// A stored work.
#[derive(Clone)]
pub struct Row {
    pub source: String,
    pub consumer: String,
    pub version: i32,
    pub spec: Event,
    pub status: Option<Event>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

#[derive(Default)]
pub struct Data {
    pub rows: BTreeMap<String, Row>,
    pub consumers: BTreeMap<String, Value>,
    pub(super) subscribers: Vec<(String, Outgoing)>,
    /// Subscriptions that were ever opened.
    pub subscriptions: usize,
    /// Events that were published, in order.
    pub published: Vec<Event>,
    /// Texts and pages that were searched for.
    pub searches: Vec<HashMap<String, String>>,
    /// Authorization headers that came with gRPC and REST calls.
    pub tokens: Vec<Option<String>>,
    /// The header `traceparent` of REST calls that had one.
    pub traces: Vec<String>,
    /// Statuses that the next publishes are answered with; `true` stores the event all the same.
    pub failures: Vec<(Status, bool)>,
    /// What the next subscriptions are answered with.
    pub refusals: Vec<Status>,
    /// Subscriptions are answered with their first message, as upstream's server did before 2026-06-23.
    pub late_answers: bool,
    /// The only token that is taken.
    pub token: Option<String>,
    /// Totals of the next lists, as servers tell them that counted before something was created.
    pub totals: Vec<usize>,
    /// How long a list takes.
    pub list_delay: Duration,
    /// The executor is shown on single bundles, as our server does.
    pub shows_executor: bool,
}

impl Data {
    pub(super) fn broadcast(&mut self, source: &str, event: &Event) {
        self.subscribers.retain(|(subscribed, subscriber)| {
            subscribed != source || subscriber.try_send(Ok(event.into())).is_ok()
        });
    }

    pub(super) fn store(&mut self, event: Event) -> Answer<()> {
        let unknown = |text: String| Err(Status::unknown(text));
        let id = event.resource_id().unwrap().to_owned();
        let bundle = || event.json::<event_wire::payload::ManifestBundle>().unwrap();
        match event.event_type.action {
            Action::CreateRequest => {
                if self.rows.contains_key(&id) {
                    return unknown(
                        "failed to create resource: maestro-6: This Resource already exists".into(),
                    );
                }
                let consumer = event.cluster_name().unwrap().to_owned();
                if !self
                    .consumers
                    .values()
                    .any(|found| found["name"] == consumer.as_str())
                {
                    return unknown("failed to create resource: maestro-9: Unable to create Resource: ERROR: insert or update on table \"resources\" violates foreign key constraint \"fk_resources_consumers\" (SQLSTATE 23503)".into());
                }
                if let Err(error) = validate::for_server(&bundle().manifests) {
                    return unknown(format!(
                        "failed to create resource: maestro-8: the manifest bundle in the resource is invalid, {error}"
                    ));
                }
                let row = Row {
                    source: event.source.clone(),
                    consumer,
                    version: 1,
                    spec: event,
                    status: None,
                    created_at: Timestamp::now(),
                    deleted_at: None,
                };
                self.rows.insert(id, row);
            }
            Action::UpdateRequest => {
                let Some(row) = self.rows.get_mut(&id) else {
                    return unknown(format!(
                        "failed to get resource: maestro-7: Resource with id='{id}' not found"
                    ));
                };
                if row.deleted_at.is_some() {
                    return unknown(format!(
                        "failed to update resource: maestro-6: the resource is under deletion, id: {id}"
                    ));
                }
                let version = event.resource_version().unwrap();
                if version != 0 && version != row.version {
                    return unknown(format!(
                        "failed to update resource: maestro-6: the resource version is not the latest, the latest version: {}",
                        row.version
                    ));
                }
                row.version += 1;
                row.spec = event;
            }
            Action::DeleteRequest => {
                if let Some(row) = self.rows.get_mut(&id) {
                    row.deleted_at.get_or_insert_with(Timestamp::now);
                }
            }
            ref other => return unknown(format!("unsupported action {other}")),
        }
        Ok(())
    }

    /// Statuses are sent again: of the works that the request names with another hash, or of all.
    pub(super) fn resync(&mut self, request: &Event) -> Answer<()> {
        let list: event_wire::payload::StatusHashList = request.json().unwrap();
        let again: Vec<Event> = self
            .rows
            .iter()
            .filter(|(id, row)| {
                row.source == request.source
                    && (list.status_hashes.is_empty()
                        || list
                            .status_hashes
                            .iter()
                            .any(|hash| hash.resource_id == **id))
            })
            .filter_map(|(_, row)| {
                let status = row.status.as_ref()?;
                server::status_for_source(status, &spec_with_times(row)).ok()
            })
            .collect();
        for event in again {
            self.broadcast(&request.source, &event);
        }
        Ok(())
    }

    pub(super) fn next_total(&mut self) -> Option<usize> {
        (!self.totals.is_empty()).then(|| self.totals.remove(0))
    }

    pub(super) fn allowed(&mut self, header: Option<&str>) -> bool {
        self.tokens.push(header.map(str::to_owned));
        match &self.token {
            None => true,
            Some(token) => header == Some(format!("Bearer {token}").as_str()),
        }
    }
}

/// The stored spec with the times of its row in the metadata, as the server tells it.
pub(super) fn spec_with_times(row: &Row) -> Event {
    let mut spec = row.spec.clone();
    let mut metadata = spec.metadata().unwrap().unwrap_or_default();
    metadata.creation_timestamp = Some(row.created_at);
    metadata.deletion_timestamp = row.deleted_at;
    spec.set(name::METADATA, serde_json::to_string(&metadata).unwrap());
    spec
}
