//! One SQLite file, owned by one process.
//!
//! ```text
//!  write(f) ──queue──► writer thread ── BEGIN · f₁ · f₂ · … fₙ · COMMIT (fsync) ──► answers
//!  read(f)  ──queue──► reader threads (snapshot of the last commit)
//! ```
//!
//! Writes that arrive while a commit is on its way to the disk share the next one: no timer, the queue fills while the
//! disk works. Each write runs in a savepoint, so that one that fails undoes only itself. An answer means that the write
//! is on disk (write-ahead log, `synchronous=FULL`).

mod readers;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Migration};
use writer::Job;

pub use rusqlite;

/// Writes and reads that wait for their thread; further callers wait for a place in the queue.
const QUEUE: usize = 1024;
/// Reader threads beside the writer.
const READERS: usize = 3;
/// How long a statement waits for another process that holds a lock (backup tools).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that a connection keeps in memory, KiB. Each has its own; behind them is the system's page cache, so this is for what
/// every statement walks through.
const PAGES: i32 = 2 * 1024;
/// Prepared statements kept per connection.
const STATEMENTS: usize = 128;

/// A database file, or one in memory. Cheap to clone; the file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Database {
    writer: mpsc::Sender<Job>,
    /// `None` in memory: there the writer's connection is the only one.
    readers: Option<mpsc::Sender<Job>>,
    _lock: Option<Arc<Lock>>,
}

impl Database {
    /// Opens or creates the file, and applies the `migrations` that its table `migrations` doesn't list yet.
    ///
    /// # Errors
    /// When the file can't be opened, belongs to a running process, or a migration fails.
    pub fn open(path: &Path, migrations: &[Migration]) -> Result<Self, Error> {
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        configure(&connection)?;
        connection.pragma_update(None, "synchronous", "full")?;
        migrate(&mut connection, migrations)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let readers = (0..READERS)
            .map(|_| {
                let reader = Connection::open_with_flags(path, flags)?;
                configure(&reader)?;
                Ok(reader)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            writer: writer::start(connection, QUEUE)?,
            readers: Some(readers::start(readers, QUEUE)?),
            _lock: Some(Arc::new(lock)),
        })
    }

    /// A database that is gone with its last clone.
    ///
    /// # Errors
    /// When a migration fails.
    pub fn in_memory(migrations: &[Migration]) -> Result<Self, Error> {
        let mut connection = Connection::open_in_memory()?;
        configure(&connection)?;
        migrate(&mut connection, migrations)?;
        Ok(Self {
            writer: writer::start(connection, QUEUE)?,
            readers: None,
            _lock: None,
        })
    }

    /// Runs `work` inside of a transaction that it may share with other writes; returns when it is committed.
    /// An error of `work` undoes what it did.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Unavailable`] when the commit failed.
    ///
    /// # Cancel safety
    /// Dropping the future doesn't undo the write: it happens or not.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.try_write(work).await
    }

    /// Like [`Database::write`] with an error type of the caller's; its errors undo the write as well.
    ///
    /// # Errors
    /// As [`Database::write`].
    ///
    /// # Cancel safety
    /// As [`Database::write`].
    pub async fn try_write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        submit(&self.writer, writer::write(work, sender)).await?;
        receiver.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Runs `work` on a snapshot of the last commit. Keep it short: there are only a few reader threads.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let queue = self.readers.as_ref().unwrap_or(&self.writer);
        submit(queue, writer::read(work, sender)).await?;
        receiver.await.unwrap_or_else(|_| Err(closed().into()))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

async fn submit(queue: &mpsc::Sender<Job>, job: Job) -> Result<(), Error> {
    queue.send(job).await.map_err(|_| closed())
}

fn closed() -> Error {
    Error::unavailable("the database thread has ended")
}

fn configure(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -PAGES)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

/// Two processes on one file would not hear of each other's writes.
/// Keeps other processes from a file.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that was just forked has the same handle until it has become another program.
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "The lock of a database file could not be given back.");
        }
    }
}

fn lock(path: &Path) -> Result<Lock, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = std::path::PathBuf::from(name);
    let describe = |error: &dyn std::fmt::Display| format!("{}: {error}", name.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| Error::unavailable(describe(&error)))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::other(format!(
            "{} is in use by another process; stop it, or choose another file",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::unavailable(describe(&error))),
    }
}

fn migrate(connection: &mut Connection, steps: &[Migration]) -> Result<(), Error> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("create table if not exists migrations (id text primary key) strict")?;
    for step in steps {
        let known: bool = transaction.query_row(
            "select exists (select 1 from migrations where id = ?1)",
            [step.id],
            |row| row.get(0),
        )?;
        if !known {
            transaction.execute_batch(step.sql)?;
            transaction.execute("insert into migrations (id) values (?1)", [step.id])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_although_a_child_has_a_copy_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        let held = lock(&path).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(lock(&path).is_err());
        drop(held);
        assert!(lock(&path).is_ok());
        drop(copy);
    }
}
