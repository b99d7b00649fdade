//! Times and what they amount to.

use std::time::Duration;

use serde_json::{Value, json};

/// The times of some pulses, and how many had no answer.
#[derive(Debug, Default)]
pub struct Times {
    times: Vec<Duration>,
    failures: usize,
}

impl Times {
    pub fn note(&mut self, time: Option<Duration>) {
        match time {
            Some(time) => self.times.push(time),
            None => self.failures += 1,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failures += other.failures;
    }

    pub fn answered(&self) -> usize {
        self.times.len()
    }

    pub fn failures(&self) -> usize {
        self.failures
    }

    /// Rate and percentiles, given how long all of it took.
    pub fn report(&self, took: Duration) -> Value {
        let mut times = self.times.clone();
        times.sort_unstable();
        let part = |permille: usize| {
            let index = (times.len() * permille / 1000).min(times.len().saturating_sub(1));
            times.get(index).copied().map(milliseconds)
        };
        json!({
            "reports": times.len(),
            "failures": self.failures,
            "per_second": rate(times.len(), took),
            "pulse_to_report_ms": {"p50": part(500), "p99": part(990), "max": part(1000)},
        })
    }
}

/// Events per second with one decimal.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub fn rate(count: usize, took: Duration) -> f64 {
    (count as f64 / took.as_secs_f64().max(1e-6) * 10.0).round() / 10.0
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_answers_and_failures_are_counted() {
        let mut times = Times::default();
        for ms in (1..=100).rev() {
            times.note(Some(Duration::from_millis(ms)));
        }
        times.note(None);
        let report = times.report(Duration::from_secs(10));
        assert_eq!(
            report,
            json!({"reports": 100, "failures": 1, "per_second": 10.0,
                "pulse_to_report_ms": {"p50": 51.0, "p99": 100.0, "max": 100.0}})
        );
    }

    #[test]
    fn no_answer_has_no_percentiles() {
        let report = Times::default().report(Duration::ZERO);
        assert_eq!(
            report.pointer("/pulse_to_report_ms/p50"),
            Some(&Value::Null)
        );
    }
}
