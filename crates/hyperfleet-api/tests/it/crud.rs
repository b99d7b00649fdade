use reqwest::Method;
use serde_json::json;

use crate::{
    on_both,
    server::{CLUSTERS, Server, cluster, condition},
};

on_both!(
    a_cluster_is_created_as_documented,
    the_seed_s_spec_is_accepted_and_searchable,
    what_is_wrong_with_a_new_cluster_is_said,
    names_are_unique_among_the_living,
    labels_are_checked,
    a_patch_counts_when_it_changes_something,
    a_patch_is_strict,
    node_pools_belong_to_their_cluster,
    the_root_serves_all_kinds,
    unknown_resources_are_not_found,
    a_patch_names_who_did_it,
);

async fn a_cluster_is_created_as_documented(server: Server) {
    let sent = json!({"kind": "Cluster", "name": "abc", "spec": {"a": {"b": [1, 2.5, "<x>"]}}, "labels": {"env": "prod"},
                      "id": "mine", "generation": 7, "unknown": true});
    let answer = server.post(CLUSTERS, sent).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["vary"], "Authorization");
    assert_eq!(
        uuid_version(answer.headers["x-request-id"].to_str().unwrap()),
        7
    );
    assert!(
        !answer.text.ends_with('\n') && answer.text.starts_with(r#"{"id":""#),
        "{}",
        answer.text
    );
    assert!(
        answer.text.contains(r"\u003cx\u003e"),
        "as Go writes it: {}",
        answer.text
    );
    let body = answer.expect(201);
    let id = body["id"].as_str().unwrap();
    assert_eq!(uuid_version(id), 7);
    assert_eq!(body["href"], format!("{CLUSTERS}/{id}"));
    assert_eq!(
        (&body["generation"], &body["tenancy"], &body["labels"]),
        (&json!(1), &json!({}), &json!({"env": "prod"}))
    );
    assert_eq!(
        (&body["created_by"], &body["updated_by"]),
        (
            &json!("system@hyperfleet.local"),
            &json!("system@hyperfleet.local")
        )
    );
    assert_eq!(body["created_time"], body["updated_time"]);
    assert_eq!(condition(&body, "Reconciled")["status"], "False");
    assert_eq!(
        condition(&body, "LastKnownReconciled")["reason"],
        "AdaptersMissingReports"
    );
    assert!(condition(&body, "Ready").is_null());
    assert!(body.get("deleted_time").is_none() && body.get("owner_references").is_none());
    assert_eq!(
        server.get(body["href"].as_str().unwrap()).await.expect(200),
        body,
        "what is stored is what was answered"
    );
}

fn uuid_version(text: &str) -> usize {
    uuid::Uuid::parse_str(text).unwrap().get_version_num()
}

async fn the_seed_s_spec_is_accepted_and_searchable(server: Server) {
    let spec = json!({
        "gcp_project_id": "my-project", "gcp_project_number": "123456789012", "gcp_region": "us-east1", "vpc_network_name": "vpc",
        "psc_subnet_name": "psc", "wif_pool_id": "pool", "wif_provider_id": "provider", "control_plane_sa_email": "cp@p.iam.gserviceaccount.com",
        "nodepool_sa_email": "np@p.iam.gserviceaccount.com", "endpoint_access": "Private", "openshift_version": "4.17.3",
        "cluster_network_cidr": "10.132.0.0/14", "service_network_cidr": "172.31.0.0/16", "machine_network_cidr": "10.0.0.0/16",
        "base_domain": "example.com",
    });
    let body = server
        .post(
            CLUSTERS,
            json!({"kind": "Cluster", "name": "seed", "spec": spec}),
        )
        .await
        .expect(201);
    assert_eq!(body["spec"], spec);
    let found = server
        .list(
            CLUSTERS,
            &[(
                "search",
                "spec.gcp_region = 'us-east1' and spec.openshift_version like '4.17.%'",
            )],
        )
        .await
        .expect(200);
    assert_eq!(found["total"], 1);
}

async fn what_is_wrong_with_a_new_cluster_is_said(server: Server) {
    let long = "a".repeat(54);
    for (body, detail) in [
        (
            json!({"kind": "", "name": "abc", "spec": {}}),
            "kind is required",
        ),
        (json!({"name": "abc", "spec": {}}), "kind is required"),
        (
            json!({"kind": "NodePool", "name": "abc", "spec": {}}),
            "kind must be 'Cluster'",
        ),
        (json!({"kind": "Cluster", "spec": {}}), "name is required"),
        (
            json!({"kind": "Cluster", "name": "ab", "spec": {}}),
            "name must be at least 3 characters",
        ),
        (
            json!({"kind": "Cluster", "name": long, "spec": {}}),
            "name must be at most 53 characters",
        ),
        (
            json!({"kind": "Cluster", "name": "abc"}),
            "spec is required",
        ),
        (
            json!({"kind": "Cluster", "name": "abc", "spec": null}),
            "spec is required",
        ),
        (
            json!({"kind": "Cluster", "name": "abc", "spec": []}),
            "field 'spec' must be an object",
        ),
        (
            json!({"kind": "Cluster", "name": "abc", "spec": {"x": "\u{0}"}}),
            "field 'spec.x' must not contain NUL characters",
        ),
    ] {
        assert_eq!(
            server.post(CLUSTERS, body.clone()).await.problem(),
            (400, "VAL-000", detail),
            "{body}"
        );
    }
    for name in ["Abc", "-abc", "abc-", "a_c"] {
        let answer = server.post(CLUSTERS, cluster(name)).await;
        assert!(
            answer
                .problem()
                .2
                .starts_with("name must start and end with"),
            "{name}"
        );
    }
    let empty = server.send(Method::POST, CLUSTERS, None).await;
    assert_eq!(
        empty.problem(),
        (400, "VAL-006", "Request body is required but was empty")
    );
    let answer = server.send(Method::POST, CLUSTERS, Some("{".into())).await;
    assert_eq!((answer.problem().0, answer.problem().1), (400, "VAL-006"));
    assert_eq!(
        answer.body["trace_id"].as_str().unwrap(),
        answer.headers["x-request-id"].to_str().unwrap()
    );
    assert_eq!(answer.body["instance"], CLUSTERS);
    let large = json!({"kind": "Cluster", "name": "abc", "spec": {"x": "y".repeat(1024 * 1024)}});
    assert_eq!(
        server.post(CLUSTERS, large).await.problem(),
        (413, "VAL-006", "Request body must be at most 1048576 bytes")
    );
    assert_eq!(
        server.get(CLUSTERS).await.expect(200)["total"],
        0,
        "nothing was stored"
    );
}

async fn names_are_unique_among_the_living(server: Server) {
    let first = server.cluster("abc").await;
    assert_eq!(
        server.post(CLUSTERS, cluster("abc")).await.problem(),
        (409, "CNF-001", "This Cluster already exists")
    );
    server.delete(&first).await.expect(202);
    let second = server.cluster("abc").await;
    assert_ne!(first, second);
    assert_eq!(server.get(CLUSTERS).await.expect(200)["total"], 2);
    server.nodepool(&second, "abc").await;
    let other = server.cluster("other").await;
    server.nodepool(&other, "abc").await;
    let body = json!({"kind": "NodePool", "name": "abc", "spec": {}});
    assert_eq!(
        server
            .post(&format!("{other}/nodepools"), body)
            .await
            .problem()
            .2,
        "This NodePool already exists"
    );
}

async fn labels_are_checked(server: Server) {
    let long = "k".repeat(300);
    for key in ["a b", "<script>", &long] {
        let body = json!({"kind": "Cluster", "name": "abc", "spec": {}, "labels": {key: "v"}});
        let answer = server.post(CLUSTERS, body).await;
        assert_eq!(
            answer.problem(),
            (400, "VAL-000", "label validation failed")
        );
        assert_eq!(answer.body["errors"][0]["field"], "labels");
    }
    let body =
        json!({"kind": "Cluster", "name": "abc", "spec": {}, "labels": {"k": "v".repeat(64)}});
    assert_eq!(
        server.post(CLUSTERS, body).await.body["errors"][0]["field"],
        "labels[k]"
    );
}

async fn a_patch_counts_when_it_changes_something(server: Server) {
    let path = server.cluster("abc").await;
    let generation = async |body| {
        server.patch(&path, body).await.expect(200)["generation"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(
        generation(json!({"spec": {"a": 1, "b": {"c": 1.0, "d": 1e2}}})).await,
        2
    );
    let before = server.get(&path).await.body;
    assert_eq!(
        generation(json!({"spec": {"b": {"d": 100, "c": 1}, "a": 1}})).await,
        2,
        "the same in other words"
    );
    assert_eq!(
        server.get(&path).await.body["updated_time"],
        before["updated_time"]
    );
    assert_eq!(generation(json!({"labels": {"a": "1"}})).await, 3);
    assert_eq!(generation(json!({"labels": {"a": "1"}})).await, 3);
    assert_eq!(
        generation(json!({"spec": {}})).await,
        4,
        "replaced, not merged"
    );
    let after = server.get(&path).await.body;
    assert_eq!(
        (&after["spec"], &after["labels"]),
        (&json!({}), &json!({"a": "1"}))
    );
    assert_eq!(condition(&after, "Reconciled")["observed_generation"], 4);
    assert!(after["updated_time"].as_str() > before["updated_time"].as_str());
}

async fn a_patch_is_strict(server: Server) {
    let path = server.cluster("abc").await;
    let refused = async |body| {
        let answer = server.patch(&path, body).await;
        let (status, code, detail) = answer.problem();
        assert_eq!(status, 400);
        (code.to_owned(), detail.to_owned())
    };
    assert_eq!(
        refused(json!({"name": "x"})).await,
        (
            "VAL-006".into(),
            "Invalid request format: unknown field \"name\"".into()
        )
    );
    assert_eq!(
        refused(json!({})).await,
        (
            "VAL-005".into(),
            "at least one field must be provided for update".into()
        )
    );
    assert_eq!(
        refused(json!({"labels": []})).await,
        ("VAL-000".into(), "field 'labels' must be an object".into())
    );
    assert_eq!(server.get(&path).await.body["generation"], 1);
}

async fn node_pools_belong_to_their_cluster(server: Server) {
    let cluster = server.cluster("abc").await;
    let other = server.cluster("other").await;
    let body = server
        .post(
            &format!("{cluster}/nodepools"),
            json!({"kind": "NodePool", "name": "np-1", "spec": {"n": 2}}),
        )
        .await
        .expect(201);
    let id = body["id"].as_str().unwrap();
    let cluster_id = cluster.rsplit('/').next().unwrap();
    assert_eq!(body["href"], format!("{cluster}/nodepools/{id}"));
    assert_eq!(
        body["owner_references"],
        json!({"id": cluster_id, "kind": "Cluster", "href": cluster})
    );
    for path in [
        format!("{cluster}/nodepools/{id}"),
        format!("/api/hyperfleet/v1/nodepools/{id}"),
        format!("/api/hyperfleet/v1/resources/{id}"),
    ] {
        assert_eq!(server.get(&path).await.expect(200), body, "{path}");
    }
    let answer = server.get(&format!("{other}/nodepools/{id}")).await;
    assert_eq!(
        answer.problem(),
        (
            404,
            "NTF-001",
            format!("NodePool with id='{id}' not found").as_str()
        )
    );
    let missing = uuid::Uuid::now_v7();
    let path = format!("{CLUSTERS}/{missing}/nodepools");
    let text = format!("Cluster with id='{missing}' not found");
    let pool = json!({"kind": "NodePool", "name": "np-2", "spec": {}});
    assert_eq!(
        server.post(&path, pool.clone()).await.problem(),
        (404, "NTF-001", text.as_str())
    );
    assert_eq!(server.get(&format!("{path}/{id}")).await.problem().2, text);
    assert_eq!(
        server.list(&path, &[("page", "x")]).await.problem().2,
        text,
        "the parent comes before the parameters"
    );
    let flat = server.post("/api/hyperfleet/v1/nodepools", pool).await;
    assert_eq!(
        flat.problem(),
        (
            422,
            "VAL-000",
            "kind \"NodePool\" is a child kind; create it via /clusters/{id}/nodepools"
        )
    );
    let long = json!({"kind": "NodePool", "name": "a".repeat(16), "spec": {}});
    assert_eq!(
        server
            .post(&format!("{cluster}/nodepools"), long)
            .await
            .problem()
            .2,
        "name must be at most 15 characters"
    );
    assert_eq!(
        server.get(&format!("{cluster}/nodepools")).await.body["total"],
        1
    );
    assert_eq!(
        server.get(&format!("{other}/nodepools")).await.body["total"],
        0
    );
    server
        .patch(
            &format!("/api/hyperfleet/v1/nodepools/{id}"),
            json!({"spec": {"n": 3}}),
        )
        .await
        .expect(200);
    assert_eq!(
        server
            .delete(&format!("/api/hyperfleet/v1/nodepools/{id}"))
            .await
            .expect(202)["generation"],
        3
    );
}

async fn the_root_serves_all_kinds(server: Server) {
    let root = "/api/hyperfleet/v1/resources";
    let cluster = server.cluster("abc").await;
    server.nodepool(&cluster, "np-1").await;
    let channel = server
        .post(
            root,
            json!({"kind": "Channel", "name": "stable", "spec": {}}),
        )
        .await
        .expect(201);
    assert_eq!(channel["status"]["conditions"], json!([]));
    assert_eq!(server.get(root).await.body["total"], 3);
    assert_eq!(
        server.list(root, &[("kind", "Cluster")]).await.body["total"],
        1
    );
    assert_eq!(
        server.list(root, &[("kind", "Nope")]).await.problem(),
        (400, "VAL-000", "Unknown entity kind: Nope")
    );
    let refused = async |body| {
        let answer = server.post(root, body).await;
        let (status, _, detail) = answer.problem();
        (status, detail.to_owned())
    };
    assert_eq!(
        refused(json!({"kind": "Nope", "name": "x", "spec": {}})).await,
        (400, "Unknown entity kind: Nope".into())
    );
    assert_eq!(
        refused(json!({"kind": "Cluster", "name": "X", "spec": {}}))
            .await
            .0,
        400
    );
    assert_eq!(
        refused(json!({"kind": "Cluster", "name": "xyz"})).await,
        (400, "spec is required".into())
    );
    assert_eq!(
        refused(json!({"kind": "NodePool", "name": "xyz", "spec": {}}))
            .await
            .0,
        422
    );
    let path = format!("{root}/{}", channel["id"].as_str().unwrap());
    assert_eq!(
        server
            .patch(&path, json!({"spec": {"a": 1}}))
            .await
            .expect(200)["generation"],
        2
    );
    server.delete(&path).await.expect(202);
    let gone = server.get(&path).await;
    assert_eq!(
        gone.problem().2,
        format!(
            "Resource with id='{}' not found",
            channel["id"].as_str().unwrap()
        )
    );
}

async fn unknown_resources_are_not_found(server: Server) {
    let id = uuid::Uuid::now_v7().to_string();
    for id in [
        id.as_str(),
        "nope",
        "%00",
        "..%2f..",
        "0198F3A2-6C1E-7B44-9D0A-3F5E8C1B2A77",
    ] {
        let path = format!("{CLUSTERS}/{id}");
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let answer = server
                .send(method.clone(), &path, Some(r#"{"spec":{}}"#.into()))
                .await;
            let (status, code, detail) = answer.problem();
            assert_eq!((status, code), (404, "NTF-001"), "{method} {path}");
            let wanted = if method == Method::DELETE {
                "Cluster not found"
            } else {
                "Cluster with id='"
            };
            assert!(detail.starts_with(wanted), "{detail}");
        }
    }
    let path = "/api/hyperfleet/v1/nothing";
    let answer = server.get(path).await;
    assert_eq!(
        answer.problem(),
        (
            404,
            "NTF-000",
            "The requested endpoint '/api/hyperfleet/v1/nothing' does not exist"
        )
    );
    assert!(
        answer.body.get("trace_id").is_none(),
        "a wrong address can be told from a resource that is gone"
    );
    let answer = server.put(CLUSTERS, json!({})).await;
    assert_eq!(
        (
            answer.problem().0,
            answer.headers["allow"].to_str().unwrap()
        ),
        (405, "GET, HEAD, POST")
    );
    let head = server.send(Method::HEAD, CLUSTERS, None).await;
    let length = server.get(CLUSTERS).await.text.len().to_string();
    assert_eq!(head.headers["content-length"], length.as_str());
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(
        server.get("/api/hyperfleet/").await.expect(200)["id"],
        "hyperfleet"
    );
    assert_eq!(
        server.get("/api/hyperfleet/v1/openapi").await.expect(200)["openapi"],
        "3.0.3"
    );
    assert!(
        server
            .get("/api/hyperfleet/v1/openapi.html")
            .await
            .text
            .contains("/clusters/{parent_id}/nodepools")
    );
}

async fn a_patch_names_who_did_it(server: Server) {
    let path = server.cluster("abc").await;
    let body = server
        .patch(&path, json!({"spec": {"a": 1}}))
        .await
        .expect(200);
    assert_eq!(body["updated_by"], "system@hyperfleet.local");
}

#[tokio::test]
async fn specs_are_checked_where_a_schema_is_configured() {
    let config = hyperfleet_api::Config {
        spec_schemas: hyperfleet_api::schema::Source::Gcp,
        ..Server::config(hyperfleet_api::Database::SqliteMemory)
    };
    let server = Server::ready(config).await;
    let spec = json!({"platform": {"type": "gcp", "gcp": {}}});
    let path = server
        .post(
            CLUSTERS,
            json!({"kind": "Cluster", "name": "abc", "spec": spec}),
        )
        .await
        .expect(201);
    let path = path["href"].as_str().unwrap();
    let root = format!(
        "/api/hyperfleet/v1/resources/{}",
        path.rsplit('/').next().unwrap()
    );
    let wrong = json!({"platform": {"type": "aws", "gcp": {}}, "infraID": 1});
    for answer in [
        server
            .post(
                CLUSTERS,
                json!({"kind": "Cluster", "name": "new", "spec": wrong}),
            )
            .await,
        server
            .post(
                "/api/hyperfleet/v1/resources",
                json!({"kind": "Cluster", "name": "new", "spec": wrong}),
            )
            .await,
        server.patch(path, json!({"spec": wrong})).await,
        server.patch(&root, json!({"spec": wrong})).await,
    ] {
        assert_eq!(answer.problem(), (400, "VAL-000", "Invalid ClusterSpec"));
        let fields: Vec<&str> = answer.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, ["spec.infraID", "spec.platform.type"]);
    }
    let missing = server
        .post(
            CLUSTERS,
            json!({"kind": "Cluster", "name": "new", "spec": {}}),
        )
        .await;
    assert_eq!(missing.body["errors"][0]["field"], "spec.platform");
    let text = "spec field must be an object";
    assert_eq!(
        server
            .post(
                CLUSTERS,
                json!({"kind": "Cluster", "name": "new", "spec": null})
            )
            .await
            .problem()
            .2,
        text
    );
    assert_eq!(
        server
            .post(CLUSTERS, json!({"kind": "Cluster", "name": "new"}))
            .await
            .problem()
            .2,
        "spec is required"
    );
    let pool = json!({"kind": "NodePool", "name": "np-1", "spec": {"platform": {"type": "gcp", "gcp": {"diskSize": 1}}}});
    assert_eq!(
        server
            .post(&format!("{path}/nodepools"), pool)
            .await
            .problem()
            .2,
        "Invalid NodePoolSpec",
        "the innermost kind decides"
    );
    server
        .post(
            "/api/hyperfleet/v1/channels",
            json!({"kind": "Channel", "name": "c", "spec": {"any": 1}}),
        )
        .await
        .expect(201);
    server.delete(path).await.expect(202);
}
