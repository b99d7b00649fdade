//! What was published lately: a resource gets its first pulse at once and later ones at a bounded pace.
//!
//! Nothing here must survive a restart: the worst that forgetting does is one pulse too many.

use std::{collections::HashMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{decision::Verdict, observed::Observed};

/// Why a pulse is sent for a generation that was not published yet.
pub const GENERATION_CHANGED: &str = "generation changed";
/// Why a pulse is sent for a resource that this process sees for the first time.
pub const FIRST_SEEN: &str = "first seen";
/// Why none is sent so soon after the last.
pub const PUBLISHED_RECENTLY: &str = "published recently";

#[derive(Debug, Clone, Copy)]
struct Pulse {
    generation: i64,
    /// When it was sent; `None` if none was needed.
    sent: Option<Timestamp>,
}

/// When a pulse is sent or held back, whatever the decision says.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A generation that was not published yet gets its pulse at once.
    pub on_generation_change: bool,
    /// So does everything that is seen for the first time: after a start, every resource.
    pub on_start: bool,
    /// The same generation gets its next pulse no sooner.
    pub republish_interval: Duration,
}

/// The last pulse of each resource that the last list had.
#[derive(Debug)]
pub struct Memory {
    pulses: HashMap<String, Pulse>,
    pace: Pace,
    republish_interval: SignedDuration,
}

impl Memory {
    /// Knows nothing.
    pub fn new(pace: Pace) -> Self {
        Self {
            pulses: HashMap::new(),
            pace,
            republish_interval: SignedDuration::try_from(pace.republish_interval)
                .unwrap_or(SignedDuration::MAX),
        }
    }

    /// What becomes of a verdict in the light of what was sent before.
    pub fn temper(&mut self, resource: &Observed, verdict: Verdict, now: Timestamp) -> Verdict {
        let last = self.pulses.get(&resource.id).copied();
        let is_new = last.is_none_or(|last| last.generation != resource.generation);
        if last.is_none() && self.pace.on_start && !verdict.publish {
            return Verdict::publish(FIRST_SEEN);
        }
        if is_new && self.pace.on_generation_change && !verdict.publish {
            if last.is_none() && resource.is_reconciled() {
                // We were restarted, not the resource changed.
                self.pulses.insert(
                    resource.id.clone(),
                    Pulse {
                        generation: resource.generation,
                        sent: None,
                    },
                );
                return verdict;
            }
            return Verdict::publish(GENERATION_CHANGED);
        }
        let recently = last
            .filter(|last| last.generation == resource.generation)
            .and_then(|last| last.sent)
            .is_some_and(|sent| now.duration_since(sent) < self.republish_interval);
        if verdict.publish && recently {
            Verdict::skip(PUBLISHED_RECENTLY)
        } else {
            verdict
        }
    }

    /// Notes a pulse that the broker took.
    pub fn sent(&mut self, id: &str, generation: i64, now: Timestamp) {
        self.pulses.insert(
            id.to_owned(),
            Pulse {
                generation,
                sent: Some(now),
            },
        );
    }

    /// Forgets every resource that is not among these.
    pub fn keep(&mut self, ids: &std::collections::HashSet<&str>) {
        self.pulses.retain(|id, _| ids.contains(id.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{config, decision::Decision};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A resource as the API shows it before any adapter reported: the reference time stays that of the change.
    fn unreconciled(generation: i64, changed: i64) -> Observed {
        Observed::new(&json!({
            "id": "i", "kind": "Cluster", "generation": generation,
            "status": {"conditions": [{"type": "Reconciled", "status": "False", "observed_generation": generation, "last_updated_time": at(changed)}]}
        }))
        .unwrap()
    }

    /// Polls every 5 s and returns when pulses were sent.
    fn pulses(memory: &mut Memory, resource: impl Fn(i64) -> Observed, seconds: i64) -> Vec<i64> {
        let decision = Decision::compile(&config::Decision::default()).unwrap();
        let polls = (0..seconds).step_by(5);
        let sent = polls.filter(|&second| {
            let resource = resource(second);
            let verdict = memory.temper(
                &resource,
                decision.decide(&resource, at(second)),
                at(second),
            );
            if verdict.publish {
                memory.sent(&resource.id, resource.generation, at(second));
            }
            verdict.publish
        });
        sent.collect()
    }

    fn pace(on_generation_change: bool) -> Pace {
        Pace {
            on_generation_change,
            on_start: false,
            republish_interval: Duration::from_secs(10),
        }
    }

    #[test]
    fn f76_a_silent_resource_is_pulsed_at_a_bounded_pace() {
        let sent = pulses(&mut Memory::new(pace(false)), |_| unreconciled(1, 0), 60);
        assert_eq!(
            sent,
            [15, 25, 35, 45, 55],
            "every poll after the first 10 s would match"
        );
        let sent = pulses(&mut Memory::new(pace(true)), |_| unreconciled(1, 0), 60);
        assert!(
            sent.windows(2).all(|pair| pair[1] - pair[0] >= 10),
            "{sent:?}"
        );
    }

    #[test]
    fn f77_a_new_cluster_gets_its_pulse_with_the_first_poll() {
        let sent = pulses(&mut Memory::new(pace(true)), |_| unreconciled(1, 0), 10);
        assert_eq!(sent, [0]);
    }

    #[test]
    fn a_new_generation_is_pulsed_at_once_even_soon_after_the_last_pulse() {
        let change = |second| {
            if second < 20 {
                unreconciled(1, 0)
            } else {
                unreconciled(2, 20)
            }
        };
        assert_eq!(
            pulses(&mut Memory::new(pace(true)), change, 30),
            [0, 15, 20]
        );
    }

    #[test]
    fn a_restart_pulses_what_is_reconciled_only_if_told_to() {
        let reconciled = |_| {
            let conditions = json!([{"type": "Reconciled", "status": "True", "observed_generation": 4, "last_updated_time": at(-60)}]);
            Observed::new(
                &json!({"id": "i", "generation": 4, "status": {"conditions": conditions}}),
            )
            .unwrap()
        };
        let told = Pace {
            on_start: true,
            ..pace(true)
        };
        assert_eq!(pulses(&mut Memory::new(told), reconciled, 60), [0]);
        assert_eq!(
            pulses(&mut Memory::new(pace(true)), reconciled, 60),
            [] as [i64; 0]
        );
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut memory = Memory::new(pace(true));
        memory.sent("i", 1, at(0));
        memory.keep(&std::collections::HashSet::from(["other"]));
        assert!(memory.pulses.is_empty());
    }
}
