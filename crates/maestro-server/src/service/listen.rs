//! Sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::Error;

/// Connections that wait to be accepted: all agents of a region come back at once after a restart. The system may allow less.
const BACKLOG: i32 = 4096;

/// Listens on an address; an empty host means all interfaces, with IPv6 where the machine has it.
pub(super) async fn listen(purpose: &'static str, address: &str) -> Result<TcpListener, Error> {
    let bound = async {
        if let Some(port) = address.strip_prefix(':') {
            return everywhere(port.parse().map_err(std::io::Error::other)?);
        }
        let mut candidates: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
        // `localhost` is 127.0.0.1 to most clients.
        candidates.sort_by_key(SocketAddr::is_ipv6);
        first(&candidates)
    };
    bound.await.map_err(|source| Error::Listen {
        purpose,
        address: address.to_owned(),
        source,
    })
}

/// Listens on all interfaces: one socket for IPv6 and IPv4, as Go's `:8000`, or for IPv4 where there is no IPv6.
fn everywhere(port: u16) -> std::io::Result<TcpListener> {
    use std::io::ErrorKind::{AddrInUse, PermissionDenied};
    match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        // Half of what was asked for isn't what somebody else's port is exchanged for.
        Err(error) if ![AddrInUse, PermissionDenied].contains(&error.kind()) => {
            bind((Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    }
}

/// Listens on the first address that can be used.
fn first(candidates: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for address in candidates {
        match bind(*address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // After a restart, connections of before may not be in the way.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Said aloud because systems differ in their default.
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn no_host_means_both_families() {
        let listener = listen("test", ":0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        // A machine without IPv6 has nothing to bind this to either.
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port))
                .await
                .unwrap();
        }
        let taken = listen("test", &format!(":{port}")).await;
        assert!(taken.is_err(), "somebody has this port");
    }
}
