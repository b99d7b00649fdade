//! Flags of both gRPC ports.

use std::time::Duration;

use clap::{ArgAction, Args as Group};

use super::{Error, duration};
use crate::grpc::Transport;

/// What 0 means for `--grpc-server-ping-interval`: the default of gRPC for Go.
const PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
/// Shorter intervals count as this, as in gRPC for Go.
const SHORTEST_PING_INTERVAL: Duration = Duration::from_secs(1);
/// What 0 means for `--grpc-server-ping-timeout`.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "gRPC")]
pub(super) struct GrpcArgs {
    /// Largest message that is received, bytes.
    #[arg(long, default_value_t = 4 * 1024 * 1024)]
    grpc_max_receive_message_size: usize,
    /// Largest message that is sent, bytes.
    #[arg(long, default_value_t = i32::MAX as usize)]
    grpc_max_send_message_size: usize,
    /// How long a new connection may take for its TLS handshake, and then for the first bytes of HTTP/2. Upstream's default is 2m.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    grpc_connection_timeout: Duration,
    /// Calls and streams on one connection, at most; 0 = no limit.
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true)]
    grpc_max_concurrent_streams: u32,
    /// Age after which a connection is asked to come back, such as 1h30m; 0 = never [default: never].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grpc_max_connection_age: Option<Duration>,
    /// A silent peer is asked for a sign of life after this time, at least 1s; 0 = 2h.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    grpc_server_ping_interval: Duration,
    /// A peer that gives none for this long is gone; 0 = 20s.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    grpc_server_ping_timeout: Duration,
    /// Time between heartbeats on streams.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    heartbeat_check_interval: Duration,
    /// Send no heartbeats.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    heartbeat_disable: bool,
    /// Replace the texts of errors by Kubernetes statuses, which Go clients turn into typed errors.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(super) typed_errors: bool,
}

impl GrpcArgs {
    /// Limits of both ports. Zeros mean what they mean to gRPC for Go, which upstream hands them to.
    pub(super) fn transport(&self) -> Transport {
        let or = |given: Duration, zero: Duration| if given.is_zero() { zero } else { given };
        let ping_interval = or(self.grpc_server_ping_interval, PING_INTERVAL);
        Transport {
            max_receive_message_size: self.grpc_max_receive_message_size,
            max_send_message_size: self.grpc_max_send_message_size,
            max_concurrent_streams: Some(self.grpc_max_concurrent_streams)
                .filter(|streams| ![0, u32::MAX].contains(streams)),
            max_connection_age: self.grpc_max_connection_age.filter(|age| !age.is_zero()),
            handshake_timeout: self.grpc_connection_timeout,
            ping_interval: ping_interval.max(SHORTEST_PING_INTERVAL),
            ping_timeout: or(self.grpc_server_ping_timeout, PING_TIMEOUT),
            ..Transport::default()
        }
    }

    /// Time between heartbeats; `None` = none.
    ///
    /// # Errors
    /// When it is 0.
    pub(super) fn heartbeat(&self) -> Result<Option<Duration>, Error> {
        if self.heartbeat_check_interval.is_zero() {
            return Err(Error(
                "--heartbeat-check-interval must be longer than 0".into(),
            ));
        }
        Ok((!self.heartbeat_disable).then_some(self.heartbeat_check_interval))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        grpc: GrpcArgs,
    }

    fn transport(flags: &[&str]) -> Transport {
        let flags = std::iter::once(&"maestro").chain(flags);
        Flags::try_parse_from(flags).unwrap().grpc.transport()
    }

    #[test]
    fn zeros_mean_what_they_mean_in_go() {
        let zeros = transport(&[
            "--grpc-max-concurrent-streams=0",
            "--grpc-max-connection-age=0s",
            "--grpc-server-ping-interval=0s",
            "--grpc-server-ping-timeout=0s",
        ]);
        assert_eq!(zeros.max_concurrent_streams, None);
        assert_eq!(zeros.max_connection_age, None);
        assert_eq!(zeros.ping_interval, Duration::from_secs(7200));
        assert_eq!(zeros.ping_timeout, Duration::from_secs(20));
        let short = transport(&["--grpc-server-ping-interval=1ms"]);
        assert_eq!(short.ping_interval, Duration::from_secs(1));
    }

    #[test]
    fn what_is_given_counts() {
        let given = transport(&[
            "--grpc-max-concurrent-streams=7",
            "--grpc-max-connection-age=1h",
            "--grpc-server-ping-interval=40s",
        ]);
        assert_eq!(given.max_concurrent_streams, Some(7));
        assert_eq!(given.max_connection_age, Some(Duration::from_secs(3600)));
        assert_eq!(given.ping_interval, Duration::from_secs(40));
        assert_eq!(given.ping_timeout, Duration::from_secs(10));
        assert_eq!(transport(&[]).max_concurrent_streams, None);
    }
}
