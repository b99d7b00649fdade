//! Where in its history a work is, and which of two states is the later one.

use event_wire::SequenceId;
use jiff::Timestamp;
use manifestwork::{ManifestWork, constants::SEQUENCE_ID_ANNOTATION};

/// Where in its history a work is.
#[derive(Clone, Copy)]
pub(super) struct Position {
    /// Creation time: tells one life of a name from the next.
    pub(super) life: Option<Timestamp>,
    /// The same exactly, if a list showed it.
    pub(super) born: Option<Timestamp>,
    pub(super) version: i64,
    pub(super) sequence: Option<SequenceId>,
}

/// How a position stands to one that was told before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Older,
    Same,
    Newer,
    AnotherLife,
}

// === impl Position ===

impl Position {
    pub(super) fn of(work: &ManifestWork, born: Option<Timestamp>) -> Self {
        let sequence = work
            .metadata
            .annotations
            .get(SEQUENCE_ID_ANNOTATION)
            .and_then(|text| text.parse().ok());
        Self {
            life: work.metadata.creation_timestamp,
            born,
            version: work.metadata.generation,
            sequence,
        }
    }

    /// Whether this is of an earlier life that began in the same second as a listed one. Where both are known exactly,
    /// [`Position::against`] tells.
    pub(super) fn lived_before(&self, listed: &Self) -> bool {
        self.born.is_none() && self.life == listed.life && self.version > listed.version
    }

    /// How this position stands to one that was told before.
    pub(super) fn against(&self, told: &Self) -> Order {
        for (life, before) in [(self.life, told.life), (self.born, told.born)] {
            if let (Some(life), Some(before)) = (life, before)
                && life != before
            {
                return if life > before {
                    Order::AnotherLife
                } else {
                    Order::Older
                };
            }
        }
        match self.version.cmp(&told.version) {
            std::cmp::Ordering::Less => return Order::Older,
            std::cmp::Ordering::Greater => return Order::Newer,
            std::cmp::Ordering::Equal => {}
        }
        match (self.sequence, told.sequence) {
            (Some(sequence), Some(before)) if sequence == before => Order::Same,
            // Ids of different nodes have no order: take what comes.
            (Some(sequence), before) if sequence.is_newer_than(before).unwrap_or(true) => {
                Order::Newer
            }
            (None, None) => Order::Same,
            _ => Order::Older,
        }
    }
}

/// Whether a report is about a life that began in the second in which the one before was seen to end: versions begin again,
/// sequence ids go on.
pub(super) fn within_the_same_second(position: &Position, ended: &Position) -> bool {
    let same = position.life.is_none_or(|life| Some(life) == ended.life);
    match (position.sequence, ended.sequence) {
        (Some(sequence), Some(last)) => same && sequence.is_newer_than(Some(last)).unwrap_or(false),
        _ => false,
    }
}

pub(super) fn is_older_life(position: &Position, told: &Position) -> bool {
    matches!((position.life, told.life), (Some(life), Some(before)) if life < before)
}
