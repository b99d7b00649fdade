//! Functions over conditions and status feedback.
//!
//! A condition list is a list of maps with `type`, `status`, and a time of the last transition in either spelling:
//! `last_transition_time` (HyperFleet) or `lastTransitionTime` (Kubernetes). Entries that are not maps are passed over.

use ::cel::ExecutionError;
use ::cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelString, CelTimestamp};
use ::cel::common::value::{CowVal, Val};
use go_compat::time;
use jiff::Timestamp;
use serde_json::json;

use super::{Args, Outcome, convert, get, get_text, refuse, take, text_of};

/// The first condition of that type.
fn find<'a, 'v>(
    function: &str,
    list: &'a (dyn Val + 'v),
    kind: &str,
) -> Result<Option<&'a (dyn Val + 'v)>, ExecutionError> {
    let Some(list) = list.downcast_ref::<CelList<'v>>() else {
        return Err(refuse(
            function,
            format!("{function}() conditions must be a list"),
        ));
    };
    Ok(list
        .inner()
        .iter()
        .map(AsRef::as_ref)
        .find(|condition| get_text(*condition, "type") == Some(kind)))
}

fn text<'b, 'v>(value: &str) -> CowVal<'b, 'v> {
    CowVal::owned(CelString::from(value.to_owned()))
}

/// `conditionStatus(list, type)`: its status, or `Unknown`.
pub(super) fn status<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [list, kind] = take(args)?;
    let condition = find("conditionStatus", list.as_ref(), text_of(&kind))?;
    Ok(text(
        condition
            .and_then(|condition| get_text(condition, "status"))
            .unwrap_or("Unknown"),
    ))
}

/// `conditionAge(list, type)`: whole seconds since its last transition, or -1.
pub(super) fn age<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [list, kind, now] = take(args)?;
    let condition = find("conditionAge", list.as_ref(), text_of(&kind))?;
    let age = condition
        .and_then(|condition| age_of(condition, now.as_ref()))
        .unwrap_or(-1);
    Ok(CowVal::owned(CelInt::from(age)))
}

/// `stableFor(list, type, seconds)`: true if its status is `True` for at least that long.
pub(super) fn stable_for<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [list, kind, seconds, now] = take(args)?;
    #[allow(clippy::cast_precision_loss)]
    let seconds = match (
        seconds.downcast_ref::<CelInt>(),
        seconds.downcast_ref::<CelDouble>(),
    ) {
        (Some(seconds), _) => *seconds.inner() as f64,
        (None, Some(seconds)) => *seconds.inner(),
        (None, None) => return Err(refuse("stableFor", "stableFor() seconds must be a number")),
    };
    let condition = find("stableFor", list.as_ref(), text_of(&kind))?;
    #[allow(clippy::cast_precision_loss)]
    let stable = condition.is_some_and(|condition| {
        get_text(condition, "status") == Some("True")
            && age_of(condition, now.as_ref()).is_some_and(|age| age as f64 >= seconds)
    });
    Ok(CowVal::owned(CelBool::from(stable)))
}

fn age_of(condition: &dyn Val, now: &dyn Val) -> Option<i64> {
    let since = ["last_transition_time", "lastTransitionTime"]
        .iter()
        .find_map(|key| time_of(get(condition, key)?))?;
    let now = convert::timestamp_of(now.downcast_ref::<CelTimestamp>()?)?;
    Some(now.duration_since(since).as_secs())
}

fn time_of(value: &dyn Val) -> Option<Timestamp> {
    match value.downcast_ref::<CelString<'_>>() {
        Some(text) => time::parse_rfc3339(text.inner()).ok(),
        None => convert::timestamp_of(value.downcast_ref::<CelTimestamp>()?),
    }
}

/// `statusFeedbackValue(feedback, name)`: the value of that name with its type (raw JSON as text), or `""`.
///
/// Accepts the list of values, or the object that holds it under `values`.
pub(super) fn feedback_value<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [feedback, name] = take(args)?;
    let values = get(feedback.as_ref(), "values").unwrap_or_else(|| feedback.as_ref());
    let name = text_of(&name);
    let found = values.downcast_ref::<CelList<'v>>().and_then(|values| {
        let entry = values
            .inner()
            .iter()
            .find(|value| get_text(value.as_ref(), "name") == Some(name))?;
        let value = get(entry.as_ref(), "fieldValue")?;
        let value = ["string", "integer", "boolean", "jsonRaw"]
            .iter()
            .find_map(|key| get(value, key))?;
        Some(value.clone_as_boxed())
    });
    Ok(found.map_or_else(|| text(""), CowVal::Owned))
}

/// `triState(is_true, is_false)`.
pub(super) fn tri_state<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [is_true, is_false] = take(args)?;
    let holds = |value: &CowVal<'_, '_>| {
        value
            .downcast_ref::<CelBool>()
            .is_some_and(|value| *value.inner())
    };
    Ok(text(if holds(&is_true) {
        "True"
    } else if holds(&is_false) {
        "False"
    } else {
        "Unknown"
    }))
}

/// Sentinel's `condition(name)`, as `@condition(resource, name)`: all fields are there, empty if the condition is not.
pub(super) fn condition<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [resource, name] = take(args)?;
    let name = text_of(&name);
    let conditions = get(resource.as_ref(), "status").and_then(|status| get(status, "conditions"));
    let found = conditions
        .and_then(|conditions| conditions.downcast_ref::<CelList<'v>>())
        .and_then(|list| {
            list.inner()
                .iter()
                .map(AsRef::as_ref)
                .find(|condition| get_text(*condition, "type") == Some(name))
        });
    let field = |key: &str| {
        found
            .and_then(|condition| get_text(condition, key))
            .unwrap_or_default()
    };
    let generation = found
        .and_then(|condition| get(condition, "observed_generation"))
        .and_then(whole)
        .unwrap_or(0);
    let view = json!({
        "status": field("status"),
        "observed_generation": generation,
        "last_updated_time": field("last_updated_time"),
        "last_transition_time": field("last_transition_time"),
        "reason": field("reason"),
        "message": field("message"),
    });
    debug_assert!(resource.downcast_ref::<CelMap<'_>>().is_some() || found.is_none());
    Ok(CowVal::Owned(convert::from_json_owned(view)))
}

#[allow(clippy::cast_possible_truncation)]
fn whole(value: &dyn Val) -> Option<i64> {
    let int = value.downcast_ref::<CelInt>().map(|value| *value.inner());
    int.or_else(|| {
        value
            .downcast_ref::<CelDouble>()
            .map(|value| *value.inner() as i64)
    })
}
