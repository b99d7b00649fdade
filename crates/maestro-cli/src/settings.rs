//! Flags and environment to settings.

use std::{io::Write, path::PathBuf, time::Duration};

use maestro_client::{Client, Config, Tls, Token};

use crate::{
    Failure,
    cli::{Global, ResultsFormat},
    ui,
};

/// How long a wait lasts without `--timeout`.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(300);
/// How long a call waits for a server that can't be reached.
const WAIT_FOR_SERVER: Duration = Duration::from_secs(3);
/// Source id without a setting.
const DEFAULT_SOURCE: &str = "maestro-cli";

/// Reads an environment variable; replaced in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which services a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// Reads and deletes: the REST API only.
    Rest,
    /// Writes: the source service too.
    RestAndGrpc,
}

/// What the flags and the environment say.
#[derive(Debug)]
pub struct Settings {
    config: Config,
    /// Where the results file goes, if it is wanted.
    pub results_path: Option<PathBuf>,
    /// Form of the results file.
    pub results_format: ResultsFormat,
    /// Two authorities in one file.
    _authorities: Option<tempfile::NamedTempFile>,
}

impl Settings {
    /// Flags win over the environment.
    ///
    /// # Errors
    /// Values that can't be used.
    pub fn resolve(flags: &Global, env: Environment<'_>, uses: Uses) -> Result<Self, Failure> {
        let value = |flag: &Option<String>, variable: &str| {
            flag.clone()
                .or_else(|| env(variable))
                .filter(|text| !text.is_empty())
        };
        let insecure = flags
            .grpc_insecure
            .unwrap_or_else(|| env("MAESTRO_GRPC_INSECURE").is_some_and(|text| is_true(&text)));
        let rest_url = value(&flags.http_endpoint, "MAESTRO_HTTP_ENDPOINT")
            .unwrap_or_else(|| "http://localhost:8000".to_owned());
        let token = token(flags, env);
        if insecure && token.is_some() && uses == Uses::RestAndGrpc {
            ui::warn("the token is not sent: --grpc-insecure is plaintext");
        }
        if insecure && rest_url.starts_with("https://") {
            ui::warn("--grpc-insecure: the certificate of the REST API is not checked");
        }
        let (grpc_tls, authorities) = if insecure || uses == Uses::Rest {
            (None, None)
        } else {
            grpc_tls(flags, env)?
        };
        let config = Config {
            rest_tls: Some(Tls {
                ca: flags.http_ca_file.clone().map(PathBuf::from),
                cert: flags.http_client_cert_file.clone().map(PathBuf::from),
                key: flags.http_client_key_file.clone().map(PathBuf::from),
                accept_any_server: insecure,
            }),
            rest_url,
            grpc_address: value(&flags.grpc_endpoint, "MAESTRO_GRPC_ENDPOINT")
                .unwrap_or_else(|| "localhost:8090".to_owned()),
            source_id: value(&flags.source_id, "MAESTRO_SOURCE_ID")
                .unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
            grpc_tls,
            token,
            wait_for_server: WAIT_FOR_SERVER,
            user_agent: concat!("maestro-cli/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Config::default()
        };
        let results_format = match (flags.results_format, env("RESULTS_FORMAT").filter(|text| !text.is_empty())) {
            (Some(format), _) => format,
            (None, None) => ResultsFormat::default(),
            (None, Some(text)) => <ResultsFormat as clap::ValueEnum>::from_str(&text, false).map_err(|_| {
                Failure::usage(format!("RESULTS_FORMAT: {text:?} must be maestro-cli, status-reporter or hyperfleet"))
            })?,
        };
        let results_path = value(&flags.results_path, "RESULTS_PATH").map(PathBuf::from);
        Ok(Self {
            config,
            results_path,
            results_format,
            _authorities: authorities,
        })
    }

    /// A client. Nothing is connected yet.
    ///
    /// # Errors
    /// Settings that can't work.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(self.config.clone())
            .map_err(|error| Failure::of(&error).context("failed to create Maestro client"))
    }

    /// What the client is made of.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}

fn token(flags: &Global, env: Environment<'_>) -> Option<Token> {
    let filled = |text: &String| !text.trim().is_empty();
    let file = || {
        flags
            .grpc_client_token_file
            .clone()
            .or_else(|| env("MAESTRO_GRPC_TOKEN_FILE"))
            .filter(filled)
            .map(|path| Token::File(path.into()))
    };
    let literal = |text: Option<String>| text.filter(filled).map(Token::Literal);
    literal(flags.grpc_client_token.clone())
        // A file that was named on the command line is meant more than what the environment happens to hold.
        .or_else(|| {
            flags
                .grpc_client_token_file
                .clone()
                .filter(filled)
                .map(|path| Token::File(path.into()))
        })
        .or_else(|| literal(env("MAESTRO_GRPC_TOKEN")))
        .or_else(file)
}

fn grpc_tls(
    flags: &Global,
    env: Environment<'_>,
) -> Result<(Option<Tls>, Option<tempfile::NamedTempFile>), Failure> {
    let path = |flag: &Option<String>, variable: &str| {
        flag.clone()
            .or_else(|| env(variable))
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    };
    let server_ca = path(&flags.grpc_server_ca_file, "MAESTRO_GRPC_SERVER_CA_FILE");
    let broker_ca = flags
        .grpc_broker_ca_file
        .clone()
        .filter(|text| !text.is_empty())
        .map(PathBuf::from);
    let cert = path(&flags.grpc_client_cert_file, "MAESTRO_GRPC_CLIENT_CERT");
    let key = path(&flags.grpc_client_key_file, "MAESTRO_GRPC_CLIENT_KEY");
    if cert.is_some() && key.is_none() {
        return Err(Failure::usage(
            "failed to create Maestro client: client key file required when client cert file is provided",
        ));
    }
    let mut joined = None;
    let ca = match (server_ca, broker_ca) {
        (Some(server), Some(broker)) => {
            let file = join(&[("server", server), ("broker", broker)])?;
            let path = file.path().to_owned();
            joined = Some(file);
            Some(path)
        }
        (server, broker) => server.or(broker),
    };
    Ok((
        Some(Tls {
            ca,
            cert,
            key,
            accept_any_server: flags.grpc_tls_skip_verify,
        }),
        joined,
    ))
}

/// Both authorities in one file.
fn join(files: &[(&str, PathBuf)]) -> Result<tempfile::NamedTempFile, Failure> {
    let wrong =
        |error: std::io::Error| Failure::usage(format!("failed to create Maestro client: {error}"));
    let mut joined = tempfile::NamedTempFile::new().map_err(wrong)?;
    for (name, path) in files {
        let pem = std::fs::read(path).map_err(|error| {
            Failure::usage(format!(
                "failed to create Maestro client: failed to read {name} CA file: {}: {error}",
                path.display()
            ))
        })?;
        joined
            .write_all(&pem)
            .and_then(|()| joined.write_all(b"\n"))
            .map_err(wrong)?;
    }
    Ok(joined)
}

fn is_true(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "true" | "1" | "yes"
    )
}
