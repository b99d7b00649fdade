//! The interpreter's environment: standard library, extensions, and our functions.
//!
//! One environment serves everybody; who may call what is decided by `check`.

use std::sync::{Arc, LazyLock};

use ::cel::common::functions::Function;
use ::cel::common::types::{
    BOOL_TYPE, CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional,
    CelString, CelTimestamp, CelUInt, DYN_TYPE, LIST_TYPE, STRING_TYPE, Type,
};
use ::cel::common::value::{CowVal, Val};
use ::cel::{Context, DeclarationError, Env, ExecutionError, IdedExpr, extensions};
use go_compat::json::{self, EscapeHtml};
use go_compat::{number, time};
use jiff::Timestamp;
use serde_json::Value;

use super::{MAX_DISTINCT_ITEMS, MAX_TEXT_BYTES, MAX_TO_JSON_BYTES, budget, convert};

mod conditions;

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
        ("@add", any(2), add),
        ("@subtract", any(2), subtract),
        ("@multiply", any(2), multiply),
        ("@divide", any(2), divide),
        ("@string", any(1), string),
        ("@ordered", any(1), ordered),
        ("@absent", any(1), absent),
        ("@tick", any(1), budget::tick),
        ("@step", any(2), budget::step),
        ("@charge", any(2), budget::charge),
        ("@nowText", any(1), now_text),
        ("@toJsonPlain", any(1), to_json_plain),
        (
            "@condition",
            vec![DYN_TYPE, STRING_TYPE],
            conditions::condition,
        ),
        ("toJson", any(1), to_json),
        ("fromJson", vec![STRING_TYPE], from_json),
        ("dig", vec![DYN_TYPE, STRING_TYPE], dig),
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
        ("replace", STRING_TYPE, any(2), replace),
        ("replace", STRING_TYPE, any(3), replace),
        ("join", LIST_TYPE, any(1), join),
        ("format", STRING_TYPE, any(1), format),
        ("distinct", DYN_TYPE, any(0), distinct),
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

// --- Language.

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

/// Two numbers of which exactly one is a double: JSON says `3` and `3.0` for the same thing.
fn mixed(left: &dyn Val, right: &dyn Val) -> Option<(f64, f64)> {
    #[allow(clippy::cast_precision_loss)]
    let whole = |value: &dyn Val| {
        let int = value
            .downcast_ref::<CelInt>()
            .map(|value| *value.inner() as f64);
        int.or_else(|| {
            value
                .downcast_ref::<CelUInt>()
                .map(|value| *value.inner() as f64)
        })
    };
    let double = |value: &dyn Val| {
        value
            .downcast_ref::<CelDouble>()
            .map(|value| *value.inner())
    };
    match (double(left), double(right)) {
        (Some(left), None) => Some((left, whole(right)?)),
        (None, Some(right)) => Some((whole(left)?, right)),
        _ => None,
    }
}

macro_rules! arithmetic {
    ($name:ident, $symbol:literal, $accessor:ident, $method:ident, $on_doubles:expr) => {
        fn $name<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
            let [left, right] = take(args)?;
            if let Some((left, right)) = mixed(left.as_ref(), right.as_ref()) {
                let on_doubles: fn(f64, f64) -> f64 = $on_doubles;
                return Ok(CowVal::owned(CelDouble::from(on_doubles(left, right))));
            }
            let unsupported = || {
                let types = [&left, &right].map(|value| value.get_type().name().to_owned());
                ExecutionError::no_such_overload($symbol, types.to_vec())
            };
            let result = left
                .$accessor()
                .ok_or_else(unsupported)?
                .$method(right.as_ref());
            match result {
                Ok(value) => Ok(CowVal::Owned(value.into_owned())),
                Err(
                    ExecutionError::UnsupportedBinaryOperator(..)
                    | ExecutionError::NoSuchOverload(_)
                    | ExecutionError::UnexpectedType { .. },
                ) => Err(unsupported()),
                Err(error) => Err(error),
            }
        }
    };
}

arithmetic!(add, "_+_", as_adder, add, |left, right| left + right);
arithmetic!(subtract, "_-_", as_subtractor, sub, |left, right| left
    - right);
arithmetic!(multiply, "_*_", as_multiplier, mul, |left, right| left
    * right);
arithmetic!(divide, "_/_", as_divider, div, |left, right| left / right);

/// `@string(value)`: doubles as Go's %g, the rest as the standard library does.
fn string<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let double = args
        .first()
        .and_then(|value| value.downcast_ref::<CelDouble>())
        .map(|value| *value.inner());
    if let Some(value) = double {
        return Ok(CowVal::owned(CelString::from(number::format_g(value))));
    }
    match PLAIN.find_overload("string", &args) {
        Some(convert) => convert(args),
        None => {
            let types = args
                .iter()
                .map(|value| value.get_type().name().to_owned())
                .collect();
            Err(ExecutionError::no_such_overload("string", types))
        }
    }
}

// --- Optional library of newer cel-go.

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

// --- Guards before functions that multiply sizes.

fn too_long(function: &str) -> ExecutionError {
    refuse(
        function,
        format!("result is longer than {MAX_TEXT_BYTES} bytes"),
    )
}

fn replace<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    if let [text, old, new, ..] = args.as_slice() {
        let (text, old, new) = (text_of(text), text_of(old), text_of(new));
        let matches = if old.is_empty() {
            text.len() + 1
        } else {
            text.matches(old).count()
        };
        if text.len().saturating_add(matches.saturating_mul(new.len())) > MAX_TEXT_BYTES {
            return Err(too_long("replace"));
        }
    }
    plain_member("replace", args)
}

fn join<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    if let [list, separator] = args.as_slice() {
        let items = list
            .downcast_ref::<CelList<'_>>()
            .map(|list| list.inner())
            .unwrap_or_default();
        let length = |item: &dyn Val| {
            item.downcast_ref::<CelString<'_>>()
                .map_or(0, |text| text.inner().len())
        };
        let separator = text_of(separator).len();
        let total = items.iter().fold(0_usize, |sum, item| {
            sum.saturating_add(length(item.as_ref()))
                .saturating_add(separator)
        });
        if total > MAX_TEXT_BYTES {
            return Err(too_long("join"));
        }
    }
    plain_member("join", args)
}

fn format<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    if let [pattern, values] = args.as_slice() {
        let pattern = text_of(pattern);
        let heaviest = values
            .downcast_ref::<CelList<'_>>()
            .map(|list| list.inner())
            .unwrap_or_default();
        let heaviest = heaviest
            .iter()
            .map(|item| convert::weight(item.as_ref()))
            .max()
            .unwrap_or(0)
            .saturating_mul(64);
        let heaviest = usize::try_from(heaviest).unwrap_or(usize::MAX);
        let verbs = pattern.matches('%').count();
        if pattern.len().saturating_add(verbs.saturating_mul(heaviest)) > MAX_TEXT_BYTES
            || long_digits(pattern)
        {
            return Err(too_long("format"));
        }
    }
    plain_member("format", args)
}

/// A precision of four digits or more: nobody needs it, and it asks for as much memory as it says.
fn long_digits(pattern: &str) -> bool {
    let mut run = 0;
    pattern.bytes().any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run > 3
    }) && pattern.contains('%')
}

fn distinct<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let count = args
        .first()
        .and_then(|list| list.downcast_ref::<CelList<'_>>())
        .map_or(0, |list| list.inner().len());
    if count > MAX_DISTINCT_ITEMS {
        return Err(refuse(
            "distinct",
            format!("list has {count} elements, the limit is {MAX_DISTINCT_ITEMS}"),
        ));
    }
    plain_member("distinct", args)
}

/// Calls a method of the extensions: `a.name(b, …)` evaluated in the plain environment.
fn plain_member<'b, 'v>(name: &str, args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    use ::cel::common::ast::{CallExpr, Expr};

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let ident = |name: &&str| IdedExpr {
        id: 0,
        expr: Expr::Ident((*name).to_owned()),
    };
    let call = IdedExpr {
        id: 0,
        expr: Expr::Call(CallExpr {
            func_name: name.to_owned(),
            target: Some(Box::new(ident(&"a"))),
            args: NAMES
                .iter()
                .skip(1)
                .take(args.len().saturating_sub(1))
                .map(ident)
                .collect(),
        }),
    };
    let mut context = Context::with_env(Arc::clone(&PLAIN));
    for (name, value) in NAMES.iter().zip(args) {
        context.add_variable_as_val(*name, value.into_owned());
    }
    let value = ::cel::Value::resolve_val(&call, &context)?.into_owned();
    Ok(CowVal::Owned(value))
}

// --- JSON.

fn to_json<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    write_json(args, EscapeHtml::On)
}

/// The API's toJson, which doesn't escape HTML.
fn to_json_plain<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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

fn from_json<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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
fn dig<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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
