//! Rules for `metadata` that hold for every kind.

use serde_json::Value;

use crate::failure::Cause;
use crate::resource::Resource;

/// Largest total size of annotations, bytes.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// Characters of generated name endings: no vowels, so that no words come out.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// `base` and five random characters.
pub fn generate_name(base: &str) -> String {
    let random = uuid::Uuid::new_v4();
    let suffix: String = random
        .as_bytes()
        .iter()
        .take(5)
        .map(|byte| char::from(SUFFIX_ALPHABET[usize::from(*byte) % SUFFIX_ALPHABET.len()]))
        .collect();
    let keep = base
        .char_indices()
        .map(|(index, c)| index + c.len_utf8())
        .take_while(|end| *end <= 58)
        .last();
    format!("{}{suffix}", &base[..keep.unwrap_or(0)])
}

/// What is wrong with the metadata of an object.
pub fn validate(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    if let Some(name) = metadata.get("name").and_then(Value::as_str)
        && let Some(detail) = bad_name(resource, name)
    {
        causes.push(Cause::invalid("metadata.name", &name.into(), detail));
    }
    validate_labels(metadata, &mut causes);
    validate_annotations(metadata, &mut causes);
    validate_owners(metadata, &mut causes);
    match metadata.get("finalizers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(finalizers)) => {
            for (index, finalizer) in finalizers.iter().enumerate() {
                let name = finalizer.as_str().unwrap_or_default();
                if !is_qualified_name(name) {
                    causes.push(Cause::invalid(
                        format!("metadata.finalizers[{index}]"),
                        finalizer,
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                    ));
                }
            }
        }
        Some(other) => causes.push(Cause::invalid(
            "metadata.finalizers",
            other,
            "must be a list of strings",
        )),
    }
    causes
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Why a name can't be used, if so.
fn bad_name(resource: &Resource, name: &str) -> Option<&'static str> {
    if &*resource.group == "rbac.authorization.k8s.io" {
        let bad = name == "." || name == ".." || name.contains(['/', '%']);
        return bad.then_some("may not be '.', '..' or contain '/' or '%'");
    }
    match resource.kind.as_str() {
        "Namespace" | "Service" => (!is_dns_label(name) || name.len() > 63).then_some(LABEL),
        _ => (!is_dns_subdomain(name)).then_some(SUBDOMAIN),
    }
}

fn is_dns_label(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_name_part(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name_part(name),
        None => is_name_part(text),
    }
}

fn validate_labels(metadata: &Value, causes: &mut Vec<Cause>) {
    match metadata.get("labels") {
        None | Some(Value::Null) => {}
        Some(Value::Object(labels)) => {
            for (key, value) in labels {
                if !is_qualified_name(key) {
                    causes.push(Cause::invalid(
                        "metadata.labels",
                        &key.as_str().into(),
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                    ));
                }
                if !value
                    .as_str()
                    .is_some_and(|text| text.is_empty() || is_name_part(text))
                {
                    causes.push(Cause::invalid(
                        "metadata.labels",
                        value,
                        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                    ));
                }
            }
        }
        Some(other) => causes.push(Cause::invalid(
            "metadata.labels",
            other,
            "must be an object of strings",
        )),
    }
}

fn validate_annotations(metadata: &Value, causes: &mut Vec<Cause>) {
    match metadata.get("annotations") {
        None | Some(Value::Null) => {}
        Some(Value::Object(annotations)) => {
            let mut size = 0;
            for (key, value) in annotations {
                if !is_qualified_name(&key.to_lowercase()) {
                    causes.push(Cause::invalid(
                        "metadata.annotations",
                        &key.as_str().into(),
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                    ));
                }
                match value.as_str() {
                    Some(text) => size += key.len() + text.len(),
                    None => causes.push(Cause::invalid(
                        format!("metadata.annotations[{key}]"),
                        value,
                        "must be a string",
                    )),
                }
            }
            if size > MAX_ANNOTATION_BYTES {
                causes.push(Cause::new(
                    "metadata.annotations",
                    "FieldValueTooLong",
                    format!("Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"),
                ));
            }
        }
        Some(other) => causes.push(Cause::invalid(
            "metadata.annotations",
            other,
            "must be an object of strings",
        )),
    }
}

fn validate_owners(metadata: &Value, causes: &mut Vec<Cause>) {
    let owners = match metadata.get("ownerReferences") {
        None | Some(Value::Null) => return,
        Some(Value::Array(owners)) => owners,
        Some(other) => {
            causes.push(Cause::invalid(
                "metadata.ownerReferences",
                other,
                "must be a list",
            ));
            return;
        }
    };
    let mut controllers = 0;
    for (index, owner) in owners.iter().enumerate() {
        for name in ["apiVersion", "kind", "name", "uid"] {
            if owner
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
            {
                let path = format!("metadata.ownerReferences[{index}].{name}");
                causes.push(Cause::invalid(path, &"".into(), "must not be empty"));
            }
        }
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            &Value::from(controllers),
            "Only one reference can have Controller set to true",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit() {
        let name = generate_name(&"x".repeat(100));
        assert_eq!(name.len(), 63);
        assert!(generate_name("job-").starts_with("job-"));
        assert!(is_dns_subdomain(&generate_name("job-")));
    }

    #[test]
    fn qualified_names() {
        for good in [
            "a",
            "app.kubernetes.io/name",
            "hypershift.openshift.io/finalizer",
            "foregroundDeletion",
        ] {
            assert!(is_qualified_name(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a_", "UPPER.io/x"] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }
}
