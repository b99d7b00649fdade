//! The agent port.

use event_wire::{Stamp, codec};
use maestro_server::Config;
use maestro_server::authn::{AgentIdentity, Credential};
use tonic::Code;

use super::{Setting, publish, refused, start, start_error, subscribe};

impl Setting {
    fn for_agents(&self, pattern: &str, credential: Credential) -> Config {
        let mut config = Config {
            broker_tls: self.tls(credential == Credential::Mtls),
            ..Config::default()
        };
        config.authn.agents = Some(AgentIdentity {
            pattern: pattern.parse().unwrap(),
            credential,
        });
        config.authn.authorizer_config = self.kubeconfig();
        config
    }
}

fn resync(cluster: &str) -> event_wire::Event {
    codec::agent::spec_resync_request("agent", cluster, Vec::new(), Stamp::now())
}

const PATTERN: &str = "system:open-cluster-management:{cluster}:agent";

#[tokio::test]
async fn an_agent_acts_for_the_cluster_of_its_certificate() {
    let setting = Setting::new().await;
    let server = start(setting.for_agents(PATTERN, Credential::Mtls)).await;
    server.cluster("c1").await;
    server.cluster("c2").await;
    let source = server.source("s1").await;
    let data = crate::harness::bundle(&[crate::harness::config_map("a")]);
    source.create("w2", "c2", &data).await.unwrap();
    let port = server.addresses.broker.port();
    let name = "system:open-cluster-management:c1:agent";
    let pem = setting.clients.client(name, "");
    let agent = setting.connect(port, Some(&pem)).await.unwrap();

    subscribe(&agent, "", "c1", None).await.unwrap();
    publish(&agent, resync("c1"), None).await.unwrap();
    let text = r#""system:open-cluster-management:c1:agent" is the agent of cluster "c1", so it may not act for cluster "c2""#;
    refused(
        subscribe(&agent, "", "c2", None).await,
        Code::PermissionDenied,
        text,
    );
    refused(
        publish(&agent, resync("c2"), None).await,
        Code::PermissionDenied,
        text,
    );
    let player = crate::harness::Agent {
        cluster: "c2".to_owned(),
        client: agent.clone(),
    };
    let mut honest = server_side_spec(&setting, port).await;
    let spec = honest.until(|event| event.id == "w2").await;
    refused(player.applied(&spec).await, Code::PermissionDenied, text);
    refused(player.deleted(&spec).await, Code::PermissionDenied, text);
    let (_, bundle) = server.bundle("w2").await;
    assert_eq!(bundle.get("status"), None, "{bundle}");

    let stranger = setting.clients.client("admin", "system:masters");
    let stranger = setting.connect(port, Some(&stranger)).await.unwrap();
    let text = format!(
        r#""admin" names no cluster by the pattern "{PATTERN}", so it may not act for cluster "c1""#
    );
    refused(
        subscribe(&stranger, "", "c1", None).await,
        Code::PermissionDenied,
        &text,
    );
    refused(
        publish(&stranger, resync("c1"), None).await,
        Code::PermissionDenied,
        &text,
    );
    let nobody = setting.clients.client("", "x");
    let nobody = setting.connect(port, Some(&nobody)).await.unwrap();
    let text = "could not find user in peer certificate";
    refused(
        subscribe(&nobody, "", "c1", None).await,
        Code::Unauthenticated,
        text,
    );
}

/// The stream of the right agent of c2.
async fn server_side_spec(setting: &Setting, port: u16) -> crate::harness::Events {
    let pem = setting
        .clients
        .client("system:open-cluster-management:c2:agent", "");
    let client = setting.connect(port, Some(&pem)).await.unwrap();
    let agent = crate::harness::Agent {
        cluster: "c2".to_owned(),
        client,
    };
    agent.join(&[]).await
}

#[tokio::test]
async fn an_agent_acts_for_the_cluster_of_its_token() {
    let setting = Setting::new().await;
    let api = &setting.kubernetes.api;
    api.know("s3cr3t-1", "c1-agent", &[]);
    let server = start(setting.for_agents("{cluster}-*", Credential::Token)).await;
    server.cluster("c1").await;
    let agent = setting
        .connect(server.addresses.broker.port(), None)
        .await
        .unwrap();
    let token = Some("Bearer s3cr3t-1");
    subscribe(&agent, "", "c1", token).await.unwrap();
    publish(&agent, resync("c1"), token).await.unwrap();
    let text = r#""c1-agent" is the agent of cluster "c1", so it may not act for cluster "c2""#;
    refused(
        subscribe(&agent, "", "c2", token).await,
        Code::PermissionDenied,
        text,
    );
    refused(
        subscribe(&agent, "", "c1", None).await,
        Code::Unauthenticated,
        "invalid token",
    );
    refused(
        publish(&agent, resync("c1"), Some("s3cr3t-2")).await,
        Code::Unauthenticated,
        "token not authenticated",
    );
    api.fail(true);
    let text = "token not reviewed: the Kubernetes API can't be asked, try again later";
    refused(
        publish(&agent, resync("c1"), token).await,
        Code::Unavailable,
        text,
    );
}

#[tokio::test]
async fn a_pattern_needs_something_that_carries_names() {
    let setting = Setting::new().await;
    let mut config = setting.for_agents(PATTERN, Credential::Mtls);
    config.broker_tls = None;
    let said = start_error(config.clone()).await;
    assert!(
        said.contains("--agent-identity-pattern needs TLS on the agent port"),
        "{said}"
    );
    config.broker_tls = setting.tls(false);
    let said = start_error(config).await;
    assert!(
        said.contains("needs --grpc-broker-client-ca-file, or --agent-authn-type=token"),
        "{said}"
    );
}
