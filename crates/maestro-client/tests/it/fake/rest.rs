//! The REST API, as far as clients use it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response as HttpResponse},
    routing::get,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Data, Row, spec_with_times};

type Shared = State<Arc<Mutex<Data>>>;

pub(super) fn router(data: Arc<Mutex<Data>>) -> Router {
    let api = Router::new()
        .route("/resource-bundles", get(list_bundles))
        .route(
            "/resource-bundles/{id}",
            get(get_bundle).delete(delete_bundle),
        )
        .route("/consumers", get(list_consumers).post(create_consumer));
    Router::new().nest("/api/maestro/v1", api).with_state(data)
}

fn problem(status: StatusCode, code: u32, reason: &str) -> HttpResponse {
    (status, Json(json!({"kind": "Error", "id": code.to_string(), "code": format!("maestro-{code}"), "reason": reason}))).into_response()
}

#[allow(clippy::result_large_err, reason = "a test")]
fn check(data: &mut Data, headers: &HeaderMap) -> Result<(), HttpResponse> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
    data.traces.extend(header("traceparent").map(str::to_owned));
    if data.allowed(header("authorization")) {
        Ok(())
    } else {
        Err(problem(
            StatusCode::UNAUTHORIZED,
            15,
            "Account authentication could not be verified",
        ))
    }
}

fn bundle(id: &str, row: &Row, single: bool, executor: bool) -> Value {
    let payload: Value = serde_json::from_slice(row.spec.data.as_deref().unwrap_or(b"{}")).unwrap();
    let metadata = spec_with_times(row).metadata().unwrap().unwrap();
    let mut bundle = json!({"id": id, "kind": "ResourceBundle", "href": format!("/api/maestro/v1/resource-bundles/{id}"), "name": id,
        "consumer_name": row.consumer, "version": row.version, "created_at": row.created_at, "updated_at": row.created_at,
        "metadata": metadata, "manifests": payload["manifests"],
        "manifest_configs": payload.get("manifestConfigs").cloned().unwrap_or(json!([])),
        "delete_option": payload.get("deleteOption").cloned().unwrap_or(json!({}))});
    if let Some(time) = row.deleted_at {
        bundle["deleted_at"] = json!(time);
    }
    if single && executor {
        bundle["executer"] = payload["executer"].clone();
        bundle["source"] = json!(row.source);
    }
    if let Some(status) = &row.status {
        let mut shown: Value = serde_json::from_slice(status.data.as_deref().unwrap()).unwrap();
        shown["ObservedVersion"] = json!(status.resource_version().unwrap());
        shown["SequenceID"] = json!(status.sequence_id().unwrap().to_string());
        bundle["status"] = shown;
    }
    bundle
}

/// The few searches that clients make: terms joined by `and`.
fn found(
    search: &str,
    id: &str,
    source: &str,
    consumer: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    search
        .split(" and ")
        .filter(|term| !term.is_empty())
        .all(|term| {
            let quoted = || term.split('\'').nth(1).unwrap();
            if let Some(rest) = term.strip_prefix("payload->'metadata'->'labels'@>") {
                let wanted: BTreeMap<String, String> =
                    serde_json::from_str(rest.trim_matches('\'')).unwrap();
                return wanted
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value));
            }
            if let Some(rest) = term.strip_prefix("payload->'metadata'->>'name' = ") {
                return name == rest.trim_matches('\'');
            }
            if let Some(rest) = term.strip_prefix("payload->'metadata'->'labels'->>") {
                let mut parts = rest.split('\'').skip(1).step_by(2);
                let key = parts.next().unwrap();
                assert!(rest.contains("'in("), "only `in` is sent: {term}");
                return labels
                    .get(key)
                    .is_some_and(|value| parts.any(|part| part == value));
            }
            match term.split(['=', '>']).next().unwrap().trim() {
                "source" => source == quoted(),
                "consumer_name" => consumer == quoted(),
                "name" => name == quoted(),
                "id" => id > quoted(),
                other => panic!("unknown column {other} in {search}"),
            }
        })
}

fn page(
    query: &HashMap<String, String>,
    kind: &str,
    mut items: Vec<Value>,
    told: Option<usize>,
) -> Json<Value> {
    let number =
        |key: &str, default: usize| query.get(key).map_or(default, |text| text.parse().unwrap());
    let (page, size) = (number("page", 1), number("size", 100));
    let total = told.unwrap_or(items.len());
    items = items
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    Json(json!({"kind": kind, "page": page, "size": items.len(), "total": total, "items": items}))
}

async fn list_bundles(
    State(shared): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> HttpResponse {
    let (items, total, delay) = {
        let mut data = shared.lock().unwrap();
        if let Err(refusal) = check(&mut data, &headers) {
            return refusal;
        }
        data.searches.push(query.clone());
        let search = query.get("search").cloned().unwrap_or_default();
        let told = data.next_total();
        let items = data
            .rows
            .iter()
            .filter(|(id, row)| {
                let metadata = row.spec.metadata().unwrap().unwrap_or_default();
                found(
                    &search,
                    id,
                    &row.source,
                    &row.consumer,
                    &metadata.name,
                    &metadata.labels,
                )
            })
            .map(|(id, row)| bundle(id, row, false, false))
            .collect();
        (items, told, data.list_delay)
    };
    tokio::time::sleep(delay).await;
    page(&query, "ResourceBundleList", items, total).into_response()
}

async fn get_bundle(
    State(shared): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    match data.rows.get(&id) {
        Some(row) => Json(bundle(&id, row, true, data.shows_executor)).into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            7,
            &format!("Resource with id='{id}' not found"),
        ),
    }
}

async fn delete_bundle(
    State(shared): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    if let Some(row) = data.rows.get_mut(&id) {
        row.deleted_at.get_or_insert_with(Timestamp::now);
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn list_consumers(
    State(shared): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    let search = query.get("search").cloned().unwrap_or_default();
    let told = data.next_total();
    let items = data
        .consumers
        .iter()
        .filter(|(id, consumer)| {
            found(
                &search,
                id,
                "",
                "",
                consumer["name"].as_str().unwrap(),
                &BTreeMap::new(),
            )
        })
        .map(|(_, consumer)| consumer.clone())
        .collect();
    page(&query, "ConsumerList", items, told).into_response()
}

async fn create_consumer(State(shared): Shared, Json(body): Json<Value>) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    let name = body["name"].as_str().unwrap().to_owned();
    let id = format!("id-{name}");
    if data.consumers.contains_key(&id) {
        return problem(StatusCode::CONFLICT, 6, "This Consumer already exists");
    }
    let consumer = json!({"id": id, "kind": "Consumer", "name": name, "labels": body["labels"]});
    data.consumers.insert(id, consumer.clone());
    (StatusCode::CREATED, Json(consumer)).into_response()
}
