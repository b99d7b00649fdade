//! `config-dump`: both configs merged, redacted, as YAML.

use serde_json::Value;

use super::load::Loaded;

/// Order of the top-level keys.
const ORDER: [&str; 8] = [
    "post",
    "log",
    "adapter",
    "params",
    "preconditions",
    "resources",
    "clients",
    "debug_config",
];
/// Spaces per level.
const INDENT: usize = 4;

/// The merged configuration, 4 spaces per level. Credentials' places are redacted, file contents are in place.
#[must_use]
pub fn dump(loaded: &Loaded) -> String {
    let mut merged = loaded.config.to_redacted_value();
    if let (Value::Object(merged), Value::Object(task)) = (&mut merged, loaded.task.to_value()) {
        merged.extend(task);
    }
    let Value::Object(merged) = merged else {
        return String::new();
    };
    let mut keys: Vec<&String> = merged.keys().collect();
    keys.sort_by_key(|key| {
        ORDER
            .iter()
            .position(|known| known == key)
            .unwrap_or(ORDER.len())
    });
    let mut out = String::new();
    for key in keys {
        if let Some(value) = merged.get(key) {
            let one = Value::Object([(key.clone(), value.clone())].into_iter().collect());
            let options =
                serde_saphyr::ser_options! { indent_step: INDENT, folded_wrap_chars: usize::MAX };
            out.push_str(&serde_saphyr::to_string_with_options(&one, options).unwrap_or_default());
        }
    }
    out
}
