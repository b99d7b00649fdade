//! Conditions and manifest configs.

use jiff::Timestamp;
use manifestwork::{
    Condition, ConditionStatus, FeedbackScrapeType, ManifestConfig, ResourceIdentifier,
    conditions::{find, is_true, remove, set, status_of},
    configs::{self, wildcard},
};
use proptest::prelude::*;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn transition_times_move_only_with_the_status() {
    let mut conditions = Vec::new();
    assert!(set(
        &mut conditions,
        Condition::new("Applied", true, "A", "a"),
        at(1)
    ));
    assert!(
        !set(
            &mut conditions,
            Condition::new("Applied", true, "A", "a"),
            at(2)
        ),
        "nothing changed"
    );
    assert!(set(
        &mut conditions,
        Condition::new("Applied", true, "A", "b").observing(2),
        at(3)
    ));
    assert_eq!(
        find(&conditions, "Applied").unwrap().last_transition_time,
        Some(at(1))
    );
    assert!(set(
        &mut conditions,
        Condition::new("Applied", false, "B", "b"),
        at(4)
    ));
    assert_eq!(
        find(&conditions, "Applied").unwrap().last_transition_time,
        Some(at(4))
    );
    let own_time = Condition {
        last_transition_time: Some(at(9)),
        ..Condition::new("Applied", true, "A", "")
    };
    assert!(set(&mut conditions, own_time, at(5)));
    assert_eq!(
        find(&conditions, "Applied").unwrap().last_transition_time,
        Some(at(9))
    );
    assert!(is_true(&conditions, "Applied") && !is_true(&conditions, "Available"));
    assert_eq!(
        status_of(&conditions, "Available"),
        ConditionStatus::Unknown
    );
    assert!(remove(&mut conditions, "Applied") && !remove(&mut conditions, "Applied"));
}

#[test]
fn wildcards_are_anchored() {
    for (pattern, yes) in [
        ("*", true),
        ("my*", true),
        ("*m*", true),
        ("*t", true),
        ("my-test", true),
        ("m*-*t", true),
        ("*my", false),
        ("", false),
        ("my", false),
        ("*-test-test", false),
    ] {
        assert_eq!(wildcard(pattern, "my-test"), yes, "{pattern}");
    }
    assert!(
        wildcard("", "") && wildcard("*", "") && !wildcard("a*a", "a") && wildcard("a**b", "ab")
    );
}

#[test]
fn each_kind_of_rule_comes_from_its_first_match() {
    let configs: Vec<ManifestConfig> = serde_json::from_value(json!([
        {"resourceIdentifier": {"resource": "pods", "name": "other", "namespace": "n"}, "updateStrategy": {"type": "ReadOnly"}},
        {"resourceIdentifier": {"resource": "pods", "name": "p*", "namespace": "*"}, "feedbackRules": [{"type": "WellKnownStatus"}], "feedbackScrapeType": "Watch"},
        {"resourceIdentifier": {"resource": "pods", "name": "p1", "namespace": "n"}, "updateStrategy": {"type": "CreateOnly"},
         "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "a", "path": ".a"}]}], "feedbackScrapeType": "Poll"},
    ]))
    .unwrap();
    let object = ResourceIdentifier {
        resource: "pods".into(),
        name: "p1".into(),
        namespace: "n".into(),
        ..Default::default()
    };
    let found = configs::find(&configs, &object);
    assert_eq!(found.feedback_rules[0].type_.as_str(), "WellKnownStatus");
    assert_eq!(
        found.update_strategy.unwrap().effective_type().as_str(),
        "CreateOnly"
    );
    assert_eq!(
        found.feedback_scrape_type,
        Some(&FeedbackScrapeType::Poll),
        "of the last match"
    );
    let stranger = ResourceIdentifier {
        group: "apps".into(),
        ..object
    };
    assert_eq!(
        configs::find(&configs, &stranger),
        configs::Matched::default()
    );
}

fn reference(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
        Some((first, rest)) => text
            .split_first()
            .is_some_and(|(head, tail)| head == first && reference(rest, tail)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wildcards_match_like_the_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
        prop_assert_eq!(wildcard(&pattern, &text), reference(pattern.as_bytes(), text.as_bytes()));
    }
}
