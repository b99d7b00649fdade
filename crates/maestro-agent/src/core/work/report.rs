//! When the status of a work is published: the newest one, one at a time, not too often, until it is accepted.

use std::time::Duration;

use manifestwork::{ManifestWork, ObjectMeta};
use tokio::time::Instant;

use super::{Decision, Phase, Work};
use crate::core::pace::PUBLISH;

/// Changes within this time go out as one status.
pub const COALESCE: Duration = Duration::from_millis(250);

/// How far the server knows the status.
#[derive(Debug)]
pub struct Report {
    /// Counts the changes of the status.
    revision: u64,
    /// The revision that the server has accepted.
    accepted: u64,
    /// The revision that is on its way.
    in_flight: Option<u64>,
    /// The first revision that says that everything is gone.
    last_word: Option<u64>,
    not_before: Instant,
    failures: u32,
}

impl Report {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            revision: 0,
            accepted: 0,
            in_flight: None,
            last_word: None,
            not_before: now,
            failures: 0,
        }
    }

    /// The status changed. An incomplete one waits a moment for its missing parts, unless one waits already.
    pub(super) fn changed(&mut self, complete: bool, gone: bool, now: Instant) {
        let first = self.revision == self.accepted;
        self.revision += 1;
        if gone {
            self.last_word.get_or_insert(self.revision);
        }
        if first && !complete {
            self.not_before = self.not_before.max(now + COALESCE);
        }
    }
}

impl Work {
    /// Whether the status is to be published, and when.
    pub fn next_report(&self, now: Instant) -> Decision<()> {
        let report = &self.report;
        if report.in_flight.is_some() || report.revision == report.accepted || self.silent {
            return Decision::Never;
        }
        if report.not_before <= now {
            Decision::Now(())
        } else {
            Decision::At(report.not_before)
        }
    }

    /// The revision and the work as it is published; from here on it is on its way.
    pub fn publish(&mut self) -> (u64, ManifestWork) {
        let revision = self.report.revision;
        self.report.in_flight = Some(revision);
        let work = ManifestWork {
            metadata: ObjectMeta {
                resource_version: String::new(),
                ..self.metadata.clone()
            },
            status: self.status.clone(),
            ..ManifestWork::default()
        };
        (revision, work)
    }

    /// The server has accepted a revision, or not.
    pub fn published(&mut self, revision: u64, accepted: bool, now: Instant) {
        let report = &mut self.report;
        report.in_flight = None;
        if accepted {
            report.accepted = report.accepted.max(revision);
            report.failures = 0;
            report.not_before = now + COALESCE;
        } else {
            report.failures = report.failures.saturating_add(1);
            report.not_before = now + PUBLISH.wait(report.failures, &self.id);
        }
    }

    /// The connection is back: what waits goes out at once.
    pub fn flush(&mut self, now: Instant) {
        self.report.failures = 0;
        self.report.not_before = self.report.not_before.min(now);
    }

    /// The whole status is wanted again, whatever was accepted.
    pub fn report_again(&mut self) {
        if self.report.revision > 0 {
            self.report.revision += 1;
        }
    }

    /// Whether everything is done and said.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Gone
            && self.running.is_none()
            && (self.silent
                || self
                    .report
                    .last_word
                    .is_some_and(|word| self.report.accepted >= word))
    }
}
