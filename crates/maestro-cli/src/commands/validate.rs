//! `validate`: everything that can be checked without sending.

use std::fmt::Write;

use manifestwork::{FeedbackRuleType, ManifestWork, configs, validate};

use super::Context;
use crate::{
    ExitCode, Failure, cli, lookup, manifests,
    output::{self, Format, views},
    usage::required,
};

pub(crate) async fn run(context: Context, flags: cli::Validate) -> Result<ExitCode, Failure> {
    let file = (!flags.manifest_file.is_empty()).then(|| flags.manifest_file.join(","));
    let [_] = required([("manifest-file", &file)])?;
    let consumer = flags.consumer.as_deref().unwrap_or("consumer");
    let mut work = manifests::load(&flags.manifest_file, flags.name.as_deref(), consumer)
        .map_err(|failure| failure.context("validation failed"))?;
    let problems = problems(&work);
    let format = context.format(Format::Text)?;
    if let Some(consumer) = &flags.consumer {
        context
            .bounded("validate", lookup::consumer(&context.client, consumer))
            .await?;
    } else {
        work.metadata.namespace.clear();
    }
    match format {
        Format::Json | Format::Yaml => {
            output::print_data(
                &serde_json::json!({"name": work.metadata.name, "valid": problems.is_empty(),
                "manifests": work.spec.workload.manifests.len(), "errors": problems}),
                &format,
            )?;
        }
        _ if problems.is_empty() => output::print(&passed(&work, context.global.verbose))?,
        _ => {
            let list: String = problems
                .iter()
                .map(|problem| format!("  - {problem}\n"))
                .collect();
            output::print(&format!("Validation FAILED:\n{list}"))?;
        }
    }
    if problems.is_empty() {
        return Ok(ExitCode::Ok);
    }
    Err(Failure::usage(format!(
        "validation failed with {} error(s)",
        problems.len()
    )))
}

/// Everything that is wrong with a work.
fn problems(work: &ManifestWork) -> Vec<String> {
    let mut problems = Vec::new();
    if work.spec.workload.manifests.is_empty() {
        problems.push("spec.workload.manifests cannot be empty".to_owned());
    }
    for (index, manifest) in work.spec.workload.manifests.iter().enumerate() {
        if matches!(manifest.as_str(), "null" | "{}") {
            problems.push(format!("manifest[{index}] is empty"));
            continue;
        }
        let value = manifest.to_value();
        if !value.is_object() {
            problems.push(format!(
                "manifest[{index}] is not valid YAML/JSON: it must be an object"
            ));
            continue;
        }
        let missing = |path: &str| {
            value
                .pointer(path)
                .and_then(serde_json::Value::as_str)
                .is_none_or(str::is_empty)
        };
        for (path, name) in [("/apiVersion", "apiVersion"), ("/kind", "kind")] {
            if missing(path) {
                problems.push(format!("manifest[{index}] missing {name}"));
            }
        }
        if value.get("metadata").is_none_or(serde_json::Value::is_null) {
            problems.push(format!("manifest[{index}] missing metadata"));
        } else if missing("/metadata/name") {
            problems.push(format!("manifest[{index}] missing metadata.name"));
        }
    }
    // The other rules of sources and of the server; what was said above isn't said again.
    let said = |path: &str| {
        path == "spec.workload.manifests" && work.spec.workload.manifests.is_empty()
            || [".apiVersion", ".kind", ".metadata.name"]
                .iter()
                .any(|end| path.ends_with(end))
                && path.contains("manifests[")
    };
    problems.extend(
        validate::for_source(work)
            .iter()
            .filter(|error| error.kind != validate::FieldErrorKind::Required || !said(&error.path))
            .filter(|error| !error.detail.starts_with("invalid type"))
            .map(ToString::to_string),
    );
    if problems.is_empty()
        && let Err(error) = validate::for_server(&work.spec.workload.manifests)
    {
        problems.push(error.to_string());
    }
    problems.extend(config_problems(work));
    problems
}

/// Manifest configs that name nothing, and paths that can't be parsed.
fn config_problems(work: &ManifestWork) -> Vec<String> {
    let mut problems = Vec::new();
    let names = views::names(&work.spec.workload.manifests);
    for (index, config) in work.spec.manifest_configs.iter().enumerate() {
        let identifier = &config.resource_identifier;
        // The plural of a kind isn't known here; names and namespaces are.
        let named = names.iter().any(|name| {
            configs::wildcard(&identifier.name, &name.name)
                && configs::wildcard(&identifier.namespace, &name.namespace)
        });
        if !named && !identifier.name.is_empty() {
            problems.push(format!(
                "spec.manifestConfigs[{index}] matches no manifest: there is no {:?} in namespace {:?}",
                identifier.name, identifier.namespace
            ));
        }
        for (rule_index, rule) in config
            .feedback_rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.type_ == FeedbackRuleType::JsonPaths)
        {
            for (path_index, path) in rule
                .json_paths
                .iter()
                .enumerate()
                .filter(|(_, path)| !path.path.is_empty())
            {
                if let Err(error) = jsonpath::JsonPath::parse_path(&path.path) {
                    problems.push(format!(
                        "spec.manifestConfigs[{index}].feedbackRules[{rule_index}].jsonPaths[{path_index}].path: {:?}: {error}",
                        path.path
                    ));
                }
            }
        }
    }
    problems
}

fn passed(work: &ManifestWork, verbose: bool) -> String {
    let mut out = format!(
        "Validation PASSED\n  Name: {}\n  Manifests: {}\n",
        work.metadata.name,
        work.spec.workload.manifests.len()
    );
    if verbose {
        out.push_str("Manifests:\n");
        for (index, name) in views::names(&work.spec.workload.manifests)
            .iter()
            .enumerate()
        {
            let _ = writeln!(out, "  [{index}] {name}");
        }
        let _ = writeln!(out, "ManifestConfigs: {}", work.spec.manifest_configs.len());
        for (index, config) in work.spec.manifest_configs.iter().enumerate() {
            let _ = writeln!(
                out,
                "  [{index}] {}/{}",
                config.resource_identifier.resource, config.resource_identifier.name
            );
        }
    }
    out
}
