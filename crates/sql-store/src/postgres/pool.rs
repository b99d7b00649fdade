use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime,
};
use tokio_util::sync::CancellationToken;

use super::config::{Config, ConfigError};
use crate::Error;

/// A pooled connection; see [`tokio_postgres::Client`] and `prepare_cached`.
pub type Client = deadpool_postgres::Client;
/// A transaction on a [`Client`].
pub type Transaction<'a> = deadpool_postgres::Transaction<'a>;

/// First pause between two attempts to reach the database.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to reach the database.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Connections to one database, made when they are needed. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    answer_timeout: Duration,
    suspects: Arc<Suspects>,
}

/// Connections older than the last unanswered statement are closed instead of being used again.
struct Suspects {
    start: Instant,
    /// Milliseconds after `start`; 0 = none.
    before: AtomicU64,
}

impl Suspects {
    fn mark(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.before.fetch_max(now, Ordering::Relaxed);
    }

    fn contain(&self, created: Instant) -> bool {
        let before = self.start + Duration::from_millis(self.before.load(Ordering::Relaxed));
        created < before
    }
}

impl Pool {
    /// Makes the pool without touching the network.
    ///
    /// # Errors
    /// When a certificate file can't be used.
    pub fn connect(config: &Config) -> Result<Self, ConfigError> {
        let manager = Manager::from_config(
            config.server.clone(),
            config.connector()?,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let suspects = Arc::new(Suspects {
            start: Instant::now(),
            before: AtomicU64::new(0),
        });
        let known = Arc::clone(&suspects);
        let first = config.on_connect.clone();
        let inner = deadpool_postgres::Pool::builder(manager)
            .post_create(Hook::async_fn(move |client: &mut ClientWrapper, _| {
                let first = first.clone();
                Box::pin(async move {
                    match first {
                        Some(sql) => client.batch_execute(&sql).await.map_err(HookError::Backend),
                        None => Ok(()),
                    }
                })
            }))
            .max_size(config.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(config.acquire_timeout))
            .create_timeout(Some(config.acquire_timeout))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if known.contain(metrics.created) {
                    return Err(HookError::message("an older statement was never answered"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| ConfigError(error.to_string()))?;
        Ok(Self {
            inner,
            answer_timeout: config.answer_timeout,
            suspects,
        })
    }

    /// A connection, waiting for a free one at most the configured time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none or the database can't be reached; the driver's error when it refuses
    /// us (for example a wrong password).
    pub async fn get(&self) -> Result<Client, Error> {
        self.inner.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Error::from(error),
            PoolError::Timeout(_) => Error::unavailable("no connection within the time limit"),
            other => Error::other(other.to_string()),
        })
    }

    /// Runs `work`, but no longer than the configured answer timeout: a database that is frozen or cut off without a
    /// closed connection must not freeze its users.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after the timeout (whether the work happened is unknown then), otherwise those of `work`.
    pub async fn bounded<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match tokio::time::timeout(self.answer_timeout, work).await {
            Ok(result) => result,
            Err(_) => {
                self.suspects.mark();
                let seconds = self.answer_timeout.as_secs_f64();
                Err(Error::unavailable(format!("no answer within {seconds:.1} s")).into())
            }
        }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none in time.
    pub async fn ping(&self) -> Result<(), Error> {
        self.bounded(async {
            self.get().await?.simple_query("select 1").await?;
            Ok(())
        })
        .await
    }

    /// Waits until the database answers, however long it takes; logs when it starts to wait and when that ends.
    ///
    /// # Errors
    /// The first error that waiting won't cure (wrong password, unknown database), or [`Error::Unavailable`] when
    /// `shutdown` is cancelled first.
    pub async fn wait_until_available(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        let mut waited = false;
        loop {
            match self.ping().await {
                Ok(()) => {
                    if waited {
                        tracing::info!("Database is available.");
                    }
                    return Ok(());
                }
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => {
                    if !waited {
                        tracing::warn!(%error, "Waiting for the database.");
                    }
                    waited = true;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Err(Error::unavailable("shutting down")),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Connections in use and in total, for a metric.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size.saturating_sub(status.available), status.size)
    }

    /// Closes idle connections and refuses new requests.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("status", &self.inner.status())
            .finish_non_exhaustive()
    }
}
