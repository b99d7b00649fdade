//! What a source and the server refuse. Errors read like those of the Kubernetes API: path, kind of error, value, why.

pub mod names;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::Deserialize;

use crate::{
    manifest::Manifest,
    serde_util::null_default,
    spec::{ConditionRuleType, FeedbackRuleType, ManifestConfig, UpdateStrategyType},
    work::ManifestWork,
};

/// Most bytes that the manifests of one work may take, counted by [`manifests_size`].
pub const MAX_MANIFESTS_SIZE: usize = 512_000;

/// Most levels of objects and arrays in one manifest; a parser further down would refuse more.
pub const MAX_DEPTH: usize = 100;

/// Most bytes of all annotations of one object, keys and values together.
pub const MAX_ANNOTATIONS_SIZE: usize = 256 * 1024;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path such as `metadata.name` or `spec.workload.manifests[2].kind`.
    pub path: String,
    /// Kind of error.
    pub kind: FieldErrorKind,
    /// The value that was refused, as JSON text; empty if there is none.
    pub value: String,
    /// Why.
    pub detail: String,
}

/// Kind of a field error, as Kubernetes names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// The field must be there.
    Required,
    /// The value has a wrong form.
    Invalid,
    /// The field may not be there.
    Forbidden,
    /// The value is not one of the allowed ones.
    NotSupported,
    /// The value may occur only once.
    Duplicate,
    /// There is too much of it.
    TooLong,
}

/// Why the server refuses a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The first bad manifest: its index and everything that is wrong with it.
    #[error("{}", list(errors))]
    Manifest {
        /// Index of the manifest.
        index: usize,
        /// What is wrong.
        errors: Vec<FieldError>,
    },
    /// The same object twice.
    #[error(
        "duplicate manifest for resource {namespace}/{name} with resource type {api_version}.{kind}"
    )]
    Duplicate {
        /// API version of the object.
        api_version: String,
        /// Kind of the object.
        kind: String,
        /// Namespace of the object, may be empty.
        namespace: String,
        /// Name of the object.
        name: String,
    },
    /// The manifests take too many bytes.
    #[error("the size of manifests is {size} bytes which exceeds the {MAX_MANIFESTS_SIZE} limit")]
    TooLarge {
        /// What they take.
        size: usize,
    },
    /// There are no manifests; refused by sources and agents, not by the server.
    #[error("Workload manifests should not be empty")]
    Empty,
}

// === impl FieldError ===

impl FieldError {
    /// The field must be there.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Required,
            value: String::new(),
            detail: detail.into(),
        }
    }

    /// The value has a wrong form.
    pub fn invalid(path: impl Into<String>, value: &str, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Invalid,
            value: quote(value),
            detail: detail.into(),
        }
    }

    /// The field may not be there.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::Forbidden,
            value: String::new(),
            detail: detail.into(),
        }
    }

    /// The value is not one of those allowed.
    pub fn not_supported(path: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported = supported
            .iter()
            .map(|text| quote(text))
            .collect::<Vec<_>>()
            .join(", ");
        Self {
            path: path.into(),
            kind: FieldErrorKind::NotSupported,
            value: quote(value),
            detail: format!("supported values: {supported}"),
        }
    }

    /// The same error one level deeper: `prefix.path`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.path = match (self.path.is_empty(), self.path.starts_with('[')) {
            (true, _) => prefix.to_owned(),
            (_, true) => format!("{prefix}{}", self.path),
            _ => format!("{prefix}.{}", self.path),
        };
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Invalid => "Invalid value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::TooLong => "Too long",
        };
        write!(f, "{}: {kind}", self.path)?;
        for part in [&self.value, &self.detail] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        Ok(())
    }
}

/// Several errors as one text: alone as it is, more than one as `[a, b]`.
#[must_use]
pub fn list(errors: &[FieldError]) -> String {
    match errors {
        [one] => one.to_string(),
        more => format!(
            "[{}]",
            more.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// Bytes that manifests count for: compact JSON plus the framing that protobuf would add to each.
#[must_use]
pub fn manifests_size(manifests: &[Manifest]) -> usize {
    manifests
        .iter()
        .map(|manifest| framed(manifest.compact_len()))
        .sum()
}

fn framed(length: usize) -> usize {
    // Field tag, length as a varint of 7 bits per byte, content.
    let varint = (usize::BITS - length.max(1).leading_zeros()).div_ceil(7) as usize;
    1 + varint + length
}

/// Everything that a source must mend before it sends a work.
#[must_use]
pub fn for_source(work: &ManifestWork) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let meta = &work.metadata;
    for (path, value) in [
        ("metadata.name", &meta.name),
        ("metadata.namespace", &meta.namespace),
    ] {
        if value.is_empty() {
            errors.push(FieldError::required(path, "field not set"));
        } else {
            errors.extend(
                names::label(value)
                    .into_iter()
                    .map(|why| FieldError::invalid(path, value, why)),
            );
        }
    }
    errors.extend(
        names::labels(&meta.labels)
            .into_iter()
            .map(|error| error.under("metadata.labels")),
    );
    errors.extend(
        names::annotations(&meta.annotations)
            .into_iter()
            .map(|error| error.under("metadata.annotations")),
    );
    errors.extend(
        names::finalizers(&meta.finalizers)
            .into_iter()
            .map(|error| error.under("metadata.finalizers")),
    );
    errors.extend(
        for_workload(&work.spec.workload.manifests)
            .into_iter()
            .map(|error| error.under("spec.workload.manifests")),
    );
    errors.extend(
        for_configs(&work.spec.manifest_configs)
            .into_iter()
            .map(|error| error.under("spec.manifestConfigs")),
    );
    errors
}

/// Rules that sources and agents hold manifests to: at least one, each with `kind` and `metadata.name`, without
/// `metadata.generateName`, no object twice, not too large. All errors, with paths such as `[1].kind`.
#[must_use]
pub fn for_workload(manifests: &[Manifest]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manifests.is_empty() {
        errors.push(FieldError::required("", BundleError::Empty.to_string()));
    }
    let size = manifests_size(manifests);
    if size > MAX_MANIFESTS_SIZE {
        let why = BundleError::TooLarge { size }.to_string();
        errors.push(FieldError {
            path: String::new(),
            kind: FieldErrorKind::TooLong,
            value: String::new(),
            detail: why,
        });
    }
    let mut seen = HashSet::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let at = |path: &str| {
            if path.is_empty() {
                format!("[{index}]")
            } else {
                format!("[{index}].{path}")
            }
        };
        let meta = match manifest.meta() {
            Ok(meta) => meta,
            Err(error) => {
                errors.push(FieldError {
                    value: String::new(),
                    ..FieldError::invalid(at(""), "", plain(&error))
                });
                continue;
            }
        };
        errors.extend(too_deep(manifest).map(|error| error.under(&at(""))));
        let mut required = |path: &str, value: &str| {
            if value.is_empty() {
                errors.push(FieldError::required(at(path), "field not set"));
            }
        };
        required("apiVersion", &meta.api_version);
        required("kind", &meta.kind);
        required("metadata.name", &meta.metadata.name);
        if !meta.metadata.generate_name.is_empty() {
            errors.push(FieldError::forbidden(
                at("metadata.generateName"),
                "field cannot be set",
            ));
        }
        if !seen.insert((
            meta.api_version.clone(),
            meta.kind.clone(),
            meta.metadata.clone(),
        )) {
            errors.push(FieldError {
                path: at(""),
                kind: FieldErrorKind::Duplicate,
                value: quote(&format!(
                    "{}.{} {}/{}",
                    meta.api_version, meta.kind, meta.metadata.namespace, meta.metadata.name
                )),
                detail: String::new(),
            });
        }
    }
    errors
}

/// Rules that manifest configs must hold to so that no agent is at a loss: known strategies and rule types, complete identifiers.
#[must_use]
pub fn for_configs(configs: &[ManifestConfig]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let mut push = |error: FieldError| errors.push(error.under(&format!("[{index}]")));
        for (path, value) in [
            (
                "resourceIdentifier.resource",
                &config.resource_identifier.resource,
            ),
            ("resourceIdentifier.name", &config.resource_identifier.name),
        ] {
            if value.is_empty() {
                push(FieldError::required(path, "field not set"));
            }
        }
        if let Some(type_) = config
            .update_strategy
            .as_ref()
            .and_then(|strategy| strategy.type_.as_ref())
            && !type_.is_known()
        {
            push(FieldError::not_supported(
                "updateStrategy.type",
                type_.as_str(),
                UpdateStrategyType::KNOWN,
            ));
        }
        for (rule_index, rule) in config.feedback_rules.iter().enumerate() {
            if !rule.type_.is_known() {
                let path = format!("feedbackRules[{rule_index}].type");
                push(FieldError::not_supported(
                    path,
                    rule.type_.as_str(),
                    FeedbackRuleType::KNOWN,
                ));
            }
            for (path_index, path) in rule.json_paths.iter().enumerate() {
                let at = |key: &str| {
                    format!("feedbackRules[{rule_index}].jsonPaths[{path_index}].{key}")
                };
                if path.name.is_empty() {
                    push(FieldError::required(at("name"), "field not set"));
                }
                if path.path.is_empty() {
                    push(FieldError::required(at("path"), "field not set"));
                }
            }
        }
        for (rule_index, rule) in config.condition_rules.iter().enumerate() {
            let at = |key: &str| format!("conditionRules[{rule_index}].{key}");
            if !rule.type_.is_known() {
                push(FieldError::not_supported(
                    at("type"),
                    rule.type_.as_str(),
                    ConditionRuleType::KNOWN,
                ));
            }
            if rule.type_ == ConditionRuleType::Cel && rule.condition.is_empty() {
                push(FieldError::required(at("condition"), "field not set"));
            }
        }
    }
    errors
}

/// The rules of the server: each manifest well-formed, no object twice, not too large. No manifests at all is fine.
///
/// # Errors
/// The first thing that is wrong; all errors of the first bad manifest.
pub fn for_server(manifests: &[Manifest]) -> Result<(), BundleError> {
    let size = manifests_size(manifests);
    if size > MAX_MANIFESTS_SIZE {
        return Err(BundleError::TooLarge { size });
    }
    let mut seen = HashSet::with_capacity(manifests.len());
    for (index, manifest) in manifests.iter().enumerate() {
        let head: Head =
            serde_json::from_str(manifest.as_str()).map_err(|error| BundleError::Manifest {
                index,
                errors: vec![FieldError {
                    value: String::new(),
                    ..FieldError::invalid("manifest", "", plain(&error))
                }],
            })?;
        let mut errors = head.errors();
        errors.extend(too_deep(manifest).map(|error| error.under("manifest")));
        if !errors.is_empty() {
            return Err(BundleError::Manifest { index, errors });
        }
        let Head {
            api_version,
            kind,
            metadata: HeadMeta {
                namespace, name, ..
            },
        } = head;
        if !seen.insert((
            api_version.clone(),
            kind.clone(),
            namespace.clone(),
            name.clone(),
        )) {
            return Err(BundleError::Duplicate {
                api_version,
                kind,
                namespace,
                name,
            });
        }
    }
    Ok(())
}

/// What the server looks at in a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default, deserialize_with = "null_default")]
    api_version: String,
    #[serde(default, deserialize_with = "null_default")]
    kind: String,
    #[serde(default, deserialize_with = "null_default")]
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    namespace: String,
    #[serde(default, deserialize_with = "null_default")]
    generate_name: String,
    #[serde(default, deserialize_with = "null_default")]
    resource_version: String,
    deletion_grace_period_seconds: Option<i64>,
    #[serde(default, deserialize_with = "null_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_default")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_default")]
    finalizers: Vec<String>,
}

impl Head {
    fn errors(&self) -> Vec<FieldError> {
        let meta = &self.metadata;
        let mut errors = names::api_version(&self.api_version);
        for (path, value) in [("kind", &self.kind), ("metadata.name", &meta.name)] {
            if value.is_empty() {
                errors.push(FieldError::required(path, "field not set"));
            }
        }
        if !meta.namespace.is_empty() {
            let why = names::label(&meta.namespace);
            errors.extend(
                why.into_iter()
                    .map(|why| FieldError::invalid("metadata.namespace", &meta.namespace, why)),
            );
        }
        for (path, set) in [
            ("metadata.generateName", !meta.generate_name.is_empty()),
            (
                "metadata.resourceVersion",
                !meta.resource_version.is_empty(),
            ),
            (
                "metadata.deletionGracePeriodSeconds",
                meta.deletion_grace_period_seconds.is_some(),
            ),
        ] {
            if set {
                errors.push(FieldError::forbidden(path, "field cannot be set"));
            }
        }
        errors.extend(
            names::annotations(&meta.annotations)
                .into_iter()
                .map(|error| error.under("metadata.annotations")),
        );
        errors.extend(
            names::finalizers(&meta.finalizers)
                .into_iter()
                .map(|error| error.under("metadata.finalizers")),
        );
        errors.extend(
            names::labels(&meta.labels)
                .into_iter()
                .map(|error| error.under("metadata.labels")),
        );
        errors
    }
}

fn too_deep(manifest: &Manifest) -> Option<FieldError> {
    let depth = crate::manifest::depth(manifest.as_str());
    (depth > MAX_DEPTH).then(|| FieldError {
        path: String::new(),
        kind: FieldErrorKind::TooLong,
        value: String::new(),
        detail: format!("nested {depth} levels deep, at most {MAX_DEPTH} are allowed"),
    })
}

/// A parse error without the names of Rust types.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(", expected struct ") {
        Some((what, _)) => format!("{what}, expected an object"),
        None => text,
    }
}

/// Text in double quotes, as Go's `%q` writes plain text.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
