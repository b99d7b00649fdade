use hyperfleet_api::http::identity::{Dimension, Options, Tenant};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;

use crate::server::{CLUSTERS, Server, cluster};

fn set(server: &mut Server, name: &'static str, value: &str) {
    server.headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_bytes(value.as_bytes()).unwrap(),
    );
}

#[tokio::test]
async fn callers_are_named_by_the_gateway() {
    let mut server = Server::with_identity(Options {
        identity_header: "X-HyperFleet-Identity".into(),
        ..Options::default()
    })
    .await;
    let text = "Caller identity is required for mutating requests but could not be resolved";
    assert_eq!(
        server.post(CLUSTERS, cluster("abc")).await.problem(),
        (401, "AUT-001", text)
    );
    server.get(CLUSTERS).await.expect(200);
    set(&mut server, "x-hyperfleet-identity", "  first@x  ");
    let path = server.cluster("abc").await;
    for name in ["second@x", "third@x"] {
        set(&mut server, "x-hyperfleet-identity", name);
        server
            .patch(&path, json!({"labels": {"by": name.replace('@', "-")}}))
            .await
            .expect(200);
    }
    let body = server.get(&path).await.body;
    assert_eq!(
        (&body["created_by"], &body["updated_by"]),
        (&json!("first@x"), &json!("third@x"))
    );
    for bad in ["x".repeat(257).as_str(), " ", "a\tb"] {
        set(&mut server, "x-hyperfleet-identity", bad);
        assert_eq!(
            server.report(&path, "dns", 1, "True").await.problem().1,
            "AUT-001"
        );
    }
}

fn tenants() -> Options {
    let dimension = |header: &str, key: &str, required| Dimension {
        header: header.into(),
        key: key.into(),
        required,
    };
    Options {
        tenant: Tenant {
            system_header: "X-HyperFleet-System".into(),
            dimensions: vec![
                dimension("X-Tenant-Org", "org", true),
                dimension("X-Tenant-Project", "project", false),
            ],
        },
        ..Options::default()
    }
}

#[tokio::test]
async fn tenants_have_their_own_names() {
    let mut server = Server::with_identity(tenants()).await;
    let missing = server.post(CLUSTERS, cluster("abc")).await;
    assert_eq!(
        missing.problem(),
        (
            403,
            "AUZ-001",
            "required tenant header \"X-Tenant-Org\" is missing"
        )
    );
    set(&mut server, "x-tenant-org", "no spaces");
    assert_eq!(
        server.post(CLUSTERS, cluster("abc")).await.problem().2,
        "tenant header \"X-Tenant-Org\" has an invalid value"
    );
    set(&mut server, "x-tenant-org", "one");
    let first = server.post(CLUSTERS, cluster("abc")).await.expect(201);
    assert_eq!(first["tenancy"], json!({"org": "one"}));
    assert_eq!(server.post(CLUSTERS, cluster("abc")).await.status, 409);
    set(&mut server, "x-tenant-org", "two");
    server.post(CLUSTERS, cluster("abc")).await.expect(201);
    let patched = server
        .patch(first["href"].as_str().unwrap(), json!({"spec": {"a": 1}}))
        .await
        .expect(200);
    assert_eq!(patched["tenancy"], json!({"org": "one"}));
}

#[tokio::test]
async fn the_system_writes_statuses_only() {
    let mut server = Server::with_identity(tenants()).await;
    set(&mut server, "x-tenant-org", "one");
    let path = server.cluster("abc").await;
    server.headers.clear();
    set(&mut server, "x-hyperfleet-system", "TRUE");
    let text = "system identities may only write status and conditions";
    assert_eq!(
        server.post(CLUSTERS, cluster("new")).await.problem(),
        (403, "AUZ-001", text)
    );
    assert_eq!(server.patch(&path, json!({"spec": {}})).await.status, 403);
    assert_eq!(server.delete(&path).await.status, 403);
    server.report(&path, "dns", 1, "True").await.expect(201);
}
