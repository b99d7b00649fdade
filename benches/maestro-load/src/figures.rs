//! When what happened to each work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Something that happens once to each work.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// Its publish was due.
    Sent,
    /// The server has answered it.
    Accepted,
    /// The agent has it.
    Delivered,
    /// The source has the agent's status.
    Answered,
    /// The source has heard that it is gone.
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
    pub fn new<'a>(ids: impl Iterator<Item = &'a str>) -> Self {
        Self {
            works: ids.map(|id| (id.to_owned(), Moments::default())).collect(),
            counts: Default::default(),
            last: Default::default(),
            started: Mutex::new(Instant::now()),
        }
    }

    pub fn start(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn started(&self) -> Instant {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a moment, the first time that it happens to a work. Unknown works are from another run.
    pub fn mark(&self, id: &str, mark: Mark) {
        self.mark_at(id, mark, Instant::now());
    }

    pub fn mark_at(&self, id: &str, mark: Mark, at: Instant) {
        let Some(moments) = self.works.get(id) else {
            return;
        };
        let after = at.saturating_duration_since(self.started()).as_micros();
        let after = u64::try_from(after).unwrap_or(u64::MAX).max(1);
        let index = mark as usize;
        let noted =
            moments.0[index].compare_exchange(0, after, Ordering::Relaxed, Ordering::Relaxed);
        if noted.is_ok() {
            self.counts[index].fetch_add(1, Ordering::Relaxed);
            self.last[index].fetch_max(after, Ordering::Relaxed);
        }
    }

    pub fn count(&self, mark: Mark) -> usize {
        self.counts[mark as usize].load(Ordering::Relaxed)
    }

    /// Waits until so many works have come so far; gives up when none come for a while.
    pub async fn wait(&self, mark: Mark, wanted: usize, patience: Duration) -> anyhow::Result<()> {
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            let now = self.count(mark);
            if now >= wanted {
                return Ok(());
            }
            if now > seen {
                (seen, moved) = (now, Instant::now());
            }
            anyhow::ensure!(
                moved.elapsed() < patience,
                "only {now} of {wanted} works are {mark:?}, and none in the last {} s \
                 (accepted: {}, delivered: {})",
                patience.as_secs(),
                self.count(Mark::Accepted),
                self.count(Mark::Delivered)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Time from the start until the last of them.
    pub fn last(&self, mark: Mark) -> Duration {
        Duration::from_micros(self.last[mark as usize].load(Ordering::Relaxed).max(1))
    }

    /// Works per second until the last of them.
    pub fn rate(&self, mark: Mark) -> Value {
        rate(self.count(mark), self.last(mark))
    }

    /// Times from one mark to another.
    pub fn latency(&self, from: Mark, to: Mark) -> Value {
        let at = |moments: &Moments, mark: Mark| moments.0[mark as usize].load(Ordering::Relaxed);
        let times = self
            .works
            .values()
            .filter(|moments| at(moments, from) > 0 && at(moments, to) > 0)
            .map(|moments| at(moments, to).saturating_sub(at(moments, from)));
        percentiles(times.map(Duration::from_micros).collect())
    }

    /// Times from the start to a mark.
    pub fn times(&self, mark: Mark) -> Value {
        let times = self
            .works
            .values()
            .map(|moments| moments.0[mark as usize].load(Ordering::Relaxed))
            .filter(|time| *time > 0);
        percentiles(times.map(Duration::from_micros).collect())
    }
}

/// Median, 99th percentile and maximum in milliseconds.
pub fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let part = |share: usize| {
        let index = (times.len() * share / 1000).min(times.len().saturating_sub(1));
        milliseconds(times.get(index).copied().unwrap_or_default())
    };
    json!({"p50": part(500), "p99": part(990), "max": part(1000)})
}

pub fn rate(count: usize, time: Duration) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "counts of works")]
    let rate = count as f64 / time.as_secs_f64();
    json!(rounded(rate))
}

pub fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0)
}

/// To a hundredth.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
