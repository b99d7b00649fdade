use proptest::prelude::*;

use super::*;

#[test]
fn parses_what_go_parses() {
    for (text, nanos) in [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1h30m", 5_400_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("-5m", -300_000_000_000),
        ("+5m", 300_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("100ms", 100_000_000),
        ("1us", 1_000),
        ("1\u{b5}s", 1_000),
        ("1\u{3bc}s", 1_000),
        ("1m30.5s", 90_500_000_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
    ] {
        assert_eq!(
            parse_signed(text).map(|d| d.as_nanos()),
            Ok(i128::from(nanos)),
            "{text}"
        );
    }
}

#[test]
fn refuses_what_go_refuses_with_its_words() {
    for (text, message) in [
        ("", "time: invalid duration \"\""),
        ("-", "time: invalid duration \"-\""),
        ("10", "time: missing unit in duration \"10\""),
        ("1d", "time: unknown unit \"d\" in duration \"1d\""),
        ("1 h", "time: unknown unit \" h\" in duration \"1 h\""),
        ("s", "time: invalid duration \"s\""),
        (".s", "time: invalid duration \".s\""),
        ("1..5s", "time: missing unit in duration \"1..5s\""),
        (
            "1é",
            "time: unknown unit \"\\xc3\\xa9\" in duration \"1\\xc3\\xa9\"",
        ),
        (
            "9223372036854775808ns",
            "time: invalid duration \"9223372036854775808ns\"",
        ),
        ("3000000h", "time: invalid duration \"3000000h\""),
    ] {
        assert_eq!(parse_signed(text).unwrap_err().to_string(), message);
    }
    assert_eq!(
        parse("-5m").unwrap_err().to_string(),
        "duration \"-5m\" must not be negative"
    );
}

#[test]
fn prints_what_go_prints() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (500_000_000, "500ms"),
        (1_500_000_000, "1.5s"),
        (5_400_000_000_000, "1h30m0s"),
        (245_000_000_000, "4m5s"),
        (-3_600_000_000_001, "-1h0m0.000000001s"),
    ] {
        assert_eq!(format(SignedDuration::from_nanos(nanos)), text);
    }
    assert_eq!(format(Duration::from_secs(90 * 60)), "1h30m0s");
}

#[test]
fn serde_reads_text_and_nanoseconds() {
    #[derive(Debug, ::serde::Serialize, ::serde::Deserialize, PartialEq)]
    struct Settings {
        #[serde(with = "crate::duration::serde")]
        timeout: Duration,
        #[serde(default, with = "crate::duration::serde::option")]
        pause: Option<Duration>,
    }
    let settings: Settings = serde_json::from_str(r#"{"timeout":"1m30s","pause":1000}"#).unwrap();
    assert_eq!(settings.timeout, Duration::from_secs(90));
    assert_eq!(settings.pause, Some(Duration::from_micros(1)));
    assert_eq!(
        serde_json::to_string(&settings).unwrap(),
        r#"{"timeout":"1m30s","pause":"1µs"}"#
    );
    let error = serde_json::from_str::<Settings>(r#"{"timeout":"1d"}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown unit"), "{error}");
    assert!(serde_json::from_str::<Settings>(r#"{"timeout":-1}"#).is_err());
}

proptest! {
    #[test]
    fn what_is_printed_parses_back(nanos in any::<i64>()) {
        let duration = SignedDuration::from_nanos(nanos);
        prop_assert_eq!(parse_signed(&format(duration)), Ok(duration));
    }

    #[test]
    fn parsing_never_panics(text in ".*") {
        let _ = parse_signed(&text);
    }

    #[test]
    fn parsing_near_misses_never_panics(text in "[-+]?([0-9.]{0,25}(ns|us|ms|s|m|h|d| )?){0,4}") {
        let _ = parse_signed(&text);
    }
}
