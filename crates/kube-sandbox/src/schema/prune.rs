//! Taking out unknown fields and filling in defaults.

use serde_json::{Map, Value};

use super::{Additional, Schema};

/// Members of every object's root that schemas needn't declare.
const ROOT_MEMBERS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes unknown fields. A `root` object keeps `apiVersion`, `kind` and `metadata`.
pub fn prune(value: &mut Value, schema: &Schema, root: bool) {
    visit(value, schema, root, "", &mut |object, name, _| {
        object.remove(name);
    });
}

/// The paths of unknown fields, for strict requests.
pub fn unknown_fields(value: &Value, schema: &Schema, root: bool) -> Vec<String> {
    let mut found = Vec::new();
    visit(&mut value.clone(), schema, root, "", &mut |_, _, path| {
        found.push(path.to_owned())
    });
    found
}

type OnUnknown<'a> = dyn FnMut(&mut Map<String, Value>, &str, &str) + 'a;

fn visit(
    value: &mut Value,
    schema: &Schema,
    root: bool,
    path: &str,
    on_unknown: &mut OnUnknown<'_>,
) {
    match value {
        Value::Object(object) => {
            let names: Vec<String> = object.keys().cloned().collect();
            for name in names {
                if root && ROOT_MEMBERS.contains(&name.as_str()) {
                    continue;
                }
                let child_path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match schema.member(&name) {
                    Some(child) => {
                        if let Some(value) = object.get_mut(&name) {
                            visit(value, child, child.embedded, &child_path, on_unknown);
                        }
                    }
                    None if schema.keeps_unknown() => {}
                    None => on_unknown(object, &name, &child_path),
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = &schema.items {
                for (index, item) in items.iter_mut().enumerate() {
                    visit(
                        item,
                        item_schema,
                        item_schema.embedded,
                        &format!("{path}[{index}]"),
                        on_unknown,
                    );
                }
            }
        }
        _ => {}
    }
}

/// Fills in defaults. Nulls of fields that can't be null and have a default count as absent.
pub fn apply_defaults(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(object) => {
            for (name, child) in &schema.properties {
                if let Some(default) = &child.default {
                    let absent = match object.get(name) {
                        None => true,
                        Some(Value::Null) => !child.nullable,
                        Some(_) => false,
                    };
                    if absent {
                        object.insert(name.clone(), default.clone());
                    }
                }
                if let Some(value) = object.get_mut(name) {
                    apply_defaults(value, child);
                }
            }
            if let Additional::Schema(child) = &schema.additional {
                for (name, value) in object.iter_mut() {
                    if !schema.properties.contains_key(name) {
                        apply_defaults(value, child);
                    }
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = &schema.items {
                items
                    .iter_mut()
                    .for_each(|item| apply_defaults(item, item_schema));
            }
        }
        _ => {}
    }
}
