use super::*;

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
    let golden: Value =
        serde_json::from_str(include_str!("../../../tests/golden/cel.json")).unwrap();
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
