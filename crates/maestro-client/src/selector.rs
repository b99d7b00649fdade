//! Label selectors in Kubernetes' text form, matched here and, as far as they can, at the server.

use std::{collections::BTreeMap, fmt, str::FromStr};

use manifestwork::validate::names;

use crate::Error;

/// Most `and`/`or` that upstream's parser takes in a search with labels.
const MAX_OPERATORS: usize = 10;

/// Most labels in one containment term, and most bytes of all terms: servers have limits on searches, and what isn't sent is
/// matched here.
const MAX_CONTAINED: usize = 64;
const MAX_SEARCH: usize = 8 * 1024;

/// A label selector such as `app=web,env!=test,tier in (a,b),!legacy`. Empty matches everything.
///
/// As in Kubernetes, `!=` and `notin` also match works that lack the label. Servers see that differently, so those terms are
/// matched here and not at the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Labels that must all have these values.
    ///
    /// Unlike text, they are taken as they are: what is no label by Kubernetes' rules is compared as well, but only here; it isn't
    /// sent to the server.
    #[must_use]
    pub fn equals(labels: &BTreeMap<String, String>) -> Self {
        let requirements = labels
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value.clone()]),
            })
            .collect();
        Self { requirements }
    }

    /// True if everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// True if the labels match.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// Search terms for what a server understands in the same way; the rest is matched here. `used` operators are taken already.
    pub(crate) fn search_terms(&self, used: usize) -> Vec<String> {
        const LABELS: &str = "payload->'metadata'->'labels'";
        let mut equal = BTreeMap::new();
        let mut terms = Vec::new();
        // Nothing is escaped in a search. What keeps the rules has nothing to escape; the rest is left to us.
        let sendable = |requirement: &&Requirement| requirement.check().is_ok();
        for requirement in self.requirements.iter().filter(sendable) {
            match &requirement.operator {
                Operator::In(values) if values.len() == 1 => {
                    // The same key twice with different values matches nothing; the second is left to us.
                    if let (Some(value), false) =
                        (values.first(), equal.contains_key(&requirement.key))
                        && equal.len() < MAX_CONTAINED
                    {
                        equal.insert(requirement.key.clone(), value.clone());
                    }
                }
                Operator::In(values) => {
                    let values: Vec<String> =
                        values.iter().map(|value| format!("'{value}'")).collect();
                    terms.push(format!(
                        "{LABELS}->>'{}'in({})",
                        requirement.key,
                        values.join(",")
                    ));
                }
                _ => {}
            }
        }
        if !equal.is_empty() {
            let json = serde_json::to_string(&equal).unwrap_or_default();
            terms.insert(0, format!("{LABELS}@>'{json}'"));
        }
        terms.truncate(MAX_OPERATORS.saturating_sub(used));
        let mut size = 0;
        terms.retain(|term| {
            let fits = size + term.len() <= MAX_SEARCH;
            size += if fits { term.len() } else { 0 };
            fits
        });
        terms
    }
}

impl Requirement {
    /// Whether key and values are such as labels can have.
    fn check(&self) -> Result<(), String> {
        let key = &self.key;
        if let Some(why) = names::qualified(key).into_iter().next() {
            return Err(format!("key {key:?}: {why}"));
        }
        if let Operator::In(values) | Operator::NotIn(values) = &self.operator {
            for value in values {
                if let Some(why) = names::label_value(value).into_iter().next() {
                    return Err(format!("value {value:?}: {why}"));
                }
            }
        }
        Ok(())
    }
}

impl FromStr for LabelSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut requirements = Vec::new();
        for part in split(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(bad(text, "a requirement is empty"));
            }
            requirements.push(requirement(part).map_err(|why| bad(text, &why))?);
        }
        Ok(Self { requirements })
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::In(values) if values.len() == 1 => {
                    write!(f, "{key}={}", values.join(""))?
                }
                Operator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) if values.len() == 1 => {
                    write!(f, "{key}!={}", values.join(""))?
                }
                Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn bad(text: &str, why: &str) -> Error {
    Error::invalid(format!("label selector {text:?}: {why}"))
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let (key, operator) = if let Some(key) = text.strip_prefix('!') {
        (key, Operator::DoesNotExist)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Operator::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Operator::In(vec![value.trim().to_owned()]))
    } else if let Some((head, list)) = text.split_once('(') {
        let list = list.strip_suffix(')').ok_or("a list must end with ')'")?;
        let values: Vec<String> = list
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        match head.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => (key, Operator::In(values)),
            Some((key, "notin")) => (key, Operator::NotIn(values)),
            _ => return Err("a list follows 'in' or 'notin' only".to_owned()),
        }
    } else if text.contains(['<', '>']) {
        return Err("'<' and '>' are not supported".to_owned());
    } else {
        (text, Operator::Exists)
    };
    let requirement = Requirement {
        key: key.trim().to_owned(),
        operator,
    };
    requirement.check()?;
    Ok(requirement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LabelSelector {
        text.parse().expect(text)
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn selectors_match_as_kubernetes_does() {
        let here = labels(&[("app", "web"), ("env", "prod")]);
        for (text, matches) in [
            ("", true),
            ("app=web", true),
            ("app==web,env=prod", true),
            ("app=web,env!=prod", false),
            ("other!=x", true),
            ("other notin (x,y)", true),
            ("env in (test, prod)", true),
            ("env notin (prod)", false),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app=", false),
        ] {
            assert_eq!(parse(text).matches(&here), matches, "{text}");
        }
    }

    #[test]
    fn bad_selectors_say_why() {
        for text in [
            "a=b,",
            "=x",
            "a in b",
            "a in (b",
            "a b",
            "a>1",
            "a='x'",
            "a=x y",
            "a in ('x')",
            "ä=x",
        ] {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
        let error = "a=b'c".parse::<LabelSelector>().unwrap_err().to_string();
        assert!(
            error.starts_with("label selector \"a=b'c\": value \"b'c\": a valid label must"),
            "{error}"
        );
    }

    #[test]
    fn only_terms_that_servers_see_the_same_way_are_sent() {
        const L: &str = "payload->'metadata'->'labels'";
        let terms = |text: &str| parse(text).search_terms(2);
        assert_eq!(
            terms("a=b,c==d"),
            [format!(r#"{L}@>'{{"a":"b","c":"d"}}'"#)]
        );
        assert_eq!(
            terms("env in (a,b),x=y"),
            [
                format!(r#"{L}@>'{{"x":"y"}}'"#),
                format!("{L}->>'env'in('a','b')")
            ]
        );
        assert!(terms("a!=b,c notin (d),e,!f").is_empty());
        let many = (0..20)
            .map(|n| format!("k{n} in (a,b)"))
            .collect::<Vec<_>>()
            .join(",");
        assert_eq!(
            terms(&many).len(),
            8,
            "the server's parser takes ten operators"
        );
        let wide: Vec<String> = (0..2000).map(|n| format!("v{n}")).collect();
        let wide = format!("env in ({}),app=x", wide.join(","));
        assert_eq!(
            terms(&wide),
            [format!(r#"{L}@>'{{"app":"x"}}'"#)],
            "the rest is matched here"
        );
    }

    #[test]
    fn what_is_no_label_is_matched_here_and_never_sent() {
        let odd = labels(&[("app", "x' or 'a'='a"), ("te'am", "blue"), ("env", "prod")]);
        let selector = LabelSelector::equals(&odd);
        assert_eq!(
            selector.search_terms(0),
            [r#"payload->'metadata'->'labels'@>'{"env":"prod"}'"#]
        );
        assert!(selector.matches(&odd));
        assert!(!selector.matches(&labels(&[("env", "prod")])));
    }

    #[test]
    fn selectors_print_as_they_are_read() {
        for text in ["a=b,c in (d,e),f!=g,h notin (i,j),k,!l", ""] {
            assert_eq!(parse(text).to_string(), text);
            assert_eq!(parse(&parse(text).to_string()), parse(text));
        }
    }
}
