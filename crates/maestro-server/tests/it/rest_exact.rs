//! The REST API line by line as clients of upstream know it. What is expected here was observed on upstream's server.

use maestro_server::Config;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{Server, bundle, config_map, http_client};

on_both!(
    odd_windows_are_forgiven,
    lists_hold_only_keys_that_go_clients_know
);

const API: &str = "/api/maestro";
const V1: &str = "/api/maestro/v1";

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

async fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http_client().request(method.parse().unwrap(), server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.unwrap(),
    }
}

#[tokio::test]
async fn metadata_is_upstreams_to_the_byte() {
    let server = Server::memory().await;
    let api = r#"{"id":"maestro","href":"/api/maestro","kind":"API","versions":[{"id":"v1","href":"/api/maestro/v1","kind":"","collections":null}]}"#;
    let v1 = r#"{"id":"v1","href":"/api/maestro/v1","kind":"APIVersion","collections":[{"id":"resources","href":"/api/maestro/v1/resources","kind":"ResourceList"}]}"#;
    for (path, text) in [
        (API.to_owned(), api),
        (format!("{API}/"), api),
        (V1.to_owned(), v1),
        (format!("{V1}/"), v1),
    ] {
        let answer = ask(&server, "GET", &path, &[]).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, text), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let description = ask(&server, "GET", &format!("{V1}/openapi"), &[])
        .await
        .json();
    assert!(description["paths"].is_object());
}

#[tokio::test]
async fn methods_that_a_path_has_not_look_like_unknown_paths() {
    let server = Server::memory().await;
    let consumers = format!("{V1}/consumers");
    for (method, path) in [
        ("POST", API),
        ("PUT", V1),
        ("POST", "/api/maestro/v1/openapi"),
        ("POST", "/api/maestro/v1/errors"),
        ("DELETE", "/api/maestro/v1/errors/7"),
        ("PUT", &consumers),
        ("DELETE", &consumers),
        ("PATCH", &consumers),
        ("POST", "/api/maestro/v1/resource-bundles"),
        ("DELETE", "/api/maestro/v1/resource-bundles"),
        ("PATCH", "/api/maestro/v1/resource-bundles/x"),
        ("PUT", "/api/maestro/v1/resource-bundles/x"),
        ("POST", "/api/maestro/v1/resource-bundles/x"),
        ("GET", "/api/maestro/v1/resource-bundles/x/y"),
        ("GET", "/api/maestro/v1/resources"),
        ("GET", "/api/maestro/v1/clusters"),
        ("GET", "/api/maestro/v1/Consumers"),
        ("GET", "/api/maestro/v1/explain"),
        ("PUT", "/api/maestro/v1/resource-bundles/x/explain"),
        ("GET", "/metrics"),
    ] {
        let answer = ask(&server, method, path, &[]).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.json(),
            json!({"type": "Error", "id": "404", "href": "/api/maestro/v1/errors/404", "code": "maestro-404",
                "reason": format!("The requested resource '{path}' doesn't exist")}),
            "{method} {path}"
        );
    }
    // One slash is taken away, not two.
    let answer = ask(&server, "GET", &format!("{consumers}//"), &[]).await;
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (
            404,
            &json!("The requested resource '/api/maestro/v1/consumers/' doesn't exist")
        )
    );
    assert_eq!(
        ask(&server, "GET", &format!("{consumers}/?size=1"), &[])
            .await
            .status,
        200
    );
    for method in ["POST", "PUT", "TRACE"] {
        let answer = ask(&server, method, &format!("{consumers}/x"), &[]).await;
        assert_eq!((answer.status, answer.text.as_str()), (405, ""), "{method}");
    }
    // Labels of metrics are few, whatever is invented.
    ask(&server, "INVENTED", &consumers, &[]).await;
    let text = reqwest::get(format!("http://{}/metrics", server.addresses.metrics))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(!text.contains("INVENTED"), "{text}");
}

#[tokio::test]
async fn errors_are_numbered_and_named() {
    let server = Server::memory().await;
    let list = ask(&server, "GET", &format!("{V1}/errors"), &[])
        .await
        .json();
    let codes: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "1", "4", "6", "7", "8", "9", "10", "11", "15", "17", "21", "23", "26"
        ]
    );
    assert_eq!(
        (&list["kind"], &list["page"], &list["size"], &list["total"]),
        (&json!("ErrorList"), &json!(1), &json!(13), &json!(13))
    );
    let page = ask(&server, "GET", &format!("{V1}/errors?page=2&size=5"), &[])
        .await
        .json();
    assert_eq!(
        (&page["items"][0]["id"], &page["size"]),
        (&json!("9"), &json!(5))
    );
    let one = ask(&server, "GET", &format!("{V1}/errors/7/"), &[]).await;
    assert_eq!(
        one.json(),
        json!({"kind": "Error", "id": "7", "href": "/api/maestro/v1/errors/7", "code": "maestro-7",
            "reason": "Resource not found", "operation_id": ""})
    );
    for id in ["99", "x"] {
        let answer = ask(&server, "GET", &format!("{V1}/errors/{id}"), &[]).await;
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.json()["reason"],
            format!("No error with id {id} exists")
        );
    }
    let named = [("X-Operation-ID", "mine")];
    let answer = ask(&server, "GET", &format!("{V1}/consumers/nope"), &named).await;
    assert_eq!(answer.json()["operation_id"], "mine");
    assert_eq!(answer.header("x-operation-id"), None);
    assert_eq!(answer.header("vary"), Some("Authorization"));
    let unnamed = [("X-Operation-ID", "")];
    let answer = ask(&server, "GET", &format!("{V1}/consumers/nope"), &unnamed).await;
    assert_eq!(answer.json()["operation_id"].as_str().unwrap().len(), 27);
}

#[tokio::test]
async fn nothing_to_say_is_said_as_upstream_does() {
    let server = Server::memory().await;
    for path in ["consumers/nobody", "resource-bundles/nothing"] {
        let answer = ask(&server, "DELETE", &format!("{V1}/{path}"), &[]).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("vary"), Some("Authorization"));
    }
    // `null` is an empty body to Go.
    let (status, made) = server
        .send("POST", &format!("{V1}/consumers"), "null")
        .await;
    assert_eq!((status, &made["name"]), (201, &made["id"]));
    for body in ["", "[]", "7", r#"{"name":"c9"} x"#] {
        let (status, answer) = server.send("POST", &format!("{V1}/consumers"), body).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some("maestro-17")),
            "{body}"
        );
        let reason = answer["reason"].as_str().unwrap();
        assert!(reason.starts_with("Invalid request format: "), "{reason}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_call() {
    let server = Server::memory().await;
    let origin = ("Origin", "http://x");
    for (path, status) in [(V1, 200), ("/api/maestro/v1/nope", 404)] {
        let answer = ask(&server, "GET", path, &[origin]).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(
        ask(&server, "GET", V1, &[])
            .await
            .header("access-control-allow-origin"),
        None
    );
    let method = |name: &'static str| ("Access-Control-Request-Method", name);
    let header = |name: &'static str| ("Access-Control-Request-Headers", name);
    let path = format!("{V1}/consumers");
    for (headers, status) in [
        (vec![], 200),
        (vec![origin], 400),
        (vec![origin, method("PUT")], 405),
        (vec![origin, method("HEAD")], 405),
        (vec![origin, method("GET"), header("X-Foo")], 403),
        (
            vec![origin, method("GET"), header("authorization, accept")],
            200,
        ),
        (vec![origin, method("DELETE")], 200),
    ] {
        let answer = ask(&server, "OPTIONS", &path, &headers).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (status, ""),
            "{headers:?}"
        );
    }
    let headers = [origin, method("PATCH"), header("Content-Type")];
    let answer = ask(&server, "OPTIONS", &path, &headers).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PATCH"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("Content-Type")
    );
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    let answer = ask(&server, "OPTIONS", &path, &[origin, method("GET")]).await;
    assert_eq!(answer.header("access-control-allow-methods"), None);
}

#[tokio::test]
async fn answers_are_compressed_for_who_takes_that() {
    use std::io::Read as _;
    let server = Server::memory().await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    for number in 0..40 {
        let data = bundle(&[config_map("a")]);
        source
            .create(&format!("r{number}"), "c1", &data)
            .await
            .unwrap();
    }
    let path = format!("{V1}/resource-bundles");
    let plain = ask(&server, "GET", &path, &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    for coding in ["gzip", "deflate"] {
        let answer = http_client()
            .get(server.url(&path))
            .header("Accept-Encoding", coding)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-encoding"], coding);
        let bytes = answer.bytes().await.unwrap();
        let mut text = String::new();
        let read = if coding == "gzip" {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text)
        } else {
            flate2::read::ZlibDecoder::new(&bytes[..]).read_to_string(&mut text)
        };
        read.unwrap();
        assert_eq!(text, plain.text, "{coding}");
        assert!(
            bytes.len() < text.len() / 4,
            "{} of {}",
            bytes.len(),
            text.len()
        );
    }
    for refused in ["br", "gzip;q=0", "identity"] {
        let answer = ask(&server, "GET", V1, &[("Accept-Encoding", refused)]).await;
        assert_eq!(answer.header("content-encoding"), None, "{refused}");
    }
    let nothing = format!("{V1}/consumers/nobody");
    let answer = ask(&server, "DELETE", &nothing, &[("Accept-Encoding", "gzip")]).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Server::memory().await;
    let head = "x".repeat(200 * 1024);
    let answer = http_client()
        .get(server.url(V1))
        .header("X-Large", head.clone())
        .send()
        .await;
    // The server may close the connection before the client has written all of it.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
    let body = vec![b' '; 1024 * 1024 + 1];
    let answer = http_client()
        .post(server.url(&format!("{V1}/consumers")))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 413);
    let refused: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(refused["code"], "maestro-17", "{refused}");
    for path in ["consumers", "resource-bundles"] {
        let (status, refused) = server.get(&format!("{V1}/{path}/%ff")).await;
        let code = &refused["code"];
        assert_eq!((status, code), (404, &json!("maestro-7")), "{refused}");
    }
    let long = "a".repeat(30_000);
    let (status, answer) = server.get(&format!("{V1}/consumers?search={long}")).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("maestro-21")),
        "{answer}"
    );
}

async fn odd_windows_are_forgiven(config: Config) {
    let server = Server::start(config).await;
    for name in ["c1", "c2", "c3"] {
        server.cluster(name).await;
    }
    // Query, page, size and the number of items, all as upstream answers.
    for (query, page, size, items) in [
        ("", 1, 3, 3),
        ("page=0&size=1", 0, 1, 1),
        ("page=-2&size=1", -2, 1, 1),
        ("page=abc&size=1", 0, 1, 1),
        ("page=99", 99, 0, 0),
        ("size=0", 1, 0, 0),
        ("size=abc", 1, 0, 0),
        ("size=-5", 1, 3, 3),
        ("size=99999999999999999999", 1, 3, 3),
        ("size=%201", 1, 1, 1),
        ("size=%2B1", 1, 1, 1),
        ("page=&size=", 1, 3, 3),
        ("size=1&size=2", 1, 1, 1),
        ("orderBy=", 1, 3, 3),
        ("fields=", 1, 3, 3),
    ] {
        let (status, list) = server.get(&format!("{V1}/consumers?{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        assert_eq!(
            (
                &list["page"],
                &list["size"],
                list["items"].as_array().unwrap().len(),
                &list["total"]
            ),
            (&json!(page), &json!(size), items, &json!(3)),
            "{query}"
        );
    }
    let names = async |query: &str| -> Vec<String> {
        let (_, list) = server.get(&format!("{V1}/consumers?{query}")).await;
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("orderBy=name%20desc").await, ["c3", "c2", "c1"]);
    assert_eq!(names("search=name%20%3D%20%27c1%27").await, ["c1"]);
    assert!(
        names("search=created_at%20%3C%20%272020-01-01%27")
            .await
            .is_empty()
    );
    for (query, reason) in [
        ("orderBy=name%20down", "bad order value 'name down'"),
        ("orderBy=name%20DESC", "bad order value 'name DESC'"),
        ("search=garbage", "Failed to parse search query: garbage"),
        (
            "search=x.y%20%3D%20%27c1%27",
            "x is not a related resource of Consumer",
        ),
        (
            "search=name%20~%3D%20%27c1%27",
            "unexpected literal: $regex",
        ),
    ] {
        let (status, answer) = server.get(&format!("{V1}/consumers?{query}")).await;
        assert_eq!(
            (status, &answer["code"], &answer["reason"]),
            (400, &json!("maestro-21"), &json!(reason)),
            "{query}"
        );
    }
    // Where upstream fails with 500 and shows its SQL.
    for query in [
        "orderBy=oops",
        "orderBy=name,,id",
        "search=oops%20%3D%20%27c1%27",
    ] {
        let (status, answer) = server.get(&format!("{V1}/consumers?{query}")).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("maestro-21")),
            "{query}: {answer}"
        );
        assert!(!answer.to_string().contains("SQLSTATE"), "{answer}");
    }
}

async fn lists_hold_only_keys_that_go_clients_know(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source.delete("r1", "c1").await.unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let bundle_keys = [
        "consumer_name",
        "created_at",
        "delete_option",
        "deleted_at",
        "href",
        "id",
        "kind",
        "manifest_configs",
        "manifests",
        "metadata",
        "name",
        "updated_at",
        "version",
    ];
    for (path, known) in [
        ("resource-bundles", &bundle_keys[..]),
        (
            "consumers",
            &["created_at", "href", "id", "kind", "name", "updated_at"][..],
        ),
    ] {
        let (_, list) = server.get(&format!("{V1}/{path}")).await;
        assert_eq!(keys(&list), ["items", "kind", "page", "size", "total"]);
        assert_eq!(keys(&list["items"][0]), known, "{path}");
        let id = list["items"][0]["id"].as_str().unwrap();
        let (_, list) = server.get(&format!("{V1}/{path}?fields=href")).await;
        assert_eq!(
            list["items"],
            json!([{"id": id, "href": format!("{V1}/{path}/{id}")}])
        );
        let (status, answer) = server.get(&format!("{V1}/{path}?fields=oops")).await;
        assert_eq!((status, &answer["code"]), (400, &json!("maestro-8")));
    }
    let (_, list) = server
        .get(&format!("{V1}/resource-bundles?view=full"))
        .await;
    assert_eq!(list["items"][0]["source"], "s1");
}
