//! Tokens and TLS.

use std::{path::Path, time::Duration};

use maestro_client::{Client, Config, Error, Keepalive, Tls, Token, WatchEvent, WatchOptions};
use testkit::certs::Ca;

use crate::{
    DEADLINE, config,
    fake::{self, Fake},
    watching::next,
    work,
};

#[tokio::test]
async fn a_token_does_not_travel_in_plaintext_unless_it_may() {
    let fake = Fake::start().await;
    let with = |allow_plaintext_token| {
        let token = Some(Token::Literal("secret-token".into()));
        Client::new(Config {
            token,
            allow_plaintext_token,
            ..config(&fake)
        })
        .unwrap()
    };
    with(false)
        .works("c1")
        .apply(&work("w", "1"))
        .await
        .unwrap();
    assert!(fake.data().tokens.iter().all(Option::is_none));
    with(true).works("c1").apply(&work("w", "2")).await.unwrap();
    assert!(
        fake.data()
            .tokens
            .iter()
            .filter(|token| token.as_deref() == Some("Bearer secret-token"))
            .count()
            >= 2
    );
    assert!(
        !format!("{:?}", with(true)).contains("secret-token"),
        "tokens stay out of logs"
    );
}

#[tokio::test]
async fn a_rotated_token_file_is_followed() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "one\n").unwrap();
    fake.data().token = Some("one".into());
    let client = Client::new(Config {
        token: Some(Token::File(path.clone())),
        allow_plaintext_token: true,
        ..config(&fake)
    })
    .unwrap();
    client.works("c1").apply(&work("w", "1")).await.unwrap();
    fake.data().token = Some("two".into());
    std::fs::write(&path, "two").unwrap();
    client.works("c1").apply(&work("w", "2")).await.unwrap();
    fake.data().token = Some("three".into());
    let error = client.works("c1").apply(&work("w", "3")).await.unwrap_err();
    assert!(
        matches!(error, Error::Unauthenticated { .. }) && !error.is_retryable(),
        "{error:?}"
    );
    std::fs::remove_file(&path).unwrap();
    let error = client.works("c1").get("w").await.unwrap_err().to_string();
    assert!(error.contains("read token file"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_at_once() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let rotate = |token: &str| {
        std::fs::write(&path, token).unwrap();
        fake.data().token = Some(token.to_owned());
    };
    rotate("one");
    let client = Client::new(Config {
        token: Some(Token::File(path.clone())),
        allow_plaintext_token: true,
        ..config(&fake)
    })
    .unwrap();
    let works = client.works("c1");
    works.create(&work("w", "1")).await.unwrap();
    rotate("two");
    works.create(&work("x", "1")).await.unwrap();
    rotate("three");
    works.get("w").await.unwrap();
    rotate("four");
    let mut watch = works.watch(WatchOptions {
        name: Some("w".into()),
        ..WatchOptions::default()
    });
    assert_eq!(next(&mut watch).await, "interrupted");
    assert_eq!(next(&mut watch).await, "A w 1");
}

fn server_tls(ca: &Ca, folder: &Path, client_ca: bool) -> service_runtime::tls::Files {
    let files = ca
        .server(&["localhost", "127.0.0.1"])
        .write(folder, "server")
        .unwrap();
    service_runtime::tls::Files {
        cert: files.cert,
        key: files.key,
        client_ca: client_ca.then(|| ca.write(folder).unwrap()),
    }
}

async fn fake_with_tls(files: service_runtime::tls::Files) -> Fake {
    let tls: fake::Tls = service_runtime::tls::Server::load(files).await.unwrap();
    Fake::start_with(Some(tls), Some(Duration::from_millis(200))).await
}

#[tokio::test]
async fn tls_with_token_reaches_a_server_of_the_right_authority_only() {
    let (ca, folder) = (Ca::new(), tempfile::tempdir().unwrap());
    let fake = fake_with_tls(server_tls(&ca, folder.path(), false)).await;
    let tls = |ca: &Ca| {
        Some(Tls {
            ca: Some(ca.write(folder.path()).unwrap()),
            ..Tls::default()
        })
    };
    let token = Some(Token::Literal("t".into()));
    let client = Client::new(Config {
        grpc_tls: tls(&ca),
        token: token.clone(),
        ..config(&fake)
    })
    .unwrap();
    client.works("c1").create(&work("w", "1")).await.unwrap();
    assert!(fake.data().tokens.contains(&Some("Bearer t".into())));
    let mut watch = client.works("c1").watch(WatchOptions::default());
    assert!(matches!(
        watch.next_event().await,
        Some(WatchEvent::Added(_))
    ));

    let stranger = Config {
        grpc_tls: tls(&Ca::new()),
        token,
        wait_for_server: Duration::ZERO,
        ..config(&fake)
    };
    let error = Client::new(stranger)
        .unwrap()
        .works("c1")
        .create(&work("x", "1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("TLS handshake"), "{error}");
    let plain = Config {
        wait_for_server: Duration::ZERO,
        ..config(&fake)
    };
    assert!(
        Client::new(plain)
            .unwrap()
            .works("c1")
            .create(&work("x", "1"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_rotated_client_certificate_is_used_for_the_next_connection() {
    let (ca, folder) = (Ca::new(), tempfile::tempdir().unwrap());
    let fake = fake_with_tls(server_tls(&ca, folder.path(), true)).await;
    let stale = Ca::new()
        .client("old", "o")
        .write(folder.path(), "client")
        .unwrap();
    let tls = Tls {
        ca: Some(folder.path().join("ca.crt")),
        cert: Some(stale.cert),
        key: Some(stale.key),
        accept_any_server: false,
    };
    let client = Client::new(Config {
        grpc_tls: Some(tls),
        wait_for_server: Duration::ZERO,
        ..config(&fake)
    })
    .unwrap();
    assert!(
        client.works("c1").create(&work("w", "1")).await.is_err(),
        "signed by a stranger"
    );
    ca.client("source", "sources")
        .write(folder.path(), "client")
        .unwrap();
    testkit::eventually("the new certificate is used", DEADLINE, async || {
        client.works("c1").create(&work("w", "1")).await.ok()
    })
    .await;
}

#[test]
fn settings_that_can_not_work_are_refused_at_once() {
    let good = || Config {
        source_id: "s".into(),
        ..Config::default()
    };
    let refused = |config: Config| Client::new(config).map(drop).unwrap_err().to_string();
    assert!(
        Client::new(good()).is_ok(),
        "also without a runtime and a server"
    );
    assert_eq!(refused(Config::default()), "source id is required");
    assert!(
        refused(Config {
            source_id: "a b".into(),
            ..good()
        })
        .contains("may hold letters")
    );
    assert!(
        refused(Config {
            rest_url: "localhost:8000".into(),
            ..good()
        })
        .contains("must begin with http:// or https://")
    );
    assert!(
        refused(Config {
            rest_url: "http:///x".into(),
            ..good()
        })
        .contains("has no host")
    );
    assert!(
        refused(Config {
            grpc_address: "http://localhost:8090".into(),
            ..good()
        })
        .contains("without a scheme")
    );
    for address in [
        "localhost",
        "localhost:",
        ":8090",
        "a:b",
        "a:99999",
        "::1:8090",
    ] {
        assert!(
            refused(Config {
                grpc_address: address.into(),
                ..good()
            })
            .contains("must be host:port"),
            "{address}"
        );
    }
    assert!(
        Client::new(Config {
            grpc_address: "[::1]:8090".into(),
            ..good()
        })
        .is_ok()
    );
    assert_eq!(
        refused(Config {
            server_healthiness_timeout: Some(Duration::ZERO),
            ..good()
        }),
        "the server healthiness timeout must be greater than 0"
    );
    let keepalive = Some(Keepalive {
        interval: Duration::from_secs(1),
        ..Keepalive::default()
    });
    assert!(
        refused(Config {
            keepalive,
            ..good()
        })
        .contains("at least 5s")
    );
    let half = Tls {
        cert: Some("x".into()),
        ..Tls::default()
    };
    assert!(
        refused(Config {
            grpc_tls: Some(half),
            ..good()
        })
        .contains("TLS for gRPC")
    );
    assert!(
        refused(Config {
            page_size: 0,
            ..good()
        })
        .contains("page size")
    );
}
