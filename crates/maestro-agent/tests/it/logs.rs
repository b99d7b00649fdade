//! What an agent logs at info: what happened to a work, once, and never what is in it.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use serde_json::json;
use testkit::eventually;

use crate::world::{PATIENCE, World, config_map, thing, work};

/// Works that are applied, changed and removed.
const WORKS: usize = 20;
/// What objects hold.
const SECRET: &str = "what-nobody-may-read";

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One thread, so that everything that this test's agent logs is seen, and nothing of another test's.
#[tokio::test(flavor = "current_thread")]
async fn f61_a_work_is_a_few_lines_whatever_is_tried() {
    // With only one subscriber, an event that another test's thread reaches first is switched off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("info")
        .with_writer(move || writer.clone())
        .finish();
    let _collecting = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let agent = world.agent().await;
    let id = |number: usize| format!("w{number}");
    for version in 1..=2 {
        for number in 0..WORKS {
            let data = json!({"k": SECRET, "version": version.to_string()});
            let manifest = config_map(&format!("cm-{number}"), data);
            world.broker.put(&work(&id(number), &[manifest]));
        }
        for number in 0..WORKS {
            world.applied(&id(number), version).await;
        }
    }
    // One work fails again and again, with other words each time.
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    world.cluster.fail(move |call| {
        if !call.is_write() || !call.path.contains("things") {
            return None;
        }
        let text = format!("request {}", count.fetch_add(1, Ordering::SeqCst));
        let status = json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "InternalError", "message": text});
        Some((StatusCode::INTERNAL_SERVER_ERROR, status))
    });
    let failing = work("failing", &[thing("t", json!({"k": SECRET}))]);
    world.broker.put(&failing);
    eventually("it was tried five times", PATIENCE, async || {
        (tries.load(Ordering::SeqCst) >= 5).then_some(())
    })
    .await;
    for number in 0..WORKS {
        world.broker.delete(&id(number));
    }
    for number in 0..WORKS {
        world.deleted(&id(number)).await;
    }
    agent.stop().await;
    let lines = log.lines();
    let said = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(said("A manifest could not be applied"), 1, "{lines:#?}");
    assert_eq!(said("A work was applied"), 2 * WORKS, "{lines:#?}");
    assert_eq!(said("Everything of a work is gone"), WORKS, "{lines:#?}");
    // A start, two versions, at most one wait and an end each, and a few lines about the agent itself.
    assert!(lines.len() < 4 * WORKS + 10, "{lines:#?}");
    assert_eq!(said(SECRET), 0, "{lines:#?}");
}
