//! Works as the server has them, the executor included, which upstream's REST API doesn't show.

use manifestwork::ManifestWork;

use super::Works;
use crate::{Error, executors, plan};

/// A work as it was read.
pub(super) struct Read {
    pub(super) work: ManifestWork,
    /// Whether its executor, or that it has none, is known.
    pub(super) whole: bool,
    /// Whether an agent has reported about it: then a report can be asked for.
    reported: bool,
}

// === impl Works ===

impl Works {
    /// A work of which a part will be changed: everything else must be as the server has it.
    pub(super) async fn get_whole(&self, name: &str) -> Result<ManifestWork, Error> {
        let mut read = self.read(name).await?;
        if !read.whole {
            self.learn(&mut read).await;
        }
        if !read.whole {
            tracing::warn!(
                manifestwork = name,
                "the server doesn't tell whether the work has an executor; a change leaves it without"
            );
        }
        Ok(read.work)
    }

    pub(super) async fn read(&self, name: &str) -> Result<Read, Error> {
        let bundle = self.bundle(name).await?;
        // Whoever tells the source tells the executor as well.
        let told = bundle.executor.is_some() || bundle.source.is_some();
        let reported = bundle.status.is_some();
        let work = self.with_executor(bundle);
        Ok(Read {
            whole: told || self.client.shared.executors.of(&work).is_some(),
            work,
            reported,
        })
    }

    /// Asks for the executor, if anybody can tell it.
    pub(super) async fn learn(&self, read: &mut Read) {
        if !read.reported {
            return;
        }
        if let Some(executor) = executors::by_report(&self.client, &read.work).await {
            read.work.spec.executor = executor;
            let version = read.work.metadata.generation;
            self.client.shared.executors.remember(&read.work, version);
            read.whole = true;
        }
    }
}

// === impl Read ===

impl Read {
    /// Whether it is what was sent, as far as it is known.
    pub(super) fn is(&self, sent: &ManifestWork) -> bool {
        if self.whole {
            plan::same_content(&self.work, sent)
        } else {
            plan::same_but_executor(&self.work, sent)
        }
    }
}
