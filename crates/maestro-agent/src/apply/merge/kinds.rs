//! What is reconciled after creation, kind by kind. Everything that isn't listed is replaced as a whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_access::{Gvk, object};
use manifestwork::constants::SPEC_HASH_ANNOTATION;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Compare, agrees};

/// What becomes of everything but `metadata`.
pub(super) enum Content {
    /// It is as required.
    Same,
    /// The whole object with the required content; its metadata is of no interest.
    Replace(Value),
    /// It must be made anew.
    Recreate,
}

pub(super) fn content(required: &Value, live: &Value, compare: Compare) -> Result<Content, String> {
    let Some(gvk) = object::gvk(required) else {
        return Ok(generic(required, live, compare));
    };
    Ok(match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace" | "Pod" | "ServiceAccount") => Content::Same,
        ("", "ConfigMap") => config_map(required, live),
        ("", "Secret") => return secret(required, live),
        ("", "Service") => service(required, live),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            if required
                .get("aggregationRule")
                .is_some_and(Value::is_object)
            {
                fields(required, live, &["aggregationRule"])
            } else {
                fields(required, live, &["rules"])
            }
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            binding(required, live, &gvk)
        }
        _ => generic(required, live, compare),
    })
}

/// A full replacement when anything outside of `metadata` and `status` differs. The status stays the live one.
fn generic(required: &Value, live: &Value, compare: Compare) -> Content {
    if agrees(&without_meta(required), &without_meta(live), compare) {
        return Content::Same;
    }
    let mut object = required.clone();
    if let Some(fields) = object.as_object_mut() {
        match live.get("status") {
            Some(status) => fields.insert("status".into(), status.clone()),
            None => fields.remove("status"),
        };
    }
    Content::Replace(object)
}

fn without_meta(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    object
}

/// Replaces single top-level fields of the live object.
fn fields(required: &Value, live: &Value, names: &[&str]) -> Content {
    let differs = |name: &&str| !same_or_empty(required.get(*name), live.get(*name));
    if !names.iter().any(differs) {
        return Content::Same;
    }
    let mut object = live.clone();
    if let Some(all) = object.as_object_mut() {
        for name in names {
            match required.get(*name) {
                Some(value) => all.insert((*name).to_owned(), value.clone()),
                None => all.remove(*name),
            };
        }
    }
    Content::Replace(object)
}

/// Absent, null, `{}` and `[]` are the same nothing.
fn same_or_empty(left: Option<&Value>, right: Option<&Value>) -> bool {
    let empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    left == right || (empty(left) && empty(right))
}

/// `data` and `binaryData` as a whole, except for keys that OpenShift injects into config maps that ask for it.
fn config_map(required: &Value, live: &Value) -> Content {
    let mut wanted = required.clone();
    let trusted = object::label(required, "config.openshift.io/inject-trusted-cabundle");
    let serving = object::annotation(required, "service.beta.openshift.io/inject-cabundle");
    for (asked, key) in [(trusted, "ca-bundle.crt"), (serving, "service-ca.crt")] {
        if asked == Some("true")
            && let Some(injected) = live.get("data").and_then(|data| data.get(key))
        {
            let data = wanted
                .as_object_mut()
                .map(|fields| fields.entry("data").or_insert_with(|| json!({})));
            if let Some(Value::Object(data)) = data {
                data.insert(key.to_owned(), injected.clone());
            }
        }
    }
    fields(&wanted, live, &["data", "binaryData"])
}

fn secret(required: &Value, live: &Value) -> Result<Content, String> {
    let mut wanted = required.clone();
    let Some(all) = wanted.as_object_mut() else {
        return Ok(Content::Same);
    };
    fold_string_data(all)?;
    all.entry("type").or_insert_with(|| json!("Opaque"));
    let kind = all.get("type").cloned();
    if live.get("type") != kind.as_ref() {
        return Ok(Content::Recreate);
    }
    if kind.as_ref().and_then(Value::as_str) == Some("kubernetes.io/service-account-token")
        && let Some(Value::Object(have)) = live.get("data")
    {
        // The token controller adds keys of its own.
        let data = all.entry("data").or_insert_with(|| json!({}));
        if let Value::Object(data) = data {
            for (key, value) in have {
                data.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Ok(fields(&wanted, live, &["data"]))
}

fn fold_string_data(secret: &mut Map<String, Value>) -> Result<(), String> {
    let Some(Value::Object(texts)) = secret.remove("stringData") else {
        return Ok(());
    };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    let Value::Object(data) = data else {
        return Err("Secret.data is not an object".to_owned());
    };
    for (key, text) in texts {
        if data.contains_key(&key) {
            return Err(format!(
                "Secret.stringData[{key}] conflicts with Secret.data[{key}]"
            ));
        }
        data.insert(
            key,
            json!(STANDARD.encode(text.as_str().unwrap_or_default())),
        );
    }
    Ok(())
}

/// The spec is replaced when its hash, its selector or its type changed; what the server allots is kept.
fn service(required: &Value, live: &Value) -> Content {
    let spec = required.get("spec").cloned().unwrap_or_default();
    let hash = manifestwork::ids::hex(&Sha256::digest(go_compat::json::to_string_sorted(&spec)));
    let same_part = |key: &str| {
        let (wanted, have) = (spec.get(key), live.get("spec").and_then(|s| s.get(key)));
        same_or_empty(wanted, have)
            || (key == "type" && wanted.is_none() && have == Some(&json!("ClusterIP")))
    };
    let known = object::annotation(live, SPEC_HASH_ANNOTATION);
    let unchanged = known == Some(hash.as_str())
        || (known.is_none() && super::covers(live.get("spec").unwrap_or(&Value::Null), &spec));
    if unchanged && same_part("selector") && same_part("type") {
        return Content::Same;
    }
    let mut object = live.clone();
    let mut spec = spec;
    if let (Some(wanted), Some(Value::Object(have))) = (spec.as_object_mut(), live.get("spec")) {
        for key in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "healthCheckNodePort",
        ] {
            if let Some(value) = have.get(key) {
                wanted.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.insert("spec".into(), spec);
    }
    Content::Replace(object)
}

/// The server fills in `apiGroup`s and namespaces; they are no difference.
fn binding(required: &Value, live: &Value, gvk: &Gvk) -> Content {
    let mut wanted = required.clone();
    if let Some(role) = wanted.get_mut("roleRef").and_then(Value::as_object_mut) {
        role.entry("apiGroup").or_insert_with(|| json!(gvk.group));
    }
    if let Some(subjects) = wanted.get_mut("subjects").and_then(Value::as_array_mut) {
        for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
            if matches!(
                subject.get("kind").and_then(Value::as_str),
                Some("User" | "Group")
            ) {
                subject
                    .entry("apiGroup")
                    .or_insert_with(|| json!(gvk.group));
            }
        }
    }
    fields(&wanted, live, &["subjects", "roleRef"])
}
