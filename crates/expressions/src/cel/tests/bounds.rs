use proptest::prelude::*;

use super::*;

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
