//! Go date layouts: a layout is the reference time `Mon Jan 2 15:04:05 MST 2006` written as the output should look.
//!
//! Anything in a layout that is not a part of the reference time is copied. A fraction (`.000`, `.999`, `,000`) counts only
//! after the seconds' digits or where its digits end, as in Go.

use std::fmt::Write as _;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// `2006-01-02T15:04:05Z07:00`
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// `2006-01-02T15:04:05.999999999Z07:00`
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// One part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    YearTwo,
    MonthName,
    MonthShort,
    MonthNumber,
    MonthTwo,
    WeekdayName,
    WeekdayShort,
    Day,
    DaySpaced,
    DayTwo,
    DayOfYearSpaced,
    DayOfYear,
    Hour24,
    Hour12,
    Hour12Two,
    Minute,
    MinuteTwo,
    Second,
    SecondTwo,
    UpperPm,
    LowerPm,
    ZoneName,
    Offset {
        zulu: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    Fraction {
        digits: usize,
        trim: bool,
        separator: char,
    },
}

/// Formats a time in its own zone.
#[must_use]
pub fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while !rest.is_empty() {
        if let Some((part, length)) = part_at(rest) {
            write_part(&mut out, time, part);
            rest = &rest[length..];
        } else {
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    out
}

/// Formats a time in UTC.
#[must_use]
pub fn format_utc(time: Timestamp, layout: &str) -> String {
    format(&time.to_zoned(TimeZone::UTC), layout)
}

/// The part that `text` starts with, and its length in bytes.
fn part_at(text: &str) -> Option<(Part, usize)> {
    const FIXED: &[(&str, Part)] = &[
        ("2006", Part::Year),
        ("01", Part::MonthTwo),
        ("02", Part::DayTwo),
        ("03", Part::Hour12Two),
        ("04", Part::MinuteTwo),
        ("05", Part::SecondTwo),
        ("06", Part::YearTwo),
        ("002", Part::DayOfYear),
        ("15", Part::Hour24),
        ("1", Part::MonthNumber),
        ("__2", Part::DayOfYearSpaced),
        ("2", Part::Day),
        ("3", Part::Hour12),
        ("4", Part::Minute),
        ("5", Part::Second),
        ("PM", Part::UpperPm),
        ("pm", Part::LowerPm),
        ("MST", Part::ZoneName),
        ("January", Part::MonthName),
        ("Monday", Part::WeekdayName),
        (
            "Z07:00:00",
            Part::Offset {
                zulu: true,
                colon: true,
                minutes: true,
                seconds: true,
            },
        ),
        (
            "Z07:00",
            Part::Offset {
                zulu: true,
                colon: true,
                minutes: true,
                seconds: false,
            },
        ),
        (
            "Z070000",
            Part::Offset {
                zulu: true,
                colon: false,
                minutes: true,
                seconds: true,
            },
        ),
        (
            "Z0700",
            Part::Offset {
                zulu: true,
                colon: false,
                minutes: true,
                seconds: false,
            },
        ),
        (
            "Z07",
            Part::Offset {
                zulu: true,
                colon: false,
                minutes: false,
                seconds: false,
            },
        ),
        (
            "-07:00:00",
            Part::Offset {
                zulu: false,
                colon: true,
                minutes: true,
                seconds: true,
            },
        ),
        (
            "-07:00",
            Part::Offset {
                zulu: false,
                colon: true,
                minutes: true,
                seconds: false,
            },
        ),
        (
            "-070000",
            Part::Offset {
                zulu: false,
                colon: false,
                minutes: true,
                seconds: true,
            },
        ),
        (
            "-0700",
            Part::Offset {
                zulu: false,
                colon: false,
                minutes: true,
                seconds: false,
            },
        ),
        (
            "-07",
            Part::Offset {
                zulu: false,
                colon: false,
                minutes: false,
                seconds: false,
            },
        ),
    ];
    // `_2006` is an underscore and a year, not a spaced day and `006`.
    if text.starts_with("_2") && !text.starts_with("_2006") {
        return Some((Part::DaySpaced, 2));
    }
    if let Some((part, length)) = fraction_at(text) {
        return Some((part, length));
    }
    // Short names count unless a lower-case letter follows: `Month` and `Janet` are plain words.
    for (name, part) in [("Jan", Part::MonthShort), ("Mon", Part::WeekdayShort)] {
        if let Some(after) = text.strip_prefix(name)
            && !text.starts_with("January")
            && !text.starts_with("Monday")
            && !after.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Some((part, name.len()));
        }
    }
    FIXED
        .iter()
        .find(|(name, _)| text.starts_with(name))
        .map(|(name, part)| (*part, name.len()))
}

/// `.000` or `.999` (or with a comma), if no other digit follows.
fn fraction_at(text: &str) -> Option<(Part, usize)> {
    let mut bytes = text.bytes();
    let separator = bytes.next().filter(|byte| matches!(byte, b'.' | b','))?;
    let digit = bytes.next().filter(|byte| matches!(byte, b'0' | b'9'))?;
    let digits = 1 + bytes.clone().take_while(|byte| *byte == digit).count();
    if bytes
        .nth(digits - 1)
        .is_some_and(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let part = Part::Fraction {
        digits,
        trim: digit == b'9',
        separator: char::from(separator),
    };
    Some((part, digits + 1))
}

fn write_part(out: &mut String, time: &Zoned, part: Part) {
    let month = usize::try_from(time.month() - 1).unwrap_or(0);
    let month_name = MONTHS.get(month).copied().unwrap_or_default();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    // Writing to a String can't fail.
    let _ = match part {
        Part::Year => write!(out, "{:04}", time.year()),
        Part::YearTwo => write!(out, "{:02}", time.year().rem_euclid(100)),
        Part::MonthName => write!(out, "{month_name}"),
        Part::MonthShort => write!(out, "{}", month_name.get(..3).unwrap_or_default()),
        Part::MonthNumber => write!(out, "{}", time.month()),
        Part::MonthTwo => write!(out, "{:02}", time.month()),
        Part::WeekdayName => write!(out, "{}", weekday(time.weekday())),
        Part::WeekdayShort => write!(
            out,
            "{}",
            weekday(time.weekday()).get(..3).unwrap_or_default()
        ),
        Part::Day => write!(out, "{}", time.day()),
        Part::DaySpaced => write!(out, "{:2}", time.day()),
        Part::DayTwo => write!(out, "{:02}", time.day()),
        Part::DayOfYearSpaced => write!(out, "{:3}", time.day_of_year()),
        Part::DayOfYear => write!(out, "{:03}", time.day_of_year()),
        Part::Hour24 => write!(out, "{:02}", time.hour()),
        Part::Hour12 => write!(out, "{hour12}"),
        Part::Hour12Two => write!(out, "{hour12:02}"),
        Part::Minute => write!(out, "{}", time.minute()),
        Part::MinuteTwo => write!(out, "{:02}", time.minute()),
        Part::Second => write!(out, "{}", time.second()),
        Part::SecondTwo => write!(out, "{:02}", time.second()),
        Part::UpperPm => write!(out, "{}", if time.hour() >= 12 { "PM" } else { "AM" }),
        Part::LowerPm => write!(out, "{}", if time.hour() >= 12 { "pm" } else { "am" }),
        Part::ZoneName => write_zone_name(out, time),
        Part::Offset {
            zulu,
            colon,
            minutes,
            seconds,
        } => write_offset(out, time.offset().seconds(), zulu, colon, minutes, seconds),
        Part::Fraction {
            digits,
            trim,
            separator,
        } => {
            write_fraction(out, time.subsec_nanosecond(), digits, trim, separator);
            Ok(())
        }
    };
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// The zone's abbreviation; a zone without one prints its offset, as Go does.
fn write_zone_name(out: &mut String, time: &Zoned) -> std::fmt::Result {
    if *time.time_zone() == TimeZone::UTC {
        return out.write_str("UTC");
    }
    let info = time.time_zone().to_offset_info(time.timestamp());
    let name = info.abbreviation();
    if name.chars().all(|c| c.is_ascii_alphabetic()) {
        out.write_str(name)
    } else {
        write_offset(out, time.offset().seconds(), false, false, true, false)
    }
}

fn write_offset(
    out: &mut String,
    offset: i32,
    zulu: bool,
    colon: bool,
    minutes: bool,
    seconds: bool,
) -> std::fmt::Result {
    if zulu && offset == 0 {
        return out.write_char('Z');
    }
    let colon = if colon { ":" } else { "" };
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.abs();
    write!(out, "{sign}{:02}", offset / 3600)?;
    if minutes {
        write!(out, "{colon}{:02}", offset / 60 % 60)?;
    }
    if seconds {
        write!(out, "{colon}{:02}", offset % 60)?;
    }
    Ok(())
}

fn write_fraction(out: &mut String, nanos: i32, digits: usize, trim: bool, separator: char) {
    let text = format!("{:09}", nanos.clamp(0, 999_999_999));
    // Go has nine digits to give; more are zeros.
    let mut text: String = text
        .chars()
        .chain(std::iter::repeat('0'))
        .take(digits)
        .collect();
    if trim {
        text.truncate(text.trim_end_matches('0').len());
    }
    if !text.is_empty() {
        out.push(separator);
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests;
