//! What is counted: upstream's names, and no ids in labels (`docs/protocol/maestro-metrics.md`).

use maestro_server::Config;

use crate::harness::{DEADLINE, Server, bundle, config_map, impatient};

on_both!(a_works_life_is_counted_without_its_name);

async fn a_works_life_is_counted_without_its_name(config: Config) {
    let server = Server::start(impatient(config)).await;
    server.cluster("cluster-x").await;
    let source = server.source("source-x").await;
    let mut statuses = source.subscribe().await;
    let agent = server.agent("cluster-x").await;
    let mut specs = agent.join(&[]).await;
    let data = bundle(&[config_map("a")]);
    source.create("work-x", "cluster-x", &data).await.unwrap();
    let spec = specs.next().await;
    // Impatience brings it again.
    specs.next().await;
    agent.applied(&spec).await.unwrap();
    statuses.next().await;
    source.delete("work-x", "cluster-x").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    agent.deleted(&deletion).await.unwrap();
    statuses.next().await;
    // A status about nothing, and a request that fails.
    agent.applied(&spec).await.unwrap();
    server.bundle("work-x").await;
    let scrape = async || {
        let url = format!("http://{}/metrics", server.addresses.metrics);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    };
    let wanted = [
        r#"rest_api_inbound_request_count{method="GET",path="/api/maestro/v1/resource-bundles/-",code="404"} 1"#,
        "rest_api_inbound_request_duration_bucket{",
        r#"grpc_server_called_total{type="Publish",source="source-x"} 2"#,
        r#"grpc_server_message_received_total{type="Publish",source="source-x"} 2"#,
        r#"grpc_server_message_sent_total{type="Subscribe",source="source-x"} 2"#,
        r#"grpc_server_registered_source_clients{source="source-x"} 1"#,
        "grpc_broker_registered_agents 1",
        r#"spec_controller_event_reconcile_total{event_type="Create",status="success"} 1"#,
        r#"spec_controller_event_reconcile_total{event_type="Resync",status="success"}"#,
        r#"spec_controller_event_reconcile_total{event_type="Delete",status="success"} 1"#,
        r#"status_controller_event_reconcile_total{event_type="StatusUpdate",status="success"} 1"#,
        r#"status_controller_event_reconcile_total{event_type="StatusDelete",status="success"} 1"#,
        r#"spec_controller_event_reconcile_duration_seconds_bucket{le="0.005",event_type="Create"}"#,
        r#"spec_controller_event_sync_operation_total{status="success"}"#,
        "spec_controller_event_oldest_unreconciled_age_seconds ",
        "spec_controller_undelivered_resources_republished_total ",
        r#"workqueue_depth{queue_name="event-controller"}"#,
        r#"workqueue_depth{queue_name="status-event-controller"}"#,
        r#"workqueue_adds_total{queue_name="event-controller"} 2"#,
        r#"workqueue_work_duration_seconds_count{queue_name="event-controller"}"#,
        r#"advisory_lock_count{type="resources",status="OK"} 2"#,
        r#"advisory_unlock_count{type="resource_status",status="OK"}"#,
        r#"advisory_lock_duration_bucket{le="0.1",type="resources",status="OK"}"#,
        "writer_batch_operations_count ",
        "writer_waiting_operations ",
        r#"database_call_duration_seconds_count{call="write"}"#,
        r#"database_call_duration_seconds_count{call="read_specs"}"#,
        "resources_spec_resync_duration_seconds_count 1",
        r#"resource_processed_total{action="update"}"#,
        r#"resource_status_ignored_total{reason="gone"} 1"#,
        r#"resource_first_status_latency_seconds_bucket{le="+Inf"} 1"#,
        "resource_first_status_latency_seconds_count 1",
        "resource_status_event_processing_latency_seconds_count 1",
        "postgres_notification_queue_usage ",
    ];
    testkit::eventually("gauges to be measured", DEADLINE, async || {
        let text = scrape().await;
        wanted.iter().all(|line| text.contains(line)).then_some(())
    })
    .await;
    let text = scrape().await;
    for id in ["work-x", "cluster-x"] {
        assert!(!text.contains(id), "{id} is in\n{text}");
    }
    assert_eq!(
        reqwest::get(format!("http://{}/", server.addresses.metrics))
            .await
            .unwrap()
            .status(),
        404
    );
}
