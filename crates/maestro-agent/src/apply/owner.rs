//! Owner references: how an applied object knows which record it belongs to.

use kube_access::object;
use manifestwork::constants::{API_VERSION, APPLIED_KIND, GROUP};
use serde_json::{Value, json};

/// The record that owns, or no longer owns, an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the record.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}

// === impl Owner ===

impl Owner {
    /// The reference as it stands in the object.
    pub fn reference(&self) -> Value {
        json!({"apiVersion": API_VERSION, "kind": APPLIED_KIND, "name": self.name, "uid": self.uid})
    }

    /// Whether the object names this record.
    pub fn owns(&self, live: &Value) -> bool {
        object::owner_references(live)
            .iter()
            .any(|reference| reference["uid"] == self.uid.as_str())
    }

    /// The list of references with this one added or replaced; `None` if it stands there already.
    pub fn added_to(&self, live: &Value) -> Option<Vec<Value>> {
        let mut references = object::owner_references(live).to_vec();
        match references.iter_mut().find(|have| self.is_same(have)) {
            Some(have) if have["uid"] == self.uid.as_str() => return None,
            Some(have) => *have = self.reference(),
            None => references.push(self.reference()),
        }
        Some(references)
    }

    /// The list of references without this one; `None` if it doesn't stand there.
    pub fn removed_from(&self, live: &Value) -> Option<Vec<Value>> {
        let mut references = object::owner_references(live).to_vec();
        let before = references.len();
        references.retain(|have| have["uid"] != self.uid.as_str());
        (references.len() != before).then_some(references)
    }

    /// References are the same if name, kind and API group agree.
    fn is_same(&self, reference: &Value) -> bool {
        reference["name"] == self.name.as_str() && is_record(reference)
    }

    /// Whether another record owns the object too.
    pub fn shares(&self, live: &Value) -> bool {
        object::owner_references(live)
            .iter()
            .any(|reference| is_record(reference) && reference["uid"] != self.uid.as_str())
    }
}

/// The merge patch that replaces the list; it holds for this life and version of the object only.
pub fn patch(live: &Value, references: &[Value]) -> Value {
    json!({"metadata": {
        "uid": object::uid(live),
        "resourceVersion": object::resource_version(live),
        "ownerReferences": references,
    }})
}

fn is_record(reference: &Value) -> bool {
    let group = reference["apiVersion"]
        .as_str()
        .and_then(|text| text.split_once('/'))
        .map(|(group, _)| group);
    group == Some(GROUP) && reference["kind"] == APPLIED_KIND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            name: "hash-w".into(),
            uid: "u1".into(),
        }
    }

    fn object_with(references: Value) -> Value {
        json!({"metadata": {"uid": "o", "resourceVersion": "7", "ownerReferences": references}})
    }

    #[test]
    fn added_once_and_replaced_when_the_record_was_made_anew() {
        let bare = json!({"metadata": {}});
        let added = owner().added_to(&bare).unwrap();
        assert_eq!(added, [owner().reference()]);
        assert_eq!(owner().added_to(&object_with(json!(added))), None);
        let mut old = owner();
        old.uid = "u0".into();
        let live = object_with(
            json!([old.reference(), {"kind": "Other", "apiVersion": "v1", "name": "x", "uid": "f"}]),
        );
        let replaced = owner().added_to(&live).unwrap();
        assert_eq!(replaced.len(), 2);
        assert_eq!(replaced[0]["uid"], "u1");
        assert_eq!(replaced[1]["uid"], "f");
    }

    #[test]
    fn removed_only_if_it_is_there() {
        let other =
            json!({"kind": APPLIED_KIND, "apiVersion": API_VERSION, "name": "other", "uid": "u2"});
        let live = object_with(json!([owner().reference(), other]));
        assert!(owner().shares(&live));
        assert_eq!(
            owner().removed_from(&live).unwrap(),
            std::slice::from_ref(&other)
        );
        assert_eq!(owner().removed_from(&object_with(json!([other]))), None);
        let foreign = object_with(
            json!([owner().reference(), {"kind": "Deployment", "apiVersion": "apps/v1", "name": "d", "uid": "u3"}]),
        );
        assert!(!owner().shares(&foreign));
    }
}
