//! Many works, page by page.

use manifestwork::ManifestWork;

use super::Works;
use crate::{Error, LabelSelector, bundle::Pages};

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only works with these labels.
    pub label_selector: LabelSelector,
    /// Most works to return; none means all.
    pub limit: Option<usize>,
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
    pub(super) fn begin(works: &Works, selector: &LabelSelector) -> Result<Self, Error> {
        Ok(Self {
            works: works.clone(),
            selector: selector.clone(),
            pages: works.pages(selector)?,
        })
    }

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
