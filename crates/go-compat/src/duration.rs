//! Durations as Go's `time.ParseDuration` and `Duration.String` read and write them: `1h30m`, `1.5s`, `500ms`, `0s`.
//!
//! A Go duration is a signed 64-bit count of nanoseconds (about ±292 years). Most settings can't be negative, so
//! [`parse`] gives a [`std::time::Duration`] and refuses a minus sign; [`parse_signed`] is the whole of Go's function.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::SignedDuration;

/// Why a text is not a duration. The texts are those of Go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No number, stray characters, or a value outside of the range.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number without a unit: `10`.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// A unit that Go doesn't know: `1d`.
    #[error("time: unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// A negative duration where only a span of time makes sense.
    #[error("duration {} must not be negative", quoted(.0))]
    Negative(String),
}

const NANOS_PER_MICROSECOND: u64 = 1_000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: u64 = 60 * NANOS_PER_MINUTE;

/// Parses a duration that must not be negative.
///
/// # Errors
/// [`Error`] with Go's text, or [`Error::Negative`].
pub fn parse(text: &str) -> Result<Duration, Error> {
    let signed = parse_signed(text)?;
    Duration::try_from(signed).map_err(|_| Error::Negative(text.to_owned()))
}

/// Parses a duration: an optional sign and one or more decimal numbers, each with a unit of `ns`, `us` (`µs`, `μs`),
/// `ms`, `s`, `m`, `h`; or a bare `0`.
///
/// # Errors
/// [`Error`] with Go's text.
pub fn parse_signed(text: &str) -> Result<SignedDuration, Error> {
    let invalid = || Error::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    // Magnitudes up to 2^63 are legal because the most negative duration has one.
    let limit = 1_u64 << 63;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = split_while(rest, |c| c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_while(after, |c| c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit_text, after_unit) = split_while(after, |c| c != '.' && !c.is_ascii_digit());
        if unit_text.is_empty() {
            return Err(Error::MissingUnit(text.to_owned()));
        }
        let unit = unit_nanos(unit_text).ok_or_else(|| Error::UnknownUnit {
            unit: unit_text.to_owned(),
            text: text.to_owned(),
        })?;
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        let nanos = whole
            .checked_mul(unit)
            .and_then(|nanos| nanos.checked_add(fraction_nanos(fraction, unit)))
            .filter(|nanos| *nanos <= limit)
            .ok_or_else(invalid)?;
        total = total
            .checked_add(nanos)
            .filter(|total| *total <= limit)
            .ok_or_else(invalid)?;
        rest = after_unit;
    }
    let signed = if negative {
        -i128::from(total)
    } else {
        i128::from(total)
    };
    let nanos = i64::try_from(signed).map_err(|_| invalid())?;
    Ok(SignedDuration::from_nanos(nanos))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let at = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at(at)
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => NANOS_PER_MICROSECOND,
        "ms" => NANOS_PER_MILLISECOND,
        "s" => NANOS_PER_SECOND,
        "m" => NANOS_PER_MINUTE,
        "h" => NANOS_PER_HOUR,
        _ => return None,
    })
}

/// `0.fraction` of a unit in whole nanoseconds, with the rounding of Go's floating point.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn fraction_nanos(fraction: &str, unit: u64) -> u64 {
    const LARGEST: u64 = (1 << 63) - 1;
    let mut value = 0_u64;
    let mut scale = 1.0_f64;
    for digit in fraction.bytes() {
        // Digits beyond the range of 63 bits are dropped.
        if value > LARGEST / 10 {
            break;
        }
        let next = value * 10 + u64::from(digit.saturating_sub(b'0'));
        if next > LARGEST {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// Text in quotes as Go's time package writes it: bytes outside of printable ASCII as `\xhh`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' | 0x7f => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// A span of time that has a count of nanoseconds: both duration types.
pub trait Nanoseconds {
    /// The count, negative for spans that go back.
    fn nanoseconds(self) -> i128;
}

impl Nanoseconds for SignedDuration {
    fn nanoseconds(self) -> i128 {
        self.as_nanos()
    }
}

impl Nanoseconds for Duration {
    fn nanoseconds(self) -> i128 {
        i128::try_from(self.as_nanos()).unwrap_or(i128::MAX)
    }
}

/// Writes a duration as Go does: `1h30m0s`, `1.5s`, `500ms`, `2µs`, `0s`.
#[must_use]
pub fn format(duration: impl Nanoseconds) -> String {
    let nanos = duration.nanoseconds();
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let second = u128::from(NANOS_PER_SECOND);
    if magnitude == 0 {
        return "0s".to_owned();
    }
    if magnitude < second {
        let (unit, name) = if magnitude < u128::from(NANOS_PER_MICROSECOND) {
            (1, "ns")
        } else if magnitude < u128::from(NANOS_PER_MILLISECOND) {
            (u128::from(NANOS_PER_MICROSECOND), "\u{b5}s")
        } else {
            (u128::from(NANOS_PER_MILLISECOND), "ms")
        };
        return format!("{sign}{}{name}", decimal(magnitude, unit));
    }
    let seconds = decimal(magnitude % u128::from(NANOS_PER_MINUTE), second);
    let minutes = magnitude / u128::from(NANOS_PER_MINUTE);
    if minutes == 0 {
        format!("{sign}{seconds}s")
    } else if minutes < 60 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60)
    }
}

/// `value / unit` (a power of ten) with the fraction's trailing zeros removed.
fn decimal(value: u128, unit: u128) -> String {
    let fraction = value % unit;
    if fraction == 0 {
        return (value / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{}.{}", value / unit, digits.trim_end_matches('0'))
}

/// `#[serde(with = "go_compat::duration::serde")]` for a [`Duration`] written as Go text.
///
/// Reads text (`30s`) or a whole number of nanoseconds, as Go configuration loaders do.
pub mod serde {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    /// Writes the duration as Go text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*duration))
    }

    /// Reads Go text or a whole number of nanoseconds.
    ///
    /// # Errors
    /// If the text is not a duration or is negative.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Text)
    }

    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as 30s, 1m30s or 500ms")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            super::parse(text).map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, nanos: u64) -> Result<Duration, E> {
            Ok(Duration::from_nanos(nanos))
        }

        fn visit_i64<E: Error>(self, nanos: i64) -> Result<Duration, E> {
            u64::try_from(nanos)
                .map(Duration::from_nanos)
                .map_err(|_| E::custom(super::Error::Negative(nanos.to_string())))
        }
    }

    /// The same for `Option<Duration>`: `#[serde(default, with = "go_compat::duration::serde::option")]`.
    pub mod option {
        use std::time::Duration;

        use serde::de::Deserializer;
        use serde::ser::Serializer;
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Wrapped(#[serde(with = "super")] Duration);

        /// Writes Go text or null.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            duration.map(Wrapped).serialize(serializer)
        }

        /// Reads Go text, a whole number of nanoseconds, or null.
        ///
        /// # Errors
        /// If the text is not a duration or is negative.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
        }
    }
}

#[cfg(test)]
mod tests;
