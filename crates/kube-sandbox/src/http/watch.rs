//! Watches: the changes of a collection as a stream of JSON lines.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::negotiate::{self, Form};
use super::path::Place;
use super::read::{in_version, parse_revision, partial};
use super::{App, Head, respond, table};
use crate::config::MAX_WATCHES;
use crate::engine::Change;
use crate::failure::{Cause, Failure};
use crate::object::Object;
use crate::resource::Resource;
use crate::selector::Selector;

/// Time between bookmarks of a quiet watch.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Most changes that a watch takes from the history before it sends them.
const CHANGES_AT_ONCE: usize = 256;
/// Longest watch.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// What happened, from the point of view of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Added,
    Modified,
    Deleted,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Something to be sent.
enum Pending {
    Event(Event, Arc<Object>),
    /// The end of the initial events.
    InitialEnd,
}

/// Counts an open watch down when it ends.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(open: &Arc<AtomicUsize>) -> Result<Self, Failure> {
        if open.fetch_add(1, Ordering::Relaxed) >= MAX_WATCHES {
            open.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::too_many_requests(format!(
                "more than {MAX_WATCHES} watches are open"
            )));
        }
        Ok(Self(Arc::clone(open)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One running watch. Owned by its response body.
struct Watch {
    app: App,
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    include: table::Include,
    bookmarks: bool,
    /// Everything up to here was sent.
    position: u64,
    /// What is to be sent next; rendered when it is.
    pending: VecDeque<Pending>,
    latest: tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
    next_bookmark: Instant,
    ended: bool,
    _slot: Slot,
}

/// Starts a watch of a collection or of one object.
pub fn serve(
    app: &App,
    head: &Head,
    resource: &Arc<Resource>,
    place: &Place,
    name: Option<&str>,
) -> Result<Response, Failure> {
    let form = negotiate::form(head.header(header::ACCEPT))?;
    if place.subresource.is_some() {
        return Err(Failure::method_not_allowed());
    }
    let fields = match name {
        Some(name) => format!("metadata.name={name}"),
        None => head.query.get("fieldSelector").to_owned(),
    };
    let selector = Selector::parse(head.query.get("labelSelector"), &fields, resource)?;
    let initial = initial_events(head)?;
    let revision = parse_revision(head.query.get("resourceVersion"))?;
    let from_now = revision.is_none() || initial == Some(true);
    let seconds = head
        .query
        .number("timeoutSeconds")?
        .filter(|seconds| *seconds > 0);
    let duration = seconds.map_or(MAX_DURATION, |seconds| {
        Duration::from_secs(seconds).min(MAX_DURATION)
    });

    // Subscribed before reading, so that no change falls between the two.
    let latest = app.store.subscribe();
    let now = Instant::now();
    let mut watch = Watch {
        app: app.clone(),
        resource: Arc::clone(resource),
        namespace: place.namespace.clone(),
        selector,
        form,
        include: table::Include::parse(head.query.get("includeObject"))?,
        bookmarks: head.query.flag("allowWatchBookmarks")?,
        position: 0,
        pending: VecDeque::new(),
        latest,
        deadline: now + duration,
        next_bookmark: now + BOOKMARK_INTERVAL,
        ended: false,
        _slot: Slot::take(&app.watches)?,
    };
    if from_now {
        let (objects, current) =
            app.store
                .list(&resource.storage, place.namespace.as_deref(), None);
        watch.position = current;
        if initial != Some(false) {
            let selected = objects
                .into_iter()
                .filter(|object| watch.selector.matches(object));
            watch.pending = selected
                .map(|object| Pending::Event(Event::Added, object))
                .collect();
        }
        if initial == Some(true) {
            watch.pending.push_back(Pending::InitialEnd);
        }
    } else {
        let wanted = revision.unwrap_or_default();
        let current = app.store.revision();
        if wanted > current {
            // The version is of another life of this cluster: start over.
            return Err(Failure::expired(wanted, current));
        }
        app.store
            .check_history(wanted)
            .map_err(|expired| Failure::expired(wanted, expired.oldest))?;
        watch.position = wanted;
    }
    let stream = futures::stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, Infallible>(line), watch))
    });
    let mut response = respond::with_type(
        StatusCode::OK,
        "application/json",
        Body::from_stream(stream),
    );
    respond::warn(&mut response, resource.deprecation.as_slice());
    Ok(response)
}

/// `sendInitialEvents`, with the rules that go with it.
fn initial_events(head: &Head) -> Result<Option<bool>, Failure> {
    let rule = head.query.get("resourceVersionMatch");
    let refuse = |field: &str, detail: &str| {
        Err(Failure::invalid_options(
            "ListOptions",
            &[Cause::forbidden(field, detail)],
        ))
    };
    if !head.query.has("sendInitialEvents") {
        if !rule.is_empty() {
            return refuse(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        return Ok(None);
    }
    if rule != "NotOlderThan" {
        return refuse(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
    }
    Ok(Some(head.query.flag("sendInitialEvents")?))
}

impl Watch {
    /// The next line, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.app.shutdown.is_cancelled() {
                return None;
            }
            match self.pending.pop_front() {
                Some(Pending::Event(event, object)) => return Some(self.line(event, &object)),
                Some(Pending::InitialEnd) => return Some(self.bookmark_line(true)),
                None => {}
            }
            if self.ended {
                return None;
            }
            match self.app.store.changes_after(
                self.position,
                &self.resource.storage,
                self.namespace.as_deref(),
                CHANGES_AT_ONCE,
            ) {
                Ok((changes, position)) => {
                    let moved = position != self.position;
                    self.position = position;
                    let events: Vec<Pending> = changes
                        .into_iter()
                        .filter_map(|change| self.event(change))
                        .collect();
                    self.pending.extend(events);
                    if moved {
                        // There may be more than was taken at once.
                        continue;
                    }
                }
                Err(expired) => {
                    self.ended = true;
                    let status = Failure::expired(self.position, expired.oldest).to_status();
                    return Some(line(&json!({"type": "ERROR", "object": status})));
                }
            }
            let shutdown = self.app.shutdown.clone();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.deadline) => {
                    self.ended = true;
                    if self.bookmarks {
                        return Some(self.bookmark_line(false));
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    return Some(self.bookmark_line(false));
                }
                changed = self.latest.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
            }
        }
    }

    /// What a change means to this watch.
    fn event(&self, change: Change) -> Option<Pending> {
        let before = change
            .previous
            .as_ref()
            .is_some_and(|object| self.selector.matches(object));
        let after = !change.removed && self.selector.matches(&change.object);
        let event = match (before, after) {
            (false, false) => return None,
            (false, true) => Event::Added,
            (true, true) => Event::Modified,
            (true, false) => Event::Deleted,
        };
        Some(Pending::Event(event, change.object))
    }

    fn line(&self, event: Event, object: &Arc<Object>) -> Bytes {
        let body = match self.form {
            Form::Json | Form::Yaml => in_version(object, &self.resource),
            Form::Metadata => Bytes::from(partial(object).to_string()),
            Form::Table => {
                let objects = std::slice::from_ref(object);
                let now = (self.app.clock)();
                let table = table::table(
                    &self.resource,
                    objects,
                    object.revision,
                    None,
                    self.include,
                    now,
                );
                Bytes::from(table.to_string())
            }
        };
        let mut out = Vec::with_capacity(body.len() + 40);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(event.as_str().as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        out.extend_from_slice(&body);
        out.extend_from_slice(b"}\n");
        Bytes::from(out)
    }

    fn bookmark_line(&self, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if let (true, Some(map)) = (initial_events_end, metadata.as_object_mut()) {
            map.insert(
                "annotations".to_owned(),
                json!({"k8s.io/initial-events-end": "true"}),
            );
        }
        let object = match self.form {
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": [], "rows": [],
            }),
            Form::Json | Form::Yaml => json!({
                "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
            }),
        };
        line(&json!({"type": "BOOKMARK", "object": object}))
    }
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}
