//! Label selectors and field selectors, parsed once per request.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::failure::Failure;
use crate::object::Object;
use crate::resource::Resource;

/// Longest accepted selector text, bytes.
const MAX_SELECTOR_BYTES: usize = 16 * 1024;

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    NotExists(String),
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::NotExists(key) => !labels.contains_key(key),
        }
    }
}

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    value: String,
    negated: bool,
}

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

impl Selector {
    /// Parses the query values `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 with the reason.
    pub fn parse(labels: &str, fields: &str, resource: &Resource) -> Result<Self, Failure> {
        if labels.len() > MAX_SELECTOR_BYTES || fields.len() > MAX_SELECTOR_BYTES {
            return Err(Failure::bad_request(format!(
                "selector is longer than {MAX_SELECTOR_BYTES} bytes"
            )));
        }
        let labels = parse_labels(labels).map_err(|detail| {
            Failure::bad_request(format!("unable to parse requirement: {detail}"))
        })?;
        let fields = parse_fields(fields)?;
        for term in &fields {
            let known = term.path == "metadata.name"
                || (term.path == "metadata.namespace" && resource.namespaced)
                || resource.selectable_fields.contains(&term.path);
            if !known {
                return Err(Failure::bad_request(format!(
                    "field label not supported: {}",
                    term.path
                )));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Reads a `LabelSelector` object: `matchLabels` and `matchExpressions`.
    pub fn from_label_selector(selector: &Value) -> Option<Self> {
        let mut labels = Vec::new();
        for (key, value) in selector
            .get("matchLabels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            labels.push(Requirement::In(
                key.clone(),
                vec![value.as_str()?.to_owned()],
            ));
        }
        for expression in selector
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let key = expression.get("key")?.as_str()?.to_owned();
            let values: Vec<String> = expression
                .get("values")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            labels.push(match expression.get("operator")?.as_str()? {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::NotExists(key),
                _ => return None,
            });
        }
        Some(Self {
            labels,
            fields: Vec::new(),
        })
    }

    /// Selects everything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    pub fn matches(&self, object: &Object) -> bool {
        if !self
            .labels
            .iter()
            .all(|requirement| requirement.matches(&object.labels))
        {
            return false;
        }
        let mut tree: Option<Value> = None;
        self.fields.iter().all(|term| {
            let equal = match term.path.as_str() {
                "metadata.name" => *object.key.name == *term.value,
                "metadata.namespace" => *object.key.namespace == *term.value,
                path => field_text(tree.get_or_insert_with(|| object.value()), path) == term.value,
            };
            equal != term.negated
        })
    }
}

fn field_text(object: &Value, path: &str) -> String {
    let mut value = object;
    for name in path.split('.') {
        match value.get(name) {
            Some(child) => value = child,
            None => return String::new(),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, Failure> {
    let bad = || Failure::bad_request(format!("invalid selector: '{text}'; can't understand it"));
    let mut terms = Vec::new();
    for part in split_unescaped(text) {
        if part.is_empty() {
            continue;
        }
        let (path, value, negated) = if let Some((path, value)) = part.split_once("!=") {
            (path, value, true)
        } else if let Some((path, value)) = part.split_once("==") {
            (path, value, false)
        } else if let Some((path, value)) = part.split_once('=') {
            (path, value, false)
        } else {
            return Err(bad());
        };
        let value = value
            .replace("\\,", ",")
            .replace("\\=", "=")
            .replace("\\\\", "\\");
        terms.push(FieldTerm {
            path: path.trim().to_owned(),
            value,
            negated,
        });
    }
    Ok(terms)
}

fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

/// Words and punctuation of the label selector language.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Equal,
    NotEqual,
    Not,
    Greater,
    Less,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '=' => {
                chars.next_if_eq(&'=');
                Token::Equal
            }
            '!' => {
                if chars.next_if_eq(&'=').is_some() {
                    Token::NotEqual
                } else {
                    Token::Not
                }
            }
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !",()=!<>".contains(*c))
                {
                    word.push(c);
                }
                Token::Word(word)
            }
        };
        out.push(token);
    }
    out
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let tokens = tokens(text);
    let mut position = 0;
    let mut requirements = Vec::new();
    while position < tokens.len() {
        let (requirement, next) = parse_requirement(&tokens, position)?;
        requirements.push(requirement);
        position = next;
        match tokens.get(position) {
            None => {}
            Some(Token::Comma) if position + 1 < tokens.len() => position += 1,
            Some(other) => return Err(format!("found {other:?}, expected: ','")),
        }
    }
    Ok(requirements)
}

fn parse_requirement(
    tokens: &[Token],
    mut position: usize,
) -> Result<(Requirement, usize), String> {
    let negated = tokens.get(position) == Some(&Token::Not);
    if negated {
        position += 1;
    }
    let Some(Token::Word(key)) = tokens.get(position) else {
        return Err("expected a label key".to_owned());
    };
    check_key(key)?;
    let key = key.clone();
    position += 1;
    if negated {
        return Ok((Requirement::NotExists(key), position));
    }
    match tokens.get(position) {
        None | Some(Token::Comma) => Ok((Requirement::Exists(key), position)),
        Some(Token::Equal) => {
            let (value, next) = optional_word(tokens, position + 1)?;
            Ok((Requirement::In(key, vec![value]), next))
        }
        Some(Token::NotEqual) => {
            let (value, next) = optional_word(tokens, position + 1)?;
            Ok((Requirement::NotIn(key, vec![value]), next))
        }
        Some(Token::Word(word)) if word == "in" || word == "notin" => {
            let (values, next) = parse_values(tokens, position + 1)?;
            let requirement = if word == "in" {
                Requirement::In(key, values)
            } else {
                Requirement::NotIn(key, values)
            };
            Ok((requirement, next))
        }
        Some(other) => Err(format!("found {other:?}, expected: in, notin, =, ==, !=")),
    }
}

fn optional_word(tokens: &[Token], position: usize) -> Result<(String, usize), String> {
    match tokens.get(position) {
        Some(Token::Word(word)) => Ok((word.clone(), position + 1)),
        None | Some(Token::Comma) => Ok((String::new(), position)),
        Some(other) => Err(format!("found {other:?}, expected: identifier")),
    }
}

fn parse_values(tokens: &[Token], mut position: usize) -> Result<(Vec<String>, usize), String> {
    if tokens.get(position) != Some(&Token::Open) {
        return Err("expected: '('".to_owned());
    }
    position += 1;
    let mut values = Vec::new();
    loop {
        let (value, next) = match tokens.get(position) {
            Some(Token::Word(word)) => (word.clone(), position + 1),
            Some(Token::Comma | Token::Close) => (String::new(), position),
            _ => return Err("expected a value, ',' or ')'".to_owned()),
        };
        values.push(value);
        match tokens.get(next) {
            Some(Token::Comma) => position = next + 1,
            Some(Token::Close) => return Ok((values, next + 1)),
            _ => return Err("expected: ',' or ')'".to_owned()),
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if key.len() <= 317 && key.chars().all(valid) {
        Ok(())
    } else {
        Err(format!("invalid label key {key:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        parse_labels(selector)
            .expect("valid")
            .iter()
            .all(|requirement| requirement.matches(&labels))
    }

    #[test]
    fn label_selectors() {
        let labels = [("app", "web"), ("tier", "front"), ("empty", "")];
        assert!(matches("", &labels));
        assert!(matches("app=web,tier in (front, back)", &labels));
        assert!(matches("app == web, !gone", &labels));
        assert!(matches("app!=db,other!=x,tier notin (back)", &labels));
        assert!(matches("empty=,empty", &labels));
        assert!(!matches("gone", &labels));
        assert!(!matches("app in (db)", &labels));
    }

    #[test]
    fn malformed_label_selectors_are_refused() {
        for bad in [
            "=x", "a in x", "a in (b", "a,,b", "a b", "a=b c", "a,", "!", "a>1", "a$=b",
        ] {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_unescape_values() {
        let terms = parse_fields(r"metadata.name=a\,b,type!=x").expect("valid");
        assert_eq!(terms[0].value, "a,b");
        assert!(terms[1].negated);
        assert!(parse_fields("metadata.name").is_err());
    }
}
