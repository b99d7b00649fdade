//! The file that says where the server is, as the Go agent reads it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use service_runtime::tls::ClientFiles;

use super::Error;
use crate::link::Token;

/// What the file says.
#[derive(Debug, Clone, Default)]
pub struct Driver {
    /// `host:port`.
    pub url: String,
    /// TLS as soon as any file for it or a token is given.
    pub tls: Option<ClientFiles>,
    /// Sent with every request.
    pub token: Option<Token>,
    /// How long the stream may be silent.
    pub server_healthiness_timeout: Option<Duration>,
}

/// The keys of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    url: String,
    ca_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    ca_data: Option<String>,
    client_cert_data: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    #[serde(default, with = "go_compat::duration::serde::option")]
    server_healthiness_timeout: Option<Duration>,
    /// The connection is always kept alive by pings.
    #[serde(rename = "keepAliveConfig")]
    _keep_alive: Option<serde_json::Value>,
}

impl Driver {
    /// A server without TLS.
    pub fn plain(address: &str) -> Self {
        Self {
            url: address.to_owned(),
            ..Self::default()
        }
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |problem: String| Error::File {
            path: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let file: File =
            go_compat::yaml::from_str_config(&text).map_err(|error| failed(error.to_string()))?;
        file.check().map_err(failed)
    }
}

impl File {
    fn check(self) -> Result<Driver, String> {
        let inline = [
            ("caData", &self.ca_data, "caFile"),
            ("clientCertData", &self.client_cert_data, "clientCertFile"),
            ("clientKeyData", &self.client_key_data, "clientKeyFile"),
        ];
        for (key, value, instead) in inline {
            if value.is_some() {
                return Err(format!(
                    "{key}: certificates are read from files only; use {instead}"
                ));
            }
        }
        if self.url.is_empty() {
            return Err("url is required".to_owned());
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return Err(
                "either both or none of clientCertFile and clientKeyFile must be set".to_owned(),
            );
        }
        let token = match (self.token, self.token_file) {
            (Some(token), _) if !token.is_empty() => Some(Token::Literal(token)),
            (_, file) => file.map(Token::File),
        };
        if token.is_some() && self.ca_file.is_none() {
            return Err("setting token requires authority certificates (caFile)".to_owned());
        }
        let secured = self.ca_file.is_some() || self.client_cert_file.is_some();
        Ok(Driver {
            url: self.url,
            tls: secured.then_some(ClientFiles {
                ca: self.ca_file,
                cert: self.client_cert_file,
                key: self.client_key_file,
                accept_any_server: false,
            }),
            token,
            server_healthiness_timeout: self.server_healthiness_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Driver, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, text).unwrap();
        Driver::read(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ca_alone_means_tls() {
        let driver = read("url: s:1\ncaFile: /ca.crt\n").unwrap();
        assert_eq!(driver.tls.unwrap().ca, Some(PathBuf::from("/ca.crt")));
        assert!(read("url: s:1\n").unwrap().tls.is_none());
        let driver = read("url: s:1\ncaFile: /ca.crt\ntokenFile: /token\n").unwrap();
        assert!(matches!(driver.token, Some(Token::File(_))));
    }

    #[test]
    fn mistakes_name_their_place() {
        assert!(
            read("caFile: x\n")
                .unwrap_err()
                .ends_with("url is required")
        );
        let error = read("url: s:1\nclientCertFile: x\n").unwrap_err();
        assert!(
            error.ends_with("either both or none of clientCertFile and clientKeyFile must be set")
        );
        assert!(
            read("url: s:1\ntoken: x\n")
                .unwrap_err()
                .contains("requires authority certificates")
        );
        let error = read("url: s:1\ngrpc-server: x\n").unwrap_err();
        assert!(
            error.contains("config.yaml:") && error.contains("grpc-server"),
            "{error}"
        );
        assert!(
            read("url: s:1\ncaData: QQ==\n")
                .unwrap_err()
                .contains("use caFile")
        );
        assert!(read("url: s:1\nserverHealthinessTimeout: soon\n").is_err());
    }
}
