//! Questions about works, by name.

use super::{Works, not_found};
use crate::{
    Error,
    explain::{Explanation, Resend},
};

impl Works {
    /// Explains where a work is and what it waits for. [`Client::explain`](crate::Client::explain) is the same by uid.
    ///
    /// # Errors
    /// Not found, several works of that name, a server that can't explain, or a call failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn explain(&self, name: &str) -> Result<Explanation, Error> {
        let id = self.only(name).await?;
        let answer = self.client.explain(&id).await;
        answer.map_err(|error| by_name(error, name))
    }

    /// Asks for one more delivery of a work, wherever its agent is connected. [`Client::resend`](crate::Client::resend) is the same
    /// by uid.
    ///
    /// # Errors
    /// Not found, several works of that name, a server that can't do it, or a call failed.
    ///
    /// # Cancel safety
    /// A delivery that is dropped may have been asked for; asking twice does no harm.
    pub async fn resend(&self, name: &str) -> Result<Resend, Error> {
        let id = self.only(name).await?;
        let answer = self.client.resend(&id).await;
        answer.map_err(|error| by_name(error, name))
    }

    /// The uid of the only work with this name.
    async fn only(&self, name: &str) -> Result<String, Error> {
        let mut found = self.named(name).await?;
        let Some(one) = found.pop() else {
            return Err(not_found(name));
        };
        if found.is_empty() {
            return Ok(one.id);
        }
        let ids: Vec<String> = found.into_iter().chain([one]).map(|work| work.id).collect();
        Err(Error::invalid(format!(
            "{} works are named {name:?}, which one is meant must be said by uid: {}",
            ids.len(),
            ids.join(", ")
        )))
    }
}

fn by_name(error: Error, name: &str) -> Error {
    match error {
        Error::NotFound { .. } => not_found(name),
        other => other,
    }
}
