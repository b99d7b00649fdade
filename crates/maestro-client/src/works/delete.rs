//! Deleting works: one, or all with a label.

use event_wire::Action;
use futures::StreamExt as _;
use manifestwork::ManifestWork;

use super::{WorkName, Works};
use crate::{Error, LabelSelector, grpc::Failure, plan};

/// Works whose deletion [`Works::delete_matching`] asks for at the same time.
const DELETIONS_AT_ONCE: usize = 8;

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

// === impl Deletions ===

impl Deletions {
    /// True if every work was asked to go.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

// === impl Works ===

impl Works {
    /// Asks for the deletion of a work. It is gone once its agent has confirmed; a watch tells.
    ///
    /// # Errors
    /// The call failed. An absent work is no error.
    ///
    /// # Cancel safety
    /// A write that is dropped may have happened: see [`crate::works`].
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
    ///
    /// # Cancel safety
    /// Dropping the future stops half way; doing it again does the rest.
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
}
