//! The pulse that an object was written for, noted on the object itself: an adapter that was restarted can tell from
//! it which resource a change of the object belongs to, and which trace. `docs/protocol/adapter-pipeline.md`, "Re-runs".

use event_broker::Event;
use serde_json::{Value, json};

use crate::trace;

/// Annotation with the pulse: `{"type","source","data","traceparent"}` as compact JSON.
pub(crate) const ANNOTATION: &str = "hyperfleet.io/pulse";
/// Label of objects on Kubernetes that have the annotation; its value is the adapter's name.
pub(crate) const LABEL: &str = "hyperfleet.io/pulse-of";
/// A pulse that takes more bytes isn't noted: annotations travel with every copy of the object.
const MAX_BYTES: usize = 4096;
/// The longest value that a label may have.
const MAX_LABEL: usize = 63;

/// What to write on objects that are written for this pulse.
pub(super) fn note(event: &Event) -> Option<String> {
    let mut note = json!({"type": event.event_type, "source": event.source, "data": event.data});
    if let (Some(trace), Value::Object(note)) = (trace::of(event), &mut note) {
        note.insert(trace::PARENT.to_owned(), trace.parent().into());
    }
    Some(note.to_string()).filter(|note| note.len() <= MAX_BYTES)
}

/// The same object with the note on it, and with the label if it is to be found by that.
pub(super) fn noted(object: &Value, note: &str, adapter: Option<&str>) -> Value {
    let mut object = object.clone();
    let mut put = |map: &str, key: &str, value: &str| {
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let map = metadata.map(|metadata| metadata.entry(map).or_insert(Value::Null));
        let Some(map) = map else { return };
        if map.is_null() {
            *map = json!({});
        }
        if let Value::Object(map) = map {
            map.insert(key.to_owned(), value.into());
        }
    };
    put("annotations", ANNOTATION, note);
    if let Some(adapter) = adapter.filter(|name| is_label_value(name)) {
        put("labels", LABEL, adapter);
    }
    object
}

/// Finds the objects of an adapter; `None` if its name can't be the value of a label.
pub(crate) fn selector(adapter: &str) -> Option<String> {
    is_label_value(adapter).then(|| format!("{LABEL}={adapter}"))
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= MAX_LABEL
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(inner)
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
        let mut event = Event::new("sentinel", "com.example.reconcile", data.clone());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        event.extensions.insert(trace::PARENT.into(), parent.into());
        let bare = json!({"metadata": {"name": "w", "annotations": {"a": "b"}, "labels": null}});
        let work = noted(&bare, &note(&event).unwrap(), None);
        assert_eq!(work["metadata"]["labels"], Value::Null);
        assert_eq!(work["metadata"]["annotations"]["a"], "b");
        let text = work["metadata"]["annotations"][ANNOTATION]
            .as_str()
            .unwrap();
        let read = read(text).unwrap();
        assert_eq!(read.extension(trace::PARENT), Some(parent));
        assert_eq!(
            (read.source.as_str(), read.event_type.as_str(), read.data),
            ("sentinel", "com.example.reconcile", Some(data))
        );
    }

    #[test]
    fn an_adapter_whose_name_can_be_a_label_finds_its_objects_by_it() {
        let bare = json!({"metadata": {"name": "w", "labels": null}});
        let labels = |name: &str| noted(&bare, "{}", Some(name))["metadata"]["labels"].clone();
        for good in ["dns", "a.b_c-1", &"x".repeat(63)] {
            assert_eq!(labels(good), json!({LABEL: good}));
            assert_eq!(selector(good), Some(format!("{LABEL}={good}")));
        }
        for bad in ["", "-a", "a-", "a b", "ä", "a,b=c", &"x".repeat(64)] {
            assert_eq!((labels(bad), selector(bad)), (Value::Null, None), "{bad}");
        }
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
