//! Files to works.

use std::{fs, io::Read, path::Path, sync::Arc};

use manifestwork::{
    DeleteOption, Executor, Manifest, ManifestConfig, ManifestWork, ObjectMeta, constants,
};
use serde::Deserialize;
use serde_json::Value;

use crate::Failure;

/// Largest file that is read, in bytes.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// One document of a file.
struct Document {
    file: String,
    value: Value,
    /// The text of the whole file, to find where a mistake is.
    text: Arc<str>,
}

/// A work in types that YAML can be read into, for the position of a mistake.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only read into")]
struct Positioned {
    #[serde(default, rename = "metadata")]
    metadata: Option<ObjectMeta>,
    #[serde(default)]
    spec: Option<PositionedSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only read into")]
struct PositionedSpec {
    #[serde(default)]
    workload: Option<PositionedWorkload>,
    #[serde(default)]
    delete_option: Option<DeleteOption>,
    #[serde(default)]
    manifest_configs: Option<Vec<ManifestConfig>>,
    #[serde(default)]
    executor: Option<Executor>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read into")]
struct PositionedWorkload {
    #[serde(default)]
    manifests: Option<Vec<Value>>,
}

/// Reads a work from files: one ManifestWork, or plain objects that become a work named `name`.
///
/// # Errors
/// Files that can't be read or parsed (with line and column), nothing or too much in them, no name.
pub fn load(files: &[String], name: Option<&str>, consumer: &str) -> Result<ManifestWork, Failure> {
    if files.iter().all(String::is_empty) {
        return Err(Failure::usage("flag \"manifest-file\" must not be empty"));
    }
    let mut documents = Vec::new();
    for file in files {
        read(file, &mut documents)?;
    }
    let first_file = files.first().map(String::as_str).unwrap_or_default();
    let (works, objects): (Vec<Document>, Vec<Document>) = documents
        .into_iter()
        .partition(|document| is_work(&document.value));
    let mut work = match (works.len(), objects.len()) {
        (0, 0) => return Err(Failure::usage(format!("file {first_file} is empty"))),
        (1, 0) => one_work(works.into_iter().next())?,
        (0, _) => wrap(objects, name, first_file)?,
        (1, _) => {
            return Err(Failure::usage(format!("{first_file} holds a ManifestWork and other objects"))
                .hint("Put the objects into spec.workload.manifests, or apply them on their own with --name."));
        }
        (count, _) => {
            return Err(Failure::usage(format!(
                "{first_file} holds {count} ManifestWorks, apply takes one"
            ))
            .hint("Apply each from a file of its own."));
        }
    };
    if let Some(name) = name {
        name.clone_into(&mut work.metadata.name);
    }
    if work.metadata.name.is_empty() {
        return Err(
            Failure::usage(format!("ManifestWork in {first_file} must have a name"))
                .hint("Set metadata.name in the file, or give --name."),
        );
    }
    consumer.clone_into(&mut work.metadata.namespace);
    work.metadata.uid.clear();
    work.metadata.generation = 0;
    work.metadata.resource_version.clear();
    Ok(work)
}

/// Reads all documents of a file, of standard input (`-`) or of a folder.
fn read(file: &str, documents: &mut Vec<Document>) -> Result<(), Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("failed to read file {file}: {error}"));
    if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        return parse("standard input", &text, documents);
    }
    let meta = fs::metadata(file).map_err(unreadable)?;
    if meta.is_dir() {
        let mut paths: Vec<_> = fs::read_dir(file)
            .map_err(unreadable)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.is_file() && has_extension(path))
            .collect();
        paths.sort();
        for path in paths {
            read(&path.display().to_string(), documents)?;
        }
        return Ok(());
    }
    if meta.len() > MAX_FILE {
        return Err(Failure::usage(format!(
            "file {file} has {} bytes, the limit is {MAX_FILE}",
            meta.len()
        )));
    }
    parse(
        file,
        &fs::read_to_string(file).map_err(unreadable)?,
        documents,
    )
}

fn has_extension(path: &Path) -> bool {
    matches!(
        path.extension().and_then(|extension| extension.to_str()),
        Some("yaml" | "yml" | "json")
    )
}

fn parse(file: &str, text: &str, documents: &mut Vec<Document>) -> Result<(), Failure> {
    let found = go_compat::yaml::documents_k8s(text).map_err(|error| {
        Failure::usage(format!(
            "failed to unmarshal ManifestWork from {file}: {file}:{}:{}: {}",
            error.line, error.column, error.message
        ))
    })?;
    let text: Arc<str> = text.into();
    let document = |value| Document {
        file: file.to_owned(),
        value,
        text: Arc::clone(&text),
    };
    for (index, value) in found.into_iter().enumerate() {
        if value.is_null() {
            continue;
        }
        if !value.is_object() {
            return Err(Failure::usage(format!(
                "failed to unmarshal ManifestWork from {file}: document {} is no object",
                index + 1
            )));
        }
        let is_list = value
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind == "List");
        match value {
            Value::Object(mut list) if is_list => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    documents.extend(items.into_iter().map(document));
                }
            }
            value => documents.push(document(value)),
        }
    }
    Ok(())
}

/// A ManifestWork says so, or says nothing at all about what it is.
fn is_work(value: &Value) -> bool {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    matches!(
        (text("apiVersion"), text("kind")),
        (_, constants::KIND) | ("" | constants::API_VERSION, "")
    )
}

fn one_work(document: Option<Document>) -> Result<ManifestWork, Failure> {
    let Some(Document { file, value, text }) = document else {
        return Err(Failure::usage("no ManifestWork"));
    };
    let version = value
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(version, "" | constants::API_VERSION) {
        return Err(Failure::usage(format!(
            "file {file} does not contain a valid ManifestWork resource"
        ))
        .hint(format!(
            "apiVersion is {version:?}, it must be {:?}.",
            constants::API_VERSION
        )));
    }
    let json = value.to_string();
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&json))
        .map_err(|error| mistake(&file, &text, &error))
}

/// A value of the wrong type: where it is, and what YAML may have made of it.
fn mistake(
    file: &str,
    text: &str,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Failure {
    let path = error.path().to_string();
    let why = readable(error.inner());
    let place = match go_compat::yaml::from_str_k8s::<Positioned>(text) {
        Err(found) if found.line > 0 => format!("{file}:{}:{}: ", found.line, found.column),
        _ => String::new(),
    };
    let hint = if why.contains("boolean") {
        "YAML reads y, n, yes, no, on and off as booleans; quote them."
    } else {
        ""
    };
    Failure::usage(format!(
        "failed to unmarshal ManifestWork from {file}: {place}{path}: {why}"
    ))
    .hint(hint)
}

fn wrap(objects: Vec<Document>, name: Option<&str>, file: &str) -> Result<ManifestWork, Failure> {
    let Some(name) = name else {
        let kind = objects
            .first()
            .and_then(|document| document.value.get("kind"))
            .and_then(Value::as_str)
            .unwrap_or("object");
        return Err(Failure::usage(format!("file {file} does not contain a valid ManifestWork resource")).hint(format!(
            "It holds a {kind}. Give --name=NAME to wrap plain objects into a ManifestWork of that name."
        )));
    };
    let mut work = ManifestWork::new("", name);
    work.spec.workload.manifests = objects
        .into_iter()
        .map(|document| Manifest::from_value(&document.value))
        .collect();
    Ok(work)
}

/// A JSON error without the position in a text that nobody has seen.
fn readable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}
