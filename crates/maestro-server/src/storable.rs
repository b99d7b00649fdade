//! Text that no PostgreSQL `jsonb` can hold is refused at the door: it would abort the transaction that it shares with
//! other writes, and both databases shall take the same events.

use event_wire::{Attribute, Event};

/// Why an event can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// `\u0000`, or a zero byte in an attribute.
    #[error("text holds the character U+0000")]
    Nul,
    /// Half of a surrogate pair.
    #[error("text holds an unpaired surrogate")]
    Surrogate,
}

/// Checks all texts of an event whose data and metadata are valid JSON.
///
/// # Errors
/// The first text that can't be stored.
pub fn check(event: &Event) -> Result<(), NotStorable> {
    for text in [&event.id, &event.source] {
        plain(text)?;
    }
    for value in event.extensions.values() {
        if let Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text) = value {
            plain(text)?;
        }
    }
    if let Ok(Some(metadata)) = event.metadata_text() {
        json(metadata)?;
    }
    event
        .data
        .as_deref()
        .and_then(|data| std::str::from_utf8(data).ok())
        .map_or(Ok(()), json)
}

fn plain(text: &str) -> Result<(), NotStorable> {
    if text.contains('\0') {
        Err(NotStorable::Nul)
    } else {
        Ok(())
    }
}

/// Looks for escapes of U+0000 and unpaired surrogates in valid JSON.
fn json(text: &str) -> Result<(), NotStorable> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
