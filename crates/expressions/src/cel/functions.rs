//! The interpreter's environment: standard library, extensions, and our functions.
//!
//! One environment serves everybody; who may call what is decided by `check`.

use std::sync::{Arc, LazyLock};

use ::cel::common::functions::Function;
use ::cel::common::types::{
    BOOL_TYPE, CelBool, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString, CelTimestamp,
    DYN_TYPE, LIST_TYPE, STRING_TYPE, Type,
};
use ::cel::common::value::{CowVal, Val};
use ::cel::{DeclarationError, Env, ExecutionError, extensions};
use go_compat::time;
use jiff::Timestamp;

use super::{budget, convert};

mod arithmetic;
mod conditions;
mod guards;
mod json;

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Standard library and extensions alone, to call what our guards stand before.
static PLAIN: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    extend(&mut env).expect("the extensions don't clash with the standard library");
    Arc::new(env)
});

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    declare(&mut env)
        .and_then(|()| extend(&mut env))
        .expect("our functions have names or types of their own");
    env.set_error_on_duplicate_map_keys(false);
    Arc::new(env)
});

pub(super) fn environment() -> &'static Arc<Env> {
    &ENVIRONMENT
}

fn extend(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)
}

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    let any =
        |count: usize| -> Vec<Type> { std::iter::repeat_with(|| DYN_TYPE).take(count).collect() };
    let named: Vec<(&str, Vec<Type>, Function)> = vec![
        ("@has", any(2), has),
        ("@add", any(2), arithmetic::add),
        ("@subtract", any(2), arithmetic::subtract),
        ("@multiply", any(2), arithmetic::multiply),
        ("@divide", any(2), arithmetic::divide),
        ("@string", any(1), arithmetic::string),
        ("@ordered", any(1), ordered),
        ("@absent", any(1), absent),
        ("@tick", any(1), budget::tick),
        ("@step", any(2), budget::step),
        ("@charge", any(2), budget::charge),
        ("@nowText", any(1), now_text),
        ("@toJsonPlain", any(1), json::to_json_plain),
        (
            "@condition",
            vec![DYN_TYPE, STRING_TYPE],
            conditions::condition,
        ),
        ("toJson", any(1), json::to_json),
        ("fromJson", vec![STRING_TYPE], json::from_json),
        ("dig", vec![DYN_TYPE, STRING_TYPE], json::dig),
        (
            "conditionStatus",
            vec![DYN_TYPE, STRING_TYPE],
            conditions::status,
        ),
        (
            "conditionAge",
            vec![DYN_TYPE, STRING_TYPE, DYN_TYPE],
            conditions::age,
        ),
        (
            "stableFor",
            vec![DYN_TYPE, STRING_TYPE, DYN_TYPE, DYN_TYPE],
            conditions::stable_for,
        ),
        (
            "statusFeedbackValue",
            vec![DYN_TYPE, STRING_TYPE],
            conditions::feedback_value,
        ),
        (
            "triState",
            vec![BOOL_TYPE, BOOL_TYPE],
            conditions::tri_state,
        ),
        ("optional.unwrap", vec![LIST_TYPE], unwrap_optionals),
    ];
    for (name, types, function) in named {
        env.add_overload(name, &format!("own_{name}"), types, function)?;
    }
    // Guards: the extensions' own overloads have narrower types and come later, so these are found first.
    let members: Vec<(&str, Type, Vec<Type>, Function)> = vec![
        ("first", LIST_TYPE, any(0), first),
        ("last", LIST_TYPE, any(0), last),
        ("unwrapOpt", LIST_TYPE, any(0), unwrap_optionals),
        ("replace", STRING_TYPE, any(2), guards::replace),
        ("replace", STRING_TYPE, any(3), guards::replace),
        ("join", LIST_TYPE, any(1), guards::join),
        ("format", STRING_TYPE, any(1), guards::format),
        ("distinct", DYN_TYPE, any(0), guards::distinct),
    ];
    for (at, (name, target, types, function)) in members.into_iter().enumerate() {
        env.add_member_overload(name, &format!("own_{name}_{at}"), target, types, function)?;
    }
    Ok(())
}

/// The time as a CEL timestamp.
pub(super) fn timestamp<'v>(now: Timestamp) -> Box<dyn Val + 'v> {
    let args = vec![CowVal::owned(CelString::from(time::rfc3339_nano(now)))];
    match PLAIN
        .find_overload("timestamp", &args)
        .map(|convert| convert(args))
    {
        Some(Ok(value)) => value.into_owned(),
        _ => convert::null(),
    }
}

fn refuse(function: &str, message: impl Into<String>) -> ExecutionError {
    ExecutionError::function_error(function, message.into())
}

fn take<'b, 'v, const N: usize>(args: Args<'b, 'v>) -> Result<[CowVal<'b, 'v>; N], ExecutionError> {
    let count = args.len();
    args.try_into()
        .map_err(|_| ExecutionError::invalid_argument_count(N, count))
}

fn text_of<'a>(value: &'a CowVal<'_, '_>) -> &'a str {
    value
        .downcast_ref::<CelString<'_>>()
        .map_or("", |text| text.inner())
}

/// `@has(operand, field)`: true only if the operand is a map with that key; a scalar or null has no fields.
fn has<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [operand, field] = take(args)?;
    Ok(CowVal::owned(CelBool::from(has_key(
        operand.as_ref(),
        text_of(&field),
    ))))
}

fn has_key(operand: &dyn Val, field: &str) -> bool {
    if let Some(optional) = operand.downcast_ref::<CelOptional<'_>>() {
        return optional.inner().is_some_and(|value| has_key(value, field));
    }
    operand.downcast_ref::<CelMap<'_>>().is_some_and(|map| {
        map.inner()
            .contains_key(&CelMapKey::String(CelString::from(field.to_owned())))
    })
}

/// `@absent(value)`: null, or an optional without a value.
fn absent<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [value] = take(args)?;
    let empty = value
        .downcast_ref::<CelOptional<'_>>()
        .is_some_and(|optional| optional.inner().is_none());
    Ok(CowVal::owned(CelBool::from(
        empty || value.downcast_ref::<CelNull>().is_some(),
    )))
}

/// `@ordered(range)`: maps are iterated by sorted key, so that results don't depend on chance.
fn ordered<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [range] = take(args)?;
    let Some(map) = range.downcast_ref::<CelMap<'v>>() else {
        return Ok(range);
    };
    let mut keys: Vec<CelMapKey<'v>> = map.inner().keys().cloned().collect();
    keys.sort();
    let keys: Vec<Box<dyn Val + 'v>> = keys
        .iter()
        .map(|key| key.inner().clone_as_boxed())
        .collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

fn first<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    element(args, |items| items.first())
}

fn last<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    element(args, |items| items.last())
}

fn element<'b, 'v>(
    args: Args<'b, 'v>,
    choose: impl for<'i> Fn(&'i [Box<dyn Val + 'v>]) -> Option<&'i Box<dyn Val + 'v>>,
) -> Outcome<'b, 'v> {
    let [list] = take(args)?;
    let item = list
        .downcast_ref::<CelList<'v>>()
        .and_then(|list| choose(list.inner()));
    Ok(CowVal::owned(item.map_or_else(CelOptional::none, |item| {
        CelOptional::of(item.clone_as_boxed())
    })))
}

/// The values of the optionals in a list that have one.
fn unwrap_optionals<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [list] = take(args)?;
    let mut items: Vec<Box<dyn Val + 'v>> = Vec::new();
    for item in list
        .downcast_ref::<CelList<'v>>()
        .map(|list| list.inner())
        .unwrap_or_default()
    {
        match item.downcast_ref::<CelOptional<'v>>() {
            Some(optional) => items.extend(optional.inner().map(Val::clone_as_boxed)),
            None => return Err(refuse("unwrapOpt", "list elements must be optionals")),
        }
    }
    Ok(CowVal::owned(CelList::from(items)))
}

/// The value under a key, if this is a map that has it.
fn get<'a, 'v>(value: &'a (dyn Val + 'v), key: &str) -> Option<&'a (dyn Val + 'v)> {
    let map = value.downcast_ref::<CelMap<'v>>()?;
    map.inner()
        .get(&CelMapKey::String(CelString::from(key.to_owned())))
        .map(AsRef::as_ref)
}

fn get_text<'a>(value: &'a dyn Val, key: &str) -> Option<&'a str> {
    get(value, key)?
        .downcast_ref::<CelString<'_>>()
        .map(|text| text.inner())
}

fn now_text<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let [now] = take(args)?;
    let now = now
        .downcast_ref::<CelTimestamp>()
        .and_then(convert::timestamp_of)
        .unwrap_or_default();
    Ok(CowVal::owned(CelString::from(time::rfc3339_seconds(now))))
}
