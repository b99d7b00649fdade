//! What the commands of an operator have in common: addresses, output, a question before a deletion.
//!
//! Flags, variables, texts and exit codes are upstream's. What went wrong is one line on standard error; where the server gave a reason,
//! that follows on a second one.

mod grpc;
mod output;
mod rest;

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

pub(crate) use grpc::{Address as GrpcAddress, Grpc};
pub(crate) use output::{Format, consumer, consumers, resource_bundle, resource_bundles, status};
pub(crate) use rest::{Failed, Rest, Thing};

/// Where the REST API is.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct RestFlags {
    /// Maestro REST API base URL (env: MAESTRO_REST_URL) [default: https://127.0.0.1:30080]
    #[arg(long, value_name = "URL")]
    rest_url: Option<String>,
    /// Skip TLS certificate verification for REST API (env: MAESTRO_REST_INSECURE_SKIP_VERIFY)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure_skip_verify: Option<bool>,
    /// Authorities of the REST API's certificate besides the system's, PEM (env: MAESTRO_REST_CA_FILE)
    #[arg(long, value_name = "FILE")]
    rest_ca_file: Option<PathBuf>,
    /// File with a bearer token for the REST API (env: MAESTRO_REST_TOKEN_FILE)
    #[arg(long, value_name = "FILE")]
    rest_token_file: Option<PathBuf>,
    /// HTTP client timeout for REST API (env: MAESTRO_REST_TIMEOUT) [default: 30s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
}

/// Where the gRPC service for sources is.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct GrpcFlags {
    /// gRPC server address (env: MAESTRO_GRPC_SERVER_ADDRESS) [default: 127.0.0.1:30090]
    #[arg(long, value_name = "HOST:PORT")]
    grpc_server_address: Option<String>,
    /// Source ID for gRPC client (env: MAESTRO_GRPC_SOURCE_ID) [default: maestro-cli]
    #[arg(long, value_name = "ID")]
    grpc_source_id: Option<String>,
    /// Path to CA certificate file for gRPC TLS (env: MAESTRO_GRPC_CA_FILE)
    #[arg(long, value_name = "FILE")]
    grpc_ca_file: Option<String>,
    /// Path to token file for gRPC authentication (env: MAESTRO_GRPC_TOKEN_FILE)
    #[arg(long, value_name = "FILE")]
    grpc_token_file: Option<String>,
    /// Path to client certificate file for mutual TLS (env: MAESTRO_GRPC_CLIENT_CERT_FILE)
    #[arg(long, value_name = "FILE")]
    grpc_client_cert_file: Option<String>,
    /// Path to client private key file for mutual TLS (env: MAESTRO_GRPC_CLIENT_KEY_FILE)
    #[arg(long, value_name = "FILE")]
    grpc_client_key_file: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ListFlags {
    /// Page number
    #[arg(
        long,
        default_value_t = 1,
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    page: i64,
    /// Page size
    #[arg(
        long,
        default_value_t = 100,
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    size: i64,
    /// Search filter (e.g., "name like 'cluster%'")
    #[arg(long, default_value = "", hide_default_value = true)]
    search: String,
}

/// The form of the answer.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OutputFlags {
    /// Output format: json or table
    #[arg(short = 'o', long, default_value = "table", value_name = "FORMAT")]
    output: String,
}

/// A value of a flag, or else of its variable; an empty variable counts as none.
fn or_env(flag: Option<String>, variable: &str) -> Option<String> {
    flag.or_else(|| {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
    })
}

impl RestFlags {
    pub(crate) fn client(self) -> Result<Rest, Failed> {
        let url = or_env(self.rest_url, "MAESTRO_REST_URL")
            .unwrap_or_else(|| "https://127.0.0.1:30080".to_owned());
        if url.is_empty() {
            return Err(Failed::new("REST base URL is required"));
        }
        let skip = match self.insecure_skip_verify {
            Some(skip) => skip,
            None => match or_env(None, "MAESTRO_REST_INSECURE_SKIP_VERIFY").as_deref() {
                None => false,
                Some("1" | "t" | "T" | "TRUE" | "true" | "True") => true,
                Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
                Some(other) => {
                    return Err(Failed::new(format!(
                        "invalid MAESTRO_REST_INSECURE_SKIP_VERIFY: {other:?} is neither true nor false"
                    )));
                }
            },
        };
        let (name, timeout) = match self.timeout {
            Some(timeout) => ("--timeout", timeout),
            None => (
                "MAESTRO_REST_TIMEOUT",
                or_env(None, "MAESTRO_REST_TIMEOUT").unwrap_or_else(|| "30s".to_owned()),
            ),
        };
        let timeout = go_compat::duration::parse_signed(&timeout)
            .map_err(|error| Failed::new(format!("invalid {name}: {error}")))?;
        let timeout = std::time::Duration::try_from(timeout)
            .ok()
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| Failed::new("--timeout must be greater than 0"))?;
        let path = |flag: Option<PathBuf>, variable| {
            flag.or_else(|| or_env(None, variable).map(PathBuf::from))
        };
        Rest::new(
            &url,
            skip,
            path(self.rest_ca_file, "MAESTRO_REST_CA_FILE"),
            path(self.rest_token_file, "MAESTRO_REST_TOKEN_FILE"),
            timeout,
        )
        .map_err(|error| error.within("failed to create REST client"))
    }
}

impl GrpcFlags {
    pub(crate) fn address(self) -> Result<GrpcAddress, Failed> {
        let required =
            |value: Option<String>, default: &str, what: &str, flag: &str, variable: &str| {
                let value = or_env(value, variable).unwrap_or_else(|| default.to_owned());
                match value.is_empty() {
                    true => Err(Failed::new(format!(
                        "{what} is required (use --{flag} flag or {variable} env var)"
                    ))),
                    false => Ok(value),
                }
            };
        let file = |value, variable| {
            or_env(value, variable)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Ok(GrpcAddress {
            server: required(
                self.grpc_server_address,
                "127.0.0.1:30090",
                "gRPC server address",
                "grpc-server-address",
                "MAESTRO_GRPC_SERVER_ADDRESS",
            )?,
            source: required(
                self.grpc_source_id,
                "maestro-cli",
                "gRPC source id",
                "grpc-source-id",
                "MAESTRO_GRPC_SOURCE_ID",
            )?,
            ca: file(self.grpc_ca_file, "MAESTRO_GRPC_CA_FILE"),
            token: file(self.grpc_token_file, "MAESTRO_GRPC_TOKEN_FILE"),
            cert: file(self.grpc_client_cert_file, "MAESTRO_GRPC_CLIENT_CERT_FILE"),
            key: file(self.grpc_client_key_file, "MAESTRO_GRPC_CLIENT_KEY_FILE"),
        })
    }
}

impl ListFlags {
    pub(crate) fn query(self) -> Result<Vec<(&'static str, String)>, Failed> {
        for (flag, value) in [("--page", self.page), ("--size", self.size)] {
            if value < 1 {
                return Err(Failed::new(format!("{flag} must be >= 1")));
            }
        }
        let mut query = vec![
            ("page", self.page.to_string()),
            ("size", self.size.to_string()),
        ];
        if !self.search.is_empty() {
            query.push(("search", self.search));
        }
        Ok(query)
    }
}

impl OutputFlags {
    pub(crate) fn format(&self) -> Result<Format, Failed> {
        match self.output.as_str() {
            "json" => Ok(Format::Json),
            "table" => Ok(Format::Table),
            other => Err(Failed::new(format!(
                "invalid output format: {other} (must be json or table)"
            ))),
        }
    }
}

/// Asks on standard output; anything but yes is no, and said.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failed> {
    let unread = |error: &dyn std::fmt::Display| {
        Failed::new(format!("failed to read confirmation: {error}"))
    };
    print!("{question} (y/N): ");
    std::io::stdout().flush().map_err(|error| unread(&error))?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| unread(&error))?;
    if !answer.ends_with('\n') {
        return Err(unread(&"EOF"));
    }
    let yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if !yes {
        say("Deletion cancelled\n")?;
    }
    Ok(yes)
}

/// An error of the system in Go's words: `no such file or directory`.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Writes to standard output. A reader that has gone is an error, not a panic.
pub(crate) fn say(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failed::new(format!("write to standard output: {error}")))
}
