use serde_json::{Value, json};

use crate::{
    on_both,
    server::{Server, report},
};

on_both!(
    older_clients_are_served,
    placements_are_chosen_by_region_and_health
);

async fn older_clients_are_served(server: Server) {
    let body = server
        .post(
            "/api/v1/clusters",
            json!({"kind": "Cluster", "name": "abc", "spec": {}}),
        )
        .await
        .expect(201);
    let canonical = body["href"].as_str().unwrap();
    assert!(canonical.starts_with("/api/hyperfleet/v1/clusters/"));
    let path = format!("/api/v1/clusters/{}", body["id"].as_str().unwrap());
    let seen = server.get(&path).await.expect(200);
    assert_eq!(
        (
            &seen["status"]["phase"],
            &seen["status"]["adapters"],
            &seen["metadata"]["id"]
        ),
        (&json!("NotReady"), &json!([]), &body["id"])
    );
    server
        .post(&format!("{path}/statuses"), report("dns", 1, "True"))
        .await
        .expect(201);
    server
        .put(&format!("{path}/statuses"), report("validation", 1, "True"))
        .await
        .expect(201);
    let seen = server.get(&path).await.expect(200);
    assert_eq!(seen["status"]["phase"], "Ready");
    let adapter = &seen["status"]["adapters"][0];
    assert_eq!(
        (&adapter["name"], &adapter["conditions"][1]["status"]),
        (&json!("dns"), &json!("True"))
    );
    server.delete(&path).await.expect(202);
    assert_eq!(
        server.get(&path).await.body["status"]["phase"],
        "Terminating"
    );
    let clean = server.get(canonical).await.body;
    assert!(clean["status"].get("phase").is_none() && clean.get("metadata").is_none());
}

async fn placements_are_chosen_by_region_and_health(server: Server) {
    let canonical = "/api/hyperfleet/v1/management-clusters";
    for (name, region, status) in [
        ("mc-a", "us-east1", "healthy"),
        ("mc-b", "us-east1", "draining"),
        ("mc-c", "eu-west1", "healthy"),
    ] {
        let spec = json!({"region": region, "status": status, "consumer_name": name});
        server
            .post(
                canonical,
                json!({"kind": "ManagementCluster", "name": name, "spec": spec}),
            )
            .await
            .expect(201);
    }
    let query = [("region", "us-east1"), ("status", "healthy")];
    let bare = server
        .list("/api/v1/management-clusters", &query)
        .await
        .expect(200);
    let names = |items: &Value| {
        items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&bare), ["mc-a"]);
    let page = server.list(canonical, &query).await.expect(200);
    assert_eq!(
        (names(&page["items"]), &page["total"]),
        (vec![json!("mc-a")], &json!(1))
    );
    let draining = server
        .list(
            canonical,
            &[
                ("status", "draining"),
                ("search", "spec.region = 'us-east1'"),
            ],
        )
        .await
        .expect(200);
    assert_eq!(names(&draining["items"]), ["mc-b"]);
    let ignored = server
        .list("/api/hyperfleet/v1/clusters", &query)
        .await
        .expect(200);
    assert_eq!(ignored["total"], 0);
}
