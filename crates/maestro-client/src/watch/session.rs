//! The task behind a watch: wait for the subscription, list, follow, and again.

use std::{convert::Infallible, sync::Arc};

use manifestwork::ManifestWork;
use tokio::{sync::mpsc, time::Instant};

use super::{
    MIN_RELIST, WatchError, WatchEvent, WatchOptions,
    feed::{Feed, Member},
    mailbox::{Gap, Interest},
    tracker::{Heard, Tracker},
};
use crate::{Bundle, Error, Works, backoff::Backoff, bundle::Pages, grpc::longest_wait};

/// Why a round ended.
enum End {
    /// Nobody reads any more.
    Dropped,
    /// The subscription is another one, or none.
    Link,
    /// Reports were dropped: the reader was slow, or it is time for a list anyway.
    Behind,
    /// The list failed.
    List(Error),
}

/// Runs until nobody reads any more.
pub(super) async fn run(works: Works, options: WatchOptions, sender: mpsc::Sender<WatchEvent>) {
    let mut tracker = Tracker::new(works.consumer(), options.clone());
    let interest = Interest {
        consumer: works.consumer().map(str::to_owned),
        name: options.name.clone(),
    };
    let mut member = Feed::join(works.client(), interest);
    let output = Output { sender };
    let mut backoff = Backoff::default();
    loop {
        let subscription = match member.open().await {
            Ok(number) => number,
            Err(error) => match output.interrupted(error).await {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let round = Round {
            works: &works,
            options: &options,
            member: &member,
            output: &output,
            subscription,
        };
        let end = match round.run(&mut tracker, &mut backoff).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        match end {
            End::Dropped => return,
            End::Link => {}
            End::Behind => tracing::debug!("watch lists again"),
            End::List(error) => {
                let wait = backoff.next(longest_wait(&error));
                tracing::debug!(error = %error, ?wait, "watch can't list");
                if output.interrupted(error).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// One list and what follows it.
struct Round<'a> {
    works: &'a Works,
    options: &'a WatchOptions,
    member: &'a Member,
    output: &'a Output,
    subscription: u64,
}

impl Round<'_> {
    async fn run(&self, tracker: &mut Tracker, backoff: &mut Backoff) -> Result<Infallible, End> {
        self.member.begin();
        self.list(tracker).await?;
        // What came while the list was read.
        while let Some(work) = self.member.take(self.subscription)? {
            self.reported(tracker, owned(work)).await?;
        }
        self.output.send(WatchEvent::Synced).await?;
        backoff.reset();
        tracing::debug!("watch synced");
        // Longer than clocks can tell is never.
        let due = self
            .options
            .relist_every
            .and_then(|every| Instant::now().checked_add(every.max(MIN_RELIST)));
        loop {
            let work = self.member.next(self.subscription);
            let work = match due {
                None => work.await?,
                Some(due) => tokio::time::timeout_at(due, work)
                    .await
                    .map_err(|_| End::Behind)??,
            };
            self.reported(tracker, owned(work)).await?;
        }
    }

    async fn reported(&self, tracker: &mut Tracker, work: ManifestWork) -> Result<(), End> {
        match tracker.reported(work) {
            Heard::Tell(events) => self.output.all(events).await,
            Heard::Ask(id) => self.look_up(tracker, &id).await,
        }
    }

    /// Passes on what the server has under an id; nothing if it has none. The id is the one that was heard: only works of sources
    /// like this one have ids that follow from their names.
    async fn look_up(&self, tracker: &mut Tracker, id: &str) -> Result<(), End> {
        let bundles = self.works.client().bundles();
        match self.unless_closed(bundles.get(id)).await? {
            Ok(bundle) => self.listed(tracker, bundle).await,
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(End::List(error)),
        }
    }

    async fn listed(&self, tracker: &mut Tracker, bundle: Bundle) -> Result<(), End> {
        let born = bundle.created_at;
        let work = self.works.with_executor(bundle);
        self.output.all(tracker.listed(work, born)).await
    }

    async fn list(&self, tracker: &mut Tracker) -> Result<(), End> {
        tracker.begin_list();
        match &self.options.name {
            Some(name) => {
                let found = self.unless_closed(self.works.named(name)).await?;
                for bundle in found.map_err(End::List)? {
                    self.listed(tracker, bundle).await?;
                }
                // Of several works with one name not all need have been found.
                for id in tracker.unlisted() {
                    self.look_up(tracker, &id).await?;
                }
            }
            None => {
                let mut pages = self
                    .works
                    .pages(&self.options.label_selector)
                    .map_err(End::List)?;
                while let Some(page) = self
                    .unless_closed(self.page(&mut pages))
                    .await?
                    .map_err(End::List)?
                {
                    for bundle in page {
                        self.listed(tracker, bundle).await?;
                    }
                }
            }
        }
        self.output.all(tracker.end_list()).await
    }

    /// One page; a client with many watches doesn't ask for all of them at once.
    async fn page(&self, pages: &mut Pages) -> Result<Option<Vec<Bundle>>, Error> {
        let _turn = self.works.client().shared.lists.acquire().await;
        pages.next().await
    }

    /// Does something for as long as the subscription stands.
    async fn unless_closed<T>(&self, what: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            done = what => Ok(done),
            () = self.member.closed(self.subscription) => Err(End::Link),
        }
    }
}

impl From<Gap> for End {
    fn from(gap: Gap) -> Self {
        match gap {
            Gap::Link => Self::Link,
            Gap::Overflow => Self::Behind,
        }
    }
}

fn owned(work: Arc<ManifestWork>) -> ManifestWork {
    Arc::unwrap_or_clone(work)
}

/// The writing end of the watch.
struct Output {
    sender: mpsc::Sender<WatchEvent>,
}

impl Output {
    async fn send(&self, event: WatchEvent) -> Result<(), End> {
        self.sender.send(event).await.map_err(|_| End::Dropped)
    }

    async fn all(&self, events: Vec<WatchEvent>) -> Result<(), End> {
        for event in events {
            self.send(event).await?;
        }
        Ok(())
    }

    async fn interrupted(&self, error: Error) -> Result<(), End> {
        self.send(WatchEvent::Interrupted(WatchError(error))).await
    }
}
