//! `watch`: a line whenever the state of a work changes.

use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

use jiff::Zoned;
use maestro_client::{Bundle, Error};
use manifestwork::{Condition, ConditionStatus};

use super::Context;
use crate::{
    ExitCode, Failure, cli, lookup,
    output::{self, Format, views},
    ui,
    usage::required,
};

/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

pub(crate) async fn run(context: Context, flags: cli::Watch) -> Result<ExitCode, Failure> {
    let [consumer] = required([("consumer", &flags.consumer)])?;
    let format = context.format(Format::Text)?;
    context
        .bounded("watch", lookup::consumer(&context.client, &consumer))
        .await?;
    let deadline =
        (!context.global.timeout.is_zero()).then(|| Instant::now() + context.global.timeout);
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let (mut failures, mut missed) = (0_u32, false);
    loop {
        let look = tokio::select! {
            look = look(&context, &consumer, flags.name.as_deref()) => look,
            () = context.shutdown.cancelled() => break,
        };
        match look {
            Ok(bundles) => {
                failures = 0;
                if bundles.is_empty() && flags.name.is_some() && !missed {
                    ui::warn(&format!(
                        "manifestwork {:?} not found on consumer {consumer:?}; still watching",
                        flags.name.as_deref().unwrap_or_default()
                    ));
                }
                missed = bundles.is_empty();
                tell(&bundles, &format, flags.name.is_none(), &mut told)?;
            }
            Err(failure) => {
                failures += 1;
                ui::warn(&format!("{failure}; still watching"));
            }
        }
        let pause = context
            .global
            .poll_interval
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(LONGEST_PAUSE);
        let until = deadline.unwrap_or_else(|| Instant::now() + LONGEST_PAUSE);
        context.pause(pause, until).await;
        if context.shutdown.is_cancelled()
            || deadline.is_some_and(|deadline| Instant::now() >= deadline)
        {
            break;
        }
    }
    if matches!(format, Format::Json) {
        ui::say("Watch stopped")
    } else {
        output::print("\nWatch stopped\n")?
    }
    Ok(ExitCode::Ok)
}

async fn look(
    context: &Context,
    consumer: &str,
    name: Option<&str>,
) -> Result<Vec<Bundle>, Failure> {
    match name {
        Some(name) => Ok(lookup::one(&context.client, consumer, name, None)
            .await?
            .into_iter()
            .collect()),
        None => match context.client.bundles().of_consumer(consumer)?.all().await {
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            other => Ok(other?),
        },
    }
}

/// Prints what differs from what was told.
fn tell(
    bundles: &[Bundle],
    format: &Format,
    named: bool,
    told: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for bundle in bundles {
        let state = line(bundle, named);
        let key = format!(
            "{state}{:?}",
            bundle.status.as_ref().map(|status| &status.resource_status)
        );
        if told
            .insert(bundle.id.clone(), key.clone())
            .is_some_and(|before| before == key)
        {
            continue;
        }
        match format {
            Format::Json => {
                let object = serde_json::to_string(&views::Get::from(bundle)).unwrap_or_default();
                output::print(&format!("{object}\n"))?;
            }
            _ => output::print(&format!(
                "[{}] {state}\n",
                Zoned::now().strftime("%H:%M:%S")
            ))?,
        }
    }
    let gone: Vec<String> = told
        .keys()
        .filter(|id| bundles.iter().all(|bundle| bundle.id != **id))
        .cloned()
        .collect();
    for id in gone {
        told.remove(&id);
        match format {
            Format::Json => output::print(&format!(
                "{}\n",
                serde_json::json!({"id": id, "deleted": true})
            ))?,
            _ => output::print(&format!(
                "[{}] {id} is gone\n",
                Zoned::now().strftime("%H:%M:%S")
            ))?,
        }
    }
    Ok(())
}

/// `v3 Applied✓ Available✗ | Job/j: Applied✓ `
fn line(bundle: &Bundle, named: bool) -> String {
    let mark = |out: &mut String, conditions: &[Condition]| {
        for condition in conditions {
            let mark = if condition.status == ConditionStatus::True {
                '✓'
            } else {
                '✗'
            };
            let _ = write!(out, "{}{mark} ", condition.type_);
        }
    };
    let mut out = String::new();
    if named {
        let _ = write!(out, "{} ", bundle.work_name());
    }
    let _ = write!(out, "v{} ", bundle.version);
    if bundle.is_deleting() {
        out.push_str("deleting ");
    }
    if let Some(status) = &bundle.status {
        mark(&mut out, &status.conditions);
        for resource in &status.resource_status {
            let _ = write!(
                out,
                "| {}/{}: ",
                resource.resource_meta.kind, resource.resource_meta.name
            );
            mark(&mut out, &resource.conditions);
        }
    }
    out
}
