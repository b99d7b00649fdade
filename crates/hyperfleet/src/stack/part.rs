//! One part of the stack: a task that can be stopped by itself, and whose unexpected end is noticed.

use std::fmt;
use std::future::Future;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Says that a part has ended although nobody asked it to.
#[derive(Debug)]
pub struct Ended {
    /// The part.
    pub name: String,
    /// Why, when it said so.
    pub error: Option<anyhow::Error>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{} ended: {error:#}", self.name),
            None => write!(f, "{} ended although nobody asked it to", self.name),
        }
    }
}

/// A running part.
pub struct Part {
    name: String,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Part {
    /// Runs `service` until its token is cancelled; an end before that is sent to `ended`.
    pub fn spawn<F, E>(
        name: impl Into<String>,
        parent: &CancellationToken,
        ended: mpsc::Sender<Ended>,
        service: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        let name = name.into();
        let stop = parent.child_token();
        let running = service(stop.clone());
        let (named, token) = (name.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let result = running.await.map_err(Into::into);
            if token.is_cancelled() {
                return result;
            }
            // Nobody listens any more only while the stack is being torn down.
            let _ = ended
                .send(Ended {
                    name: named,
                    error: result.err(),
                })
                .await;
            Ok(())
        });
        Self { name, stop, task }
    }

    /// Stops it and waits until it has drained.
    ///
    /// # Errors
    /// When the part ended with an error, or panicked.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task
            .await
            .with_context(|| format!("{} panicked", self.name))?
            .with_context(|| format!("stop {}", self.name))
    }
}
