//! Which rules belong to which manifest.

use crate::spec::{
    ConditionRule, FeedbackRule, FeedbackScrapeType, ManifestConfig, ResourceIdentifier,
    UpdateStrategy,
};

/// The rules that apply to one manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched<'a> {
    /// The first non-empty list among the matches.
    pub feedback_rules: &'a [FeedbackRule],
    /// The first strategy among the matches.
    pub update_strategy: Option<&'a UpdateStrategy>,
    /// The first non-empty list among the matches.
    pub condition_rules: &'a [ConditionRule],
    /// The value of the last match, as upstream has it.
    pub feedback_scrape_type: Option<&'a FeedbackScrapeType>,
}

/// Collects the rules for an object: configs are walked in order, each kind of rule is taken from the first match that has one.
#[must_use]
pub fn find<'a>(configs: &'a [ManifestConfig], object: &ResourceIdentifier) -> Matched<'a> {
    let mut found = Matched::default();
    for config in configs
        .iter()
        .filter(|config| matches(&config.resource_identifier, object))
    {
        if found.feedback_rules.is_empty() {
            found.feedback_rules = &config.feedback_rules;
        }
        if found.condition_rules.is_empty() {
            found.condition_rules = &config.condition_rules;
        }
        if found.update_strategy.is_none() {
            found.update_strategy = config.update_strategy.as_ref();
        }
        found.feedback_scrape_type = config.feedback_scrape_type.as_ref();
    }
    found
}

/// True if the identifier of a config names the object: group and resource exactly, name and namespace with `*`.
#[must_use]
pub fn matches(pattern: &ResourceIdentifier, object: &ResourceIdentifier) -> bool {
    pattern.group == object.group
        && pattern.resource == object.resource
        && wildcard(&pattern.name, &object.name)
        && wildcard(&pattern.namespace, &object.namespace)
}

/// `*` stands for any run of characters, everything else for itself; the whole text must match.
#[must_use]
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}
