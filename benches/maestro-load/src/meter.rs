//! What a piece of work costs: processes and database before and after.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::database::{Counters, Database};
use crate::{figures, process};

/// Where costs are read.
pub struct Meter {
    server: Option<u32>,
    postgres: Option<u32>,
    database: Option<Database>,
}

/// Everything at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    server: Option<process::Sample>,
    postgres: Option<f64>,
    counters: Option<Counters>,
    own: f64,
}

impl Meter {
    pub fn new(args: &Args, database: Option<Database>) -> Self {
        Self {
            server: args.pid,
            postgres: args.database_pid,
            database,
        }
    }

    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// The start of something; the peak of memory counts from here.
    pub async fn start(&self) -> Sample {
        if let Some(pid) = self.server {
            process::reset_peak(pid);
        }
        self.sample().await
    }

    async fn sample(&self) -> Sample {
        let counters = match &self.database {
            Some(database) => database
                .counters()
                .await
                .inspect_err(|error| eprintln!("Can't read the database's counters: {error:#}"))
                .ok(),
            None => None,
        };
        Sample {
            at: Instant::now(),
            server: self.server.and_then(process::sample),
            postgres: self.postgres.and_then(process::family_cpu),
            counters,
            own: process::own_cpu(),
        }
    }

    /// Memory of the server now, KB.
    pub fn memory(&self) -> Option<u64> {
        self.server.and_then(process::sample).map(|now| now.rss_kb)
    }

    /// What has happened since `start`, for so many operations.
    pub async fn since(&self, start: Sample, operations: usize) -> Value {
        let end = self.sample().await;
        let mut report = Map::new();
        let seconds = (end.at - start.at).as_secs_f64();
        report.insert("seconds".into(), rounded(seconds));
        if let (Some(before), Some(after)) = (start.server, end.server) {
            let cpu = after.cpu_seconds - before.cpu_seconds;
            report.insert(
                "server".into(),
                json!({
                    "rss_before_mb": megabytes(before.rss_kb),
                    "rss_after_mb": megabytes(after.rss_kb),
                    "rss_peak_mb": megabytes(after.peak_kb),
                    "cpu_seconds": rounded(cpu),
                    "cpu_us_per_operation": per(cpu * 1e6, operations),
                }),
            );
        }
        let mut database = Map::new();
        if let (Some(before), Some(after)) = (start.postgres, end.postgres) {
            database.insert("cpu_seconds".into(), rounded(after - before));
            let each = per((after - before) * 1e6, operations);
            database.insert("cpu_us_per_operation".into(), each);
        }
        if let (Some(before), Some(after)) = (start.counters, end.counters) {
            let mut add = |name: &str, before: i64, after: i64| {
                #[allow(clippy::cast_precision_loss, reason = "counts")]
                let difference = (after - before) as f64;
                database.insert(name.into(), per(difference, operations));
            };
            if let (Some(before), Some(after)) = (before.statements, after.statements) {
                add("statements_per_operation", before, after);
            }
            let transactions = "write_transactions_per_operation";
            add(transactions, before.transactions, after.transactions);
            add("log_bytes_per_operation", before.log, after.log);
        }
        if !database.is_empty() {
            report.insert("database".into(), database.into());
        }
        report.insert("load_cpu_seconds".into(), rounded(end.own - start.own));
        report.into()
    }
}

/// Kilobytes as megabytes.
pub fn megabytes(kilobytes: u64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "sizes of memory")]
    let megabytes = kilobytes as f64 / 1024.0;
    rounded(megabytes)
}

pub fn rounded(number: f64) -> Value {
    json!(figures::rounded(number))
}

fn per(sum: f64, operations: usize) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    let each = sum / operations.max(1) as f64;
    rounded(each)
}
