//! The two questions, asked of a sandbox with rules, and the ways of being known to it.

use std::path::{Path, PathBuf};

use axum::routing::post;
use axum::{Extension, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_access::reviews::{Error, Reviews, Source, TIMEOUT, User};
use kube_access::{Client, Kubeconfig};
use serde_json::{Value, json};
use service_runtime::http::PeerCertificates;
use testkit::certs::Ca;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Sandbox;

const TOKEN: &str = "s3cr3t";

async fn sandbox() -> Sandbox {
    let config = kube_sandbox::Config {
        rbac: true,
        bearer_token: Some(TOKEN.to_owned()),
        ..kube_sandbox::Config::default()
    };
    Sandbox::start_with(config).await
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    path
}

async fn open(path: PathBuf) -> Result<Reviews, Error> {
    Reviews::open(Source::Kubeconfig(path), TIMEOUT).await
}

#[tokio::test]
async fn rules_decide_who_may() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let client = Client::from_kubeconfig(Kubeconfig::Text(sandbox.kubeconfig.clone()), None)
        .await
        .unwrap();
    let group = "rbac.authorization.k8s.io";
    for object in [
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "s1"},
            "rules": [{"nonResourceURLs": ["/sources/s1"], "verbs": ["pub"]}]}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "s1"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "s1"},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": "adapters"}]}),
    ] {
        let kind = object["kind"].as_str().unwrap();
        let resource = client.resolve(&format!("{group}/v1"), kind).await.unwrap();
        client
            .create(&resource, None, &object, &kube_access::Write::default())
            .await
            .unwrap();
    }
    let reviews = open(write(folder.path(), &sandbox.kubeconfig))
        .await
        .unwrap();
    let user = |groups: &[&str]| User {
        username: "alice".to_owned(),
        groups: groups.iter().map(ToString::to_string).collect(),
    };
    let adapters = user(&["others", "adapters"]);
    assert!(reviews.may(&adapters, "pub", "/sources/s1").await.unwrap());
    assert!(!reviews.may(&adapters, "sub", "/sources/s1").await.unwrap());
    assert!(
        !reviews
            .may(&adapters, "pub", "/sources/s1/x")
            .await
            .unwrap()
    );
    assert!(
        !reviews
            .may(&user(&["others"]), "pub", "/sources/s1")
            .await
            .unwrap()
    );

    let known = reviews.token(TOKEN).await.unwrap().unwrap();
    assert!(
        !known.username.is_empty() && !known.groups.is_empty(),
        "{known:?}"
    );
    assert_eq!(reviews.token("another").await.unwrap(), None);
}

#[tokio::test]
async fn what_isnt_answered_is_an_error() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let path = write(folder.path(), &sandbox.kubeconfig.replace(TOKEN, "wrong"));
    let reviews = open(path).await.unwrap();
    let refused = reviews.token(TOKEN).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused { status: 401, .. }),
        "{refused}"
    );

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let text = sandbox
        .kubeconfig
        .replace(&sandbox.address.to_string(), &address.to_string());
    let reviews = open(write(folder.path(), &text)).await.unwrap();
    let away = reviews.token(TOKEN).await.unwrap_err();
    assert!(matches!(away, Error::Unreachable(_)), "{away}");
    assert!(!format!("{away} {away:?} {reviews:?}").contains(TOKEN));
}

#[tokio::test]
async fn files_of_a_kubeconfig_are_relative_to_it_and_read_again() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let text = sandbox
        .kubeconfig
        .replace(&format!("token: {TOKEN}"), "tokenFile: secrets/token");
    assert!(text.contains("tokenFile"), "{text}");
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    let token = folder.path().join("secrets/token");
    std::fs::write(&token, "old\n").unwrap();
    let reviews = open(write(folder.path(), &text)).await.unwrap();
    let refused = reviews.token(TOKEN).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused { status: 401, .. }),
        "{refused}"
    );
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    assert!(reviews.token(TOKEN).await.unwrap().is_some());
    // A file that is gone for a moment changes nothing.
    std::fs::remove_file(&token).unwrap();
    assert!(reviews.token(TOKEN).await.unwrap().is_some());
}

/// An API server over TLS that takes client certificates only; it answers with the number of certificates it saw.
async fn over_tls(folder: &Path, servers: &Ca, clients: &Ca) -> (u16, DropGuard) {
    let files = servers
        .server(&["127.0.0.1"])
        .write(folder, "server")
        .unwrap();
    let client_ca = folder.join("clients.crt");
    std::fs::write(&client_ca, clients.pem()).unwrap();
    let tls = service_runtime::tls::Server::load(service_runtime::tls::Files {
        cert: files.cert,
        key: files.key,
        client_ca: Some(client_ca),
    });
    let review = async |Extension(PeerCertificates(chain)): Extension<PeerCertificates>| {
        let name = format!("shown {}", chain.len());
        Json(json!({"status": {"authenticated": true, "user": {"username": name}}}))
    };
    let router = Router::new().route("/apis/authentication.k8s.io/v1/tokenreviews", post(review));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let serve =
        service_runtime::http::serve(listener, router, Some(tls.await.unwrap()), stop.clone());
    tokio::spawn(serve);
    (port, stop.drop_guard())
}

#[tokio::test]
async fn certificates_are_shown_and_checked() {
    service_runtime::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Ca::new(), Ca::new());
    let (port, _running) = over_tls(folder.path(), &servers, &clients).await;
    let authority = |ca: &Ca| STANDARD.encode(ca.pem());
    let kubeconfig = |cluster: Value| {
        let mut cluster = cluster;
        cluster["server"] = json!(format!("https://127.0.0.1:{port}/"));
        let config = json!({
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"client-certificate": "me.crt", "client-key": "me.key"}}],
        });
        write(folder.path(), &config.to_string())
    };
    clients
        .client("maestro", "x")
        .write(folder.path(), "me")
        .unwrap();
    let good = kubeconfig(json!({"certificate-authority-data": authority(&servers)}));
    let reviews = open(good).await.unwrap();
    let user = reviews.token("t").await.unwrap().unwrap();
    assert_eq!((user.username.as_str(), user.groups.len()), ("shown 1", 0));

    // The server is another's.
    let wrong = kubeconfig(json!({"certificate-authority-data": authority(&clients)}));
    let away = open(wrong).await.unwrap().token("t").await.unwrap_err();
    assert!(away.to_string().contains("certificate"), "{away}");
    let any = kubeconfig(json!({"insecure-skip-tls-verify": true}));
    open(any).await.unwrap().token("t").await.unwrap();

    // Our certificate is another authority's.
    Ca::new()
        .client("maestro", "x")
        .write(folder.path(), "me")
        .unwrap();
    let good = kubeconfig(json!({"certificate-authority-data": authority(&servers)}));
    let away = open(good).await.unwrap().token("t").await.unwrap_err();
    assert!(matches!(away, Error::Unreachable(_)), "{away}");
}

#[tokio::test]
async fn what_a_kubeconfig_lacks_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = |cluster: Value, user: Value| {
        json!({
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        })
        .to_string()
    };
    let server = json!({"server": "https://127.0.0.1:1"});
    for (text, expected) in [
        (String::new(), "is empty"),
        ("- x".to_owned(), "no kubeconfig"),
        ("{}".to_owned(), r#"has no context """#),
        (
            r#"{"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c"}}]}"#
                .to_owned(),
            r#"has no cluster "c""#,
        ),
        (
            config(json!({"server": "ftp://x"}), json!({})),
            "is no http or https URL",
        ),
        (
            config(json!({"server": "http://example"}), json!({"token": TOKEN})),
            "sent over plain http",
        ),
        (
            config(server.clone(), json!({"exec": {"command": "x"}})),
            "a credential plugin (exec) is not available",
        ),
        (
            config(server.clone(), json!({"as": "x"})),
            "acting as somebody else (as) is not available",
        ),
        (
            config(server.clone(), json!({"username": "x", "password": "y"})),
            "a user name with password",
        ),
        (
            config(server.clone(), json!({"client-certificate-data": "eA=="})),
            "must be given together",
        ),
        (
            config(server.clone(), json!({"client-key-data": "%"})),
            "client-key-data is no base64",
        ),
        (
            config(server.clone(), json!({"tokenFile": "none"})),
            "none: ",
        ),
        (
            config(
                json!({"server": "https://x", "certificate-authority-data": "eA=="}),
                json!({}),
            ),
            "no certificate in them",
        ),
        (
            config(
                json!({"server": "https://x", "tls-server-name": "y"}),
                json!({}),
            ),
            "tls-server-name is not available",
        ),
    ] {
        let said = open(write(folder.path(), &text))
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains(expected) && !said.contains(TOKEN), "{said}");
    }
    let missing = open(folder.path().join("none"))
        .await
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none: No such file"), "{missing}");
}
