//! The whole way: create, status, update, deletion.

use maestro_server::Config;

use crate::harness::{Server, bundle, config_map};

on_both!(a_resource_lives_and_dies);

async fn a_resource_lives_and_dies(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let agent = server.agent("c1").await;
    let mut statuses = source.subscribe().await;
    let mut specs = agent.join(&[]).await;
    assert!(specs.subscription_id.is_some() && statuses.subscription_id.is_some());

    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    assert_eq!(
        (spec.action().as_str(), spec.version, spec.deleting),
        ("create_request", 1, false)
    );
    assert_eq!(spec.event.source, "maestro");
    assert_eq!(spec.metadata.as_ref().unwrap()["name"], "r1");
    assert!(spec.metadata.as_ref().unwrap()["creationTimestamp"].is_string());
    assert_eq!(spec.data(), bundle(&[config_map("a")]));

    agent.applied(&spec).await.unwrap();
    let status = statuses.next().await;
    assert_eq!((status.id.as_str(), status.version), ("r1", 1));
    assert_eq!(status.condition("Applied").as_deref(), Some("True"));
    assert_eq!(status.metadata.as_ref().unwrap()["name"], "work-r1");
    assert_eq!(status.data()["manifestBundle"], bundle(&[config_map("a")]));

    source
        .update("r1", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    assert_eq!(
        (spec.action().as_str(), spec.version),
        ("update_request", 2)
    );
    let (code, body) = server.bundle("r1").await;
    assert_eq!((code, body["version"].as_i64()), (200, Some(2)));
    assert_eq!(
        body["status"]["ObservedVersion"], 1,
        "an update leaves the status alone"
    );
    assert_eq!(body["manifests"][0]["metadata"]["name"], "b");

    source.delete("r1", "c1").await.unwrap();
    let spec = specs.next().await;
    assert_eq!(
        (spec.action().as_str(), spec.deleting),
        ("delete_request", true)
    );
    let (_, body) = server.bundle("r1").await;
    assert!(body["deleted_at"].is_string() && body["metadata"]["deletionTimestamp"].is_string());
    agent.deleted(&spec).await.unwrap();
    let last = statuses
        .until(|status| status.condition("Deleted").is_some())
        .await;
    assert_eq!(last.metadata.as_ref().unwrap()["name"], "work-r1");
    assert_eq!(last.data()["manifestBundle"], bundle(&[config_map("b")]));
    assert_eq!(server.bundle("r1").await.0, 404);
    server.stop().await;
}
