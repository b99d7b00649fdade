//! Flags, environment and file of `sentinel serve`, under upstream's names.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use service_runtime::config::{self, Layers};

use crate::config::Config;

/// Where the settings are looked for, unless `--config` says so.
pub const DEFAULT_FILE: &str = "/etc/hyperfleet/config.yaml";

/// Watch one type of resources and send a pulse for each that needs work.
///
/// Settings come from flags, then the environment, then the file, then defaults. Expressions (message_decision, message_data)
/// are in the file only.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Args {
    /// Settings file (YAML) [default: /etc/hyperfleet/config.yaml]
    #[arg(short, long, env = "HYPERFLEET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to serve health, `host:port` or `:port` [default: :8080]
    #[arg(long, value_name = "ADDRESS")]
    pub health_server_bindaddress: Option<String>,
    /// Where to serve metrics, `host:port` or `:port` [default: :9090]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_server_bindaddress: Option<String>,
    /// Log the settings at start
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub debug_config: Option<bool>,
    /// Name shown to the API [default: hyperfleet-sentinel]
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<String>,
    /// debug, info, warn or error [default: info]
    #[arg(short, long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// json or text [default: json]
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// stdout, stderr or a file [default: stdout]
    #[arg(long, value_name = "OUTPUT")]
    pub log_output: Option<String>,
    /// The HyperFleet API, e.g. http://localhost:8000
    #[arg(long, value_name = "URL")]
    pub hyperfleet_api_base_url: Option<String>,
    /// Accepted, without effect
    #[arg(long, value_name = "VERSION")]
    pub hyperfleet_api_version: Option<String>,
    /// Time for one request, e.g. 10s
    #[arg(long, value_name = "DURATION")]
    pub hyperfleet_api_timeout: Option<String>,
    /// Resources per page, 1-500 [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub hyperfleet_api_page_size: Option<u32>,
    /// Topic to publish to
    #[arg(long, value_name = "TOPIC")]
    pub broker_topic: Option<String>,
    /// Plural of the kind to watch, e.g. clusters
    #[arg(long, value_name = "PLURAL")]
    pub resource_type: Option<String>,
    /// Time between two cycles, e.g. 5s
    #[arg(long, value_name = "DURATION")]
    pub poll_interval: Option<String>,
    /// Send a pulse at once when a generation is new
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub publish_on_generation_change: Option<bool>,
    /// After a start, send a pulse for every resource
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub publish_on_start: Option<bool>,
    /// Accepted, without effect
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub tracing_enabled: Option<bool>,
}

/// Variables and the keys they set.
const ENV: [(&str, &str); 17] = [
    ("SENTINEL_NAME", "sentinel.name"),
    ("RESOURCE_TYPE", "resource_type"),
    ("POLL_INTERVAL", "poll_interval"),
    ("API_BASE_URL", "clients.hyperfleet_api.base_url"),
    ("API_VERSION", "clients.hyperfleet_api.version"),
    ("API_TIMEOUT", "clients.hyperfleet_api.timeout"),
    ("API_PAGE_SIZE", "clients.hyperfleet_api.page_size"),
    (
        "API_AUTH_TOKEN_PATH",
        "clients.hyperfleet_api.auth.token_path",
    ),
    (
        "API_AUTH_TOKEN_CACHE_TTL",
        "clients.hyperfleet_api.auth.token_cache_ttl",
    ),
    ("BROKER_TOPIC", "clients.broker.topic"),
    ("LOG_LEVEL", "log.level"),
    ("LOG_FORMAT", "log.format"),
    ("LOG_OUTPUT", "log.output"),
    ("DEBUG_CONFIG", "debug_config"),
    ("TRACING_ENABLED", "tracing_enabled"),
    (
        "PUBLISH_ON_GENERATION_CHANGE",
        "publish_on_generation_change",
    ),
    ("PUBLISH_ON_START", "publish_on_start"),
];

impl Args {
    /// Reads the layers.
    ///
    /// # Errors
    /// A file that can't be read, or the first value that does not fit, with the layer that it came from. What is missing or
    /// wrong in itself is found by [`Service::bind`](crate::Service::bind).
    pub fn into_config(self) -> Result<Config, config::Error> {
        let file = self.config.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = |text: Option<String>| text.map(Value::from);
        let boolean = |boolean: Option<bool>| boolean.map(Value::from);
        // The types of these decide how environment values are read; all other defaults are those of `Config`.
        let defaults = json!({
            "clients": {"hyperfleet_api": {"page_size": crate::config::DEFAULT_PAGE_SIZE}},
            "debug_config": false, "tracing_enabled": true, "publish_on_generation_change": false, "publish_on_start": false,
        });
        Layers::new(defaults)
            .file(file)
            .env("HYPERFLEET_", &ENV)
            .flag(
                "--health-server-bindaddress",
                "health_listen",
                text(self.health_server_bindaddress),
            )
            .flag(
                "--metrics-server-bindaddress",
                "metrics_listen",
                text(self.metrics_server_bindaddress),
            )
            .flag("--debug-config", "debug_config", boolean(self.debug_config))
            .flag("--name", "sentinel.name", text(self.name))
            .flag("--log-level", "log.level", text(self.log_level))
            .flag("--log-format", "log.format", text(self.log_format))
            .flag("--log-output", "log.output", text(self.log_output))
            .flag(
                "--hyperfleet-api-base-url",
                "clients.hyperfleet_api.base_url",
                text(self.hyperfleet_api_base_url),
            )
            .flag(
                "--hyperfleet-api-version",
                "clients.hyperfleet_api.version",
                text(self.hyperfleet_api_version),
            )
            .flag(
                "--hyperfleet-api-timeout",
                "clients.hyperfleet_api.timeout",
                text(self.hyperfleet_api_timeout),
            )
            .flag(
                "--hyperfleet-api-page-size",
                "clients.hyperfleet_api.page_size",
                self.hyperfleet_api_page_size.map(Value::from),
            )
            .flag(
                "--broker-topic",
                "clients.broker.topic",
                text(self.broker_topic),
            )
            .flag("--resource-type", "resource_type", text(self.resource_type))
            .flag("--poll-interval", "poll_interval", text(self.poll_interval))
            .flag(
                "--publish-on-generation-change",
                "publish_on_generation_change",
                boolean(self.publish_on_generation_change),
            )
            .flag(
                "--publish-on-start",
                "publish_on_start",
                boolean(self.publish_on_start),
            )
            .flag(
                "--tracing-enabled",
                "tracing_enabled",
                boolean(self.tracing_enabled),
            )
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> (tempfile::TempDir, Args) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        (
            folder,
            Args {
                config: Some(path),
                ..Args::default()
            },
        )
    }

    #[test]
    fn flags_win_over_the_file() {
        let (_folder, args) = args("resource_type: clusters\npoll_interval: 2s\n");
        let config = Args {
            poll_interval: Some("3s".to_owned()),
            ..args
        }
        .into_config()
        .unwrap();
        assert_eq!(
            (
                config.resource_type.as_str(),
                config.poll_interval.as_secs()
            ),
            ("clusters", 3)
        );
        assert_eq!(
            config.clients.hyperfleet_api.timeout.as_secs(),
            10,
            "defaults remain"
        );
    }

    #[test]
    fn the_file_must_exist_and_know_its_keys() {
        let missing = Args {
            config: Some("/nowhere/config.yaml".into()),
            ..Args::default()
        };
        assert!(
            missing
                .into_config()
                .unwrap_err()
                .to_string()
                .contains("/nowhere/config.yaml")
        );
        for (text, expected) in [
            ("resource_typo: x", "resource_typo"),
            ("poll_interval: soon", "poll_interval"),
            ("a: [", "config.yaml:"),
        ] {
            let (_folder, args) = args(text);
            let error = args.into_config().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
