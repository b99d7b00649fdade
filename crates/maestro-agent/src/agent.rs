//! The one task that owns all works. It waits for whatever happens next, hands it to [`Core`], and sets going what the
//! core asks for; it never waits for any of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use event_wire::codec::agent;
use event_wire::{Action, Event, SequenceGenerator, Stamp, Subresource};
use jiff::Timestamp;
use manifestwork::ManifestWork;
use service_runtime::health::Gate;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::{Core, Effect, Message, Now};
use crate::job::{Done, Job, Outcome, Runner};
use crate::journal::Journal;
use crate::link::{News, Publisher};
use crate::metrics::Metrics;
use crate::observer::{Observer, Sight};

/// How long running jobs may take after the shutdown has begun.
const DRAIN: Duration = Duration::from_secs(10);
/// How often figures and health are brought up to date.
const BEAT: Duration = Duration::from_secs(2);

/// Everything that the owner needs.
pub struct Agent {
    /// The state.
    pub core: Core,
    /// The CloudEvents source.
    pub client_id: String,
    /// Name of the consumer.
    pub consumer: String,
    /// Does the jobs.
    pub runner: Runner,
    /// Sends events.
    pub publisher: Publisher,
    /// Watches objects.
    pub observer: Observer,
    /// News of the link.
    pub news: mpsc::Receiver<News>,
    /// Sights of objects.
    pub sights: mpsc::Receiver<Sight>,
    /// What is heard of records.
    pub records: mpsc::Receiver<Message>,
    /// Figures.
    pub metrics: Metrics,
    /// Open while a subscription stands.
    pub link_gate: Gate,
    /// Open while works get done.
    pub work_gate: Gate,
    /// Works that are due and not one job that ended for so long: something is stuck.
    pub stuck_after: Duration,
}

/// What ended in a task.
enum Ended {
    Published {
        work: Arc<str>,
        revision: u64,
        accepted: bool,
    },
    Resynced(bool),
}

/// The owner while it runs.
struct Loop {
    agent: Agent,
    jobs: JoinSet<Done>,
    running: HashMap<Id, (Arc<str>, CancellationToken)>,
    sends: JoinSet<Ended>,
    sending: HashMap<Id, Ended>,
    sequence: Arc<SequenceGenerator>,
    subscriptions: u64,
    last_progress: Instant,
    journal: Journal,
}

impl Agent {
    /// Runs until the shutdown, then lets running jobs end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut owner = Loop {
            agent: self,
            jobs: JoinSet::new(),
            running: HashMap::new(),
            sends: JoinSet::new(),
            sending: HashMap::new(),
            sequence: Arc::new(SequenceGenerator::new()),
            subscriptions: 0,
            last_progress: Instant::now(),
            journal: Journal::default(),
        };
        owner.agent.work_gate.ready();
        owner.agent.link_gate.not_ready("not subscribed yet");
        let mut beat = tokio::time::interval(BEAT);
        loop {
            let wake = owner.agent.core.next_wake();
            let message = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(news) = owner.agent.news.recv() => owner.news(news),
                Some((target, sight)) = owner.agent.sights.recv() => {
                    Some(Message::Observed(target, sight))
                }
                Some(message) = owner.agent.records.recv() => Some(message),
                Some(ended) = owner.jobs.join_next_with_id() => owner.job_ended(ended),
                Some(ended) = owner.sends.join_next_with_id() => owner.send_ended(ended),
                () = sleep_until(wake) => Some(Message::Tick),
                _ = beat.tick() => {
                    owner.beat();
                    None
                }
            };
            if let Some(message) = message {
                owner.step(message);
            }
        }
        owner.drain().await;
    }
}

impl Loop {
    fn step(&mut self, message: Message) {
        let now = Now {
            at: Timestamp::now(),
            tick: Instant::now(),
        };
        for effect in self.agent.core.handle(message, now) {
            match effect {
                Effect::Start(job) => self.start(*job),
                Effect::Publish {
                    work,
                    revision,
                    content,
                } => self.publish(work, revision, *content),
                Effect::Resync(versions) => {
                    let event = agent::spec_resync_request(
                        &self.agent.client_id,
                        &self.agent.consumer,
                        versions,
                        Stamp::now(),
                    );
                    let task = send_resync(
                        self.agent.publisher.clone(),
                        event,
                        self.agent.metrics.clone(),
                    );
                    let id = self.sends.spawn(task).id();
                    self.sending.insert(id, Ended::Resynced(false));
                }
                Effect::Watch(target) => self.agent.observer.watch(target),
                Effect::Unwatch(target) => self.agent.observer.unwatch(&target),
            }
        }
    }

    fn news(&mut self, news: News) -> Option<Message> {
        match news {
            News::Up => {
                self.subscriptions += 1;
                if self.subscriptions > 1 {
                    self.agent.metrics.reconnected(&self.agent.client_id);
                }
                tracing::info!(consumer = self.agent.consumer, "Subscribed.");
                self.agent.link_gate.ready();
                Some(Message::Linked)
            }
            News::Down(reason) => {
                self.agent.link_gate.not_ready(&reason);
                Some(Message::Unlinked)
            }
            News::Event(event) => self.event(&event),
        }
    }

    fn event(&self, event: &Event) -> Option<Message> {
        self.agent.metrics.received(event);
        let kind = &event.event_type;
        if kind.subresource == Subresource::Status && kind.action == Action::ResyncRequest {
            return agent::decode_status_resync(event)
                .ok()
                .map(Message::StatusResync);
        }
        match event.cluster_name() {
            Ok(cluster) if cluster == self.agent.consumer => {}
            _ => {
                tracing::warn!(id = event.id, "An event for another cluster is left out.");
                return None;
            }
        }
        match agent::decode_spec(event) {
            Ok(message) => Some(Message::Spec(Box::new(message))),
            Err(error) => {
                tracing::warn!(id = event.id, %error, "A spec event can't be read and is left out.");
                None
            }
        }
    }

    fn start(&mut self, job: Job) {
        let (work, halt) = (Arc::clone(&job.work), job.halt.clone());
        if self.jobs.is_empty() {
            self.last_progress = Instant::now();
        }
        let runner = self.agent.runner.clone();
        let id = self.jobs.spawn(async move { runner.run(job).await }).id();
        self.running.insert(id, (work, halt));
    }

    fn job_ended(&mut self, ended: Result<(Id, Done), tokio::task::JoinError>) -> Option<Message> {
        self.last_progress = Instant::now();
        match ended {
            Ok((id, done)) => {
                self.running.remove(&id);
                self.journal.job(&done, self.last_progress);
                Some(Message::Done(Box::new(done)))
            }
            Err(error) => {
                tracing::error!(%error, "A job ended in a defect.");
                let (work, _) = self.running.remove(&error.id())?;
                let outcome = Outcome::Lost;
                Some(Message::Done(Box::new(Done { work, outcome })))
            }
        }
    }

    fn publish(&mut self, work: Arc<str>, revision: u64, content: ManifestWork) {
        let send = Send {
            publisher: self.agent.publisher.clone(),
            client_id: self.agent.client_id.clone(),
            sequence: Arc::clone(&self.sequence),
            metrics: self.agent.metrics.clone(),
        };
        let ended = |accepted| Ended::Published {
            work: Arc::clone(&work),
            revision,
            accepted,
        };
        let lost = ended(false);
        let of = Arc::clone(&work);
        let task = async move {
            Ended::Published {
                accepted: send.status(&content).await,
                work: of,
                revision,
            }
        };
        let id = self.sends.spawn(task).id();
        self.sending.insert(id, lost);
    }

    fn send_ended(
        &mut self,
        ended: Result<(Id, Ended), tokio::task::JoinError>,
    ) -> Option<Message> {
        let ended = match ended {
            Ok((id, ended)) => {
                self.sending.remove(&id);
                ended
            }
            Err(error) => {
                tracing::error!(%error, "A publication ended in a defect.");
                self.sending.remove(&error.id())?
            }
        };
        Some(match ended {
            Ended::Resynced(accepted) => Message::Resynced(accepted),
            Ended::Published {
                work,
                revision,
                accepted,
            } => Message::Published {
                work,
                revision,
                accepted,
            },
        })
    }

    fn beat(&mut self) {
        let figures = self.agent.core.figures();
        self.agent.metrics.figures(figures);
        let due = figures.waiting + figures.running > 0;
        if due && self.last_progress.elapsed() > self.agent.stuck_after {
            self.agent.work_gate.not_ready(&format!(
                "{} works are due and none was finished for {} s",
                figures.waiting + figures.running,
                self.last_progress.elapsed().as_secs()
            ));
        } else {
            self.agent.work_gate.ready();
        }
    }

    /// Running jobs begin no further object and are waited for; what they did is found again by the next start.
    async fn drain(mut self) {
        for (_, halt) in self.running.values() {
            halt.cancel();
        }
        let all = async {
            while self.jobs.join_next().await.is_some() {}
            while self.sends.join_next().await.is_some() {}
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("Jobs still ran at the end of the drain and were cut.");
        }
    }
}

/// Publishes statuses.
struct Send {
    publisher: Publisher,
    client_id: String,
    sequence: Arc<SequenceGenerator>,
    metrics: Metrics,
}

impl Send {
    async fn status(&self, content: &ManifestWork) -> bool {
        // A server that has seen a later clock than ours drops a status without a word; it tells where it stands, and the
        // status is sent again from there.
        const TRIES: u32 = 2;
        for _ in 0..TRIES {
            let sequence = self.sequence.next(Timestamp::now());
            let action = Action::UpdateRequest;
            let event = match agent::encode_status(
                content,
                action,
                &self.client_id,
                sequence,
                Stamp::now(),
            ) {
                Ok(event) => event,
                Err(error) => {
                    let work = content.metadata.uid.as_str();
                    tracing::error!(work, %error, "A status can't be written and is left out.");
                    return true;
                }
            };
            let kind = event.event_type.clone();
            match self.publisher.publish(event).await {
                Ok(last) => {
                    self.metrics.processed(true);
                    self.metrics
                        .sent(&kind, &self.client_id, event_wire::SERVER_SOURCE);
                    let behind =
                        last.filter(|last| last.is_newer_than(Some(sequence)).unwrap_or(false));
                    let Some(last) = behind else {
                        return true;
                    };
                    self.sequence.advance_past(last);
                }
                Err(error) => {
                    self.metrics.processed(false);
                    let work = content.metadata.uid.as_str();
                    tracing::warn!(work, %error, "A status was not accepted; it is sent again.");
                    return false;
                }
            }
        }
        false
    }
}

async fn send_resync(publisher: Publisher, event: Event, metrics: Metrics) -> Ended {
    let (kind, source) = (event.event_type.clone(), event.source.clone());
    match publisher.publish(event).await {
        Ok(_) => {
            metrics.sent(&kind, &source, "");
            Ended::Resynced(true)
        }
        Err(error) => {
            tracing::warn!(%error, "The resync request was not accepted; it is sent again.");
            Ended::Resynced(false)
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
