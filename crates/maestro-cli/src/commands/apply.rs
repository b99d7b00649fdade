//! `apply`: make Maestro have the work of a file.

use maestro_client::{Applied, Bundle, Error, retry_on_conflict};
use manifestwork::{ManifestWork, ids};

use super::{Context, wait};
use crate::{
    ExitCode, Failure, cli,
    expression::Expression,
    lookup, manifests,
    output::{self, Format, views},
    results::{Phase, Results},
    ui,
    usage::required,
};

/// Condition that `--watch` stands for.
pub(crate) const WATCHED: &str = "Applied";

pub(crate) async fn run(context: Context, flags: cli::Apply) -> Result<ExitCode, Failure> {
    let file = (!flags.manifest_file.is_empty()).then(|| flags.manifest_file.join(","));
    let [consumer, _] = required([("consumer", &flags.consumer), ("manifest-file", &file)])?;
    if flags.name.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::usage("flag \"name\" must not be empty"));
    }
    let condition = wait_condition(&context, flags.wait.as_deref(), flags.watch)?;
    let mut results = Results::new(
        context.settings.results_path.clone(),
        context.settings.results_format,
        flags.name.as_deref().unwrap_or_default(),
        &consumer,
    );
    let outcome = apply(
        &context,
        &flags,
        &consumer,
        condition.as_ref(),
        &mut results,
    )
    .await;
    finish(outcome, &mut results)
}

async fn apply(
    context: &Context,
    flags: &cli::Apply,
    consumer: &str,
    condition: Option<&Expression>,
    results: &mut Results,
) -> Result<ExitCode, Failure> {
    let work = manifests::load(&flags.manifest_file, flags.name.as_deref(), consumer)
        .map_err(|failure| failure.context("failed to load manifest file"))?;
    results.set_name(&work.metadata.name);
    let applied = context
        .bounded(
            "apply",
            Box::pin(async {
                lookup::consumer(&context.client, consumer).await?;
                if !flags.force {
                    no_stranger(context, consumer, &work.metadata.name).await?;
                }
                send(
                    context,
                    &work,
                    consumer,
                    flags.force,
                    flags.retry_on_conflict,
                )
                .await
            }),
        )
        .await?;
    sent(
        context,
        &applied,
        "ManifestWork applied successfully",
        condition,
        results,
    )
    .await
}

/// What follows a write: a record, a wait, the object if it was asked for.
pub(crate) async fn sent(
    context: &Context,
    applied: &Applied,
    message: &str,
    condition: Option<&Expression>,
    results: &mut Results,
) -> Result<ExitCode, Failure> {
    let work = applied.work();
    let what = match applied {
        Applied::Created(_) => "created",
        Applied::Updated(_) => "updated",
        Applied::Unchanged(_) => "unchanged",
    };
    let version = if work.metadata.generation > 0 {
        format!(" (version {})", work.metadata.generation)
    } else {
        String::new()
    };
    ui::say(&format!(
        "manifestwork {:?} {what} on consumer {:?}{version}",
        work.metadata.name, work.metadata.namespace
    ));
    let bundle = bundle(context, work).await;
    if let Some(bundle) = &bundle {
        results.saw(bundle);
    }
    let bundle = match condition {
        None => {
            results.done(Phase::Applied, "Applied", message)?;
            bundle
        }
        Some(condition) => {
            results.progress(Phase::Applied, "Applied", message)?;
            let deadline = context.waits_until(true);
            Some(
                wait::until(
                    context,
                    &work.metadata.uid,
                    condition,
                    deadline,
                    work.metadata.generation,
                    results,
                )
                .await?,
            )
        }
    };
    if let (Some(bundle), Some(_)) = (bundle, &context.global.output) {
        match context.format(Format::Yaml)? {
            Format::Name => output::print(&format!("{}\n", bundle.work_name()))?,
            Format::Table => output::print(&output::table(
                std::slice::from_ref(&bundle),
                jiff::Timestamp::now(),
            ))?,
            Format::ManifestWork => {
                output::print_data(&views::reapplicable(&bundle), &Format::Yaml)?
            }
            format => output::print_data(&views::Get::from(&bundle), &format)?,
        }
    }
    Ok(ExitCode::Ok)
}

/// Leaves the last record of a command that failed.
pub(crate) fn finish(
    outcome: Result<ExitCode, Failure>,
    results: &mut Results,
) -> Result<ExitCode, Failure> {
    if let Err(failure) = &outcome
        && failure.reason != "ResultsFileFailed"
        && let Err(unwritten) = results.failed(failure)
    {
        ui::warn(&unwritten.message);
    }
    outcome
}

/// The condition to wait for; parsed before anything is sent.
pub(crate) fn wait_condition(
    context: &Context,
    wait: Option<&str>,
    watch: bool,
) -> Result<Option<Expression>, Failure> {
    let text = match (wait, watch) {
        (Some(""), _) | (None, false) => return Ok(None),
        (Some(text), _) => text,
        (None, true) => WATCHED,
    };
    wait::expression(context, text).map(Some)
}

/// Sends a work if it differs, as often as conflicts are to be tried again.
pub(crate) async fn send(
    context: &Context,
    work: &ManifestWork,
    consumer: &str,
    force: bool,
    retries: u32,
) -> Result<Applied, Failure> {
    let works = context.client.works(consumer);
    let (works, name) = (&works, &work.metadata.name);
    let result = retry_on_conflict(retries.saturating_add(1), || async move {
        match works.get(name).await {
            Err(Error::NotFound { .. }) => works.create(work).await.map(Applied::Created),
            Err(error) => Err(error),
            // Based on what was just read, so that a change by somebody else at the same moment is noticed.
            Ok(existing) => {
                let mut work = work.clone();
                work.metadata.generation = existing.metadata.generation;
                if force {
                    works.replace(&work).await.map(Applied::Updated)
                } else {
                    works.apply(&work).await
                }
            }
        }
    })
    .await;
    result.map_err(|error| {
        let failure = Failure::of(&error);
        // Upstream's words; scripts look for them.
        if failure.code == ExitCode::Usage {
            failure
        } else {
            failure.context(&format!("Failed to publish resource {name}"))
        }
    })
}

/// Refuses to make a second work of a name that another source has.
pub(crate) async fn no_stranger(
    context: &Context,
    consumer: &str,
    name: &str,
) -> Result<(), Failure> {
    let own = ids::resource_id(context.client.source_id(), consumer, name).to_string();
    let found = lookup::named(&context.client, consumer, name).await?;
    let Some(stranger) = found.iter().find(|bundle| bundle.id != own) else {
        return Ok(());
    };
    if found.len() > 1 && found.iter().any(|bundle| bundle.id == own) {
        return Ok(());
    }
    // A single read may tell whose it is.
    let source = context
        .client
        .bundles()
        .get(&stranger.id)
        .await
        .ok()
        .and_then(|bundle| bundle.source);
    let whose = source.map_or_else(String::new, |source| format!("of source {source:?}, "));
    Err(Failure::new(
        ExitCode::Conflict,
        "Conflict",
        format!(
            "a work named {name:?} exists on consumer {consumer:?}, but it is {whose}not of source {:?} (id {})",
            context.client.source_id(),
            stranger.id
        ),
    )
    .hint("Give the --source-id that it was created with, or --force to create a second work beside it."))
}

async fn bundle(context: &Context, work: &ManifestWork) -> Option<Bundle> {
    let needed = context.settings.results_path.is_some() || context.global.output.is_some();
    if !needed {
        return None;
    }
    match context.client.bundles().get(&work.metadata.uid).await {
        Ok(bundle) => Some(bundle),
        Err(error) => {
            ui::warn(&format!("the work can't be read back: {error}"));
            None
        }
    }
}
