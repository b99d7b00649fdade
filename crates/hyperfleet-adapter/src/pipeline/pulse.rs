//! The pulse that a ManifestWork was written for, noted on the work itself: an adapter that was restarted can tell from
//! it which resource a change of the work belongs to. `docs/protocol/adapter-pipeline.md`, "Re-runs".

use event_broker::Event;
use serde_json::{Value, json};

use crate::trace;

/// Annotation with the pulse: `{"type","source","data","traceparent"}` as compact JSON.
pub(crate) const ANNOTATION: &str = "hyperfleet.io/pulse";
/// A pulse that takes more bytes isn't noted: annotations travel with every copy of the work.
const MAX_BYTES: usize = 4096;

/// What to write on objects that are written for this pulse.
pub(super) fn note(event: &Event) -> Option<String> {
    let mut note = json!({"type": event.event_type, "source": event.source, "data": event.data});
    if let (Some(trace), Value::Object(note)) = (trace::of(event), &mut note) {
        note.insert(trace::PARENT.to_owned(), trace.parent().into());
    }
    Some(note.to_string()).filter(|note| note.len() <= MAX_BYTES)
}

/// The same work with the note on it.
pub(super) fn noted(work: &Value, note: &str) -> Value {
    let mut work = work.clone();
    if let Some(metadata) = work.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| json!({}))
            .as_object_mut();
        if let Some(annotations) = annotations {
            annotations.insert(ANNOTATION.to_owned(), Value::from(note));
        }
    }
    work
}

/// The pulse of a note, as an event of its own; `None` if it is none.
pub(crate) fn read(note: &str) -> Option<Event> {
    if note.len() > MAX_BYTES {
        return None;
    }
    let mut note: Value = serde_json::from_str(note).ok()?;
    let data = note.get_mut("data")?.take();
    let text = |key: &str| note[key].as_str().filter(|text| !text.is_empty());
    if !data.is_object() {
        return None;
    }
    let mut event = Event::new(text("source")?, text("type")?, data);
    if let Some(parent) = text(trace::PARENT) {
        event
            .extensions
            .insert(trace::PARENT.to_owned(), parent.into());
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_as_the_pulse_it_was() {
        let data = json!({"id": "c1", "kind": "Cluster", "generation": 3});
        let event = Event::new("sentinel", "com.example.reconcile", data.clone());
        let work = noted(
            &json!({"metadata": {"name": "w", "annotations": {"a": "b"}}}),
            &note(&event).unwrap(),
        );
        assert_eq!(work["metadata"]["annotations"]["a"], "b");
        let text = work["metadata"]["annotations"][ANNOTATION]
            .as_str()
            .unwrap();
        let read = read(text).unwrap();
        assert_eq!(
            (read.source.as_str(), read.event_type.as_str(), read.data),
            ("sentinel", "com.example.reconcile", Some(data))
        );
    }

    #[test]
    fn what_is_no_note_is_left_alone() {
        for text in ["", "x", "[]", "{}", r#"{"type":"t","source":"s","data":1}"#] {
            assert!(read(text).is_none(), "{text}");
        }
        let long = Event::new("s", "t", json!({"id": "x".repeat(MAX_BYTES)}));
        assert_eq!(note(&long), None);
    }
}
        assert_eq!(read.extension(trace::PARENT), Some(parent));
