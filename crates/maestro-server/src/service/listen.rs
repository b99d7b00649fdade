//! Sockets.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::Error;

/// Connections that wait to be accepted: all agents of a region come back at once after a restart. The system may allow less.
const BACKLOG: u32 = 4096;

/// Listens on an address; an empty host means all interfaces.
pub(super) async fn listen(purpose: &'static str, address: &str) -> Result<TcpListener, Error> {
    let bound = async {
        let full = if address.starts_with(':') {
            format!("0.0.0.0{address}")
        } else {
            address.to_owned()
        };
        let mut candidates: Vec<SocketAddr> = tokio::net::lookup_host(&full).await?.collect();
        // `localhost` is 127.0.0.1 to most clients.
        candidates.sort_by_key(SocketAddr::is_ipv6);
        bind(&candidates)
    };
    bound.await.map_err(|source| Error::Listen {
        purpose,
        address: address.to_owned(),
        source,
    })
}

/// Listens on the first address that can be used.
fn bind(candidates: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for address in candidates {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // After a restart, connections of before may not be in the way.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        match socket.bind(*address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen {
        purpose: "address",
        address: String::new(),
        source,
    })
}

/// Port 0 where nobody is served.
pub(super) fn address_if(listener: Option<&TcpListener>) -> Result<SocketAddr, Error> {
    listener.map_or(Ok(SocketAddr::from(([0, 0, 0, 0], 0))), address)
}
