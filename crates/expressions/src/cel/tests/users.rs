use super::*;

#[test]
fn sentinel_decides() {
    let resource = json!({
        "generation": 2,
        "status": {"conditions": [
            {"type": "Reconciled", "status": "False", "observed_generation": 1, "last_updated_time": "2026-01-01T00:00:00Z"},
        ]},
    });
    let environment = Environment::sentinel().variables(["ref_time", "is_new"]);
    let mut bindings = Bindings::new();
    bindings
        .insert("resource", &resource)
        .now("2026-01-01T00:00:10Z".parse().unwrap());
    let run = |expression: &str, bindings: &Bindings<'_>| {
        environment
            .compile(expression)
            .unwrap()
            .evaluate_typed(bindings)
            .unwrap()
    };
    assert_eq!(
        run(
            "resource.generation > condition('Reconciled').observed_generation",
            &bindings
        )
        .as_bool(),
        Some(true)
    );
    assert_eq!(
        run(
            "condition('Absent').status == '' && condition('Absent').observed_generation == 0",
            &bindings
        )
        .as_bool(),
        Some(true)
    );
    // A parameter keeps its type when it is used by the next one.
    let ref_time = run(
        "timestamp(condition('Reconciled').last_updated_time)",
        &bindings,
    );
    assert_eq!(ref_time.type_name(), "google.protobuf.Timestamp");
    assert_eq!(ref_time.json(), &json!("2026-01-01T00:00:00Z"));
    bindings.insert_evaluated("ref_time", &ref_time);
    assert_eq!(
        run("now - ref_time > duration('10s')", &bindings).as_bool(),
        Some(false)
    );
    assert_eq!(
        run("now - ref_time >= duration('10s')", &bindings).as_bool(),
        Some(true)
    );
    // A forward reference compiles and fails when it runs.
    let error = environment
        .compile("is_new")
        .unwrap()
        .evaluate(&bindings)
        .unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchAttribute);
    for bad in [
        "unknown_name",
        "now()",
        "toJson(resource)",
        "conditions('x')",
    ] {
        assert!(
            environment.compile(bad).unwrap_err().kind.is_compilation(),
            "{bad}"
        );
    }
}

#[test]
fn api_maps_conditions() {
    let statuses = json!([{"adapter": "dns", "conditions": [{"type": "Available", "status": "True"}], "data": {"html": "<b>"}}]);
    let resource = json!({"kind": "Cluster"});
    let data = json!({"statuses": statuses, "resource": resource});
    let api = Environment::api();
    let run = |expression: &str| evaluate_in(&api, expression, &data);
    assert_eq!(
        run("statuses.exists(s, s.adapter == 'dns')").unwrap(),
        json!(true)
    );
    assert_eq!(
        run("toJson(dig(statuses, '0.data'))").unwrap(),
        json!(r#"{"html":"<b>"}"#)
    );
    assert!(run("now()").unwrap_err().kind.is_compilation());
    assert!(run("spec.x").unwrap_err().kind.is_compilation());
    let wide = "lists.range(20000).map(x, x).size()";
    assert_eq!(run(wide).unwrap_err().kind, Kind::Budget);
}
