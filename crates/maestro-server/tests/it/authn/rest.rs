//! REST.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maestro_server::Config;
use maestro_server::authn::{Jwks, Jwt, RestAuthn};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{Setting, start, start_error};
use crate::harness::{DEADLINE, Server, http_client};

const CONSUMERS: &str = "/api/maestro/v1/consumers";

/// Issues tokens.
struct Issuer {
    id: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    fn new(id: &str) -> Self {
        let (random, how) = (
            ring::rand::SystemRandom::new(),
            &ECDSA_P256_SHA256_FIXED_SIGNING,
        );
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        Self {
            id: id.to_owned(),
            key: EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap(),
        }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": part(1..33), "y": part(33..65)})
    }

    fn token(&self, user: &str, groups: &[&str], change: impl Fn(&mut Value)) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"iss": "https://issuer.example", "aud": "maestro", "sub": user, "groups": groups,
            "exp": now + 600, "nbf": now});
        change(&mut claims);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({"alg": "ES256", "kid": self.id}));
        let message = format!("{head}.{}", part(&claims));
        let random = ring::rand::SystemRandom::new();
        let signature = self.key.sign(&random, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn jwks(issuers: &[&Issuer]) -> String {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

fn with_jwt(jwks: Jwks, admins: &[&str]) -> Config {
    let mut config = Config::default();
    config.authn.rest = RestAuthn::Jwt(Jwt {
        jwks,
        issuer: "https://issuer.example".to_owned(),
        audiences: vec!["maestro".to_owned()],
        leeway: Duration::from_secs(10),
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        reload_interval: Duration::from_millis(100),
    });
    config.authn.rest_admin_groups = admins.iter().map(ToString::to_string).collect();
    config
}

/// Status, body, and the challenge.
async fn call(
    server: &Server,
    method: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> (u16, Value, String) {
    let mut request = http_client()
        .request(method.parse().unwrap(), server.url(path))
        .body(body.to_owned());
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let answer = request.send().await.unwrap();
    let challenge = answer.headers().get("www-authenticate");
    let challenge = challenge
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::Null),
        challenge,
    )
}

async fn status(server: &Server, token: Option<&str>) -> u16 {
    call(server, "GET", CONSUMERS, "", token).await.0
}

#[tokio::test]
async fn nobody_is_let_in_without_a_good_token() {
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-alice", "alice", &["admins"]);
    api.know("s3cr3t-bob", "bob", &["readers"]);
    let mut config = Config::default();
    config.authn.rest = RestAuthn::Token;
    config.authn.authorizer_config = setting.kubeconfig();
    config.authn.rest_admin_groups = vec!["admins".to_owned(), "owners".to_owned()];
    let server = start(config).await;
    let (alice, bob) = (Some("Bearer s3cr3t-alice"), Some("Bearer s3cr3t-bob"));

    let nobody = r#"Bearer realm="maestro""#;
    let bad = r#"Bearer realm="maestro", error="invalid_token""#;
    for (token, expected) in [
        (None, nobody),
        (Some("Bearer s3cr3t"), bad),
        (Some("Basic dTpw"), bad),
        (Some(""), bad),
    ] {
        for (method, path) in [
            ("GET", "/api/maestro"),
            ("GET", "/api/maestro/v1"),
            ("GET", CONSUMERS),
            ("HEAD", CONSUMERS),
            ("POST", CONSUMERS),
            ("GET", "/api/maestro/v1/resource-bundles/x"),
            ("DELETE", "/api/maestro/v1/resource-bundles/x"),
            ("POST", "/api/maestro/v1/consumers/x/force-remove"),
        ] {
            let (status, body, challenge) = call(&server, method, path, "{}", token).await;
            assert_eq!(
                (status, challenge.as_str()),
                (401, expected),
                "{method} {path}"
            );
            if method != "HEAD" {
                assert_eq!(body["kind"], "Error");
                assert_eq!(body["id"], "15");
                assert_eq!(body["href"], "/api/maestro/v1/errors/15");
                assert_eq!(body["code"], "maestro-15");
                assert_eq!(
                    body["reason"],
                    "Account authentication could not be verified"
                );
                assert_eq!(body["operation_id"].as_str().unwrap().len(), 27);
            }
        }
    }
    let (status, made, _) = call(&server, "POST", CONSUMERS, r#"{"name":"c1"}"#, alice).await;
    assert_eq!(status, 201, "{made}");

    // Who isn't an admin reads.
    let (status, list, _) = call(&server, "GET", CONSUMERS, "", bob).await;
    assert_eq!((status, &list["total"]), (200, &json!(1)));
    let path = format!("{CONSUMERS}/{}", made["id"].as_str().unwrap());
    for (method, path) in [("POST", CONSUMERS), ("PATCH", &path), ("DELETE", &path)] {
        let (status, body, challenge) = call(&server, method, path, "{}", bob).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (403, Some("maestro-11")),
            "{method}"
        );
        assert_eq!(
            body["reason"],
            "Account is unauthorized to perform this action"
        );
        assert!(challenge.contains("insufficient_scope"));
    }

    // The judge is away: nobody is let in, and it isn't the caller's fault.
    api.fail(true);
    let (status, body, challenge) = call(&server, "GET", CONSUMERS, "", alice).await;
    assert_eq!((status, challenge.as_str()), (503, ""));
    assert_eq!(
        body["reason"],
        "Tokens can't be checked now, try again later"
    );
    // Probes and metrics need no token.
    for address in [server.addresses.health, server.addresses.metrics] {
        let path = if address == server.addresses.health {
            "livez"
        } else {
            "metrics"
        };
        let answer = http_client()
            .get(format!("http://{address}/{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn tokens_that_are_checked_here() {
    let setting = Setting::new().await;
    let issuer = Issuer::new("k1");
    let path = setting.folder.path().join("jwks.json");
    std::fs::write(&path, jwks(&[&issuer])).unwrap();
    let server = Server::start(with_jwt(Jwks::File(path), &["admins"])).await;
    let now = jiff::Timestamp::now().as_second();
    let token = |change: &dyn Fn(&mut Value)| {
        format!("Bearer {}", issuer.token("alice", &["admins"], change))
    };
    assert_eq!(status(&server, Some(&token(&|_| ()))).await, 200);
    assert_eq!(
        status(
            &server,
            Some(&token(&|claims| claims["exp"] = json!(now - 5)))
        )
        .await,
        200,
        "leeway"
    );
    for change in [
        &(|claims: &mut Value| claims["exp"] = json!(now - 60)) as &dyn Fn(&mut Value),
        &|claims| claims["nbf"] = json!(now + 60),
        &|claims| claims["aud"] = json!("another"),
        &|claims| claims["iss"] = json!("https://another.example"),
        &|claims| claims["sub"] = Value::Null,
    ] {
        let (status, body, challenge) =
            call(&server, "GET", CONSUMERS, "", Some(&token(change))).await;
        assert_eq!((status, body["code"].as_str()), (401, Some("maestro-15")));
        assert!(challenge.contains("invalid_token"));
    }
    let reader = format!("Bearer {}", issuer.token("bob", &[], |_| ()));
    assert_eq!(
        call(&server, "POST", CONSUMERS, "{}", Some(&reader))
            .await
            .0,
        403
    );
    assert_eq!(status(&server, Some(&reader)).await, 200);
}

#[tokio::test]
async fn keys_in_a_file_are_replaced_while_it_serves() {
    let setting = Setting::new().await;
    let (first, second) = (Issuer::new("k1"), Issuer::new("k2"));
    let path = setting.folder.path().join("jwks.json");
    std::fs::write(&path, jwks(&[&first])).unwrap();
    let server = Server::start(with_jwt(Jwks::File(path.clone()), &[])).await;
    let bearer = |issuer: &Issuer| format!("Bearer {}", issuer.token("alice", &[], |_| ()));
    let (old, new) = (bearer(&first), bearer(&second));
    assert_eq!(status(&server, Some(&old)).await, 200);
    assert_eq!(status(&server, Some(&new)).await, 401);

    std::fs::write(&path, jwks(&[&first, &second])).unwrap();
    let becomes = async |token: &str, expected: u16| {
        testkit::eventually("the new keys", DEADLINE, async || {
            (status(&server, Some(token)).await == expected).then_some(())
        })
        .await;
    };
    becomes(&new, 200).await;
    assert_eq!(status(&server, Some(&old)).await, 200);

    // Something that is no key set changes nothing; a key that is taken away is.
    std::fs::write(&path, "{").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(status(&server, Some(&new)).await, 200);
    std::fs::write(&path, jwks(&[&second])).unwrap();
    becomes(&old, 401).await;
    assert_eq!(status(&server, Some(&new)).await, 200);
}

#[tokio::test]
async fn keys_behind_a_url_may_be_away_at_first() {
    let setting = Setting::new().await;
    let issuer = Issuer::new("k1");
    // The address is kept, but nobody answers yet.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let jwks_url = Jwks::Url {
        url: format!("http://{address}/keys"),
        ca: None,
    };
    let keys = std::sync::Arc::new(std::sync::Mutex::new(None::<String>));
    let router = axum::Router::new().route(
        "/keys",
        axum::routing::get({
            let keys = keys.clone();
            move || async move {
                let keys: Option<String> = keys.lock().unwrap().clone();
                keys.ok_or(axum::http::StatusCode::SERVICE_UNAVAILABLE)
            }
        }),
    );
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(service_runtime::http::serve(
        listener,
        router,
        None,
        stop.clone(),
    ));
    let _stop = stop.drop_guard();
    let server = Server::start(with_jwt(jwks_url, &[])).await;
    let token = format!("Bearer {}", issuer.token("alice", &[], |_| ()));
    assert_eq!(status(&server, Some(&token)).await, 503);
    assert_eq!(status(&server, None).await, 401);
    *keys.lock().unwrap() = Some(jwks(&[&issuer]));
    testkit::eventually("the keys", DEADLINE, async || {
        (status(&server, Some(&token)).await == 200).then_some(())
    })
    .await;
    // Keys that were had once stay when their server goes away again.
    *keys.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(status(&server, Some(&token)).await, 200);
    drop(setting);
}

#[tokio::test]
async fn keys_come_from_the_right_server_only() {
    let setting = Setting::new().await;
    let issuer = Issuer::new("k1");
    let keys = jwks(&[&issuer]);
    let router = axum::Router::new()
        .route("/keys", axum::routing::get(async || keys))
        .route(
            "/moved",
            axum::routing::get(async || axum::response::Redirect::to("/keys")),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let files = setting.tls(false).unwrap();
    let tls = service_runtime::tls::Server::load(service_runtime::tls::Files {
        cert: files.cert,
        key: files.key,
        client_ca: None,
    });
    let stop = tokio_util::sync::CancellationToken::new();
    let tls = Some(tls.await.unwrap());
    tokio::spawn(service_runtime::http::serve(
        listener,
        router,
        tls,
        stop.clone(),
    ));
    let _stop = stop.drop_guard();
    let (right, wrong) = (
        setting.folder.path().join("right.crt"),
        setting.folder.path().join("wrong.crt"),
    );
    std::fs::write(&right, setting.servers.pem()).unwrap();
    std::fs::write(&wrong, setting.clients.pem()).unwrap();
    let token = format!("Bearer {}", issuer.token("alice", &[], |_| ()));
    for (path, ca, expected) in [
        ("keys", Some(right.clone()), 200),
        ("keys", Some(wrong), 503),
        ("keys", None, 503),
        ("moved", Some(right), 503),
    ] {
        let url = format!("https://{address}/{path}");
        let server = Server::start(with_jwt(Jwks::Url { url, ca }, &[])).await;
        assert_eq!(status(&server, Some(&token)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn the_record_of_a_forced_end_names_the_user() {
    let setting = Setting::new().await;
    setting
        .kubernetes
        .api
        .know("s3cr3t-alice", "alice@example", &["admins"]);
    let folder = crate::harness::folder();
    let mut config = crate::harness::impatient(crate::harness::sqlite_in(&folder));
    config.limits.seen_lately = Duration::from_millis(1);
    config.authn.rest = RestAuthn::Token;
    config.authn.authorizer_config = setting.kubeconfig();
    let server = start(config).await;
    let alice = Some("Bearer s3cr3t-alice");
    let (_, made, _) = call(&server, "POST", CONSUMERS, r#"{"name":"dead"}"#, alice).await;
    let path = format!("{CONSUMERS}/{}/force-remove", made["id"].as_str().unwrap());
    let (status, body, _) = call(&server, "POST", &path, r#"{"reason":"burnt down"}"#, alice).await;
    assert_eq!(status, 200, "{body}");
    server.stop().await;
    // The log first: while the last connection closes, what is in it moves to the file, and the log goes afterwards.
    let wal = std::fs::read(folder.path().join("maestro.db-wal")).unwrap_or_default();
    let database = std::fs::read(folder.path().join("maestro.db")).unwrap();
    let holds = |text: &[u8]| {
        [&database, &wal]
            .iter()
            .any(|file| file.windows(text.len()).any(|part| part == text))
    };
    assert!(holds(b"alice@example"));
    assert!(!holds(b"s3cr3t"));
}

#[tokio::test]
async fn settings_that_would_check_less_are_refused() {
    let jwks = |text: &str| Jwks::Url {
        url: text.to_owned(),
        ca: None,
    };
    let change = |change: &dyn Fn(&mut Jwt)| {
        let mut config = with_jwt(jwks("https://issuer.example/keys"), &[]);
        if let RestAuthn::Jwt(jwt) = &mut config.authn.rest {
            change(jwt);
        }
        config
    };
    for (config, expected) in [
        (
            change(&|jwt| jwt.issuer = String::new()),
            "--rest-authn=jwt needs --rest-jwt-issuer",
        ),
        (
            change(&|jwt| jwt.audiences.clear()),
            "--rest-authn=jwt needs --rest-jwt-audience",
        ),
        (
            change(&|jwt| jwt.leeway = Duration::from_secs(3600)),
            "--rest-jwt-leeway: at most 300 s",
        ),
        (
            change(&|jwt| jwt.jwks = jwks("http://issuer.example/keys")),
            "plain http is only for this host",
        ),
        (
            change(&|jwt| jwt.jwks = jwks("file:///etc/passwd")),
            "file is not available; use https",
        ),
        (change(&|jwt| jwt.jwks = jwks("issuer")), "--rest-jwks-url"),
        (
            change(&|jwt| {
                jwt.jwks = Jwks::Url {
                    url: "https://x/".to_owned(),
                    ca: Some("/no/file".into()),
                }
            }),
            "--rest-jwks-ca-file: read /no/file",
        ),
    ] {
        let said = start_error(config).await;
        assert!(said.contains(expected), "{said}");
    }
    let mut config = Config::default();
    config.authn.rest_admin_groups = vec!["admins".to_owned()];
    let said = start_error(config).await;
    assert!(
        said.contains("--rest-admin-groups needs --rest-authn=token"),
        "{said}"
    );
}
