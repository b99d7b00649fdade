//! Floating point numbers as `strconv.FormatFloat` writes them.
//!
//! Rust and Go agree on the digits (shortest text that reads back to the same value, and correct rounding when a
//! precision is given). They differ in when an exponent is used and how it looks; that is what lives here.

use std::fmt::Write as _;

/// Largest precision that any function here honours; larger requests are cut to it.
///
/// An `f64` has at most 1 075 digits after the point, so nothing is lost, and a hostile precision costs no memory.
pub const MAX_PRECISION: usize = 1_100;

/// Decimal digits of a finite number: `0.d1d2d3… × 10^point`.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    /// Splits Rust's `d.ddde±x` form.
    fn from_scientific(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Self {
            negative,
            digits,
            point: exponent + 1,
        }
    }

    /// The fewest digits that read back to the value. Where two texts of that length do, Go takes the one that rounding to
    /// even gives, Rust the larger.
    fn shortest(value: f64) -> Self {
        let shortest = Self::from_scientific(&format!("{value:e}"));
        if shortest.digits.len() < 15 {
            return shortest;
        }
        let rounded = format!("{value:.*e}", shortest.digits.len() - 1);
        if rounded.parse() == Ok(value) {
            Self::from_scientific(&rounded)
        } else {
            shortest
        }
    }

    /// As [`Decimal::shortest`].
    fn shortest_f32(value: f32) -> Self {
        let shortest = Self::from_scientific(&format!("{value:e}"));
        if shortest.digits.len() < 6 {
            return shortest;
        }
        let rounded = format!("{value:.*e}", shortest.digits.len() - 1);
        if rounded.parse() == Ok(value) {
            Self::from_scientific(&rounded)
        } else {
            shortest
        }
    }

    fn digit(&self, index: i32) -> char {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.digits.get(index))
            .map_or('0', |digit| char::from(*digit))
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    /// `d.ddde±xx` with all digits that are held and at least two digits of exponent.
    fn exponent_form(&self) -> String {
        let mut out = String::with_capacity(self.digits.len() + 8);
        out.push_str(self.sign());
        out.push(self.digit(0));
        if self.digits.len() > 1 {
            out.push('.');
            out.extend(self.digits.iter().skip(1).map(|digit| char::from(*digit)));
        }
        let exponent = if self.digits.iter().all(|digit| *digit == b'0') {
            0
        } else {
            self.point - 1
        };
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
        out
    }

    /// Plain form with all digits that are held and none more.
    fn plain_form(&self) -> String {
        let mut out = String::with_capacity(self.digits.len() + 8);
        out.push_str(self.sign());
        if self.point <= 0 {
            out.push('0');
        }
        for index in 0..self.point.max(0) {
            out.push(self.digit(index));
        }
        let held = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        if held > self.point {
            out.push('.');
            for index in self.point..held {
                out.push(self.digit(index));
            }
        }
        out
    }

    fn trim_trailing_zeros(&mut self) {
        while self.digits.len() > 1 && self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
    }
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
    } else {
        None
    }
}

/// `%v` and `%g`: shortest digits; exponent form when the decimal exponent is below -4 or at least 6
/// (`2.5`, `100000`, `1e+06`, `1.23456789e+08`).
#[must_use]
pub fn format_g(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let mut decimal = Decimal::shortest(value);
    decimal.trim_trailing_zeros();
    if value != 0.0 && !(-4..6).contains(&(decimal.point - 1)) {
        decimal.exponent_form()
    } else {
        decimal.plain_form()
    }
}

/// As [`format_g`], but whole numbers with a magnitude below 2^53 print as integers (`1000000`).
///
/// JSON has one kind of number and Go programs read it as a float, which turns a generation of a million into
/// `1e+06`. Templates and CEL here keep such a number what it was: an integer.
#[must_use]
pub fn format_value(value: f64) -> String {
    match exact_integer(value) {
        Some(integer) => integer.to_string(),
        None => format_g(value),
    }
}

/// The integer that a float stands for, if it is whole and exactly representable (magnitude below 2^53, not -0).
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn exact_integer(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let negative_zero = value == 0.0 && value.is_sign_negative();
    (value.fract() == 0.0 && value.abs() < LIMIT && !negative_zero).then_some(value as i64)
}

/// `%.{precision}g`: significant digits, trailing zeros removed.
#[must_use]
pub fn format_g_precision(value: f64, precision: usize) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let precision = precision.clamp(1, MAX_PRECISION);
    let mut decimal = Decimal::from_scientific(&format!("{value:.*e}", precision - 1));
    let exponent = decimal.point - 1;
    decimal.trim_trailing_zeros();
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if value != 0.0 && !(-4..limit).contains(&exponent) {
        decimal.exponent_form()
    } else {
        decimal.plain_form()
    }
}

/// `%.{precision}f`: always plain, correctly rounded.
#[must_use]
pub fn format_f(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| format!("{value:.*}", precision.min(MAX_PRECISION)))
}

/// `%.{precision}e`: always exponent form with at least two exponent digits.
#[must_use]
pub fn format_e(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| {
        let text = format!("{value:.*e}", precision.min(MAX_PRECISION));
        Decimal::from_scientific(&text).exponent_form()
    })
}

/// The number as `encoding/json` writes it: plain between 1e-6 and 1e21, otherwise exponent form with a one-digit
/// negative exponent left unpadded (`1e-7`, `1e+21`). `None` for values that JSON can't hold.
#[must_use]
pub fn format_json(value: f64) -> Option<String> {
    value
        .is_finite()
        .then(|| json_form(Decimal::shortest(value), value.abs(), 1e-6, 1e21))
}

/// As [`format_json`] for a 32-bit float: fewer digits, same limits.
#[must_use]
pub fn format_json_f32(value: f32) -> Option<String> {
    value.is_finite().then(|| {
        let decimal = Decimal::shortest_f32(value);
        json_form(
            decimal,
            f64::from(value.abs()),
            f64::from(1e-6_f32),
            f64::from(1e21_f32),
        )
    })
}

fn json_form(mut decimal: Decimal, magnitude: f64, low: f64, high: f64) -> String {
    decimal.trim_trailing_zeros();
    if magnitude != 0.0 && (magnitude < low || magnitude >= high) {
        let text = decimal.exponent_form();
        match text.split_once("e-0") {
            Some((mantissa, exponent)) => format!("{mantissa}e-{exponent}"),
            None => text,
        }
    } else {
        decimal.plain_form()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_form_is_that_of_percent_v() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (5.0, "5"),
            (2.5, "2.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (0.000_001, "1e-06"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_g(value), text);
        }
    }

    #[test]
    fn whole_numbers_keep_being_integers_when_asked() {
        assert_eq!(format_value(1_000_000.0), "1000000");
        assert_eq!(format_value(-3.0), "-3");
        assert_eq!(format_value(2.5), "2.5");
        assert_eq!(format_value(1e21), "1e+21");
    }

    #[test]
    fn json_form_is_that_of_encoding_json() {
        for (value, text) in [
            (1.0, "1"),
            (123_456_789.0, "123456789"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-10, "1.25e-10"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            // Exactly between …2 and …3: even wins.
            (
                -f64::from_bits(4_832_363_650_378_643_193),
                "-1126212459367870.2",
            ),
        ] {
            assert_eq!(format_json(value).as_deref(), Some(text));
        }
        assert_eq!(format_json(f64::NAN), None);
        assert_eq!(format_json_f32(0.1).as_deref(), Some("0.1"));
        assert_eq!(
            format_json_f32(51_738.0 + 0.312_5).as_deref(),
            Some("51738.312")
        );
        assert_eq!(format_json_f32(1e-6).as_deref(), Some("0.000001"));
    }

    #[test]
    fn precision_forms() {
        assert_eq!(format_f(2.5, 0), "2");
        assert_eq!(format_f(1e21, 2), "1000000000000000000000.00");
        assert_eq!(format_e(0.0, 6), "0.000000e+00");
        assert_eq!(format_e(123_456.0, 2), "1.23e+05");
        assert_eq!(format_g_precision(123_456.0, 3), "1.23e+05");
        assert_eq!(format_g_precision(1234.0, 6), "1234");
        assert_eq!(format_g_precision(0.000_012_345, 3), "1.23e-05");
    }
}
