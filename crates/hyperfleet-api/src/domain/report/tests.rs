use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn incoming() -> Incoming {
    let condition = |type_: &str| (type_.to_owned(), "True".to_owned(), None, None);
    Incoming {
        adapter: "dns".to_owned(),
        observed_generation: 1,
        conditions: vec![condition(AVAILABLE), condition(APPLIED), condition(HEALTH)],
        ..Incoming::default()
    }
}

fn refused(change: impl FnOnce(&mut Incoming)) -> String {
    let mut report = incoming();
    change(&mut report);
    Report::check("id", report, now()).unwrap_err().detail
}

#[test]
fn each_broken_rule_has_its_text() {
    assert_eq!(
        refused(|report| report.adapter.clear()),
        "adapter is required"
    );
    assert_eq!(
        refused(|report| report.observed_generation = 0),
        "observed_generation must be >= 1"
    );
    assert_eq!(
        refused(|report| report.observed_generation = 1 << 40),
        "field 'observed_generation' must be a 32-bit integer"
    );
    assert_eq!(
        refused(|report| report.conditions[1].0.clear()),
        "condition type cannot be empty at index 1"
    );
    assert_eq!(
        refused(|report| report.conditions[2].0 = AVAILABLE.to_owned()),
        "duplicate condition type 'Available' at index 2"
    );
    for bad in ["true", ""] {
        assert_eq!(
            refused(|report| report.conditions[0].1 = bad.to_owned()),
            format!(
                "invalid status value '{bad}' for condition at index 0 (type: Available): must be 'True', 'False', or 'Unknown'"
            )
        );
    }
}

#[test]
fn the_first_broken_rule_is_the_one_reported() {
    let text = refused(|report| {
        report.observed_generation = 0;
        report.conditions.clear();
        report.observed_time = Some(Timestamp::MAX);
    });
    assert_eq!(text, "observed_generation must be >= 1");
}

#[test]
fn f89_a_report_from_the_future_is_refused_before_it_can_block_later_ones() {
    let minutes = |minutes: i64| Some(now() + SignedDuration::from_mins(minutes));
    assert!(
        refused(|report| report.observed_time = minutes(365 * 24 * 60))
            .contains("5m0s in the future")
    );
    assert!(refused(|report| report.observed_time = minutes(10)).contains("5m0s in the future"));
    assert!(refused(|report| report.observed_time = minutes(-31)).contains("30m0s in the past"));
    for fine in [minutes(4), minutes(5), minutes(-30), None] {
        assert!(
            Report::check(
                "id",
                Incoming {
                    observed_time: fine,
                    ..incoming()
                },
                now()
            )
            .is_ok()
        );
    }
}

fn report(generation: i32, second: i64, available: &str) -> Report {
    let mut incoming = incoming();
    incoming.observed_generation = generation.into();
    incoming.observed_time = Some(now() + SignedDuration::from_secs(second));
    incoming.conditions[0].1 = available.to_owned();
    Report::check("id", incoming, now()).unwrap()
}

#[test]
fn the_rules_are_tried_in_order() {
    let stored = row(&report(2, 10, "True"), None);
    let verdict =
        |report: &Report| judge(report, 3, Some(&stored)).map_err(|rejection| rejection.detail);
    let without = |mut report: Report, type_: &str| {
        report
            .conditions
            .retain(|condition| condition.type_ != type_);
        report
    };
    assert_eq!(
        verdict(&report(4, 20, "True")),
        Ok(Verdict::Ignore),
        "a generation that does not exist"
    );
    assert_eq!(
        verdict(&report(1, 20, "True")),
        Ok(Verdict::Ignore),
        "an older generation than its own last"
    );
    assert_eq!(
        verdict(&report(2, 9, "True")),
        Ok(Verdict::Ignore),
        "older than its own last"
    );
    assert_eq!(
        verdict(&without(report(1, 20, "True"), HEALTH)),
        Ok(Verdict::Ignore),
        "stale comes before incomplete"
    );
    assert_eq!(
        verdict(&report(2, 10, "False")),
        Ok(Verdict::Store),
        "the same time again: the newer arrival wins"
    );
    assert_eq!(
        verdict(&report(3, 5, "True")),
        Ok(Verdict::Store),
        "a newer generation with an older time"
    );
    assert_eq!(
        verdict(&report(2, 11, "True")),
        Ok(Verdict::Store),
        "older than the resource is fine"
    );
    for type_ in [AVAILABLE, APPLIED, HEALTH] {
        let text = verdict(&without(report(2, 11, "True"), type_)).unwrap_err();
        assert!(
            text.starts_with(&format!("missing mandatory condition '{type_}'")),
            "{text}"
        );
    }
    let mut empty = report(2, 11, "True");
    empty.conditions.clear();
    assert!(
        verdict(&empty).unwrap_err().contains("'Available'"),
        "the order is fixed"
    );
}

#[test]
fn f90_the_first_unknown_is_kept_and_later_ones_change_nothing() {
    let unknown = report(1, 0, "Unknown");
    assert_eq!(judge(&unknown, 1, None), Ok(Verdict::StoreOnly));
    let stored = row(&report(1, 0, "True"), None);
    assert_eq!(
        judge(&report(1, 1, "Unknown"), 1, Some(&stored)),
        Ok(Verdict::Ignore)
    );
    let mut elsewhere = report(1, 1, "True");
    elsewhere.conditions[2].status = ConditionStatus::Unknown;
    assert_eq!(
        judge(&elsewhere, 1, Some(&stored)),
        Ok(Verdict::Store),
        "Unknown in Health only is a report like any other"
    );
}

#[test]
fn a_row_keeps_what_did_not_change() {
    let first = row(&report(1, 0, "True"), None);
    let mut second = report(1, 7, "False");
    second.conditions.push(ConditionReport::new(
        "Custom",
        ConditionStatus::True,
        "R",
        "m",
    ));
    let second = row(&second, Some(&first));
    let changed =
        |status: &AdapterStatus, type_: &str| status.condition(type_).unwrap().last_transition_time;
    assert_eq!(changed(&second, HEALTH), changed(&first, HEALTH));
    assert_eq!(changed(&second, AVAILABLE), second.last_report_time);
    assert_eq!(
        (second.created_time, first.created_time),
        (first.last_report_time, first.last_report_time)
    );
    let third = row(&report(1, 8, "False"), Some(&second));
    assert!(
        third.condition("Custom").is_none(),
        "what is left out disappears"
    );
}
