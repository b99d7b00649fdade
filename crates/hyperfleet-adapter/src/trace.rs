//! Which trace a pulse belongs to. Every run is a span of its own in the trace of its pulse; what the run asks for, at the API,
//! at Kubernetes and at Maestro, names that span. `docs/protocol/adapter-pipeline.md`, "Traces".

use event_broker::Event;
use maestro_client::TraceContext;

/// CloudEvents extension and HTTP header with the trace and the span.
pub(crate) const PARENT: &str = "traceparent";
/// CloudEvents extension and HTTP header with what vendors add.
pub(crate) const STATE: &str = "tracestate";

/// The trace of an event; `None` if it names none in the standard's form.
pub(crate) fn of(event: &Event) -> Option<TraceContext> {
    TraceContext::parse(event.extension(PARENT)?, event.extension(STATE))
}

/// The event, as part of a trace: its own, or a new one. So that all runs for a pulse, also later ones, have one trace.
pub(crate) fn joined(event: Event) -> Event {
    match of(&event) {
        Some(_) => event,
        None => within(event, &TraceContext::begin()),
    }
}

/// The event as a run for it sees it: in a new span of its trace.
pub(crate) fn of_run(event: &Event) -> (Event, TraceContext) {
    let span = of(event).map_or_else(TraceContext::begin, |trace| trace.child());
    (within(event.clone(), &span), span)
}

fn within(mut event: Event, trace: &TraceContext) -> Event {
    let mut put = |name: &str, value: Option<&str>| match value {
        Some(value) => drop(event.extensions.insert(name.to_owned(), value.into())),
        None => drop(event.extensions.remove(name)),
    };
    put(PARENT, Some(trace.parent()));
    put(STATE, trace.state());
    event
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn event(parent: Value) -> Event {
        let mut event = Event::new("s", "t", json!({}));
        event.extensions.insert(PARENT.into(), parent);
        event.extensions.insert(STATE.into(), "vendor=x".into());
        event
    }

    #[test]
    fn a_run_is_a_span_of_the_trace_that_the_pulse_came_with() {
        let pulse = joined(event(TRACEPARENT.into()));
        assert_eq!(pulse.extension(PARENT), Some(TRACEPARENT));
        let (first, span) = of_run(&pulse);
        let (second, _) = of_run(&pulse);
        assert_eq!(of(&first), Some(span.clone()));
        assert_eq!(span.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.state(), Some("vendor=x"));
        assert!(span.parent().ends_with("-00"), "unsampled stays unsampled");
        assert_ne!(first.extension(PARENT), pulse.extension(PARENT));
        assert_ne!(first.extension(PARENT), second.extension(PARENT));
    }

    #[test]
    fn what_is_no_trace_is_replaced_by_a_new_one() {
        for parent in [json!(""), json!("00-aa-bb-01"), json!(5), Value::Null] {
            let pulse = joined(event(parent.clone()));
            let trace = of(&pulse).unwrap_or_else(|| panic!("{parent}"));
            assert_eq!(trace.state(), None, "it belonged to no trace");
            assert_eq!(of_run(&pulse).1.trace_id(), trace.trace_id());
        }
    }
}
