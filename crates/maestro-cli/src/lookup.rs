//! Finding consumers and works by name.

use maestro_client::{Bundle, Client, Error};
use manifestwork::ids;

use crate::{ExitCode, Failure, ui};

/// Names shown at most in an error.
const SHOWN: usize = 20;

/// Checks that a consumer is registered.
pub(crate) async fn consumer(client: &Client, name: &str) -> Result<(), Failure> {
    if let Some(why) = bad_search_value(name) {
        return Err(Failure::usage(format!("invalid consumer name: {why}")));
    }
    match client.consumers().get(name).await {
        Ok(_) => return Ok(()),
        Err(Error::NotFound { .. }) => {}
        Err(error) => {
            return Err(Failure::of(&error)
                .context("failed to validate consumer: failed to list consumers"));
        }
    }
    let all = client.consumers().list().await.map_err(|error| {
        Failure::of(&error).context("failed to validate consumer: failed to list consumers")
    })?;
    let mut names: Vec<String> = all.into_iter().map(|consumer| consumer.name).collect();
    names.sort();
    let message = if names.is_empty() {
        format!("consumer {name:?} not found: no consumers are registered with Maestro")
    } else {
        let more = if names.len() > SHOWN {
            format!(", and {} more", names.len() - SHOWN)
        } else {
            String::new()
        };
        names.truncate(SHOWN);
        format!(
            "consumer {name:?} not found. Available consumers: {}{more}",
            names.join(", ")
        )
    };
    Err(
        Failure::new(ExitCode::NotFound, "ConsumerNotFound", message)
            .hint("A consumer is a registered cluster. Check --consumer, or register it."),
    )
}

/// All works with a name on a consumer, of every source.
pub(crate) async fn named(
    client: &Client,
    consumer: &str,
    name: &str,
) -> Result<Vec<Bundle>, Failure> {
    if bad_search_value(name).is_some() {
        return Ok(Vec::new());
    }
    let search =
        format!("consumer_name = '{consumer}' and payload->'metadata'->>'name' = '{name}'");
    let found = match client.bundles().search(&search).all().await {
        // A server that can't search in the payload lists everything.
        Err(Error::Invalid { .. }) => client.bundles().of_consumer(consumer)?.all().await?,
        other => other?,
    };
    Ok(found
        .into_iter()
        .filter(|bundle| bundle.work_name() == name && bundle.consumer_name == consumer)
        .collect())
}

/// The one work that is meant: by id, of our own source, or the only one of its name.
pub(crate) async fn one(
    client: &Client,
    consumer: &str,
    name: &str,
    id: Option<&str>,
) -> Result<Option<Bundle>, Failure> {
    if let Some(id) = id {
        return match client.bundles().get(id).await {
            Ok(bundle) => Ok(Some(bundle)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let found = named(client, consumer, name).await?;
    let own = ids::resource_id(client.source_id(), consumer, name).to_string();
    let ids: Vec<String> = found.iter().map(|bundle| bundle.id.clone()).collect();
    match (
        found.len(),
        found
            .into_iter()
            .find(|bundle| bundle.id == own || ids.len() == 1),
    ) {
        (0, _) => Ok(None),
        (1, bundle) => Ok(bundle),
        (count, Some(bundle)) => {
            ui::warn(&format!(
                "{count} works are named {name:?} on consumer {consumer:?}; this is the one of source {:?}",
                client.source_id()
            ));
            Ok(Some(bundle))
        }
        (count, None) => Err(Failure::new(
            ExitCode::Conflict,
            "Conflict",
            format!(
                "{count} works of other sources are named {name:?} on consumer {consumer:?}: {}",
                ids.join(", ")
            ),
        )
        .hint("Say which one with --id, or give the --source-id that it was created with.")),
    }
}

/// The text of a work that isn't there.
pub(crate) fn missing(name: &str) -> Failure {
    Failure::not_found(format!(
        "manifestwork.work.open-cluster-management.io \"{name}\" not found"
    ))
    .hint("List what there is with: maestro-cli list --consumer=CONSUMER")
}

fn bad_search_value(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("search query cannot be empty".to_owned());
    }
    if text.len() > 253 {
        return Some(format!(
            "search query too long: {} characters (max 253)",
            text.len()
        ));
    }
    text.chars().find(|character| !(character.is_ascii_alphanumeric() || "._-".contains(*character))).map(|character| {
        format!("invalid character '{character}' in search query, only alphanumeric, hyphens, underscores, and dots allowed")
    })
}
