//! Resource bundles: what sources published, and what became of it.

mod present;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::list::Parameters;
use super::response::{Failure, Operation, no_content, raw};
use crate::model::{Delete, Operation as Write, Resource, ResourceId};
use crate::problem::{self, Problem};
use crate::storage::Error;
use crate::storage::search::Table;
use crate::writer::Lane;

/// Rows read at once for a list: at most half a megabyte each with spec and status, so this bounds what a slow reader
/// holds.
const CHUNK_ROWS: usize = 16;
/// Chunks read at once: one core of the database turns documents into text while another chunk is written.
const READS_AHEAD: usize = 2;
/// A reader that takes nothing of a list for this long is cut off.
const READER_STALL: Duration = Duration::from_secs(30);
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
    let page =
        api.store.list_resources(&query).await.map_err(|error| {
            operation.failed(Problem::storage("Unable to list resources", &error))
        })?;
    let (chunks, body) = mpsc::channel(1);
    let writer = ListWriter {
        api,
        parameters,
        ids: page.items,
        wanted: usize::try_from(wanted).unwrap_or(usize::MAX),
        total: page.total,
        chunks,
    };
    tokio::spawn(writer.run());
    Ok(raw(
        StatusCode::OK,
        Body::from_stream(ReceiverStream::new(body)),
    ))
}

/// Writes a page chunk by chunk: memory follows the chunk, not the page, and no transaction is open meanwhile.
struct ListWriter {
    api: Api,
    parameters: Parameters,
    ids: Vec<ResourceId>,
    wanted: usize,
    total: u64,
    chunks: mpsc::Sender<Result<Bytes, std::io::Error>>,
}

impl ListWriter {
    async fn run(self) {
        let mut text = format!(
            r#"{{"kind":"ResourceBundleList","page":{},"total":{},"items":["#,
            self.parameters.window.page, self.total
        );
        let mut written = 0;
        let mut chunks = self.ids.chunks(CHUNK_ROWS);
        let mut ahead = VecDeque::with_capacity(READS_AHEAD);
        while written < self.wanted {
            while ahead.len() < READS_AHEAD
                && let Some(ids) = chunks.next()
            {
                ahead.push_back((ids, self.read(ids.to_vec())));
            }
            let Some((ids, reading)) = ahead.pop_front() else {
                break;
            };
            let read = reading
                .await
                .unwrap_or_else(|error| Err(Error::other(error.to_string())));
            let rows = match read {
                Ok(rows) => rows,
                Err(error) => {
                    // The status line is out: the only honest answer left is to break off.
                    tracing::warn!(%error, "A list was broken off.");
                    let _ = self
                        .chunks
                        .send(Err(std::io::Error::other("broken off")))
                        .await;
                    return;
                }
            };
            for id in ids {
                if written >= self.wanted {
                    break;
                }
                let Some(row) = rows.iter().find(|row| row.id == *id) else {
                    continue;
                };
                if written > 0 {
                    text.push(',');
                }
                present::write(row, &self.parameters, &mut text);
                written += 1;
            }
            if !self.send(std::mem::take(&mut text)).await {
                return;
            }
        }
        text.push_str(&format!(r#"],"size":{written}}}"#));
        self.send(text).await;
    }

    /// Starts to read rows; a task, so that it gets on while a slow reader takes what is before it.
    fn read(&self, ids: Vec<ResourceId>) -> JoinHandle<Result<Vec<Resource>, Error>> {
        let store = Arc::clone(&self.api.store);
        tokio::spawn(async move { store.resources(&ids).await })
    }

    async fn send(&self, text: String) -> bool {
        let sent = tokio::time::timeout(READER_STALL, self.chunks.send(Ok(text.into()))).await;
        matches!(sent, Ok(Ok(())))
    }
}

pub(super) async fn get(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let operation = Operation::of(&headers);
    match api.store.resource(&id.as_str().into()).await {
        Ok(Some(row)) => {
            let mut text = String::with_capacity(row.payload.len() + 1024);
            present::write(&row, &Parameters::everything(), &mut text);
            Ok(raw(StatusCode::OK, text))
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
    Path(id): Path<String>,
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
