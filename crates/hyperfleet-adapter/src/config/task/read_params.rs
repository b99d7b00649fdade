//! `params[]` and their sources.

use super::super::problem::Stage;
use super::super::read::Reader;
use super::super::tree::Kind;
use super::names::Names;
use super::read::{Context, Scope, expression};
use super::read_call::api_call;
use super::{ObjectKind, Param, ParamType, Root, Source};

pub(super) fn params(root: &Reader<'_>, names: &Names, context: &Context<'_>) -> Vec<Param> {
    let mut above = Names {
        older: names.older,
        ..Names::default()
    };
    let mut params = Vec::new();
    for reader in root.list("params") {
        if let Some(param) = param(&reader, &above, context) {
            above.declared.insert(param.name.clone());
            params.push(param);
        }
    }
    params
}

fn param(reader: &Reader<'_>, above: &Names, context: &Context<'_>) -> Option<Param> {
    if !reader.map(&[
        "name",
        "source",
        "type",
        "required",
        "default",
        "description",
    ]) {
        return None;
    }
    let name = reader.required_text("name").unwrap_or_default();
    let required = reader
        .get("required")
        .and_then(|child| child.bool())
        .unwrap_or(false);
    let default = reader.get("default").map(|child| child.json());
    let kind = reader.get("type").and_then(|child| {
        let word = child.text()?;
        let kind = ParamType::parse(&word);
        if kind.is_none() {
            child.structural(&format!(
                "{word:?} is invalid (allowed: string, int, int64, float, float64, bool)"
            ));
        }
        kind
    });
    let source = source(&reader.required("source")?, above, context)?;
    if let Source::Env { name: variable, .. } = &source
        && required
        && default.is_none()
        && context
            .environment
            .get(variable)
            .is_none_or(String::is_empty)
    {
        reader.error(
            Stage::Structure,
            format!(
                "{}: required environment variable {variable} is not set",
                reader.path
            ),
        );
    }
    Some(Param {
        name,
        source,
        kind,
        required,
        default,
    })
}

fn source(reader: &Reader<'_>, above: &Names, context: &Context<'_>) -> Option<Source> {
    match &reader.node.kind {
        Kind::Map(_) => source_map(reader, above),
        Kind::List(_) => {
            reader.error(
                Stage::Parse,
                "source: expected string or mapping, got !!seq",
            );
            None
        }
        _ => source_text(reader, context),
    }
}

fn source_map(reader: &Reader<'_>, above: &Names) -> Option<Source> {
    if !reader.map(&["api_call", "expression", "file"]) {
        return None;
    }
    let set: Vec<&str> = ["api_call", "expression", "file"]
        .into_iter()
        .filter(|key| reader.node.has(key))
        .collect();
    match set.as_slice() {
        [] => {
            reader.error(
                Stage::Parse,
                "source: mapping must contain one of 'api_call', 'expression', or 'file'",
            );
            None
        }
        ["api_call"] => api_call(&reader.required("api_call")?, above)
            .map(|call| Source::ApiCall(Box::new(call))),
        ["expression"] => {
            let child = reader.get("expression").filter(|child| {
                child
                    .node
                    .scalar_text()
                    .is_some_and(|text| !text.trim().is_empty())
            });
            match child {
                Some(child) => expression(&child, above, Scope::Everything).map(Source::Expression),
                None => {
                    reader.error(Stage::Parse, "source: expression must not be empty");
                    None
                }
            }
        }
        ["file"] => file_source(&reader.required("file")?),
        _ => {
            reader.error(
                Stage::Parse,
                "source: only one of 'api_call', 'expression', or 'file' may be set",
            );
            None
        }
    }
}

fn file_source(reader: &Reader<'_>) -> Option<Source> {
    if !reader.map(&["path", "trim"]) {
        return None;
    }
    let path = reader.optional_text("path").unwrap_or_default();
    if path.is_empty() {
        reader.semantic("path is required for file source");
        return None;
    }
    if !std::path::Path::new(&path).is_absolute() {
        reader.warn(format!(
            "file path {path:?} is relative: it depends on the working directory"
        ));
    }
    let trim = reader
        .get("trim")
        .and_then(|child| child.bool())
        .unwrap_or(true);
    Some(Source::File { path, trim })
}

fn source_text(reader: &Reader<'_>, context: &Context<'_>) -> Option<Source> {
    let text = reader.text()?;
    if text.trim().is_empty() {
        reader.structural("is required");
        return None;
    }
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    match parts.first().map(String::as_str) {
        Some("env") if parts.len() > 1 => {
            // Variable names may hold dots.
            let name = text
                .split_once('.')
                .map(|(_, name)| name.to_owned())
                .unwrap_or_default();
            Some(Source::Env { text, name })
        }
        Some(word @ ("event" | "config")) if parts.len() > 1 => {
            let root = if word == "event" {
                Root::Event
            } else {
                Root::Config
            };
            parts.remove(0);
            Some(Source::Path {
                text,
                root,
                path: parts,
            })
        }
        Some(word @ ("secret" | "configmap")) if parts.len() >= 4 && context.older => {
            let kind = if word == "secret" {
                ObjectKind::Secret
            } else {
                ObjectKind::ConfigMap
            };
            let [namespace, name] =
                [1, 2].map(|index| parts.get(index).cloned().unwrap_or_default());
            let key = parts.get(3..).unwrap_or_default().join(".");
            Some(Source::Object {
                text,
                kind,
                namespace,
                name,
                key,
            })
        }
        _ => Some(Source::Path {
            text,
            root: Root::Param,
            path: parts,
        }),
    }
}
