//! Which functions there are, for whom, and with how many arguments.

use std::collections::BTreeMap;

use super::super::User;

/// How often a function may be called with how many arguments.
#[derive(Clone, Copy)]
pub(super) struct Arity {
    pub global: &'static [usize],
    pub member: &'static [usize],
}

const fn global(counts: &'static [usize]) -> Arity {
    Arity {
        global: counts,
        member: &[],
    }
}

const fn member(counts: &'static [usize]) -> Arity {
    Arity {
        global: &[],
        member: counts,
    }
}

/// Functions and macros of every environment.
const COMMON: &[(&str, Arity)] = &[
    ("all", member(&[2])),
    ("bool", global(&[1])),
    ("bytes", global(&[1])),
    ("charAt", member(&[1])),
    ("contains", member(&[1])),
    ("distinct", member(&[0])),
    ("double", global(&[1])),
    ("duration", global(&[1])),
    ("dyn", global(&[1])),
    ("endsWith", member(&[1])),
    ("exists", member(&[2])),
    ("existsOne", member(&[2])),
    ("exists_one", member(&[2])),
    ("filter", member(&[2])),
    ("first", member(&[0])),
    ("flatten", member(&[0, 1])),
    ("format", member(&[1])),
    ("getDate", member(&[0, 1])),
    ("getDayOfMonth", member(&[0, 1])),
    ("getDayOfWeek", member(&[0, 1])),
    ("getDayOfYear", member(&[0, 1])),
    ("getFullYear", member(&[0, 1])),
    ("getHours", member(&[0, 1])),
    ("getMilliseconds", member(&[0, 1])),
    ("getMinutes", member(&[0, 1])),
    ("getMonth", member(&[0, 1])),
    ("getSeconds", member(&[0, 1])),
    ("has", global(&[1])),
    ("hasValue", member(&[0])),
    ("indexOf", member(&[1, 2])),
    ("int", global(&[1])),
    ("join", member(&[0, 1])),
    ("last", member(&[0])),
    ("lastIndexOf", member(&[1, 2])),
    ("lists.range", global(&[1])),
    ("lowerAscii", member(&[0])),
    ("map", member(&[2, 3])),
    (
        "matches",
        Arity {
            global: &[2],
            member: &[1],
        },
    ),
    ("optFlatMap", member(&[2])),
    ("optMap", member(&[2])),
    ("optional.none", global(&[0])),
    ("optional.of", global(&[1])),
    ("optional.ofNonZeroValue", global(&[1])),
    ("optional.unwrap", global(&[1])),
    ("or", member(&[1])),
    ("orValue", member(&[1])),
    ("replace", member(&[2, 3])),
    ("reverse", member(&[0])),
    (
        "size",
        Arity {
            global: &[1],
            member: &[0],
        },
    ),
    ("slice", member(&[2])),
    ("sort", member(&[0])),
    ("sortBy", member(&[2])),
    ("split", member(&[1, 2])),
    ("startsWith", member(&[1])),
    ("string", global(&[1])),
    ("strings.quote", global(&[1])),
    ("substring", member(&[1, 2])),
    ("timestamp", global(&[1])),
    ("trim", member(&[0])),
    ("type", global(&[1])),
    ("uint", global(&[1])),
    ("unwrapOpt", member(&[0])),
    ("upperAscii", member(&[0])),
    ("value", member(&[0])),
];

const ADAPTER: &[(&str, Arity)] = &[
    ("conditionAge", global(&[2])),
    ("conditionStatus", global(&[2])),
    ("dig", global(&[2])),
    ("fromJson", global(&[1])),
    ("now", global(&[0])),
    ("stableFor", global(&[3])),
    ("statusFeedbackValue", global(&[2])),
    ("toJson", global(&[1])),
    ("triState", global(&[2])),
];

const SENTINEL: &[(&str, Arity)] = &[("condition", global(&[1]))];

const API: &[(&str, Arity)] = &[("dig", global(&[2])), ("toJson", global(&[1]))];

/// Habits of other languages and what they are called here.
const HABITS: &[(&str, &str)] = &[
    ("len", "size(x)"),
    ("length", "x.size()"),
    ("count", "x.size()"),
    ("includes", "x.contains(y), or `y in x` for lists"),
    ("hasKey", "`key in map`"),
    ("toString", "string(x)"),
    ("str", "string(x)"),
    ("toLower", "x.lowerAscii()"),
    ("lower", "x.lowerAscii()"),
    ("toUpper", "x.upperAscii()"),
    ("upper", "x.upperAscii()"),
    ("default", "x.orValue(y)"),
    ("any", "x.exists(e, …)"),
    ("some", "x.exists(e, …)"),
    ("every", "x.all(e, …)"),
    ("find", "x.filter(e, …)[0]"),
    ("tojson", "toJson(x)"),
];

/// The functions and macros of an environment.
pub(super) fn of(user: User) -> BTreeMap<&'static str, Arity> {
    let own = match user {
        User::Adapter => ADAPTER,
        User::Sentinel => SENTINEL,
        User::SentinelPayload => &[],
        User::Api => API,
    };
    COMMON.iter().chain(own).copied().collect()
}

/// What a function of another language is called here.
pub(super) fn habit(name: &str) -> Option<&'static str> {
    let found = HABITS.iter().find(|(habit, _)| *habit == name);
    found.map(|(_, here)| *here)
}
