//! The REST API, on both databases.

use maestro_server::Config;
use serde_json::{Value, json};

use crate::harness::{Server, Source, bundle, config_map, http_client, postgres};

on_both!(
    consumers_are_registered_changed_and_removed,
    bundles_are_listed_in_pages,
    searches_of_real_clients_find_what_they_should,
    bad_searches_are_refused,
    a_bundle_shows_what_upstream_shows,
);

const CONSUMERS: &str = "/api/maestro/v1/consumers";
const BUNDLES: &str = "/api/maestro/v1/resource-bundles";

async fn consumers_are_registered_changed_and_removed(config: Config) {
    let server = Server::start(config).await;
    let (status, made) = server
        .send(
            "POST",
            CONSUMERS,
            r#"{"name":"c1","labels":{"env":"prod"},"kind":"x"}"#,
        )
        .await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("{CONSUMERS}/{id}");
    assert_eq!(made["href"], path);
    assert_eq!(
        (&made["kind"], &made["name"], &made["labels"]),
        (&json!("Consumer"), &json!("c1"), &json!({"env": "prod"}))
    );
    let (status, read) = server.get(&path).await;
    assert_eq!((status, &read["created_at"]), (200, &made["created_at"]));

    let (status, unnamed) = server.send("POST", CONSUMERS, "{}").await;
    assert_eq!((status, &unnamed["name"]), (201, &unnamed["id"]));
    for (body, status, code) in [
        (r#"{"id":"x"}"#, 400, "maestro-8"),
        ("{ this is invalid }", 400, "maestro-17"),
        (r#"{"name":7}"#, 400, "maestro-17"),
        (r#"{"name":"_"}"#, 400, "maestro-8"),
        (r#"{"name":"c1"}"#, 409, "maestro-6"),
        (r#"{"name":"c2","labels":{"a":"\u0000"}}"#, 400, "maestro-8"),
    ] {
        let (found, answer) = server.send("POST", CONSUMERS, body).await;
        assert_eq!(
            (found, answer["code"].as_str()),
            (status, Some(code)),
            "{body}: {answer}"
        );
        assert_eq!(answer["operation_id"].as_str().unwrap().len(), 27);
    }
    let (_, answer) = server
        .send(
            "POST",
            CONSUMERS,
            &json!({"name": "a".repeat(64)}).to_string(),
        )
        .await;
    assert!(
        answer["reason"]
            .as_str()
            .unwrap()
            .contains("consumer.name: Invalid value"),
        "{answer}"
    );

    let labels = async |body: &str| {
        let (status, answer) = server.send("PATCH", &path, body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["name"], &answer["created_at"]),
            (&made["name"], &made["created_at"])
        );
        answer["labels"].clone()
    };
    assert_eq!(
        labels(r#"{"labels":{"a":"b"},"name":"other"}"#).await,
        json!({"a": "b"})
    );
    assert_eq!(labels("{}").await, json!({"a": "b"}));
    assert_eq!(labels(r#"{"labels":{}}"#).await, Value::Null);
    assert_eq!(server.send("PATCH", &path, "[").await.0, 400);
    assert_eq!(
        server
            .send("PATCH", &format!("{CONSUMERS}/nobody"), "{}")
            .await
            .0,
        404
    );

    let (status, answer) = server.get(&format!("{CONSUMERS}/foo")).await;
    assert_eq!(status, 404);
    assert_eq!(answer["reason"], "Consumer with id='foo' not found");
    assert_eq!(answer["href"], "/api/maestro/v1/errors/7");

    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert_eq!(server.send("DELETE", &path, "").await.0, 403);
    assert_eq!(
        server
            .send(
                "DELETE",
                &format!("{CONSUMERS}/{}", unnamed["id"].as_str().unwrap()),
                ""
            )
            .await
            .0,
        204
    );
    assert_eq!(
        server
            .get(&format!("{CONSUMERS}/{}", unnamed["id"].as_str().unwrap()))
            .await
            .0,
        404
    );
    assert_eq!(
        server
            .send("DELETE", &format!("{CONSUMERS}/nobody"), "")
            .await
            .0,
        204
    );
    let (_, list) = server.get(CONSUMERS).await;
    assert_eq!(
        (&list["kind"], &list["total"], &list["size"], &list["page"]),
        (&json!("ConsumerList"), &json!(1), &json!(1), &json!(1))
    );
    let (_, list) = server.get(&format!("{CONSUMERS}?fields=name")).await;
    assert_eq!(list["items"], json!([{"id": id, "name": "c1"}]));
}

async fn bundles_are_listed_in_pages(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let ids: Vec<String> = (0..25).map(|number| format!("r{number:02}")).collect();
    for id in &ids {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let list = async |query: &str| {
        let (status, list) = server.get(&format!("{BUNDLES}?{query}")).await;
        assert_eq!(status, 200, "{list}");
        let found: Vec<String> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(list["size"].as_u64(), Some(found.len() as u64));
        assert_eq!(
            (&list["kind"], &list["total"]),
            (&json!("ResourceBundleList"), &json!(25))
        );
        let keys: Vec<_> = list.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["items", "kind", "page", "size", "total"],
            "Go clients know no other keys"
        );
        (found, list["page"].as_i64().unwrap())
    };
    assert_eq!(list("").await, (ids.clone(), 1), "in the order of creation");
    assert_eq!(list("page=2&size=10").await, (ids[10..20].to_vec(), 2));
    assert_eq!(list("page=3&size=10").await, (ids[20..].to_vec(), 3));
    assert_eq!(list("page=4&size=10").await, (vec![], 4));
    assert_eq!(list("page=0&size=2").await, (ids[..2].to_vec(), 0));
    assert_eq!(list("size=0").await, (vec![], 1));
    assert_eq!(list("size=x").await.0.len(), 0);
    assert_eq!(list("size=-1").await.0.len(), 25);
    let reversed: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(list("orderBy=id%20desc").await.0, reversed);
    assert_eq!(list("orderBy=version,name%20asc").await.0, ids);
    // F37, I12: page by page, everything is there once.
    let mut walked = Vec::new();
    for page in 1..=7 {
        walked.extend(list(&format!("page={page}&size=4&orderBy=id")).await.0);
    }
    assert_eq!(walked, ids);

    let (status, answer) = server.get(&format!("{BUNDLES}?fields=oops")).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("maestro-8")));
    let (_, answer) = server
        .get(&format!("{BUNDLES}?size=1&fields=version,status"))
        .await;
    assert_eq!(answer["items"], json!([{"id": "r00", "version": 1}]));
    for query in [
        "orderBy=payload",
        "orderBy=name%20sideways",
        "orderBy=id;drop%20table%20resources",
    ] {
        let (status, answer) = server.get(&format!("{BUNDLES}?{query}")).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some("maestro-21")),
            "{answer}"
        );
    }
}

async fn labelled(source: &Source, id: &str, cluster: &str, labels: Value) {
    let mut event = source.event(
        event_wire::Action::CreateRequest,
        id,
        cluster,
        0,
        Some(&bundle(&[])),
    );
    event.set(
        "metadata",
        json!({"name": id, "labels": labels}).to_string(),
    );
    source.publish(event).await.unwrap();
}

async fn searches_of_real_clients_find_what_they_should(config: Config) {
    let server = Server::start(config).await;
    for cluster in ["c1", "c2"] {
        server.cluster(cluster).await;
    }
    let (s1, s2) = (server.source("s1").await, server.source("s2").await);
    labelled(&s1, "a", "c1", json!({"app": "x", "env": "prod"})).await;
    labelled(&s1, "b", "c2", json!({"app": "x", "env": "test"})).await;
    labelled(&s1, "c", "c1", json!({"app": "it's"})).await;
    labelled(&s2, "d", "c1", json!({})).await;
    s1.delete("b", "c2").await.unwrap();
    let labels = "payload->'metadata'->'labels'";
    for (search, expected) in [
        ("source='s1'".to_owned(), "a b c"),
        (
            "source='s1' and (consumer_name='c1' or consumer_name='c2')".to_owned(),
            "a b c",
        ),
        ("consumer_name = 'c1'".to_owned(), "a c d"),
        ("name = 'a' and consumer_name = 'c1'".to_owned(), "a"),
        ("resources.name = 'a'".to_owned(), "a"),
        (
            format!("source='s1' and {labels}@>'{{\"app\":\"x\",\"env\":\"prod\"}}'"),
            "a",
        ),
        (format!("{labels}->>'env'<>'prod'"), "b"),
        (format!("{labels}->>'app'<>null"), "a b c"),
        (format!("{labels}->>'app'in('x','y')"), "a b"),
        (format!("{labels}->>'app'='it\\'s'"), "c"),
        (
            format!("source='s1' and consumer_name='c1' and {labels}->>'app'='x'"),
            "a",
        ),
        ("deleted_at is not null".to_owned(), "b"),
        ("deleted_at is null and version = 1".to_owned(), "a c d"),
        ("id in ('a', 'd')".to_owned(), "a d"),
        ("name like 'a%' or name ilike 'B'".to_owned(), "a b"),
        ("created_at > '2020-01-01T00:00:00Z'".to_owned(), "a b c d"),
        ("status is null".to_owned(), "a b c d"),
        ("source = 'nobody'".to_owned(), ""),
    ] {
        let request = http_client()
            .get(server.url(BUNDLES))
            .query(&[("search", &search)])
            .send()
            .await
            .unwrap();
        let status = request.status();
        let list: Value = request.json().await.unwrap();
        assert_eq!(status, 200, "{search}: {list}");
        let mut found: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), expected, "{search}");
        assert_eq!(
            list["total"].as_u64().unwrap() as usize,
            found.len(),
            "{search}"
        );
    }
    server
        .send(
            "PATCH",
            &format!("{CONSUMERS}/{}", consumer_id(&server, "c1").await),
            r#"{"labels":{"env":"prod"}}"#,
        )
        .await;
    for search in ["labels->>'env'='prod'", "labels@>'{\"env\":\"prod\"}'"] {
        let request = http_client()
            .get(server.url(CONSUMERS))
            .query(&[("search", search)])
            .send()
            .await
            .unwrap();
        let list: Value = request.json().await.unwrap();
        assert_eq!(list["items"][0]["name"], "c1", "{search}: {list}");
        assert_eq!(list["total"], 1);
    }
}

async fn consumer_id(server: &Server, name: &str) -> String {
    let (_, list) = server
        .get(&format!("{CONSUMERS}?search=name='{name}'"))
        .await;
    list["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn bad_searches_are_refused(config: Config) {
    let server = Server::start(config).await;
    for (search, reason) in [
        ("garbage", "Failed to parse search query: garbage"),
        ("oops = 'x'", "column \"oops\" does not exist"),
        (
            "other.name = 'x'",
            "other is not a related resource of Resource",
        ),
        ("payload->'a'->>'b", "failed to parse the search query: ["),
        ("version = 'x'", ""),
        (
            "name = 'x' or 1=1; drop table resources",
            "Failed to parse search query",
        ),
        (
            "payload->'a') or true) --'->>'b'='c'",
            "failed to parse the search query",
        ),
        (
            "payload->>'a' in ()",
            "failed to parse the search query: [19] error parsing the filter",
        ),
        (
            "payload->>'a' not in ()",
            "failed to parse the search query: [",
        ),
    ] {
        let request = http_client()
            .get(server.url(BUNDLES))
            .query(&[("search", search)])
            .send()
            .await
            .unwrap();
        let status = request.status();
        let answer: Value = request.json().await.unwrap();
        assert_eq!(
            (status.as_u16(), answer["code"].as_str()),
            (400, Some("maestro-21")),
            "{search}: {answer}"
        );
        assert!(
            answer["reason"].as_str().unwrap().contains(reason),
            "{search}: {answer}"
        );
    }
    assert_eq!(server.get(BUNDLES).await.0, 200);
}

/// SQLite computes infinity, PostgreSQL an error.
#[tokio::test]
async fn a_search_that_overflows_is_refused_and_not_the_servers_fault() {
    let server = Server::start(postgres().await).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let data = bundle(&[config_map("a")]);
    source.create("r", "c1", &data).await.unwrap();
    for search in [
        "version * 1e308 * 10 > 1",
        "version / 1e308 / 1e308 = 1",
        "version = 1 and version * 1e308 * 10 > 1",
    ] {
        let query = [("search", search)];
        let request = http_client().get(server.url(BUNDLES)).query(&query);
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await);
        let body = body.unwrap();
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("maestro-21")),
            "{search}: {body}"
        );
        let reason = body["reason"].as_str().unwrap();
        assert!(reason.contains("out of range"), "{reason}");
    }
}

async fn a_bundle_shows_what_upstream_shows(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let data = json!({
        "manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "big": 9_007_199_254_740_993_u64}],
        "manifestConfigs": [{"resourceIdentifier": {"group": "", "resource": "configmaps", "name": "m", "namespace": ""}}],
        "deleteOption": {"propagationPolicy": "Foreground"},
        "executer": {"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "s"}}},
    });
    source.create("r1", "c1", &data).await.unwrap();
    source.create("bare", "c1", &json!({})).await.unwrap();
    agent.applied(&specs.collect(2).await["r1"]).await.unwrap();
    let (_, body) = server.bundle("r1").await;
    assert_eq!(
        body["manifests"], data["manifests"],
        "digits of numbers survive"
    );
    assert_eq!(body["manifest_configs"], data["manifestConfigs"]);
    assert_eq!(body["delete_option"], data["deleteOption"]);
    assert_eq!(body["executer"], data["executer"]);
    assert_eq!(
        (&body["kind"], &body["name"], &body["consumer_name"]),
        (&json!("ResourceBundle"), &json!("r1"), &json!("c1"))
    );
    assert_eq!(body["metadata"]["labels"], json!({"app": "test"}));
    assert!(body["metadata"]["creationTimestamp"].is_string());
    assert_eq!(body["status"]["ObservedVersion"], 1);
    assert_eq!(body["status"]["conditions"][0]["type"], "Applied");
    let (_, bare) = server.bundle("bare").await;
    for (key, value) in [
        ("manifests", json!([])),
        ("manifest_configs", json!([])),
        ("delete_option", json!({})),
        ("status", Value::Null),
        ("deleted_at", Value::Null),
    ] {
        assert_eq!(bare[key], value, "{key}");
    }
    let (_, list) = server.get(&format!("{BUNDLES}?search=name='r1'")).await;
    let allowed = [
        "consumer_name",
        "created_at",
        "delete_option",
        "href",
        "id",
        "kind",
        "manifest_configs",
        "manifests",
        "metadata",
        "name",
        "status",
        "updated_at",
        "version",
    ];
    let keys: Vec<_> = list["items"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, allowed, "Go clients know no other keys");
    let (_, list) = server
        .get(&format!("{BUNDLES}?search=name='r1'&view=full"))
        .await;
    assert_eq!(list["items"][0]["source"], "s1");
}

#[tokio::test]
async fn paths_and_methods_answer_as_upstream() {
    let server = Server::memory().await;
    let (status, body) = server.get("/api/maestro").await;
    assert_eq!((status, &body["versions"][0]["id"]), (200, &json!("v1")));
    for path in ["/api/maestro/v1", "/api/maestro/v1/"] {
        assert_eq!(server.get(path).await.1["kind"], "APIVersion", "{path}");
    }
    assert_eq!(
        server.get(&format!("{CONSUMERS}/")).await.1["kind"],
        "ConsumerList"
    );
    let (status, body) = server.get("/nothing/here").await;
    assert_eq!(status, 404);
    assert_eq!(
        body,
        json!({"type": "Error", "id": "404", "href": "/api/maestro/v1/errors/404", "code": "maestro-404",
        "reason": "The requested resource '/nothing/here' doesn't exist"})
    );
    for (method, path) in [("POST", BUNDLES), ("PATCH", BUNDLES), ("PUT", CONSUMERS)] {
        let (status, body) = server.send(method, path, "{}").await;
        assert_eq!(
            (status, &body["type"]),
            (404, &json!("Error")),
            "{method} {path}"
        );
    }
    let (_, list) = server.get("/api/maestro/v1/errors").await;
    assert_eq!(
        (&list["kind"], &list["total"]),
        (&json!("ErrorList"), &json!(13))
    );
    let (_, entry) = server.get("/api/maestro/v1/errors/7").await;
    assert_eq!(
        (&entry["code"], &entry["reason"]),
        (&json!("maestro-7"), &json!("Resource not found"))
    );
    assert_eq!(server.get("/api/maestro/v1/errors/99").await.0, 404);
    let (status, document) = server.get("/api/maestro/v1/openapi").await;
    assert_eq!(status, 200);
    for path in [CONSUMERS, BUNDLES] {
        assert!(
            document["paths"][path].is_object(),
            "{path} is not documented"
        );
    }

    let client = http_client();
    let answer = client
        .get(server.url(CONSUMERS))
        .header("X-Operation-ID", "mine")
        .header("Origin", "http://x")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(
        (&answer.headers()["content-type"], &answer.headers()["vary"]),
        (
            &"application/json".parse().unwrap(),
            &"Authorization".parse().unwrap()
        )
    );
    let answer = client
        .get(server.url("/api/maestro/v1/consumers/x"))
        .header("X-Operation-ID", "mine")
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.json::<Value>().await.unwrap()["operation_id"],
        "mine"
    );
    let preflight = client
        .request("OPTIONS".parse().unwrap(), server.url(CONSUMERS))
        .header("Origin", "http://x")
        .header("Access-Control-Request-Method", "PATCH")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            preflight.status().as_u16(),
            preflight.headers()["access-control-max-age"]
                .to_str()
                .unwrap()
        ),
        (200, "600")
    );
    let large = client
        .post(server.url(CONSUMERS))
        .body(vec![b' '; 2_000_000])
        .send()
        .await
        .unwrap();
    assert_eq!(large.status(), 413);
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let server = Server::memory().await;
    let get = async |address: std::net::SocketAddr, path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    testkit::eventually("readiness", crate::harness::DEADLINE, async || {
        (get(server.addresses.health, "/readyz").await.0 == 200).then_some(())
    })
    .await;
    for path in ["/livez", "/healthcheck"] {
        assert_eq!(
            get(server.addresses.health, path).await,
            (200, r#"{"status": "ok"}"#.to_owned())
        );
    }
    server.get(&format!("{CONSUMERS}/secret-id")).await;
    let _ = server
        .source("s1")
        .await
        .create("r1", "nowhere", &bundle(&[]))
        .await;
    let (_, text) = get(server.addresses.metrics, "/metrics").await;
    for line in [
        r#"rest_api_inbound_request_count{method="GET",path="/api/maestro/v1/consumers/-",code="404"} 1"#,
        r#"grpc_server_processed_total{type="Publish",source="s1",code="FailedPrecondition"} 1"#,
        "grpc_server_processed_duration_seconds_bucket",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("secret-id") && !text.contains("r1\""));
}
