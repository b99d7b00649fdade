//! Works of one consumer or of all.

use futures::StreamExt as _;

use event_wire::{Action, Stamp, codec::source};
use manifestwork::{ManifestWork, ids};

use crate::{
    Client, Error, LabelSelector, Patch, Watch, WatchOptions,
    backoff::{self, Backoff},
    bundle::{Bundle, Pages, quotable},
    executors,
    grpc::Failure,
    patch, plan,
};

/// How often [`Works::apply`] and [`Works::edit`] read again after somebody else changed the work in between.
pub const CONFLICT_TRIES: u32 = 5;

/// Works whose deletion [`Works::delete_matching`] asks for at the same time.
const DELETIONS_AT_ONCE: usize = 8;

const RESOURCE: &str = "manifestworks.work.open-cluster-management.io";

/// Works of one consumer, or of all. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Works {
    client: Client,
    consumer: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only works with these labels.
    pub label_selector: LabelSelector,
    /// Most works to return; none means all.
    pub limit: Option<usize>,
}

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

/// What [`Works::delete`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The server has taken the request; the work is gone once its agent has confirmed.
    Requested,
    /// Somebody had asked for it before.
    AlreadyRequested,
    /// There is none.
    Absent,
}

/// A work within its consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkName {
    /// The consumer.
    pub consumer: String,
    /// The work's name.
    pub name: String,
}

/// What [`Works::delete_matching`] did.
#[derive(Debug, Clone, Default)]
pub struct Deletions {
    /// The server has taken the request; each is gone once its agent has confirmed.
    pub requested: Vec<WorkName>,
    /// Somebody had asked for these before.
    pub already_requested: Vec<WorkName>,
    /// Could not be asked for. Doing it again tries only these.
    pub failed: Vec<(WorkName, Error)>,
}

// === impl WorkName ===

impl WorkName {
    /// The name of a work.
    #[must_use]
    pub fn of(work: &ManifestWork) -> Self {
        Self {
            consumer: work.metadata.namespace.clone(),
            name: work.metadata.name.clone(),
        }
    }
}

impl std::fmt::Display for WorkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.consumer, self.name)
    }
}

// === impl Deletions ===

impl Deletions {
    /// True if every work was asked to go.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
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
    pub(crate) fn new(client: Client, consumer: Option<&str>) -> Self {
        Self {
            client,
            consumer: consumer.map(str::to_owned),
        }
    }

    /// A work by name. One that is being deleted has a deletion timestamp.
    ///
    /// # Errors
    /// Not found, or the call failed.
    pub async fn get(&self, name: &str) -> Result<ManifestWork, Error> {
        Ok(self.with_executor(self.bundle(name).await?))
    }

    /// A work of which a part will be changed: everything else must be as the server has it.
    async fn get_whole(&self, name: &str) -> Result<ManifestWork, Error> {
        let bundle = self.bundle(name).await?;
        let executors = &self.client.shared.executors;
        // Whoever tells the source tells the executor as well.
        let told = bundle.executor.is_some() || bundle.source.is_some();
        let reported = bundle.status.is_some();
        let mut work = self.with_executor(bundle);
        if told || executors.of(&work).is_some() {
            return Ok(work);
        }
        let learnt = if reported {
            executors::by_report(&self.client, &work).await
        } else {
            None
        };
        match learnt {
            Some(executor) => {
                work.spec.executor = executor;
                executors.remember(&work, work.metadata.generation);
            }
            None => tracing::warn!(
                manifestwork = name,
                "the server doesn't tell whether the work has an executor; a change leaves it without"
            ),
        }
        Ok(work)
    }

    async fn bundle(&self, name: &str) -> Result<Bundle, Error> {
        let id = self.id(name)?;
        let bundle = self
            .client
            .bundles()
            .get(&id)
            .await
            .map_err(|error| match error {
                Error::NotFound { .. } => not_found(name),
                other => other,
            })?;
        // Ids are made by joining names with dashes, so that two works can have the same one.
        if self
            .consumer
            .as_ref()
            .is_some_and(|consumer| *consumer != bundle.consumer_name)
        {
            return Err(not_found(name));
        }
        Ok(bundle)
    }

    /// All works, those being deleted included. What is created or deleted meanwhile hides nothing else.
    ///
    /// # Errors
    /// A call failed.
    pub async fn list(&self, options: &ListOptions) -> Result<Vec<ManifestWork>, Error> {
        let mut walk = self.walk(&options.label_selector)?;
        let limit = options.limit.unwrap_or(usize::MAX);
        let mut works = Vec::new();
        while works.len() < limit {
            let Some(page) = walk.next().await? else {
                break;
            };
            works.extend(page.into_iter().take(limit - works.len()));
        }
        Ok(works)
    }

    /// A walk over works with these labels, for those who don't want all of them in memory.
    ///
    /// # Errors
    /// A consumer that can't exist.
    pub fn walk(&self, selector: &LabelSelector) -> Result<Walk, Error> {
        Ok(Walk {
            pages: self.pages(selector)?,
            works: self.clone(),
            selector: selector.clone(),
        })
    }

    /// Creates a work. The answer has its id and version 1.
    ///
    /// # Errors
    /// It exists, breaks a rule, its consumer isn't registered, or the call failed.
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
                let found = self.in_consumer(&sent).get(&sent.metadata.name).await?;
                if found.metadata.generation == 1 && plan::same_content(&found, &sent) {
                    Ok(found)
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
    /// # Errors
    /// Not found, a conflict, a patch that can't be applied, a rule broken, or the call failed.
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<ManifestWork, Error> {
        let existing = self.get_whole(name).await?;
        let patched = patch::apply(&existing, patch)?;
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
    /// last to apply wins.
    ///
    /// # Errors
    /// A conflict, a rule broken, its consumer isn't registered, it is being deleted, or the call failed.
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
        retry_on_conflict(tries, || works.apply_once(work)).await
    }

    async fn apply_once(&self, work: &ManifestWork) -> Result<Applied, Error> {
        let existing = match self.get(&work.metadata.name).await {
            Ok(existing) => existing,
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
        match plan::step(&existing, work)? {
            plan::Step::Unchanged => Ok(Applied::Unchanged(existing)),
            plan::Step::Update(update) => Ok(Applied::Updated(
                self.update(*update, existing.status).await?,
            )),
        }
    }

    /// Sends a work as an update even if the server has the same. Agents get it again and report again.
    ///
    /// # Errors
    /// Not found, a conflict, a rule broken, it is being deleted, or the call failed.
    pub async fn replace(&self, work: &ManifestWork) -> Result<ManifestWork, Error> {
        let existing = self.in_consumer_of(work)?.get(&work.metadata.name).await?;
        let update = match plan::step(&existing, work)? {
            plan::Step::Update(update) => *update,
            plan::Step::Unchanged => plan::update_of(&existing, work),
        };
        self.update(update, existing.status).await
    }

    /// Reads a work, changes it, writes it back; again on a fresh copy if somebody else was faster.
    ///
    /// # Errors
    /// As [`Works::patch`]; a conflict only after [`CONFLICT_TRIES`] tries.
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
        desired.metadata.generation = existing.metadata.generation;
        match plan::step(&existing, &desired)? {
            plan::Step::Unchanged => Ok(existing),
            plan::Step::Update(update) => self.update(*update, existing.status).await,
        }
    }

    /// Asks for the deletion of a work. It is gone once its agent has confirmed; a watch tells.
    ///
    /// # Errors
    /// The call failed. An absent work is no error.
    pub async fn delete(&self, name: &str) -> Result<Deletion, Error> {
        match self.get(name).await {
            Ok(work) => self.request_deletion(work).await,
            Err(Error::NotFound { .. }) => Ok(Deletion::Absent),
            Err(error) => Err(error),
        }
    }

    async fn request_deletion(&self, mut work: ManifestWork) -> Result<Deletion, Error> {
        let already = work.metadata.is_deleting();
        plan::trace(&mut work, self.client.operation_id());
        work.metadata
            .annotations
            .remove(manifestwork::constants::SEQUENCE_ID_ANNOTATION);
        match self.publish(&work, Action::DeleteRequest).await {
            Ok(()) if already => Ok(Deletion::AlreadyRequested),
            Ok(()) => Ok(Deletion::Requested),
            Err(Failure {
                error: Error::NotFound { .. },
                ..
            }) => Ok(Deletion::Absent),
            Err(failure) => Err(failure.error),
        }
    }

    /// Asks for the deletion of all works with these labels.
    ///
    /// One work that can't be deleted doesn't keep others. Works that are being deleted already are left alone, so doing it
    /// again continues where it stopped, also after a crash.
    ///
    /// # Errors
    /// An empty selector, or works couldn't be listed. What happened to single works is in the answer.
    pub async fn delete_matching(&self, selector: &LabelSelector) -> Result<Deletions, Error> {
        if selector.is_empty() {
            return Err(Error::invalid("an empty selector would delete every work"));
        }
        let mut deletions = Deletions::default();
        let mut walk = self.walk(selector)?;
        while let Some(page) = walk.next().await? {
            let mut asked = futures::stream::iter(page.into_iter().map(|work| async move {
                let name = WorkName::of(&work);
                if work.metadata.is_deleting() {
                    return (name, Ok(Deletion::AlreadyRequested));
                }
                let result = self.request_deletion(work).await;
                (name, result)
            }))
            .buffer_unordered(DELETIONS_AT_ONCE);
            while let Some((name, result)) = asked.next().await {
                match result {
                    Ok(Deletion::Requested) => deletions.requested.push(name),
                    Ok(Deletion::AlreadyRequested) => deletions.already_requested.push(name),
                    Ok(Deletion::Absent) => {}
                    Err(error) => deletions.failed.push((name, error)),
                }
            }
        }
        Ok(deletions)
    }

    /// Follows works: first what is there, then every change, over reconnects. See [`crate::watch`].
    ///
    /// Must be called within a Tokio runtime. Nothing is connected for works that nobody watches.
    #[must_use]
    pub fn watch(&self, options: WatchOptions) -> Watch {
        Watch::start(self.clone(), options)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// A walk over this source's works.
    pub(crate) fn pages(&self, selector: &LabelSelector) -> Result<Pages, Error> {
        let mut terms = vec![format!("source='{}'", self.client.source_id())];
        if let Some(consumer) = &self.consumer {
            terms.push(format!(
                "consumer_name='{}'",
                quotable("consumer", consumer)?
            ));
        }
        // One more operator goes to the walk itself.
        terms.extend(selector.search_terms(terms.len()));
        Ok(self.client.bundles().search(&terms.join(" and ")))
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
                let found = self.in_consumer(&update).get(&update.metadata.name).await?;
                let ours =
                    found.metadata.generation == base + 1 && plan::same_content(&found, &update);
                if ours { Ok(found) } else { Err(error) }
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn publish(&self, work: &ManifestWork, action: Action) -> Result<(), Failure> {
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

    /// The work with its executor, if the server tells it or it is remembered.
    pub(crate) fn with_executor(&self, bundle: Bundle) -> ManifestWork {
        let mut work = ManifestWork::from(bundle);
        if work.spec.executor.is_none() {
            work.spec.executor = self.client.shared.executors.of(&work).flatten();
        }
        work
    }

    fn in_consumer_of(&self, work: &ManifestWork) -> Result<Self, Error> {
        let consumer = plan::namespace(work, self.consumer.as_deref())?.to_owned();
        Ok(Self {
            client: self.client.clone(),
            consumer: Some(consumer),
        })
    }

    fn in_consumer(&self, work: &ManifestWork) -> Self {
        Self {
            client: self.client.clone(),
            consumer: Some(work.metadata.namespace.clone()),
        }
    }

    pub(crate) fn id(&self, name: &str) -> Result<String, Error> {
        let Some(consumer) = &self.consumer else {
            return Err(Error::invalid("a work is addressed within its consumer"));
        };
        if name.is_empty() {
            return Err(Error::invalid("the name of a work is empty"));
        }
        Ok(ids::resource_id(self.client.source_id(), consumer, name).to_string())
    }
}

/// A walk over works, page by page, each work once whatever is created or deleted meanwhile.
#[derive(Debug)]
pub struct Walk {
    works: Works,
    selector: LabelSelector,
    pages: Pages,
}

// === impl Walk ===

impl Walk {
    /// The next works; none at the end. A page may be empty: some labels are matched here. After an error the same page may be
    /// asked for again.
    ///
    /// # Errors
    /// The call failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Vec<ManifestWork>>, Error> {
        let Some(page) = self.pages.next().await? else {
            return Ok(None);
        };
        let works = page
            .into_iter()
            .map(|bundle| self.works.with_executor(bundle))
            .filter(|work| self.selector.matches(&work.metadata.labels));
        Ok(Some(works.collect()))
    }
}

/// Does something again while it ends in a conflict, at most `tries` times. Reading belongs into the operation: a conflict
/// means that what was read is old.
///
/// # Errors
/// The last conflict, or any other error.
pub async fn retry_on_conflict<T, F, Fut>(tries: u32, mut operation: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::default();
    let mut tried = 0;
    loop {
        tried += 1;
        match operation().await {
            Err(error) if error.is_conflict() && tried < tries => {
                tokio::time::sleep(backoff.next(backoff::FIRST)).await;
            }
            result => return result,
        }
    }
}

fn at_version(mut work: ManifestWork, version: i64) -> ManifestWork {
    work.metadata.generation = version;
    work.metadata.resource_version = version.to_string();
    work
}

fn not_found(name: &str) -> Error {
    Error::NotFound {
        resource: RESOURCE,
        name: name.to_owned(),
    }
}
