//! Which trace a call belongs to.

use event_wire::trace::TraceContext;
use event_wire::{Event, attribute::name};
use tonic::metadata::MetadataMap;
use tracing::Span;

/// The trace that the caller names in the metadata of its call.
pub(super) fn of_call(metadata: &MetadataMap) -> Option<TraceContext> {
    let text = |name: &str| metadata.get(name)?.to_str().ok();
    TraceContext::parse(text(name::TRACE_PARENT)?, text(name::TRACE_STATE))
}

/// What log lines about the event carry: its trace, which becomes that of the call if it names none.
pub(super) fn joined(event: &mut Event, call: Option<&TraceContext>) -> Span {
    if let Some(call) = call {
        call.lend_to(event);
    }
    match TraceContext::of(event) {
        // At this level it is there whenever anything at all is logged; without a trace it costs nothing.
        Some(trace) => tracing::error_span!("publish", trace_id = trace.trace_id()),
        None => Span::none(),
    }
}
