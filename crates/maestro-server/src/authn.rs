//! Who calls, and what they may do (`docs/protocol/maestro-authn.md`).
//!
//! ```text
//!  source ─ certificate or token ─► SourceDoor ─ SubjectAccessReview ─► pub, sub on /sources/<source>
//!  agent ── certificate or token ─► AgentDoor ── pattern ─────────────► the one cluster that it names
//!  REST ─── token or JWT ─────────► RestDoor ─── groups ──────────────► everything, or reading only
//! ```
//!
//! Reading order: `settings` (what can be asked for), `denied` (every refusal), `bearer` and `certificate` (what callers
//! show), `reviewer` (what the Kubernetes API says about it), `pattern` (whose agent it is), `jwt` (tokens that are checked
//! here), and the three doors. A door whose judge can't be asked stays shut.

mod agents;
mod bearer;
mod cache;
mod certificate;
mod denied;
mod jwt;
mod pattern;
mod rest;
mod reviewer;
mod settings;
mod sources;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use jwt::Verifier;
use rest::Judge;
use reviewer::Reviewer;

pub use agents::{Agent, AgentDoor};
pub use denied::Denied;
pub use kube_access::reviews::User;
pub use pattern::{Pattern, PatternError};
pub use rest::{Caller, RestDoor, Turned};
pub use settings::{
    AgentIdentity, AuthnConfig, Credential, Error, Jwks, Jwt, RestAuthn, SourceAuthn,
};
pub use sources::{Act, SourceDoor};

/// The doors of one server.
#[derive(Clone)]
pub struct Doors {
    /// Of the source port.
    pub sources: Arc<SourceDoor>,
    /// Of the agent port.
    pub agents: Arc<AgentDoor>,
    /// Of REST.
    pub rest: Arc<RestDoor>,
}

impl Doors {
    /// Checks the settings and reads the files that they name. The network isn't used: a judge that is away at start keeps
    /// its door shut until it is back.
    ///
    /// # Errors
    /// When settings don't go together, or a file can't be used.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let authn = &config.authn;
        authn.check(config.grpc_tls.as_ref(), config.broker_tls.as_ref())?;
        let mut kubernetes = Kubernetes::new(authn);
        let sources = match authn.sources {
            SourceAuthn::Mock => SourceDoor::Open,
            SourceAuthn::Mtls => SourceDoor::Certificate(kubernetes.get().await?),
            SourceAuthn::Token => SourceDoor::Token(kubernetes.get().await?),
        };
        let agents = match &authn.agents {
            None => AgentDoor::Open,
            Some(AgentIdentity {
                pattern,
                credential,
            }) => match credential {
                Credential::Mtls => AgentDoor::Certificate(pattern.clone()),
                Credential::Token => AgentDoor::Token(pattern.clone(), kubernetes.get().await?),
            },
        };
        let judge = match &authn.rest {
            RestAuthn::None => Judge::Open,
            RestAuthn::Token => Judge::Kubernetes(kubernetes.get().await?),
            RestAuthn::Jwt(jwt) => Judge::Jwt(Arc::new(Verifier::open(jwt).await?)),
        };
        let plain = config.https.is_none() || !config.rest_https;
        if plain && !matches!(judge, Judge::Open) {
            tracing::warn!(
                "REST asks for tokens but is served without TLS: put something that ends TLS before it."
            );
        }
        Ok(Self {
            sources: Arc::new(sources),
            agents: Arc::new(agents),
            rest: Arc::new(RestDoor::new(judge, authn.rest_admin_groups.clone())),
        })
    }

    /// Keeps keys fresh until `shutdown`.
    pub fn follow_keys(&self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        if let Some(verifier) = self.rest.verifier() {
            let shutdown = shutdown.clone();
            tasks.spawn(async move { verifier.follow_keys(shutdown).await });
        }
    }
}

/// The one judge that several doors share; made by the first that needs it.
struct Kubernetes<'c> {
    config: &'c AuthnConfig,
    reviewer: Option<Arc<Reviewer>>,
}

impl<'c> Kubernetes<'c> {
    fn new(config: &'c AuthnConfig) -> Self {
        Self {
            config,
            reviewer: None,
        }
    }

    async fn get(&mut self) -> Result<Arc<Reviewer>, Error> {
        if let Some(reviewer) = &self.reviewer {
            return Ok(Arc::clone(reviewer));
        }
        let reviewer = Arc::new(Reviewer::open(self.config).await?);
        self.reviewer = Some(Arc::clone(&reviewer));
        Ok(reviewer)
    }
}
