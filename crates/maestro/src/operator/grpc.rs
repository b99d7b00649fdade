//! Publishing for `resourcebundle apply` and `delete`.

use std::path::PathBuf;
use std::time::Duration;

use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest};
use event_wire::{Action, DataType, Event, EventType, Stamp, Subresource};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::{Failed, plain};

/// How long one publish may take. Upstream waits for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the service for sources is, and who we are there.
pub(crate) struct Address {
    pub(super) server: String,
    pub(super) source: String,
    pub(super) ca: Option<PathBuf>,
    pub(super) token: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// A connection that is made at the first publish.
pub(crate) struct Grpc {
    channel: Channel,
    source: String,
    token: Option<MetadataValue<Ascii>>,
}

impl Grpc {
    /// Checks the settings, and reads the files that they name.
    pub(crate) fn new(address: Address) -> Result<Self, Failed> {
        let Address {
            server,
            source,
            ca,
            token,
            cert,
            key,
        } = address;
        let client = cert.is_some() || key.is_some();
        if token.is_some() && client {
            return Err(Failed::new(
                "cannot use both token authentication and client certificates",
            ));
        }
        let read = |file: &PathBuf, what: &str| {
            std::fs::read(file).map_err(|error| {
                Failed::new(format!(
                    "failed to read {what}: open {}: {}",
                    file.display(),
                    plain(&error)
                ))
            })
        };
        let authorities = |ca: Option<PathBuf>| {
            let ca =
                ca.ok_or_else(|| Failed::new("CA file is required for secure gRPC connection"))?;
            let pem = read(&ca, "CA file")?;
            Ok::<_, Failed>(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
        };
        let (tls, token) = match (token, cert, key) {
            (Some(token), ..) => {
                let tls = authorities(ca)?;
                let text = read(&token, "token file")?;
                let text = String::from_utf8_lossy(&text).trim().to_owned();
                if text.is_empty() {
                    return Err(Failed::new("token file is empty"));
                }
                let mut value: MetadataValue<Ascii> =
                    format!("Bearer {text}").parse().map_err(|_| {
                        Failed::new("the token holds characters that no header may hold")
                    })?;
                value.set_sensitive(true);
                (Some(tls), Some(value))
            }
            (None, Some(cert), Some(key)) => {
                let tls = authorities(ca)?;
                let what = "failed to load client certificate and key";
                let cert = read(&cert, "certificate").map_err(|error| error.within(what))?;
                let key = read(&key, "key").map_err(|error| error.within(what))?;
                (Some(tls.identity(Identity::from_pem(cert, key))), None)
            }
            (None, None, None) => match ca {
                Some(_) => {
                    return Err(Failed::new(
                        "grpc-ca-file requires grpc-token-file or grpc-client-cert-file + grpc-client-key-file",
                    ));
                }
                None => (None, None),
            },
            _ => {
                return Err(Failed::new(
                    "both client certificate and key must be provided for mutual TLS",
                ));
            }
        };
        let bad = |error: tonic::transport::Error| {
            Failed::new(format!("failed to dial gRPC server: {error}"))
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{server}"))
            .map_err(bad)?
            .connect_timeout(LIMIT)
            .timeout(LIMIT);
        if let Some(tls) = tls {
            endpoint = endpoint.tls_config(tls).map_err(bad)?;
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            source,
            token,
        })
    }

    /// An event about a resource bundle.
    pub(crate) fn event(&self, action: Action, id: &str, version: i32, consumer: &str) -> Event {
        let kind = EventType {
            data_type: DataType::manifest_bundles(),
            subresource: Subresource::Spec,
            action,
        };
        let mut event = Event::new(kind, self.source.clone(), Stamp::now());
        event.time = None;
        event.content_type = Some(event_wire::event::JSON.to_owned());
        event
            .set(event_wire::attribute::name::RESOURCE_ID, id.to_owned())
            .set(event_wire::attribute::name::RESOURCE_VERSION, version)
            .set(
                event_wire::attribute::name::CLUSTER_NAME,
                consumer.to_owned(),
            );
        event
    }

    /// Hands an event over; good means that it is stored.
    pub(crate) async fn publish(&self, event: &Event, what: &str) -> Result<(), Failed> {
        let mut request = Request::new(PublishRequest {
            event: Some(CloudEvent::from(event)),
        });
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        let published = CloudEventServiceClient::new(self.channel.clone())
            .publish(request)
            .await;
        published.map(drop).map_err(|status| {
            Failed::new(format!(
                "{what}: failed to publish CloudEvent: {}",
                go_text(&status)
            ))
        })
    }
}

/// A status in the words of Go's gRPC.
fn go_text(status: &Status) -> String {
    let code = match status.code() {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    let mut message = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    format!("rpc error: code = {code} desc = {message}")
}
