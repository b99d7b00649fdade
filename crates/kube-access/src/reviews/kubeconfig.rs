//! The part of a kubeconfig that a service needs. What would change who we are, and isn't understood, is refused.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::credentials::{Credentials, Parts, file, token_file};

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    #[serde(default)]
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    password: Option<String>,
    r#as: Option<String>,
    exec: Option<Value>,
    auth_provider: Option<Value>,
}

/// Reads the current context of a kubeconfig, and the files that it names; relative paths start at its folder.
pub(super) fn read(path: &Path) -> Result<Credentials, Error> {
    let wrong = |what: String| Error::Config(format!("{}: {what}", path.display()));
    let bytes = file(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no text".to_owned()))?;
    let config: File = go_compat::yaml::from_str_k8s::<Option<File>>(text)
        .map_err(|error| wrong(format!("{}:{}: no kubeconfig", error.line, error.column)))?
        .ok_or_else(|| wrong("is empty".to_owned()))?;
    let name = &config.current_context;
    let context = find(config.contexts, name)
        .ok_or_else(|| wrong(format!("has no context {name:?} (its current-context)")))?;
    let cluster = find(config.clusters, &context.cluster)
        .ok_or_else(|| wrong(format!("has no cluster {:?}", context.cluster)))?;
    let user = match context.user.as_str() {
        "" => User::default(),
        name => find(config.users, name).ok_or_else(|| wrong(format!("has no user {name:?}")))?,
    };
    if let Some(what) = cluster.unavailable().or(user.unavailable()) {
        return Err(wrong(format!("{what} is not available here")));
    }
    let url = cluster.server.clone();
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(wrong(format!("the server {url:?} is no http or https URL")));
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let content = |data: &Option<String>, name: &str, path: &Option<PathBuf>| match (data, path) {
        (Some(data), _) if !data.is_empty() => STANDARD
            .decode(data.trim())
            .map(Some)
            .map_err(|_| wrong(format!("{name}-data is no base64"))),
        (_, Some(path)) if !path.as_os_str().is_empty() => file(&base.join(path)).map(Some),
        _ => Ok(None),
    };
    let ca = content(
        &cluster.certificate_authority_data,
        "certificate-authority",
        &cluster.certificate_authority,
    )?;
    let cert = content(
        &user.client_certificate_data,
        "client-certificate",
        &user.client_certificate,
    )?;
    let key = content(&user.client_key_data, "client-key", &user.client_key)?;
    let identity = match (cert, key) {
        (None, None) => None,
        (Some(mut cert), Some(key)) => {
            cert.push(b'\n');
            cert.extend(key);
            Some(cert)
        }
        _ => {
            return Err(wrong(
                "a client-certificate and its client-key must be given together".to_owned(),
            ));
        }
    };
    let token = match (&user.token_file, user.token) {
        (Some(path), _) if !path.as_os_str().is_empty() => Some(token_file(&base.join(path))?),
        (_, token) => token.filter(|token| !token.is_empty()),
    };
    if token.is_some() && url.starts_with("http://") && !is_loopback(&url) {
        return Err(wrong(
            "a token would be sent over plain http; use an https server".to_owned(),
        ));
    }
    Ok(Parts {
        url,
        token,
        ca,
        identity,
        accept_any_server: cluster.insecure_skip_tls_verify,
        proxy: cluster.proxy_url.filter(|url| !url.is_empty()),
    }
    .into())
}

fn find<T>(all: Vec<Named<T>>, name: &str) -> Option<T> {
    all.into_iter()
        .find(|entry| entry.name == name)
        .map(|entry| entry.value)
}

fn is_loopback(url: &str) -> bool {
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

impl Cluster {
    fn unavailable(&self) -> Option<&'static str> {
        let named = self
            .tls_server_name
            .as_ref()
            .is_some_and(|name| !name.is_empty());
        named.then_some("tls-server-name")
    }
}

impl User {
    fn unavailable(&self) -> Option<&'static str> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        [
            (self.exec.is_some(), "a credential plugin (exec)"),
            (self.auth_provider.is_some(), "an auth-provider"),
            (given(&self.r#as), "acting as somebody else (as)"),
            (
                given(&self.username) || given(&self.password),
                "a user name with password",
            ),
        ]
        .into_iter()
        .find_map(|(given, what)| given.then_some(what))
    }
}
