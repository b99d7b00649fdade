//! What an agent needs to know.

use std::time::Duration;

use manifestwork::ids;
use service_runtime::tls::ClientFiles;

use crate::link::Token;
use crate::record::Identity;

/// Configuration of an agent. The connection to the managed cluster is given beside it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the consumer, as the server knows this cluster. Required.
    pub consumer_name: String,
    /// The CloudEvents source of everything that the agent sends. Required.
    pub client_id: String,
    /// The server's agent port as `host:port`. Its exact text is part of the identity of records: see [`Config::hub_hash`].
    pub server_address: String,
    /// TLS to the server; none means plain text.
    pub tls: Option<ClientFiles>,
    /// Sent to the server with every request; needs TLS.
    pub token: Option<Token>,
    /// Connect anew when the stream was silent for so long. None: follow the rhythm of the server's heartbeats.
    pub server_healthiness_timeout: Option<Duration>,
    /// Where health and metrics are served, `host:port` with port 0 allowed; none means nowhere.
    pub listen: Option<String>,
    /// Id under which records are kept; none means the hash of the server's address, as the peers have it.
    pub agent_id: Option<String>,
    /// First part of the names of records; none means the hash of the server's address, as the peers have it.
    pub hub_hash: Option<String>,
    /// Ids of other agents whose records of the same works are taken over (after the server's address has changed).
    pub adopt_agent_ids: Vec<String>,
    /// Create the definition of AppliedManifestWork if the cluster doesn't have it.
    pub install_crds: bool,
    /// Works that are applied at a time.
    pub workers: usize,
    /// Longest raw JSON of a feedback value, in bytes.
    pub max_json_raw_length: usize,
    /// Objects of one kind that are watched one by one; more are watched together.
    pub max_feedback_watch: usize,
    /// How often every object is looked at although nothing was heard of it; each wait is up to half longer.
    pub look_interval: Duration,
    /// Readiness ends when works are due and not one was finished for so long.
    pub stuck_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consumer_name: String::new(),
            client_id: String::new(),
            server_address: String::new(),
            tls: None,
            token: None,
            server_healthiness_timeout: None,
            listen: None,
            agent_id: None,
            hub_hash: None,
            adopt_agent_ids: Vec::new(),
            install_crds: true,
            workers: 10,
            max_json_raw_length: 1024 * 1024,
            max_feedback_watch: 50,
            look_interval: Duration::from_secs(240),
            stuck_after: Duration::from_secs(180),
        }
    }
}

impl Config {
    /// Everything that is missing or contradicts itself, for an operator.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.consumer_name.is_empty() {
            problems.push("cluster name is required (--consumer-name)".to_owned());
        }
        if self.client_id.is_empty() {
            problems.push("client id is required (--cloudevents-client-id)".to_owned());
        }
        if self.server_address.is_empty() {
            problems.push("url is required (in the file of --workload-source-config)".to_owned());
        }
        if self.workers == 0 {
            problems.push("--workload-agent-workers must be at least 1".to_owned());
        }
        if self.token.is_some() && self.tls.is_none() {
            problems.push("setting token requires authority certificates (caFile)".to_owned());
        }
        if self.server_healthiness_timeout == Some(Duration::ZERO) {
            problems.push("the server healthiness timeout must be greater than 0".to_owned());
        }
        problems
    }

    /// The hash that names records: lower-case hex SHA-256 of the server's address exactly as it is written.
    pub fn hub_hash(&self) -> String {
        self.hub_hash
            .clone()
            .unwrap_or_else(|| ids::hub_hash(&self.server_address))
    }

    /// Whose records this agent keeps.
    pub fn identity(&self) -> Identity {
        Identity {
            hub_hash: self.hub_hash(),
            agent_id: self
                .agent_id
                .clone()
                .unwrap_or_else(|| ids::hub_hash(&self.server_address)),
            adopts: self.adopt_agent_ids.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_comes_from_the_address_as_written() {
        let config = Config {
            server_address: "maestro-grpc-broker.maestro:8091".into(),
            ..Config::default()
        };
        let hash = "23b39c3f431905006b4e457b1d14502d30e344a8dd538cec751b0d30e89e88a8";
        assert_eq!(config.hub_hash(), hash);
        assert_eq!(config.identity().agent_id, hash);
    }

    #[test]
    fn all_problems_at_once() {
        let problems = Config {
            workers: 0,
            token: Some(Token::Literal("t".into())),
            ..Config::default()
        }
        .problems();
        assert_eq!(problems.len(), 5);
    }
}
