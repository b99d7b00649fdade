use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::config::{Config, ConfigError};
use crate::Error;

/// What a listener learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody ran `NOTIFY channel, 'payload'`. A hint to look, possibly a duplicate.
    Notify {
        /// Name of the channel.
        channel: String,
        /// Text of the notification; at most 8000 bytes.
        payload: String,
    },
    /// Notifications may have been missed: compare everything. Sent after each (re)connection, when the receiver was
    /// too slow, and every 30 s in any case.
    Resync,
}

/// Notifications held for a slow receiver; further ones are replaced by one [`Notice::Resync`].
const QUEUE: usize = 4096;
/// The longest time without a [`Notice::Resync`].
const RESYNC_INTERVAL: Duration = Duration::from_secs(30);
/// A quiet connection is asked for a sign of life this often: it is told again what to listen to, so that the list of sessions
/// shows what it is for.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A sign of life that takes longer means that the connection is dead.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause between two connection attempts.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// A connection attempt that takes longer is given up; a frozen server accepts connections and never greets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on `channels` with a connection of its own until `shutdown` or until the receiver is dropped. The task never
/// holds a transaction, so it can't fill the server's notification queue.
///
/// # Errors
/// When a certificate file can't be used. Later failures are retried for ever and logged.
pub fn listen(
    config: &Config,
    channels: &[&str],
    shutdown: CancellationToken,
) -> Result<Receiver<Notice>, ConfigError> {
    config.connector()?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let statement: String = channels
        .iter()
        .map(|channel| format!("listen {};", quoted(channel)))
        .collect();
    let config = config.clone();
    tokio::spawn(async move {
        let closed = sender.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = closed.closed() => {}
            () = reconnect(&config, &statement, sender) => {}
        }
    });
    Ok(receiver)
}

/// A name as a quoted SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn reconnect(config: &Config, statement: &str, sender: Sender<Notice>) {
    let mut pause = RECONNECT.0;
    loop {
        let mut listener = Listener {
            sender: &sender,
            missed: true,
            listening: false,
        };
        if let Err(error) = listener.session(config, statement).await {
            tracing::warn!(%error, "Lost the connection that listens for notifications.");
        }
        if listener.listening {
            pause = RECONNECT.0;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RECONNECT.1);
    }
}

struct Listener<'a> {
    sender: &'a Sender<Notice>,
    /// A resync is owed.
    missed: bool,
    /// The connection was good once.
    listening: bool,
}

impl Listener<'_> {
    async fn session(&mut self, config: &Config, statement: &str) -> Result<(), Error> {
        let connector = config
            .connector()
            .map_err(|error| Error::other(error.to_string()))?;
        let connecting = config.server.connect(connector);
        let (client, mut connection) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| Error::unavailable("no greeting in time"))??;
        let mut resync = tokio::time::interval(RESYNC_INTERVAL);
        let mut ping = tokio::time::interval(PING_INTERVAL);
        resync.reset();
        ping.reset();
        // The connection moves bytes only while it is polled, so statements run beside the poll.
        let mut running = Some(Box::pin(tokio::time::timeout(
            PING_TIMEOUT,
            client.batch_execute(statement),
        )));
        loop {
            tokio::select! {
                biased;
                message = poll_fn(|cx| connection.poll_message(cx)) => match message {
                    Some(Ok(AsyncMessage::Notification(note))) => self.forward(&note),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Error::unavailable("the connection was closed")),
                },
                answer = async {
                    match &mut running {
                        Some(statement) => statement.as_mut().await,
                        None => std::future::pending().await,
                    }
                } => {
                    running = None;
                    answer.map_err(|_| Error::unavailable("no answer in time"))??;
                    self.listening = true;
                }
                _ = resync.tick() => self.missed = true,
                _ = ping.tick(), if running.is_none() => {
                    running = Some(Box::pin(tokio::time::timeout(PING_TIMEOUT, client.batch_execute(statement))));
                }
                permit = self.sender.reserve(), if self.missed && self.listening => {
                    let Ok(permit) = permit else { return Ok(()) };
                    permit.send(Notice::Resync);
                    self.missed = false;
                }
            }
        }
    }

    fn forward(&mut self, note: &tokio_postgres::Notification) {
        let notice = Notice::Notify {
            channel: note.channel().to_owned(),
            payload: note.payload().to_owned(),
        };
        if let Err(TrySendError::Full(_)) = self.sender.try_send(notice) {
            self.missed = true;
        }
    }
}
