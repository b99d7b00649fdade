//! What to send for a desired work. Pure.

use manifestwork::{
    DeleteOption, ManifestWork, ObjectMeta, PropagationPolicy, Spec,
    constants::{
        LOG_TRACING_PREFIX, OP_ID_ANNOTATION, RESOURCE_VERSION_ANNOTATION, SEQUENCE_ID_ANNOTATION,
    },
    ids, validate,
};
use serde_json::Value;

use crate::Error;

/// What is to be done so that the server has the desired work.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The server has it already.
    Unchanged,
    /// Send this update; its generation is the version that it replaces.
    Update(Box<ManifestWork>),
}

/// A new work as it is sent: with its id, without what only the server knows.
///
/// Finalizers and owner references are left out: agents would keep them on their copy, where nobody removes them.
///
/// # Errors
/// The consumer is missing or another than the work's namespace, or the work breaks a rule.
pub fn new_work(
    desired: &ManifestWork,
    source: &str,
    consumer: Option<&str>,
) -> Result<ManifestWork, Error> {
    let namespace = namespace(desired, consumer)?;
    let metadata = &desired.metadata;
    let work = ManifestWork {
        metadata: ObjectMeta {
            uid: ids::resource_id(source, namespace, &metadata.name).to_string(),
            name: metadata.name.clone(),
            namespace: namespace.to_owned(),
            resource_version: "0".to_owned(),
            labels: metadata.labels.clone(),
            annotations: own_annotations(metadata),
            ..ObjectMeta::default()
        },
        spec: desired.spec.clone(),
        ..ManifestWork::default()
    };
    check(&work)?;
    Ok(work)
}

/// What to send so that the existing work becomes the desired one.
///
/// A desired work that names a generation must be based on the existing one.
///
/// # Errors
/// The existing work is being deleted or has another version, or the desired one breaks a rule.
pub fn step(existing: &ManifestWork, desired: &ManifestWork) -> Result<Step, Error> {
    let base = desired.metadata.generation;
    not_deleting(existing)?;
    if base != 0 && base != existing.metadata.generation {
        return Err(Error::Conflict {
            message: format!(
                "work {:?} was read at version {base}, the latest version is {}",
                existing.metadata.name, existing.metadata.generation
            ),
            latest: Some(existing.metadata.generation),
        });
    }
    if same_content(existing, desired) {
        return Ok(Step::Unchanged);
    }
    let update = update_of(existing, desired);
    check(&update)?;
    Ok(Step::Update(Box::new(update)))
}

/// Checks an update that was made by hand.
pub(crate) fn ready(existing: &ManifestWork, update: &ManifestWork) -> Result<(), Error> {
    not_deleting(existing)?;
    check(update)
}

fn not_deleting(existing: &ManifestWork) -> Result<(), Error> {
    if existing.metadata.is_deleting() {
        return Err(Error::Deleting {
            message: format!("work {:?} is being deleted", existing.metadata.name),
        });
    }
    Ok(())
}

/// Refuses a change of what updates leave out: it would be lost without a word.
pub(crate) fn same_keepers(existing: &ManifestWork, desired: &ManifestWork) -> Result<(), Error> {
    let (before, after) = (&existing.metadata, &desired.metadata);
    let owners = |metadata: &ObjectMeta| {
        let names = metadata.owner_references.iter().map(|owner| &owner.name);
        names.cloned().collect::<Vec<_>>().join(",")
    };
    let mut fields = Vec::new();
    let mut refuse = |path: &str, value: &str| {
        let why = "can't be changed: updates leave it out, because agents would keep it on their copy, where nobody removes it";
        fields.push(validate::FieldError::invalid(path, value, why));
    };
    if before.finalizers != after.finalizers {
        refuse("metadata.finalizers", &after.finalizers.join(","));
    }
    if before.owner_references != after.owner_references {
        refuse("metadata.ownerReferences", &owners(after));
    }
    if fields.is_empty() {
        Ok(())
    } else {
        Err(invalid(&before.name, fields))
    }
}

/// The event's work for an update: identity and version of the existing work, content of the desired one.
///
/// Finalizers and owner references are left out, as in [`new_work`], also those of the existing work.
#[must_use]
pub fn update_of(existing: &ManifestWork, desired: &ManifestWork) -> ManifestWork {
    let metadata = &existing.metadata;
    ManifestWork {
        metadata: ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.generation.to_string(),
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            labels: desired.metadata.labels.clone(),
            annotations: own_annotations(&desired.metadata),
            ..ObjectMeta::default()
        },
        spec: desired.spec.clone(),
        ..ManifestWork::default()
    }
}

/// True if two works ask for the same: spec, labels, and annotations except log tracing.
#[must_use]
pub fn same_content(one: &ManifestWork, other: &ManifestWork) -> bool {
    one.spec.executor == other.spec.executor && same_but_executor(one, other)
}

/// Whether nothing but the executor of the desired work makes it another, while the existing one shows none: some servers never
/// show it.
pub(crate) fn only_executor_differs(existing: &ManifestWork, desired: &ManifestWork) -> bool {
    existing.spec.executor.is_none()
        && desired.spec.executor.is_some()
        && same_but_executor(existing, desired)
}

/// As [`same_content`], whoever the executors are.
pub(crate) fn same_but_executor(one: &ManifestWork, other: &ManifestWork) -> bool {
    let annotations = |work: &ManifestWork| {
        let mut annotations = own_annotations(&work.metadata);
        annotations.retain(|key, _| !key.starts_with(LOG_TRACING_PREFIX));
        annotations
    };
    one.metadata.labels == other.metadata.labels
        && annotations(one) == annotations(other)
        && same_spec(&one.spec, &other.spec)
}

/// Adds the operation id of a call for log tracing.
pub(crate) fn trace(work: &mut ManifestWork, operation_id: Option<&str>) {
    if let Some(id) = operation_id {
        work.metadata
            .annotations
            .insert(OP_ID_ANNOTATION.to_owned(), id.to_owned());
    }
}

/// The consumer that a work is for.
pub(crate) fn namespace<'a>(
    work: &'a ManifestWork,
    consumer: Option<&'a str>,
) -> Result<&'a str, Error> {
    let own = work.metadata.namespace.as_str();
    match consumer {
        Some(consumer) if own.is_empty() || own == consumer => Ok(consumer),
        Some(consumer) => {
            let field = validate::FieldError::invalid(
                "metadata.namespace",
                own,
                format!("does not match the namespace {consumer}"),
            );
            Err(invalid(&work.metadata.name, vec![field]))
        }
        None if own.is_empty() => Err(Error::invalid(
            "metadata.namespace: Required value: it names the consumer",
        )),
        None => Ok(own),
    }
}

fn check(work: &ManifestWork) -> Result<(), Error> {
    let fields = validate::for_source(work);
    if fields.is_empty() {
        Ok(())
    } else {
        Err(invalid(&work.metadata.name, fields))
    }
}

fn invalid(name: &str, fields: Vec<validate::FieldError>) -> Error {
    let message = format!(
        "ManifestWork.work.open-cluster-management.io {name:?} is invalid: {}",
        validate::list(&fields)
    );
    let too_large = fields.iter().any(|field| {
        field.kind == validate::FieldErrorKind::TooLong
            && field.detail.starts_with("the size of manifests")
    });
    if too_large && fields.len() == 1 {
        Error::TooLarge { message }
    } else {
        Error::Invalid { message, fields }
    }
}

/// Annotations without those that the protocol itself writes.
fn own_annotations(metadata: &ObjectMeta) -> std::collections::BTreeMap<String, String> {
    let mut annotations = metadata.annotations.clone();
    annotations.remove(SEQUENCE_ID_ANNOTATION);
    annotations.remove(RESOURCE_VERSION_ANNOTATION);
    annotations
}

/// Equality of everything but the executor.
fn same_spec(one: &Spec, other: &Spec) -> bool {
    let manifests = |spec: &Spec| {
        spec.workload
            .manifests
            .iter()
            .map(manifestwork::Manifest::to_value)
            .collect::<Vec<_>>()
    };
    one.manifest_configs == other.manifest_configs
        && delete_option(one) == delete_option(other)
        && one.workload.manifests.len() == other.workload.manifests.len()
        && (one.workload.manifests == other.workload.manifests
            || manifests(one)
                .iter()
                .zip(&manifests(other))
                .all(|(one, other)| same_json(one, other)))
}

/// An option without any choice is no option.
fn delete_option(spec: &Spec) -> Option<&DeleteOption> {
    let empty = PropagationPolicy::Other(String::new());
    spec.delete_option
        .as_ref()
        .filter(|option| **option != DeleteOption::new(empty.clone()))
}

/// Equality of JSON values where `1` is `1.0`: upstream's REST API passes numbers through floats.
fn same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| same_json(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|found| same_json(value, found)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
