use super::*;

fn seed(expression: &str) -> (Result<Value, Error>, Vec<Rewrite>) {
    let data = data();
    let mut bindings = Bindings::new();
    for (name, value) in data.as_object().unwrap() {
        bindings.insert(name, value);
    }
    let (program, rewrites) = Environment::adapter().compile_seed(expression).unwrap();
    (program.evaluate(&bindings), rewrites)
}

#[track_caller]
fn gives(expression: &str, value: Value) {
    match seed(expression).0 {
        Ok(result) => assert_eq!(result, value, "{expression}"),
        Err(error) => panic!("{expression}: {error}"),
    }
}

#[test]
fn coalesce_takes_the_other_side_when_there_is_nothing() {
    for (expression, value) in [
        ("map.z ?? 0", json!(1)),
        ("map.absent ?? 'd'", json!("d")),
        ("map.m ?? 'd'", json!("d")),
        ("map.absent.deeper.still ?? ''", json!("")),
        ("list[9] ?? 7", json!(7)),
        ("map.?absent ?? 7", json!(7)),
        ("unbound.x ?? 7", json!(7)),
        ("map.absent ?? map.gone ?? 'last'", json!("last")),
        ("map.absent ?? map.z ?? 'last'", json!(1)),
        ("(map.absent ?? 'a') + 'b'", json!("ab")),
        ("map.absent ?? 'a' == 'b'", json!(false)),
        ("map.absent ?? false || true", json!(true)),
        ("(map.absent ?? false) || true", json!(true)),
        ("yes || false || map.absent ?? 3", json!(true)),
        ("yes ? map.absent ?? 1 : 2", json!(1)),
        (
            "[map.absent ?? 1, map.z ?? 2].map(x, x ?? 0)",
            json!([1, 1]),
        ),
        ("'a ?? b' + '// not'", json!("a ?? b// not")),
        ("has(map.absent.x) || map.absent ?? yes", json!(true)),
        ("'é' + (map.absent ?? 'ö')", json!("éö")),
    ] {
        gives(expression, value);
    }
}

#[test]
fn nil_filters_and_has_of_a_missing_path() {
    for (expression, value) in [
        ("map.m == nil", json!(true)),
        ("map.z != nil", json!(true)),
        ("conditions[?(@.type=='Reconciled')].status", json!("True")),
        (
            "conditions[?(@.type == \"Available\" )].status == 'True'",
            json!(false),
        ),
        ("map.a.b[?(@.name=='y')].name", json!("y")),
        ("list[?(0)].orValue(9)", json!(3)),
        ("has(map.absent.x.y)", json!(false)),
        ("!has(unbound.status.conditions) || true", json!(true)),
        ("has(map.a.b)", json!(true)),
        ("has(map.m)", json!(true)),
    ] {
        gives(expression, value);
    }
    assert_eq!(
        seed("map.absent != nil").0.unwrap_err().kind,
        Kind::NoSuchKey
    );
}

#[test]
fn rewrites_say_where_and_how_it_is_written_today() {
    let (_, rewrites) =
        seed("map.absent ?? nil == nil ||\n conditions[?(@.type=='X')].status ?? ''");
    let found: Vec<_> = rewrites
        .iter()
        .map(|rewrite| (rewrite.line, rewrite.column, rewrite.construct))
        .collect();
    assert_eq!(
        found,
        [
            (1, 12, "??"),
            (1, 15, "nil"),
            (1, 22, "nil"),
            (2, 12, "[?(@…)]"),
            (2, 36, "??")
        ]
    );
    assert!(seed("map.z == 1").1.is_empty());
    // Errors keep the text and the columns that were written.
    let error = Environment::adapter()
        .compile_seed("map.absent ?? (")
        .unwrap_err();
    assert_eq!(
        (error.expression.as_str(), error.line, error.column),
        ("map.absent ?? (", 1, 16)
    );
}

#[test]
fn expressions_of_the_first_task_config_run_verbatim() {
    let arrived = json!({"hostedCluster": {"status": {"conditions": [
        {"type": "Available", "status": "True"}, {"type": "Degraded", "status": "False"}], "version": "4.17.0"}}});
    let absent = json!({"hostedCluster": {"metadata": {}}});
    let run = |expression: &str, resources: &Value| {
        let mut bindings = Bindings::new();
        bindings.insert("resources", resources);
        Environment::adapter()
            .compile_seed(expression)
            .unwrap()
            .0
            .evaluate(&bindings)
    };
    let health = "!has(resources.hostedCluster.status.conditions) ||\nresources.hostedCluster.status.conditions.filter(c, c.type == 'Degraded')[0].status != \"True\"\n";
    let available = "has(resources.hostedCluster.status.conditions) &&\nresources.hostedCluster.status.conditions.filter(c, c.type == 'Available')[0].status == \"True\"\n";
    for (expression, with, without) in [
        (
            "resources.hostedCluster.status.controlPlaneEndpoint ?? ''",
            json!(""),
            json!(""),
        ),
        (
            "resources.hostedCluster.status.version ?? ''",
            json!("4.17.0"),
            json!(""),
        ),
        (health, json!(true), json!(true)),
        (available, json!(true), json!(false)),
    ] {
        assert_eq!(run(expression, &arrived).unwrap(), with, "{expression}");
        assert_eq!(run(expression, &absent).unwrap(), without, "{expression}");
    }
    assert_eq!(
        run("resources.hostedCluster.status != nil", &arrived).unwrap(),
        json!(true)
    );
}
