//! The command line of an agent: the flags of the Go agent, and a few of its own.

mod driver;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use kube_access::{Client, Kubeconfig};

use crate::config::Config;

pub use driver::Driver;

/// The heading of flags that change nothing here; the front door says so when one is given.
const HEADING: &str = "Accepted for compatibility (without effect)";

/// Apply works from a Maestro server to this cluster and report their status.
///
/// The server is named in a small YAML file (--workload-source-config):
///
///   url: maestro-grpc-broker.maestro:8091
///   caFile: /secrets/ca.crt               # TLS as soon as a CA or a client certificate is given
///   clientCertFile: /secrets/client.crt
///   clientKeyFile: /secrets/client.key
///
/// or, for a first try without TLS, by --server-address. The cluster is the one of --kubeconfig, or the one that the agent
/// runs in.
#[derive(Clone, Debug, Parser)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Name of this cluster at the server (its consumer).
    #[arg(
        long,
        alias = "consumer_name",
        default_value = "",
        hide_default_value = true
    )]
    pub consumer_name: String,

    /// CloudEvents source of everything that the agent sends, for example cluster1-work-agent.
    #[arg(
        long,
        alias = "cloudevents_client_id",
        default_value = "",
        hide_default_value = true
    )]
    pub cloudevents_client_id: String,

    /// How the server is reached; grpc is the only driver.
    #[arg(long, alias = "workload_source_driver", default_value = "grpc")]
    pub workload_source_driver: String,

    /// YAML file that says where the server is.
    #[arg(long, alias = "workload_source_config", value_name = "FILE")]
    pub workload_source_config: Option<PathBuf>,

    /// The server's agent port as host:port, in place of a file. Plain text.
    #[arg(
        long,
        value_name = "HOST:PORT",
        conflicts_with = "workload_source_config"
    )]
    pub server_address: Option<String>,

    /// Kubeconfig of this cluster; without it $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long)]
    pub context: Option<String>,

    /// Address of health checks and metrics (plain HTTP); empty serves none.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub listen: String,

    /// Works that are applied at a time.
    #[arg(long, alias = "workload_agent_workers", default_value_t = 10)]
    pub workload_agent_workers: usize,

    /// Longest raw JSON of a feedback value, in bytes.
    #[arg(long, alias = "max_json_raw_length", default_value_t = 1024 * 1024)]
    pub max_json_raw_length: usize,

    /// Objects of one kind that are watched one by one; more are watched together.
    #[arg(long, alias = "max_feedback_watch", default_value_t = 50)]
    pub max_feedback_watch: usize,

    /// Requests per second to this cluster's API; 0 means no limit.
    #[arg(long, alias = "kube_api_qps", default_value_t = 200.0)]
    pub kube_api_qps: f64,

    /// Requests at once after a pause.
    #[arg(long, alias = "kube_api_burst", default_value_t = 400)]
    pub kube_api_burst: u32,

    /// How often every object is looked at although nothing was heard of it.
    #[arg(long, default_value = "4m", value_parser = duration)]
    pub look_interval: Duration,

    /// Not ready when works are due and not one was finished for so long.
    #[arg(long, default_value = "3m", value_parser = duration)]
    pub stuck_after: Duration,

    /// Create the CustomResourceDefinition of AppliedManifestWork if the cluster doesn't have it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub install_crds: bool,

    /// Id under which records are kept on the cluster, in place of the hash of the server's address.
    #[arg(long)]
    pub agent_id: Option<String>,

    /// First part of the names of records, in place of the hash of the server's address.
    #[arg(long)]
    pub hub_hash: Option<String>,

    /// Id of an earlier agent whose records of the same works are taken over, after the server's address has changed;
    /// can be repeated.
    #[arg(long, value_name = "ID")]
    pub adopt_agent_id: Vec<String>,

    /// Objects are watched, and looked at every --look-interval.
    #[arg(long, alias = "status_sync_interval", default_value = "10s", value_parser = duration, help_heading = HEADING, hide_short_help = true)]
    pub status_sync_interval: Duration,

    /// Nothing is ever removed because a work was not heard of.
    #[arg(long, alias = "appliedmanifestwork_eviction_grace_period", default_value = "60m", value_parser = duration, help_heading = HEADING, hide_short_help = true)]
    pub appliedmanifestwork_eviction_grace_period: Duration,

    /// There is one codec.
    #[arg(
        long,
        alias = "cloudevents_client_codecs",
        default_value = "manifestbundle",
        help_heading = HEADING,
        hide_short_help = true
    )]
    pub cloudevents_client_codecs: String,

    /// Only true: run one agent per cluster.
    #[arg(long, alias = "disable_leader_election", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", help_heading = HEADING, hide_short_help = true)]
    pub disable_leader_election: bool,

    /// The agent keeps nothing in a namespace of its own.
    #[arg(long, help_heading = HEADING, hide_short_help = true)]
    pub namespace: Option<String>,
}

/// Why arguments can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A driver that isn't there.
    #[error("--workload-source-driver={0} is not supported: the only driver is grpc")]
    Driver(String),
    /// Leader election was asked for.
    #[error(
        "--disable-leader-election=false is not supported: run one agent per cluster (a Deployment with one replica and \
         strategy Recreate)"
    )]
    LeaderElection,
    /// Neither a file nor an address.
    #[error(
        "where is the server? Give --workload-source-config FILE or --server-address HOST:PORT"
    )]
    NoServer,
    /// The file can't be used.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: String,
        /// Line and column, and what is wrong.
        problem: String,
    },
}

impl Args {
    /// Reads the file that names the server.
    ///
    /// # Errors
    /// What a person must set right first. What is missing altogether is told by [`crate::Service::bind`], all at once.
    pub fn into_config(self) -> Result<Config, Error> {
        if self.workload_source_driver != "grpc" {
            return Err(Error::Driver(self.workload_source_driver));
        }
        if !self.disable_leader_election {
            return Err(Error::LeaderElection);
        }
        let driver = match (&self.workload_source_config, &self.server_address) {
            (Some(path), _) => Driver::read(path)?,
            (None, Some(address)) => Driver::plain(address),
            (None, None) => return Err(Error::NoServer),
        };
        Ok(Config {
            consumer_name: self.consumer_name,
            client_id: self.cloudevents_client_id,
            server_address: driver.url,
            tls: driver.tls,
            token: driver.token,
            server_healthiness_timeout: driver.server_healthiness_timeout,
            listen: Some(self.listen).filter(|address| !address.is_empty()),
            agent_id: self.agent_id,
            hub_hash: self.hub_hash,
            adopt_agent_ids: self.adopt_agent_id,
            install_crds: self.install_crds,
            workers: self.workload_agent_workers,
            max_json_raw_length: self.max_json_raw_length,
            max_feedback_watch: self.max_feedback_watch,
            look_interval: self.look_interval,
            stuck_after: self.stuck_after,
        })
    }

    /// The client for this cluster, with its rate limit. Call it inside a Tokio runtime.
    ///
    /// # Errors
    /// The kubeconfig can't be read, or there is none.
    pub async fn kube_client(&self) -> Result<Client, kube_access::Error> {
        let client = match &self.kubeconfig {
            Some(path) => {
                let source = Kubeconfig::Path(path.clone());
                Client::from_kubeconfig(source, self.context.as_deref()).await?
            }
            None => Client::infer().await?,
        };
        Ok(client.with_rate_limit(self.kube_api_qps, self.kube_api_burst))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    go_compat::duration::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["agent"], arguments].concat())
    }

    #[test]
    fn the_line_of_the_chart_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "url: maestro:8091\nserverHealthinessTimeout: 20s\n").unwrap();
        let path = format!("--workload-source-config={}", file.display());
        let args = parse(&[
            "--consumer-name=cluster1",
            "--workload-source-driver=grpc",
            &path,
            "--cloudevents_client_id=cluster1-work-agent",
            "--status-sync-interval=10s",
            "--appliedmanifestwork-eviction-grace-period=876000h0m0s",
            "--disable-leader-election=true",
        ])
        .unwrap();
        let config = args.into_config().unwrap();
        assert_eq!(config.consumer_name, "cluster1");
        assert_eq!(config.client_id, "cluster1-work-agent");
        assert_eq!(config.server_address, "maestro:8091");
        assert_eq!(
            config.server_healthiness_timeout,
            Some(Duration::from_secs(20))
        );
        assert!(config.problems().is_empty());
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = |arguments: &[&str]| {
            parse(arguments)
                .unwrap()
                .into_config()
                .unwrap_err()
                .to_string()
        };
        assert!(error(&["--workload-source-driver=mqtt"]).contains("grpc"));
        assert!(error(&["--disable-leader-election=false"]).contains("one agent per cluster"));
        assert!(error(&[]).contains("--workload-source-config"));
        assert!(parse(&["--look-interval=abc"]).is_err());
        let missing = error(&["--workload-source-config=/no/such/file"]);
        assert!(missing.starts_with("/no/such/file: "), "{missing}");
    }
}
