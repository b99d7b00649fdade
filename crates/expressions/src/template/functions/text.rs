//! Text. These take text only, as in Go: a number is an error, not its digits.
//!
//! The affix comes second, also in a pipeline: `.x | trimPrefix "p"` trims `.x` from `p`. Existing configs rely on the order.

use super::super::MAX_OUTPUT_BYTES;
use super::super::value::Val;
use super::{Call, int_of, take, text_of};

type Outcome<'d> = Result<Val<'d>, String>;

pub(super) fn lower<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.to_lowercase()))
}

pub(super) fn upper<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.to_uppercase()))
}

pub(super) fn trim<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.trim()))
}

/// English title case: the first letter of each word is upper case, the others lower.
pub(super) fn title<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text] = take(arguments)?;
    let text: Vec<char> = text_of(&text)?.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for (at, c) in text.iter().copied().enumerate() {
        if c.is_alphabetic() {
            if in_word {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
            in_word = true;
            continue;
        }
        out.push(c);
        // Apostrophes, dots and colons between letters don't end a word; neither do digits and underscores.
        let between = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic());
        let joins = matches!(c, '\'' | '\u{2019}' | '.' | ':' | '\u{b7}')
            && between(text.get(at + 1))
            && at > 0
            && between(text.get(at - 1));
        in_word = in_word && (joins || c.is_numeric() || c == '_');
    }
    Ok(Val::owned(out))
}

pub(super) fn trim_prefix<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, prefix] = take(arguments)?;
    let (text, prefix) = (text_of(&text)?, text_of(&prefix)?);
    Ok(Val::owned(text.strip_prefix(prefix).unwrap_or(text)))
}

pub(super) fn trim_suffix<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, suffix] = take(arguments)?;
    let (text, suffix) = (text_of(&text)?, text_of(&suffix)?);
    Ok(Val::owned(text.strip_suffix(suffix).unwrap_or(text)))
}

/// `replace S OLD NEW`, everywhere.
pub(super) fn replace<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, old, new] = take(arguments)?;
    let (text, old, new) = (text_of(&text)?, text_of(&old)?, text_of(&new)?);
    let count = if old.is_empty() {
        text.len() + 1
    } else {
        text.matches(old).count()
    };
    limit(text.len().saturating_add(count.saturating_mul(new.len())))?;
    Ok(Val::owned(text.replace(old, new)))
}

pub(super) fn contains<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, part] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.contains(text_of(&part)?)))
}

pub(super) fn has_prefix<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, prefix] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.starts_with(text_of(&prefix)?)))
}

pub(super) fn has_suffix<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text, suffix] = take(arguments)?;
    Ok(Val::owned(text_of(&text)?.ends_with(text_of(&suffix)?)))
}

/// Go's quoting, which YAML and JSON read for everything but rare control characters.
pub(super) fn quote<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [text] = take(arguments)?;
    Ok(Val::owned(go_compat::print::quote(text_of(&text)?)))
}

/// `trunc N S`: the first N characters, or the last if N is negative.
pub(super) fn trunc<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [count, text] = take(arguments)?;
    let (count, text) = (int_of(&count)?, text_of(&text)?);
    let length = text.chars().count();
    let keep = usize::try_from(count.unsigned_abs())
        .unwrap_or(usize::MAX)
        .min(length);
    let kept: String = if count < 0 {
        text.chars().skip(length - keep).collect()
    } else {
        text.chars().take(keep).collect()
    };
    Ok(Val::owned(kept))
}

/// `indent N S`: N blanks before every line.
pub(super) fn indent<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [count, text] = take(arguments)?;
    Ok(Val::owned(indented(&count, &text)?))
}

/// `nindent N S`: the same after a line break.
pub(super) fn nindent<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [count, text] = take(arguments)?;
    Ok(Val::owned(format!("\n{}", indented(&count, &text)?)))
}

fn indented(count: &Val<'_>, text: &Val<'_>) -> Result<String, String> {
    let text = text_of(text)?;
    let count = int_of(count)?;
    let count = usize::try_from(count).map_err(|_| format!("can't indent by {count}"))?;
    let lines = text.matches('\n').count() + 1;
    limit(text.len().saturating_add(lines.saturating_mul(count)))?;
    let pad = " ".repeat(count);
    Ok(format!("{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

fn limit(length: usize) -> Result<(), String> {
    if length > MAX_OUTPUT_BYTES {
        return Err(format!("result is longer than {MAX_OUTPUT_BYTES} bytes"));
    }
    Ok(())
}
