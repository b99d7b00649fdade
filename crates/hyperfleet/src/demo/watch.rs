//! Waiting for the milestones of a stage while telling everything that is seen.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;
use tokio::sync::mpsc;

use super::console::Console;
use super::fact::{Fact, Hop};
use super::observation::{Observation, Tracker};

/// Something that must be seen for a stage to count.
pub struct Milestone {
    name: &'static str,
    hop: Hop,
    met_by: Box<dyn Fn(&Fact) -> bool + Send>,
}

impl Milestone {
    /// A milestone that the first fact for which `met_by` holds fulfils.
    pub fn new(
        name: &'static str,
        hop: Hop,
        met_by: impl Fn(&Fact) -> bool + Send + 'static,
    ) -> Self {
        Self {
            name,
            hop,
            met_by: Box::new(met_by),
        }
    }
}

/// A fact with the moment at which it was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Seconds since the clock was started.
    pub seconds: f64,
    /// Number of the stage in which it was seen.
    pub stage: usize,
    /// At whose door.
    pub hop: Hop,
    /// The line as told.
    pub text: String,
    /// What exactly was seen.
    pub detail: Fact,
}

/// When a milestone was reached.
#[derive(Debug, Clone, Serialize)]
pub struct Reached {
    /// Number of the stage.
    pub stage: usize,
    /// The milestone.
    pub milestone: &'static str,
    /// At whose door it was seen.
    pub hop: Hop,
    /// Seconds since the stage began.
    pub seconds: f64,
}

/// Follows the path: reads observations, tells facts, keeps the timeline.
pub struct Watch {
    observations: mpsc::Receiver<Observation>,
    /// What was seen last.
    pub tracker: Tracker,
    /// Where the story is told.
    pub console: Console,
    /// Everything that was seen.
    pub timeline: Vec<Entry>,
    /// The last line about each adapter.
    told: HashMap<String, String>,
    /// The milestones that were reached.
    pub reached: Vec<Reached>,
    stage: usize,
    stage_began: Instant,
}

impl Watch {
    /// A watch over what the observers send.
    pub fn new(observations: mpsc::Receiver<Observation>, console: Console) -> Self {
        Self {
            observations,
            tracker: Tracker::default(),
            console,
            timeline: Vec::new(),
            told: HashMap::new(),
            reached: Vec::new(),
            stage: 0,
            stage_began: Instant::now(),
        }
    }

    /// Begins the next stage.
    pub fn stage(&mut self, title: &str) {
        self.stage += 1;
        self.stage_began = Instant::now();
        self.console.stage(self.stage, title);
    }

    /// Tells what is seen until every milestone is reached.
    ///
    /// # Errors
    /// When `within` is over first; the error names what was not seen and what was seen last.
    pub async fn until(
        &mut self,
        within: Duration,
        mut milestones: Vec<Milestone>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while let Some(next) = milestones.first() {
            self.console
                .waiting(&format!("waiting for {}: {}", next.hop.word(), next.name));
            let Ok(observation) =
                tokio::time::timeout_at(deadline.into(), self.observations.recv()).await
            else {
                let missing: Vec<_> = milestones
                    .iter()
                    .map(|m| format!("{}: {}", m.hop.word(), m.name))
                    .collect();
                bail!(
                    "not seen within {} s: {}\n{}",
                    within.as_secs(),
                    missing.join("; "),
                    self.last_seen()
                );
            };
            let Some(observation) = observation else {
                bail!("the observers have stopped")
            };
            for fact in self.digest(observation) {
                let (stage, seconds) = (self.stage, self.stage_began.elapsed().as_secs_f64());
                milestones.retain(|milestone| {
                    let met = (milestone.met_by)(&fact);
                    if met {
                        self.reached.push(Reached {
                            stage,
                            milestone: milestone.name,
                            hop: milestone.hop,
                            seconds,
                        });
                    }
                    !met
                });
            }
        }
        self.console.waiting("");
        Ok(())
    }

    /// Tells what is seen for a while, whatever it is.
    pub async fn for_a_while(&mut self, duration: Duration) {
        let deadline = Instant::now() + duration;
        while let Ok(Some(observation)) =
            tokio::time::timeout_at(deadline.into(), self.observations.recv()).await
        {
            self.digest(observation);
        }
    }

    fn digest(&mut self, observation: Observation) -> Vec<Fact> {
        let facts = self.tracker.digest(observation);
        for fact in &facts {
            // A report that differs only in times and sentences looks like the one before.
            let repeated = match fact {
                Fact::AdapterReported(report) => {
                    let text = fact.to_string();
                    self.told.insert(report.adapter.clone(), text.clone()) == Some(text)
                }
                _ => false,
            };
            self.console.fact(fact, repeated);
            self.timeline.push(Entry {
                seconds: self.console.elapsed().as_secs_f64(),
                stage: self.stage,
                hop: fact.hop(),
                text: fact.to_string(),
                detail: fact.clone(),
            });
        }
        facts
    }

    fn last_seen(&self) -> String {
        let mut lines = vec!["last seen:".to_owned()];
        for hop in [
            Hop::Api,
            Hop::Adapter,
            Hop::Maestro,
            Hop::Agent,
            Hop::Operator,
        ] {
            if let Some(entry) = self.timeline.iter().rev().find(|entry| entry.hop == hop) {
                lines.push(format!(
                    "  {:<9} {:.2} s  {}",
                    hop.word(),
                    entry.seconds,
                    entry.text
                ));
            }
        }
        lines.join("\n")
    }
}
