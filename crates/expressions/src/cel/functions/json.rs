//! JSON text, and looking into values by path.

use ::cel::common::types::{CelList, CelOptional, CelString};
use ::cel::common::value::{CowVal, Val};
use go_compat::json::{self, EscapeHtml};
use serde_json::Value;

use super::super::{MAX_TO_JSON_BYTES, convert};
use super::{Args, Outcome, get, refuse, take, text_of};

pub(super) fn to_json<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    write_json(args, EscapeHtml::On)
}

/// The API's toJson, which doesn't escape HTML.
pub(super) fn to_json_plain<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    write_json(args, EscapeHtml::Off)
}

fn write_json<'b, 'v>(args: Args<'b, 'v>, escape: EscapeHtml) -> Outcome<'b, 'v> {
    let [value] = take(args)?;
    let tree = convert::to_json(value.as_ref()).map_err(|message| refuse("toJson", message))?;
    let text =
        json::to_string_with(&tree, escape).map_err(|error| refuse("toJson", error.to_string()))?;
    if text.len() > MAX_TO_JSON_BYTES {
        return Err(refuse(
            "toJson",
            format!(
                "result has {} bytes, the limit is {MAX_TO_JSON_BYTES}",
                text.len()
            ),
        ));
    }
    Ok(CowVal::owned(CelString::from(text)))
}

pub(super) fn from_json<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [text] = take(args)?;
    let text = text_of(&text);
    if text.len() > MAX_TO_JSON_BYTES {
        return Err(refuse(
            "fromJson",
            format!(
                "text has {} bytes, the limit is {MAX_TO_JSON_BYTES}",
                text.len()
            ),
        ));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse("fromJson", error.to_string()))?;
    Ok(CowVal::Owned(convert::from_json_owned(value)))
}

/// `dig(value, "a.0.b")`: keys and list positions; null wherever there is nothing.
pub(super) fn dig<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [value, path] = take(args)?;
    let found = find(value.as_ref(), text_of(&path)).map(Val::clone_as_boxed);
    Ok(CowVal::Owned(found.unwrap_or_else(convert::null)))
}

fn find<'a, 'v>(value: &'a (dyn Val + 'v), path: &str) -> Option<&'a (dyn Val + 'v)> {
    let mut at = value;
    for part in path
        .split('.')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        if let Some(optional) = at.downcast_ref::<CelOptional<'v>>() {
            at = optional.inner()?;
        }
        at = if let Some(list) = at.downcast_ref::<CelList<'v>>() {
            list.inner().get(part.parse::<usize>().ok()?)?.as_ref()
        } else {
            get(at, part)?
        };
    }
    Some(at)
}
