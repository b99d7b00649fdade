//! Accepting connections, also when some can't be accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Pause after a failed `accept` (usually: out of file descriptors), so that the loop does not spin.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two log lines about failures, of all listeners together.
const SILENCE: Duration = Duration::from_secs(10);

/// Connections of `listener`, for `tonic`'s `serve_with_incoming`. A failure is logged (at most every 10 s) and retried after
/// 100 ms, so the stream never ends and never spins.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    futures::stream::unfold(listener, async |listener| {
        let (stream, _) = connection(&listener).await;
        // Without this, small messages wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        Some((Ok(stream), listener))
    })
}

/// The next connection, however long it takes.
///
/// # Cancel safety
/// No connection is lost.
pub(crate) async fn connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    retried(|| listener.accept()).await
}

async fn retried<T, F: Future<Output = io::Result<T>>>(mut accept: impl FnMut() -> F) -> T {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            // The peer gave up while it waited.
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionReset | Interrupted
                ) => {}
            Err(error) => {
                say(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn say(error: &io::Error) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= SILENCE) {
        *last = Some(Instant::now());
        tracing::warn!(%error, "Connections can't be accepted; trying again.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_listener_without_file_descriptors_is_asked_ten_times_a_second() {
        const EMFILE: i32 = 24;
        let (mut asked, started) = (0, Instant::now());
        let accepted = retried(|| {
            asked += 1;
            let out = started.elapsed() < Duration::from_secs(5);
            async move {
                match out {
                    true => Err(io::Error::from_raw_os_error(EMFILE)),
                    false => Ok("a connection"),
                }
            }
        });
        assert_eq!(accepted.await, "a connection");
        assert!((40..=60).contains(&asked), "asked {asked} times");
    }
}
