//! The thread that owns the writing connection.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// Writes that share one commit at most: bounds how long the first of them waits.
const GROUP: usize = 500;

/// Work for a database thread.
pub(super) enum Job {
    Write(Box<dyn Write>),
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

/// A write on its way: run inside of a transaction, answered when the fate of the commit is known.
pub(super) trait Write: Send {
    /// Returns whether the changes shall stay.
    fn run(&mut self, connection: &Connection) -> bool;

    fn answer(self: Box<Self>, commit: Result<(), Error>);
}

struct Pending<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    sender: oneshot::Sender<Result<T, E>>,
}

pub(super) fn write<T, E>(
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    sender: oneshot::Sender<Result<T, E>>,
) -> Job
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    Job::Write(Box::new(Pending {
        work: Some(work),
        result: None,
        sender,
    }))
}

impl<F, T, E> Write for Pending<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = guarded(work, connection);
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, commit: Result<(), Error>) {
        let result = match (self.result, commit) {
            (Some(result), Ok(())) => result,
            (Some(Err(error)), Err(_)) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(Error::other("the write was not run").into()),
        };
        // The caller may have gone away; the write counts all the same.
        let _ = self.sender.send(result);
    }
}

pub(super) fn read<T, E>(
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    sender: oneshot::Sender<Result<T, E>>,
) -> Job
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    Job::Read(Box::new(move |connection| {
        if !sender.is_closed() {
            let _ = sender.send(guarded(work, connection));
        }
    }))
}

/// A panic in one caller's closure must not end the thread that serves all of them.
fn guarded<T, E: From<Error>>(
    work: impl FnOnce(&Connection) -> Result<T, E>,
    connection: &Connection,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(|| work(connection)))
        .unwrap_or_else(|_| Err(Error::other("a database operation panicked").into()))
}

pub(super) fn start(connection: Connection, queue: usize) -> Result<mpsc::Sender<Job>, Error> {
    let (sender, receiver) = mpsc::channel(queue);
    std::thread::Builder::new()
        .name("sqlite-writer".into())
        .spawn(move || run(&connection, receiver))
        .map_err(|error| Error::unavailable(format!("start a thread: {error}")))?;
    Ok(sender)
}

fn run(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut next = jobs.blocking_recv();
    while let Some(job) = next {
        next = match job {
            Job::Read(work) => {
                work(connection);
                None
            }
            Job::Write(first) => group(connection, first, &mut jobs),
        };
        if next.is_none() {
            next = jobs.blocking_recv();
        }
    }
    // Leaves a tidy file behind; a crash is repaired from the log instead.
    let _ = connection.execute_batch("pragma optimize; pragma wal_checkpoint(truncate)");
}

/// Runs `first` and all writes that wait behind it in one transaction. Returns a job that can't be part of it.
fn group(
    connection: &Connection,
    first: Box<dyn Write>,
    jobs: &mut mpsc::Receiver<Job>,
) -> Option<Job> {
    let mut leftover = None;
    let mut writes = vec![first];
    let mut outcome = run_cached(connection, "begin immediate");
    while outcome.is_ok() {
        outcome = writes
            .last_mut()
            .map_or(Ok(()), |write| savepoint(connection, write.as_mut()));
        if writes.len() >= GROUP {
            break;
        }
        match jobs.try_recv() {
            Ok(Job::Write(next)) => writes.push(next),
            Ok(other) => {
                leftover = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    if outcome.is_ok() {
        outcome = run_cached(connection, "commit");
    }
    if let Err(error) = &outcome {
        tracing::warn!(%error, writes = writes.len(), "A group of writes was rolled back.");
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("rollback");
        }
    }
    for write in writes {
        write.answer(match &outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(Error::unavailable(format!(
                "nothing was committed: {error}"
            ))),
        });
    }
    leftover
}

/// Runs one write; what it did is undone when it reports an error.
fn savepoint(connection: &Connection, write: &mut dyn Write) -> Result<(), Error> {
    run_cached(connection, "savepoint one")?;
    if !write.run(connection) {
        run_cached(connection, "rollback to one")?;
    }
    run_cached(connection, "release one")
}

fn run_cached(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
