//! A token file that is replaced while everything runs. TLS on both doors, tokens reviewed by a Kubernetes API that is played here.

use std::path::PathBuf;

use conformance::play::{Behaviour, Proxy};
use maestro_client::{Applied, Client, Config, Error, Tls, Token, WatchOptions};
use testkit::certs::Ca;

use super::follower::Follower;
use super::kubernetes::Kubernetes;
use super::place::{Database, Place, is_foreign};
use super::work;

on_both_databases!(a_token_file_may_be_replaced_at_any_time);

/// Writes beside, then renames, as Kubernetes does.
fn replace(file: &std::path::Path, token: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, token).unwrap();
    std::fs::rename(beside, file).unwrap();
}

async fn a_token_file_may_be_replaced_at_any_time(database: Database) {
    if is_foreign() {
        // Upstream's REST API knows no tokens.
        return;
    }
    let kubernetes = Kubernetes::start().await;
    let api = &kubernetes.api;
    api.know("one", "alice", &["adapters"]);
    for verb in ["pub", "sub"] {
        api.allow("adapters", verb, "/sources/sdk");
    }
    let ca = Ca::new();
    let place = Place::start_with(database, |folder| {
        let pem = ca
            .server(&["localhost", "127.0.0.1"])
            .write(folder, "server")
            .unwrap();
        let (cert, key) = (pem.cert.display(), pem.key.display());
        let kubeconfig = kubernetes.kubeconfig(folder);
        vec![
            "--enable-https".to_owned(),
            format!("--https-cert-file={cert}"),
            format!("--https-key-file={key}"),
            format!("--grpc-tls-cert-file={cert}"),
            format!("--grpc-tls-key-file={key}"),
            "--grpc-authn-type=token".to_owned(),
            "--rest-authn=token".to_owned(),
            format!("--grpc-authorizer-config={}", kubeconfig.display()),
            // Each call is judged anew.
            "--authn-cache-ttl=0s".to_owned(),
        ]
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("token");
    replace(&file, "one\n");
    let line = Proxy::start(&place.grpc()).await.unwrap();
    let tls = Tls {
        ca: Some(ca.write(folder.path()).unwrap()),
        ..Tls::default()
    };
    let client = Client::new(Config {
        rest_url: place.config().rest_url.replace("http://", "https://"),
        grpc_address: line.address(),
        grpc_tls: Some(tls),
        token: Some(Token::File(file.clone())),
        ..place.config()
    })
    .unwrap();
    client
        .consumers()
        .create("c1", &Default::default())
        .await
        .unwrap();
    let _agent = place.agent("c1", Behaviour::default()).await;
    let works = client.works("c1");
    let mut follower = Follower::new(works.watch(WatchOptions::default()));
    follower.until_synced().await;
    works.apply(&work("w", "1")).await.unwrap();
    follower
        .until("a report", |told| told.is_applied("w", 1))
        .await;

    // The old token ends before anybody looks at the file again: nobody notices.
    api.know("two", "alice", &["adapters"]);
    replace(&file, "two\n");
    api.forget("one");
    let updated = works.apply(&work("w", "2")).await.unwrap();
    assert!(matches!(updated, Applied::Updated(_)), "{updated:?}");
    line.cut();
    follower.until_interrupted().await;
    follower.until_synced().await;
    follower
        .until("a report", |told| told.is_applied("w", 2))
        .await;

    // A token that nobody knows is an error of its own, and no reason to give up.
    replace(&file, "nobody's");
    api.forget("two");
    for error in [
        works.get("w").await.unwrap_err(),
        works.apply(&work("w", "3")).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        assert!(
            !error.is_retryable() && !error.to_string().contains("nobody's"),
            "{error}"
        );
    }
    line.cut();
    let refused = |told: &Follower| {
        told.interruptions
            .iter()
            .any(|error| matches!(error, Error::Unauthenticated { .. }))
    };
    follower.until("a refusal", refused).await;
    api.know("three", "alice", &["adapters"]);
    replace(&file, "three");
    follower.until_synced().await;
    works.apply(&work("w", "3")).await.unwrap();
    follower
        .until("a report", |told| told.is_applied("w", 3))
        .await;
    assert!(!place.log().contains("nobody's"), "tokens stay out of logs");
}
