//! What a seed means: the traffic and the faults of a round. A pure function, so that a seed can be told to somebody else.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::Scope;
use super::random::Random;
use super::source::Mix;

/// How much a round is to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// For every change: short rounds.
    Ci,
    /// For nights: longer rounds with more works.
    Full,
}

/// A round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made of.
    pub seed: u64,
    /// Clusters with an agent.
    pub clusters: Vec<String>,
    /// Sources, each with a subscriber.
    pub sources: Vec<String>,
    /// Hands of each source.
    pub hands: usize,
    /// What hands do.
    pub mix: Mix,
    /// Traffic without faults, first of all.
    pub prelude: Duration,
    /// Traffic with faults.
    pub storm: Duration,
    /// When, counted from the end of the prelude, what, and for how long.
    pub faults: Vec<Planned>,
    /// Whether the pace of quiet clusters is measured beside suffering ones, instead of a storm.
    pub pace: bool,
    /// Idle agents of clusters without works.
    pub idle: usize,
}

/// A fault at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Counted from the end of the prelude, milliseconds.
    pub after: u64,
    /// How long it lasts, milliseconds.
    pub lasts: u64,
    /// What it is.
    pub fault: Fault,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// `kill -9` of a server, and a start.
    KillServer(usize),
    /// A server stands still.
    PauseServer(usize),
    /// `kill -9` of PostgreSQL with all sessions, and a start.
    KillDatabase,
    /// PostgreSQL stands still.
    PauseDatabase,
    /// Every answer of PostgreSQL to a server is late by so many milliseconds.
    SlowDatabase(usize, u64),
    /// A server's connections to PostgreSQL are closed.
    CutDatabase(usize),
    /// Nothing gets through between a server and PostgreSQL.
    StallDatabase(usize),
    /// The sessions that wait for notifications are ended, several times.
    EndListeners,
    /// An agent's connection is closed, several times.
    CutAgent(usize),
    /// Nothing gets through between an agent and its server.
    StallAgent(usize),
    /// An agent goes to the other server, several times.
    MoveAgent(usize),
    /// An agent loses so many of a hundred specs, and doesn't report as many ends.
    LossyAgent(usize, u64),
    /// An agent repeats its statuses as fast as it can.
    StatusStorm(usize),
    /// An agent's clock is so many seconds ahead, and then right again.
    ClockStep(usize, u64),
    /// A subscriber's connection is closed, several times.
    CutSource(usize),
    /// Nothing gets through between a subscriber and its server.
    StallSource(usize),
    /// A subscriber takes so many milliseconds for each event.
    SlowSource(usize, u64),
    /// All agents connect anew at the same time, several times.
    ReconnectStorm,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let whole = Random::new(seed);
        let mut random = whole.part("shape");
        let full = profile == Profile::Full;
        let clusters = random.between(3, if full { 6 } else { 4 });
        let sources = random.between(2, 3);
        let names = |prefix: &str, count: u64| {
            let name = |number: u64| format!("{prefix}{number}");
            (0..count).map(name).collect::<Vec<_>>()
        };
        let mut mix = Mix {
            creates: random.between(4, 10),
            updates: random.between(2, 8),
            short_lives: random.between(0, 4),
            deletes: random.between(1, 4),
            rebirths: random.between(0, 4),
            gets: 4,
            walks: 1,
            pause: random.between(20, 120),
        };
        // One round in eight looks at the pace.
        let pace = random.percent(12);
        if pace {
            mix = Mix {
                creates: 10,
                updates: 0,
                short_lives: 0,
                deletes: 0,
                rebirths: 0,
                gets: 0,
                walks: 0,
                pause: 60,
            };
        }
        let storm = random.between(8, if full { 25 } else { 12 });
        let mut plan = Self {
            seed,
            clusters: names("c", clusters),
            sources: names("s", sources),
            hands: 3,
            mix,
            prelude: Duration::from_secs(if pace { 8 } else { 2 }),
            storm: Duration::from_secs(storm),
            faults: Vec::new(),
            pace,
            idle: usize::try_from(random.between(0, if full { 40 } else { 10 })).unwrap_or(0),
        };
        plan.faults = if pace {
            plan.neighbours()
        } else {
            plan.trouble(&mut whole.part("faults"), full)
        };
        plan
    }

    /// One cluster and one source suffer; the others shouldn't notice.
    fn neighbours(&self) -> Vec<Planned> {
        let lasts = self.millis();
        let all = |fault| Planned {
            after: 0,
            lasts,
            fault,
        };
        vec![all(Fault::StallAgent(0)), all(Fault::SlowSource(0, 50))]
    }

    fn trouble(&self, random: &mut Random, full: bool) -> Vec<Planned> {
        let count = random.between(2, if full { 10 } else { 5 });
        let window = self.millis();
        let mut faults: Vec<Planned> = (0..count)
            .map(|_| {
                let fault = self.one(random);
                let longest = match fault {
                    Fault::PauseDatabase | Fault::StallDatabase(_) => 6000,
                    Fault::KillServer(_) | Fault::KillDatabase => 3000,
                    _ => 8000,
                };
                Planned {
                    after: random.between(0, window * 3 / 4),
                    lasts: random.between(200, longest),
                    fault,
                }
            })
            .collect();
        faults.sort_by_key(|planned| planned.after);
        faults
    }

    fn one(&self, random: &mut Random) -> Fault {
        let server = random.below(2);
        let agent = random.below(self.clusters.len());
        let source = random.below(self.sources.len());
        let weights = [6, 4, 3, 2, 3, 3, 2, 3, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2];
        match random.weighted(&weights) {
            0 => Fault::KillServer(server),
            1 => Fault::PauseServer(server),
            2 => Fault::KillDatabase,
            3 => Fault::PauseDatabase,
            4 => Fault::SlowDatabase(server, random.between(5, 150)),
            5 => Fault::CutDatabase(server),
            6 => Fault::StallDatabase(server),
            7 => Fault::EndListeners,
            8 => Fault::CutAgent(agent),
            9 => Fault::StallAgent(agent),
            10 => Fault::MoveAgent(agent),
            11 => Fault::LossyAgent(agent, random.between(20, 100)),
            12 => Fault::StatusStorm(agent),
            13 => Fault::ClockStep(agent, random.between(1, 120)),
            14 => Fault::CutSource(source),
            15 => Fault::StallSource(source),
            16 => Fault::SlowSource(source, random.between(5, 100)),
            _ => Fault::ReconnectStorm,
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.storm.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whom a fault hits.
    #[must_use]
    pub fn scope(&self, fault: &Fault) -> Scope {
        let name = |names: &[String], index: usize| names.get(index).cloned().unwrap_or_default();
        match fault {
            Fault::KillServer(server)
            | Fault::PauseServer(server)
            | Fault::SlowDatabase(server, _)
            | Fault::CutDatabase(server)
            | Fault::StallDatabase(server) => Scope::Replica(*server),
            Fault::KillDatabase
            | Fault::PauseDatabase
            | Fault::EndListeners
            | Fault::ReconnectStorm => Scope::Everything,
            Fault::CutAgent(agent)
            | Fault::StallAgent(agent)
            | Fault::MoveAgent(agent)
            | Fault::LossyAgent(agent, _)
            | Fault::StatusStorm(agent)
            | Fault::ClockStep(agent, _) => Scope::Cluster(name(&self.clusters, *agent)),
            Fault::CutSource(source)
            | Fault::StallSource(source)
            | Fault::SlowSource(source, _) => Scope::Source(name(&self.sources, *source)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillServer(server) => write!(f, "kill -9 server {server}"),
            Self::PauseServer(server) => write!(f, "pause server {server}"),
            Self::KillDatabase => write!(f, "kill -9 PostgreSQL"),
            Self::PauseDatabase => write!(f, "pause PostgreSQL"),
            Self::SlowDatabase(server, millis) => {
                write!(f, "PostgreSQL is {millis} ms late for server {server}")
            }
            Self::CutDatabase(server) => write!(f, "cut server {server} off PostgreSQL"),
            Self::StallDatabase(server) => write!(f, "stall server {server}'s link to PostgreSQL"),
            Self::EndListeners => write!(f, "end the LISTEN sessions"),
            Self::CutAgent(agent) => write!(f, "cut agent {agent}"),
            Self::StallAgent(agent) => write!(f, "stall agent {agent}"),
            Self::MoveAgent(agent) => write!(f, "move agent {agent} between the servers"),
            Self::LossyAgent(agent, percent) => {
                write!(
                    f,
                    "agent {agent} loses {percent} % of specs and last reports"
                )
            }
            Self::StatusStorm(agent) => write!(f, "agent {agent} repeats its statuses"),
            Self::ClockStep(agent, seconds) => {
                write!(
                    f,
                    "the clock of agent {agent} is {seconds} s ahead, then right again"
                )
            }
            Self::CutSource(source) => write!(f, "cut subscriber {source}"),
            Self::StallSource(source) => write!(f, "stall subscriber {source}"),
            Self::SlowSource(source, millis) => {
                write!(f, "subscriber {source} takes {millis} ms for each event")
            }
            Self::ReconnectStorm => write!(f, "all agents connect anew"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_everywhere_and_every_fault_is_planned_by_some_seed() {
        let plan = |seed| Plan::new(seed, Profile::Full);
        assert_eq!(plan(5).faults, plan(5).faults);
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..300 {
            for planned in plan(seed).faults {
                let text = format!("{:?}", planned.fault);
                let kind = text.split('(').next().map(ToOwned::to_owned);
                kinds.extend(kind);
            }
        }
        assert_eq!(kinds.len(), 18, "{kinds:?}");
        assert!((0..300).any(|seed| plan(seed).pace));
    }
}
