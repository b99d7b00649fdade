use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

fn config(text: &str) -> Value {
    from_str_config(text).unwrap()
}

fn k8s(text: &str) -> Value {
    from_str_k8s(text).unwrap()
}

#[test]
fn booleans_depend_on_the_profile() {
    for word in ["yes", "on", "y", "NO", "off"] {
        assert_eq!(config(word), json!(word), "{word}");
        assert!(k8s(word).is_boolean(), "{word}");
    }
    for word in ["true", "True", "TRUE"] {
        assert_eq!(config(word), json!(true));
        assert_eq!(k8s(word), json!(true));
    }
}

#[test]
fn numbers_are_read_alike_in_both_profiles() {
    for read in [config, k8s] {
        assert_eq!(
            read("[017, 0o17, 0x1F, 0b11, 1_000]"),
            json!([15, 15, 31, 3, 1000])
        );
        assert_eq!(read("08").as_f64(), Some(8.0));
        assert_eq!(read("[4.10, 1e3]"), json!([4.1, 1000.0]));
        assert_eq!(read("2026-01-01"), json!("2026-01-01"));
        assert_eq!(read("[null, ~, ]"), json!([null, null]));
        assert_eq!(read(""), json!(null));
    }
    for text in ["a: .inf", "a: 1e400"] {
        let error = from_str_config::<Value>(text).unwrap_err();
        assert_eq!((error.line, error.column), (1, 4), "{error}");
    }
}

#[test]
fn merge_keys_aliases_and_block_text() {
    assert_eq!(
        config("base: &b {x: 1, y: 2}\nme:\n  <<: *b\n  y: 3\ntext: |\n  a\n  b\n"),
        json!({"base": {"x": 1, "y": 2}, "me": {"x": 1, "y": 3}, "text": "a\nb\n"})
    );
}

#[test]
fn duplicate_key_is_an_error_with_its_position() {
    for text in ["a: 1\nb: 2\na: 3\n", "top:\n  a: 1\n  a: 1\n"] {
        let error = from_str_config::<Value>(text).unwrap_err();
        assert_eq!(error.line, 3, "{error}");
        assert!(error.message.contains("duplicate"), "{error}");
        assert!(documents_k8s(text).is_err());
    }
}

#[test]
fn errors_name_line_column_and_key() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        items: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        count: u32,
    }
    let error = from_str_config::<Outer>("items:\n  - count: 1\n  - count: many\n").unwrap_err();
    assert_eq!(
        (error.line, error.column, error.path.as_str()),
        (3, 12, "items[1].count"),
        "{error}"
    );
    assert!(!error.message.contains("line 3"), "{error}");
    let error = from_str_config::<Outer>("items:\n  - cuont: 1\n").unwrap_err();
    assert_eq!(error.line, 2, "{error}");
    assert!(error.message.contains("cuont"), "{error}");
    let error = from_str_config::<Value>("a: [1, 2\nb: 3\n").unwrap_err();
    assert!(error.line > 0, "{error}");
    let error = from_str_config::<Value>("name: {{ .x }}-y\n").unwrap_err();
    assert_eq!(error.line, 1, "{error}");
}

#[test]
fn alias_bomb_is_stopped_quickly() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let previous = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![previous; 10].join(", ")
        ));
    }
    let start = Instant::now();
    assert!(from_str_config::<Value>(&text).is_err());
    assert!(documents_k8s(&text).is_err());
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let deep = "[".repeat(5_000);
    assert!(from_str_config::<Value>(&deep).is_err());
    let deep: String = (0..2_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert!(from_str_k8s::<Value>(&deep).is_err());
    let fine: String = (0..63)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert!(from_str_k8s::<Value>(&fine).is_ok());
}

#[test]
fn documents_leave_out_empty_ones() {
    let text = "---\na: 1\n---\n---\n# nothing\n---\nb: yes\n...\n---\nc: 3\n";
    assert_eq!(
        documents_k8s(text).unwrap(),
        [json!({"a": 1}), json!({"b": true}), json!({"c": 3})]
    );
    assert_eq!(documents_config("a: yes\n").unwrap(), [json!({"a": "yes"})]);
    assert!(documents_k8s("a: 1\n---\nb: [\n").unwrap_err().line >= 3);
    assert!(documents_k8s("\u{feff}a: 1\r\nb: 2\r\n").is_ok());
}

#[test]
fn several_documents_where_one_is_wanted_are_an_error() {
    assert!(from_str_config::<Value>("a: 1\n---\nb: 2\n").is_err());
}

#[test]
fn written_text_is_safe_for_other_readers() {
    let value = json!({
        "yes": "yes", "n": "1", "hex": "0x1F", "date": "2026-01-01", "null": "null", "empty": "", "float": 3.0, "half": 2.5,
        "list": [{"b": 1, "a": true}], "text": "a\nb\n", "none": null, "map": {}, "k10": 1, "k9": 1,
    });
    let text = to_string(&value).unwrap();
    assert!(text.contains("float: 3\n"), "{text}");
    assert!(text.contains("list:\n- a: true\n  b: 1\n"), "{text}");
    assert!(text.contains("text: |\n  a\n  b\n"), "{text}");
    assert!(
        text.find("k9:").unwrap() < text.find("k10:").unwrap(),
        "{text}"
    );
    for word in ["yes", "1", "0x1F", "2026-01-01", "null"] {
        assert!(
            text.contains(&format!(": \"{word}\"\n")) || text.contains(&format!(": '{word}'\n")),
            "{word}: {text}"
        );
    }
    let mut back = k8s(&text);
    assert_eq!(back["float"].take(), json!(3));
}

#[test]
fn long_text_is_not_folded() {
    let long = "word ".repeat(100).trim().to_owned();
    let text = to_string(&json!({ "a": long })).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(yes|no|on|1|0x1|017|null|~|true|- a|a: b|#c|\\{\\}|\\n| x|x )".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z0-9./: -]{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_in_both_profiles(value in tree()) {
        let text = to_string(&value).unwrap();
        prop_assert_eq!(&config(&text), &value, "{}", text);
        prop_assert_eq!(&k8s(&text), &value, "{}", text);
    }

    #[test]
    fn reading_never_panics(text in "([ \\-\\[\\]{},:&*!|>'\"%@`#?a-c0-9\\n]|\\PC){0,60}") {
        let _ = from_str_config::<Value>(&text);
        let _ = documents_k8s(&text);
    }
}
