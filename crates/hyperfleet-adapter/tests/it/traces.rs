//! One trace from the pulse over everything that is done for it to the report.

use std::path::PathBuf;
use std::sync::LazyLock;

use event_broker::{Broker as _, Event};
use maestro_client::TraceContext;
use serde_json::{Value, json};
use service_runtime::logs;

use crate::world::{WORK_TASK, World, status};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The log of this process: a subscriber is for good.
static LOG: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = tempfile::tempdir().unwrap().keep().join("log");
    logs::init(logs::Options {
        output: logs::Output::File(path.clone()),
        ..logs::Options::default()
    })
    .unwrap();
    path
});

/// Lines about an event.
fn lines(event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(&*LOG).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event_id"] == event)
        .collect()
}

impl World {
    /// The spans that the API was asked in so far.
    fn spans_at_the_api(&self) -> Vec<TraceContext> {
        let data = self.api.data();
        let parents = data.calls.iter().map(|call| {
            let header = |name| Some(call.headers.get(name)?.to_str().unwrap());
            TraceContext::parse(header("traceparent").unwrap(), header("tracestate")).unwrap()
        });
        parents.collect()
    }
}

#[tokio::test]
async fn a_pulse_is_followed_to_the_api_to_maestro_and_back() {
    LazyLock::force(&LOG);
    let world = World::new().await;
    let adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    let data = json!({"id": "c1", "kind": "Cluster", "generation": 1});
    let mut pulse = Event::new("hyperfleet-sentinel", "t", data);
    for (name, value) in [("traceparent", PARENT), ("tracestate", "vendor=x")] {
        pulse.extensions.insert(name.into(), value.into());
    }
    world.broker.publish("clusters", &pulse).await.unwrap();
    world.reported("c1", "a first report", |_| true).await;
    world.settled().await;

    let trace = TraceContext::parse(PARENT, None).unwrap();
    let first = world.spans_at_the_api();
    let run = first[0].clone();
    assert_eq!(run.trace_id(), trace.trace_id());
    assert_eq!(run.state(), Some("vendor=x"));
    assert_ne!(
        run.span_id(),
        trace.span_id(),
        "the run is a span of its own"
    );
    assert!(first.iter().all(|span| *span == run), "{first:?}");
    let published = world.maestro.data().published[0].clone();
    assert_eq!(TraceContext::of(&published), Some(run.clone()));
    let read = world.maestro.data().traces.clone();
    assert!(
        !read.is_empty() && read.iter().all(|parent| parent == run.parent()),
        "{read:?}"
    );
    // What the agent says about the work leads to another run in the same trace.
    let available = json!({"conditions": [{"type": "Available", "status": "True"}]});
    world.maestro.report("hostedcluster-c1", available);
    let is_available = |report: &Value| status(report, "Available") == "True";
    world.reported("c1", "available", is_available).await;
    let last = world.spans_at_the_api().pop().unwrap();
    assert_eq!(last.trace_id(), trace.trace_id());
    assert_ne!(last.span_id(), run.span_id());
    adapter.stop().await.unwrap();

    let lines = lines(&pulse.id);
    let of_run = |span: &TraceContext| -> Vec<&Value> {
        let of_span = |line: &&Value| line["span_id"] == span.span_id();
        lines.iter().filter(of_span).collect()
    };
    for (span, rerun) in [(&run, false), (&last, true)] {
        let lines = of_run(span);
        for message in ["Processing event", "Event execution finished"] {
            let found = lines.iter().find(|line| {
                let text = line["message"].as_str().unwrap();
                text.starts_with(message)
            });
            let line = found.unwrap_or_else(|| panic!("no {message:?} among {lines:#?}"));
            assert_eq!(line["trace_id"], trace.trace_id());
            assert_eq!(line["rerun"], rerun);
        }
    }
}

#[tokio::test]
async fn a_trace_survives_the_adapter_and_a_pulse_without_one_begins_one() {
    let world = World::new().await;
    let adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    adapter.stop().await.unwrap();
    let before = world.spans_at_the_api();
    let trace = before[0].trace_id();
    assert!(before.iter().all(|span| span.trace_id() == trace));

    let _adapter = world.start(WORK_TASK).await;
    let available = json!({"conditions": [{"type": "Available", "status": "True"}]});
    world.maestro.report("hostedcluster-c1", available);
    let is_available = |report: &Value| status(report, "Available") == "True";
    world.reported("c1", "available", is_available).await;
    let after = world.spans_at_the_api().pop().unwrap();
    assert_eq!(after.trace_id(), trace);
    assert_ne!(after.span_id(), before[0].span_id());
}
