//! What can be asked for, and what goes together.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pattern::{Pattern, PatternError};
use crate::config::TlsFiles;

/// Who is let in. [`Default`] lets everybody in, as upstream does.
#[derive(Clone, Debug)]
pub struct AuthnConfig {
    /// How sources say who they are.
    pub sources: SourceAuthn,
    /// A kubeconfig for TokenReview and SubjectAccessReview; `None` = the service account of this pod.
    pub authorizer_config: Option<PathBuf>,
    /// How long a good answer of the Kubernetes API is remembered; 0 = not at all. Default 10 s.
    pub cache_ttl: Duration,
    /// Which cluster an agent may act for; `None` = any.
    pub agents: Option<AgentIdentity>,
    /// How callers of REST say who they are.
    pub rest: RestAuthn,
    /// Who may change things over REST; empty = everybody who is let in.
    pub rest_admin_groups: Vec<String>,
}

/// How sources say who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAuthn {
    /// Not at all: everybody is let in.
    #[default]
    Mock,
    /// By a client certificate.
    Mtls,
    /// By a token that the Kubernetes API knows.
    Token,
}

/// How agents say which cluster is theirs.
#[derive(Clone, Debug)]
pub struct AgentIdentity {
    /// How a name contains the name of a cluster.
    pub pattern: Pattern,
    /// What carries the name.
    pub credential: Credential,
}

/// What carries the name of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// The common name of the client certificate.
    #[default]
    Mtls,
    /// The user of a token that the Kubernetes API knows.
    Token,
}

/// How callers of REST say who they are.
#[derive(Clone, Debug, Default)]
pub enum RestAuthn {
    /// Not at all: everybody is let in.
    #[default]
    None,
    /// By a token that the Kubernetes API knows.
    Token,
    /// By a JSON Web Token.
    Jwt(Jwt),
}

/// Which JSON Web Tokens are good.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// Where the keys are that sign them.
    pub jwks: Jwks,
    /// Who must have issued them (`iss`).
    pub issuer: String,
    /// For whom they must be meant (`aud`); one of these.
    pub audiences: Vec<String>,
    /// How far the clock of the issuer may be off.
    pub leeway: Duration,
    /// The claim that holds the name of the user.
    pub user_claim: String,
    /// The claim that holds the groups.
    pub groups_claim: String,
    /// How often keys are looked at again.
    pub reload_interval: Duration,
}

/// A JSON Web Key Set.
#[derive(Clone, Debug)]
pub enum Jwks {
    /// In a file.
    File(PathBuf),
    /// Behind an https URL; plain http only on this host.
    Url {
        /// The URL.
        url: String,
        /// Authorities of its server, PEM; `None` = the system's.
        ca: Option<PathBuf>,
    },
}

/// Settings that can't be used, or not together. Texts name the flags.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag lacks another.
    #[error("{flag} needs {missing}")]
    Needs {
        /// The flag.
        flag: &'static str,
        /// What to set.
        missing: &'static str,
    },
    /// A flag has a value that can't be.
    #[error("{flag}: {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The pattern of agents is none.
    #[error("--agent-identity-pattern: {0}")]
    Pattern(#[from] PatternError),
    /// The API server that judges can't be used.
    #[error("--grpc-authorizer-config: {0}")]
    Kubernetes(#[from] kube_access::reviews::Error),
}

impl Default for AuthnConfig {
    fn default() -> Self {
        Self {
            sources: SourceAuthn::Mock,
            authorizer_config: None,
            cache_ttl: Duration::from_secs(10),
            agents: None,
            rest: RestAuthn::None,
            rest_admin_groups: Vec::new(),
        }
    }
}

/// Longest clock leeway: more would be a way of not checking.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// Longest time for which an answer is remembered: what was taken away must not work for long.
const MAX_CACHE_TTL: Duration = Duration::from_secs(5 * 60);

impl AuthnConfig {
    /// Whether the settings go together, and with the TLS of the two gRPC ports. A door that would let everybody in
    /// although it was told not to is an error.
    ///
    /// # Errors
    /// Names the flag, and what it lacks.
    pub fn check(&self, grpc: Option<&TlsFiles>, broker: Option<&TlsFiles>) -> Result<(), Error> {
        let needs = |flag, missing| Err(Error::Needs { flag, missing });
        let source_tls = "TLS on the source port: set --grpc-tls-cert-file and --grpc-tls-key-file";
        match (self.sources, grpc) {
            (SourceAuthn::Mtls, None) => return needs("--grpc-authn-type=mtls", source_tls),
            (SourceAuthn::Token, None) => return needs("--grpc-authn-type=token", source_tls),
            (
                SourceAuthn::Mtls,
                Some(TlsFiles {
                    client_ca: None, ..
                }),
            ) => {
                return needs("--grpc-authn-type=mtls", "--grpc-client-ca-file");
            }
            _ => {}
        }
        let flag = "--agent-identity-pattern";
        match (self.agents.as_ref().map(|agents| agents.credential), broker) {
            (Some(_), None) => {
                let missing = "TLS on the agent port: set --grpc-broker-tls-cert-file and --grpc-broker-tls-key-file";
                return needs(flag, missing);
            }
            (
                Some(Credential::Mtls),
                Some(TlsFiles {
                    client_ca: None, ..
                }),
            ) => {
                return needs(
                    flag,
                    "--grpc-broker-client-ca-file, or --agent-authn-type=token",
                );
            }
            _ => {}
        }
        if self.cache_ttl > MAX_CACHE_TTL {
            return Err(Error::Value {
                flag: "--authn-cache-ttl",
                why: format!("at most {} s", MAX_CACHE_TTL.as_secs()),
            });
        }
        match &self.rest {
            RestAuthn::None if !self.rest_admin_groups.is_empty() => needs(
                "--rest-admin-groups",
                "--rest-authn=token or --rest-authn=jwt",
            ),
            RestAuthn::Jwt(jwt) => jwt.check(),
            _ => Ok(()),
        }
    }
}

impl Jwt {
    fn check(&self) -> Result<(), Error> {
        let flag = "--rest-authn=jwt";
        if self.issuer.is_empty() {
            return Err(Error::Needs {
                flag,
                missing: "--rest-jwt-issuer",
            });
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(Error::Needs {
                flag,
                missing: "--rest-jwt-audience",
            });
        }
        let value = |flag, why: String| Err(Error::Value { flag, why });
        if self.leeway > MAX_LEEWAY {
            return value(
                "--rest-jwt-leeway",
                format!("at most {} s", MAX_LEEWAY.as_secs()),
            );
        }
        if self.user_claim.is_empty() || self.groups_claim.is_empty() {
            return value(
                "--rest-jwt-user-claim, --rest-jwt-groups-claim",
                "must not be empty".to_owned(),
            );
        }
        if self.reload_interval.is_zero() {
            return value(
                "--rest-jwks-reload-interval",
                "must be longer than 0".to_owned(),
            );
        }
        match &self.jwks {
            Jwks::Url { url, .. } => check_url(url),
            Jwks::File(_) => Ok(()),
        }
    }
}

/// Keys decide who is let in: nobody on the way may replace them.
fn check_url(text: &str) -> Result<(), Error> {
    let wrong = |why: String| Error::Value {
        flag: "--rest-jwks-url",
        why,
    };
    let url = reqwest::Url::parse(text).map_err(|error| wrong(format!("{text:?}: {error}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        "http" => Err(wrong(
            "plain http is only for this host; use https".to_owned(),
        )),
        scheme => Err(wrong(format!("{scheme} is not available; use https"))),
    }
}
