//! Consumers: the registered clusters.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use manifestwork::validate::{FieldError, list, names};
use serde::Deserialize;
use serde_json::{Map, Value, json as value};

use super::Api;
use super::delivery::Delivery;
use super::extract::{Body, Id};
use super::list::Parameters;
use super::places::Outlet;
use super::response::{BASE, Failure, Operation, json, no_content, raw};
use crate::model::Consumer;
use crate::problem::{self, Problem};
use crate::storage::search::Table;
use crate::storage::{Error, now};

const KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "labels",
    "created_at",
    "updated_at",
];

pub(super) async fn list_all(
    State(api): State<Api>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let parameters = Parameters::parse(&uri, Table::Consumers, KEYS)
        .map_err(|problem| operation.failed(problem))?;
    let query = parameters.query();
    let place = api.places.consumers().await;
    let place = place.map_err(|problem| operation.failed(problem))?;
    let page = api
        .store
        .list_consumers(&query)
        .await
        .map_err(|error| operation.failed(Problem::list("Unable to list consumers", &error)))?;
    let mut list = ListText {
        end: format!(
            r#"],"kind":"ConsumerList","page":{},"size":{},"total":{}}}"#,
            parameters.window.page,
            page.items.len(),
            page.total
        ),
        items: page.items.into_iter().enumerate(),
        parameters,
    };
    let start = format!(r#"{{"items":[{}"#, list.portion());
    if list.end.is_empty() {
        return Ok(raw(StatusCode::OK, Outlet::whole(place, start)));
    }
    let (outlet, body) = Outlet::new(place);
    tokio::spawn(async move {
        let mut portion = start;
        while !portion.is_empty() {
            if !outlet.send(portion).await {
                return;
            }
            portion = list.portion();
        }
        outlet.finish().await;
    });
    Ok(raw(StatusCode::OK, body))
}

/// Text of a list that is made at once, bytes: labels are free, so a page may be large.
const PORTION: usize = 256 * 1024;

/// The rest of a list. What was written of it is no longer held.
struct ListText {
    items: std::iter::Enumerate<std::vec::IntoIter<Consumer>>,
    parameters: Parameters,
    /// Empty once it is written.
    end: String,
}

impl ListText {
    /// The next portion; empty after the last.
    fn portion(&mut self) -> String {
        let mut text = String::new();
        for (number, consumer) in self.items.by_ref() {
            let mut item = presented(&consumer);
            item.retain(|key, _| self.parameters.wants(key));
            if number > 0 {
                text.push(',');
            }
            text.push_str(&Value::Object(item).to_string());
            if text.len() >= PORTION {
                return text;
            }
        }
        text.push_str(&std::mem::take(&mut self.end));
        text
    }
}

pub(super) async fn get(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let place = api.places.object().await;
    let place = place.map_err(|problem| operation.failed(problem))?;
    match api.store.consumer(&id).await {
        Ok(Some(consumer)) => {
            let delivery = Delivery::of(&api, &consumer.name).await.map_err(|error| {
                operation.failed(Problem::storage("Unable to find Consumer", &error))
            })?;
            let mut body = presented(&consumer);
            // A key beyond upstream's, which clients of single objects tolerate.
            body.insert("delivery".into(), value!(delivery));
            let text = Value::Object(body).to_string();
            Ok(raw(StatusCode::OK, Outlet::whole(place, text)))
        }
        Ok(None) => Err(operation.failed(not_found(&id))),
        Err(error) => Err(operation.failed(Problem::storage("Unable to find Consumer", &error))),
    }
}

pub(super) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Failure> {
    #[derive(Default, Deserialize)]
    struct Content {
        #[serde(default)]
        id: Option<String>,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
    }
    let operation = Operation::of(&headers);
    let body: Content = parse_or_default(&body).map_err(|problem| operation.failed(problem))?;
    if body.id.is_some_and(|id| !id.is_empty()) {
        return Err(operation.failed(Problem::new(problem::VALIDATION, "id must be empty")));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let name = body
        .name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| id.clone());
    let errors: Vec<FieldError> = names::label(&name)
        .into_iter()
        .map(|why| FieldError::invalid("consumer.name", &name, why))
        .collect();
    if !errors.is_empty() {
        let reason = format!("Unable to create Consumer: {}", list(&errors));
        return Err(operation.failed(Problem::new(problem::VALIDATION, reason)));
    }
    let labels = body.labels.unwrap_or_default();
    check_labels(&labels).map_err(|problem| operation.failed(problem))?;
    let now = now();
    let consumer = Consumer {
        id,
        name: name.into(),
        labels,
        created_at: now,
        updated_at: now,
    };
    match api.store.create_consumer(&consumer).await {
        Ok(()) => Ok(json(StatusCode::CREATED, &presented(&consumer))),
        Err(Error::Unique { .. }) => {
            let problem = Problem::new(problem::CONFLICT, "This Consumer already exists");
            Err(operation.failed(problem))
        }
        Err(error) => Err(operation.failed(Problem::storage("Unable to create Consumer", &error))),
    }
}

pub(super) async fn update(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
    Body(body): Body,
) -> Result<Response, Failure> {
    #[derive(Default, Deserialize)]
    struct Content {
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
    }
    let operation = Operation::of(&headers);
    let body: Content = parse_or_default(&body).map_err(|problem| operation.failed(problem))?;
    if let Some(labels) = &body.labels {
        check_labels(labels).map_err(|problem| operation.failed(problem))?;
    }
    match api.store.update_consumer(&id, body.labels).await {
        Ok(Some(consumer)) => Ok(json(StatusCode::OK, &presented(&consumer))),
        Ok(None) => Err(operation.failed(not_found(&id))),
        Err(error) => Err(operation.failed(Problem::storage("Unable to update Consumer", &error))),
    }
}

pub(super) async fn delete(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    match api.store.delete_consumer(&id).await {
        // Also for unknown ids: clients of upstream rely on it.
        Ok(()) => Ok(no_content()),
        Err(Error::ForeignKey { .. }) => {
            let reason = format!(
                "Unable to delete Consumer: consumer {id:?} still has resources (fk_resources_consumers)"
            );
            Err(operation.failed(Problem::new(problem::FORBIDDEN, reason)))
        }
        Err(error) => Err(operation.failed(Problem::storage("Unable to delete Consumer", &error))),
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let malformed = |why: &dyn std::fmt::Display| {
        let reason = format!("Invalid request format: {why}");
        Problem::new(problem::MALFORMED_REQUEST, reason)
    };
    // A list of values would be taken for an object without names.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(malformed(&"an object is expected, not a list"));
    }
    serde_json::from_slice(body).map_err(|error| malformed(&error))
}

/// The same; `null` says nothing, as in Go.
fn parse_or_default<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    Ok(parse::<Option<T>>(body)?.unwrap_or_default())
}

/// Most labels of one consumer.
const MAX_LABELS: usize = 1000;
/// Longest name or value of a label, bytes.
const MAX_LABEL: usize = 4096;

/// Labels have no rules except that the database can hold them and lists can show them.
fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Problem> {
    let refuse = |reason: String| Err(Problem::new(problem::VALIDATION, reason));
    if labels.len() > MAX_LABELS {
        return refuse(format!("a consumer may have at most {MAX_LABELS} labels"));
    }
    let mut texts = labels.iter().flat_map(|(name, value)| [name, value]);
    if texts.clone().any(|text| text.len() > MAX_LABEL) {
        return refuse(format!(
            "names and values of labels may take at most {MAX_LABEL} bytes"
        ));
    }
    if texts.any(|text| text.contains('\0')) {
        return refuse("labels may not hold the character U+0000".to_owned());
    }
    Ok(())
}

pub(super) fn not_found(id: &str) -> Problem {
    Problem::new(
        problem::NOT_FOUND,
        format!("Consumer with id='{id}' not found"),
    )
}

fn presented(consumer: &Consumer) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("id".into(), consumer.id.as_str().into());
    body.insert("kind".into(), "Consumer".into());
    body.insert(
        "href".into(),
        format!("{BASE}/consumers/{}", consumer.id).into(),
    );
    body.insert("name".into(), consumer.name.as_str().into());
    if !consumer.labels.is_empty() {
        body.insert("labels".into(), value!(consumer.labels));
    }
    body.insert("created_at".into(), consumer.created_at.to_string().into());
    body.insert("updated_at".into(), consumer.updated_at.to_string().into());
    body
}
