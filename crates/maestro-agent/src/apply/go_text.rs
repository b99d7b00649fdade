//! The hash over an object that tells whether it was applied before, computed as the Go agent does: MD5 over Go's
//! `%v` rendering. Agents of both kinds can therefore follow each other on a cluster without applying anything anew.
//!
//! See `docs/protocol/work-agent.md`, "Ignored fields".

use md5::{Digest, Md5};
use serde_json::Value;

/// Lower-case hex MD5 of the object as Go prints a pointer to it.
pub fn config_hash(object: &Value) -> String {
    let mut text = String::from("&{");
    render(object, &mut text);
    text.push('}');
    manifestwork::ids::hex(&Md5::digest(text.as_bytes()))
}

fn render(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => out.push_str(&integer.to_string()),
            (None, Some(float)) => out.push_str(&go_compat::number::format_g(float)),
            (None, None) => out.push_str(&number.to_string()),
        },
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                render(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            for (index, (key, item)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                render(item, out);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hash_of_a_known_object() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"},
                            "metadata": {"name": "cm1", "namespace": "default"}});
        assert_eq!(config_hash(&object), "51689043ceee64fa42b32f03b866702f");
    }

    #[test]
    fn values_read_as_go_prints_them() {
        let mut text = String::new();
        render(
            &json!({"a": null, "b": [1, 2.5, true], "c": 1_000_000.0, "d": {}}),
            &mut text,
        );
        assert_eq!(text, "map[a:<nil> b:[1 2.5 true] c:1e+06 d:map[]]");
    }
}
