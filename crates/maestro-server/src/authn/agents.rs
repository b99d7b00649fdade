//! The door of the agent port.

use std::sync::Arc;

use http::HeaderMap;

use super::bearer::Bearer;
use super::certificate::user_of;
use super::denied::Denied;
use super::pattern::Pattern;
use super::reviewer::Reviewer;

/// How much of a name that somebody made up is said back, characters.
const MAX_SHOWN: usize = 128;

/// Lets agents in.
pub enum AgentDoor {
    /// Everybody, for any cluster.
    Open,
    /// By the common name of their certificate.
    Certificate(Pattern),
    /// By the user of their token.
    Token(Pattern, Arc<Reviewer>),
}

/// An agent that was let in.
#[derive(Clone, Debug)]
pub struct Agent<'d> {
    name: Option<(String, &'d Pattern)>,
}

impl AgentDoor {
    /// Who calls. `leaf` is the certificate that it showed, in DER form.
    ///
    /// # Errors
    /// When it doesn't say who it is.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        leaf: Option<&[u8]>,
    ) -> Result<Agent<'_>, Denied> {
        let (name, pattern) = match self {
            Self::Open => return Ok(Agent { name: None }),
            Self::Certificate(pattern) => (from_certificate(leaf), pattern),
            Self::Token(pattern, reviewer) => (from_token(headers, reviewer).await, pattern),
        };
        let name = name.inspect_err(|denied| tracing::info!(%denied, "An agent was refused."))?;
        Ok(Agent {
            name: Some((name, pattern)),
        })
    }
}

/// As for sources, but without groups: nobody asks for them here.
fn from_certificate(leaf: Option<&[u8]>) -> Result<String, Denied> {
    let user = leaf.and_then(user_of).ok_or(Denied::NoCertificate)?;
    if user.username.is_empty() {
        return Err(Denied::NoUser);
    }
    Ok(user.username)
}

async fn from_token(headers: &HeaderMap, reviewer: &Reviewer) -> Result<String, Denied> {
    let token = Bearer::from_headers(headers).ok_or(Denied::InvalidToken)?;
    match reviewer.user(&token).await {
        Ok(Some(user)) => Ok(user.username.clone()),
        Ok(None) => Err(Denied::UnknownToken),
        Err(_) => Err(Denied::TokenNotReviewed),
    }
}

impl Agent<'_> {
    /// Whether it may follow, and report for, `cluster`.
    ///
    /// # Errors
    /// When it belongs to another one, or to none.
    pub fn acts_for(&self, cluster: &str) -> Result<(), Denied> {
        let Some((identity, pattern)) = &self.name else {
            return Ok(());
        };
        let denied = match pattern.cluster(identity) {
            Some(own) if own == cluster => return Ok(()),
            Some(own) => Denied::OtherCluster {
                own: own.to_owned(),
                identity: identity.clone(),
                cluster: cluster.chars().take(MAX_SHOWN).collect(),
            },
            None => Denied::NoCluster {
                pattern: pattern.to_string(),
                identity: identity.clone(),
                cluster: cluster.chars().take(MAX_SHOWN).collect(),
            },
        };
        tracing::warn!(%denied, "An agent was refused.");
        Err(denied)
    }
}
