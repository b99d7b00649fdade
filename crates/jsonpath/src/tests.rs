use proptest::prelude::*;
use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "kind": "Deployment",
        "metadata": {
            "name": "n1",
            "labels": {"a-b": "dash", "app.kubernetes.io/name": "web", "a": {"b": "nested"}},
        },
        "items": [
            {"name": "one", "n": 1, "ready": true, "tags": ["x", "y"], "nothing": null},
            {"name": "two", "n": 2, "ready": false, "deep": {"name": "inner"}},
            {"name": "three", "n": 3.5},
        ],
        "status": {"conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Progressing", "status": "False"},
        ]},
        "nil": null,
        "scalar": 5,
    })
}

fn find(template: &str, missing: Missing) -> Result<Value, String> {
    let document = document();
    let path = JsonPath::parse(template).map_err(|error| error.to_string())?;
    let results = path
        .find(&document, missing)
        .map_err(|error| error.to_string())?;
    Ok(Value::Array(
        results.into_iter().map(Cow::into_owned).collect(),
    ))
}

#[test]
fn every_selector() {
    for (template, results) in [
        ("{.kind}", json!(["Deployment"])),
        ("{$.kind}", json!(["Deployment"])),
        ("{@.kind}", json!(["Deployment"])),
        ("{ .kind }", json!(["Deployment"])),
        ("{['kind']}", json!(["Deployment"])),
        ("{[\"kind\"]}", json!(["Deployment"])),
        ("{.metadata['name']}", json!(["n1"])),
        ("{.metadata.labels.a-b}", json!(["dash"])),
        (
            "{.metadata.labels.app\\.kubernetes\\.io/name}",
            json!(["web"]),
        ),
        (
            "{.metadata.labels['app\\.kubernetes\\.io/name']}",
            json!(["web"]),
        ),
        (
            "{.metadata.labels['app.kubernetes.io/name']}",
            json!(["web"]),
        ),
        ("{.metadata['labels.a-b']}", json!(["dash"])),
        ("{.items[0].name}", json!(["one"])),
        ("{.items[].name}", json!(["one"])),
        ("{.items[-1].name}", json!(["three"])),
        ("{.items[0:2].name}", json!(["one", "two"])),
        ("{.items[:].name}", json!(["one", "two", "three"])),
        ("{.items[::2].name}", json!(["one", "three"])),
        ("{.items[-2:].name}", json!(["two", "three"])),
        ("{.items[1:1].name}", json!([])),
        ("{.items[*].name}", json!(["one", "two", "three"])),
        ("{.items[0,2].name}", json!(["one", "three"])),
        ("{.items[0]['name', 'n']}", json!(["one", 1])),
        ("{.items[0].tags.*}", json!(["x", "y"])),
        (
            "{.metadata.labels.*}",
            json!([{"b": "nested"}, "dash", "web"]),
        ),
        ("{..name}", json!(["one", "two", "inner", "three", "n1"])),
        ("{.items..name}", json!(["one", "two", "inner", "three"])),
        ("{.items[?(@.n>1)].name}", json!(["two", "three"])),
        ("{.items[?(@.n>=2)].name}", json!(["two", "three"])),
        ("{.items[?(@.n<2)].name}", json!(["one"])),
        ("{.items[?(@.n<=2)].name}", json!(["one", "two"])),
        ("{.items[?(@.n==3.5)].name}", json!(["three"])),
        ("{.items[?(@.name==\"two\")].n}", json!([2])),
        ("{.items[?(@.name == 'two')].n}", json!([2])),
        ("{.items[?(@.name!=\"two\")].n}", json!([1, 3.5])),
        ("{.items[?(\"two\"==@.name)].n}", json!([2])),
        ("{.items[?(@.tags)].name}", json!(["one"])),
        ("{.items[?(@.nothing)].name}", json!(["one"])),
        ("{.items[?(@.tags[7])].name}", json!([])),
        ("{.items[?(@.deep.name==\"inner\")].name}", json!(["two"])),
        (
            "{.status.conditions[?(@.type==\"Ready\")].status}",
            json!(["True"]),
        ),
        ("{.status.conditions[?(@.type==\")\")].status}", json!([])),
        ("{.nil}", json!([null])),
        ("{.nil[0]}", json!([])),
        ("{.nil.x}", json!([])),
        ("{5} {true} {\"a\\tb\"}", json!([5, " ", true, " ", "a\tb"])),
        ("plain", json!(["plain"])),
        ("", json!([])),
    ] {
        assert_eq!(find(template, Missing::Allow), Ok(results), "{template}");
    }
    assert_eq!(find("{@}", Missing::Error), Ok(json!([document()])));
    assert_eq!(find("{.}", Missing::Error), Ok(json!([document()])));
}

/// Where ours is meant to differ from client-go.
fn deliberate(path: &str) -> Option<&'static str> {
    let reasons: &[(&[&str], &str)] = &[
        (
            &["{.a[\"b\"]}", "{[\"kind\"]}"],
            "keys may stand in double quotes",
        ),
        (
            &["{.a['h.i/j']}"],
            "a dot in quotes is part of the key, if there is such a key",
        ),
        (&["{.}"], "a dot alone is the whole object"),
        (&["{.s.*}"], "text has no elements"),
        (&["{.m[?(@.r[5])].k}"], "what can't be found doesn't exist"),
        (
            &["{.a.b[?(@.n=x)]}", "{.a.b[?(@.n==x)]}"],
            "bare words are refused on parsing",
        ),
    ];
    reasons
        .iter()
        .find(|(paths, _)| paths.contains(&path))
        .map(|(_, reason)| *reason)
}

/// What client-go makes of the same paths; `tests/golden/paths.go` writes the file. Its maps have no order, so groups are compared
/// without one.
#[test]
fn finds_what_client_go_finds() {
    let golden: Value = serde_json::from_str(include_str!("../tests/golden/paths.json")).unwrap();
    let sorted = |groups: &Value| -> Vec<Vec<String>> {
        let groups = groups.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts = |group: &Value| {
            group
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
        };
        let mut groups: Vec<Vec<String>> = groups.iter().map(texts).collect();
        groups.iter_mut().for_each(|group| group.sort());
        groups
    };
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let path = case["path"].as_str().unwrap();
        let document =
            &golden["documents"][usize::try_from(case["document"].as_u64().unwrap()).unwrap()];
        let missing = if case["missing"] == "allow" {
            Missing::Allow
        } else {
            Missing::Error
        };
        let ours = JsonPath::parse(path).and_then(|path| {
            let groups = path.find_groups(document, missing)?;
            Ok(groups
                .into_iter()
                .map(|group| group.into_iter().map(Cow::into_owned).collect::<Vec<_>>())
                .collect::<Value>())
        });
        let same = match (&ours, case.get("error")) {
            (Ok(ours), None) => sorted(ours) == sorted(&case["groups"]),
            (ours, error) => ours.is_err() && error.is_some(),
        };
        if !same && deliberate(path).is_none() {
            wrong.push(format!(
                "{path} {missing:?}\n  go:   {} {}\n  ours: {ours:?}",
                case["groups"], case["error"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn missing_keys_in_both_modes() {
    for (template, message) in [
        ("{.absent}", "absent is not found"),
        ("{.absent.deeper}", "absent is not found"),
        ("{.metadata.absent}", "absent is not found"),
        ("{.scalar.x}", "x is not found"),
        ("{.nil.x}", "x is not found"),
        ("{.items[*].absent}", "absent is not found"),
        ("{.items[?(@.ready==true)].absent}", "ready is not found"),
        ("{..absent}", "absent is not found"),
    ] {
        assert_eq!(find(template, Missing::Allow), Ok(json!([])), "{template}");
        assert_eq!(
            find(template, Missing::Error),
            Err(message.to_owned()),
            "{template}"
        );
    }
    // Found in some elements is found.
    assert_eq!(
        find("{.items[*].tags[0]}", Missing::Error),
        Ok(json!(["x"]))
    );
    assert_eq!(find("{.absent[?(@.a==1)]}", Missing::Allow), Ok(json!([])));
}

#[test]
fn evaluation_errors_have_client_go_texts() {
    for (template, message) in [
        (
            "{.items[3]}",
            "array index out of bounds: index 3, length 3",
        ),
        (
            "{.items[-4]}",
            "array index out of bounds: index -1, length 3",
        ),
        (
            "{.items[0:4]}",
            "array index out of bounds: index 3, length 3",
        ),
        (
            "{.items[2:1]}",
            "starting index 2 is greater than ending index 1",
        ),
        ("{.items[0:2:0]}", "step must be > 0"),
        (
            "{.metadata[0]}",
            "map[string]interface {} is not array or slice",
        ),
        ("{.scalar[0]}", "int64 is not array or slice"),
        (
            "{.metadata[?(@.a)]}",
            "map[string]interface {} is not array or slice and cannot be filtered",
        ),
        (
            "{.nil[?(@.a)]}",
            "<nil> is not array or slice and cannot be filtered",
        ),
        (
            "{.items[?(@.name==1)]}",
            "incompatible types for comparison",
        ),
        ("{.items[?(@.tags==\"x\")]}", "invalid type for comparison"),
        ("{.items[?(@.ready<true)]}", "invalid type for comparison"),
        ("{.items[?(@.nothing==1)]}", "invalid type for comparison"),
        (
            "{.items[?(@.tags[*]==\"x\")]}",
            "can only compare one element at a time",
        ),
    ] {
        assert_eq!(
            find(template, Missing::Allow),
            Err(message.to_owned()),
            "{template}"
        );
    }
}

#[test]
fn syntax_errors_have_a_column() {
    for (template, message) in [
        ("{.a", "unclosed action (column 4)"),
        ("{.a\n}", "unclosed action (column 4)"),
        ("{.a[0}", "invalid array index 0} (column 4)"),
        ("{.a[x]}", "invalid array index x (column 4)"),
        ("{.a[-]}", "array index - is not a number (column 5)"),
        ("{.a[ 0 ]}", "invalid array index  0  (column 4)"),
        ("{.a[0 ]}", "invalid array index 0  (column 4)"),
        ("{.a['x]}", "unterminated array (column 5)"),
        (
            "{.a,.b}",
            "unrecognized character in action: U+002C ',' (column 4)",
        ),
        ("{.a[?(@.b)}", "unclosed array expect ] (column 10)"),
        ("{.a[?(@.b==\"x)]}", "unterminated filter (column 4)"),
        (
            "{.a[?(@.b=\"x\")]}",
            "unrecognized filter operator = (column 10)",
        ),
        ("{.a[?(@.b==)]}", "filter has an empty side (column 12)"),
        (
            "{.a[?(@.b==\"x\" && @.c==\"y\")]}",
            "unrecognized character in action: U+0026 '&' (column 16)",
        ),
        (
            "{.a[?(@.b==\"x\" || @.c)]}",
            "unrecognized character in action: U+007C '|' (column 16)",
        ),
        ("{.a[?(@.b==x)]}", "unrecognized identifier x (column 12)"),
        ("{....a}", "invalid multiple recursive descent (column 4)"),
        ("{status}", "unrecognized identifier status (column 2)"),
        ("{end}", "not in range, nothing to end (column 1)"),
        ("{\"a}", "unterminated quoted string (column 2)"),
        ("{\"\\q\"}", "invalid escape in quoted string (column 3)"),
        ("{1.2.3}", "cannot parse number 1.2.3 (column 2)"),
        ("é{.a", "unclosed action (column 5)"),
    ] {
        assert_eq!(
            find(template, Missing::Allow),
            Err(message.to_owned()),
            "{template}"
        );
    }
    assert_eq!(
        JsonPath::parse("{status}").unwrap_err().kind,
        Kind::Evaluation
    );
    assert_eq!(JsonPath::parse("{.a").unwrap_err().kind, Kind::Syntax);
}

#[test]
fn paths_without_braces() {
    let document = document();
    for text in [
        "metadata.name",
        ".metadata.name",
        "$.metadata.name",
        "{.metadata.name}",
        " metadata.name",
        "['metadata'].name",
    ] {
        let path = JsonPath::parse_relaxed(text).unwrap();
        assert_eq!(
            path.render(&document, Missing::Error).unwrap(),
            "n1",
            "{text}"
        );
    }
    assert_eq!(
        JsonPath::parse_path(".kind").unwrap(),
        JsonPath::parse("{.kind}").unwrap()
    );
    assert_eq!(
        JsonPath::parse_path("status").unwrap_err().to_string(),
        "unrecognized identifier status (column 1)"
    );
    assert_eq!(JsonPath::parse_path(".a[").unwrap_err().column, 3);
    assert!(JsonPath::parse_path(".a}").is_err());
    assert!(JsonPath::parse_relaxed("a.b}").is_err());
    assert_eq!(
        JsonPath::parse_relaxed("items[1].name")
            .unwrap()
            .render(&document, Missing::Error)
            .unwrap(),
        "two"
    );
}

#[test]
fn templates_are_rendered_as_kubectl_prints() {
    let document = document();
    let render = |template: &str| {
        JsonPath::parse(template)
            .unwrap()
            .render(&document, Missing::Allow)
            .unwrap()
    };
    assert_eq!(
        render("{range .items[*]}{.name}={.n}{\"\\n\"}{end}done"),
        "one=1\ntwo=2\nthree=3.5\ndone"
    );
    assert_eq!(
        render("{range .items[*]}{range .tags[*]}{@},{end}{.name};{end}"),
        "x,y,one;two;three;"
    );
    assert_eq!(render("{range .absent[*]}never{end}x"), "x");
    assert_eq!(render("{range .items[*]}{.n} "), "1 2 3.5 ");
    assert_eq!(render("{.items[*].name}"), "one two three");
    assert_eq!(
        render("{.items[0].tags}{.metadata.labels.a}"),
        "[\"x\",\"y\"]{\"b\":\"nested\"}"
    );
    assert_eq!(render("{.nil}"), "null");
}

#[test]
fn limits_hold() {
    let long = format!("{{.{}}}", "a".repeat(MAX_TEMPLATE_BYTES));
    assert_eq!(JsonPath::parse(&long).unwrap_err().kind, Kind::Limit);
    let nested = format!("{{{}.a{}}}", "[?(".repeat(40), ")]".repeat(40));
    assert!(JsonPath::parse(&nested).is_err());
    let ranges = "{range .a[*]}".repeat(MAX_NESTING + 1);
    assert!(
        JsonPath::parse(&ranges)
            .unwrap_err()
            .to_string()
            .contains("nested ranges")
    );
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    let path = JsonPath::parse(&format!("{{{}}}", "..a".repeat(12))).unwrap();
    assert_eq!(
        path.find(&deep, Missing::Allow).unwrap_err().kind,
        Kind::Limit
    );
}

#[test]
fn fields_are_removed_where_the_path_leads() {
    let mut value = json!({"spec": {"replicas": 3, "containers": [{"name": "c1", "image": "a"}, {"name": "c2", "image": "b"}]}});
    assert_eq!(remove_field(".spec.replicas", &mut value), Ok(1));
    assert_eq!(
        remove_field(".spec.containers[?(@.name==\"c1\")].image", &mut value),
        Ok(1)
    );
    assert_eq!(remove_field(".spec.absent.image", &mut value), Ok(0));
    assert_eq!(remove_field(".spec.containers[0]", &mut value), Ok(0));
    assert_eq!(
        value,
        json!({"spec": {"containers": [{"name": "c1"}, {"name": "c2", "image": "b"}]}})
    );
    assert_eq!(remove_field(".spec.containers[*].name", &mut value), Ok(2));
    assert_eq!(remove_field("spec", &mut value), Ok(1));
    assert_eq!(value, json!({}));
    assert!(remove_field(".a[.b", &mut value).is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".*", value in any_value()) {
        for path in [JsonPath::parse(&text), JsonPath::parse_path(&text), JsonPath::parse_relaxed(&text)].into_iter().flatten() {
            let _ = path.render(&value, Missing::Allow);
            let _ = path.find(&value, Missing::Error);
        }
    }

    #[test]
    fn path_like_text_never_panics(
        text in "(\\{|\\}|\\.|\\.\\.|\\[|\\]|\\[\\?\\(|\\)|@|\\$|a|b|'|\"|\\\\|,|:|-1|0|2|\\*|==|<|range |end|true| |\n){0,24}",
        value in any_value(),
    ) {
        for path in [JsonPath::parse(&text), JsonPath::parse_path(&text), JsonPath::parse_relaxed(&text)].into_iter().flatten() {
            let _ = path.render(&value, Missing::Allow);
            let _ = path.find(&value, Missing::Error);
        }
        let _ = remove_field(&text, &mut value.clone());
    }

    #[test]
    fn escaped_names_find_their_key(name in "[a-z./_-]{1,12}", number in any::<i64>()) {
        let value = json!({ &name: number });
        let dotted = format!("{{.{}}}", name.replace('.', "\\."));
        let quoted = format!("{{['{}']}}", name.replace('.', "\\."));
        for template in [dotted, quoted] {
            let path = JsonPath::parse(&template).unwrap();
            let results = path.find(&value, Missing::Error).unwrap();
            prop_assert_eq!(results.len(), 1);
            prop_assert_eq!(results[0].as_ref(), &json!(number));
        }
    }

    #[test]
    fn allowing_missing_keys_only_turns_errors_into_nothing(
        text in "\\{(\\.[a-c]|\\[[0-2]\\]|\\[\\*\\]|\\.\\*|\\.\\.[a-c]|\\[\\?\\(@\\.[a-c]\\)\\]){1,4}\\}", value in any_value(),
    ) {
        let path = JsonPath::parse(&text).unwrap();
        if let Ok(strict) = path.find(&value, Missing::Error) {
            prop_assert_eq!(Ok(strict), path.find(&value, Missing::Allow));
        }
    }
}
