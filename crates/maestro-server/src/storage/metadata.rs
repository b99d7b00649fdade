//! The `metadata` of stored specs on its way out: times of the row are written over whatever the source sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};

/// The metadata with the row's times, to the second. Text that isn't a JSON object counts as an empty one.
#[must_use]
pub fn with_times(metadata: &str, created_at: Timestamp, deleted_at: Option<Timestamp>) -> String {
    let mut object: BTreeMap<Cow<'_, str>, Cow<'_, RawValue>> = BTreeMap::new();
    let parsed: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(metadata);
    for (name, value) in parsed.unwrap_or_default() {
        object.insert(name.into(), Cow::Borrowed(value));
    }
    object.remove("deletionTimestamp");
    let times = [
        ("creationTimestamp", Some(created_at)),
        ("deletionTimestamp", deleted_at),
    ];
    for (name, time) in times {
        let text = time.map(go_compat::time::rfc3339_seconds);
        if let Some(Ok(raw)) = text.as_ref().map(to_raw_value) {
            object.insert(name.into(), Cow::Owned(raw));
        }
    }
    serde_json::to_string(&object).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_row() {
        let created = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let deleted = "2026-01-01T01:00:00Z".parse().unwrap();
        let sent =
            r#"{"name":"w","creationTimestamp":null,"deletionTimestamp":"2020-01-01T00:00:00Z"}"#;
        assert_eq!(
            with_times(sent, created, None),
            r#"{"creationTimestamp":"2026-01-01T00:00:00Z","name":"w"}"#
        );
        assert_eq!(
            with_times("", created, Some(deleted)),
            r#"{"creationTimestamp":"2026-01-01T00:00:00Z","deletionTimestamp":"2026-01-01T01:00:00Z"}"#
        );
    }
}
