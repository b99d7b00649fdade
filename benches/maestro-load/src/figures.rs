//! When what happened to each work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Something that happens once to each work.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    Sent,
    Accepted,
    Delivered,
    Answered,
    Removed,
}

const MARKS: usize = 5;

/// Moments in microseconds after the start, 0 = not yet.
#[derive(Default)]
struct Moments([AtomicU64; MARKS]);

pub struct Figures {
    works: HashMap<String, Moments>,
    counts: [AtomicUsize; MARKS],
    last: [AtomicU64; MARKS],
    started: Mutex<Instant>,
}

impl Figures {
    pub fn new(ids: impl Iterator<Item = String>) -> Self {
        Self {
            works: ids.map(|id| (id, Moments::default())).collect(),
            counts: Default::default(),
            last: Default::default(),
            started: Mutex::new(Instant::now()),
        }
    }

    pub fn start(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn now(&self) -> u64 {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        u64::try_from(started.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// Notes a moment, the first time that it happens to a work. Unknown works are from another run.
    pub fn mark(&self, id: &str, mark: Mark) {
        let Some(moments) = self.works.get(id) else {
            return;
        };
        let now = self.now();
        let index = mark as usize;
        let Some(moment) = moments.0.get(index) else {
            return;
        };
        if moment
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            if let Some(count) = self.counts.get(index) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(last) = self.last.get(index) {
                last.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    fn count(&self, mark: Mark) -> usize {
        self.counts
            .get(mark as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub fn answered(&self) -> usize {
        self.count(Mark::Answered)
    }

    pub fn removed(&self) -> usize {
        self.count(Mark::Removed)
    }

    /// Waits until so many works have come so far.
    pub async fn wait(
        &self,
        what: &str,
        patience: Duration,
        wanted: usize,
        count: impl Fn(&Self) -> usize,
    ) -> anyhow::Result<()> {
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            let now = count(self);
            if now >= wanted {
                return Ok(());
            }
            if now > seen {
                (seen, moved) = (now, Instant::now());
            }
            anyhow::ensure!(
                moved.elapsed() < patience,
                "only {now} of {wanted} {what} came, none in the last {} s ({} delivered)",
                patience.as_secs(),
                self.count(Mark::Delivered)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Works per second until the last of them.
    pub fn rate(&self, mark: Mark) -> Value {
        let last = self
            .last
            .get(mark as usize)
            .map_or(0, |last| last.load(Ordering::Relaxed));
        super::rate(self.count(mark), Duration::from_micros(last.max(1)))
    }

    /// Time from sending until the mark.
    pub fn latency(&self, mark: Mark) -> Value {
        let at = |moments: &Moments, mark: Mark| {
            moments
                .0
                .get(mark as usize)
                .map_or(0, |moment| moment.load(Ordering::Relaxed))
        };
        let mut times: Vec<u64> = self
            .works
            .values()
            .filter(|moments| at(moments, mark) > 0)
            .map(|moments| at(moments, mark).saturating_sub(at(moments, Mark::Sent)))
            .collect();
        times.sort_unstable();
        let part = |share: usize| {
            let index = (times.len() * share / 1000).min(times.len().saturating_sub(1));
            milliseconds(Duration::from_micros(
                times.get(index).copied().unwrap_or(0),
            ))
        };
        json!({"p50": part(500), "p99": part(990), "max": part(1000)})
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
