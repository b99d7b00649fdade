//! A transaction whose statements travel together: beginning, reading, writing and committing take two round trips.
//!
//! Statements that are polled together are sent together, in the order of the poll, and run in that order. After the
//! first one that fails the others fail as well, and the commit is a rollback.

use sql_store::postgres::Client;

use super::super::Error;

/// How long a statement may wait for a row that a session without our locks holds; then its batch runs one by one.
const BEGIN: &str = "begin; set local lock_timeout = '2s'";

/// A connection in a transaction. When it is dropped before its end, the connection is closed: nothing that was left
/// open goes back to the pool.
pub(super) struct Unit {
    client: Option<Client>,
}

impl Unit {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: Some(client),
        }
    }

    pub(super) fn client(&self) -> Result<&Client, Error> {
        self.client
            .as_ref()
            .ok_or_else(|| Error::other("the transaction has ended"))
    }

    /// Begins; to be polled before the first statements.
    pub(super) async fn begin(&self) -> Result<(), Error> {
        Ok(self.client()?.batch_execute(BEGIN).await?)
    }

    /// Commits; to be polled after the last statements. Only tells the truth when all of them succeeded.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        Ok(self.client()?.batch_execute("commit").await?)
    }

    /// Ends: the connection goes back to the pool, after a rollback when something failed.
    pub(super) async fn end<T>(mut self, result: Result<T, Error>) -> Result<T, Error> {
        let healthy = match &result {
            Ok(_) => true,
            Err(Error::Unavailable(_)) => false,
            Err(_) => self.client()?.batch_execute("rollback").await.is_ok(),
        };
        if healthy {
            self.client = None;
        }
        result
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}
