//! Paths into documents: patterns that select values, and the text that a message shows.
//!
//! A pattern is a chain of segments with dots between: `name`, `{a,b}` (each of these), `*` (each member), and any of
//! them with `[]` behind (each element of the list). Null counts as absent, as the API server drops it.

use serde_json::Value;

/// What a pattern selects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found<'v> {
    /// With positions: `spec.services[0].service`.
    pub(crate) path: String,
    /// The last name of the path.
    pub(crate) field: String,
    /// What is there.
    pub(crate) what: What<'v>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What<'v> {
    /// A value.
    Value(&'v Value),
    /// Nothing, although its parent is there.
    Missing,
    /// Something that cannot have the members or elements that the pattern goes on with.
    Shape {
        expected: &'static str,
        found: &'v Value,
    },
}

/// Everything that `pattern` selects in `root`.
///
/// An absent value is reported if the path ends there or if the pattern lists it by name in braces: then the writer
/// expects it, unless it is a list whose elements are meant. A chain that is absent further up selects nothing.
pub(crate) fn select<'v>(root: &'v Value, pattern: &str) -> Vec<Found<'v>> {
    let mut found = Vec::new();
    walk(root, pattern, String::new(), "", &mut found);
    found
}

fn walk<'v>(
    value: &'v Value,
    pattern: &str,
    path: String,
    field: &str,
    found: &mut Vec<Found<'v>>,
) {
    if pattern.is_empty() {
        found.push(Found {
            path,
            field: field.to_owned(),
            what: What::Value(value),
        });
        return;
    }
    let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    let (segment, each) = segment
        .strip_suffix("[]")
        .map_or((segment, false), |segment| (segment, true));
    let Some(members) = value.as_object() else {
        found.push(Found {
            path,
            field: field.to_owned(),
            what: What::Shape {
                expected: "object",
                found: value,
            },
        });
        return;
    };
    let listed = segment
        .strip_prefix('{')
        .and_then(|names| names.strip_suffix('}'));
    let names: Vec<&str> = match (segment, listed) {
        ("*", _) => members.keys().map(String::as_str).collect(),
        (_, Some(listed)) => listed.split(',').collect(),
        (name, None) => vec![name],
    };
    for name in names {
        let path = join(&path, name);
        match members.get(name).filter(|member| !member.is_null()) {
            None if rest.is_empty() || (listed.is_some() && !each) => {
                found.push(Found {
                    path,
                    field: name.to_owned(),
                    what: What::Missing,
                });
            }
            None => {}
            Some(member) if !each => walk(member, rest, path, name, found),
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, rest, format!("{path}[{index}]"), name, found);
                }
            }
            Some(other) => {
                found.push(Found {
                    path,
                    field: name.to_owned(),
                    what: What::Shape {
                        expected: "array",
                        found: other,
                    },
                });
            }
        }
    }
}

/// The value at a path as [`Found`] shows it; null is absent.
pub(crate) fn get<'v>(root: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = root;
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let (name, indexes) = segment
            .split_once('[')
            .map_or((segment, ""), |(name, rest)| (name, rest));
        value = value.get(name)?;
        for index in indexes.split(['[', ']']).filter(|index| !index.is_empty()) {
            value = value.get(index.parse::<usize>().ok()?)?;
        }
    }
    Some(value).filter(|value| !value.is_null())
}

/// The path without its last segment.
pub(crate) fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What a JSON value is, in the API server's words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(root: &Value, pattern: &str) -> Vec<String> {
        select(root, pattern)
            .into_iter()
            .map(|found| match found.what {
                What::Value(value) => format!("{}={value}", found.path),
                What::Missing => format!("{}?", found.path),
                What::Shape { expected, .. } => format!("{}!{expected}", found.path),
            })
            .collect()
    }

    #[test]
    fn patterns_select_values_gaps_and_shapes() {
        let root = json!({"a": {"b": 1, "c": null, "l": [{"n": 1}, {}], "o": {"x": 1, "y": 2}}, "s": "text"});
        assert_eq!(paths(&root, "a.{b,c}"), ["a.b=1", "a.c?"]);
        assert_eq!(paths(&root, "a.l[].n"), ["a.l[0].n=1", "a.l[1].n?"]);
        assert_eq!(paths(&root, "a.o.*"), ["a.o.x=1", "a.o.y=2"]);
        assert_eq!(paths(&root, "z.y.x"), [""; 0]);
        assert_eq!(paths(&root, "a.{z}.x"), ["a.z?"]);
        assert_eq!(paths(&root, "s.x"), ["s!object"]);
        assert_eq!(paths(&root, "a.b[].x"), ["a.b!array"]);
    }

    #[test]
    fn shown_paths_are_found_again() {
        let root = json!({"a": {"l": [{"n": 7}]}});
        assert_eq!(get(&root, "a.l[0].n"), Some(&json!(7)));
        assert_eq!(get(&root, "a.l[1].n"), None);
        assert_eq!(parent("a.l[0].n"), "a.l[0]");
        assert_eq!(parent("a.l[0]"), "a.l");
        assert_eq!(parent("a"), "");
    }
}
