//! `delete`: ask for the deletion of works, and wait until they are gone.

use std::time::Instant;

use maestro_client::{Bundle, Error};

use super::{Context, apply::finish};
use crate::{
    ExitCode, Failure, cli, lookup,
    results::{Phase, Results},
    ui::{self, Progress},
    usage::required,
};

pub(crate) async fn run(context: Context, flags: cli::Delete) -> Result<ExitCode, Failure> {
    if flags.name.is_none() && flags.all {
        let [consumer] = required([("consumer", &flags.consumer)])?;
        return all(&context, &flags, &consumer).await;
    }
    let [consumer, name] = required([("consumer", &flags.consumer), ("name", &flags.name)])?;
    let found = context
        .bounded("delete", async {
            lookup::consumer(&context.client, &consumer).await?;
            lookup::one(&context.client, &consumer, &name, flags.id.as_deref())
                .await
                .map_err(|failure| failure.context("failed to check ManifestWork existence"))
        })
        .await;
    let mut results = Results::new(
        context.settings.results_path.clone(),
        context.settings.results_format,
        &name,
        &consumer,
    );
    let bundle = match found {
        Ok(Some(bundle)) => bundle,
        Ok(None) => {
            ui::warn(&format!(
                "manifestwork {name:?} not found on consumer {consumer:?}, nothing to delete"
            ));
            return Ok(ExitCode::Ok);
        }
        Err(failure) => return finish(Err(failure), &mut results),
    };
    if flags.dry_run {
        ui::say(&format!(
            "would delete manifestwork {name:?} on consumer {consumer:?} (id {})",
            bundle.id
        ));
        return Ok(ExitCode::Ok);
    }
    results.saw(&bundle);
    let outcome = delete(&context, &flags, &bundle, &mut results).await;
    finish(outcome, &mut results)
}

async fn delete(
    context: &Context,
    flags: &cli::Delete,
    bundle: &Bundle,
    results: &mut Results,
) -> Result<ExitCode, Failure> {
    context.bounded("delete", request(context, bundle)).await?;
    if flags.wait {
        let deadline = context.waits_until(true);
        until_gone(context, bundle, deadline).await?;
        ui::say(&format!("manifestwork {:?} is gone", bundle.work_name()));
    }
    results.done(
        Phase::Deleted,
        "Deleted",
        "ManifestWork deleted successfully",
    )?;
    Ok(ExitCode::Ok)
}

/// All works of a consumer.
async fn all(context: &Context, flags: &cli::Delete, consumer: &str) -> Result<ExitCode, Failure> {
    let bundles = context
        .bounded("delete", async {
            lookup::consumer(&context.client, consumer).await?;
            Ok(context
                .client
                .bundles()
                .of_consumer(consumer)?
                .all()
                .await?)
        })
        .await?;
    if flags.dry_run || !flags.yes {
        for bundle in &bundles {
            ui::say(&format!(
                "would delete manifestwork {:?} (id {})",
                bundle.work_name(),
                bundle.id
            ));
        }
        if flags.dry_run {
            return Ok(ExitCode::Ok);
        }
        return Err(Failure::usage(format!(
            "--all without --name deletes all {} works of consumer {consumer:?}",
            bundles.len()
        ))
        .hint("Add --yes if that is what you want."));
    }
    for bundle in &bundles {
        context.bounded("delete", request(context, bundle)).await?;
    }
    if flags.wait {
        let deadline = context.waits_until(true);
        for bundle in &bundles {
            until_gone(context, bundle, deadline).await?;
        }
    }
    Ok(ExitCode::Ok)
}

async fn request(context: &Context, bundle: &Bundle) -> Result<(), Failure> {
    match context.client.bundles().delete(&bundle.id).await {
        Ok(()) | Err(Error::NotFound { .. }) => {
            let again = if bundle.is_deleting() {
                ", which was being deleted already"
            } else {
                ""
            };
            ui::say(&format!(
                "deletion of manifestwork {:?} requested{again}",
                bundle.work_name()
            ));
            Ok(())
        }
        Err(error) => Err(Failure::of(&error).context(&format!(
            "failed to delete ManifestWork: failed to delete resource bundle {}",
            bundle.id
        ))),
    }
}

async fn until_gone(context: &Context, bundle: &Bundle, deadline: Instant) -> Result<(), Failure> {
    let bundles = context.client.bundles();
    let mut progress = Progress::start(&format!(
        "Waiting until manifestwork {:?} is gone",
        bundle.work_name()
    ));
    loop {
        let look = tokio::select! {
            look = bundles.get(&bundle.id) => look,
            () = context.shutdown.cancelled() => return Err(Failure::interrupted("delete")),
            () = tokio::time::sleep_until(deadline.into()) => return Err(late(bundle)),
        };
        match look {
            Err(Error::NotFound { .. }) => return Ok(()),
            // The id lives again: somebody made it anew after it was gone.
            Ok(found) if found.created_at != bundle.created_at => return Ok(()),
            Ok(found) => {
                let state = found.status.as_ref().and_then(|status| {
                    status
                        .conditions
                        .iter()
                        .find(|condition| condition.type_ == "Deleting")
                        .map(|condition| condition.message.clone())
                });
                if let Some(state) = state {
                    progress.now(&format!(
                        "Waiting until manifestwork {:?} is gone: {state}",
                        bundle.work_name()
                    ));
                }
            }
            Err(error) if error.is_retryable() => progress.warn(&format!("{error}; still waiting")),
            Err(error) => return Err(error.into()),
        }
        context.pause(context.global.poll_interval, deadline).await;
        if context.shutdown.is_cancelled() {
            return Err(Failure::interrupted("delete"));
        }
        if Instant::now() >= deadline {
            return Err(late(bundle));
        }
    }
}

fn late(bundle: &Bundle) -> Failure {
    Failure::new(ExitCode::WaitTimeout, "WaitTimeout", "error waiting for deletion: context deadline exceeded").hint(format!(
        "The deletion of {:?} goes on. It ends when the agent of consumer {:?} has removed the objects; is it connected?",
        bundle.work_name(),
        bundle.consumer_name
    ))
}
