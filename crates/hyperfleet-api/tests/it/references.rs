use serde_json::{Value, json};

use crate::{
    on_both,
    server::{CLUSTERS, Server},
};

on_both!(
    links_are_kept_and_found,
    a_target_can_t_be_deleted_while_it_is_needed,
    links_are_checked
);

async fn wif(server: &Server, name: &str) -> Value {
    server
        .post(
            "/api/hyperfleet/v1/wifconfigs",
            json!({"kind": "WifConfig", "name": name, "spec": {}}),
        )
        .await
        .expect(201)
}

fn with(name: &str, links: Value) -> Value {
    json!({"kind": "Cluster", "name": name, "spec": {}, "references": {"wif_config": links}})
}

async fn links_are_kept_and_found(server: Server) {
    let (one, two) = (wif(&server, "one").await, wif(&server, "two").await);
    let body = server
        .post(
            CLUSTERS,
            with("abc", json!([{"id": one["id"], "href": "ignored"}])),
        )
        .await
        .expect(201);
    let link = |wif: &Value| json!({"wif_config": [{"id": wif["id"], "kind": "WifConfig", "href": wif["href"]}]});
    assert_eq!(body["references"], link(&one));
    let path = body["href"].as_str().unwrap();
    assert_eq!(server.get(path).await.body["references"], link(&one));
    assert_eq!(
        server.get(CLUSTERS).await.body["items"][0]["references"],
        link(&one)
    );
    let sources = async |wif: &Value| {
        let query = [
            ("ref_type", "wif_config"),
            ("ref_target_id", wif["id"].as_str().unwrap()),
        ];
        server.list(CLUSTERS, &query).await.expect(200)["total"].clone()
    };
    assert_eq!(
        (sources(&one).await, sources(&two).await),
        (json!(1), json!(0))
    );
    let unknown = server
        .list(CLUSTERS, &[("ref_type", "nope"), ("ref_target_id", "x")])
        .await;
    assert_eq!(
        unknown.problem(),
        (
            400,
            "VAL-000",
            "Unknown ref_type \"nope\" for entity Cluster"
        )
    );

    let patched = server
        .patch(
            path,
            json!({"references": {"wif_config": [{"id": two["id"]}]}}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&patched["references"], &patched["generation"]),
        (&link(&two), &json!(2))
    );
    let same = server
        .patch(
            path,
            json!({"references": {"wif_config": [{"id": two["id"]}]}}),
        )
        .await
        .expect(200);
    assert_eq!(same["generation"], 3, "sending references counts");
    let other = server
        .patch(path, json!({"spec": {"a": 1}}))
        .await
        .expect(200);
    assert_eq!(other["references"], link(&two), "left alone");
    let cleared = server
        .patch(path, json!({"references": {}}))
        .await
        .expect(200);
    assert!(cleared.get("references").is_none());
}

async fn a_target_can_t_be_deleted_while_it_is_needed(server: Server) {
    let wif = wif(&server, "one").await;
    let target = wif["href"].as_str().unwrap();
    let cluster = server
        .post(CLUSTERS, with("abc", json!([{"id": wif["id"]}])))
        .await
        .expect(201);
    let text = "cannot delete WifConfig \"one\": referenced by Cluster \"abc\" — remove the reference(s) before deleting";
    assert_eq!(
        server.delete(target).await.problem(),
        (409, "CNF-003", text)
    );
    let deleted = server
        .delete(cluster["href"].as_str().unwrap())
        .await
        .expect(202);
    assert!(
        deleted.get("references").is_none(),
        "what is being deleted needs nothing"
    );
    server.delete(target).await.expect(202);
    assert_eq!(server.get(target).await.status, 404);
    let gone = server
        .post(CLUSTERS, with("next", json!([{"id": wif["id"]}])))
        .await;
    assert!(gone.problem().2.ends_with("not found"));
}

async fn links_are_checked(server: Server) {
    let wif = wif(&server, "one").await;
    let cluster = server.cluster("abc").await;
    let cluster = cluster.rsplit('/').next().unwrap();
    for (links, text) in [
        (json!([{"id": wif["id"]}, {"id": "x"}]), "reference type \"wif_config\" for Cluster exceeds max count 1 (got 2)".to_owned()),
        (json!([{}]), "reference type \"wif_config\": id is required".to_owned()),
        (json!([{"id": "x"}]), "reference type \"wif_config\": target WifConfig \"x\" not found".to_owned()),
        (json!([{"id": cluster}]), "reference type \"wif_config\": kind \"Cluster\" does not match expected target kind \"WifConfig\"".to_owned()),
        (json!({}), "field 'references.wif_config' must be an array".to_owned()),
    ] {
        assert_eq!(server.post(CLUSTERS, with("new", links)).await.problem(), (400, "VAL-000", text.as_str()));
    }
}
