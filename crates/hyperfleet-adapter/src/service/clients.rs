//! Connections by configuration, made only if the task config needs them.

use std::path::PathBuf;
use std::sync::Arc;

use maestro_client::{Keepalive, Tls, Token};

use super::{Error, user_agent};
use crate::config::deployment::Maestro as MaestroConfig;
use crate::config::{Config, TaskConfig};
use crate::pipeline::Transports;
use crate::transport::kubernetes::Kubernetes;
use crate::transport::maestro::Maestro;

/// The clients behind the transports.
#[derive(Clone, Default)]
pub(super) struct Clients {
    pub(super) kubernetes: Option<kube_access::Client>,
    pub(super) maestro: Option<maestro_client::Client>,
    server_side_apply: bool,
    maestro_attempts: u32,
}

impl Clients {
    pub(super) async fn connect(
        config: &Config,
        task: &TaskConfig,
        kubernetes: Option<kube_access::Client>,
        maestro: Option<maestro_client::Client>,
    ) -> Result<Self, Error> {
        let kubernetes = match kubernetes {
            Some(client) => Some(client),
            None if task.uses_kubernetes() => Some(connect_kubernetes(config).await?),
            None => None,
        };
        let maestro = match (maestro, &config.clients.maestro) {
            (Some(client), _) => Some(client),
            (None, Some(settings)) if task.uses_maestro() => {
                Some(connect_maestro(settings, &user_agent(config))?)
            }
            _ => None,
        };
        Ok(Self {
            kubernetes,
            maestro,
            server_side_apply: config.server_side_apply,
            maestro_attempts: config
                .clients
                .maestro
                .as_ref()
                .map_or(3, |maestro| maestro.retry_attempts),
        })
    }

    pub(super) fn transports(&self) -> Transports {
        let mut transports = Transports::default();
        if let Some(client) = &self.kubernetes {
            transports.kubernetes = Some(Arc::new(Kubernetes::new(
                client.clone(),
                self.server_side_apply,
            )));
        }
        if let Some(client) = &self.maestro {
            transports.maestro = Some(Arc::new(Maestro::new(
                client.clone(),
                self.maestro_attempts,
            )));
        }
        transports
    }
}

async fn connect_kubernetes(config: &Config) -> Result<kube_access::Client, Error> {
    let settings = &config.clients.kubernetes;
    let path = &settings.kube_config_path;
    let client = if path.is_empty() {
        kube_access::Client::in_cluster().map_err(|error| {
            Error::Config(format!(
                "hyperfleet-adapter-13: failed to create in-cluster config: {error}"
            ))
        })?
    } else {
        kube_access::Client::from_kubeconfig(PathBuf::from(path), None)
            .await
            .map_err(|error| {
                Error::Config(format!(
                    "hyperfleet-adapter-13: failed to load kubeconfig from {path}: {error}"
                ))
            })?
    };
    client
        .with_rate_limit(settings.qps, settings.burst)
        .with_user_agent(&user_agent(config))
        .map_err(|error| Error::Config(format!("hyperfleet-adapter-13: {error}")))
}

fn connect_maestro(
    settings: &MaestroConfig,
    user_agent: &str,
) -> Result<maestro_client::Client, Error> {
    let refused = |message: &str| Error::Config(format!("hyperfleet-adapter-17: {message}"));
    let auth = &settings.auth;
    let path = |file: &Option<String>| file.as_ref().map(PathBuf::from);
    let tls = (!settings.insecure).then(|| Tls {
        ca: path(&auth.ca_file),
        cert: path(&auth.cert_file),
        key: path(&auth.key_file),
        ..Tls::default()
    });
    if tls.is_some() && auth.ca_file.is_none() && auth.kind != "tls" {
        return Err(refused(
            "failed to configure TLS: no TLS configuration provided: set CAFile (with optional \
             ClientCertFile/ClientKeyFile or TokenFile) or set Insecure=true for plaintext connections",
        ));
    }
    let rest_tls = auth.http_ca_file.is_some().then(|| Tls {
        ca: path(&auth.http_ca_file),
        ..Tls::default()
    });
    let mut config = maestro_client::Config {
        rest_url: settings
            .http_server_address
            .trim_end_matches('/')
            .to_owned(),
        grpc_address: settings.grpc_server_address.clone(),
        source_id: settings.source_id.clone(),
        grpc_tls: tls,
        rest_tls,
        token: auth
            .token_file
            .as_ref()
            .filter(|_| auth.kind != "none")
            .map(|file| Token::File(file.into())),
        server_healthiness_timeout: Some(settings.server_healthiness_timeout),
        request_timeout: settings.timeout,
        user_agent: user_agent.to_owned(),
        ..maestro_client::Config::default()
    };
    if let Some(interval) = settings.keepalive_time {
        let default = Keepalive::default();
        let timeout = settings.keepalive_timeout.unwrap_or(default.timeout);
        config.keepalive = Some(Keepalive {
            interval,
            timeout,
            ..default
        });
    }
    maestro_client::Client::new(config)
        .map_err(|error| refused(&format!("failed to create Maestro work client: {error}")))
}
