use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::routing::get;
use futures::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::ServerName;
use service_runtime::http::{Options, PeerCertificates};
use service_runtime::tls::{Client, ClientFiles, Error, Files, Server, client_config, incoming};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::{DEADLINE, Running, start};

/// A certificate authority and the folder that its files go to.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `<name>.crt` and `<name>.key`, as a rotation does: both at once.
    fn issue(&self, name: &str, common_name: &str) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn server(&self, client_ca: bool) -> Files {
        Files {
            cert: self.path("server.crt"),
            key: self.path("server.key"),
            client_ca: client_ca.then(|| self.path("ca.crt")),
        }
    }

    fn client(&self, identity: bool) -> ClientFiles {
        ClientFiles {
            ca: Some(self.path("ca.crt")),
            cert: identity.then(|| self.path("client.crt")),
            key: identity.then(|| self.path("client.key")),
            accept_any_server: false,
        }
    }
}

fn router() -> axum::Router {
    let count = |certificates: Option<Extension<PeerCertificates>>| async move {
        certificates
            .map_or(0, |Extension(PeerCertificates(chain))| chain.len())
            .to_string()
    };
    axum::Router::new().route("/peers", get(count))
}

/// One request over its own connection: the server's leaf certificate and the body.
async fn request(
    running: &Running,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<(Vec<u8>, String)> {
    let stream = TcpStream::connect(running.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config).connect(name, stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream
        .write_all(b"GET /peers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .unwrap()?;
    let answer = String::from_utf8(answer).unwrap();
    Ok((
        leaf,
        answer.rsplit("\r\n").next().unwrap_or_default().to_owned(),
    ))
}

#[tokio::test]
async fn replaced_certificates_are_served_and_broken_ones_are_not() {
    let authority = Authority::new();
    authority.issue("server", "first");
    let server = Server::load(authority.server(false)).await.unwrap();
    let running = start(router(), Some(server.clone()), Options::default()).await;
    let config = client_config(&authority.client(false)).unwrap();
    assert_eq!(config.alpn_protocols, Vec::<Vec<u8>>::new());

    let (first, body) = request(&running, Arc::clone(&config)).await.unwrap();
    assert_eq!(body, "0");
    assert!(!server.reload().unwrap(), "nothing changed");

    std::fs::write(authority.path("server.crt"), "not a certificate").unwrap();
    assert!(matches!(server.reload(), Err(Error::Pem { .. })));
    assert_eq!(
        request(&running, Arc::clone(&config)).await.unwrap().0,
        first
    );

    authority.issue("server", "second");
    let reload = CancellationToken::new();
    let task = server.spawn_reload(Duration::from_millis(20), reload.clone());
    let swapped = async {
        while request(&running, Arc::clone(&config)).await.unwrap().0 == first {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, swapped).await.unwrap();
    reload.cancel();
    task.await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn mutual_tls_shows_the_client_to_handlers_and_refuses_strangers() {
    let authority = Authority::new();
    authority.issue("server", "server");
    authority.issue("client", "agent");
    let server = Server::load(authority.server(true)).await.unwrap();
    let running = start(router(), Some(server), Options::default()).await;

    let known = client_config(&authority.client(true)).unwrap();
    assert_eq!(request(&running, known).await.unwrap().1, "1");
    let anonymous = client_config(&authority.client(false)).unwrap();
    assert!(request(&running, anonymous).await.is_err());

    let stranger = Authority::new();
    stranger.issue("client", "agent");
    let files = ClientFiles {
        cert: Some(stranger.path("client.crt")),
        key: Some(stranger.path("client.key")),
        ..authority.client(false)
    };
    assert!(
        request(&running, client_config(&files).unwrap())
            .await
            .is_err()
    );
    running.stop().await;
}

/// Also for a client that was in before and could go on with its old session.
#[tokio::test]
async fn replaced_client_authorities_shut_old_clients_out() {
    let (authority, successor) = (Authority::new(), Authority::new());
    authority.issue("server", "server");
    authority.issue("client", "agent");
    successor.issue("client", "agent");
    let clients = authority.path("clients.crt");
    std::fs::copy(authority.path("ca.crt"), &clients).unwrap();
    let files = Files {
        client_ca: Some(clients.clone()),
        ..authority.server(false)
    };
    let server = Server::load(files).await.unwrap();
    let running = start(router(), Some(server.clone()), Options::default()).await;
    let old = client_config(&authority.client(true)).unwrap();
    let new = ClientFiles {
        cert: Some(successor.path("client.crt")),
        key: Some(successor.path("client.key")),
        ..authority.client(false)
    };
    let new = client_config(&new).unwrap();
    assert_eq!(request(&running, Arc::clone(&old)).await.unwrap().1, "1");
    assert!(request(&running, Arc::clone(&new)).await.is_err());

    std::fs::copy(successor.path("ca.crt"), &clients).unwrap();
    assert!(server.reload().unwrap());
    assert_eq!(request(&running, Arc::clone(&new)).await.unwrap().1, "1");
    assert!(request(&running, old).await.is_err());

    std::fs::write(&clients, "").unwrap();
    assert!(server.reload().is_err());
    assert_eq!(request(&running, new).await.unwrap().1, "1");
    running.stop().await;
}

#[tokio::test]
async fn clients_check_the_server_unless_told_not_to() {
    let authority = Authority::new();
    authority.issue("server", "server");
    let server = Server::load(authority.server(false)).await.unwrap();
    let running = start(router(), Some(server), Options::default()).await;
    let stranger = Authority::new();
    assert!(
        request(&running, client_config(&stranger.client(false)).unwrap())
            .await
            .is_err()
    );
    let any = ClientFiles {
        accept_any_server: true,
        ..ClientFiles::default()
    };
    assert!(
        request(&running, client_config(&any).unwrap())
            .await
            .is_ok()
    );
    running.stop().await;
}

#[tokio::test]
async fn older_protocols_are_refused() {
    let authority = Authority::new();
    authority.issue("server", "server");
    let server = Server::load(authority.server(false)).await.unwrap();
    let running = start(router(), Some(server), Options::default()).await;
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority.path("ca.crt")).unwrap();
    use rustls_pki_types::pem::PemObject as _;
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(request(&running, Arc::new(old)).await.is_err());
    running.stop().await;
}

#[tokio::test]
async fn grpc_listeners_offer_h2_and_survive_bad_handshakes() {
    let authority = Authority::new();
    authority.issue("server", "server");
    let server = Server::load(authority.server(false)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = tokio::spawn(async move {
        let mut streams = Box::pin(incoming(listener, server));
        streams
            .next()
            .await
            .unwrap()
            .unwrap()
            .get_ref()
            .1
            .alpn_protocol()
            .map(<[u8]>::to_vec)
    });
    let mut noise = TcpStream::connect(address).await.unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut config = (*client_config(&authority.client(false)).unwrap()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(
        timeout(DEADLINE, accepted)
            .await
            .unwrap()
            .unwrap()
            .as_deref(),
        Some(&b"h2"[..])
    );
}

#[tokio::test]
async fn unusable_files_are_named() {
    let authority = Authority::new();
    authority.issue("server", "server");
    authority.issue("client", "other");
    let load = async |files| Server::load(files).await.unwrap_err().to_string();

    let missing = Files {
        cert: "/no/such.crt".into(),
        ..authority.server(false)
    };
    assert!(load(missing).await.starts_with("read /no/such.crt: "));
    let swapped = Files {
        key: authority.path("client.key"),
        ..authority.server(false)
    };
    assert!(
        load(swapped)
            .await
            .starts_with("the server's certificate and key: ")
    );
    let not_a_key = Files {
        key: authority.path("ca.crt"),
        ..authority.server(false)
    };
    assert!(load(not_a_key).await.contains("holds no private key"));
    let half = ClientFiles {
        key: None,
        ..authority.client(true)
    };
    assert!(matches!(client_config(&half), Err(Error::HalfIdentity)));
    assert!(!format!("{:?}", authority.client(true)).contains("PRIVATE"));
}

#[tokio::test]
async fn clients_follow_their_files() {
    let authority = Authority::new();
    authority.issue("client", "first");
    let client = Client::load(authority.client(true)).unwrap();
    let before = client.config();
    assert!(!client.reload().unwrap());
    authority.issue("client", "second");
    assert!(client.reload().unwrap());
    assert!(!Arc::ptr_eq(&before, &client.config()));
    truncate(&authority.path("client.key"));
    assert!(client.reload().is_err());
}

fn truncate(path: &Path) {
    std::fs::write(path, "").unwrap();
}
