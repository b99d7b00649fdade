use serde_json::{Value, json};

use crate::{
    on_both,
    server::{CLUSTERS, Server},
};

on_both!(
    pages_and_orders,
    texts_sort_byte_by_byte,
    parameters_out_of_bounds_are_named,
    fields_are_chosen,
    searches_find,
    searches_that_make_no_sense_are_refused,
    f93_hostile_searches_find_nothing_of_others,
    conditions_are_searched_with_times,
);

async fn create(server: &Server, name: &str, spec: Value, labels: Value) {
    server
        .post(
            CLUSTERS,
            json!({"kind": "Cluster", "name": name, "spec": spec, "labels": labels}),
        )
        .await
        .expect(201);
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

async fn pages_and_orders(server: Server) {
    for index in 0..12 {
        server.cluster(&format!("cluster-{index:02}")).await;
    }
    let first = server.list(CLUSTERS, &[("size", "5")]).await.expect(200);
    assert_eq!(
        (&first["page"], &first["size"], &first["total"]),
        (&json!(1), &json!(5), &json!(12))
    );
    assert_eq!(names(&first)[0], "cluster-11", "newest first");
    let last = server
        .list(CLUSTERS, &[("size", "5"), ("page", "3")])
        .await
        .expect(200);
    assert_eq!(
        (&last["size"], names(&last)),
        (&json!(2), vec!["cluster-01", "cluster-00"])
    );
    let past = server.list(CLUSTERS, &[("page", "9")]).await.expect(200);
    assert_eq!(
        past,
        json!({"items": [], "page": 9, "size": 0, "total": 12})
    );
    let ascending = server
        .list(CLUSTERS, &[("order", "name"), ("size", "2")])
        .await
        .expect(200);
    assert_eq!(names(&ascending), ["cluster-00", "cluster-01"]);
    let descending = server
        .list(
            CLUSTERS,
            &[("order", "generation, name desc"), ("size", "1")],
        )
        .await
        .expect(200);
    assert_eq!(names(&descending), ["cluster-11"]);
    let by_deletion = server
        .list(CLUSTERS, &[("order", "deleted_time"), ("size", "1")])
        .await
        .expect(200);
    assert_eq!(
        names(&by_deletion),
        ["cluster-11"],
        "ties are broken by age"
    );
}

async fn texts_sort_byte_by_byte(server: Server) {
    for name in ["a-b", "ab", "a-c", "abc", "a0"] {
        let body = json!({"kind": "Channel", "name": name, "spec": {}});
        server
            .post("/api/hyperfleet/v1/channels", body)
            .await
            .expect(201);
    }
    let list = server
        .list("/api/hyperfleet/v1/channels", &[("order", "name")])
        .await
        .expect(200);
    assert_eq!(names(&list), ["a-b", "a-c", "a0", "ab", "abc"]);
    let found = server
        .list(
            "/api/hyperfleet/v1/channels",
            &[("search", "name < 'a0'"), ("order", "name")],
        )
        .await
        .expect(200);
    assert_eq!(names(&found), ["a-b", "a-c"]);
}

async fn parameters_out_of_bounds_are_named(server: Server) {
    let answer = server
        .list(CLUSTERS, &[("size", "500"), ("page", "x")])
        .await;
    assert_eq!(
        answer.problem(),
        (400, "VAL-000", "Invalid query parameters")
    );
    assert_eq!(
        answer.body["errors"],
        json!([{"field": "page", "message": "must be a valid integer", "value": "x", "constraint": "format"},
               {"field": "size", "message": "size must be at most 100", "value": 500, "constraint": "max"}])
    );
    let half = server.list(CLUSTERS, &[("ref_type", "wif_config")]).await;
    assert_eq!(half.body["errors"][0]["constraint"], "required");
    assert_eq!(
        server
            .list(CLUSTERS, &[("order", "name up")])
            .await
            .problem()
            .1,
        "VAL-005"
    );
    assert_eq!(
        server
            .get(&format!("{CLUSTERS}?order=%ff"))
            .await
            .problem()
            .0,
        400
    );
}

async fn fields_are_chosen(server: Server) {
    let path = server.cluster("abc").await;
    let chosen = server
        .list(&path, &[("fields", "name,status.conditions")])
        .await
        .expect(200);
    assert_eq!(
        chosen.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "name", "status"]
    );
    let listed = server
        .list(CLUSTERS, &[("fields", "name")])
        .await
        .expect(200);
    assert_eq!(listed["items"][0].as_object().unwrap().len(), 2);
    let text = "The following field(s) doesn't exist in `Resource`: nope";
    assert_eq!(
        server.list(CLUSTERS, &[("fields", "nope")]).await.problem(),
        (400, "VAL-000", text)
    );
}

async fn searches_find(server: Server) {
    create(
        &server,
        "one",
        json!({"region": "x", "n": 2, "a": {"b": "deep"}, "camelCase": true}),
        json!({"env": "prod", "team-a": "1"}),
    )
    .await;
    create(
        &server,
        "two",
        json!({"region": "y", "n": 10}),
        json!({"env": "dev", "sub.example.com/k": "v"}),
    )
    .await;
    create(
        &server,
        "three",
        json!({"region": "x", "n": "many"}),
        json!({}),
    )
    .await;
    for (search, expected) in [
        ("name = 'one'", vec!["one"]),
        ("labels.env = 'prod'", vec!["one"]),
        ("labels.env != 'prod'", vec!["two"]),
        ("labels.team-a = '1'", vec!["one"]),
        ("labels.sub.example.com/k = 'v'", vec!["two"]),
        (
            "labels.env in ['prod', 'dev'] and spec.region = 'x'",
            vec!["one"],
        ),
        (
            "labels.env = 'dev' or spec.region = 'x'",
            vec!["one", "three", "two"],
        ),
        ("spec.a.b = 'deep'", vec!["one"]),
        ("spec.camelCase = 'true'", vec!["one"]),
        ("spec.n > 3", vec!["two"]),
        ("spec.n = 'many'", vec!["three"]),
        ("spec.n between 1 and 5", vec!["one"]),
        ("name like 't%'", vec!["three", "two"]),
        ("name ilike 'T%' and not name = 'two'", vec!["three"]),
        ("name not in ['one', 'two']", vec!["three"]),
        (
            "generation = 1 and deleted_time is null",
            vec!["one", "three", "two"],
        ),
        ("generation > 1", vec![]),
        (
            "created_time > '2026-01-01' and created_time < '2199-01-01T00:00:00Z'",
            vec!["one", "three", "two"],
        ),
        ("deleted_time is not null", vec![]),
        (
            "status.conditions.Reconciled = 'False'",
            vec!["one", "three", "two"],
        ),
        ("status.conditions.Reconciled = 'True'", vec![]),
        (
            "status.conditions.DnsSuccessful is null and name = 'one'",
            vec!["one"],
        ),
        ("labels.non_existing_label='value'", vec![]),
        (
            "status.conditions.Reconciled.observed_generation >= 1 and (name = 'one' or labels.env = 'dev')",
            vec!["one", "two"],
        ),
    ] {
        let found = server
            .list(CLUSTERS, &[("search", search), ("order", "name")])
            .await
            .expect(200);
        assert_eq!(
            (names(&found), &found["total"]),
            (expected.clone(), &json!(expected.len())),
            "{search}"
        );
    }
}

async fn searches_that_make_no_sense_are_refused(server: Server) {
    for search in [
        "properties.x = 'a'",
        "nope = 'a'",
        "generation = 'abc'",
        "created_time > 'soon'",
        "not labels.a = 'b'",
        "labels.a is not null",
        "status.conditions.Reconciled = 'Bad'",
        "status.conditions.reconciled = 'True'",
        "not status.conditions.Reconciled = 'True'",
        "status.conditions.Reconciled in ['True']",
        "status.conditions.Reconciled like 'T%'",
        "name = 'a",
        "name in ('a')",
        "name =",
        "(name = 'a'",
        "status.conditions.Reconciled.observed_generation > 1.5",
        "status.conditions.Reconciled.created_time > '2026-01-01'",
        "name ~ 'a'",
    ] {
        let answer = server.list(CLUSTERS, &[("search", search)]).await;
        let (status, code, detail) = answer.problem();
        assert_eq!((status, code), (400, "VAL-005"), "{search}");
        assert!(
            !detail.is_empty() && !detail.to_lowercase().contains("sql"),
            "{detail}"
        );
    }
}

async fn f93_hostile_searches_find_nothing_of_others(server: Server) {
    server.cluster("abc").await;
    server
        .post(
            "/api/hyperfleet/v1/channels",
            json!({"kind": "Channel", "name": "stable", "spec": {}}),
        )
        .await
        .expect(201);
    for search in [
        "name='a') or (name='stable'",
        "name = 'x'; drop table resources",
        "name = 'x' -- ",
        "name = 'a'' or 1=1'",
        "1 = 1",
        "name = 'x' union select 1",
        "spec.a'b = 'c'",
        "labels.\"a\" = 'b'",
        "name = 'a\0'",
    ] {
        let answer = server.list(CLUSTERS, &[("search", search)]).await;
        if answer.status == 200 {
            assert!(!names(&answer.body).contains(&"stable"), "{search}");
        } else {
            assert_eq!(
                (answer.problem().0, answer.problem().1),
                (400, "VAL-005"),
                "{search}"
            );
        }
    }
    let scoped = server
        .list(CLUSTERS, &[("search", "name = 'stable' or name = 'abc'")])
        .await
        .expect(200);
    assert_eq!(names(&scoped), ["abc"], "the search can't leave its kind");
    for value in ["%", "_bc", "a\\", "'", "\\'", "$1", "?1"] {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        let found = server
            .list(CLUSTERS, &[("search", &format!("name = '{quoted}'"))])
            .await
            .expect(200);
        assert_eq!(found["total"], 0, "{value}");
    }
}

async fn conditions_are_searched_with_times(server: Server) {
    let path = server.cluster("abc").await;
    server.report(&path, "dns", 1, "True").await.expect(201);
    server
        .report(&path, "validation", 1, "True")
        .await
        .expect(201);
    let total = async |search: &str| {
        server
            .list(CLUSTERS, &[("search", search)])
            .await
            .expect(200)["total"]
            .clone()
    };
    assert_eq!(total("status.conditions.Reconciled = 'True'").await, 1);
    let time = server.condition(&path, "Reconciled").await["last_updated_time"]
        .as_str()
        .unwrap()
        .to_owned();
    for (operator, expected) in [("=", 1), ("<=", 1), ("<", 0), (">", 0), (">=", 1)] {
        assert_eq!(
            total(&format!(
                "status.conditions.Reconciled.last_updated_time {operator} '{time}'"
            ))
            .await,
            expected,
            "{operator}"
        );
    }
    assert_eq!(
        total("status.conditions.Reconciled.last_transition_time < '2199-01-01T00:00:00Z'").await,
        1
    );
}
