//! Reports of adapters.

use hyperfleet_types::{AdapterStatus, AdapterStatusRequest, List};
use reqwest::Method;

use crate::{error::Error, resources::segment, transport::Client};

/// Statuses of one resource.
pub struct Statuses<'c> {
    client: &'c Client,
    path: String,
}

/// What the API did with a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// It is stored.
    Stored(Box<AdapterStatus>),
    /// It told nothing new: outdated, for a generation that does not exist, or `Available=Unknown` again.
    Discarded,
}

impl<'c> Statuses<'c> {
    pub(crate) fn new(client: &'c Client, plural: &str, id: &str) -> Self {
        Self {
            client,
            path: format!("{plural}/{}/statuses", segment(id)),
        }
    }

    /// The last report of every adapter (at most 100).
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the resource is gone, and any other [`Error`].
    pub async fn list(&self) -> Result<List<AdapterStatus>, Error> {
        self.client
            .request(Method::GET, &format!("{}?size=100", self.path), None)
            .await?
            .json()
    }

    /// Reports. Repeating a report is harmless.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the resource is gone (which is success for who reports `Finalized`), and any other [`Error`].
    pub async fn put(&self, report: &AdapterStatusRequest) -> Result<Reported, Error> {
        let body =
            serde_json::to_value(report).map_err(|error| Error::Config(error.to_string()))?;
        let response = self
            .client
            .request(Method::PUT, &self.path, Some(body))
            .await?;
        if response.status == 204 {
            Ok(Reported::Discarded)
        } else {
            Ok(Reported::Stored(Box::new(response.json()?)))
        }
    }
}
