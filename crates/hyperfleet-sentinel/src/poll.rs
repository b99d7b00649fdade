//! One cycle: fetch all, decide each, publish those who need it.

use std::{collections::HashSet, sync::Arc};

use event_broker::{Broker, Event};
use event_wire::{attribute::name, trace::TraceContext};
use futures::StreamExt as _;
use hyperfleet_client::{Class, Client, ListOptions};
use hyperfleet_types::pulse::{DEFAULT_SOURCE, event_type};
use jiff::Timestamp;

use crate::{
    config::Config,
    decision::{Decision, Verdict},
    memory::{Memory, Pace},
    metrics::Metrics,
    observed::Observed,
    payload::Payload,
};

/// Resources that are decided before other tasks get their turn.
const DECISIONS_PER_TURN: usize = 64;

/// Everything a cycle needs. One task owns it.
pub struct Poller {
    client: Client,
    broker: Arc<dyn Broker>,
    decision: Decision,
    payload: Payload,
    memory: Memory,
    metrics: Metrics,
    resource_type: String,
    topic: Arc<str>,
    options: ListOptions,
    concurrency: usize,
}

/// What a cycle did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Resources that were fetched.
    pub fetched: usize,
    /// Resources that needed a pulse.
    pub pending: usize,
    /// Pulses that the broker took.
    pub published: usize,
}

impl Poller {
    /// Takes checked settings and compiled expressions.
    pub fn new(
        config: &Config,
        client: Client,
        broker: Arc<dyn Broker>,
        decision: Decision,
        payload: Payload,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            broker,
            decision,
            payload,
            memory: Memory::new(Pace {
                on_generation_change: config.publish_on_generation_change,
                on_start: config.publish_on_start,
                republish_interval: config.republish_interval,
            }),
            metrics,
            resource_type: config.resource_type.clone(),
            topic: config.clients.broker.topic.as_str().into(),
            options: ListOptions {
                search: config.search(),
                size: Some(config.page_size()),
                ..ListOptions::default()
            },
            concurrency: config.publish_concurrency.max(1),
        }
    }

    /// Asks for something that needs searching but finds nothing.
    ///
    /// # Errors
    /// What the client says.
    pub async fn probe(&self) -> Result<(), hyperfleet_client::Error> {
        let options = ListOptions {
            size: Some(1),
            ..ListOptions::search("labels.non_existing_label='value'")
        };
        self.client
            .resources(&self.resource_type)
            .list(&options)
            .await
            .map(|_| ())
    }

    /// Runs one cycle. A pulse that can't be published is counted and tried again in the next cycle.
    ///
    /// # Errors
    /// What the client says, if not all resources could be fetched; then nothing is published.
    ///
    /// # Cancel safety
    /// Dropping the future may leave some pulses unsent; the next cycle sends them.
    pub async fn cycle(&mut self) -> Result<Summary, hyperfleet_client::Error> {
        let resources = match self
            .client
            .resources(&self.resource_type)
            .list_all_json(&self.options)
            .await
        {
            Ok(resources) => resources,
            Err(error) => {
                self.metrics
                    .fetch_failed(error.class() == Class::Unauthenticated);
                return Err(error);
            }
        };
        let now = Timestamp::now();
        let mut due = Vec::new();
        let mut observed = Vec::with_capacity(resources.len());
        for (index, resource) in resources.iter().enumerate() {
            match Observed::new(resource) {
                Some(resource) => observed.push(resource),
                None => tracing::warn!(
                    subset = self.resource_type,
                    "a resource without id was skipped"
                ),
            }
            if index % DECISIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.memory.keep(
            &observed
                .iter()
                .map(|resource| resource.id.as_str())
                .collect::<HashSet<_>>(),
        );
        for (index, resource) in observed.iter().enumerate() {
            let verdict = self
                .memory
                .temper(resource, self.decision.decide(resource, now), now);
            if index % DECISIONS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
            if verdict.publish {
                let trace = TraceContext::begin();
                let event = event(resource, &self.payload, &verdict.reason, &trace);
                let (id, generation, reason) =
                    (resource.id.clone(), resource.generation, verdict.reason);
                due.push(Due {
                    id,
                    generation,
                    reason,
                    event,
                    trace,
                });
            } else {
                self.skip(resource, &verdict);
            }
        }
        self.metrics.polled(due.len(), now);
        let pending = due.len();
        let sends = due
            .into_iter()
            .map(|due| due.send(self.broker.clone(), self.topic.clone()));
        let outcomes: Vec<_> = futures::stream::iter(sends)
            .buffer_unordered(self.concurrency)
            .collect()
            .await;
        let mut published = 0;
        for (
            Due {
                id,
                generation,
                reason,
                trace,
                ..
            },
            outcome,
        ) in outcomes
        {
            let (resource_id, decision_reason) = (id.as_str(), reason.as_str());
            let (subset, topic) = (self.resource_type.as_str(), &*self.topic);
            let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
            match outcome {
                Ok(()) => {
                    tracing::info!(
                        subset,
                        topic,
                        resource_id,
                        decision_reason,
                        generation,
                        trace_id,
                        span_id,
                        "pulse published"
                    );
                    self.metrics.published(decision_reason);
                    self.memory.sent(resource_id, generation, now);
                    published += 1;
                }
                Err(error) => {
                    tracing::error!(subset, topic, resource_id, decision_reason, trace_id, %error, "pulse could not be published");
                    self.metrics.publish_failed();
                }
            }
        }
        Ok(Summary {
            fetched: resources.len(),
            pending,
            published,
        })
    }

    fn skip(&self, resource: &Observed, verdict: &Verdict) {
        self.metrics.skipped(&verdict.reason);
        let (resource_id, subset, decision_reason) = (
            resource.id.as_str(),
            self.resource_type.as_str(),
            verdict.reason.as_str(),
        );
        match &verdict.error {
            Some(error) => tracing::warn!(
                subset,
                resource_id,
                decision_reason,
                error,
                "resource skipped: its decision failed"
            ),
            None => tracing::debug!(subset, resource_id, decision_reason, "resource skipped"),
        }
    }
}

/// A pulse that is to be sent.
struct Due {
    id: String,
    generation: i64,
    reason: String,
    event: Event,
    /// The trace that the pulse begins.
    trace: TraceContext,
}

impl Due {
    async fn send(
        self,
        broker: Arc<dyn Broker>,
        topic: Arc<str>,
    ) -> (Self, Result<(), event_broker::Error>) {
        let outcome = broker.publish(&topic, &self.event).await;
        (self, outcome)
    }
}

fn event(resource: &Observed, payload: &Payload, reason: &str, trace: &TraceContext) -> Event {
    let mut event = Event::new(
        DEFAULT_SOURCE,
        event_type(&resource.kind),
        payload.build(resource, reason).into(),
    );
    let parent = (name::TRACE_PARENT.to_owned(), trace.parent().into());
    event.extensions.extend([parent]);
    event
}
