//! Memory, CPU time and limits of processes, from the system.

use std::fs;

use anyhow::ensure;

/// Clock ticks per second of `/proc/<pid>/stat`; fixed on Linux.
const TICKS: f64 = 100.0;

/// One process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub rss_kb: u64,
    pub peak_kb: u64,
    pub cpu_seconds: f64,
}

/// The process now; `None` when it can't be read.
pub fn sample(pid: u32) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Sample {
        rss_kb: field("VmRSS:")?,
        peak_kb: field("VmHWM:")?,
        cpu_seconds: times(&pid.to_string())?.own,
    })
}

/// CPU time of this program, seconds.
pub fn own_cpu() -> f64 {
    times("self").map_or(0.0, |times| times.own)
}

/// CPU time of a process with all its children, those that have ended too, seconds.
pub fn family_cpu(pid: u32) -> Option<f64> {
    let parent = times(&pid.to_string())?;
    let mut sum = parent.own + parent.ended;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    for child in children.split_whitespace() {
        // One that ends just now is counted with its parent next time.
        sum += times(child).map_or(0.0, |times| times.own);
    }
    Some(sum)
}

struct Times {
    own: f64,
    /// Of children that have ended.
    ended: f64,
}

fn times(pid: &str) -> Option<Times> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |index: usize| -> Option<f64> {
        let ticks: u32 = fields.get(index)?.parse().ok()?;
        Some(f64::from(ticks) / TICKS)
    };
    Some(Times {
        own: seconds(11)? + seconds(12)?,
        ended: seconds(13)? + seconds(14)?,
    })
}

/// Lets the peak memory of a process count from now. Without the right to do so it counts from the process's start.
pub fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Fails when this program or the server may not open so many sockets.
pub fn check_sockets(needed: usize, server: Option<u32>) -> anyhow::Result<()> {
    let limit = |pid: &str| -> Option<usize> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))?;
        line.split_whitespace().nth(3)?.parse().ok()
    };
    let advice = "raise it with `ulimit -n`, or ask for fewer with --agents";
    if let Some(limit) = limit("self") {
        ensure!(
            limit >= needed,
            "this run opens up to {needed} sockets, but this shell allows {limit} open files: {advice}"
        );
    }
    if let Some(limit) = server.and_then(|pid| limit(&pid.to_string())) {
        ensure!(
            limit >= needed,
            "this run opens up to {needed} sockets, but the server was started with a limit of {limit} open files: {advice}"
        );
    }
    Ok(())
}

/// What machine this is, and how busy.
pub fn machine() -> serde_json::Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let load = fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next().map(str::to_owned));
    serde_json::json!({"cores": cores, "cpu": model, "load_average": load})
}
