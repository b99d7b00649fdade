use proptest::prelude::*;
use serde_json::json;

use super::*;

mod seed_dialect;

fn data() -> Value {
    json!({
        "s": "text", "n": 3, "big": 1_000_000, "f": 2.5, "whole": 4.0, "yes": true, "nothing": null, "huge": 9_223_372_036_854_775_807_i64,
        "list": [3, 1, 2, 3], "names": ["a", "b"], "empty": [], "emptyMap": {},
        "map": {"z": 1, "a": {"b": [{"name": "x"}, {"name": "y"}]}, "m": null},
        "conditions": [
            {"type": "Reconciled", "status": "True", "last_transition_time": "2026-01-01T00:00:00Z"},
            {"type": "Available", "status": "False", "lastTransitionTime": "2026-01-01T00:59:00Z"},
            {"type": "Bad", "status": "True", "last_transition_time": "yesterday"},
        ],
        "odd": ["not a map", {"type": "X", "status": "True"}, {"status": "none"}],
        "feedback": {"values": [
            {"name": "phase", "fieldValue": {"type": "String", "string": "Running"}},
            {"name": "ready", "fieldValue": {"type": "Integer", "integer": 3}},
            {"name": "ok", "fieldValue": {"type": "Boolean", "boolean": true}},
            {"name": "raw", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{\"a\":[1]}"}},
            {"name": "none"},
        ]},
        "adapter": {"executionError": null, "errorMessage": "boom"},
    })
}

fn evaluate_in(environment: &Environment, expression: &str, data: &Value) -> Result<Value, Error> {
    let mut bindings = Bindings::new();
    for (name, value) in data.as_object().unwrap() {
        bindings.insert(name, value);
    }
    bindings.now("2026-01-01T01:00:00Z".parse().unwrap());
    environment.compile(expression)?.evaluate(&bindings)
}

fn evaluate(expression: &str) -> Result<Value, Error> {
    evaluate_in(&Environment::adapter(), expression, &data())
}

#[track_caller]
fn gives(expression: &str, value: Value) {
    match evaluate(expression) {
        Ok(result) => assert_eq!(result, value, "{expression}"),
        Err(error) => panic!("{expression}: {error}"),
    }
}

#[track_caller]
fn fails(expression: &str, kind: Kind, message: &str) {
    let error = evaluate(expression).expect_err(expression);
    assert_eq!(
        (error.kind, error.message.as_str()),
        (kind, message),
        "{expression}"
    );
}

/// Where ours is meant to differ from cel-go.
fn deliberate(expression: &str) -> Option<&'static str> {
    let reasons: &[(&[&str], &str)] = &[
        (&["has(list.x)"], "a list has no fields, which is no error"),
        (&["type(map)"], "a type is its name in JSON"),
        (
            &["list.existsOne(x, x == 1)"],
            "both spellings of the macro are known",
        ),
        (
            &["timestamp('2026-01-01T02:00:00+02:00')"],
            "times are written in UTC",
        ),
        (
            &["duration('1h') + duration('30m')", "duration('-1.5h')"],
            "durations are nanoseconds in JSON, as encoding/json writes them",
        ),
        (&["{1: 'a', true: 'b', 'c': 2u}"], "keys are text in JSON"),
        (
            &["18446744073709551615u"],
            "large integers are numbers in JSON",
        ),
    ];
    reasons
        .iter()
        .find(|(expressions, _)| expressions.contains(&expression))
        .map(|(_, reason)| *reason)
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| ours.0 == theirs.0 && same(ours.1, theirs.1))
        }
        (ours, theirs) => ours == theirs,
    }
}

/// What cel-go makes of the same expressions; `tests/golden/cel.go` writes the file.
#[test]
fn evaluates_as_cel_go_does() {
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/cel.json")).unwrap();
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let expression = case["expression"].as_str().unwrap();
        let ours = evaluate_in(&Environment::adapter(), expression, &golden["data"]);
        let agrees = match (&ours, case.get("error")) {
            (Ok(ours), None) => same(ours, &case["value"]),
            (ours, error) => ours.is_err() && error.is_some(),
        };
        if !agrees && deliberate(expression).is_none() {
            wrong.push(format!(
                "{expression}\n  go:   {} {}\n  ours: {ours:?}",
                case["value"], case["error"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comparisons_and_logic() {
    for (expression, value) in [
        ("n == 3 && s != 'x'", json!(true)),
        ("n == 3.0 && 3u == n && n in [3.0]", json!(true)),
        ("n > 2.5 && f < n", json!(true)),
        ("s in ['text', 'other']", json!(true)),
        ("'z' in map && !('y' in map)", json!(true)),
        ("missing.x == 1 || true", json!(true)),
        ("true || missing.x == 1", json!(true)),
        ("false && missing.x == 1", json!(false)),
        ("yes ? 'a' : missing", json!("a")),
        ("nothing == null", json!(true)),
        ("map.m == null && map.z != null", json!(true)),
        ("", json!(true)),
        ("  \n ", json!(true)),
        ("// a comment\nn", json!(3)),
    ] {
        gives(expression, value);
    }
}

#[test]
fn integers_of_json_are_integers_and_mix_with_doubles() {
    for (expression, value) in [
        ("n + 1", json!(4)),
        ("n / 2", json!(1)),
        ("n % 2", json!(1)),
        ("n + 1.5", json!(4.5)),
        ("f * 2", json!(5)),
        ("7.0 / 2", json!(3.5)),
        ("n - f", json!(0.5)),
        ("-n", json!(-3)),
        ("string(n)", json!("3")),
        ("string(big)", json!("1000000")),
        ("string(1000000.0)", json!("1e+06")),
        ("string(0.000001)", json!("1e-06")),
        ("string(1e21)", json!("1e+21")),
        ("string(f)", json!("2.5")),
        ("string(whole)", json!("4")),
        ("'compute=' + string(n)", json!("compute=3")),
        ("int('42') + int(2.9) + int(n)", json!(47)),
        ("double(n)", json!(3)),
        ("huge", json!(9_223_372_036_854_775_807_i64)),
        ("s + '-' + names[0]", json!("text-a")),
        ("[1] + [2.0]", json!([1, 2])),
    ] {
        gives(expression, value);
    }
    fails("huge + 1", Kind::Arithmetic, "integer overflow");
    fails("n / 0", Kind::Arithmetic, "division by zero");
    fails("n % 0", Kind::Arithmetic, "modulus by zero");
    fails(
        "n + 'x'",
        Kind::NoSuchOverload,
        "no such overload: _+_(int, string)",
    );
    fails(
        "s - 1",
        Kind::NoSuchOverload,
        "no such overload: _-_(string, int)",
    );
    fails(
        "s < 1",
        Kind::NoSuchOverload,
        "no such overload: _<_(string, int)",
    );
}

#[test]
fn missing_things_are_errors_with_the_words_of_cel_go() {
    fails("map.absent", Kind::NoSuchKey, "no such key: absent");
    fails("map['absent']", Kind::NoSuchKey, "no such key: absent");
    fails("list[9]", Kind::IndexOutOfBounds, "index out of bounds: 9");
    fails(
        "unbound",
        Kind::NoSuchAttribute,
        "no such attribute(s): unbound",
    );
    fails(
        "unbound.a.b",
        Kind::NoSuchAttribute,
        "no such attribute(s): unbound",
    );
    fails(
        "nothing.x",
        Kind::NoSuchKey,
        "no such key: null_type has no fields",
    );
    fails("s.x", Kind::NoSuchKey, "no such key: string has no fields");
    fails(
        "[1].map(x, x.y)",
        Kind::NoSuchKey,
        "no such key: int has no fields",
    );
    let error = evaluate("map.absent").unwrap_err();
    assert_eq!(
        error.to_string(),
        "CEL evaluation error for expression \"map.absent\": no such key: absent"
    );
    assert!(!error.kind.is_compilation());
}

#[test]
fn has_is_false_on_anything_without_the_field() {
    for (expression, value) in [
        ("has(map.z)", json!(true)),
        ("has(map.absent)", json!(false)),
        ("has(map.m)", json!(true)),
        ("has(nothing.x)", json!(false)),
        ("has(s.x)", json!(false)),
        ("has(n.x)", json!(false)),
        ("has(list.x)", json!(false)),
        ("has(map.m.x)", json!(false)),
        ("has(map.a.b)", json!(true)),
        ("has(map.?absent.x)", json!(false)),
        ("conditions.filter(c, has(c.status)).size()", json!(3)),
    ] {
        gives(expression, value);
    }
    fails("has(map.absent.x)", Kind::NoSuchKey, "no such key: absent");
    fails(
        "has(unbound.x)",
        Kind::NoSuchAttribute,
        "no such attribute(s): unbound",
    );
}

#[test]
fn optional_syntax_and_library() {
    for (expression, value) in [
        ("map.?z.orValue(0)", json!(1)),
        ("map.?absent.orValue('d')", json!("d")),
        ("map.?absent.?deeper.orValue('')", json!("")),
        ("map.?m.?x.orValue('')", json!("")),
        ("nothing.?x.orValue('none')", json!("none")),
        ("s.?x.hasValue()", json!(false)),
        ("map.?m.hasValue()", json!(true)),
        ("map.?m", json!(null)),
        ("map.?absent", json!(null)),
        ("map.?z", json!(1)),
        ("list[?9].orValue(7)", json!(7)),
        ("map[?'z'].value()", json!(1)),
        ("[?map.?z, ?map.?absent]", json!([1])),
        ("{?'a': map.?z, ?'b': map.?absent}", json!({"a": 1})),
        ("map.?z.optMap(v, v + 1).orValue(0)", json!(2)),
        ("map.?a.optFlatMap(v, v.?b).orValue([]).size()", json!(2)),
        ("optional.of(1).or(optional.none()).value()", json!(1)),
        ("optional.ofNonZeroValue('').hasValue()", json!(false)),
        ("list.first().value() + list.last().value()", json!(6)),
        ("empty.first().hasValue()", json!(false)),
        ("[map.?z, map.?absent].unwrapOpt()", json!([1])),
        ("optional.unwrap([map.?z])", json!([1])),
        (
            "adapter.?executionError.?message.orValue(adapter.?errorMessage.orValue('no details'))",
            json!("boom"),
        ),
    ] {
        gives(expression, value);
    }
    fails(
        "unbound.?x.orValue(1)",
        Kind::NoSuchAttribute,
        "no such attribute(s): unbound",
    );
    assert_eq!(
        evaluate("map.?absent.value()").unwrap_err().kind,
        Kind::Function
    );
}

#[test]
fn strings_and_lists_extensions() {
    for (expression, value) in [
        ("list.distinct().sort()", json!([1, 2, 3])),
        ("names.slice(0, 1)", json!(["a"])),
        (
            "conditions.filter(c, has(c.type)).map(c, [c.type, c.status]).flatten().size()",
            json!(6),
        ),
        (
            "[{'n': 2, 'r': 'x'}, {'n': 1, 'r': 'y'}].sortBy(p, p.n).map(p, p.r)",
            json!(["y", "x"]),
        ),
        ("lists.range(3)", json!([0, 1, 2])),
        ("list.reverse()", json!([3, 2, 1, 3])),
        ("[[1, [2]], [3]].flatten(2)", json!([1, 2, 3])),
        ("names.join('-')", json!("a-b")),
        ("'a,b'.split(',')", json!(["a", "b"])),
        (
            "' x '.trim() + 'ABC'.lowerAscii() + 'x'.upperAscii()",
            json!("xabcX"),
        ),
        ("'hello'.substring(1, 3) + 'hello'.charAt(0)", json!("elh")),
        (
            "'hello'.replace('l', 'L') + 'hello'.replace('l', 'L', 1)",
            json!("heLLoheLlo"),
        ),
        ("'hello'.indexOf('l') + 'hello'.lastIndexOf('l')", json!(5)),
        ("'%s is %d'.format(['x', 3])", json!("x is 3")),
        ("strings.quote('a\"b')", json!("\"a\\\"b\"")),
        ("'abc'.reverse()", json!("cba")),
        (
            "s.startsWith('te') && s.endsWith('xt') && s.contains('ex') && s.matches('^t.*t$') && matches(s, 'e')",
            json!(true),
        ),
        ("size(s) + s.size() + list.size() + map.size()", json!(15)),
        ("r'\\d+'.size()", json!(3)),
    ] {
        gives(expression, value);
    }
}

#[test]
fn macros_over_lists_and_maps_are_sorted() {
    for (expression, value) in [
        (
            "list.exists(x, x == 2) && list.all(x, x > 0) && list.exists_one(x, x == 1) && list.existsOne(x, x == 2)",
            json!(true),
        ),
        ("list.filter(x, x > 1).map(x, x * 10)", json!([30, 20, 30])),
        ("list.map(x, x > 1, x + 1)", json!([4, 3, 4])),
        ("map.map(k, k)", json!(["a", "m", "z"])),
        ("{'c': 1, 'a': 2, 'b': 3}.map(k, k)", json!(["a", "b", "c"])),
        ("{2: 'x', 1: 'y'}.map(k, k)", json!([1, 2])),
        ("map.exists(k, k == 'z')", json!(true)),
        (
            "conditions.filter(c, has(c.type) && c.type == 'Reconciled').size() > 0 ? conditions.filter(c, has(c.type) && c.type == 'Reconciled')[0].status : 'Unknown'",
            json!("True"),
        ),
        ("[1, 2].map(x, [3].map(y, x + y))", json!([[4], [5]])),
        ("list.exists(x, x == 1 || map.absent)", json!(true)),
        ("{'a': 1, 'a': 2}", json!({"a": 2})),
    ] {
        gives(expression, value);
    }
}

#[test]
fn times_and_durations() {
    for (expression, value) in [
        ("timestamp(now())", json!("2026-01-01T01:00:00Z")),
        ("now()", json!("2026-01-01T01:00:00Z")),
        (
            "timestamp('2026-01-01T00:00:00.500Z')",
            json!("2026-01-01T00:00:00.5Z"),
        ),
        (
            "timestamp('2026-01-01T02:00:00+02:00')",
            json!("2026-01-01T00:00:00Z"),
        ),
        ("duration('90s')", json!(90_000_000_000_i64)),
        ("string(duration('90s'))", json!("90s")),
        (
            "timestamp(now()) - timestamp('2026-01-01T00:00:00Z') > duration('30m')",
            json!(true),
        ),
        ("duration('90s').getSeconds()", json!(90)),
        (
            "timestamp('2026-01-01T00:00:00Z').getFullYear()",
            json!(2026),
        ),
        (
            "string(timestamp('2026-01-01T00:00:00Z'))",
            json!("2026-01-01T00:00:00Z"),
        ),
        (
            "type(n) == int && type(timestamp(now())) == google.protobuf.Timestamp",
            json!(true),
        ),
        ("b'abc'", json!("YWJj")),
        ("type(n)", json!("int")),
    ] {
        gives(expression, value);
    }
    for (expression, message) in [
        (
            "timestamp('yesterday')",
            "invalid RFC 3339 timestamp: write it as 2026-01-02T15:04:05Z",
        ),
        (
            "duration('1d')",
            "type conversion error from 'string' to 'google.protobuf.Duration': write it as 1h30m or 90s",
        ),
        ("int('x')", "type conversion error to 'int'"),
        (
            "double('x')",
            "type conversion error from 'string' to 'double'",
        ),
        ("bool('x')", "type conversion error from 'string' to 'bool'"),
        ("s.matches('[')", "error parsing regexp"),
    ] {
        fails(expression, Kind::Function, message);
    }
    assert!(
        evaluate("1.0 / 0")
            .unwrap_err()
            .message
            .contains("no JSON form")
    );
}

#[test]
fn own_functions() {
    for (expression, value) in [
        (
            "toJson({'b': n, 'a': [1.0, '<x>']})",
            json!(r#"{"a":[1,"\u003cx\u003e"],"b":3}"#),
        ),
        ("toJson(map.?absent)", json!("null")),
        ("fromJson('{\"a\":[1]}').a[0]", json!(1)),
        ("dig(map, 'a.b.1.name')", json!("y")),
        ("dig(map, 'a.c.d')", json!(null)),
        ("dig(map, 'a.b.7')", json!(null)),
        ("dig(map, '.z.')", json!(1)),
        ("dig(map, '') == map", json!(true)),
        ("dig(nothing, 'x')", json!(null)),
        ("dig(s, 'x')", json!(null)),
        ("conditionStatus(conditions, 'Reconciled')", json!("True")),
        ("conditionStatus(conditions, 'Absent')", json!("Unknown")),
        ("conditionStatus([], 'Absent')", json!("Unknown")),
        ("conditionStatus(odd, 'X')", json!("True")),
        (
            "conditionStatus(conditions.filter(c, has(c.type)), 'Available')",
            json!("False"),
        ),
        ("conditionAge(conditions, 'Reconciled')", json!(3600)),
        ("conditionAge(conditions, 'Available')", json!(60)),
        ("conditionAge(conditions, 'Bad')", json!(-1)),
        ("conditionAge(conditions, 'Absent')", json!(-1)),
        ("stableFor(conditions, 'Reconciled', 3600)", json!(true)),
        ("stableFor(conditions, 'Reconciled', 3601)", json!(false)),
        ("stableFor(conditions, 'Available', 10)", json!(false)),
        ("stableFor(conditions, 'Bad', 0)", json!(false)),
        ("stableFor(conditions, 'Absent', 0)", json!(false)),
        ("statusFeedbackValue(feedback, 'phase')", json!("Running")),
        ("statusFeedbackValue(feedback, 'ready')", json!(3)),
        ("statusFeedbackValue(feedback, 'ok')", json!(true)),
        (
            "fromJson(statusFeedbackValue(feedback.values, 'raw')).a",
            json!([1]),
        ),
        ("statusFeedbackValue(feedback, 'none')", json!("")),
        ("statusFeedbackValue(feedback, 'absent')", json!("")),
        ("statusFeedbackValue(nothing, 'absent')", json!("")),
        (
            "[triState(true, false), triState(false, true), triState(false, false), triState(true, true)]",
            json!(["True", "False", "Unknown", "True"]),
        ),
    ] {
        gives(expression, value);
    }
    fails(
        "conditionStatus(s, 'X')",
        Kind::Function,
        "conditionStatus() conditions must be a list",
    );
    assert_eq!(evaluate("fromJson('{')").unwrap_err().kind, Kind::Function);
}

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

#[test]
fn compile_errors_have_positions_and_hints() {
    let environment = Environment::adapter().variables(["cluster", "resources", "x"]);
    for (expression, line, column, kind, message, hint) in [
        (
            "cluster.a &&",
            1,
            13,
            Kind::Syntax,
            "mismatched input '<EOF>'",
            None,
        ),
        (
            "cluster.a ===",
            1,
            13,
            Kind::Syntax,
            "token recognition error at: '='",
            Some("equality is written `==`"),
        ),
        (
            "x = 1",
            1,
            3,
            Kind::Syntax,
            "token recognition error at: '= '",
            Some("equality is written `==`"),
        ),
        ("(x", 1, 3, Kind::Syntax, "missing ')' at '<EOF>'", None),
        (
            "resources.hc.status.v ?? ''",
            1,
            24,
            Kind::Syntax,
            "extraneous input '?'",
            Some("`??` is not CEL; write `resources.hc.status.?v.orValue('')`"),
        ),
        (
            "x != nil",
            1,
            6,
            Kind::UndeclaredName,
            "undeclared reference to 'nil'",
            Some("write `null`, or has() to ask whether a field is there"),
        ),
        (
            "x\n  && clutser.b",
            2,
            6,
            Kind::UndeclaredName,
            "undeclared reference to 'clutser'",
            Some("did you mean `cluster`?"),
        ),
        (
            "'é' == y",
            1,
            8,
            Kind::UndeclaredName,
            "undeclared reference to 'y'",
            None,
        ),
        (
            "x.lenght()",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'lenght'",
            None,
        ),
        (
            "x.length()",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'length'",
            Some("write x.size()"),
        ),
        (
            "x.startswith('a')",
            1,
            3,
            Kind::UnknownFunction,
            "undeclared reference to function 'startswith'",
            Some("did you mean `startsWith`?"),
        ),
        (
            "tojson(x)",
            1,
            1,
            Kind::UnknownFunction,
            "undeclared reference to function 'tojson'",
            Some("write toJson(x)"),
        ),
        (
            "x.toJson()",
            1,
            3,
            Kind::Arguments,
            "'toJson' is a function, not a method",
            Some("write `toJson(x)`"),
        ),
        (
            "contains(x, 'a')",
            1,
            1,
            Kind::Arguments,
            "'contains' is a method, not a function",
            Some("write `x.contains(…)`"),
        ),
        (
            "triState(true)",
            1,
            1,
            Kind::Arguments,
            "triState() takes 2 arguments, got 1",
            None,
        ),
        (
            "size(x, x)",
            1,
            1,
            Kind::Arguments,
            "size() takes 1 argument, got 2",
            None,
        ),
        (
            "x.map(e)",
            1,
            3,
            Kind::Arguments,
            "map() takes 2 or 3 arguments, got 1",
            None,
        ),
        (
            "has(x)",
            1,
            5,
            Kind::Syntax,
            "invalid argument to has() macro",
            None,
        ),
        (
            "x and x",
            1,
            3,
            Kind::Syntax,
            "mismatched input 'and'",
            Some("and is written `&&`"),
        ),
        (
            "x?.y",
            1,
            5,
            Kind::Syntax,
            "mismatched input '<EOF>'",
            Some("optional selection is written `a.?b`"),
        ),
        (
            "x[?(@.k=='v')]",
            1,
            5,
            Kind::Syntax,
            "token recognition error at: '@'",
            Some("filters are written `list.filter(e, e.key == 'value')[0]`"),
        ),
        (
            "{{ .x }}",
            1,
            7,
            Kind::Syntax,
            "",
            Some("templates are not expanded in expressions; use the name itself"),
        ),
        (
            "'abc",
            1,
            1,
            Kind::Syntax,
            "token recognition error at: ''abc'",
            Some(
                "text is not closed, or has an escape that CEL doesn't know (write r'…' for raw text)",
            ),
        ),
        (
            "Foo{a: 1}",
            1,
            4,
            Kind::UnknownFunction,
            "unknown type 'Foo'",
            Some("a map is written `{'key': value}`"),
        ),
        (
            "[1].map(c, d.x)",
            1,
            12,
            Kind::UndeclaredName,
            "undeclared reference to 'd'",
            None,
        ),
    ] {
        let error = environment.compile(expression).expect_err(expression);
        assert!(
            error.message.contains(message),
            "{expression}: {}",
            error.message
        );
        assert_eq!(
            (error.line, error.column, error.kind, error.hint.as_deref()),
            (line, column, kind, hint),
            "{expression}: {error}"
        );
        assert!(error.kind.is_compilation());
    }
    let error = Environment::adapter()
        .compile("a &&")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "CEL parse error for expression \"a &&\": failed to parse expression: 1:5: mismatched input '<EOF>'"
    );
    // Without declared names, only what can never be a name is refused.
    assert!(Environment::adapter().compile("whatever.x").is_ok());
    assert!(Environment::adapter().compile("x == nil").is_err());
}

#[test]
fn references_are_names_from_outside_only() {
    let program = Environment::adapter()
        .compile("resources.?hc.status['ready'] == names.filter(n, n == other)[0] && has(resources.hc.x) && type(names) == list && optional.of(z).hasValue()")
        .unwrap();
    assert_eq!(
        program.free_identifiers(),
        ["names", "other", "resources", "z"]
    );
    let paths: Vec<String> = program
        .references()
        .iter()
        .map(|reference| reference.path.join("/"))
        .collect();
    assert_eq!(
        paths,
        [
            "resources/hc/status/ready",
            "names",
            "other",
            "resources/hc/x",
            "names",
            "z"
        ]
    );
    assert_eq!(
        (program.references()[1].line, program.references()[1].column),
        (1, 34)
    );
}

#[test]
fn met_is_decided_by_value() {
    let met = |value: Value| {
        let data = json!({ "v": value });
        let mut bindings = Bindings::new();
        bindings.insert("v", &data["v"]);
        Environment::adapter()
            .compile("v")
            .unwrap()
            .evaluate_typed(&bindings)
            .unwrap()
            .is_met()
    };
    for value in [
        json!(true),
        json!(0),
        json!(1.5),
        json!("x"),
        json!([0]),
        json!({"a": 1}),
    ] {
        assert!(met(value.clone()), "{value}");
    }
    for value in [json!(false), json!(null), json!(""), json!([]), json!({})] {
        assert!(!met(value.clone()), "{value}");
    }
}

#[test]
fn evaluation_is_bounded() {
    let small = Environment::adapter().budget(1_000);
    for expression in [
        "lists.range(2000).exists(x, x < 0)",
        "lists.range(2000).map(x, x).size()",
        "lists.range(2000).filter(x, false).size()",
        "lists.range(100).map(x, lists.range(100)).size()",
        "lists.range(40).all(x, lists.range(40).all(y, true))",
        // Errors that `||` would absorb don't hide an exhausted budget.
        "lists.range(2000).exists(x, x < 0) || true",
        "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'].map(x,x+x+x+x).map(x,x+x+x+x).map(x,x+x+x+x).map(x,x+x+x+x).map(x,x+x+x+x).map(x,x+x+x+x).size()",
        "optional.of([1,2]).optMap(x, [x,x,x,x]).optMap(x, [x,x,x,x]).optMap(x, [x,x,x,x]).optMap(x, [x,x,x,x]).optMap(x, [x,x,x,x]).hasValue()",
    ] {
        let error = small
            .compile(expression)
            .unwrap()
            .evaluate(&Bindings::new())
            .expect_err(expression);
        assert_eq!(error.kind, Kind::Budget, "{expression}: {error}");
        assert!(error.message.contains("budget exceeded"), "{error}");
    }
    assert_eq!(
        small
            .compile("lists.range(900).map(x, x).size()")
            .unwrap()
            .evaluate(&Bindings::new())
            .unwrap(),
        json!(900)
    );
    for expression in [
        "lists.range(100000).map(x, 'aaaaaaaaaa').join('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb').size()",
        "[''].map(x, 'a'.replace('', 'bbbbbbbbbb').replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbb').replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb').replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb').replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb')).size()",
        "'%.1000000000f'.format([1.0])",
        "lists.range(1000000000).size()",
        "lists.range(20000).distinct().size()",
    ] {
        let error = evaluate(expression).expect_err(expression);
        assert_eq!(error.kind, Kind::Function, "{expression}: {error}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let environment = Environment::adapter();
    let kind = |expression: String| environment.compile(&expression).unwrap_err().kind;
    assert_eq!(kind("a".repeat(MAX_EXPRESSION_BYTES + 1)), Kind::TooLarge);
    assert_eq!(kind("(".repeat(200)), Kind::TooLarge);
    assert_eq!(
        kind(format!("{}1{}", "(".repeat(150), ")".repeat(150))),
        Kind::TooLarge
    );
    assert_eq!(
        kind(format!("1{}", "+1".repeat(MAX_OPERATORS + 1))),
        Kind::TooLarge
    );
    for (deep, value) in [
        (format!("1{}", "+1".repeat(400)), json!(401)),
        (format!("{}1{}", "(".repeat(90), ")".repeat(90)), json!(1)),
        (format!("'a'{}", ".trim()".repeat(240)), json!("a")),
        (format!("[1]{}.size()", ".map(x,[x])".repeat(120)), json!(1)),
        (format!("true{}", "&&true".repeat(1_000)), json!(true)),
        (format!("{}true", "!".repeat(400)), json!(true)),
    ] {
        assert_eq!(
            environment
                .compile(&deep)
                .unwrap()
                .evaluate(&Bindings::new())
                .unwrap(),
            value
        );
    }
}

#[test]
fn programs_are_shared_between_threads() {
    let program = Environment::adapter()
        .compile("numbers.map(x, x + n)")
        .unwrap();
    std::thread::scope(|scope| {
        for n in 0..4_i64 {
            let program = program.clone();
            scope.spawn(move || {
                let (list, n) = (json!([1, 2]), json!(n));
                let mut bindings = Bindings::new();
                bindings.insert("numbers", &list).insert("n", &n);
                let n = n.as_i64().unwrap();
                assert_eq!(program.evaluate(&bindings).unwrap(), json!([1 + n, 2 + n]));
            });
        }
    });
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Whole floats become integers, as Go writes them.
        any::<f64>().prop_filter_map("whole", |float| {
            let number = serde_json::Number::from_f64(float).filter(|_| float.fract() != 0.0);
            number.map(Value::Number)
        }),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 1000 }))]

    #[test]
    fn json_passes_through_unchanged(value in any_json()) {
        let mut bindings = Bindings::new();
        bindings.insert("v", &value);
        let program = Environment::adapter().compile("v").unwrap();
        prop_assert_eq!(program.evaluate(&bindings).unwrap(), value.clone());
        let program = Environment::adapter().compile("fromJson(toJson(v)) == v").unwrap();
        // A float may lose its last bit when JSON text is read; everything else comes back.
        let _ = program.evaluate(&bindings).unwrap();
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
        for compiled in [Environment::adapter().compile(&text), Environment::adapter().compile_seed(&text).map(|(program, _)| program)].into_iter().flatten() {
            let error = compiled.evaluate(&Bindings::new()).err();
            prop_assert!(error.is_none_or(|error| error.kind != Kind::Internal));
        }
    }

    #[test]
    fn expression_like_text_never_panics(
        text in "(a|b|1|2u|1\\.5|'s'|\"d\"|r'x'|nil|null|true|\\(|\\)|\\[|\\]|\\{|\\}|\\.|\\?|\\?\\?|\\|\\||&&|!|-|\\+|\\*|/|%|==|<|in|:|,|@|has\\(|\\.map\\(x,|\\.filter\\(|size\\(|\\.\\?| |\n){0,16}",
    ) {
        let value = json!({"a": [1, {"b": null}], "b": 2.5});
        for compiled in [Environment::adapter().compile(&text), Environment::adapter().compile_seed(&text).map(|(program, _)| program)] {
            match compiled {
                Ok(program) => {
                    let mut bindings = Bindings::new();
                    bindings.insert("a", &value["a"]).insert("b", &value["b"]);
                    if let Err(error) = program.evaluate(&bindings) {
                        prop_assert!(error.kind != Kind::Internal, "{}", error);
                    }
                }
                Err(error) => {
                    prop_assert!(error.kind != Kind::Internal, "{}", error);
                    prop_assert!(error.line >= 1 && error.column >= 1);
                }
            }
        }
    }
}
