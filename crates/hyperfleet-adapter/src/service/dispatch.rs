//! The task that owns the queue: takes deliveries, starts runs, settles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use event_broker::{Consumer, Delivery, Event, Retry};
use maestro_client::TraceContext;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::metrics::Metrics;
use super::queue::{End, Queue, Work};
use super::watch::{Change, Watches};
use super::{DRAIN_TIMEOUT, Error};
use crate::config::Config;
use crate::config::deployment::AckPolicy;
use crate::pipeline::Pipeline;
use crate::pipeline::event::EventData;
use crate::pipeline::outcome::Outcome;
use crate::policy::Operation;
use crate::trace;

/// How a run ended.
enum Ended {
    Finished(Box<Outcome>),
    /// The per-event deadline passed.
    TimedOut,
}

/// A run that is under way.
struct Running {
    key: String,
    event: Event,
    delivery: Option<Delivery>,
    span: tracing::Span,
    started: Instant,
}

pub(super) struct Dispatcher {
    pipeline: Arc<Pipeline>,
    metrics: Metrics,
    watches: Option<Watches>,
    changes: mpsc::Receiver<Change>,
    queue: Queue<Delivery>,
    running: HashMap<Id, Running>,
    tasks: JoinSet<Ended>,
    parallelism: usize,
    timeout: Duration,
    ack_policy: AckPolicy,
    /// First and longest wait before a failed re-run is repeated.
    backoff: (Duration, Duration),
}

/// What the loop woke up for.
enum Wake {
    Delivery(Option<Delivery>),
    Change(Change),
    Ended(Result<(Id, Ended), JoinError>),
    Due,
    Shutdown,
}

impl Dispatcher {
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        metrics: Metrics,
        watches: Option<Watches>,
        changes: mpsc::Receiver<Change>,
        config: &Config,
    ) -> Self {
        Self {
            pipeline,
            metrics,
            watches,
            changes,
            queue: Queue::new(config.rerun.coalesce),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            parallelism: config.clients.broker.parallelism.max(1),
            timeout: config.event_timeout,
            ack_policy: config.ack_policy,
            backoff: (
                config.clients.broker.min_backoff,
                config.clients.broker.max_backoff,
            ),
        }
    }

    /// Until shutdown or the end of the subscription.
    pub(super) async fn run(
        mut self,
        mut consumer: Consumer,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let result = loop {
            self.queue.wake(Instant::now());
            self.start_ready();
            match self.wait(&mut consumer, shutdown).await {
                Wake::Delivery(Some(delivery)) => self.accept(delivery).await,
                Wake::Delivery(None) => break Err(Error::Broker("the subscription ended".into())),
                Wake::Change(change) => self.note(change),
                Wake::Ended(ended) => self.ended(ended).await,
                Wake::Due => {}
                Wake::Shutdown => break Ok(()),
            }
        };
        // Unfinished deliveries go back to the broker when they are dropped.
        drop(consumer);
        self.drain().await;
        result
    }

    async fn wait(&mut self, consumer: &mut Consumer, shutdown: &CancellationToken) -> Wake {
        let due = self.queue.next_due();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Wake::Shutdown,
            Some(ended) = self.tasks.join_next_with_id() => Wake::Ended(ended),
            () = timer => Wake::Due,
            Some(change) = self.changes.recv() => Wake::Change(change),
            delivery = consumer.next() => Wake::Delivery(delivery),
        }
    }

    async fn accept(&mut self, delivery: Delivery) {
        self.metrics.consumed();
        let event = trace::joined(delivery.event.clone());
        tracing::info!(
            "Event received: id={} type={} source={} time={}",
            event.id,
            event.event_type,
            event.source,
            event.time.map(|time| time.to_string()).unwrap_or_default()
        );
        // Data that can't be read has no key; it runs alone and fails with the reason.
        let (key, generation) = match EventData::parse(&event) {
            Ok((data, _)) => (data.key(), data.generation.unwrap_or(0)),
            Err(_) => (format!("event/{}", event.id), 0),
        };
        if let Some(spoken_for) = self.queue.push(&key, event, generation, delivery) {
            tracing::debug!(event_id = %spoken_for.event.id, key, "another pulse for the same resource waits: acknowledged");
            spoken_for.ack().await;
        }
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::Of(touched) => self.queue.changed(&touched, Instant::now()),
            Change::Found(touched, pulse) => match EventData::parse(&pulse) {
                Ok((data, _)) => {
                    let key = data.key();
                    let pulse = trace::joined(*pulse);
                    self.queue.found(&key, pulse, touched, Instant::now());
                }
                Err(why) => tracing::debug!("the note on an own work is no pulse: {why}"),
            },
        }
    }

    fn start_ready(&mut self) {
        while self.tasks.len() < self.parallelism {
            let Some(Work {
                key,
                event,
                delivery,
            }) = self.queue.next(Instant::now())
            else {
                return;
            };
            let pipeline = Arc::clone(&self.pipeline);
            let timeout = self.timeout;
            let (of_run, context) = trace::of_run(&event);
            let span = span(&event, &context, delivery.is_none());
            let run = async move {
                tracing::info!("Processing event");
                match tokio::time::timeout(timeout, Box::pin(pipeline.run(&of_run))).await {
                    Ok(outcome) => Ended::Finished(Box::new(outcome)),
                    Err(_) => Ended::TimedOut,
                }
            };
            let id = self.tasks.spawn(run.instrument(span.clone())).id();
            self.running.insert(
                id,
                Running {
                    key,
                    event,
                    delivery,
                    span,
                    started: Instant::now(),
                },
            );
        }
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Ok(ended)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        let Running {
            key,
            event,
            delivery,
            span,
            started,
        } = running;
        let entered = span.entered();
        let (outcome, retry) = match ended {
            Ok(Ended::Finished(outcome)) => {
                self.metrics.finished(&outcome, started.elapsed());
                tracing::info!(
                    "Event execution finished: event_execution_status={} resources_skipped={} reason={}",
                    if outcome.failed() {
                        "failed"
                    } else {
                        "success"
                    },
                    outcome.trace.skipped.is_some(),
                    outcome.trace.skipped.as_deref().unwrap_or_default()
                );
                let retry = outcome.failed() && outcome.transient;
                (Some(outcome), retry)
            }
            Ok(Ended::TimedOut) => {
                self.metrics.timed_out(started.elapsed());
                tracing::warn!("event was not finished within {} s", self.timeout.as_secs());
                (None, true)
            }
            Err(error) => {
                // A bug, not a passing trouble: the same event would fail the same way.
                self.metrics.timed_out(started.elapsed());
                tracing::error!("event processing ended unexpectedly: {}", panic_text(error));
                (None, false)
            }
        };
        drop(entered);
        let end = outcome
            .as_ref()
            .map_or_else(End::default, |outcome| end_of(outcome));
        if let Some(watches) = &mut self.watches {
            watches.follow(end.touched);
        }
        let now = Instant::now();
        self.queue.finished(&key, event, &end, now);
        match delivery {
            Some(delivery) => self.settle(delivery, retry).await,
            None if retry => self.queue.retry(&key, self.backoff.0, self.backoff.1, now),
            None => {}
        }
    }

    async fn settle(&self, delivery: Delivery, retry: bool) {
        if retry && self.ack_policy == AckPolicy::Selective {
            self.metrics.refused(delivery.last_attempt);
            tracing::warn!(
                event_id = %delivery.event.id,
                attempt = delivery.attempt,
                last_attempt = delivery.last_attempt,
                "event failed for a passing reason: it will be delivered again unless this was the last attempt"
            );
            delivery.nack(Retry::Backoff).await;
        } else {
            delivery.ack().await;
        }
    }

    /// Lets running events finish; the rest goes back.
    async fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => self.ended(ended).await,
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(
                        unfinished = self.tasks.len(),
                        "events were not finished within {} s; they will be delivered again",
                        DRAIN_TIMEOUT.as_secs()
                    );
                    self.tasks.shutdown().await;
                    return;
                }
            }
        }
    }
}

fn end_of(outcome: &Outcome) -> End<'_> {
    let wrote = |operation| {
        matches!(
            operation,
            Some(Operation::Create | Operation::Update | Operation::Recreate)
        )
    };
    End {
        touched: &outcome.touched,
        wrote: outcome
            .trace
            .resources
            .iter()
            .any(|resource| wrote(resource.operation) && !resource.pending),
        gone: outcome.trace.gone,
        complete: !outcome.failed() && outcome.trace.skipped.is_none(),
    }
}

/// Fields that follow an event through the logs.
fn span(event: &Event, context: &TraceContext, rerun: bool) -> tracing::Span {
    let data = EventData::parse(event)
        .map(|(data, _)| data)
        .unwrap_or_default();
    let owner = data.owner.clone().unwrap_or_default();
    let span = tracing::info_span!(
        "event",
        event_id = %event.id,
        event_type = %event.event_type,
        rerun,
        resource_type = tracing::field::Empty,
        resource_id = tracing::field::Empty,
        owner_id = tracing::field::Empty,
        trace_id = context.trace_id(),
        span_id = context.span_id(),
    );
    if !data.kind.is_empty() {
        span.record("resource_type", data.kind.as_str());
    }
    if !data.id.is_empty() {
        span.record("resource_id", data.id.as_str());
    }
    if !owner.id.is_empty() {
        span.record("owner_id", owner.id.as_str());
    }
    span
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".to_owned()),
        Err(error) => error.to_string(),
    }
}
