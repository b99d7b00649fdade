//! Conditions as upstream's maestro-cli understands them, for scripts that rely on it.
//!
//! OR binds tighter than AND, unless the text begins with a parenthesis: then what follows is combined with the whole rest.
//! Malformed text is false. The first matching resource decides a comparison. `==` and `!=` are never true.

use std::cmp::Ordering;

use manifestwork::{Condition, ConditionStatus, ManifestCondition};
use serde_json::Value;

use super::{Snapshot, evaluate};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 50;

/// True if the text holds.
#[must_use]
pub fn holds(text: &str, snapshot: Snapshot<'_>) -> bool {
    expression(text.trim(), snapshot, 0)
}

fn expression(text: &str, snapshot: Snapshot<'_>, depth: usize) -> bool {
    if text.is_empty() || depth > MAX_DEPTH {
        return false;
    }
    if text.starts_with('(') {
        let Some(end) = closing(text) else {
            return false;
        };
        let inner = expression(text[1..end].trim(), snapshot, depth + 1);
        let rest = text[end + 1..].trim();
        if rest.is_empty() {
            return inner;
        }
        for (words, is_and) in [(["AND", "&&"], true), (["OR", "||"], false)] {
            for word in words {
                if let Some(rest) = rest.strip_prefix(word) {
                    let rest = expression(rest.trim(), snapshot, depth + 1);
                    return if is_and { inner && rest } else { inner || rest };
                }
            }
        }
        return false;
    }
    let parts = split(text, ["AND", "&&"]);
    if parts.len() > 1 {
        return parts
            .iter()
            .all(|part| expression(part.trim(), snapshot, depth + 1));
    }
    let parts = split(text, ["OR", "||"]);
    if parts.len() > 1 {
        return parts
            .iter()
            .any(|part| expression(part.trim(), snapshot, depth + 1));
    }
    term(text, snapshot)
}

/// The position of the parenthesis that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at a word between blanks or at its symbol, outside of parentheses.
fn split<'a>(text: &'a str, [word, symbol]: [&str; 2]) -> Vec<&'a str> {
    let bytes = text.as_bytes();
    let blank = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_whitespace)
    };
    let (mut parts, mut depth, mut start, mut at) = (Vec::new(), 0_usize, 0, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if depth > 0 {
            0
        } else if rest.starts_with(symbol.as_bytes()) {
            symbol.len()
        } else if rest.starts_with(word.as_bytes())
            && blank(at.checked_sub(1))
            && blank(Some(at + word.len()))
        {
            word.len()
        } else {
            0
        };
        match bytes[at] {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if length > 0 {
            parts.push(&text[start..at]);
            at += length;
            start = at;
        } else {
            at += 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn term(text: &str, snapshot: Snapshot<'_>) -> bool {
    match text.split_once(':') {
        None => work(text, snapshot.conditions),
        Some((selector, check)) => resource(selector.trim(), check.trim(), snapshot.resources),
    }
}

/// A true condition that isn't older than a true Applied.
fn work(name: &str, conditions: &[Condition]) -> bool {
    let is = |condition: &&Condition, name: &str| {
        condition.type_.eq_ignore_ascii_case(name) && condition.status == ConditionStatus::True
    };
    let Some(found) = conditions.iter().find(|condition| is(condition, name)) else {
        return false;
    };
    if name.eq_ignore_ascii_case("Applied") {
        return true;
    }
    let applied = conditions.iter().find(|condition| is(condition, "Applied"));
    match (
        found.last_transition_time,
        applied.and_then(|applied| applied.last_transition_time),
    ) {
        (Some(found), Some(applied)) => found >= applied,
        _ => true,
    }
}

fn resource(selector: &str, check: &str, resources: &[ManifestCondition]) -> bool {
    let parts: Vec<&str> = selector.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind] => (*kind, None, None),
        [kind, name] => (*kind, None, Some(*name)),
        [kind, namespace, name] => (*kind, Some(*namespace), Some(*name)),
        _ => return false,
    };
    let same = |wanted: Option<&str>, found: &str| {
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    let mut matching = resources.iter().filter(|resource| {
        let meta = &resource.resource_meta;
        kind.eq_ignore_ascii_case(&meta.kind)
            && same(namespace, &meta.namespace)
            && same(name, &meta.name)
    });
    for symbol in [">=", "<=", ">", "<", "="] {
        if let Some((path, value)) = check.split_once(symbol) {
            let found = matching
                .next()
                .and_then(|first| evaluate::feedback(first, path.trim()));
            return found.is_some_and(|found| compare(&found, symbol, value.trim()));
        }
    }
    matching.any(|resource| evaluate::has_condition(resource, check))
}

fn compare(found: &Value, symbol: &str, wanted: &str) -> bool {
    let order = || evaluate::order(found, wanted);
    match symbol {
        "=" => match found {
            Value::String(text) => text.eq_ignore_ascii_case(wanted),
            Value::Bool(truth) => wanted == if *truth { "true" } else { "false" },
            Value::Number(number) if number.is_f64() => order() == Some(Ordering::Equal),
            Value::Number(number) => number.to_string() == wanted,
            _ => false,
        },
        ">=" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        "<=" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
        ">" => order() == Some(Ordering::Greater),
        _ => order() == Some(Ordering::Less),
    }
}
