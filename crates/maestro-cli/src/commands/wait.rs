//! `wait`: until a condition holds.

use std::time::Instant;

use maestro_client::{Bundle, Error};

use super::{Context, apply::finish};
use crate::{
    ExitCode, Failure, cli,
    expression::{Expression, Snapshot},
    lookup,
    output::{self, Format, views},
    results::{Phase, Results},
    ui::{self, Progress},
    usage::required,
};

pub(crate) async fn run(context: Context, flags: cli::Wait) -> Result<ExitCode, Failure> {
    let [consumer, name] = required([("consumer", &flags.consumer), ("name", &flags.name)])?;
    let condition = expression(&context, &flags.condition)?;
    let mut results = Results::new(
        context.settings.results_path.clone(),
        context.settings.results_format,
        &name,
        &consumer,
    );
    let outcome = wait(&context, &flags, &consumer, &name, &condition, &mut results).await;
    finish(outcome, &mut results)
}

async fn wait(
    context: &Context,
    flags: &cli::Wait,
    consumer: &str,
    name: &str,
    condition: &Expression,
    results: &mut Results,
) -> Result<ExitCode, Failure> {
    let found = context
        .bounded("wait", async {
            lookup::consumer(&context.client, consumer).await?;
            lookup::one(&context.client, consumer, name, flags.id.as_deref()).await
        })
        .await?;
    let Some(bundle) = found else {
        return Err(Failure::not_found(format!(
            "ManifestWork {name:?} not found in consumer {consumer:?}"
        ))
        .hint("wait needs a work that exists: apply it first, or use apply --wait."));
    };
    let deadline = context.waits_until(false);
    let bundle = until(context, &bundle.id, condition, deadline, 0, results)
        .await
        .map_err(|failure| match failure.code {
            ExitCode::WaitTimeout => failure.context(&format!(
                "error waiting for condition '{}'",
                condition.text()
            )),
            _ => failure,
        })?;
    if context.global.output.is_some() {
        match context.format(Format::Yaml)? {
            Format::Name => output::print(&format!("{}\n", bundle.work_name()))?,
            Format::Table => output::print(&output::table(
                std::slice::from_ref(&bundle),
                jiff::Timestamp::now(),
            ))?,
            format => output::print_data(&views::Get::from(&bundle), &format)?,
        }
    }
    Ok(ExitCode::Ok)
}

/// Parses a condition and warns where upstream would understand something else.
pub(crate) fn expression(context: &Context, text: &str) -> Result<Expression, Failure> {
    let expression = Expression::parse(text, context.global.condition_compat)?;
    if expression.is_ambiguous() {
        ui::warn(&format!(
            "'{text}' mixes AND and OR without parentheses; AND binds tighter here"
        ));
    }
    Ok(expression)
}

/// Looks again and again until the condition holds. A status about an older version than `at_least` doesn't count.
pub(crate) async fn until(
    context: &Context,
    id: &str,
    condition: &Expression,
    deadline: Instant,
    at_least: i64,
    results: &mut Results,
) -> Result<Bundle, Failure> {
    let bundles = context.client.bundles();
    let text = condition.text();
    let waiting = format!("Waiting for condition '{text}'");
    let mut progress = Progress::start(&waiting);
    let mut last_seen = String::from("nothing was heard from the server");
    loop {
        let look = tokio::select! {
            look = bundles.get(id) => look,
            () = context.shutdown.cancelled() => return Err(Failure::interrupted("wait")),
            () = tokio::time::sleep_until(deadline.into()) => return Err(late(&last_seen)),
        };
        match look {
            Ok(bundle) => {
                results.saw(&bundle);
                last_seen = summary(&bundle);
                if bundle.version >= at_least && condition.holds(snapshot(&bundle)) {
                    results.done(Phase::Met, text, &format!("Condition '{text}' met"))?;
                    progress.now(&format!("Condition '{text}' met"));
                    return Ok(bundle);
                }
                if let Err(unwritten) = results.progress(Phase::InProgress, "Waiting", &waiting) {
                    progress.warn(&unwritten.message);
                }
                progress.now(&format!("{waiting}: {last_seen}"));
            }
            Err(Error::NotFound { .. }) => {
                return Err(Failure::not_found(format!(
                    "the work was deleted while waiting for condition '{text}'"
                )));
            }
            Err(error) if error.is_retryable() => progress.warn(&format!("{error}; still waiting")),
            Err(error) => return Err(error.into()),
        }
        context.pause(context.global.poll_interval, deadline).await;
        if context.shutdown.is_cancelled() {
            return Err(Failure::interrupted("wait"));
        }
        if Instant::now() >= deadline {
            return Err(late(&last_seen));
        }
    }
}

/// What a work says before its agent has said anything.
const NO_STATUS: &str = "no status yet";

fn late(last_seen: &str) -> Failure {
    let silent = if last_seen.ends_with(NO_STATUS) {
        " Is the agent of the cluster connected?"
    } else {
        ""
    };
    Failure::new(
        ExitCode::WaitTimeout,
        "WaitTimeout",
        "context deadline exceeded",
    )
    .hint(format!(
        "Last seen: {last_seen}.{silent} Look closer with: maestro-cli describe"
    ))
}

pub(crate) fn snapshot(bundle: &Bundle) -> Snapshot<'_> {
    static NOTHING: maestro_client::bundle::BundleStatus = maestro_client::bundle::BundleStatus {
        observed_version: 0,
        sequence_id: String::new(),
        conditions: Vec::new(),
        resource_status: Vec::new(),
    };
    let status = bundle.status.as_ref().unwrap_or(&NOTHING);
    Snapshot {
        version: bundle.version,
        observed_version: status.observed_version,
        conditions: &status.conditions,
        resources: &status.resource_status,
    }
}

/// The state of a work in a line.
fn summary(bundle: &Bundle) -> String {
    let Some(status) = &bundle.status else {
        return format!("version {}, {NO_STATUS}", bundle.version);
    };
    let stale = if status.observed_version < bundle.version {
        format!(" (status is of version {})", status.observed_version)
    } else {
        String::new()
    };
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| match condition.status {
            manifestwork::ConditionStatus::True => format!("{}=True", condition.type_),
            other => format!("{}={other} ({})", condition.type_, condition.message),
        })
        .collect();
    format!(
        "version {}{stale}, {}",
        bundle.version,
        conditions.join(", ")
    )
}
