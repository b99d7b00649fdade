//! What is logged: nothing per message at info, and the trace of an operation on its lines.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use event_wire::attribute::name;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::harness::{Server, bundle, condition, config_map};

/// Collects the lines of this thread, where the whole server runs.
#[derive(Clone)]
struct Lines {
    level: Level,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    spans: Mutex<Vec<(u64, String)>>,
    entered: Mutex<Vec<u64>>,
    lines: Mutex<Vec<String>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Lines {
    fn new(level: Level) -> Self {
        Self {
            level,
            shared: Arc::default(),
        }
    }

    fn all(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().clone()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maestro_server") && *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut text = Text(String::new());
        span.record(&mut text);
        self.shared.spans.lock().unwrap().push((id, text.0));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let spans = self.shared.spans.lock().unwrap();
        for id in self.shared.entered.lock().unwrap().iter() {
            let span = spans.iter().find(|(other, _)| other == id);
            text.0.push_str(span.map_or("", |(_, fields)| fields));
        }
        self.shared.lines.lock().unwrap().push(text.0);
    }

    fn enter(&self, span: &Id) {
        self.shared.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut entered = self.shared.entered.lock().unwrap();
        entered.retain(|id| *id != span.into_u64());
    }
}

#[tokio::test]
async fn f61_nothing_is_logged_per_message() {
    let lines = Lines::new(Level::INFO);
    // With only one subscriber, an event that another test's thread reaches first is switched off for all.
    let _second = tracing::Dispatch::new(Lines::new(Level::INFO));
    let _collecting = tracing::subscriber::set_default(lines.clone());
    let server = Server::memory().await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let mut statuses = source.subscribe().await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let mut manifest = config_map("a");
    manifest["data"] = json!({"k": "what-nobody-may-read"});
    let data = bundle(&[manifest]);
    let ids: Vec<String> = (0..150).map(|number| format!("r{number}")).collect();
    for id in &ids {
        source.create(id, "c1", &data).await.unwrap();
    }
    let received = specs.collect(ids.len()).await;
    for (id, spec) in &received {
        agent.applied(spec).await.unwrap();
        agent.applied(spec).await.unwrap();
        source.create(id, "c1", &data).await.unwrap_err();
        source.update(id, "c1", 7, &bundle(&[])).await.unwrap_err();
        source.delete(id, "c1").await.unwrap();
        server.bundle("nothing").await;
    }
    for spec in received.values() {
        agent.deleted(spec).await.unwrap();
        agent.deleted(spec).await.unwrap();
    }
    for _ in 0..ids.len() {
        statuses
            .until(|event| event.condition("Deleted").is_some())
            .await;
    }
    let lines = lines.all();
    assert!(lines.len() < 15, "{} lines: {lines:#?}", lines.len());
    assert!(
        !lines.concat().contains("what-nobody-may-read"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn lines_about_an_operation_carry_its_trace() {
    let lines = Lines::new(Level::DEBUG);
    // With only one subscriber, an event that another test's thread reaches first is switched off for all.
    let _second = tracing::Dispatch::new(Lines::new(Level::DEBUG));
    let _collecting = tracing::subscriber::set_default(lines.clone());
    let server = Server::memory().await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    source.delete("r1", "c1").await.unwrap();
    agent.deleted(&spec).await.unwrap();
    // The resource is gone: this status is left out, and the log says so.
    let mut status = agent.status(&spec, &condition("Applied", "True", 1));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    status.set(name::TRACE_PARENT, parent);
    agent.publish(status).await.unwrap();
    let lines = lines.all();
    let about: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("left out"))
        .collect();
    assert!(
        about
            .iter()
            .any(|line| line.contains("trace_id=\"0af7651916cd43dd8448eb211c80319c\"")),
        "{lines:#?}"
    );
}
