//! A source that listens by itself: keeps a stream open, comes back whenever it ends, and asks for what it missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Error, Seen, Source, Stage};

const RETRY: Duration = Duration::from_millis(200);

/// A listening source. Dropping it ends it.
pub struct Watcher {
    stage: Stage,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// The last status of each resource, by id.
pub type Statuses = BTreeMap<String, Arc<Seen>>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    last: Statuses,
    streams: u64,
    connected: bool,
    backwards: Vec<Arc<Seen>>,
}

impl Watcher {
    /// Starts listening for a source; returns at once, [`Watcher::joined`] waits for the first stream.
    #[must_use]
    pub fn start(address: &str, source: &str, stage: &Stage) -> Self {
        let shared = Arc::<Shared>::default();
        let life = run(
            address.to_owned(),
            source.to_owned(),
            stage.clone(),
            Arc::clone(&shared),
        );
        Self {
            stage: stage.clone(),
            shared,
            task: tokio::spawn(life),
        }
    }

    /// The last status of each resource, in the order of sequence ids.
    #[must_use]
    pub fn statuses(&self) -> Statuses {
        self.shared.state().last.clone()
    }

    /// How many streams were opened so far.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.shared.state().streams
    }

    /// Statuses that came after a newer one of the same version, as repetitions may.
    #[must_use]
    pub fn backwards(&self) -> Vec<Arc<Seen>> {
        self.shared.state().backwards.clone()
    }

    /// Waits for a stream.
    ///
    /// # Errors
    /// There is none in time (30 s, scaled).
    pub async fn joined(&self) -> Result<(), Error> {
        self.wait(Duration::from_secs(30), "a stream of the source", |state| {
            state.connected
        })
        .await
    }

    /// Waits until the statuses are as wanted (limit scaled).
    ///
    /// # Errors
    /// They aren't in time.
    pub async fn until(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Statuses) -> bool,
    ) -> Result<(), Error> {
        self.wait(limit, what, |state| wanted(&state.last)).await
    }

    async fn wait(
        &self,
        limit: Duration,
        what: &str,
        look: impl Fn(&State) -> bool,
    ) -> Result<(), Error> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if look(&self.shared.state()) {
                    return;
                }
                changed.await;
            }
        };
        self.stage.within(limit, what, waiting).await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }
}

async fn run(address: String, id: String, stage: Stage, shared: Arc<Shared>) {
    loop {
        if let Err(error) = attend(&address, &id, &stage, &shared).await {
            stage.recording.note(format!("source {id}: {error}"));
        }
        shared.change(|state| state.connected = false);
        tokio::time::sleep(stage.scale.of(RETRY)).await;
    }
}

async fn attend(address: &str, id: &str, stage: &Stage, shared: &Shared) -> Result<(), Error> {
    let source = Source::connect(address, id, stage).await?;
    let mut stream = source.subscribe().await?;
    shared.change(|state| state.streams += 1);
    source.resync(&[]).await?;
    shared.change(|state| state.connected = true);
    loop {
        match stream.next().await {
            Ok(seen) => shared.change(|state| take(state, seen)),
            Err(Error::Deadline { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn take(state: &mut State, seen: Arc<Seen>) {
    let older = |last: &Arc<Seen>| match (seen.sequence(), last.sequence()) {
        (Some(new), Some(old)) => {
            seen.version() <= last.version() && old.is_newer_than(Some(new)).unwrap_or(false)
        }
        _ => false,
    };
    if state.last.get(seen.id()).is_some_and(older) {
        state.backwards.push(seen);
    } else {
        state.last.insert(seen.id().to_owned(), seen);
    }
}
