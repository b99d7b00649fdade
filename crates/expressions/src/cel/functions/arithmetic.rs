//! Arithmetic over numbers that JSON doesn't tell apart, and their text.

use ::cel::ExecutionError;
use ::cel::common::types::{CelDouble, CelInt, CelString, CelUInt};
use ::cel::common::value::{CowVal, Val};
use go_compat::number;

use super::{Args, Outcome, PLAIN, take};

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
        pub(super) fn $name<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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
pub(super) fn string<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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
