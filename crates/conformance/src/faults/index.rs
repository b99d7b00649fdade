//! A history, looked at by operation, stream, life and fault.

use std::collections::BTreeMap;

use super::history::{
    Answer, Call, Entry, History, Listener, Micros, Number, Outcome, Report, Scope, Snapshot, Spec,
    Status, What,
};

/// The views that the checks share.
pub struct Index<'h> {
    /// What it was made of.
    pub history: &'h History,
    /// By number, and so by the time of the call.
    pub ops: BTreeMap<Number, Op<'h>>,
    /// By number.
    pub streams: BTreeMap<Number, Stream<'h>>,
    /// By id and number of the life.
    pub lives: BTreeMap<(&'h str, u32), Life<'h>>,
    /// Every fault.
    pub disturbances: Vec<Disturbance<'h>>,
    /// Every snapshot.
    pub snapshots: Vec<(Micros, &'h Snapshot)>,
    /// Time of the last entry.
    pub end: Micros,
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub struct Op<'h> {
    /// Its number.
    pub number: Number,
    /// Who called.
    pub actor: &'h str,
    /// When it was called.
    pub invoked: Micros,
    /// When and how it ended.
    pub returned: Option<(Micros, &'h Outcome)>,
    /// What was asked.
    pub call: &'h Call,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream<'h> {
    /// Its number.
    pub number: Number,
    /// Who listened.
    pub listener: &'h Listener,
    /// When it was accepted.
    pub opened: Micros,
    /// When it ended.
    pub closed: Option<Micros>,
    /// Its specs, if an agent listened.
    pub specs: Vec<(Micros, &'h Spec)>,
    /// Its statuses, if a source listened.
    pub statuses: Vec<(Micros, &'h Status)>,
    /// Resyncs that were asked for on it.
    pub resyncs: usize,
}

/// One life of an id: from a create to the end of its deletion.
#[derive(Clone, Debug)]
pub struct Life<'h> {
    /// The id.
    pub id: &'h str,
    /// 1 for the first.
    pub number: u32,
    /// Where it went.
    pub cluster: &'h str,
    /// Whose it is.
    pub source: &'h str,
    /// How it began.
    pub create: Op<'h>,
    /// Its updates.
    pub updates: Vec<Op<'h>>,
    /// Deletions that meant it.
    pub deletes: Vec<Op<'h>>,
    /// What the agent said about it.
    pub reports: Vec<(Op<'h>, &'h Report)>,
}

/// A fault.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance<'h> {
    /// When it began.
    pub from: Micros,
    /// When it was over.
    pub until: Micros,
    /// Whom it hit.
    pub scope: &'h Scope,
}

impl<'h> Index<'h> {
    /// Reads a history.
    #[must_use]
    pub fn new(history: &'h History) -> Self {
        let mut index = Self {
            history,
            ops: BTreeMap::new(),
            streams: BTreeMap::new(),
            lives: BTreeMap::new(),
            disturbances: Vec::new(),
            snapshots: Vec::new(),
            end: history.entries.last().map_or(0, |entry| entry.at),
        };
        let mut faults = BTreeMap::new();
        for entry in &history.entries {
            index.add(entry, &mut faults);
        }
        let end = index.end;
        let unfinished = faults.into_values().map(|(from, scope)| Disturbance {
            from,
            until: end,
            scope,
        });
        index.disturbances.extend(unfinished);
        index.sort_into_lives();
        index
    }

    fn add(&mut self, entry: &'h Entry, faults: &mut BTreeMap<usize, (Micros, &'h Scope)>) {
        let at = entry.at;
        match &entry.what {
            What::Invoke { op, actor, call } => {
                if let Call::Resync { stream } = call
                    && let Some(stream) = self.streams.get_mut(stream)
                {
                    stream.resyncs += 1;
                }
                let value = Op {
                    number: *op,
                    actor,
                    invoked: at,
                    returned: None,
                    call,
                };
                self.ops.insert(*op, value);
            }
            What::Return { op, outcome } => {
                if let Some(op) = self.ops.get_mut(op) {
                    op.returned = Some((at, outcome));
                }
            }
            What::Opened {
                stream, listener, ..
            } => {
                let value = Stream {
                    number: *stream,
                    listener,
                    opened: at,
                    closed: None,
                    specs: Vec::new(),
                    statuses: Vec::new(),
                    resyncs: 0,
                };
                self.streams.insert(*stream, value);
            }
            What::Closed { stream, .. } => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.closed = Some(at);
                }
            }
            What::Spec(spec) => {
                if let Some(stream) = self.streams.get_mut(&spec.stream) {
                    stream.specs.push((at, spec));
                }
            }
            What::Status(status) => {
                if let Some(stream) = self.streams.get_mut(&status.stream) {
                    stream.statuses.push((at, status));
                }
            }
            What::Fault { fault, scope, .. } => {
                faults.insert(*fault, (at, scope));
            }
            What::Over { fault } => {
                if let Some((from, scope)) = faults.remove(fault) {
                    self.disturbances.push(Disturbance {
                        from,
                        until: at,
                        scope,
                    });
                }
            }
            What::Snapshot(snapshot) => self.snapshots.push((at, snapshot)),
            What::Silent { .. } | What::Sample(_) | What::Tables { .. } | What::Window { .. } => {}
        }
    }

    fn sort_into_lives(&mut self) {
        for op in self.ops.values() {
            if let Call::Create {
                id,
                cluster,
                source,
                tag,
            } = op.call
            {
                let life = Life {
                    id,
                    number: tag.life,
                    cluster,
                    source,
                    create: *op,
                    updates: Vec::new(),
                    deletes: Vec::new(),
                    reports: Vec::new(),
                };
                self.lives.insert((id, tag.life), life);
            }
        }
        for op in self.ops.values() {
            let of = match op.call {
                Call::Update { id, tag, .. } => Some((id.as_str(), tag.life)),
                Call::Delete { id, life } => Some((id.as_str(), *life)),
                Call::Report(report) => report.tag.map(|tag| (report.id.as_str(), tag.life)),
                _ => None,
            };
            let Some(life) = of.and_then(|key| self.lives.get_mut(&key)) else {
                continue;
            };
            match op.call {
                Call::Update { .. } => life.updates.push(*op),
                Call::Delete { .. } => life.deletes.push(*op),
                Call::Report(report) => life.reports.push((*op, report)),
                _ => {}
            }
        }
    }

    /// Whether a fault that concerns the cluster was on at any time between the two.
    #[must_use]
    pub fn disturbed(&self, cluster: &str, from: Micros, until: Micros) -> bool {
        self.disturbances.iter().any(|fault| {
            let concerns = match fault.scope {
                Scope::Everything | Scope::Replica(_) => true,
                Scope::Cluster(name) => name == cluster,
                Scope::Source(_) => false,
            };
            concerns && fault.from <= until && fault.until >= from
        })
    }

    /// The lives of an id.
    pub fn lives_of<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s Life<'h>> {
        self.lives
            .range((id, 0)..=(id, u32::MAX))
            .map(|(_, life)| life)
    }

    /// Everything that was read of works: when it was asked, when it was answered, and the rows.
    pub fn reads(&self) -> impl Iterator<Item = Read<'h>> + '_ {
        let gets = self.ops.values().filter_map(|op| {
            let Call::Get { id } = op.call else {
                return None;
            };
            match op.returned {
                Some((
                    returned,
                    Outcome::Ok {
                        answer: Answer::Row(row),
                    },
                )) => Some(Read {
                    id,
                    invoked: op.invoked,
                    returned,
                    row: row.as_ref(),
                }),
                _ => None,
            }
        });
        let snapshots = self.snapshots.iter().flat_map(|(at, snapshot)| {
            snapshot.rows.iter().map(|(id, row)| Read {
                id,
                invoked: *at,
                returned: *at,
                row: Some(row),
            })
        });
        gets.chain(snapshots)
    }
}

/// A row as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Read<'h> {
    /// The id.
    pub id: &'h str,
    /// Not read before.
    pub invoked: Micros,
    /// Not read after.
    pub returned: Micros,
    /// The row, if there was one.
    pub row: Option<&'h super::history::Row>,
}

impl Op<'_> {
    /// When it was answered with success.
    #[must_use]
    pub fn succeeded(&self) -> Option<Micros> {
        match self.returned {
            Some((at, Outcome::Ok { .. })) => Some(at),
            _ => None,
        }
    }

    /// Whether it was answered with success before that time.
    #[must_use]
    pub fn succeeded_before(&self, at: Micros) -> bool {
        self.succeeded().is_some_and(|done| done < at)
    }

    /// Whether it is one that may change something: a write or a report.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self.call {
            Call::Create { .. } | Call::Update { .. } | Call::Delete { .. } | Call::Report(_) => {
                true
            }
            Call::Get { .. } | Call::Walk { .. } | Call::Resync { .. } => false,
        }
    }

    /// Whether it was refused for good.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self.returned, Some((_, Outcome::Refused { .. })))
    }

    /// Whether nobody knows if it was done.
    #[must_use]
    pub fn unknown(&self) -> bool {
        self.succeeded().is_none() && !self.refused()
    }
}

impl Life<'_> {
    /// When its create was answered with success.
    #[must_use]
    pub fn born(&self) -> Option<Micros> {
        self.create.succeeded()
    }

    /// The first time that the agent said that all of it is gone.
    #[must_use]
    pub fn first_farewell(&self) -> Option<Micros> {
        let farewells = self.reports.iter().filter(|(_, report)| report.deleted);
        farewells.map(|(op, _)| op.invoked).min()
    }

    /// The earliest answer to a deletion that surely met it: asked for after the life had begun.
    #[must_use]
    pub fn doomed(&self) -> Option<Micros> {
        let born = self.born()?;
        let met = self.deletes.iter().filter(|op| op.invoked > born);
        met.filter_map(Op::succeeded).min()
    }
}
