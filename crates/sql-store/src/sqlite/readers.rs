//! The threads that own reading connections.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::writer::Job;
use crate::Error;

/// Starts one thread per connection; they share a queue.
pub(super) fn start(
    connections: Vec<Connection>,
    queue: usize,
) -> Result<mpsc::Sender<Job>, Error> {
    let (sender, receiver) = mpsc::channel(queue);
    let receiver = Arc::new(Mutex::new(receiver));
    for (number, connection) in connections.into_iter().enumerate() {
        let receiver = Arc::clone(&receiver);
        std::thread::Builder::new()
            .name(format!("sqlite-reader-{number}"))
            .spawn(move || run(&connection, &receiver))
            .map_err(|error| Error::unavailable(format!("start a thread: {error}")))?;
    }
    Ok(sender)
}

fn run(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // The thread that holds the lock waits for the next job; the others wait for the lock.
        let job = jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(Job::Read(work)) = job else { return };
        // One transaction, so that all statements of the job see the same commit.
        let _ = connection.execute_batch("begin deferred");
        work(connection);
        let _ = connection.execute_batch("rollback");
    }
}
