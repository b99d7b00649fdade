//! What a seed means: the traffic and the faults of a round. A pure function, so that a seed can be told to somebody else.

mod fault;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fault::Fault;

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

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything breaks.
    Storm,
    /// The pace of quiet clusters is measured: undisturbed, beside suffering neighbours, beside a dead cluster's backlog.
    Pace,
    /// Streams stay, but servers don't hear of each other's writes: no resync makes up for what they miss.
    Deaf,
}

/// A cluster without an agent, for which deletions pile up.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The cluster.
    pub cluster: String,
    /// Works that are created and deleted there.
    pub works: usize,
    /// How long callers ask for their deletion again and again.
    pub lasts: Duration,
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
    /// What it is about.
    pub kind: Kind,
    /// The dead cluster of a round that looks at the pace.
    pub backlog: Option<Backlog>,
    /// Whether rows of the event tables are made older at the end, to see them go.
    pub ages: bool,
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
            lives: random.between(1, 6),
            gets: 4,
            walks: 1,
            pause: random.between(20, 120),
        };
        // One round in eight looks at the pace, one is deaf.
        let kind = match random.between(0, 99) {
            0..12 => Kind::Pace,
            12..25 => Kind::Deaf,
            _ => Kind::Storm,
        };
        let pace = kind == Kind::Pace;
        if pace {
            mix = Mix {
                creates: 10,
                pause: 60,
                ..Mix::default()
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
            kind,
            backlog: pace.then(|| Backlog {
                cluster: "dead".to_owned(),
                works: if full { 5000 } else { 2000 },
                lasts: Duration::from_secs(8),
            }),
            ages: random.percent(25),
            idle: usize::try_from(random.between(0, if full { 40 } else { 10 })).unwrap_or(0),
        };
        let mut random = whole.part("faults");
        plan.faults = match kind {
            Kind::Storm => plan.trouble(&mut random, full),
            Kind::Pace => plan.neighbours(),
            Kind::Deaf => plan.deafness(&mut random),
        };
        let late = |planned: &Planned| matches!(planned.fault, Fault::LateReports(..));
        if plan.faults.iter().any(late) {
            // Reports of one life can only arrive in another if there are several.
            plan.mix.rebirths += 10;
            plan.mix.lives = 8;
        }
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

    /// Notifications get lost all the time, and now and then a server is away from the database; no stream ends.
    fn deafness(&self, random: &mut Random) -> Vec<Planned> {
        let window = self.millis();
        let mut faults = vec![Planned {
            after: 0,
            lasts: window,
            fault: Fault::EndListeners(random.between(60, 200)),
        }];
        let mut after = random.between(500, 2000);
        while after < window {
            let lasts = random.between(300, 2500);
            faults.push(Planned {
                after,
                lasts,
                fault: Fault::CutDatabase(random.below(2)),
            });
            after += lasts + random.between(1000, 3000);
        }
        faults
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
        let weights = [6, 4, 3, 2, 3, 3, 2, 3, 4, 4, 4, 3, 3, 4, 3, 2, 2, 2, 7];
        match random.weighted(&weights) {
            0 => Fault::KillServer(server),
            1 => Fault::PauseServer(server),
            2 => Fault::KillDatabase,
            3 => Fault::PauseDatabase,
            4 => Fault::SlowDatabase(server, random.between(5, 150)),
            5 => Fault::CutDatabase(server),
            6 => Fault::StallDatabase(server),
            7 => Fault::EndListeners(random.between(100, 1200)),
            8 => Fault::CutAgent(agent),
            9 => Fault::StallAgent(agent),
            10 => Fault::MoveAgent(agent),
            11 => Fault::LossyAgent(agent, random.between(20, 100)),
            12 => Fault::StatusStorm(agent),
            13 => {
                let seconds = i64::try_from(random.between(1, 120)).unwrap_or(1);
                let ahead = random.percent(50);
                Fault::ClockStep(agent, if ahead { seconds } else { -seconds })
            }
            14 => Fault::CutSource(source),
            15 => Fault::StallSource(source),
            16 => Fault::SlowSource(source, random.between(5, 100)),
            17 => Fault::ReconnectStorm,
            _ => Fault::LateReports(agent, random.between(200, 3000)),
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
            | Fault::EndListeners(_)
            | Fault::ReconnectStorm => Scope::Everything,
            Fault::CutAgent(agent)
            | Fault::StallAgent(agent)
            | Fault::MoveAgent(agent)
            | Fault::LossyAgent(agent, _)
            | Fault::StatusStorm(agent)
            | Fault::ClockStep(agent, _)
            | Fault::LateReports(agent, _) => Scope::Cluster(name(&self.clusters, *agent)),
            Fault::CutSource(source)
            | Fault::StallSource(source)
            | Fault::SlowSource(source, _) => Scope::Source(name(&self.sources, *source)),
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
        assert_eq!(kinds.len(), 19, "{kinds:?}");
        for kind in [Kind::Storm, Kind::Pace, Kind::Deaf] {
            assert!((0..300).any(|seed| plan(seed).kind == kind), "{kind:?}");
        }
        let mut steps = (0..300).flat_map(|seed| plan(seed).faults);
        let behind = |planned: Planned| matches!(planned.fault, Fault::ClockStep(_, ..0));
        assert!(steps.any(behind));
    }

    #[test]
    fn no_fault_of_a_deaf_round_ends_a_stream() {
        let deaf = (0..300).map(|seed| Plan::new(seed, Profile::Full));
        for planned in deaf
            .filter(|plan| plan.kind == Kind::Deaf)
            .flat_map(|plan| plan.faults)
        {
            let fault = planned.fault;
            assert!(
                matches!(fault, Fault::EndListeners(_) | Fault::CutDatabase(_)),
                "{fault}"
            );
        }
    }
}
