//! What stands before functions that multiply sizes.

use std::sync::Arc;

use ::cel::common::types::{CelList, CelString};
use ::cel::common::value::{CowVal, Val};
use ::cel::{Context, ExecutionError, IdedExpr};

use super::super::{MAX_DISTINCT_ITEMS, MAX_TEXT_BYTES, convert};
use super::{Args, Outcome, PLAIN, refuse, text_of};

fn too_long(function: &str) -> ExecutionError {
    refuse(
        function,
        format!("result is longer than {MAX_TEXT_BYTES} bytes"),
    )
}

pub(super) fn replace<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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

pub(super) fn join<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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

pub(super) fn format<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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

pub(super) fn distinct<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
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
