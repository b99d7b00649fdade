//! Flags of upstream that change nothing here. Command lines that were written for the Go server start ours.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as Group, ValueEnum};

use super::{Error, duration};

/// The heading of these flags: what stands under it has no effect, and the front door says so when one is given.
pub const HEADING: &str = "Accepted for compatibility (without effect)";

/// Flags without effect.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = HEADING)]
pub struct Compatibility {
    /// Agents connect to this server; there is no broker that a file describes.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    message_broker_config_file: Option<PathBuf>,
    /// Nothing is published to a broker, so there is nothing to mock.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    enable_message_broker_mock: bool,
    /// The server is no source of its own.
    #[arg(
        long,
        value_name = "ID",
        default_value = "maestro",
        hide_short_help = true
    )]
    source_id: String,
    /// Every server hears every status through the database.
    #[arg(long, value_enum, default_value = "shared", hide_short_help = true)]
    subscription_type: Subscription,
    /// As --subscription-type.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 7,
        hide_short_help = true
    )]
    consistent_hash_partition_count: u64,
    /// As --subscription-type.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 20,
        hide_short_help = true
    )]
    consistent_hash_replication_factor: u64,
    /// As --subscription-type.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1.25,
        hide_short_help = true
    )]
    consistent_hash_load: f64,
    /// TLS is on as soon as certificates are given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    disable_grpc_tls: bool,
    /// Peers that ping often are tolerated.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    grpc_client_min_ping_interval: Duration,
    /// Pings are always permitted.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    permit_ping_without_stream: bool,
    /// Buffers grow and shrink by themselves.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 32768,
        hide_short_help = true
    )]
    grpc_write_buffer_size: u64,
    /// Buffers grow and shrink by themselves.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 32768,
        hide_short_help = true
    )]
    grpc_read_buffer_size: u64,
    /// Metrics have no labels that come from clusters. Upstream ignores it too.
    #[arg(long, default_value = "168h", value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    label_metrics_inclusion_duration: Duration,
    /// A delete is repeated until it is acknowledged; it is never given up because of its age.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        hide_short_help = true
    )]
    stale_delete_event_threshold: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subscription {
    Shared,
    Broadcast,
}

/// Brokers that upstream knows and that aren't here.
pub(super) fn broker(kind: &str) -> Result<(), Error> {
    match kind {
        "grpc" => Ok(()),
        "mqtt" | "pubsub" => Err(Error(format!(
            "--message-broker-type={kind} is not available: agents connect to this server by gRPC. Use grpc, and give agents \
             --workload-source-driver=grpc"
        ))),
        other => Err(Error(format!(
            "--message-broker-type={other} is not known; the only one is grpc"
        ))),
    }
}
