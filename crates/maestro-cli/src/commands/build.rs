//! `build`: merge manifests into a work.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use maestro_client::{Applied, Error};
use manifestwork::{Manifest, ManifestConfig, ManifestWork, Spec, Workload};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    apply::{finish, sent, wait_condition},
};
use crate::{
    ExitCode, Failure, cli, lookup,
    output::{self, Format, views},
    results::Results,
    ui,
    usage::required,
};

/// What a source file holds: a work, a spec, a workload or manifests.
struct Source {
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
    spec: Spec,
    /// How much of the spec was given.
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Spec,
    Workload,
}

pub(crate) async fn run(context: Context, flags: cli::Build) -> Result<ExitCode, Failure> {
    let [consumer, name, file] = required([
        ("consumer", &flags.consumer),
        ("name", &flags.name),
        ("source-file", &flags.source_file),
    ])?;
    let replace = match flags.strategy.as_str() {
        "merge" => false,
        "replace" => true,
        other => {
            return Err(Failure::usage(format!(
                "unknown merge strategy: {other} (use 'merge' or 'replace')"
            )));
        }
    };
    let send = flags.apply && !flags.dry_run;
    if (flags.wait.is_some() || flags.watch) && !flags.apply {
        return Err(Failure::usage("cannot use --wait without --apply"));
    }
    let condition = if send {
        wait_condition(&context, flags.wait.as_deref(), flags.watch)?
    } else {
        None
    };
    let source = read(&file)?;
    let mut results = Results::new(
        context.settings.results_path.clone(),
        context.settings.results_format,
        &name,
        &consumer,
    );
    if !send {
        let built = context
            .bounded("build", async {
                lookup::consumer(&context.client, &consumer).await?;
                build(&context, &flags, &consumer, &name, &source, replace).await
            })
            .await?;
        return write(&context, &flags, &built.0);
    }
    let outcome = async {
        let applied = context
            .bounded("build", async {
                lookup::consumer(&context.client, &consumer).await?;
                apply(&context, &flags, &consumer, &name, &source, replace).await
            })
            .await?;
        sent(
            &context,
            &applied,
            "ManifestWork built and applied successfully",
            condition.as_ref(),
            &mut results,
        )
        .await
    }
    .await;
    finish(outcome, &mut results)
}

/// Builds on a fresh copy and sends; again if somebody else changes the work in between, so that two builds lose nothing.
async fn apply(
    context: &Context,
    flags: &cli::Build,
    consumer: &str,
    name: &str,
    source: &Source,
    replace: bool,
) -> Result<Applied, Failure> {
    let works = context.client.works(consumer);
    let mut tries = 0;
    loop {
        let (work, exists) = build(context, flags, consumer, name, source, replace).await?;
        let result = if exists {
            works.apply(&work).await
        } else {
            works.create(&work).await.map(Applied::Created)
        };
        match result {
            Ok(applied) => return Ok(applied),
            Err(Error::Conflict { .. } | Error::AlreadyExists { .. })
                if tries < flags.retry_on_conflict =>
            {
                tries += 1;
                ui::say("somebody else changed the work; building on the new version");
            }
            Err(error) => {
                return Err(
                    Failure::of(&error).context(&format!("Failed to publish resource {name}"))
                );
            }
        }
    }
}

/// The merged work, and whether there was one.
async fn build(
    context: &Context,
    flags: &cli::Build,
    consumer: &str,
    name: &str,
    source: &Source,
    replace: bool,
) -> Result<(ManifestWork, bool), Failure> {
    let remote = match context.client.works(consumer).get(name).await {
        Ok(work) => Some(work),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let Some(mut work) = remote else {
        if !flags.force {
            return Err(Failure::not_found(format!(
                "ManifestWork {name} not found in consumer {consumer} (use --force to create new)"
            ))
            .hint(format!(
                "Works of other sources than {:?} are not looked at; see --source-id.",
                context.client.source_id()
            )));
        }
        let mut work = ManifestWork::new(consumer, name);
        work.metadata.labels = source.labels.clone();
        work.metadata.annotations = source.annotations.clone();
        work.spec = source.spec.clone();
        remove(&mut work.spec, &flags.remove)?;
        return Ok((work, false));
    };
    work.metadata.labels.extend(source.labels.clone());
    work.metadata.annotations.extend(source.annotations.clone());
    match (replace, source.part) {
        (true, Part::Spec) => work.spec = source.spec.clone(),
        (true, Part::Workload) => work.spec.workload = source.spec.workload.clone(),
        (false, _) => merge(&mut work.spec, &source.spec),
    }
    remove(&mut work.spec, &flags.remove)?;
    Ok((work, true))
}

/// Puts the source's parts over the existing ones; nothing is taken away.
fn merge(spec: &mut Spec, source: &Spec) {
    for manifest in &source.workload.manifests {
        let key = identity(manifest);
        let place = key.as_ref().and_then(|key| {
            spec.workload
                .manifests
                .iter_mut()
                .find(|existing| identity(existing).as_ref() == Some(key))
        });
        match place {
            Some(existing) => *existing = manifest.clone(),
            None => spec.workload.manifests.push(manifest.clone()),
        }
    }
    for config in &source.manifest_configs {
        let same = |existing: &&mut ManifestConfig| {
            existing.resource_identifier == config.resource_identifier
        };
        match spec.manifest_configs.iter_mut().find(same) {
            Some(existing) => *existing = config.clone(),
            None => spec.manifest_configs.push(config.clone()),
        }
    }
    if source.delete_option.is_some() {
        spec.delete_option.clone_from(&source.delete_option);
    }
    if source.executor.is_some() {
        spec.executor.clone_from(&source.executor);
    }
}

/// Group, kind, namespace and name; none if the manifest has no kind or name.
fn identity(manifest: &Manifest) -> Option<[String; 4]> {
    let meta = manifest.meta().ok()?;
    let group = meta
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group)
        .to_owned();
    let named = !meta.kind.is_empty() && !meta.metadata.name.is_empty();
    named.then_some([
        group,
        meta.kind,
        meta.metadata.namespace,
        meta.metadata.name,
    ])
}

/// Takes manifests out, given as `Kind/namespace/name` or `Kind/name`.
fn remove(spec: &mut Spec, removals: &[String]) -> Result<(), Failure> {
    for removal in removals {
        let before = spec.workload.manifests.len();
        spec.workload.manifests.retain(|manifest| {
            let name = views::names(std::slice::from_ref(manifest)).pop();
            name.is_none_or(|name| !name.to_string().eq_ignore_ascii_case(removal))
        });
        if spec.workload.manifests.len() == before {
            return Err(Failure::not_found(format!("--remove {removal}: the work has no such manifest"))
                .hint("Name it as list shows it: Kind/namespace/name, or Kind/name for cluster-scoped objects."));
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<Source, Failure> {
    #[derive(Deserialize, Default)]
    struct Metadata {
        #[serde(default)]
        labels: std::collections::BTreeMap<String, String>,
        #[serde(default)]
        annotations: std::collections::BTreeMap<String, String>,
    }
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("failed to read file {file}: {error}")))?;
    let documents = go_compat::yaml::documents_k8s(&text).map_err(|error| {
        Failure::usage(format!(
            "failed to parse {file}: {file}:{}:{}: {}",
            error.line, error.column, error.message
        ))
    })?;
    let [value] = documents.as_slice() else {
        return Err(Failure::usage(format!(
            "{file} holds {} documents, build takes one",
            documents.len()
        )));
    };
    let wrong = |error: serde_json::Error| {
        let text = error.to_string();
        Failure::usage(format!(
            "failed to parse {file}: {}",
            text.split(" at line ").next().unwrap_or_default()
        ))
    };
    let typed = |value: &Value| serde_json::from_str::<Spec>(&value.to_string()).map_err(wrong);
    let manifests = |value: &Value| {
        serde_json::from_str::<Vec<Manifest>>(&value.to_string())
            .map(|manifests| Spec {
                workload: Workload { manifests },
                ..Spec::default()
            })
            .map_err(wrong)
    };
    let metadata: Metadata = match value.get("metadata") {
        Some(metadata) => serde_json::from_value(metadata.clone()).map_err(wrong)?,
        None => Metadata::default(),
    };
    let (spec, part) = if let Some(spec) = value.get("spec") {
        (typed(spec)?, Part::Spec)
    } else if let Some(list) = value
        .get("workload")
        .and_then(|workload| workload.get("manifests"))
    {
        (manifests(list)?, Part::Workload)
    } else if let Some(list) = value.get("manifests") {
        (manifests(list)?, Part::Workload)
    } else if value.is_array() {
        (manifests(value)?, Part::Workload)
    } else {
        return Err(Failure::usage(format!("{file} holds no manifests")).hint(
            "It must be a ManifestWork, or have one of the keys spec, workload, manifests.",
        ));
    };
    Ok(Source {
        labels: metadata.labels,
        annotations: metadata.annotations,
        spec,
        part,
    })
}

/// Prints the built work, or writes it to a file.
fn write(context: &Context, flags: &cli::Build, work: &ManifestWork) -> Result<ExitCode, Failure> {
    let mut tree = serde_json::to_value(work).unwrap_or_default();
    if let Some(object) = tree.as_object_mut() {
        object.remove("status");
    }
    // Older scripts name the file with --output.
    let asked = context.global.output.as_deref();
    let as_file = asked.filter(|text| {
        text.contains('/')
            || [".yaml", ".yml", ".json"]
                .iter()
                .any(|end| text.ends_with(end))
    });
    let file = flags.output_file.as_deref().or(as_file);
    let is_json = file.is_some_and(|file| {
        Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "json")
    });
    let format = match asked.filter(|_| as_file.is_none()) {
        _ if is_json => Format::Json,
        Some(text) => Format::parse(text)?,
        None => Format::Yaml,
    };
    let text = output::data(&tree, &format)?;
    let Some(file) = file else {
        output::print(&text)?;
        return Ok(ExitCode::Ok);
    };
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                "OutputFailed",
                format!("failed to write file {file}: {error}"),
            )
        })?;
    ui::say(&format!("ManifestWork written to {file}"));
    Ok(ExitCode::Ok)
}
