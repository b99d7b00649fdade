//! Schemas of specs: components of an OpenAPI document, compiled once.
//!
//! What is understood is what describes data: types, properties, bounds, patterns, enums, `$ref` within the document, and the
//! combinators. `format` and annotations are not checked.

mod compile;
mod validate;

use std::{collections::HashMap, path::PathBuf};

use hyperfleet_types::FieldError;
use serde_json::{Map, Value};

use crate::registry::Registry;
use compile::Components;

/// Most errors reported for one spec.
pub const MAX_ERRORS: usize = 50;
/// Largest schema document, bytes.
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

const GCP: &str = include_str!("schema/gcp.yaml");

/// Where the schemas are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: any object is a spec.
    #[default]
    None,
    /// The built-in schemas of Google Cloud clusters and node pools.
    Gcp,
    /// An OpenAPI document, YAML or JSON.
    File(PathBuf),
}

/// Compiled schemas by kind. Kinds without one accept any object.
#[derive(Debug, Default)]
pub struct Schemas {
    /// Kind to component.
    by_kind: HashMap<String, String>,
    components: Components,
}

impl Schemas {
    /// Reads and compiles the schemas of all kinds.
    ///
    /// # Errors
    /// Every problem: the document, a schema that makes no sense, a required one that is missing.
    pub fn load(source: &Source, registry: &Registry) -> Result<Self, Vec<String>> {
        let (name, text) = match source {
            Source::None => {
                let required = registry
                    .kinds()
                    .iter()
                    .filter(|kind| kind.require_spec_schema);
                let problems: Vec<String> = required
                    .map(|kind| {
                        format!(
                            "{}: require_spec_schema is set, but no schema document is",
                            kind.kind
                        )
                    })
                    .collect();
                return if problems.is_empty() {
                    Ok(Self::default())
                } else {
                    Err(problems)
                };
            }
            Source::Gcp => ("builtin:gcp".to_owned(), GCP.to_owned()),
            Source::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| vec![format!("schema document {name}: {error}")])?;
                (name, text)
            }
        };
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(vec![format!(
                "schema document {name}: is larger than {MAX_DOCUMENT_BYTES} bytes"
            )]);
        }
        let document: Value = go_compat::yaml::from_str_config(&text)
            .map_err(|error| vec![format!("schema document {name}: {error}")])?;
        Self::compile(&name, &document, registry)
    }

    fn compile(name: &str, document: &Value, registry: &Registry) -> Result<Self, Vec<String>> {
        let wanted: Vec<&str> = registry
            .kinds()
            .iter()
            .filter_map(|kind| kind.spec_schema_name.as_deref())
            .collect();
        let in_document = |problem: String| format!("schema document {name}: {problem}");
        let components = compile::components(document, &wanted)
            .map_err(|problems| problems.into_iter().map(in_document).collect::<Vec<_>>())?;
        let mut problems = Vec::new();
        let mut by_kind = HashMap::new();
        for kind in registry.kinds() {
            let Some(component) = &kind.spec_schema_name else {
                continue;
            };
            if components.contains_key(component) {
                by_kind.insert(kind.kind.clone(), component.clone());
            } else if kind.require_spec_schema {
                problems.push(in_document(format!(
                    "{} needs components.schemas.{component}",
                    kind.kind
                )));
            } else {
                tracing::warn!(
                    kind = kind.kind,
                    component,
                    document = name,
                    "no schema for this kind: any spec is accepted"
                );
            }
        }
        if problems.is_empty() {
            Ok(Self {
                by_kind,
                components,
            })
        } else {
            Err(problems)
        }
    }

    /// Whether any object is a spec of any kind.
    pub fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// Name of the schema of a kind.
    pub fn name(&self, kind: &str) -> Option<&str> {
        self.by_kind.get(kind).map(String::as_str)
    }

    /// What is wrong with a spec, with paths that begin with `spec`.
    pub fn check(&self, kind: &str, spec: &Map<String, Value>) -> Vec<FieldError> {
        self.name(kind).map_or_else(Vec::new, |name| {
            validate::object(&self.components, name, spec, "spec")
        })
    }
}

#[cfg(test)]
mod tests;
