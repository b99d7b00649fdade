//! Field paths: Kubernetes JSONPath, with or without braces.

use jsonpath::{JsonPath, Missing};
use serde_json::Value;

use super::SyntaxError;

/// A compiled path.
#[derive(Debug, Clone)]
pub(crate) struct FieldPath {
    text: String,
    path: Option<JsonPath>,
}

impl FieldPath {
    pub(crate) fn compile(text: &str) -> Result<Self, SyntaxError> {
        let path = JsonPath::parse_relaxed(text).map_err(|error| SyntaxError {
            line: 1,
            column: error.column,
            message: error.message,
        })?;
        Ok(Self {
            text: text.to_owned(),
            path: Some(path),
        })
    }

    /// A path that finds nothing: stands in for one that did not compile.
    pub(crate) fn nothing() -> Self {
        Self {
            text: String::new(),
            path: None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// One result is the value, several are a list, none or a blank text is null. `Err` says what was missing.
    pub(crate) fn find(&self, value: &Value) -> Result<Value, String> {
        let Some(path) = &self.path else {
            return Ok(Value::Null);
        };
        let mut found = path
            .find(value, Missing::Error)
            .map_err(|error| error.message)?;
        Ok(match found.len() {
            0 => Value::Null,
            1 => match found.remove(0).into_owned() {
                Value::String(text) if text.trim().is_empty() => Value::Null,
                value => value,
            },
            _ => Value::Array(
                found
                    .into_iter()
                    .map(std::borrow::Cow::into_owned)
                    .collect(),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_take_the_shape_that_configs_rely_on() {
        let data = json!({"items": [{"adapter": "a", "n": 1}, {"adapter": "b", "n": 2}, {"adapter": "b", "n": 3}],
            "name": "x", "blank": " ", "none": null});
        let find = |path: &str| FieldPath::compile(path).unwrap().find(&data);
        assert_eq!(find("{.items[*].adapter}"), Ok(json!(["a", "b", "b"])));
        assert_eq!(find("{.items[0].adapter}"), Ok(json!("a")));
        assert_eq!(find(".items[0].adapter"), Ok(json!("a")));
        assert_eq!(find("name"), Ok(json!("x")));
        assert_eq!(find("{.items[?(@.adapter=='b')].n}"), Ok(json!([2, 3])));
        assert_eq!(find("{.items[?(@.adapter=='a')].n}"), Ok(json!(1)));
        assert_eq!(find("blank"), Ok(Value::Null));
        assert_eq!(find("none"), Ok(Value::Null));
        assert!(find("missing.deep").is_err() && find("none.deep").is_err());
        assert!(FieldPath::compile("{.a[").is_err());
    }
}
