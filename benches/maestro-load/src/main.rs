//! Load for a Maestro server: a fixed amount of work, publishers and agents played by this program, figures as JSON.
//!
//! It speaks only the public protocols (REST and CloudEvents over gRPC), so it measures any server: ours on either database, or
//! the Go one. See `--help`.

mod agent;
mod figures;
mod process;
mod source;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;

use figures::Figures;
use work::Shape;

/// Publish works, play the agents, and report rates and latencies as JSON.
///
/// The work is fixed: CONSUMERS × WORKS bundles, half of them small (0.75 KB spec, 2 KB status), half large (31 KB spec, 19 KB
/// status): together about 3 KB and 49 KB in the database. Each bundle is created over gRPC, received by the agent that this
/// program plays, answered with a status, and received again by the source. Then one consumer's bundles are listed as Go clients
/// do (pages of 400), and, with --delete, everything is deleted again.
///
/// Start a server with an empty database first, for example:
///
///   hyperfleet maestro-server --database sqlite:/tmp/load.db &
///   maestro-load --pid $!
#[derive(Clone, Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Args {
    /// REST address of the server.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    rest: String,
    /// Address of the port for sources.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    source_grpc: String,
    /// Address of the port for agents.
    #[arg(long, default_value = "127.0.0.1:8091", value_name = "HOST:PORT")]
    agent_grpc: String,
    /// Clusters.
    #[arg(long, default_value_t = 10)]
    consumers: usize,
    /// Works per cluster.
    #[arg(long, default_value_t = 600)]
    works: usize,
    /// Publishes on their way at once.
    #[arg(long, default_value_t = 16)]
    publishers: usize,
    /// Publishes per second; 0 = as fast as they are answered.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Process id of the server: its memory and CPU time are reported.
    #[arg(long)]
    pid: Option<u32>,
    /// Delete everything at the end and measure that as well.
    #[arg(long)]
    delete: bool,
    /// Give up when nothing moves for so long, seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Name of the source, and start of the names of the clusters.
    #[arg(long, default_value = "load")]
    name: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    service_runtime::install_crypto_provider();
    let args = Args::parse();
    let report = run(&args).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn run(args: &Args) -> anyhow::Result<serde_json::Value> {
    let shapes: Vec<Shape> = work::shapes(&args.name, args.consumers, args.works);
    let total = shapes.len();
    let figures = Arc::new(Figures::new(shapes.iter().map(|shape| shape.id.clone())));
    let http = reqwest::Client::new();
    for number in 0..args.consumers {
        register(&http, &args.rest, &work::cluster(&args.name, number)).await?;
    }
    let mut agents = Vec::new();
    for number in 0..args.consumers {
        let cluster = work::cluster(&args.name, number);
        agents.push(agent::start(&args.agent_grpc, &cluster, Arc::clone(&figures)).await?);
    }
    let source = source::connect(&args.source_grpc, &args.name).await?;
    let listener = source.listen(Arc::clone(&figures)).await?;
    let before = args.pid.and_then(process::sample);
    let patience = Duration::from_secs(args.patience);

    eprintln!("Publishing {total} works for {} clusters.", args.consumers);
    let started = Instant::now();
    figures.start();
    let failed = source
        .create(&shapes, args.publishers, args.rate, &figures)
        .await;
    let accepted = started.elapsed();
    figures
        .wait("statuses", patience, total - failed, Figures::answered)
        .await?;
    let after = args.pid.and_then(process::sample);

    let list = list(&http, &args.rest, &work::cluster(&args.name, 0)).await?;
    let mut report = json!({
        "works": total,
        "failed": failed,
        "consumers": args.consumers,
        "publishers": args.publishers,
        "created_per_second": rate(total - failed, accepted),
        "delivered_per_second": figures.rate(figures::Mark::Delivered),
        "answered_per_second": figures.rate(figures::Mark::Answered),
        "accept_ms": figures.latency(figures::Mark::Accepted),
        "create_to_delivered_ms": figures.latency(figures::Mark::Delivered),
        "create_to_status_ms": figures.latency(figures::Mark::Answered),
        "list": list,
        "server": process::report(before, after),
    });
    if args.delete {
        eprintln!("Deleting everything.");
        let started = Instant::now();
        let failed = source.delete(&shapes, args.publishers, &figures).await;
        figures
            .wait("deletions", patience, total - failed, Figures::removed)
            .await?;
        if let Some(report) = report.as_object_mut() {
            report.insert("deleted_per_second".into(), rate(total, started.elapsed()));
            report.insert("deletes_failed".into(), failed.into());
        }
    }
    listener.abort();
    for agent in agents {
        agent.abort();
    }
    Ok(report)
}

fn rate(count: usize, time: Duration) -> serde_json::Value {
    #[allow(clippy::cast_precision_loss, reason = "counts of works")]
    let rate = count as f64 / time.as_secs_f64();
    json!((rate * 10.0).round() / 10.0)
}

async fn register(http: &reqwest::Client, rest: &str, cluster: &str) -> anyhow::Result<()> {
    let url = format!("{rest}/api/maestro/v1/consumers");
    let answer = http
        .post(url)
        .json(&json!({"name": cluster}))
        .send()
        .await
        .context("reach REST")?;
    let status = answer.status().as_u16();
    anyhow::ensure!(
        status == 201 || status == 409,
        "register {cluster}: HTTP {status}"
    );
    Ok(())
}

/// Lists the works of one cluster as Go clients do.
async fn list(
    http: &reqwest::Client,
    rest: &str,
    cluster: &str,
) -> anyhow::Result<serde_json::Value> {
    let started = Instant::now();
    let (mut items, mut bytes) = (0, 0);
    for page in 1.. {
        let answer = http
            .get(format!("{rest}/api/maestro/v1/resource-bundles"))
            .query(&[
                ("search", format!("consumer_name='{cluster}'")),
                ("page", page.to_string()),
                ("size", "400".into()),
            ])
            .send()
            .await?
            .error_for_status()?;
        let body = answer.bytes().await?;
        bytes += body.len();
        let list: serde_json::Value = serde_json::from_slice(&body)?;
        let found = list
            .get("items")
            .and_then(|items| items.as_array())
            .map_or(0, Vec::len);
        items += found;
        if found < 400 {
            break;
        }
    }
    Ok(json!({"items": items, "bytes": bytes, "ms": figures::milliseconds(started.elapsed())}))
}
