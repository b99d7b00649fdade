//! What the agent logs at info: a few lines in the life of a work, none of what passes through, and no contents.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::{World, feedback, thing_work};

/// Collects the lines of this thread, where the whole agent runs.
#[derive(Clone, Default)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("maestro_agent") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.lines.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn f61_a_few_lines_per_work_and_none_per_status() {
    const WORKS: usize = 20;
    let lines = Lines::default();
    // With only one subscriber, an event that another test's thread reaches first is switched off for all.
    let _second = tracing::Dispatch::new(Lines::default());
    let _collecting = tracing::subscriber::set_default(lines.clone());
    let world = World::new().await;
    let agent = world.agent().await;
    let names: Vec<String> = (0..WORKS).map(|number| format!("t{number}")).collect();
    for name in &names {
        let spec = json!({"k": "what-nobody-may-read"});
        world.broker.put(&thing_work(name, name, spec));
    }
    for name in &names {
        world.applied(name, 1).await;
    }
    for step in 0..10 {
        for name in &names {
            let status = json!({"step": step, "k": "what-nobody-may-read"});
            world.cluster.merge_status("Thing", name, status).await;
        }
    }
    for name in &names {
        world
            .status(name, "the last step", |work| feedback(work)["step"] == 9)
            .await;
    }
    world.broker.cut();
    for name in &names {
        world.broker.delete(name);
        world.deleted(name).await;
    }
    agent.stop().await;
    let lines = lines.lines.lock().unwrap().clone();
    assert!(
        lines.iter().any(|line| line.contains("applied")),
        "nothing was collected: {lines:#?}"
    );
    assert!(
        lines.len() < 4 * WORKS + 10,
        "{} lines: {lines:#?}",
        lines.len()
    );
    assert!(
        !lines.concat().contains("what-nobody-may-read"),
        "{lines:#?}"
    );
}
