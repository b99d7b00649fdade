use serde_json::json;

use super::*;

mod bounds;
mod compile;
mod golden;
mod seed_dialect;
mod users;

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
