//! The door of REST.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::User;
use super::bearer::Bearer;
use super::jwt::{Rejected, Verifier};
use super::reviewer::Reviewer;

/// Lets callers of REST in.
pub struct RestDoor {
    judge: Judge,
    admins: Vec<String>,
}

/// Who decides.
pub(super) enum Judge {
    /// Nobody: everybody is let in.
    Open,
    /// The Kubernetes API.
    Kubernetes(Arc<Reviewer>),
    /// Our own check of JSON Web Tokens.
    Jwt(Arc<Verifier>),
}

/// A caller that was let in; an extension of its request. There is none when nobody is asked.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<User>);

/// Why a caller was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It shows no token.
    NoToken,
    /// Its token is no good.
    BadToken,
    /// It is known, but may only read.
    MayOnlyRead,
    /// Whoever judges tokens can't be asked.
    NoJudge,
}

impl RestDoor {
    pub(super) fn new(judge: Judge, admins: Vec<String>) -> Self {
        Self { judge, admins }
    }

    /// Whether the caller may do `method`; who it is, if that is asked at all.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Turned> {
        let user = match &self.judge {
            Judge::Open => return Ok(None),
            Judge::Kubernetes(reviewer) => {
                let token = token(headers)?;
                match reviewer.user(&token).await {
                    Ok(user) => user.ok_or(Turned::BadToken)?,
                    Err(_) => return Err(Turned::NoJudge),
                }
            }
            Judge::Jwt(verifier) => match verifier.user(&token(headers)?).await {
                Ok(user) => Arc::new(user),
                Err(Rejected::NoKeys) => return Err(Turned::NoJudge),
                Err(Rejected::Bad(why)) => {
                    tracing::info!(why, "A token was turned away.");
                    return Err(Turned::BadToken);
                }
            },
        };
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let is_admin =
            self.admins.is_empty() || user.groups.iter().any(|group| self.admins.contains(group));
        if !reads && !is_admin {
            tracing::info!(user = user.username, %method, "A caller that may only read was turned away.");
            return Err(Turned::MayOnlyRead);
        }
        Ok(Some(Caller(user)))
    }

    /// What checks JSON Web Tokens, if that is asked for.
    pub(super) fn verifier(&self) -> Option<Arc<Verifier>> {
        match &self.judge {
            Judge::Jwt(verifier) => Some(Arc::clone(verifier)),
            _ => None,
        }
    }
}

fn token(headers: &HeaderMap) -> Result<Bearer, Turned> {
    if !headers.contains_key(http::header::AUTHORIZATION) {
        return Err(Turned::NoToken);
    }
    Bearer::from_headers(headers).ok_or(Turned::BadToken)
}
