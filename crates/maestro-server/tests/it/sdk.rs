//! The SDK against this server, plain and over TLS.

use std::time::Duration;

use maestro_client::{Client, Deletion, ListOptions, Patch, WatchEvent, WatchOptions};
use maestro_server::Config;
use maestro_server::config::TlsFiles;
use manifestwork::{ManifestWork, ObjectMeta};
use serde_json::json;
use testkit::certs::Ca;

use crate::harness::{DEADLINE, Server, config_map};

on_both!(the_sdk_finds_what_it_expects);

fn client(server: &Server) -> Client {
    service_runtime::install_crypto_provider();
    Client::new(maestro_client::Config {
        rest_url: format!("http://{}", server.addresses.rest),
        grpc_address: server.addresses.grpc.to_string(),
        source_id: "sdk".into(),
        ..maestro_client::Config::default()
    })
    .unwrap()
}

fn work(name: &str) -> ManifestWork {
    let mut work = ManifestWork {
        metadata: ObjectMeta::named("c1", name),
        ..ManifestWork::default()
    };
    work.metadata.labels.insert("app".into(), "x".into());
    work.spec.workload.manifests = vec![config_map("a").into()];
    work
}

async fn the_sdk_finds_what_it_expects(config: Config) {
    let server = Server::start(config).await;
    let client = client(&server);
    client
        .consumers()
        .create("c1", &Default::default())
        .await
        .unwrap();
    let works = client.works("c1");
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let mut watch = works.watch(WatchOptions::default());

    let made = works.create(&work("w1")).await.unwrap();
    let twice = works.create(&work("w1")).await.unwrap_err();
    assert!(
        matches!(twice, maestro_client::Error::AlreadyExists { .. }),
        "{twice:?}"
    );
    let mut stray = work("w1");
    stray.metadata.namespace = "nowhere".into();
    let nowhere = client.works("nowhere").create(&stray).await.unwrap_err();
    assert!(
        matches!(nowhere, maestro_client::Error::ConsumerNotFound { .. }),
        "{nowhere:?}"
    );

    let spec = specs.next().await;
    assert_eq!(spec.id, made.metadata.uid);
    agent.applied(&spec).await.unwrap();
    let seen = until(&mut watch, |event| {
        event
            .work()
            .is_some_and(|work| !work.status.conditions.is_empty())
    })
    .await;
    assert_eq!(seen.work().unwrap().metadata.name, "w1");

    let patched = works
        .patch(
            "w1",
            &Patch::Merge(json!({"metadata": {"labels": {"new": "label"}}})),
        )
        .await
        .unwrap();
    assert_eq!(patched.metadata.labels["new"], "label");
    // The answer to the agent's resync may have brought the first version once more.
    specs.until(|event| event.version == 2).await;
    let read = works.get("w1").await.unwrap();
    assert_eq!(read.metadata.generation, 2);
    let selected = ListOptions {
        label_selector: "app=x,new".parse().unwrap(),
        ..ListOptions::default()
    };
    assert_eq!(works.list(&selected).await.unwrap().len(), 1);

    assert!(matches!(
        works.delete("w1").await.unwrap(),
        Deletion::Requested
    ));
    let deletion = specs.until(|event| event.deleting).await;
    agent.deleted(&deletion).await.unwrap();
    let gone = until(&mut watch, |event| matches!(event, WatchEvent::Deleted(_))).await;
    assert_eq!(gone.work().unwrap().metadata.name, "w1");
    assert!(matches!(
        works.get("w1").await.unwrap_err(),
        maestro_client::Error::NotFound { .. }
    ));
}

async fn until(
    watch: &mut maestro_client::Watch,
    wanted: impl Fn(&WatchEvent) -> bool,
) -> WatchEvent {
    let find = async {
        loop {
            let event = watch.next_event().await.expect("the watch goes on");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(DEADLINE, find)
        .await
        .expect("the event in time")
}

#[tokio::test]
async fn every_listener_speaks_tls_and_agents_need_a_certificate() {
    service_runtime::install_crypto_provider();
    let (folder, ca, strangers) = (tempfile::tempdir().unwrap(), Ca::new(), Ca::new());
    let path = folder.path();
    let files = ca
        .server(&["localhost", "127.0.0.1"])
        .write(path, "server")
        .unwrap();
    let ca_file = ca.write(path).unwrap();
    let tls = TlsFiles {
        cert: files.cert,
        key: files.key,
        client_ca: None,
    };
    let mutual = TlsFiles {
        client_ca: Some(ca_file.clone()),
        ..tls.clone()
    };
    let server = Server::start(Config {
        https: Some(tls.clone()),
        grpc_tls: Some(tls),
        broker_tls: Some(mutual),
        health_https: true,
        metrics_https: true,
        ..Config::default()
    })
    .await;
    let client = Client::new(maestro_client::Config {
        rest_url: format!("https://{}", server.addresses.rest),
        grpc_address: server.addresses.grpc.to_string(),
        source_id: "sdk".into(),
        grpc_tls: Some(maestro_client::Tls {
            ca: Some(ca_file),
            ..Default::default()
        }),
        ..maestro_client::Config::default()
    })
    .unwrap();
    client
        .consumers()
        .create("c1", &Default::default())
        .await
        .unwrap();
    client.works("c1").create(&work("w1")).await.unwrap();

    let authority = reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    for (address, path) in [
        (server.addresses.health, "/livez"),
        (server.addresses.metrics, "/metrics"),
    ] {
        assert_eq!(
            http.get(format!("https://{address}{path}"))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
        assert!(
            reqwest::get(format!("http://{address}{path}"))
                .await
                .is_err(),
            "no plaintext"
        );
    }

    let mine = ca.client("c1-work-agent", "agents");
    let theirs = strangers.client("c1-work-agent", "agents");
    for (identity, welcome) in [(Some(mine), true), (Some(theirs), false), (None, false)] {
        let mut tls = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(ca.pem()))
            .domain_name("localhost");
        if let Some(pem) = identity {
            tls = tls.identity(tonic::transport::Identity::from_pem(pem.cert, pem.key));
        }
        let endpoint =
            tonic::transport::Channel::from_shared(format!("https://{}", server.addresses.broker))
                .unwrap()
                .tls_config(tls)
                .unwrap()
                .timeout(Duration::from_secs(30));
        let joined = async {
            let channel = endpoint.connect().await.ok()?;
            let client =
                event_wire::proto::cloud_event_service_client::CloudEventServiceClient::new(
                    channel,
                );
            let agent = crate::harness::Agent {
                cluster: "c1".into(),
                client,
            };
            let mut specs = agent.try_subscribe().await.ok()?;
            agent.resync(&[]).await.ok()?;
            specs.try_next().await.ok()?
        };
        assert_eq!(joined.await.is_some(), welcome);
    }
}
