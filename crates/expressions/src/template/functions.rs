//! The functions that templates may call, with the order of arguments that task configs are written for.

use go_compat::{layout, time};
use jiff::Timestamp;
use serde_json::Value;

use super::value::Val;

mod compare;
mod convert;
mod escape;
mod printf;
mod text;

/// What a function is called with besides its arguments.
pub(super) struct Call {
    pub now: Timestamp,
}

type Body = for<'d> fn(&Call, Vec<Val<'d>>) -> Result<Val<'d>, String>;

/// An entry of the table below.
#[derive(Clone, Copy)]
pub(super) struct Function(&'static Entry);

struct Entry {
    name: &'static str,
    least: usize,
    most: usize,
    body: Body,
}

const ANY: usize = usize::MAX;

const fn entry(name: &'static str, least: usize, most: usize, body: Body) -> Entry {
    Entry {
        name,
        least,
        most,
        body,
    }
}

/// Sorted by name.
static TABLE: &[Entry] = &[
    entry("and", 1, ANY, compare::and),
    entry("b64dec", 1, 1, convert::b64dec),
    entry("b64enc", 1, 1, convert::b64enc),
    entry("call", 1, ANY, call),
    entry("contains", 2, 2, text::contains),
    entry("date", 2, 2, date),
    entry("dateFormat", 2, 2, date),
    entry("default", 2, 2, default),
    entry("eq", 2, ANY, compare::eq),
    entry("float", 1, 1, convert::float),
    entry("float64", 1, 1, convert::float),
    entry("fromJson", 1, 1, convert::from_json),
    entry("ge", 2, 2, compare::ge),
    entry("gt", 2, 2, compare::gt),
    entry("hasPrefix", 2, 2, text::has_prefix),
    entry("hasSuffix", 2, 2, text::has_suffix),
    entry("html", 0, ANY, escape::html),
    entry("indent", 2, 2, text::indent),
    entry("index", 1, ANY, compare::index),
    entry("int", 1, 1, convert::int),
    entry("int64", 1, 1, convert::int),
    entry("js", 0, ANY, escape::js),
    entry("le", 2, 2, compare::le),
    entry("len", 1, 1, compare::len),
    entry("lower", 1, 1, text::lower),
    entry("lt", 2, 2, compare::lt),
    entry("ne", 2, 2, compare::ne),
    entry("nindent", 2, 2, text::nindent),
    entry("not", 1, 1, compare::not),
    entry("now", 0, 0, now),
    entry("or", 1, ANY, compare::or),
    entry("print", 0, ANY, printf::print),
    entry("printf", 1, ANY, printf::printf),
    entry("println", 0, ANY, printf::println),
    entry("quote", 1, 1, text::quote),
    entry("replace", 3, 3, text::replace),
    entry("required", 2, 2, required),
    entry("slice", 1, 4, compare::slice),
    entry("string", 1, 1, convert::string),
    entry("title", 1, 1, text::title),
    entry("toJson", 1, 1, convert::to_json),
    entry("trim", 1, 1, text::trim),
    entry("trimPrefix", 2, 2, text::trim_prefix),
    entry("trimSuffix", 2, 2, text::trim_suffix),
    entry("trunc", 2, 2, text::trunc),
    entry("upper", 1, 1, text::upper),
    entry("urlquery", 0, ANY, escape::urlquery),
];

/// Functions of other collections and what to write here.
const HABITS: &[(&str, &str)] = &[
    ("toLower", "write lower"),
    ("toUpper", "write upper"),
    ("toYaml", "write toJson; JSON is YAML"),
    ("toString", "write string"),
    ("atoi", "write int"),
    ("env", "write .env.NAME"),
    ("squote", "write quote"),
    ("coalesce", "write default"),
    ("ternary", "write {{ if }}"),
    ("trimAll", "write trimPrefix and trimSuffix"),
    ("formatDate", "write date"),
];

pub(super) fn hint(name: &str) -> Option<String> {
    if let Some((_, hint)) = HABITS.iter().find(|(habit, _)| *habit == name) {
        return Some((*hint).to_owned());
    }
    let same = TABLE
        .iter()
        .find(|entry| entry.name.eq_ignore_ascii_case(name))?;
    Some(format!("did you mean {}?", same.name))
}

// === impl Function ===

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE
            .binary_search_by(|entry| entry.name.cmp(name))
            .ok()
            .and_then(|at| TABLE.get(at))
            .map(Function)
    }

    pub(super) fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whether it may be called with so many arguments.
    pub(super) fn check(&self, count: usize) -> Result<(), String> {
        let Entry {
            name, least, most, ..
        } = self.0;
        if (*least..=*most).contains(&count) {
            return Ok(());
        }
        let wanted = match (*least, *most) {
            (least, ANY) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        Err(format!(
            "wrong number of args for {name}: want {wanted} got {count}"
        ))
    }

    /// For `and` and `or`: the truth of the operand that ends the evaluation.
    pub(super) fn short_circuit(&self) -> Option<bool> {
        match self.0.name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        }
    }

    pub(super) fn run<'d>(&self, call: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
        self.check(arguments.len())?;
        (self.0.body)(call, arguments)
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// The arguments as an array; their number is already checked.
fn take<'d, const N: usize>(arguments: Vec<Val<'d>>) -> Result<[Val<'d>; N], String> {
    let count = arguments.len();
    arguments
        .try_into()
        .map_err(|_| format!("wrong number of args: want {N} got {count}"))
}

/// Text, or Go's complaint about what it is instead.
fn text_of<'a>(value: &'a Val<'_>) -> Result<&'a str, String> {
    match value.as_text() {
        Some(text) => Ok(text),
        None if value.is_nil() => Err("invalid value; expected string".to_owned()),
        None => Err(format!(
            "wrong type for value; expected string; got {}",
            value.type_name()
        )),
    }
}

fn int_of(value: &Val<'_>) -> Result<i64, String> {
    match value.json() {
        Some(Value::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(go_compat::number::exact_integer))
            .ok_or_else(|| {
                format!(
                    "wrong type for value; expected int; got {}",
                    value.type_name()
                )
            }),
        _ => Err(format!(
            "wrong type for value; expected int; got {}",
            value.type_name()
        )),
    }
}

fn now<'d>(call: &Call, _: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    Ok(Val::Time(call.now))
}

/// `date LAYOUT TIME`; text in RFC 3339 is a time too.
fn date<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [format, when] = take(arguments)?;
    let format = text_of(&format)?;
    let when = match (&when, when.as_text()) {
        (Val::Time(when), _) => *when,
        (_, Some(text)) => time::parse_rfc3339(text).map_err(|error| error.to_string())?,
        _ => {
            return Err(format!(
                "wrong type for value; expected time.Time; got {}",
                when.type_name()
            ));
        }
    };
    Ok(Val::owned(layout::format_utc(when, format)))
}

/// `default DEF VAL`: DEF if VAL is nil or empty text; 0 and false are kept.
fn default<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [fallback, value] = take(arguments)?;
    Ok(if is_unset(&value) { fallback } else { value })
}

/// `required MESSAGE VAL`.
fn required<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [message, value] = take(arguments)?;
    if is_unset(&value) {
        return Err(message.print());
    }
    Ok(value)
}

fn is_unset(value: &Val<'_>) -> bool {
    value.is_nil() || value.as_text() == Some("")
}

/// Data holds no functions.
fn call<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let kind = arguments.first().map_or("<nil>", Val::type_name);
    Err(format!("non-function of type {kind}"))
}
