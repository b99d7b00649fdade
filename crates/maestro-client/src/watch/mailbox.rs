//! What waits for one watch: the latest report of each work, up to a number of bytes, and whether the subscription stands.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use manifestwork::ManifestWork;
use tokio::sync::Notify;

use crate::Error;

/// The subscription as watches see it.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// The first try is on its way.
    Opening,
    /// Registered at the server; the number tells one subscription from the next.
    Open(u64),
    /// Lost, or not to be had; the number counts failures.
    Broken(u64, Error),
    /// Nobody keeps it up any more: the runtime that did has ended.
    Abandoned,
}

/// A status report as the stream brought it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) work: Arc<ManifestWork>,
    /// About how many bytes it takes.
    pub(super) size: usize,
}

/// Why a watch has to list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The subscription is another one, or none.
    Link,
    /// The reader was too slow: reports were dropped.
    Overflow,
}

/// Which works a watch wants, by what never changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interest {
    pub(crate) consumer: Option<String>,
    pub(crate) name: Option<String>,
}

/// The place between the one subscription and one watch.
///
/// Putting never waits. When more bytes wait than the limit, everything that waits is dropped and the watch learns that it has
/// to list again; until then nothing more is kept.
#[derive(Debug)]
pub(super) struct Mailbox {
    interest: Interest,
    limit: usize,
    contents: Mutex<Contents>,
    bell: Notify,
}

#[derive(Debug)]
struct Contents {
    link: Link,
    waiting: Waiting,
    overflowed: bool,
}

/// The last report of each work, and the end of a work beside it, in the order in which they came.
#[derive(Debug, Default)]
struct Waiting {
    by_place: BTreeMap<u64, Report>,
    places: HashMap<(String, bool), u64>,
    next: u64,
    size: usize,
}

// === impl Mailbox ===

impl Mailbox {
    pub(super) fn new(interest: Interest, limit: usize, link: Link) -> Self {
        Self {
            interest,
            limit,
            contents: Mutex::new(Contents {
                link,
                waiting: Waiting::default(),
                overflowed: false,
            }),
            bell: Notify::new(),
        }
    }

    pub(super) fn set_link(&self, link: Link) {
        self.lock().link = link;
        self.bell.notify_one();
    }

    pub(super) fn put(&self, report: &Report) {
        if !self.interest.includes(&report.work) {
            return;
        }
        let mut contents = self.lock();
        if contents.overflowed {
            return;
        }
        contents.waiting.keep(report);
        if contents.waiting.size > self.limit {
            contents.waiting = Waiting::default();
            contents.overflowed = true;
        }
        drop(contents);
        self.bell.notify_one();
    }

    pub(super) fn link(&self) -> Link {
        self.lock().link.clone()
    }

    /// From now on everything is kept again: a list is about to begin.
    pub(super) fn begin(&self) {
        self.lock().overflowed = false;
    }

    /// Takes the oldest report that waits, if the subscription is still the one with this number. What came before a gap is
    /// handed out before the gap is told.
    pub(super) fn take(&self, subscription: u64) -> Result<Option<Arc<ManifestWork>>, Gap> {
        let mut contents = self.lock();
        if let Some(report) = contents.waiting.take() {
            return Ok(Some(report.work));
        }
        if contents.overflowed {
            return Err(Gap::Overflow);
        }
        match contents.link {
            Link::Open(number) if number == subscription => Ok(None),
            _ => Err(Gap::Link),
        }
    }

    /// Something has changed since the last call. There is one listener.
    ///
    /// Cancel safe.
    pub(super) async fn changed(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interest {
    fn includes(&self, work: &ManifestWork) -> bool {
        let wanted =
            |wish: &Option<String>, found: &str| wish.as_deref().is_none_or(|wish| wish == found);
        wanted(&self.consumer, &work.metadata.namespace) && wanted(&self.name, &work.metadata.name)
    }
}

// === impl Waiting ===

impl Waiting {
    fn keep(&mut self, report: &Report) {
        let key = (report.work.metadata.uid.clone(), report.work.is_deleted());
        if let Some(before) = self
            .places
            .insert(key, self.next)
            .and_then(|place| self.by_place.remove(&place))
        {
            self.size -= before.size;
        }
        self.size += report.size;
        let copy = Report {
            work: Arc::clone(&report.work),
            size: report.size,
        };
        self.by_place.insert(self.next, copy);
        self.next += 1;
    }

    fn take(&mut self) -> Option<Report> {
        let (_, report) = self.by_place.pop_first()?;
        self.places
            .remove(&(report.work.metadata.uid.clone(), report.work.is_deleted()));
        self.size -= report.size;
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use manifestwork::{Condition, constants::condition::DELETED};

    use super::*;

    fn report(id: &str, version: i64, size: usize) -> Report {
        let mut work = ManifestWork::new("c1", format!("w-{id}"));
        work.metadata.uid = id.to_owned();
        work.metadata.generation = version;
        Report {
            work: Arc::new(work),
            size,
        }
    }

    fn end(id: &str) -> Report {
        let mut work = ManifestWork::clone(&report(id, 9, 1).work);
        let gone = Condition::new(DELETED, true, "ManifestsDeleted", "");
        work.status.conditions.push(gone);
        Report {
            work: Arc::new(work),
            size: 1,
        }
    }

    fn mailbox(limit: usize) -> Mailbox {
        Mailbox::new(Interest::default(), limit, Link::Open(1))
    }

    fn all(mailbox: &Mailbox) -> Vec<String> {
        std::iter::from_fn(|| mailbox.take(1).ok().flatten())
            .map(|work| format!("{}{}", work.metadata.uid, work.metadata.generation))
            .collect()
    }

    #[test]
    fn the_last_of_each_work_waits_and_its_end_beside_it() {
        let mailbox = mailbox(1000);
        for report in [
            report("a", 1, 10),
            report("b", 1, 10),
            report("a", 2, 10),
            end("a"),
            report("a", 1, 10),
        ] {
            mailbox.put(&report);
        }
        assert_eq!(all(&mailbox), ["b1", "a9", "a1"]);
        assert_eq!(mailbox.lock().waiting.size, 0);
        assert!(mailbox.lock().waiting.places.is_empty());
    }

    #[test]
    fn too_much_is_dropped_at_once_and_told_once() {
        let mailbox = mailbox(100);
        for number in 0..50 {
            mailbox.put(&report("same", number, 60));
        }
        assert_eq!(all(&mailbox), ["same49"], "one work doesn't fill it");
        mailbox.put(&report("a", 1, 60));
        mailbox.put(&report("b", 1, 60));
        mailbox.put(&report("c", 1, 60));
        assert_eq!(mailbox.take(1), Err(Gap::Overflow));
        mailbox.begin();
        mailbox.put(&report("d", 1, 60));
        assert_eq!(all(&mailbox), ["d1"]);
        assert_eq!(mailbox.take(1), Ok(None));
    }

    #[test]
    fn what_came_before_the_end_of_a_subscription_is_handed_out_first() {
        let mailbox = mailbox(100);
        mailbox.put(&report("a", 1, 1));
        mailbox.set_link(Link::Open(2));
        assert_eq!(all(&mailbox), ["a1"]);
        assert_eq!(mailbox.take(1), Err(Gap::Link));
        assert_eq!(mailbox.take(2), Ok(None));
        mailbox.set_link(Link::Broken(1, Error::unavailable("x")));
        assert_eq!(mailbox.take(2), Err(Gap::Link));
    }

    #[test]
    fn only_what_is_wanted_waits() {
        let interest = Interest {
            consumer: Some("c1".into()),
            name: Some("w-a".into()),
        };
        let mailbox = Mailbox::new(interest, 100, Link::Open(1));
        mailbox.put(&report("a", 1, 1));
        mailbox.put(&report("b", 1, 1));
        assert_eq!(all(&mailbox), ["a1"]);
    }
}
