//! Load for an adapter: a fixed number of pulses, the adapter in this process, figures as JSON.
//!
//! ```text
//! pulse ─► memory:// ─► adapter ─► API, Kubernetes, Maestro ─► report ─► API ─► seen here
//! ```
//!
//! Everything around the adapter is reached by address, so it measures our adapter against any installation. In reading
//! order: `adapter` (the one under load), `clusters` (what it works on), `pulses` (one measurement), `figures`. See `--help`.

mod adapter;
mod clusters;
mod figures;
// The same lines of /proc as in the other load generator.
mod process;
mod pulses;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use hyperfleet_client::{Client, Config};
use serde_json::{Value, json};

use pulses::Pulses;

/// Topic of the pulses inside this process.
const TOPIC: &str = "adapter-load";
/// Most clusters of one run.
const MAX_CLUSTERS: u64 = 10_000;
/// Most pulses for one cluster.
const MAX_ROUNDS: u64 = 1_000;

/// An adapter that is part of this program.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Embedded {
    /// Checks the spec; one ConfigMap.
    Validation,
    /// Decides names; one ConfigMap.
    Dns,
    /// Provides the pull secret; one Secret.
    Pullsecret,
    /// One HostedCluster in a ManifestWork; needs --maestro-rest and --maestro-grpc.
    Controlplane,
}

/// Create clusters, send the adapter a pulse for each, and time it until its report is visible at the API.
///
/// The adapter runs in this process on an in-process broker and works against the API, Kubernetes and Maestro whose addresses
/// are given. The work is fixed: CLUSTERS × ROUNDS pulses, at most IN_FLIGHT at once; the next round begins when the one before
/// is answered. Round 1 creates the adapter's objects, unless an adapter that runs there made them already (they have the same
/// names); later rounds find nothing to change. A report counts when GET on the
/// cluster's statuses shows a later `last_report_time` than before the pulse, so a task config must report fractions of seconds.
///
/// The adapter reports under a name of its own (NAME-load): an adapter that already runs there keeps its reports, and its work
/// is not measured. At the end the clusters are deleted, the adapter removes its objects, and what is still waiting for other
/// adapters is counted as `left_deleting`.
///
/// Against everything in one process (its endpoints are printed, and in DIR/endpoints.json):
///
///   hyperfleet up --data-dir DIR &
///   adapter-load --hyperfleet-api URL --kubeconfig DIR/FILE --adapter dns --settle 120
///
/// Memory includes this program's own: a few MB for clusters and timing.
#[derive(Clone, Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Args {
    /// HyperFleet API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    hyperfleet_api: String,
    /// Maestro's REST address; adapters that don't use Maestro need none.
    #[arg(long, value_name = "URL")]
    maestro_rest: Option<String>,
    /// Maestro's gRPC port for sources.
    #[arg(long, value_name = "HOST:PORT")]
    maestro_grpc: Option<String>,
    /// Source id at Maestro. Default: the config's. Two adapters with one id speak about the same works.
    #[arg(long, value_name = "ID")]
    source_id: Option<String>,
    /// Consumer for clusters that name none.
    #[arg(long, value_name = "NAME", default_value = "management-1")]
    consumer: String,
    /// The adapter's own Kubernetes cluster; default: as the deployment config says.
    #[arg(long, value_name = "FILE", conflicts_with = "kubernetes")]
    kubeconfig: Option<PathBuf>,
    /// The same by address, without credentials.
    #[arg(long, value_name = "URL")]
    kubernetes: Option<String>,
    /// Namespace for the adapter's objects; it must exist.
    #[arg(long, value_name = "NAME", default_value = "hyperfleet-adapters")]
    namespace: String,
    /// Which adapter.
    #[arg(long, value_enum, default_value = "dns", conflicts_with_all = ["config", "task_config"])]
    adapter: Embedded,
    /// Deployment config of an adapter of your own.
    #[arg(long, value_name = "FILE", requires = "task_config")]
    config: Option<PathBuf>,
    /// Its task config.
    #[arg(long, value_name = "FILE", requires = "config")]
    task_config: Option<PathBuf>,
    /// Name under which it reports; default: its own and "-load".
    #[arg(long, value_name = "NAME")]
    report_as: Option<String>,
    /// Pulses that the adapter works on at once; default: the config's.
    #[arg(long, value_name = "N")]
    parallelism: Option<u64>,
    /// Clusters.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MAX_CLUSTERS))]
    clusters: u64,
    /// Pulses for each cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=MAX_ROUNDS))]
    rounds: u64,
    /// Pulses on their way at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    in_flight: u64,
    /// Pause between two looks for a report, milliseconds: the resolution of the times, and load on the API.
    #[arg(long, default_value_t = 10, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    look_every: u64,
    /// A pulse without a report for so long has failed, seconds; cleaning up may take as long.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    /// Before the first pulse, wait at most so long until other adapters have all clusters reconciled, seconds.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    settle: u64,
    /// Start of the names of the clusters.
    #[arg(long, default_value = "load")]
    name: String,
    /// Process id of something else whose memory and CPU time are wanted, for example the API's.
    #[arg(long)]
    pid: Option<u32>,
    /// Leave the clusters there.
    #[arg(long)]
    keep: bool,
    /// Log level of the adapter; its lines go to standard error.
    #[arg(long, default_value = "error")]
    log: String,
}

impl Args {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    /// Limits are far below.
    fn in_flight(&self) -> usize {
        usize::try_from(self.in_flight).unwrap_or(1)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    service_runtime::install_crypto_provider();
    let args = Args::parse();
    service_runtime::logs::init(service_runtime::logs::Options {
        level: args.log.clone(),
        ..service_runtime::logs::Options::default()
    })?;
    let report = run(&args).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn run(args: &Args) -> anyhow::Result<Value> {
    let api = Client::new(Config::new(&args.hyperfleet_api))?;
    let broker = event_broker::connect("memory://")?;
    let adapter = adapter::start(args, std::sync::Arc::clone(&broker)).await?;

    eprintln!("Creating {} clusters.", args.clusters);
    let started = Instant::now();
    let created = clusters::create(&api, args).await;
    let creating = started.elapsed();
    // From here on there is something to clean up, whatever happens.
    let pulses = Pulses {
        api: &api,
        broker: broker.as_ref(),
        adapter: &adapter.name,
        patience: args.patience(),
        pause: Duration::from_millis(args.look_every),
        in_flight: args.in_flight(),
    };
    let measured = measure(args, &pulses, &created.ids).await;
    let cleaned = if args.keep {
        Value::Null
    } else {
        eprintln!("Deleting the clusters.");
        clusters::delete(&pulses, &created.ids).await
    };
    let adapter_name = adapter.name.clone();
    adapter.stop().await?;
    if let Some(error) = created.error {
        return Err(error.context(format!(
            "created only {} of {} clusters",
            created.ids.len(),
            args.clusters
        )));
    }
    Ok(json!({
        "adapter": adapter_name,
        "clusters": args.clusters,
        "in_flight": args.in_flight,
        "clusters_created_per_second": figures::rate(created.ids.len(), creating),
        "measured": measured,
        "cleanup": cleaned,
    }))
}

async fn measure(args: &Args, pulses: &Pulses<'_>, clusters: &[String]) -> Value {
    if args.settle > 0 {
        eprintln!("Waiting until the clusters are reconciled.");
    }
    let reconciled = clusters::settle(pulses, clusters, Duration::from_secs(args.settle)).await;
    let own = || process::sample(std::process::id());
    let other = || args.pid.and_then(process::sample);
    let (own_before, other_before) = (own(), other());
    let started = Instant::now();
    let (mut rounds, mut all) = (Vec::new(), figures::Times::default());
    for round in 1..=args.rounds {
        let began = Instant::now();
        let times = pulses.round(clusters).await;
        eprintln!(
            "Round {round} of {}: {} reports, {} failures.",
            args.rounds,
            times.answered(),
            times.failures()
        );
        rounds.push(times.report(began.elapsed()));
        all.add(times);
    }
    json!({
        "reconciled_before": reconciled,
        "all": all.report(started.elapsed()),
        "rounds": rounds,
        "adapter_process": process::report(own_before, own()),
        "other_process": process::report(other_before, other()),
    })
}
