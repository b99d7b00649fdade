//! Who asks, for the audit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::response::Operation;
use crate::authn::{Caller, User};

/// Who asks, as far as it is known.
pub(super) struct Actor {
    user: Option<Arc<User>>,
    peer: Option<SocketAddr>,
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let caller = parts.extensions.get::<Caller>();
        Ok(Self {
            user: caller.map(|Caller(user)| Arc::clone(user)),
            peer: peer.map(|ConnectInfo(address)| *address),
        })
    }
}

impl Actor {
    /// The words that the audit keeps.
    pub(super) fn named(&self, operation: &Operation) -> String {
        let id = operation.id();
        let user = self.user.as_ref().map(|user| user.username.as_str());
        // On a socket for both families IPv4 looks like a part of IPv6.
        let peer = self.peer.map(|peer| peer.ip().to_canonical());
        match (user, peer) {
            (Some(user), Some(peer)) => format!("{user} from {peer} (operation {id})"),
            (Some(user), None) => format!("{user} (operation {id})"),
            (None, Some(peer)) => format!("{peer} (operation {id})"),
            (None, None) => format!("operation {id}"),
        }
    }
}
