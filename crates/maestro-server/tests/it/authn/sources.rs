//! The source port.

use std::time::Duration;

use event_wire::Action;
use event_wire::proto::cloud_event::Data;
use event_wire::proto::cloud_event_attribute_value::Attr;
use event_wire::proto::{CloudEvent, CloudEventAttributeValue};
use maestro_server::Config;
use maestro_server::authn::{RestAuthn, SourceAuthn};
use serde_json::json;
use testkit::certs::Ca;
use tonic::Code;

use super::{Setting, create, publish, refused, start, start_error, subscribe};
use crate::harness::{DEADLINE, Server};

impl Setting {
    fn for_sources(&self, how: SourceAuthn) -> Config {
        let mut config = Config {
            grpc_tls: self.tls(how == SourceAuthn::Mtls),
            ..Config::default()
        };
        config.authn.sources = how;
        config.authn.authorizer_config = self.kubeconfig();
        config
    }
}

#[tokio::test]
async fn tokens_are_reviewed_and_what_their_users_may_do() {
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-alice", "alice", &["adapters"]);
    api.know("s3cr3t-bob", "bob", &["others"]);
    api.know("s3cr3t-lonely", "lonely", &[]);
    api.allow("adapters", "pub", "/sources/s1");
    api.allow("alice", "sub", "/sources/s1");
    let server = start(setting.for_sources(SourceAuthn::Token)).await;
    server.cluster("c1").await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    let (alice, bob) = (Some("Bearer s3cr3t-alice"), Some("Bearer s3cr3t-bob"));

    for (token, code, text) in [
        (None, Code::Unauthenticated, "invalid token"),
        (Some("Bearer "), Code::Unauthenticated, "invalid token"),
        (Some("Basic dTpw"), Code::Unauthenticated, "invalid token"),
        (
            Some("Bearer s3cr3t-of-nobody"),
            Code::Unauthenticated,
            "token not authenticated",
        ),
        (
            Some("Bearer s3cr3t-lonely"),
            Code::PermissionDenied,
            "failed to authorize the request: groups must be set when user is specified",
        ),
    ] {
        refused(
            publish(&client, create("s1", "w", "c1"), token).await,
            code,
            text,
        );
        refused(subscribe(&client, "s1", "", token).await, code, text);
    }
    let denied = Code::PermissionDenied;
    refused(
        publish(&client, create("s1", "w", "c1"), bob).await,
        denied,
        "unauthorized to publish the event from source s1",
    );
    refused(
        subscribe(&client, "s1", "", bob).await,
        denied,
        "unauthorized to subscribe the event from source s1",
    );
    refused(
        publish(&client, create("s2", "w", "c1"), alice).await,
        denied,
        "unauthorized to publish the event from source s2",
    );
    let empty = "failed to authorize the request: resource cannot be empty";
    refused(
        subscribe(&client, "", "", alice).await,
        Code::InvalidArgument,
        empty,
    );
    let mut nameless: event_wire::proto::CloudEvent = create("s1", "w", "c1").into();
    nameless.source = String::new();
    refused(
        publish(&client, nameless, alice).await,
        Code::InvalidArgument,
        empty,
    );
    let long = "s".repeat(2000);
    let too_long =
        "failed to authorize the request: the name of the source is longer than 1024 bytes";
    refused(
        subscribe(&client, &long, "", alice).await,
        Code::InvalidArgument,
        too_long,
    );
    assert_eq!(server.bundle("w").await.0, 404, "nothing was stored");

    // With and without the word, as upstream takes it.
    publish(&client, create("s1", "w", "c1"), alice)
        .await
        .unwrap();
    publish(&client, create("s1", "w2", "c1"), Some("s3cr3t-alice"))
        .await
        .unwrap();
    assert_eq!(server.bundle("w").await.0, 200);
    let stream = subscribe(&client, "s1", "", alice).await.unwrap();
    assert!(stream.metadata().contains_key("subscription-id"));

    // What is taken away doesn't work any more.
    api.forbid("adapters", "pub", "/sources/s1");
    refused(
        publish(&client, create("s1", "w3", "c1"), alice).await,
        denied,
        "unauthorized to publish the event from source s1",
    );
    api.forget("s3cr3t-alice");
    refused(
        publish(&client, create("s1", "w3", "c1"), alice).await,
        Code::Unauthenticated,
        "token not authenticated",
    );
}

/// An event can name its source three times: in the message, as an attribute, and as JSON inside. The one that is acted for is the one that
/// is asked about.
#[tokio::test]
async fn nobody_acts_for_a_source_that_hides_in_the_event() {
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-alice", "alice", &["adapters"]);
    api.know("s3cr3t-victor", "victor", &["victims"]);
    api.allow("adapters", "pub", "/sources/s1");
    api.allow("victims", "pub", "/sources/victim");
    let server = start(setting.for_sources(SourceAuthn::Token)).await;
    server.cluster("c1").await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    let (alice, victor) = (Some("Bearer s3cr3t-alice"), Some("Bearer s3cr3t-victor"));
    publish(&client, create("victim", "w", "c1"), victor)
        .await
        .unwrap();

    let text = |text: &str| CloudEventAttributeValue {
        attr: Some(Attr::CeString(text.to_owned())),
    };
    for action in [
        Action::CreateRequest,
        Action::DeleteRequest,
        Action::ResyncRequest,
    ] {
        let mut event = create("victim", "w", "c1");
        event.event_type.action = action;
        let mut attribute = CloudEvent::from(event.clone());
        attribute.source = "s1".to_owned();
        attribute
            .attributes
            .insert("ce-source".to_owned(), text("victim"));
        let json = event_wire::stored::to_string(&event).unwrap();
        let structured = CloudEvent {
            source: "s1".to_owned(),
            attributes: [(
                "contenttype".to_owned(),
                text("application/cloudevents+json"),
            )]
            .into(),
            data: Some(Data::BinaryData(json.into())),
            ..CloudEvent::from(event)
        };
        for message in [attribute, structured] {
            refused(
                publish(&client, message, alice).await,
                Code::PermissionDenied,
                "unauthorized to publish the event from source victim",
            );
        }
    }
    let (status, row) = server.bundle("w").await;
    assert_eq!(status, 200);
    assert!(row["deletedAt"].is_null(), "{row}");
    // Whoever may act for the source may name it there.
    let mut inside = CloudEvent::from(create("victim", "w2", "c1"));
    inside.source = "s1".to_owned();
    inside
        .attributes
        .insert("ce-source".to_owned(), text("victim"));
    publish(&client, inside, victor).await.unwrap();
    assert_eq!(server.bundle("w2").await.0, 200);
}

#[tokio::test]
async fn certificates_name_users_and_groups() {
    let setting = Setting::new().await;
    setting
        .kubernetes
        .api
        .allow("adapters", "pub", "/sources/s1");
    let server = start(setting.for_sources(SourceAuthn::Mtls)).await;
    server.cluster("c1").await;
    let port = server.addresses.grpc.port();
    let connect = async |common_name, organization| {
        let pem = setting.clients.client(common_name, organization);
        setting.connect(port, Some(&pem)).await.unwrap()
    };
    let alice = connect("alice", "adapters").await;
    publish(&alice, create("s1", "w", "c1"), None)
        .await
        .unwrap();
    refused(
        subscribe(&alice, "s1", "", None).await,
        Code::PermissionDenied,
        "unauthorized to subscribe the event from source s1",
    );
    // A token doesn't help, the certificate counts.
    setting.kubernetes.api.know("s3cr3t", "root", &["adapters"]);
    let stranger = connect("stranger", "others").await;
    refused(
        publish(&stranger, create("s1", "w2", "c1"), Some("Bearer s3cr3t")).await,
        Code::PermissionDenied,
        "unauthorized to publish the event from source s1",
    );
    refused(
        publish(&connect("alice", "").await, create("s1", "w2", "c1"), None).await,
        Code::Unauthenticated,
        "could not find group in peer certificate",
    );
    refused(
        publish(
            &connect("", "adapters").await,
            create("s1", "w2", "c1"),
            None,
        )
        .await,
        Code::Unauthenticated,
        "could not find user in peer certificate",
    );
    refused(
        subscribe(&connect("a\u{1}", "adapters").await, "s1", "", None).await,
        Code::Unauthenticated,
        "could not verify peer certificate",
    );

    // Nobody else's certificates: another authority's, the server's own authority's, none.
    let foreign = [
        Some(Ca::new().client("alice", "adapters")),
        Some(setting.servers.client("alice", "adapters")),
        None,
    ];
    for pem in foreign {
        let answer = match setting.connect(port, pem.as_ref()).await {
            Ok(client) => publish(&client, create("s1", "w2", "c1"), None)
                .await
                .map_err(|status| status.code()),
            Err(_) => Err(Code::Unavailable),
        };
        assert!(
            matches!(answer, Err(Code::Unavailable | Code::Unknown)),
            "{answer:?}"
        );
    }
    assert_eq!(server.bundle("w2").await.0, 404);
}

#[tokio::test]
async fn a_judge_that_cant_be_asked_lets_nobody_in() {
    let setting = Setting::new().await;
    let api = setting.kubernetes.api.clone();
    api.know("s3cr3t-alice", "alice", &["adapters"]);
    api.allow("adapters", "pub", "/sources/s1");
    let mut config = setting.for_sources(SourceAuthn::Token);
    config.authn.cache_ttl = Duration::from_secs(60);
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    let alice = Some("Bearer s3cr3t-alice");
    let no_review = "token not reviewed: the Kubernetes API can't be asked, try again later";
    let no_access =
        "failed to authorize the request: the Kubernetes API can't be asked, try again later";

    api.fail(true);
    refused(
        publish(&client, create("s1", "w", "c1"), alice).await,
        Code::Unavailable,
        no_review,
    );
    api.fail(false);
    publish(&client, create("s1", "w", "c1"), alice)
        .await
        .unwrap();
    let asked = api.reviews();
    publish(&client, create("s1", "w2", "c1"), alice)
        .await
        .unwrap();
    assert_eq!(api.reviews(), asked, "good answers are remembered");

    // The user is remembered, a new permission isn't.
    drop(setting.kubernetes);
    publish(&client, create("s1", "w3", "c1"), alice)
        .await
        .unwrap();
    testkit::eventually("the API server to be gone", DEADLINE, async || {
        let answer = subscribe(&client, "s1", "", alice).await;
        (answer.unwrap_err().message() == no_access).then_some(())
    })
    .await;
    refused(
        publish(&client, create("s1", "w4", "c1"), Some("s3cr3t-bob")).await,
        Code::Unavailable,
        no_review,
    );
    assert_eq!(server.bundle("w4").await.0, 404);
}

#[tokio::test]
async fn the_token_of_the_server_is_read_again() {
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-alice", "alice", &["adapters"]);
    api.allow("adapters", "pub", "/sources/s1");
    let server = start(setting.for_sources(SourceAuthn::Token)).await;
    server.cluster("c1").await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    let alice = Some("Bearer s3cr3t-alice");
    publish(&client, create("s1", "w", "c1"), alice)
        .await
        .unwrap();
    api.set_service_token("s3cr3t-renewed");
    let refusal = publish(&client, create("s1", "w2", "c1"), alice)
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    std::fs::write(setting.folder.path().join("token"), "s3cr3t-renewed").unwrap();
    publish(&client, create("s1", "w2", "c1"), alice)
        .await
        .unwrap();
}

#[tokio::test]
async fn typed_errors_say_what_kubernetes_would() {
    let setting = Setting::new().await;
    let mut config = setting.for_sources(SourceAuthn::Token);
    config.typed_errors = true;
    let server = start(config).await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    let status = publish(&client, create("s1", "w", "c1"), None)
        .await
        .unwrap_err();
    let body: serde_json::Value = serde_json::from_str(status.message()).unwrap();
    assert_eq!(body["ErrStatus"]["reason"], "Unauthorized");
    assert_eq!(body["ErrStatus"]["message"], json!("invalid token"));
}

#[tokio::test]
async fn a_door_that_couldnt_be_shut_isnt_opened() {
    let setting = Setting::new().await;
    let mut config = setting.for_sources(SourceAuthn::Token);
    config.grpc_tls = None;
    let said = start_error(config.clone()).await;
    assert!(said.contains("--grpc-authn-type=token needs TLS"), "{said}");
    config.authn.sources = SourceAuthn::Mtls;
    let said = start_error(config.clone()).await;
    assert!(said.contains("--grpc-authn-type=mtls needs TLS"), "{said}");
    config.grpc_tls = setting.tls(false);
    let said = start_error(config.clone()).await;
    assert!(said.contains("needs --grpc-client-ca-file"), "{said}");
    config.grpc_tls = setting.tls(true);
    config.authn.authorizer_config = Some("/no/such/kubeconfig".into());
    let said = start_error(config.clone()).await;
    assert!(
        said.contains("--grpc-authorizer-config: read /no/such/kubeconfig"),
        "{said}"
    );
    config.authn.authorizer_config = None;
    let said = start_error(config).await;
    assert!(
        said.contains("this is no pod: KUBERNETES_SERVICE_HOST is not set"),
        "{said}"
    );
}

/// With `mock` everybody is let in over TLS, as with upstream.
#[tokio::test]
async fn mock_lets_everybody_in() {
    let setting = Setting::new().await;
    let server = start(setting.for_sources(SourceAuthn::Mock)).await;
    server.cluster("c1").await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    publish(&client, create("s1", "w", "c1"), None)
        .await
        .unwrap();
    assert_eq!(setting.kubernetes.api.reviews(), 0);
}

/// What is logged, kept in memory.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The runtime of this test has one thread, so that everything that its server logs is seen.
#[tokio::test(flavor = "current_thread")]
async fn tokens_are_never_logged() {
    // With only one subscriber, an event that another test's thread reaches first is switched off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("trace,h2=debug,hyper=debug,hyper_util=debug")
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-alice", "alice", &["adapters"]);
    api.allow("adapters", "pub", "/sources/s1");
    let mut config = setting.for_sources(SourceAuthn::Token);
    config.authn.rest = RestAuthn::Token;
    let said = format!("{config:?}");
    let server = start(config).await;
    let client = setting
        .connect(server.addresses.grpc.port(), None)
        .await
        .unwrap();
    for failing in [false, true] {
        api.fail(failing);
        for token in [
            "Bearer s3cr3t-alice",
            "Bearer s3cr3t-of-nobody",
            "s3cr3t s3cr3t",
        ] {
            for source in ["s1", "s2"] {
                let _ = publish(&client, create(source, "w", "c1"), Some(token)).await;
                let _ = subscribe(&client, source, "", Some(token)).await;
            }
            let request = crate::harness::http_client()
                .get(server.url("/api/maestro"))
                .header("authorization", token);
            request.send().await.unwrap();
        }
    }
    let log = log.0.lock().unwrap().clone();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("A source was refused."), "{log}");
    assert!(log.contains("etcd is away"), "the reason is for operators");
    for text in [&*log, &said] {
        let line = text.lines().find(|line| line.contains("s3cr3t"));
        assert_eq!(line, None);
    }
}
