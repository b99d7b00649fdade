//! About a minute of faults on two real servers: `kill -9`, pauses, cuts, a slow and a dying database, by fixed seeds.
//! `fault-runner` does the same for hours (docs/fault-runner.md).

use std::time::Duration;

use conformance::faults::history::Limits;
use conformance::faults::plan::Profile;
use conformance::faults::runner::{self, Options};
use conformance::faults::stack::{self, Kind};

/// The first seed; the rounds have kills of a server and of PostgreSQL, a stall, lost notifications, reports that arrive late, agents
/// that lose specs, and a clock that steps back.
const SEED: u64 = 519;
/// Rounds, if the time allows.
const ROUNDS: u64 = 3;
/// No round begins later.
const TIME: Duration = Duration::from_secs(60);
/// Machines that run tests are slow and busy.
const TIME_SCALE: f64 = 4.0;
/// Unoptimised servers are large.
const MEMORY: u64 = 384 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_faults_breaks_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    let time_scale = std::env::var("CONFORMANCE_TIME_SCALE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(TIME_SCALE);
    let options = Options {
        seed: SEED,
        time: TIME,
        rounds: ROUNDS,
        profile: Profile::Ci,
        keep_going: false,
        attempts: 0,
        limits: Limits {
            time_scale,
            memory: MEMORY,
        },
        stack: stack::Options {
            binary: env!("CARGO_BIN_EXE_maestro").into(),
            kind: Kind::Ours,
            durable: false,
            folder: folder.path().to_owned(),
            time_scale,
            servers: 2,
        },
    };
    let report = runner::run(&options, |line| println!("{line}"))
        .await
        .unwrap();
    if !report.holds() {
        // For whoever looks at it.
        let kept = folder.keep();
        panic!("promises were broken; everything is in {}", kept.display());
    }
}
