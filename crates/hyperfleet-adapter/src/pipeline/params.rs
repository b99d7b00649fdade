//! Phase `param_extraction`.

use base64::Engine as _;
use kube_access::Gvk;
use serde_json::Value;

use super::convert::convert;
use super::{CallError, PhaseError, Run};
use crate::config::task::{ObjectKind, Param, Root, Source};

/// Largest file of a `file` source, in bytes (1 MiB).
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a source gave no value.
struct Unresolved {
    cause: String,
    transient: bool,
}

impl From<String> for Unresolved {
    fn from(cause: String) -> Self {
        Self {
            cause,
            transient: false,
        }
    }
}

impl Run<'_> {
    /// Resolves every param in order. The first required one that can't be resolved ends the phase.
    pub(super) async fn extract_params(&mut self) -> Result<(), PhaseError> {
        for param in &self.pipeline.task.params {
            self.step.clone_from(&param.name);
            match self.param(param).await {
                Ok(Some(value)) => self.scope.set(&param.name, value),
                // A name that is declared twice keeps the earlier value.
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) async fn param(&mut self, param: &Param) -> Result<Option<Value>, PhaseError> {
        let fallback = || param.default.clone().filter(|value| !value.is_null());
        let value = match self.resolve(param).await {
            Ok(value) => value,
            Err(unresolved) if param.required => {
                return Err(PhaseError {
                    step: param.name.clone(),
                    message: format!(
                        "failed to extract required parameter '{}' from source '{}': {}",
                        param.name,
                        describe(&param.source),
                        unresolved.cause
                    ),
                    transient: unresolved.transient,
                });
            }
            Err(unresolved) => {
                tracing::debug!(param = %param.name, "optional param is not resolved: {}", unresolved.cause);
                return Ok(fallback());
            }
        };
        let empty = value.is_null() || value.as_str() == Some("");
        if empty && let Some(default) = fallback() {
            return Ok(Some(default));
        }
        if value.is_null() {
            return Ok(None);
        }
        let convertible = !matches!(param.source, Source::ApiCall(_) | Source::Expression(_));
        match param.kind.filter(|_| convertible) {
            None => Ok(Some(value)),
            Some(kind) => match convert(&value, kind) {
                Ok(value) => Ok(Some(value)),
                Err(cause) if param.required => Err(PhaseError::terminal(
                    &param.name,
                    format!(
                        "failed to convert parameter '{}' to type '{}': {cause}",
                        param.name,
                        kind.as_str()
                    ),
                )),
                Err(cause) => {
                    tracing::debug!(param = %param.name, "optional param is not converted: {cause}");
                    Ok(fallback())
                }
            },
        }
    }

    async fn resolve(&mut self, param: &Param) -> Result<Value, Unresolved> {
        match &param.source {
            Source::Env { name, .. } => self
                .pipeline
                .config
                .environment
                .get(name)
                .map(|value| Value::String(value.clone()))
                .ok_or_else(|| format!("environment variable {name} is not set").into()),
            Source::Path { root, path, .. } => self.resolve_path(*root, path).map_err(Into::into),
            Source::ApiCall(call) => {
                let response = self.call(call).await.map_err(|error| match error {
                    CallError::Render(cause) => Unresolved {
                        cause,
                        transient: false,
                    },
                    CallError::Api(error) => Unresolved {
                        transient: error.is_retryable(),
                        cause: error.to_string(),
                    },
                })?;
                response.object().map_err(Into::into)
            }
            Source::Expression(expression) => {
                let roots = self.scope.roots();
                expression
                    .evaluate(&self.scope.variables(&roots))
                    .map_err(|error| error.to_string().into())
            }
            Source::File { path, trim } => read_file(path, *trim, param.required)
                .await
                .map_err(Into::into),
            Source::Object {
                kind,
                namespace,
                name,
                key,
                ..
            } => self.object_key(*kind, namespace, name, key).await,
        }
    }

    fn resolve_path(&self, root: Root, path: &[String]) -> Result<Value, String> {
        match root {
            Root::Config => walk(&self.pipeline.config_value, path),
            Root::Event => walk(self.scope.get("event").unwrap_or(&Value::Null), path),
            Root::Param => match path.split_first() {
                Some((first, rest)) => match self.scope.get(first) {
                    Some(value) => walk(value, rest),
                    None => walk(self.scope.get("event").unwrap_or(&Value::Null), path),
                },
                None => Err("path is empty".into()),
            },
        }
    }

    /// A key of a Secret or ConfigMap on the adapter's own cluster.
    async fn object_key(
        &self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Value, Unresolved> {
        let Some(transport) = &self.transports.kubernetes else {
            return Err("no Kubernetes client is configured".to_owned().into());
        };
        let word = if kind == ObjectKind::Secret {
            "Secret"
        } else {
            "ConfigMap"
        };
        let object = transport
            .get(None, &Gvk::new("v1", word), Some(namespace), name)
            .await
            .map_err(|error| Unresolved {
                transient: error.class == crate::policy::FailureClass::Transient,
                cause: error.message,
            })?;
        let object = object.ok_or_else(|| format!("{word} {namespace}/{name} does not exist"))?;
        let text = object
            .get("data")
            .and_then(|data| data.get(key))
            .and_then(Value::as_str);
        let text = text.ok_or_else(|| format!("{word} {namespace}/{name} has no key {key}"))?;
        if kind == ObjectKind::ConfigMap {
            return Ok(Value::String(text.to_owned()));
        }
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(text.trim())
            .ok();
        decoded
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Value::String)
            .ok_or_else(|| {
                format!("key {key} of Secret {namespace}/{name} is not base64 text").into()
            })
    }
}

/// Follows keys through maps.
fn walk(value: &Value, path: &[String]) -> Result<Value, String> {
    let mut at = value;
    for (index, key) in path.iter().enumerate() {
        let Value::Object(map) = at else {
            return Err(format!(
                "cannot access field '{key}': parent is not a map (got {})",
                describe_value(at)
            ));
        };
        at = map.get(key).ok_or_else(|| {
            format!(
                "field '{key}' not found at path '{}'",
                path.get(..=index).unwrap_or_default().join(".")
            )
        })?;
    }
    Ok(at.clone())
}

async fn read_file(path: &str, trim: bool, required: bool) -> Result<Value, String> {
    let reading = |error: std::io::Error| format!("failed to read file {path:?}: {error}");
    let size = tokio::fs::metadata(path).await.map_err(reading)?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!(
            "file {path:?} is larger than {MAX_FILE_BYTES} bytes"
        ));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(reading)?;
    if required && text.trim().is_empty() {
        return Err(format!("file {path:?} is empty"));
    }
    Ok(Value::String(if trim {
        text.trim().to_owned()
    } else {
        text
    }))
}

fn describe(source: &Source) -> String {
    match source {
        Source::Env { text, .. } | Source::Path { text, .. } | Source::Object { text, .. } => {
            text.clone()
        }
        Source::ApiCall(call) => {
            format!("api_call({} {})", call.method.as_str(), call.url.source())
        }
        Source::Expression(expression) => format!("expression({:?})", expression.source()),
        Source::File { path, .. } => format!("file({path})"),
    }
}

fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
