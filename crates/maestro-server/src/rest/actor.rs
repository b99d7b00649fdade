//! Who asks, for the audit.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::response::Operation;

/// Who asks, as far as it is known.
pub(super) struct Actor {
    peer: Option<SocketAddr>,
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            peer: peer.map(|ConnectInfo(address)| *address),
        })
    }
}

impl Actor {
    /// The words that the audit keeps.
    pub(super) fn named(&self, operation: &Operation) -> String {
        let id = operation.id();
        match self.peer {
            Some(peer) => format!("{} (operation {id})", peer.ip()),
            None => format!("operation {id}"),
        }
    }
}
