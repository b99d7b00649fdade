//! What no PostgreSQL `jsonb` or index can hold is refused at the door: it would abort the transaction that it shares with
//! other writes, and both databases shall take the same events. The limits are listed in `docs/protocol/limits.md`.

use event_wire::{Attribute, Event};

/// Longest name of a source, bytes; it is part of an index.
pub const MAX_SOURCE: usize = 253;
/// Longest id of an event, bytes.
pub const MAX_EVENT_ID: usize = 1024;
/// Most extension attributes of one event; peers send about ten.
pub const MAX_ATTRIBUTES: usize = 256;
/// Longest value of one attribute, bytes; the largest is `metadata`, whose annotations Kubernetes limits to half of this.
pub const MAX_ATTRIBUTE: usize = 512 * 1024;
/// Levels of objects and arrays in data or metadata; parsers give up soon after.
pub const MAX_DEPTH: usize = 128;

/// Why an event can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// `\u0000`, or a zero byte in an attribute.
    #[error("text holds the character U+0000")]
    Nul,
    /// Half of a surrogate pair.
    #[error("text holds an unpaired surrogate")]
    Surrogate,
    /// A part of the event is longer than allowed.
    #[error("{what} takes {size} bytes which exceeds the {limit} limit")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// Bytes that it takes.
        size: usize,
        /// Bytes that it may take.
        limit: usize,
    },
    /// More attributes than allowed.
    #[error("{0} attributes exceed the {MAX_ATTRIBUTES} limit")]
    Attributes(usize),
    /// JSON that is nested too deep.
    #[error("JSON is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// A number that is out of the range of 64-bit floats, or written with very many digits.
    #[error("a number is out of range")]
    Number,
}

/// Digits of a number, at most: far more than a 64-bit float has.
const MAX_DIGITS: usize = 1000;
/// The largest power of ten that a number is written with, either way: those of 64-bit floats end earlier.
const MAX_EXPONENT: u32 = 400;
/// `jsonb` writes powers of ten out as zeros; bytes that an event may grow by through that.
const MAX_GROWTH: usize = 1024 * 1024;

/// Checks all texts of an event whose data and metadata are valid JSON.
///
/// # Errors
/// The first part that can't be stored.
pub fn check(event: &Event) -> Result<(), NotStorable> {
    within("the id", event.id.len(), MAX_EVENT_ID)?;
    within("the source", event.source.len(), MAX_SOURCE)?;
    if event.extensions.len() > MAX_ATTRIBUTES {
        return Err(NotStorable::Attributes(event.extensions.len()));
    }
    let standard = [&event.content_type, &event.data_schema, &event.subject];
    for text in [&event.id, &event.source]
        .into_iter()
        .chain(standard.into_iter().flatten())
    {
        within("an attribute", text.len(), MAX_ATTRIBUTE)?;
        plain(text)?;
    }
    for value in event.extensions.values() {
        match value {
            Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text) => {
                within("an attribute", text.len(), MAX_ATTRIBUTE)?;
                plain(text)?;
            }
            Attribute::Bytes(bytes) => within("an attribute", bytes.len(), MAX_ATTRIBUTE)?,
            _ => {}
        }
    }
    if let Ok(Some(metadata)) = event.metadata_text() {
        json(metadata)?;
        numbers(metadata)?;
    }
    let data = event
        .data
        .as_deref()
        .and_then(|data| std::str::from_utf8(data).ok());
    data.map_or(Ok(()), |data| json(data).and_then(|()| numbers(data)))
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), NotStorable> {
    if size > limit {
        Err(NotStorable::TooLong { what, size, limit })
    } else {
        Ok(())
    }
}

fn plain(text: &str) -> Result<(), NotStorable> {
    if text.contains('\0') {
        Err(NotStorable::Nul)
    } else {
        Ok(())
    }
}

/// Looks for escapes and depth that can't be stored in valid JSON.
fn json(text: &str) -> Result<(), NotStorable> {
    escapes(text)?;
    if manifestwork::manifest::depth(text) > MAX_DEPTH {
        return Err(NotStorable::Depth);
    }
    Ok(())
}

/// Escapes of U+0000 and unpaired surrogates.
fn escapes(text: &str) -> Result<(), NotStorable> {
    let mut rest = text;
    // A high half came; its low half must follow at once.
    let mut open = false;
    while let Some(at) = rest.find('\\') {
        if open && at != 0 {
            return Err(NotStorable::Surrogate);
        }
        let escape = rest.get(at + 1..).unwrap_or_default();
        let unit = escape.strip_prefix('u').and_then(|hex| hex.get(..4));
        let Some(unit) = unit.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else {
            if open {
                return Err(NotStorable::Surrogate);
            }
            rest = escape.get(1..).unwrap_or_default();
            continue;
        };
        match (open, unit) {
            (_, 0) => return Err(NotStorable::Nul),
            (false, 0xd800..=0xdbff) => open = true,
            (true, 0xdc00..=0xdfff) => open = false,
            (true, _) | (false, 0xdc00..=0xdfff) => return Err(NotStorable::Surrogate),
            (false, _) => {}
        }
        rest = escape.get(5..).unwrap_or_default();
    }
    if open {
        Err(NotStorable::Surrogate)
    } else {
        Ok(())
    }
}

/// Looks at the numbers of valid JSON: what is between its strings.
fn numbers(text: &str) -> Result<(), NotStorable> {
    let mut growth = 0;
    let mut rest = text;
    loop {
        let (between, string) = rest.split_once('"').unwrap_or((rest, ""));
        let breaks = |c: char| matches!(c, ',' | ':' | '[' | ']' | '{' | '}') || c.is_whitespace();
        for token in between.split(breaks) {
            growth += number(token)?;
        }
        if growth > MAX_GROWTH {
            return Err(NotStorable::Number);
        }
        let Some(end) = end_of_string(string) else {
            return Ok(());
        };
        rest = string.get(end + 1..).unwrap_or_default();
    }
}

/// Where a string ends whose first quote is passed.
fn end_of_string(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('"')?;
        let before = text.get(..at)?;
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        if backslashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Checks one token; tells how many zeros it is short for.
fn number(token: &str) -> Result<usize, NotStorable> {
    if !token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Ok(0);
    }
    if token.len() > MAX_DIGITS {
        return Err(NotStorable::Number);
    }
    let Some((_, exponent)) = token.split_once(['e', 'E']) else {
        return Ok(0);
    };
    let exponent = exponent.trim_start_matches('+').parse().ok();
    let exponent: i32 = exponent.ok_or(NotStorable::Number)?;
    let zeros = exponent.unsigned_abs();
    if zeros > MAX_EXPONENT {
        return Err(NotStorable::Number);
    }
    Ok(usize::try_from(zeros).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_jsonb_refuses_or_blows_up_are_found() {
        let many = |text: &str, times: usize| format!("[{}0]", format!("{text},").repeat(times));
        for (text, expected) in [
            (
                r#"{"a":[1,-2.5e3,1E+5,0.1e-7],"b":"1e999999"}"#.to_owned(),
                Ok(()),
            ),
            (r#"{"a\\":1e5,"b\"":"\\\"1e999999"}"#.to_owned(), Ok(())),
            (r#"{"a":1e401}"#.to_owned(), Err(NotStorable::Number)),
            (
                r#"{"a":1e-2147483648}"#.to_owned(),
                Err(NotStorable::Number),
            ),
            (
                r#"{"a":"x\\", "b": 1e-99999999999 }"#.to_owned(),
                Err(NotStorable::Number),
            ),
            (format!("[{}]", "9".repeat(1001)), Err(NotStorable::Number)),
            (format!("\"{}\"", "9".repeat(1001)), Ok(())),
            (many("1e300", 100), Ok(())),
            (many("1e300", 10_000), Err(NotStorable::Number)),
        ] {
            let short = text.get(..40.min(text.len()));
            assert_eq!(numbers(&text), expected, "{short:?}");
        }
    }

    #[test]
    fn text_that_jsonb_refuses_is_found() {
        for (text, expected) in [
            (r#"{"a":"\u0001 \\u0000 \n \ud83d\ude00 é"}"#, Ok(())),
            (r#"{"a":"\u0000"}"#, Err(NotStorable::Nul)),
            (r#"{"a\u0000":1}"#, Err(NotStorable::Nul)),
            (r#"{"a":"\ud83d"}"#, Err(NotStorable::Surrogate)),
            (r#"{"a":"\ud83dx\ude00"}"#, Err(NotStorable::Surrogate)),
            (r#"{"a":"\ud83d\n"}"#, Err(NotStorable::Surrogate)),
            (r#"{"a":"\ude00"}"#, Err(NotStorable::Surrogate)),
        ] {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(json(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(json(&nested(MAX_DEPTH + 1)), Err(NotStorable::Depth));
        assert_eq!(
            json(&format!("\"{}\"", "[".repeat(500))),
            Ok(()),
            "text is no depth"
        );
        assert_eq!(json(r#"["\"[[", "\\", 1]"#), Ok(()));
    }

    #[test]
    fn sizes_have_limits() {
        use event_wire::{Action, EventType, Stamp, Subresource};
        let kind = EventType::manifest_bundles(Subresource::Spec, Action::CreateRequest);
        let event = |source: usize, note: usize, more: usize| {
            let mut event = Event::new(kind.clone(), "s".repeat(source), Stamp::now());
            event.set("note", "x".repeat(note));
            for number in 0..more {
                event.set(&format!("x{number}"), 1);
            }
            event
        };
        assert_eq!(
            check(&event(MAX_SOURCE, MAX_ATTRIBUTE, MAX_ATTRIBUTES - 1)),
            Ok(())
        );
        for bad in [
            event(MAX_SOURCE + 1, 1, 0),
            event(1, MAX_ATTRIBUTE + 1, 0),
            event(1, 1, MAX_ATTRIBUTES),
        ] {
            assert!(check(&bad).is_err());
        }
    }
}
