//! JSON Web Tokens, checked here: signature, algorithm, issuer, audience, time.
//!
//! Only public-key algorithms are taken, and each key only for its own; what a token says about keys (`jku`, `jwk`, `x5c`)
//! is ignored.

mod keyring;
mod keys;
mod ring;

use std::time::Duration;

use jsonwebtoken::{Algorithm, Validation};
use kube_access::reviews::User;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::bearer::Bearer;
use super::certificate::is_name;
use super::settings::{Error, Jwt};
use keyring::Keyring;

/// The algorithms that are taken.
pub(super) const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Groups of one user, at most; further ones are left out.
const MAX_GROUPS: usize = 1000;

/// Why a token was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// What is wrong with it, for the log. Holds nothing of the token.
    Bad(&'static str),
    /// There are no keys to check it with.
    NoKeys,
}

/// Checks tokens.
pub(super) struct Verifier {
    keyring: Keyring,
    issuer: String,
    audiences: Vec<String>,
    leeway: Duration,
    user_claim: String,
    groups_claim: String,
}

impl Verifier {
    /// Reads the keys if they are in a file; those behind a URL are fetched when it first matters.
    pub(super) async fn open(settings: &Jwt) -> Result<Self, Error> {
        ring::install();
        Ok(Self {
            keyring: Keyring::open(&settings.jwks, settings.reload_interval).await?,
            issuer: settings.issuer.clone(),
            audiences: settings.audiences.clone(),
            leeway: settings.leeway,
            user_claim: settings.user_claim.clone(),
            groups_claim: settings.groups_claim.clone(),
        })
    }

    /// Keeps the keys fresh until `shutdown`.
    pub(super) async fn follow_keys(&self, shutdown: CancellationToken) {
        self.keyring.follow(shutdown).await;
    }

    /// Whose token it is.
    pub(super) async fn user(&self, token: &Bearer) -> Result<User, Rejected> {
        let header = jsonwebtoken::decode_header(token.expose())
            .map_err(|_| Rejected::Bad("it is no JSON Web Token, or its algorithm isn't known"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Rejected::Bad("its algorithm isn't allowed"));
        }
        // Extensions that must be understood; none is.
        if header.crit.is_some() {
            return Err(Rejected::Bad("it asks for extensions"));
        }
        let key = self
            .keyring
            .key(header.alg, header.kid.as_deref())
            .await
            .map_err(|unknown| match unknown {
                keyring::Unknown::NoKeys => Rejected::NoKeys,
                keyring::Unknown::NoSuchKey => Rejected::Bad("its key isn't known"),
            })?;
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(
            token.expose(),
            &key,
            &self.validation(header.alg),
        );
        let claims = decoded.map_err(|error| Rejected::Bad(reason(error.kind())))?;
        self.user_in(&claims.claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    fn user_in(&self, claims: &Map<String, Value>) -> Result<User, Rejected> {
        let name = |value: &Value| {
            let text = value
                .as_str()
                .filter(|text| !text.is_empty() && is_name(text));
            text.map(str::to_owned)
        };
        let username = claims
            .get(&self.user_claim)
            .and_then(name)
            .ok_or(Rejected::Bad("it names no user"))?;
        let groups = match claims.get(&self.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(name).take(MAX_GROUPS).collect(),
            Some(group) => name(group).into_iter().collect(),
            None => Vec::new(),
        };
        Ok(User { username, groups })
    }
}

/// The kind of an error in words; errors themselves may quote the token.
fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it isn't valid yet",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "it lacks exp, iss or aud",
        ErrorKind::InvalidClaimFormat(_) => "its exp or nbf is no time",
        ErrorKind::InvalidAlgorithm => "its algorithm isn't that of its key",
        _ => "it can't be read",
    }
}

#[cfg(test)]
mod tests;
