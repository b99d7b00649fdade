//! W3C trace context: which trace an event belongs to. It travels in the extensions `traceparent` and `tracestate`, from the
//! source through the server to the agent, and back with the status.
//!
//! Whatever is in these extensions is passed on; only what has the form of the standard is taken for a trace.

use crate::{Event, attribute::name};

/// Longest `tracestate`, bytes: the standard asks for at least 512.
const MAX_STATE: usize = 1024;

/// A trace and a span in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: Option<String>,
}

// === impl TraceContext ===

impl TraceContext {
    /// Reads the values of the headers `traceparent` and `tracestate`; `None` if the first isn't one.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = parent.split_once('-')?;
        let mut parts = rest.split('-');
        let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        // Later versions may say more at the end.
        let known = version != "00" || parts.next().is_none();
        let good = known
            && is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && !is_zero(trace)
            && is_hex(span, 16)
            && !is_zero(span)
            && is_hex(flags, 2);
        let printable = |text: &&str| {
            !text.is_empty()
                && text.len() <= MAX_STATE
                && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        good.then(|| Self {
            parent: parent.to_owned(),
            state: state.filter(printable).map(str::to_owned),
        })
    }

    /// A new trace with its first span. It is marked as sampled: who records traces is asked to record this one.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            parent: parent(&uuid::Uuid::new_v4().simple().to_string(), "01"),
            state: None,
        }
    }

    /// A new span of the same trace, which keeps its flags and state.
    #[must_use]
    pub fn child(&self) -> Self {
        let flags = self.parent.split('-').nth(3).unwrap_or("00");
        Self {
            parent: parent(self.trace_id(), flags),
            state: self.state.clone(),
        }
    }

    /// The trace that an event belongs to, if it says so.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let text = |name: &str| event.extensions.get(name)?.as_str().ok();
        Self::parse(text(name::TRACE_PARENT)?, text(name::TRACE_STATE))
    }

    /// The value of `traceparent`.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The value of `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.split('-').nth(1).unwrap_or_default()
    }

    /// Id of the span: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.parent.split('-').nth(2).unwrap_or_default()
    }

    /// Makes the event part of the trace, unless it says itself what it is part of.
    pub fn lend_to(&self, event: &mut Event) {
        if event.extensions.contains_key(name::TRACE_PARENT) {
            return;
        }
        event.set(name::TRACE_PARENT, self.parent.as_str());
        match &self.state {
            Some(state) => event.set(name::TRACE_STATE, state.as_str()),
            None => {
                event.extensions.remove(name::TRACE_STATE);
                event
            }
        };
    }
}

/// A `traceparent` with a fresh span. We write version 00, whatever the trace came with: later ones may have more parts, which
/// would be stale.
fn parent(trace: &str, flags: &str) -> String {
    // The digit of the UUID's version keeps the span from being zero.
    let span = uuid::Uuid::new_v4().simple().to_string();
    format!("00-{trace}-{}-{flags}", &span[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, EventType, Stamp, Subresource};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_the_standards_form_is_a_trace() {
        let trace = TraceContext::parse(PARENT, Some("vendor=x")).unwrap();
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((trace.parent(), trace.state()), (PARENT, Some("vendor=x")));
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(TraceContext::parse(later, None).is_some());
        for bad in [
            "",
            "00",
            "00-aa-bb-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-é1",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
        let large = "x".repeat(MAX_STATE + 1);
        assert_eq!(
            TraceContext::parse(PARENT, Some(&large)).unwrap().state(),
            None
        );
        assert_eq!(
            TraceContext::parse(PARENT, Some("a\nb")).unwrap().state(),
            None
        );
    }

    #[test]
    fn a_child_is_a_new_span_of_the_same_trace() {
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        let parent = TraceContext::parse(later, Some("vendor=x")).unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert_eq!(child.state(), Some("vendor=x"));
        assert!(child.parent().ends_with("-00"), "unsampled stays unsampled");
        let begun = TraceContext::begin();
        for made in [&child, &begun] {
            let read = TraceContext::parse(made.parent(), made.state());
            assert_eq!(read.as_ref(), Some(made), "what we write can be read");
        }
        assert_ne!(begun.trace_id(), TraceContext::begin().trace_id());
    }

    #[test]
    fn an_event_keeps_its_own_trace() {
        let kind = EventType::manifest_bundles(Subresource::Spec, Action::CreateRequest);
        let mut event = Event::new(kind, "s", Stamp::now());
        event.set(name::TRACE_STATE, "stray");
        let trace = TraceContext::parse(PARENT, None).unwrap();
        trace.lend_to(&mut event);
        assert_eq!(TraceContext::of(&event), Some(trace));
        let other = TraceContext::parse(&PARENT.replace("b7", "b8"), Some("x=y")).unwrap();
        other.lend_to(&mut event);
        assert_eq!(TraceContext::of(&event).unwrap().parent(), PARENT);
    }
}
