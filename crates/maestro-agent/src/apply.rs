//! Bringing one object to the state of its manifest, by one of four strategies.
//!
//! - [`merge`], [`ignore`], [`drift`], [`owner`]: pure rules
//! - this file: the requests that follow from them
//!
//! See `docs/protocol/work-agent.md`, "Update strategies".

pub mod drift;
pub mod go_text;
pub mod ignore;
pub mod merge;
pub mod owner;

use std::time::Duration;

use kube_access::{Apply, Client, Delete, Error, Patch, Write, object};
use manifestwork::{IgnoreField, UpdateStrategy, UpdateStrategyType};
use serde_json::Value;

use crate::failure::Failure;
use crate::target::Target;
use merge::{Compare, Ownership, Plan};

/// How often a write is tried when somebody else wrote in between.
const CONFLICT_TRIES: u32 = 4;
/// The pause before the first repetition; five times longer each time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(10);

/// How a manifest is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// Never written.
    ReadOnly,
    /// Created if it is missing, then only owned.
    CreateOnly,
    /// Server-side apply.
    ServerSide {
        /// Manager of the fields.
        field_manager: String,
        /// Take fields from others.
        force: bool,
        /// Fields left to others.
        ignore: Vec<IgnoreField>,
    },
    /// Read, merge, replace.
    Update,
}

// === impl Strategy ===

impl Strategy {
    /// Reads the strategy of a manifest; none means Update.
    ///
    /// # Errors
    /// A strategy that isn't known.
    pub fn of(wanted: Option<&UpdateStrategy>) -> Result<Self, Failure> {
        let Some(wanted) = wanted else {
            return Ok(Self::Update);
        };
        match wanted.effective_type() {
            UpdateStrategyType::Update => Ok(Self::Update),
            UpdateStrategyType::CreateOnly => Ok(Self::CreateOnly),
            UpdateStrategyType::ReadOnly => Ok(Self::ReadOnly),
            UpdateStrategyType::ServerSideApply => {
                let options = wanted.server_side_apply.clone().unwrap_or_default();
                Ok(Self::ServerSide {
                    field_manager: options.effective_field_manager().to_owned(),
                    force: options.force,
                    ignore: options.ignore_fields,
                })
            }
            UpdateStrategyType::Other(name) => Err(Failure::other(format!(
                "unsupported update strategy {name:?}"
            ))),
        }
    }

    /// Whether objects are written at all.
    pub fn writes(&self) -> bool {
        *self != Self::ReadOnly
    }
}

/// Applies a manifest and answers with the object as it is now; `None` if the strategy doesn't look.
///
/// # Errors
/// What a condition says about it.
pub async fn apply(
    client: &Client,
    target: &Target,
    mut manifest: Value,
    strategy: &Strategy,
    ownership: Ownership<'_>,
    compare: Compare,
) -> Result<Option<Value>, Failure> {
    if let Some(metadata) = object::metadata_mut(&mut manifest) {
        metadata.remove("uid");
    }
    let live = match strategy {
        Strategy::ReadOnly => return Ok(None),
        Strategy::CreateOnly => create_only(client, target, &manifest, ownership).await?,
        Strategy::ServerSide {
            field_manager,
            force,
            ignore,
        } => {
            let mut options = Apply::new(field_manager.as_str());
            options.force = *force;
            let live = server_side(client, target, manifest, &options, ignore).await?;
            own(client, target, live, ownership).await?
        }
        Strategy::Update => update(client, target, &manifest, ownership, compare).await?,
    };
    Ok(Some(live))
}

async fn server_side(
    client: &Client,
    target: &Target,
    mut manifest: Value,
    options: &Apply,
    rules: &[IgnoreField],
) -> Result<Value, Failure> {
    ignore::remove_null_creation_timestamps(&mut manifest);
    let body = if rules.is_empty() {
        manifest
    } else {
        let prepared = ignore::prepare(manifest, rules).map_err(Failure::ignore_field)?;
        match target.find(client).await? {
            None => prepared.create,
            Some(live) if ignore::live_hash(&live) == Some(prepared.hash.as_str()) => {
                return Ok(live);
            }
            Some(_) => prepared.update,
        }
    };
    let applied = client
        .apply(
            &target.resource,
            target.namespace(),
            &target.name,
            &body,
            options,
        )
        .await?;
    Ok(applied)
}

async fn create_only(
    client: &Client,
    target: &Target,
    manifest: &Value,
    ownership: Ownership<'_>,
) -> Result<Value, Failure> {
    let live = match target.find(client).await? {
        Some(live) => live,
        None => match create(client, target, manifest, ownership).await {
            Ok(created) => return Ok(created),
            // Somebody was faster.
            Err(Error::AlreadyExists(_)) => {
                client
                    .get(&target.resource, target.namespace(), &target.name)
                    .await?
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok(own(client, target, live, ownership).await?)
}

async fn create(
    client: &Client,
    target: &Target,
    manifest: &Value,
    ownership: Ownership<'_>,
) -> Result<Value, Error> {
    let wanted = merge::for_creation(manifest, ownership);
    client
        .create(
            &target.resource,
            target.namespace(),
            &wanted,
            &Write::default(),
        )
        .await
}

async fn update(
    client: &Client,
    target: &Target,
    manifest: &Value,
    ownership: Ownership<'_>,
    compare: Compare,
) -> Result<Value, Failure> {
    let mut pause = CONFLICT_PAUSE;
    let mut tries = 1;
    loop {
        let result = match target.find(client).await? {
            None => create(client, target, manifest, ownership).await,
            Some(live) => {
                let plan =
                    merge::plan(manifest, &live, ownership, compare).map_err(Failure::other)?;
                carry_out(client, target, live, plan).await
            }
        };
        match result {
            Err(Error::Conflict(_) | Error::AlreadyExists(_)) if tries < CONFLICT_TRIES => {
                tokio::time::sleep(pause).await;
                pause *= 5;
                tries += 1;
            }
            result => return Ok(result?),
        }
    }
}

async fn carry_out(
    client: &Client,
    target: &Target,
    live: Value,
    plan: Plan,
) -> Result<Value, Error> {
    match plan {
        Plan::Unchanged => Ok(live),
        Plan::Replace(object) => {
            client
                .replace(
                    &target.resource,
                    target.namespace(),
                    &target.name,
                    &object,
                    &Write::default(),
                )
                .await
        }
        Plan::Recreate(object) => {
            let life = Delete::background_of(object::uid(&live).unwrap_or_default());
            match client
                .delete(&target.resource, target.namespace(), &target.name, &life)
                .await
            {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            client
                .create(
                    &target.resource,
                    target.namespace(),
                    &object,
                    &Write::default(),
                )
                .await
        }
    }
}

/// Adds or removes our owner reference, if that changes anything.
///
/// # Errors
/// What the requests met; a conflict only if others keep on writing.
pub async fn own(
    client: &Client,
    target: &Target,
    mut live: Value,
    ownership: Ownership<'_>,
) -> Result<Value, Error> {
    let mut pause = CONFLICT_PAUSE;
    let mut tries = 1;
    loop {
        let Some(references) = ownership.changed(&live) else {
            return Ok(live);
        };
        let patch = Patch::Merge(owner::patch(&live, &references));
        let result = client
            .patch(
                &target.resource,
                target.namespace(),
                &target.name,
                &patch,
                &Write::default(),
            )
            .await;
        match result {
            Err(Error::Conflict(_)) if tries < CONFLICT_TRIES => {
                tokio::time::sleep(pause).await;
                pause *= 5;
                tries += 1;
                live = client
                    .get(&target.resource, target.namespace(), &target.name)
                    .await?;
            }
            result => return result,
        }
    }
}
