//! The door of the source port.

use std::sync::Arc;

use http::HeaderMap;

use super::User;
use super::bearer::Bearer;
use super::certificate::{MAX_NAME_BYTES, user_of};
use super::denied::Denied;
use super::reviewer::Reviewer;

/// What a source wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Change what it published.
    Publish,
    /// Follow the statuses of it.
    Subscribe,
}

/// Lets sources in.
pub enum SourceDoor {
    /// Everybody.
    Open,
    /// Users of client certificates.
    Certificate(Arc<Reviewer>),
    /// Users of tokens.
    Token(Arc<Reviewer>),
}

impl SourceDoor {
    /// Whether the caller may act for `source`. `leaf` is the certificate that it showed, in DER form.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        leaf: Option<&[u8]>,
        act: Act,
        source: &str,
    ) -> Result<(), Denied> {
        if matches!(self, Self::Open) {
            return Ok(());
        }
        if source.len() > MAX_NAME_BYTES {
            return Err(Denied::LongSource);
        }
        let (user, reviewer) = match self {
            Self::Open => return Ok(()),
            Self::Certificate(reviewer) => (from_certificate(leaf).map(Arc::new), reviewer),
            Self::Token(reviewer) => (from_token(headers, reviewer).await, reviewer),
        };
        let user = user.inspect_err(|denied| {
            tracing::info!(source, ?act, %denied, "A source was refused.");
        })?;
        authorize(reviewer, &user, act, source)
            .await
            .inspect_err(|denied| {
                tracing::info!(user = user.username, source, ?act, %denied, "A source was refused.");
            })
    }
}

/// The user of a certificate; the handshake has checked who signed it.
pub(super) fn from_certificate(leaf: Option<&[u8]>) -> Result<User, Denied> {
    let user = leaf.and_then(user_of).ok_or(Denied::NoCertificate)?;
    if user.username.is_empty() {
        return Err(Denied::NoUser);
    }
    if user.groups.iter().all(String::is_empty) {
        return Err(Denied::NoGroup);
    }
    Ok(user)
}

/// The user of the token that a call carries.
pub(super) async fn from_token(
    headers: &HeaderMap,
    reviewer: &Reviewer,
) -> Result<Arc<User>, Denied> {
    if headers.is_empty() {
        return Err(Denied::NoMetadata);
    }
    let token = Bearer::from_headers(headers).ok_or(Denied::InvalidToken)?;
    match reviewer.user(&token).await {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Denied::UnknownToken),
        Err(_) => Err(Denied::TokenNotReviewed),
    }
}

async fn authorize(reviewer: &Reviewer, user: &User, act: Act, source: &str) -> Result<(), Denied> {
    if user.groups.is_empty() {
        return Err(Denied::NoGroups);
    }
    if source.is_empty() {
        return Err(Denied::NoSource);
    }
    let verb = match act {
        Act::Publish => "pub",
        Act::Subscribe => "sub",
    };
    match reviewer
        .may(user, verb, &format!("/sources/{source}"))
        .await
    {
        Ok(true) => Ok(()),
        Ok(false) if act == Act::Publish => Err(Denied::MayNotPublish(source.to_owned())),
        Ok(false) => Err(Denied::MayNotSubscribe(source.to_owned())),
        Err(_) => Err(Denied::AccessNotReviewed),
    }
}
