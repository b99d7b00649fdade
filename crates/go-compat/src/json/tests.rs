use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Serialize)]
struct Order {
    zulu: u8,
    alpha: f32,
    raw: Box<serde_json::value::RawValue>,
}

#[test]
fn floats_are_written_as_go_writes_them() {
    let value = json!([
        1.0,
        123_456_789.0,
        1e20,
        1e21,
        1.5e300,
        1e-6,
        1e-7,
        2.5,
        -0.0
    ]);
    assert_eq!(
        to_string_sorted(&value),
        "[1,123456789,100000000000000000000,1e+21,1.5e+300,0.000001,1e-7,2.5,-0]"
    );
}

#[test]
fn integers_stay_exact_beyond_53_bits() {
    let value: Value =
        serde_json::from_str("[9007199254740993,18446744073709551615,-9223372036854775808]")
            .unwrap();
    assert_eq!(
        to_string_sorted(&value),
        "[9007199254740993,18446744073709551615,-9223372036854775808]"
    );
}

#[test]
fn strings_are_escaped_as_go_escapes_them() {
    let value = json!("<a href=\"x\">&\u{2028}\u{2029}</a>\u{8}\u{c}\n\r\t\u{1}\u{7f}é");
    assert_eq!(
        to_string(&value).unwrap(),
        "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u2028\\u2029\\u003c/a\\u003e\\b\\f\\n\\r\\t\\u0001\u{7f}é\""
    );
    assert_eq!(
        to_string_with(&value, EscapeHtml::Off).unwrap(),
        "\"<a href=\\\"x\\\">&\\u2028\\u2029</a>\\b\\f\\n\\r\\t\\u0001\u{7f}é\""
    );
}

#[test]
fn maps_are_sorted_structs_keep_their_order_and_raw_json_is_compacted() {
    assert_eq!(
        to_string(&json!({"b": 1, "a": {"d": null, "c": []}})).unwrap(),
        r#"{"a":{"c":[],"d":null},"b":1}"#
    );
    let raw =
        serde_json::value::RawValue::from_string("{ \"k y\" : [ 1 , \"a \\\" <\" ] }".to_owned())
            .unwrap();
    let order = Order {
        zulu: 1,
        alpha: 0.1,
        raw,
    };
    assert_eq!(
        to_string(&order).unwrap(),
        r#"{"zulu":1,"alpha":0.1,"raw":{"k y":[1,"a \" \u003c"]}}"#
    );
}

#[test]
fn indentation_is_that_of_marshal_indent() {
    let value = json!({"a": [1, {"b": "x:{,"}], "e": {}, "l": []});
    assert_eq!(
        to_string_indented(&value, "  ").unwrap(),
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x:{,\"\n    }\n  ],\n  \"e\": {},\n  \"l\": []\n}"
    );
}

proptest! {
    #[test]
    fn written_text_reads_back_to_the_same_value(text in ".*", number in any::<f64>(), integer in any::<i64>()) {
        let value = json!({ "t": text, "i": integer, &text: [text.as_str()] });
        let back: Value = serde_json::from_str(&to_string(&value).unwrap()).unwrap();
        prop_assert_eq!(&back["t"], &value["t"]);
        prop_assert_eq!(&back["i"], &value["i"]);
        prop_assert_eq!(to_string(&number).unwrap().parse(), Ok(number));
    }

    #[test]
    fn compact_drops_white_space_only(text in "\\PC*", integer in any::<i64>()) {
        let value = json!({ "t": text, "l": [integer, {"x": text.as_str()}], "e": {} });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(compact(&pretty), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn compact_never_panics(text in ".*") {
        let _ = compact(&text);
    }
}
