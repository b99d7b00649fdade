//! Timestamps in the two texts that the system speaks: whole seconds (Kubernetes' `metav1.Time`) and nanoseconds with
//! trailing zeros trimmed (Go's `time.RFC3339Nano`, which `time.Time` uses in JSON). Always UTC with `Z`.

use jiff::fmt::temporal::DateTimeParser;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

/// Go's zero time as text: what `time.Time{}` prints, and what "never" looks like on the wire.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time such as 2026-01-02T15:04:05Z")]
pub struct Error {
    text: String,
}

/// Whole seconds, cut: `2026-01-02T15:04:05Z`. This is `metav1.Time`.
#[must_use]
pub fn rfc3339_seconds(time: Timestamp) -> String {
    truncate_to_seconds(time).to_string()
}

/// Nanoseconds with trailing zeros trimmed: `2026-01-02T15:04:05.25Z`.
#[must_use]
pub fn rfc3339_nano(time: Timestamp) -> String {
    time.to_string()
}

/// Whole microseconds with all six digits: `2026-01-02T15:04:05.250000Z`. This is `metav1.MicroTime`.
#[must_use]
pub fn rfc3339_micro(time: Timestamp) -> String {
    format!(
        "{:.6}",
        time.round(
            TimestampRound::new()
                .smallest(Unit::Microsecond)
                .mode(RoundMode::Floor)
        )
        .unwrap_or(time)
    )
}

/// The time with its fraction of a second cut off (towards the past, also before 1970).
#[must_use]
pub fn truncate_to_seconds(time: Timestamp) -> Timestamp {
    time.round(
        TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Floor),
    )
    .unwrap_or(time)
}

/// Reads an RFC 3339 time: date, `T`, time, optional fraction, and `Z` or a numeric offset.
///
/// # Errors
/// If the text is anything else; a date alone, a space instead of `T` or a missing offset are refused, as Go does.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, Error> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    let error = || Error {
        text: text.to_owned(),
    };
    if !has_rfc3339_shape(text.as_bytes()) {
        return Err(error());
    }
    PARSER.parse_timestamp(text).map_err(|_| error())
}

/// `dddd-dd-ddTdd:dd:dd[.d+](Z|±dd:dd)`: the parser below is more liberal than Go, so the shape is checked first.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    const DATE_TIME: &[u8] = b"0000-00-00T00:00:00";
    let matches = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, want)| {
                if *want == b'0' {
                    byte.is_ascii_digit()
                } else {
                    byte == want
                }
            })
    };
    let Some((head, mut rest)) = text.split_at_checked(DATE_TIME.len()) else {
        return false;
    };
    if !matches(head, DATE_TIME) {
        return false;
    }
    if let [b'.' | b',', digits @ ..] = rest {
        let count = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return false;
        }
        rest = digits.get(count..).unwrap_or_default();
    }
    rest == b"Z" || matches(rest, b"+00:00") || matches(rest, b"-00:00")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_are_cut_and_fractions_trimmed() {
        let time: Timestamp = "2026-01-02T15:04:05.999250000Z".parse().unwrap();
        assert_eq!(rfc3339_seconds(time), "2026-01-02T15:04:05Z");
        assert_eq!(rfc3339_nano(time), "2026-01-02T15:04:05.99925Z");
        assert_eq!(rfc3339_micro(time), "2026-01-02T15:04:05.999250Z");
        let before: Timestamp = "1969-12-31T23:59:58.5Z".parse().unwrap();
        assert_eq!(rfc3339_seconds(before), "1969-12-31T23:59:58Z");
        assert_eq!(
            rfc3339_micro("2026-01-02T15:04:05Z".parse().unwrap()),
            "2026-01-02T15:04:05.000000Z"
        );
    }

    #[test]
    fn zero_time_round_trips() {
        assert_eq!(rfc3339_seconds(parse_rfc3339(ZERO).unwrap()), ZERO);
    }

    #[test]
    fn reads_offsets_and_refuses_near_misses() {
        assert_eq!(
            rfc3339_nano(parse_rfc3339("2026-01-02T15:04:05.5+02:00").unwrap()),
            "2026-01-02T13:04:05.5Z"
        );
        for bad in [
            "",
            "2026-01-02",
            "2026-01-02 15:04:05Z",
            "2026-01-02T15:04:05",
            "2026-01-02T15:04:05.Z",
            "2026-13-02T15:04:05Z",
            "2026-01-02T15:04:05+0200",
            "2026-01-02T15:04:05Z[UTC]",
            "2026-02-30T15:04:05Z",
            "now",
        ] {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printed_times_read_back(nanos in -62_000_000_000_000_000_000_i128..250_000_000_000_000_000_000_i128) {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            prop_assert_eq!(parse_rfc3339(&rfc3339_nano(time)), Ok(time));
        }

        #[test]
        fn parsing_never_panics(text in "([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,Z+-]{0,20})|(.*)") {
            let _ = parse_rfc3339(&text);
        }
    }
}
