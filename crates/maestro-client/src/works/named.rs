//! Works by name, whatever their ids are.

use super::{NAME, Works};
use crate::{Bundle, Error, bundle::quotable};

impl Works {
    /// The works with this name in the consumer; rarely more than one. Where one has the id that follows from the name, only that one.
    ///
    /// Sources like this one make ids from names. Whoever publishes by other means chooses ids freely, and the server takes them:
    /// those are searched for, which costs more than a look at an id and is done only if there is none.
    pub(crate) async fn named(&self, name: &str) -> Result<Vec<Bundle>, Error> {
        match self.bundle(name).await {
            Ok(bundle) => return Ok(vec![bundle]),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut terms = self.scope()?;
        let everything = terms.join(" and ");
        terms.push(format!(
            "payload->'metadata'->>'name' = '{}'",
            quotable(NAME, name)?
        ));
        match self.walk_for(name, &terms.join(" and ")).await {
            // A server that can't search in the payload.
            Err(Error::Invalid { .. }) => self.walk_for(name, &everything).await,
            other => other,
        }
    }

    async fn walk_for(&self, name: &str, search: &str) -> Result<Vec<Bundle>, Error> {
        let mut pages = self.client.bundles().search(search);
        let mut found = Vec::new();
        loop {
            // As for other lists, a client with many watches doesn't ask for all of them at once.
            let turn = self.client.shared.lists.acquire().await;
            let page = pages.next().await?;
            drop(turn);
            let Some(page) = page else {
                return Ok(found);
            };
            found.extend(page.into_iter().filter(|bundle| bundle.work_name() == name));
        }
    }
}
