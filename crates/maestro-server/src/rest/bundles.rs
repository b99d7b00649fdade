//! Resource bundles: what sources published, and what became of it.

mod present;
mod shown;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;

use http::{HeaderMap, StatusCode, Uri};

use super::Api;
use super::extract::Id;
use super::list::Parameters;
use super::places::Outlet;
use super::response::{Failure, Operation, no_content, raw};
use crate::model::{Delete, Operation as Write, ResourceId};
use crate::problem::{self, Problem};
use crate::storage::search::Table;
use crate::storage::{Error, Listed};
use crate::writer::Lane;
use shown::Packed;

pub use shown::Shown;

/// Rows read at once for a list: at most half a megabyte each with spec and status, so this bounds what a slow reader
/// holds.
const CHUNK_ROWS: usize = 16;
/// Chunks read at once: one core of the database turns documents into text while another chunk is written.
const READS_AHEAD: usize = 2;
/// Rows read beyond a page, to fill it up when others vanish while it is written.
const SPARE_ROWS: u64 = 64;

pub(super) async fn list_all(
    State(api): State<Api>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let parameters = Parameters::parse(&uri, Table::Resources, present::KEYS)
        .map_err(|problem| operation.failed(problem))?;
    let mut query = parameters.query();
    let wanted = query.limit;
    if wanted > 0 {
        query.limit += SPARE_ROWS;
    }
    let place = api.places.bundles().await;
    let place = place.map_err(|problem| operation.failed(problem))?;
    let page = api
        .store
        .list_resources(&query)
        .await
        .map_err(|error| operation.failed(Problem::list("Unable to list resources", &error)))?;
    let (outlet, body) = Outlet::new(place);
    let writer = ListWriter {
        api,
        parameters: Arc::new(parameters),
        rows: page.items,
        wanted: usize::try_from(wanted).unwrap_or(usize::MAX),
        total: page.total,
        outlet,
    };
    tokio::spawn(writer.run());
    Ok(raw(StatusCode::OK, body))
}

/// Writes a page chunk by chunk: memory follows the chunk, not the page, and no transaction is open meanwhile.
struct ListWriter {
    api: Api,
    parameters: Arc<Parameters>,
    rows: Vec<Listed>,
    wanted: usize,
    total: u64,
    outlet: Outlet,
}

impl ListWriter {
    async fn run(self) {
        let head = format!(
            r#"{{"kind":"ResourceBundleList","page":{},"total":{},"items":["#,
            self.parameters.window.page, self.total
        );
        if !self.outlet.send(head).await {
            return;
        }
        let (mut written, mut asked_for) = (0, 0);
        let mut rest = self.rows.as_slice();
        let mut ahead = VecDeque::with_capacity(READS_AHEAD);
        loop {
            while ahead.len() < READS_AHEAD {
                // The spare rows are only read when others have vanished.
                let lacking = self.wanted - written - asked_for;
                let rows = CHUNK_ROWS.min(lacking).min(rest.len());
                let Some((chunk, after)) = rest.split_at_checked(rows).filter(|_| rows > 0) else {
                    break;
                };
                rest = after;
                asked_for += rows;
                let parameters = Arc::clone(&self.parameters);
                let making = Chunk::make(self.api.clone(), parameters, chunk.to_vec());
                // A task, so that it gets on while a slow reader takes what is before it.
                ahead.push_back((rows, tokio::spawn(making)));
            }
            let Some((rows, making)) = ahead.pop_front() else {
                break;
            };
            let made = making
                .await
                .unwrap_or_else(|error| Err(Error::other(error.to_string())));
            asked_for -= rows;
            let chunk = match made {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::warn!(%error, "A list was broken off.");
                    return;
                }
            };
            if chunk.items > 0 {
                let separator = usize::from(written == 0);
                written += chunk.items;
                let text = Bytes::from(chunk.text).slice(separator..);
                if !self.outlet.send(text).await {
                    return;
                }
            }
        }
        if self.outlet.send(format!(r#"],"size":{written}}}"#)).await {
            self.outlet.finish().await;
        }
    }
}

/// Some items of a list as text, each behind a comma.
#[derive(Default)]
struct Chunk {
    text: Vec<u8>,
    items: usize,
}

impl Chunk {
    /// Writes rows: those that were shown in this state before from memory, all others as the database has them by now.
    async fn make(api: Api, parameters: Arc<Parameters>, rows: Vec<Listed>) -> Result<Self, Error> {
        // Items of chosen keys aren't kept.
        let shown = parameters.fields.is_none().then_some(&*api.shown);
        let kept: Vec<Option<Packed>> = rows
            .iter()
            .map(|row| shown?.find(&row.id, &row.revision))
            .collect();
        let missing: Vec<ResourceId> = rows
            .iter()
            .zip(&kept)
            .filter(|(_, kept)| kept.is_none())
            .map(|(row, _)| row.id.clone())
            .collect();
        let read = match missing.is_empty() {
            true => Vec::new(),
            false => api.store.resources(&missing).await?,
        };
        api.telemetry.listed(rows.len() - missing.len(), read.len());
        let mut chunk = Self::default();
        for (listed, kept) in rows.iter().zip(kept) {
            match (kept, read.iter().find(|row| row.id == listed.id)) {
                (Some(kept), _) => chunk.add(|out| {
                    kept.unpack(parameters.full, out)
                        .map_err(|error| Error::other(error.to_string()))
                })?,
                (None, Some(row)) => chunk.add(|out| {
                    match shown {
                        Some(shown) => {
                            let item = present::item(row);
                            shown.keep(row, &item);
                            item.push(parameters.full, out);
                        }
                        None => {
                            let mut text = String::new();
                            present::write(row, &parameters, &mut text);
                            out.extend_from_slice(text.as_bytes());
                        }
                    }
                    Ok(())
                })?,
                // It is gone by now.
                (None, None) => {}
            }
        }
        Ok(chunk)
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
        self.text.push(b',');
        write(&mut self.text)?;
        self.items += 1;
        Ok(())
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
    match api.store.resource(&id.as_str().into()).await {
        Ok(Some(row)) => {
            let text = present::item(&row).text;
            Ok(raw(StatusCode::OK, Outlet::whole(place, text)))
        }
        Ok(None) => {
            let reason = format!("Resource with id='{id}' not found");
            Err(operation.failed(Problem::new(problem::NOT_FOUND, reason)))
        }
        Err(error) => Err(operation.failed(Problem::storage("Unable to find Resource", &error))),
    }
}

/// Asks for a deletion. Also 204 for unknown ids: clients of upstream rely on it.
pub(super) async fn delete(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    let delete = Write::Delete(Delete {
        id: id.into(),
        source: None,
    });
    match api.writer.submit(Lane::Operator, delete).await {
        Ok(_) => Ok(no_content()),
        Err(error) => Err(operation.failed(Problem::write("Unable to delete Resource", &error))),
    }
}
