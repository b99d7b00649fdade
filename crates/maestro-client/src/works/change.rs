//! Creating and changing works.

use event_wire::{Action, Stamp, codec::source};
use manifestwork::ManifestWork;

use super::{Works, retry::retry_on_conflict};
use crate::{
    Error, Patch,
    backoff::{self, Backoff},
    grpc::Failure,
    patch, plan,
};

/// How often [`Works::apply`] and [`Works::edit`] read again after somebody else changed the work in between.
pub const CONFLICT_TRIES: u32 = 5;

/// What [`Works::apply`] did.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// There was none.
    Created(ManifestWork),
    /// It was different.
    Updated(ManifestWork),
    /// It was the same; nothing was sent.
    Unchanged(ManifestWork),
}

// === impl Applied ===

impl Applied {
    /// The work as the server has it now.
    #[must_use]
    pub fn work(&self) -> &ManifestWork {
        match self {
            Self::Created(work) | Self::Updated(work) | Self::Unchanged(work) => work,
        }
    }

    /// The work as the server has it now.
    #[must_use]
    pub fn into_work(self) -> ManifestWork {
        match self {
            Self::Created(work) | Self::Updated(work) | Self::Unchanged(work) => work,
        }
    }
}

// === impl Works ===

impl Works {
    /// Creates a work. The answer has its id and version 1.
    ///
    /// Finalizers and owner references are left out: agents would keep them on their copy, where nobody removes them.
    ///
    /// # Errors
    /// It exists, breaks a rule, its consumer isn't registered, or the call failed.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
    pub async fn create(&self, work: &ManifestWork) -> Result<ManifestWork, Error> {
        let mut sent = plan::new_work(work, self.client.source_id(), self.consumer.as_deref())?;
        plan::trace(&mut sent, self.client.operation_id());
        match self.publish(&sent, Action::CreateRequest).await {
            Ok(()) => Ok(at_version(sent, 1)),
            // An earlier try of ours may be what exists now.
            Err(Failure {
                error: error @ Error::AlreadyExists { .. },
                repeated: true,
            }) => {
                let found = self.in_consumer(&sent).read(&sent.metadata.name).await?;
                if found.work.metadata.generation == 1 && found.is(&sent) {
                    self.client.shared.executors.remember(&sent, 1);
                    Ok(as_sent(found.work, sent))
                } else {
                    Err(error)
                }
            }
            Err(Failure {
                error: Error::ConsumerNotFound { .. },
                ..
            }) => Err(Error::ConsumerNotFound {
                consumer: sent.metadata.namespace,
            }),
            Err(failure) => Err(failure.error),
        }
    }

    /// Changes a part of a work. The change is based on the version that is read first, unless the patch names
    /// another in `metadata.generation` (0 asks for no check).
    ///
    /// An update leaves out finalizers and owner references, also those that another client had given the work. A patch that changes
    /// them is refused.
    ///
    /// # Errors
    /// Not found, a conflict, it is being deleted, a patch that can't be applied, a rule broken, or the call failed.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<ManifestWork, Error> {
        let existing = self.get_whole(name).await?;
        let patched = patch::apply(&existing, patch)?;
        plan::same_keepers(&existing, &patched)?;
        let mut update = plan::update_of(&existing, &patched);
        update.metadata.generation = patched.metadata.generation;
        if plan::same_content(&existing, &update)
            && update.metadata.generation == existing.metadata.generation
        {
            return Ok(existing);
        }
        plan::ready(&existing, &update)?;
        self.update(update, existing.status).await
    }

    /// Makes the server have this work: creates it, updates it, or finds that nothing is to be done.
    ///
    /// A work with a generation must be based on the version that the server has, otherwise it is a conflict; without one, the
    /// last to apply wins. Finalizers and owner references are left out, as in [`Works::create`].
    ///
    /// Where the server doesn't show executors, and this client hasn't seen the work before, a report is asked for if all else is
    /// equal and the work names one. That an executor is to be taken away isn't noticed there: [`Works::replace`] does it.
    ///
    /// # Errors
    /// A conflict, a rule broken, its consumer isn't registered, it is being deleted, or the call failed.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
    pub async fn apply(&self, work: &ManifestWork) -> Result<Applied, Error> {
        let consumer = plan::namespace(work, self.consumer.as_deref())?.to_owned();
        let works = Self {
            client: self.client.clone(),
            consumer: Some(consumer),
        };
        let tries = if work.metadata.generation == 0 {
            CONFLICT_TRIES
        } else {
            1
        };
        // On the heap: it is all changes in one, and every future of a caller would be as large as it.
        retry_on_conflict(tries, || Box::pin(works.apply_once(work))).await
    }

    async fn apply_once(&self, work: &ManifestWork) -> Result<Applied, Error> {
        let mut read = match self.read(&work.metadata.name).await {
            Ok(read) => read,
            Err(Error::NotFound { .. }) if work.metadata.generation == 0 => {
                return match self.create(work).await {
                    Ok(created) => Ok(Applied::Created(created)),
                    // Somebody was faster: the next round compares.
                    Err(Error::AlreadyExists { .. }) => Err(Error::Conflict {
                        message: format!(
                            "work {:?} was created by somebody else at the same time",
                            work.metadata.name
                        ),
                        latest: None,
                    }),
                    Err(error) => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        if !read.whole && plan::only_executor_differs(&read.work, work) {
            self.learn(&mut read).await;
        }
        let existing = read.work;
        match plan::step(&existing, work)? {
            plan::Step::Unchanged => Ok(Applied::Unchanged(existing)),
            plan::Step::Update(update) => Ok(Applied::Updated(
                self.update(*update, existing.status).await?,
            )),
        }
    }

    /// Sends a work as an update even if the server has the same. Agents get it again and report again. Finalizers and owner
    /// references are left out.
    ///
    /// # Errors
    /// Not found, a conflict, a rule broken, it is being deleted, or the call failed.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
    pub async fn replace(&self, work: &ManifestWork) -> Result<ManifestWork, Error> {
        let existing = self.in_consumer_of(work)?.get(&work.metadata.name).await?;
        let update = match plan::step(&existing, work)? {
            plan::Step::Update(update) => *update,
            plan::Step::Unchanged => plan::update_of(&existing, work),
        };
        self.update(update, existing.status).await
    }

    /// Reads a work, changes it, writes it back; again on a fresh copy if somebody else was faster. As with [`Works::patch`],
    /// finalizers and owner references can't be changed.
    ///
    /// # Errors
    /// As [`Works::patch`]; a conflict only after [`CONFLICT_TRIES`] tries.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
    pub async fn edit(
        &self,
        name: &str,
        mut change: impl FnMut(&mut ManifestWork) + Send,
    ) -> Result<ManifestWork, Error> {
        let mut backoff = Backoff::default();
        let mut tried = 0;
        loop {
            tried += 1;
            match self.edit_once(name, &mut change).await {
                Err(error) if error.is_conflict() && tried < CONFLICT_TRIES => {
                    tokio::time::sleep(backoff.next(backoff::FIRST)).await;
                }
                result => return result,
            }
        }
    }

    async fn edit_once(
        &self,
        name: &str,
        change: &mut (impl FnMut(&mut ManifestWork) + Send),
    ) -> Result<ManifestWork, Error> {
        let existing = self.get_whole(name).await?;
        let mut desired = existing.clone();
        change(&mut desired);
        plan::same_keepers(&existing, &desired)?;
        desired.metadata.generation = existing.metadata.generation;
        match plan::step(&existing, &desired)? {
            plan::Step::Unchanged => Ok(existing),
            plan::Step::Update(update) => self.update(*update, existing.status).await,
        }
    }

    /// Sends an update. The version that it is based on travels with it.
    async fn update(
        &self,
        mut update: ManifestWork,
        status: manifestwork::Status,
    ) -> Result<ManifestWork, Error> {
        plan::trace(&mut update, self.client.operation_id());
        let base = update.metadata.generation;
        match self.publish(&update, Action::UpdateRequest).await {
            // Without a base nobody knows which version it has become.
            Ok(()) => {
                let version = if base == 0 { 0 } else { base + 1 };
                Ok(ManifestWork {
                    status,
                    ..at_version(update, version)
                })
            }
            // An earlier try of ours may be what is in the way.
            Err(Failure {
                error: error @ Error::Conflict { .. },
                repeated: true,
            }) => {
                let works = self.in_consumer(&update);
                let found = works.read(&update.metadata.name).await?;
                if found.work.metadata.generation == base + 1 && found.is(&update) {
                    self.client.shared.executors.remember(&update, base + 1);
                    Ok(as_sent(found.work, update))
                } else {
                    Err(error)
                }
            }
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn publish(&self, work: &ManifestWork, action: Action) -> Result<(), Failure> {
        let sure = |error: Error| Failure {
            error,
            repeated: false,
        };
        let mut event =
            source::encode_spec(work, action.clone(), self.client.source_id(), Stamp::now())
                .map_err(|error| sure(Error::invalid(error.to_string())))?;
        if let Some(trace) = self.client.trace() {
            trace.lend_to(&mut event);
        }
        self.client
            .shared
            .grpc
            .publish(&event, &work.metadata.name)
            .await?;
        let executors = &self.client.shared.executors;
        match action {
            Action::CreateRequest => executors.remember(work, 1),
            Action::UpdateRequest if work.metadata.generation > 0 => {
                executors.remember(work, work.metadata.generation + 1);
            }
            _ => executors.forget(&work.metadata.uid),
        }
        Ok(())
    }
}

/// What the server has of a work that we have sent; it may not show the executor.
fn as_sent(found: ManifestWork, sent: ManifestWork) -> ManifestWork {
    let mut work = found;
    work.spec.executor = sent.spec.executor;
    work
}

fn at_version(mut work: ManifestWork, version: i64) -> ManifestWork {
    work.metadata.generation = version;
    work.metadata.resource_version = version.to_string();
    work
}
