//! Who is let in: real TLS sockets, and a Kubernetes API that judges.

mod agents;
mod kubernetes;
mod rest;
mod sources;

use std::path::PathBuf;
use std::time::Duration;

use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest, SubscriptionRequest};
use event_wire::{Event, MANIFEST_BUNDLES};
use maestro_server::Config;
use maestro_server::config::TlsFiles;
use testkit::certs::{Ca, Pem};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Request, Response, Status, Streaming};

use crate::harness::{Server, Source};
use kubernetes::Running;

/// What servers are made of: authorities, files, and who judges.
struct Setting {
    folder: tempfile::TempDir,
    /// Of servers.
    servers: Ca,
    /// Of clients.
    clients: Ca,
    kubernetes: Running,
}

impl Setting {
    async fn new() -> Self {
        service_runtime::install_crypto_provider();
        Self {
            folder: crate::harness::folder(),
            servers: Ca::new(),
            clients: Ca::new(),
            kubernetes: kubernetes::Kubernetes::start().await,
        }
    }

    /// Files of a listener.
    fn tls(&self, client_ca: bool) -> Option<TlsFiles> {
        let files = self.servers.server(&["localhost", "127.0.0.1"]);
        let files = files.write(self.folder.path(), "server").unwrap();
        Some(TlsFiles {
            cert: files.cert,
            key: files.key,
            client_ca: client_ca.then(|| self.clients.write(self.folder.path()).unwrap()),
        })
    }

    fn kubeconfig(&self) -> Option<PathBuf> {
        Some(self.kubernetes.kubeconfig(self.folder.path()))
    }

    /// A connection that shows a certificate, or none.
    async fn connect(
        &self,
        port: u16,
        identity: Option<&Pem>,
    ) -> Result<CloudEventServiceClient<Channel>, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.servers.pem()))
            .domain_name("localhost");
        if let Some(pem) = identity {
            tls = tls.identity(Identity::from_pem(&pem.cert, &pem.key));
        }
        let endpoint = Channel::from_shared(format!("https://127.0.0.1:{port}")).unwrap();
        let channel = endpoint.tls_config(tls)?.connect().await?;
        Ok(CloudEventServiceClient::new(channel))
    }
}

/// A request with a value for `authorization`, or without.
fn request<T>(message: T, authorization: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(value) = authorization {
        request
            .metadata_mut()
            .insert("authorization", value.parse().unwrap());
    }
    request
}

async fn publish(
    client: &CloudEventServiceClient<Channel>,
    event: impl Into<CloudEvent>,
    authorization: Option<&str>,
) -> Result<(), Status> {
    let message = PublishRequest {
        event: Some(event.into()),
    };
    let answer = client
        .clone()
        .publish(request(message, authorization))
        .await;
    answer.map(drop)
}

async fn subscribe(
    client: &CloudEventServiceClient<Channel>,
    source: &str,
    cluster: &str,
    authorization: Option<&str>,
) -> Result<Response<Streaming<CloudEvent>>, Status> {
    let message = SubscriptionRequest {
        source: source.to_owned(),
        cluster_name: cluster.to_owned(),
        data_type: MANIFEST_BUNDLES.to_owned(),
    };
    client
        .clone()
        .subscribe(request(message, authorization))
        .await
}

/// A create of one work.
fn create(source: &str, id: &str, cluster: &str) -> Event {
    // Only its event is used, which needs no connection.
    let channel = Channel::from_static("http://127.0.0.1:1").connect_lazy();
    let source = Source {
        id: source.to_owned(),
        client: CloudEventServiceClient::new(channel),
    };
    let data = crate::harness::bundle(&[crate::harness::config_map("a")]);
    source.event(
        event_wire::Action::CreateRequest,
        id,
        cluster,
        0,
        Some(&data),
    )
}

#[track_caller]
fn refused(result: Result<impl Sized, Status>, code: tonic::Code, text: &str) {
    match result {
        Err(status) => assert_eq!((status.code(), status.message()), (code, text)),
        Ok(_) => panic!("let in instead of: {text}"),
    }
}

/// A server that was to refuse to start.
async fn start_error(config: Config) -> String {
    match maestro_server::Service::bind(config).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

/// A server without memory for good answers, so that each call is judged anew.
async fn start(mut config: Config) -> Server {
    config.authn.cache_ttl = Duration::ZERO;
    Server::start(config).await
}
