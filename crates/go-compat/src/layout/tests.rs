use proptest::prelude::*;

use super::*;

fn time(text: &str) -> Zoned {
    text.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC)
}

#[test]
fn every_part_of_the_reference_time() {
    let time = time("2026-03-05T21:07:09.120450000Z");
    for (layout, text) in [
        (RFC3339, "2026-03-05T21:07:09Z"),
        (RFC3339_NANO, "2026-03-05T21:07:09.12045Z"),
        (
            "Mon Jan _2 15:04:05 MST 2006",
            "Thu Mar  5 21:07:09 UTC 2026",
        ),
        (
            "Monday, January 2, 06 at 3:4:5 PM",
            "Thursday, March 5, 26 at 9:7:9 PM",
        ),
        ("03:04pm 1/02", "09:07pm 3/05"),
        ("05.000 05,000 05.999999", "09.120 09,120 09.12045"),
        ("002 __2", "064  64"),
        ("Z0700 -07:00 -0700 -07 Z07", "Z +00:00 +0000 +00 Z"),
        ("Month Janet", "Month Janet"),
        ("_2006", "_2026"),
        ("20060102150405", "20260305210709"),
        ("15h04", "21h07"),
        ("date: é", "date: é"),
        ("05.0001", "09.0003"),
    ] {
        assert_eq!(format(&time, layout), text, "{layout}");
    }
}

#[test]
fn offsets_follow_the_zone() {
    let zone = TimeZone::fixed(jiff::tz::offset(-5).saturating_add(jiff::Span::new().minutes(-30)));
    let time = time("2026-03-05T21:07:09Z").with_time_zone(zone);
    assert_eq!(format(&time, RFC3339), "2026-03-05T15:37:09-05:30");
    assert_eq!(
        format(&time, "Z0700 Z07:00:00 MST"),
        "-0530 -05:30:00 -0530"
    );
}

#[test]
fn midnight_and_noon_are_twelve() {
    assert_eq!(format(&time("2026-01-01T00:30:00Z"), "3:04 PM"), "12:30 AM");
    assert_eq!(format(&time("2026-01-01T12:30:00Z"), "3:04 PM"), "12:30 PM");
}

proptest! {
    #[test]
    fn formatting_never_panics(layout in "([0-9.,]|[A-Za-z_ -]|Jan|Mon|2006|Z07:00|\\PC){0,30}") {
        let _ = format(&time("2026-03-05T21:07:09.5Z"), &layout);
    }
}
