//! Works of one consumer or of all.
//!
//! Reading order: here what is read, [`named`] (whatever the ids are), [`walk`] (page by page), [`whole`] (with its
//! executor), [`change`] (create, patch, apply, edit), [`delete`] (one, or by label), [`retry`] (again after a conflict),
//! [`question`] (where it is, and once more).
//!
//! Every call is bounded: by [`Config::request_timeout`](crate::Config::request_timeout) for each request, and by
//! [`Config::wait_for_server`](crate::Config::wait_for_server) for a server that can't be reached.
//!
//! # Cancel safety
//! Dropping the future of a read loses nothing. Dropping that of a write leaves open whether the server has stored it, as does a
//! write that ends with [`Error::Timeout`]; [`Works::apply`], [`Works::edit`], [`Works::delete`] and [`Works::delete_matching`] look
//! at what is stored and may be called again.

mod change;
mod delete;
mod named;
mod question;
mod retry;
mod walk;
mod whole;

use manifestwork::{ManifestWork, ids};

use crate::{
    Client, Error, LabelSelector, Watch, WatchOptions,
    bundle::{Bundle, Pages, quotable},
    plan,
};

pub use change::{Applied, CONFLICT_TRIES};
pub use delete::{Deletion, Deletions};
pub use retry::retry_on_conflict;
pub use walk::{ListOptions, Walk};

const RESOURCE: &str = "manifestworks.work.open-cluster-management.io";

/// What errors call a name.
const NAME: &str = "the name of a work";

/// Works of one consumer, or of all. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Works {
    client: Client,
    consumer: Option<String>,
}

/// A work within its consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkName {
    /// The consumer.
    pub consumer: String,
    /// The work's name.
    pub name: String,
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
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn get(&self, name: &str) -> Result<ManifestWork, Error> {
        Ok(self.with_executor(self.bundle(name).await?))
    }

    pub(crate) async fn bundle(&self, name: &str) -> Result<Bundle, Error> {
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

    /// All works by resource id, those being deleted included. What is created or deleted meanwhile hides nothing else. Memory grows
    /// with their number: [`Works::walk`] goes page by page.
    ///
    /// # Errors
    /// A call failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
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
        Walk::begin(self, selector)
    }

    /// Follows works: first what is there, then every change, over reconnects. See [`crate::watch`].
    ///
    /// Must be called within a Tokio runtime. Nothing is connected for works that nobody watches.
    ///
    /// What can never be had is told as [`WatchEvent::Interrupted`](crate::WatchEvent::Interrupted) with class
    /// [`Error::Invalid`], and the watch ends: a consumer or a name that can't exist, or a name among the works of all consumers.
    #[must_use]
    pub fn watch(&self, options: WatchOptions) -> Watch {
        Watch::start(self.clone(), options)
    }

    /// Whether a watch can ever work, as far as that is known without a server.
    pub(crate) fn can_watch(&self, options: &WatchOptions) -> Result<(), Error> {
        self.scope()?;
        if let Some(name) = &options.name {
            self.id(name)?;
            quotable(NAME, name)?;
        }
        Ok(())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// A walk over this source's works.
    pub(crate) fn pages(&self, selector: &LabelSelector) -> Result<Pages, Error> {
        let mut terms = self.scope()?;
        // One more operator goes to the walk itself.
        terms.extend(selector.search_terms(terms.len()));
        Ok(self.client.bundles().search(&terms.join(" and ")))
    }

    /// What a search for these works begins with.
    pub(crate) fn scope(&self) -> Result<Vec<String>, Error> {
        let mut terms = vec![format!("source='{}'", self.client.source_id())];
        if let Some(consumer) = &self.consumer {
            terms.push(format!(
                "consumer_name='{}'",
                quotable("consumer", consumer)?
            ));
        }
        Ok(terms)
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
            return Err(Error::invalid(format!("{NAME} is empty")));
        }
        Ok(ids::resource_id(self.client.source_id(), consumer, name).to_string())
    }
}

fn not_found(name: &str) -> Error {
    Error::NotFound {
        resource: RESOURCE,
        name: name.to_owned(),
    }
}
