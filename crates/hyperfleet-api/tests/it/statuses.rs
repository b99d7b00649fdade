use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    on_both,
    server::{CLUSTERS, Server, report},
};

on_both!(
    the_loop_closes,
    a_report_is_stored_as_documented,
    what_tells_nothing_new_is_discarded,
    f90_unknown_and_incomplete_reports_erase_nothing,
    f89_times_out_of_bounds_are_refused,
    a_body_is_checked_before_the_resource_is_looked_up,
    a_second_report_within_the_same_second_counts,
    only_put_and_get_are_served,
    statuses_are_paged,
    concurrent_reports_all_count,
    the_number_of_adapters_is_bounded,
    changes_of_one_family_wait_for_each_other,
);

async fn the_loop_closes(server: Server) {
    let path = server.cluster("abc").await;
    server
        .report(&path, "validation", 1, "True")
        .await
        .expect(201);
    assert_eq!(
        server.condition(&path, "ValidationSuccessful").await["status"],
        "True"
    );
    let reconciled = server.condition(&path, "Reconciled").await;
    assert_eq!(
        reconciled["message"],
        "Required adapters not reporting Available=True: [dns]. Currently reporting: [validation]"
    );
    server.report(&path, "dns", 1, "True").await.expect(201);
    assert_eq!(
        server.condition(&path, "Reconciled").await["reason"],
        "ReconciledAll"
    );
    assert_eq!(
        server.condition(&path, "LastKnownReconciled").await["status"],
        "True"
    );

    let patched = server
        .patch(&path, json!({"spec": {"openshift_version": "4.18.0"}}))
        .await
        .expect(200);
    let reconciled = crate::server::condition(&patched, "Reconciled");
    assert_eq!(
        (&reconciled["status"], &reconciled["last_transition_time"]),
        (&json!("False"), &patched["updated_time"])
    );
    let known = crate::server::condition(&patched, "LastKnownReconciled");
    assert_eq!(
        (&known["status"], &known["observed_generation"]),
        (&json!("True"), &json!(1))
    );
    for adapter in ["validation", "dns"] {
        server.report(&path, adapter, 2, "True").await.expect(201);
    }
    for type_ in ["Reconciled", "LastKnownReconciled"] {
        let condition = server.condition(&path, type_).await;
        assert_eq!(
            (&condition["status"], &condition["observed_generation"]),
            (&json!("True"), &json!(2))
        );
    }
    assert!(server.condition(&path, "Ready").await.is_null());
}

async fn a_report_is_stored_as_documented(server: Server) {
    let path = server.cluster("abc").await;
    let now = Timestamp::now();
    let mut body = report("my-adapter", 1, "True");
    body["observed_time"] = json!(now);
    body["metadata"] = json!({"job_name": "j", "attempt": 1});
    body["data"] = json!({"control_plane_endpoint": "https://x"});
    body["unknown"] = json!(1);
    body["conditions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "Custom", "status": "Unknown", "last_transition_time": "ignored"}));
    let first = server
        .put(&format!("{path}/statuses"), body.clone())
        .await
        .expect(201);
    assert_eq!(
        (&first["data"], &first["metadata"]),
        (&body["data"], &body["metadata"])
    );
    assert_eq!(first["created_time"], first["last_report_time"]);
    assert_eq!(
        first["conditions"][3]["last_transition_time"],
        first["last_report_time"]
    );
    let listed = server.get(&format!("{path}/statuses")).await.expect(200);
    assert_eq!(
        listed,
        json!({"items": [first], "page": 1, "size": 1, "total": 1})
    );

    let mut second = report("my-adapter", 1, "False");
    second["observed_time"] = json!(now + SignedDuration::from_millis(5));
    let second = server
        .put(&format!("{path}/statuses"), second)
        .await
        .expect(201);
    assert_eq!(
        (&second["created_time"], &second["data"]),
        (&first["created_time"], &json!({}))
    );
    assert!(second.get("metadata").is_none());
    assert_eq!(
        second["conditions"].as_array().unwrap().len(),
        3,
        "what is left out disappears"
    );
    let changed =
        |report: &Value, index: usize| report["conditions"][index]["last_transition_time"].clone();
    assert_eq!(changed(&second, 0), changed(&first, 0));
    assert_eq!(changed(&second, 1), second["last_report_time"]);
}

async fn what_tells_nothing_new_is_discarded(server: Server) {
    let path = server.cluster("abc").await;
    server
        .patch(&path, json!({"spec": {"a": 1}}))
        .await
        .expect(200);
    server
        .patch(&path, json!({"spec": {"a": 2}}))
        .await
        .expect(200);
    let now = Timestamp::now();
    let send = async |generation: i64, offset: i64| {
        let mut body = report("dns", generation, "True");
        body["observed_time"] = json!(now + SignedDuration::from_secs(offset));
        let answer = server.put(&format!("{path}/statuses"), body).await;
        assert!(answer.status != 204 || answer.text.is_empty());
        answer.status.as_u16()
    };
    assert_eq!(send(4, 0).await, 204, "a generation that does not exist");
    assert_eq!(
        server.get(&format!("{path}/statuses")).await.body["total"],
        0
    );
    assert_eq!(
        send(2, 0).await,
        201,
        "older than the resource, but its first"
    );
    assert_eq!(send(1, 9).await, 204, "older than its own last");
    assert_eq!(send(2, -1).await, 204, "earlier than its own last");
    assert_eq!(
        send(3, -5).await,
        201,
        "a newer generation with an earlier time"
    );
}

async fn f90_unknown_and_incomplete_reports_erase_nothing(server: Server) {
    let path = server.cluster("abc").await;
    let before = server.condition(&path, "Reconciled").await;
    server.report(&path, "dns", 1, "Unknown").await.expect(201);
    assert_eq!(
        server.get(&format!("{path}/statuses")).await.body["total"],
        1,
        "the first one is kept"
    );
    assert_eq!(
        server.condition(&path, "Reconciled").await,
        before,
        "and counts for nothing"
    );
    server.report(&path, "dns", 1, "Unknown").await.expect(204);
    server.report(&path, "dns", 1, "True").await.expect(201);
    server.report(&path, "dns", 1, "Unknown").await.expect(204);
    for missing in ["Available", "Applied", "Health"] {
        let mut body = report("dns", 1, "True");
        body["conditions"]
            .as_array_mut()
            .unwrap()
            .retain(|condition| condition["type"] != missing);
        let text = format!(
            "missing mandatory condition '{missing}': all adapters must report Available, Applied, and Health"
        );
        assert_eq!(
            server
                .put(&format!("{path}/statuses"), body)
                .await
                .problem(),
            (400, "VAL-000", text.as_str())
        );
    }
    assert_eq!(
        server.condition(&path, "DnsSuccessful").await["status"],
        "True",
        "the last good report stands"
    );
}

async fn f89_times_out_of_bounds_are_refused(server: Server) {
    let path = server.cluster("abc").await;
    let send = async |minutes: i64| {
        let mut body = report("dns", 1, "True");
        body["observed_time"] = json!(Timestamp::now() + SignedDuration::from_mins(minutes));
        server.put(&format!("{path}/statuses"), body).await
    };
    let year = send(365 * 24 * 60).await;
    assert_eq!(
        year.problem(),
        (
            400,
            "VAL-000",
            "observed_time must not be more than 5m0s in the future"
        )
    );
    assert_eq!(send(10).await.status, 400);
    assert_eq!(
        send(-31).await.problem().2,
        "observed_time must not be more than 30m0s in the past"
    );
    server.report(&path, "dns", 1, "True").await.expect(201);
    assert_eq!(send(4).await.status, 201);
}

async fn a_body_is_checked_before_the_resource_is_looked_up(server: Server) {
    let missing = format!("{CLUSTERS}/{}/statuses", uuid::Uuid::now_v7());
    assert_eq!(
        server.put(&missing, json!({})).await.problem(),
        (400, "VAL-000", "adapter is required")
    );
    assert_eq!(
        server
            .put(&missing, report("dns", 0, "True"))
            .await
            .problem()
            .2,
        "observed_generation must be >= 1"
    );
    assert_eq!(
        server
            .put(&missing, report("dns", 1, "True"))
            .await
            .problem()
            .1,
        "NTF-001"
    );
    let text = "invalid status value 'true' for condition at index 1 (type: Available): must be 'True', 'False', or 'Unknown'";
    assert_eq!(
        server
            .put(&missing, report("dns", 1, "true"))
            .await
            .problem()
            .2,
        text
    );
    let cluster = server.cluster("abc").await;
    let other = server.cluster("other").await;
    let pool = server.nodepool(&cluster, "np-1").await;
    let wrong = pool.replace(&cluster, &other);
    let answer = server.report(&wrong, "dns", 1, "True").await;
    assert!(
        answer.problem().2.starts_with("NodePool with id="),
        "the child is named"
    );
}

async fn a_second_report_within_the_same_second_counts(server: Server) {
    let path = server.cluster("abc").await;
    let mut body = report("dns", 1, "False");
    body["observed_time"] = json!(
        "2026-01-01T00:00:00Z"
            .parse::<Timestamp>()
            .map(|_| Timestamp::from_second(Timestamp::now().as_second()).unwrap())
            .unwrap()
    );
    server
        .put(&format!("{path}/statuses"), body.clone())
        .await
        .expect(201);
    body["conditions"][1]["status"] = json!("True");
    let stored = server
        .put(&format!("{path}/statuses"), body)
        .await
        .expect(201);
    assert_eq!(stored["conditions"][1]["status"], "True");
    assert_eq!(
        server.condition(&path, "DnsSuccessful").await["status"],
        "True"
    );
}

async fn only_put_and_get_are_served(server: Server) {
    let path = server.cluster("abc").await;
    let answer = server
        .post(&format!("{path}/statuses"), report("dns", 1, "True"))
        .await;
    assert_eq!(
        (
            answer.problem().0,
            answer.headers["allow"].to_str().unwrap()
        ),
        (405, "GET, HEAD, PUT")
    );
}

async fn statuses_are_paged(server: Server) {
    let path = server.cluster("abc").await;
    for index in 0..10 {
        server
            .report(&path, &format!("adapter-{index}"), 1, "True")
            .await
            .expect(201);
    }
    let page = server
        .list(&format!("{path}/statuses"), &[("size", "3"), ("page", "4")])
        .await
        .expect(200);
    assert_eq!(
        (&page["page"], &page["size"], &page["total"]),
        (&json!(4), &json!(1), &json!(10))
    );
    assert_eq!(page["items"][0]["adapter"], "adapter-9", "oldest first");
    assert_eq!(
        server
            .list(&format!("{path}/statuses"), &[("size", "0")])
            .await
            .problem()
            .0,
        400
    );
}

async fn concurrent_reports_all_count(server: Server) {
    let path = server.cluster("abc").await;
    let adapters = ["validation", "dns", "a", "b", "c", "d", "e", "f"];
    let answers =
        futures::future::join_all(adapters.map(|adapter| server.report(&path, adapter, 1, "True")))
            .await;
    for answer in answers {
        answer.expect(201);
    }
    assert_eq!(
        server.get(&format!("{path}/statuses")).await.body["total"],
        8
    );
    assert_eq!(
        server.condition(&path, "Reconciled").await["status"],
        "True"
    );
}

async fn the_number_of_adapters_is_bounded(server: Server) {
    let path = server.cluster("abc").await;
    for index in 0..hyperfleet_api::domain::report::MAX_ADAPTERS {
        server
            .report(&path, &format!("adapter-{index}"), 1, "True")
            .await
            .expect(201);
    }
    let answer = server.report(&path, "dns", 1, "True").await;
    assert_eq!(
        answer.problem(),
        (
            400,
            "VAL-000",
            "at most 256 adapters may report about one resource"
        )
    );
    server
        .report(&path, "adapter-7", 1, "False")
        .await
        .expect(201);
    let long = server.report(&path, &"a".repeat(300), 1, "True").await;
    assert_eq!(long.problem().2, "adapter must be at most 253 characters");
}

/// Reports, patches, new children and deletions of one family at once: each is answered as if it were alone, none fails because of
/// another.
async fn changes_of_one_family_wait_for_each_other(server: Server) {
    let path = server.cluster("abc").await;
    let mut pools = Vec::new();
    for index in 0..4 {
        pools.push(server.nodepool(&path, &format!("np-{index}")).await);
    }
    let (server, path, pools) = (&server, &path, &pools);
    let workers = (0..8_usize).map(|worker| async move {
        for round in 0..12_usize {
            let pool = &pools[(worker + round) % pools.len()];
            let answer = match (worker + round) % 6 {
                0 => server.report(pool, "validation", 1, "True").await,
                1 => server.report(path, "dns", 1, "True").await,
                2 => server.patch(path, json!({"labels": {"round": format!("{worker}-{round}")}})).await,
                3 => server.post(&format!("{path}/nodepools"), json!({"kind": "NodePool", "name": format!("new-{worker}-{round}"), "spec": {}})).await,
                4 => server.finalize(pool, "validation", 2).await,
                _ if round > 6 => server.delete(pool).await,
                _ => server.patch(pool, json!({"spec": {"round": round}})).await,
            };
            let allowed = [200, 201, 202, 204, 404, 409];
            assert!(allowed.contains(&answer.status.as_u16()), "{}", answer.text);
            assert_ne!(answer.body["code"], "HYPERFLEET-CNF-002", "nobody is asked to try again");
        }
    });
    futures::future::join_all(workers).await;
    server.delete(path).await.expect(202);
    let left = server
        .list(&format!("{path}/nodepools"), &[("size", "100")])
        .await
        .expect(200);
    for pool in left["items"].as_array().unwrap() {
        assert!(pool["deleted_time"].is_string());
    }
}
