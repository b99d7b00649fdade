use serde_json::{Value, json};

use crate::{
    on_both,
    server::{CLUSTERS, Server, condition},
};

on_both!(
    deletion_is_asked_for_once,
    what_is_being_deleted_is_closed,
    the_last_finalized_report_removes,
    every_condition_of_removal_counts,
    a_cluster_waits_for_its_node_pools_and_goes_with_the_last,
    kinds_without_adapters_go_at_once,
    a_live_child_of_a_restricting_kind_stops_everything,
    a_parent_without_adapters_goes_with_its_last_child,
    concurrent_deletes_count_once,
    force_delete_removes_what_is_stuck,
);

async fn deletion_is_asked_for_once(server: Server) {
    let path = server.cluster("abc").await;
    let pool = server.nodepool(&path, "np-1").await;
    let first = server.delete(&path).await.expect(202);
    assert_eq!(
        (&first["generation"], &first["deleted_by"]),
        (&json!(2), &json!("system@hyperfleet.local"))
    );
    assert_eq!(condition(&first, "Reconciled")["status"], "False");
    assert!(
        condition(&first, "Reconciled")["message"]
            .as_str()
            .unwrap()
            .contains("Finalized=True: [dns, validation]")
    );
    let child = server.get(&pool).await.expect(200);
    assert_eq!(
        (&child["deleted_time"], &child["generation"]),
        (&first["deleted_time"], &json!(2))
    );
    let again = server.delete(&path).await.expect(202);
    for member in ["generation", "deleted_time", "updated_time"] {
        assert_eq!(again[member], first[member], "{member}");
    }
    assert_eq!(server.get(CLUSTERS).await.body["total"], 1, "lists show it");
    let live = server
        .list(CLUSTERS, &[("search", "deleted_time is null")])
        .await
        .expect(200);
    assert_eq!(live["total"], 0);
}

async fn what_is_being_deleted_is_closed(server: Server) {
    let path = server.cluster("abc").await;
    let id = path.rsplit('/').next().unwrap();
    server.delete(&path).await.expect(202);
    let text = format!("Cluster '{id}' is marked for deletion");
    assert_eq!(
        server
            .patch(&path, json!({"spec": {"a": 1}}))
            .await
            .problem(),
        (409, "CNF-003", text.as_str())
    );
    let pool = json!({"kind": "NodePool", "name": "np-1", "spec": {}});
    assert_eq!(
        server
            .post(&format!("{path}/nodepools"), pool)
            .await
            .problem(),
        (409, "CNF-003", text.as_str())
    );
}

async fn the_last_finalized_report_removes(server: Server) {
    let path = server.cluster("abc").await;
    server.delete(&path).await.expect(202);
    server.finalize(&path, "dns", 2).await.expect(201);
    server.get(&path).await.expect(200);
    let last = server.finalize(&path, "validation", 2).await.expect(201);
    assert_eq!(
        last["adapter"], "validation",
        "the stored report is the answer"
    );
    assert_eq!(server.get(&path).await.problem().1, "NTF-001");
    assert_eq!(
        server.get(&format!("{path}/statuses")).await.problem().1,
        "NTF-001"
    );
    assert_eq!(
        server.finalize(&path, "validation", 2).await.problem().1,
        "NTF-001",
        "for a late adapter that is success"
    );
    assert_eq!(
        server.delete(&path).await.problem(),
        (404, "NTF-001", "Cluster not found")
    );
}

async fn every_condition_of_removal_counts(server: Server) {
    let path = server.cluster("abc").await;
    // Before deletion, and at the old generation, Finalized means nothing.
    server.finalize(&path, "dns", 1).await.expect(201);
    server.finalize(&path, "validation", 1).await.expect(201);
    server.delete(&path).await.expect(202);
    server.get(&path).await.expect(200);
    server.finalize(&path, "dns", 2).await.expect(201);
    server.finalize(&path, "stranger", 2).await.expect(201);
    server.get(&path).await.expect(200);
    server
        .report(&path, "validation", 2, "True")
        .await
        .expect(201);
    assert_eq!(
        server.condition(&path, "Reconciled").await["reason"],
        "ReconciledMissingAdapters"
    );
    server.finalize(&path, "validation", 2).await.expect(201);
    assert_eq!(server.get(&path).await.status, 404);
}

async fn a_cluster_waits_for_its_node_pools_and_goes_with_the_last(server: Server) {
    let path = server.cluster("abc").await;
    let (one, two) = (
        server.nodepool(&path, "np-1").await,
        server.nodepool(&path, "np-2").await,
    );
    server.delete(&path).await.expect(202);
    server.finalize(&path, "dns", 2).await.expect(201);
    server.finalize(&path, "validation", 2).await.expect(201);
    let waiting = server.condition(&path, "Reconciled").await;
    assert_eq!(
        (&waiting["status"], &waiting["reason"]),
        (&json!("False"), &json!("ReconciledWaitingForChildren"))
    );
    server.finalize(&one, "validation", 2).await.expect(201);
    assert_eq!(server.get(&one).await.status, 404);
    assert_eq!(
        server.condition(&path, "Reconciled").await["reason"],
        "ReconciledWaitingForChildren"
    );
    server.finalize(&two, "validation", 2).await.expect(201);
    assert_eq!(
        server.get(&path).await.status,
        404,
        "no further report of the cluster's adapters is needed"
    );
}

async fn create(server: &Server, path: &str, kind: &str, name: &str) -> String {
    let body: Value = server
        .post(path, json!({"kind": kind, "name": name, "spec": {}}))
        .await
        .expect(201);
    body["href"].as_str().unwrap().to_owned()
}

async fn kinds_without_adapters_go_at_once(server: Server) {
    let channel = create(&server, "/api/hyperfleet/v1/channels", "Channel", "stable").await;
    let deleted = server.delete(&channel).await.expect(202);
    assert!(deleted["deleted_time"].is_string() && deleted["generation"] == 2);
    assert_eq!(server.get(&channel).await.status, 404);
    assert_eq!(server.delete(&channel).await.status, 404);
}

async fn a_live_child_of_a_restricting_kind_stops_everything(server: Server) {
    let channel = create(&server, "/api/hyperfleet/v1/channels", "Channel", "stable").await;
    let version = create(&server, &format!("{channel}/versions"), "Version", "v1").await;
    let id = channel.rsplit('/').next().unwrap();
    let text = format!("Cannot delete Channel '{id}': active Version(s) exist");
    assert_eq!(
        server.delete(&channel).await.problem(),
        (409, "CNF-003", text.as_str())
    );
    assert_eq!(
        server.get(&channel).await.body["generation"],
        1,
        "rolled back"
    );
    server.delete(&version).await.expect(202);
    server.delete(&channel).await.expect(202);
    assert_eq!(server.get(&channel).await.status, 404);
}

async fn a_parent_without_adapters_goes_with_its_last_child(server: Server) {
    // A cluster kind without adapters keeps waiting for node pools that have one.
    drop(server);
    for database in [
        hyperfleet_api::Database::SqliteMemory,
        crate::server::database().await,
    ] {
        let server =
            Server::with_entities(database, |entities| entities[0].required_adapters.clear()).await;
        let path = server.cluster("abc").await;
        let pool = server.nodepool(&path, "np-1").await;
        server.delete(&path).await.expect(202);
        server.get(&path).await.expect(200);
        server.finalize(&pool, "validation", 2).await.expect(201);
        assert_eq!(server.get(&path).await.status, 404);
    }
}

async fn concurrent_deletes_count_once(server: Server) {
    let path = server.cluster("abc").await;
    server.nodepool(&path, "np-1").await;
    let answers = futures::future::join_all((0..8).map(|_| server.delete(&path))).await;
    for answer in answers {
        assert_eq!(answer.expect(202)["generation"], 2);
    }
}

async fn force_delete_removes_what_is_stuck(server: Server) {
    let path = server.cluster("abc").await;
    let pool = server.nodepool(&path, "np-1").await;
    let force = format!("{path}/force-delete");
    let id = path.rsplit('/').next().unwrap();
    let reason = json!({"reason": "the cloud account is gone"});
    let text = format!("Cluster '{id}' is not in Finalizing state");
    assert_eq!(
        server.post(&force, reason.clone()).await.problem(),
        (409, "CNF-003", text.as_str())
    );
    server.delete(&path).await.expect(202);
    assert_eq!(
        server.post(&force, json!({"reason": ""})).await.problem().2,
        "reason is required"
    );
    assert_eq!(
        server
            .post(&force, json!({"reason": "r".repeat(1025)}))
            .await
            .problem()
            .0,
        400
    );
    let done = server.post(&force, reason.clone()).await;
    assert_eq!((done.status.as_u16(), done.text.as_str()), (204, ""));
    for path in [&path, &pool] {
        assert_eq!(server.get(path).await.status, 404);
    }
    assert_eq!(server.post(&force, reason).await.status, 404);
}
