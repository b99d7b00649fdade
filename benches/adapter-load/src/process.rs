//! Memory and CPU time of a process, from the system.

use serde_json::{Value, json};

/// Clock ticks per second of `/proc/<pid>/stat`; fixed on Linux.
const TICKS: u64 = 100;

#[derive(Clone, Copy, Debug)]
pub struct Sample {
    rss_kb: u64,
    peak_kb: u64,
    cpu_ticks: u64,
}

pub fn sample(pid: u32) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    Some(Sample {
        rss_kb: field("VmRSS:")?,
        peak_kb: field("VmHWM:")?,
        cpu_ticks: ticks(11)? + ticks(12)?,
    })
}

pub fn report(before: Option<Sample>, after: Option<Sample>) -> Value {
    let (Some(before), Some(after)) = (before, after) else {
        return Value::Null;
    };
    #[allow(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = (after.cpu_ticks - before.cpu_ticks) as f64 / TICKS as f64;
    json!({
        "rss_before_kb": before.rss_kb,
        "rss_after_kb": after.rss_kb,
        "rss_peak_kb": after.peak_kb,
        "cpu_seconds": seconds,
    })
}
