//! Names and functions, checked when an expression is compiled.

use std::collections::{BTreeMap, BTreeSet};

use ::cel::IdedExpr;
use ::cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};

use super::User;
use super::error::{Error, Kind};
use super::source::Parsed;

/// A use of a name from outside, with the fields that are selected on it: `resources.hostedCluster.status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The name and the fields; `.a`, `.?a` and `['a']` count alike.
    pub path: Vec<String>,
    /// Line of the name, from 1.
    pub line: usize,
    /// Column of the name in characters, from 1.
    pub column: usize,
}

/// How often a function may be called with how many arguments.
#[derive(Clone, Copy)]
struct Arity {
    global: &'static [usize],
    member: &'static [usize],
}

/// Names of types, which can be used as values.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "dyn",
    "google",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

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

/// The names that an expression takes from outside.
pub(super) struct Names {
    /// Every use in source order.
    pub references: Vec<Reference>,
    /// What to bind if it is there: the names above, names that are also types, and what our functions read.
    pub bindable: BTreeSet<String>,
}

/// Checks names (if they are declared) and calls.
pub(super) fn check(
    parsed: &Parsed,
    user: User,
    variables: Option<&BTreeSet<String>>,
) -> Result<Names, Error> {
    let own = match user {
        User::Adapter => ADAPTER,
        User::Sentinel => SENTINEL,
        User::SentinelPayload => &[],
        User::Api => API,
    };
    let functions = COMMON.iter().chain(own).copied().collect();
    let mut checker = Checker {
        parsed,
        functions,
        variables,
        scope: Vec::new(),
        references: Vec::new(),
        types: BTreeSet::new(),
        errors: Vec::new(),
    };
    checker.walk(&parsed.tree);
    // The first in the text is the one to show.
    match checker
        .errors
        .into_iter()
        .min_by_key(|error| (error.line, error.column))
    {
        Some(error) => Err(error),
        None => {
            checker
                .references
                .sort_by_key(|reference| (reference.line, reference.column));
            let mut bindable = checker.types;
            bindable.extend(
                checker
                    .references
                    .iter()
                    .map(|reference| reference.root().to_owned()),
            );
            if user == User::Sentinel {
                bindable.insert("resource".to_owned());
            }
            Ok(Names {
                references: checker.references,
                bindable,
            })
        }
    }
}

struct Checker<'p> {
    parsed: &'p Parsed,
    functions: BTreeMap<&'static str, Arity>,
    variables: Option<&'p BTreeSet<String>>,
    /// Names that macros bind around the node, innermost last.
    scope: Vec<&'p str>,
    references: Vec<Reference>,
    /// Names of types that are used and could be hidden by a binding.
    types: BTreeSet<String>,
    errors: Vec<Error>,
}

// === impl Reference ===

impl Reference {
    /// The name itself.
    #[must_use]
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

// === impl Checker ===

impl<'p> Checker<'p> {
    fn error(&mut self, kind: Kind, offset: usize, message: String, hint: Option<String>) {
        let (line, column) = self.parsed.position(offset);
        self.errors
            .push(Error::at(kind, line, column, message).with_hint(hint));
    }

    fn walk(&mut self, expr: &'p IdedExpr) {
        if let Some((root, mut path)) = path_of(expr)
            && let Expr::Ident(name) = &root.expr
        {
            path.push(name.clone());
            path.reverse();
            return self.name(root, name, path);
        }
        match &expr.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
            Expr::Select(select) => self.walk(&select.operand),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(object) => {
                let offset = self.parsed.offset(expr.id).unwrap_or(0);
                let hint = Some("a map is written `{'key': value}`".to_owned());
                self.error(
                    Kind::UnknownFunction,
                    offset,
                    format!("unknown type '{}'", object.type_name),
                    hint,
                );
            }
            Expr::Comprehension(comprehension) => {
                self.walk(&comprehension.iter_range);
                self.walk(&comprehension.accu_init);
                let depth = self.scope.len();
                self.scope.push(&comprehension.accu_var);
                self.scope.push(&comprehension.iter_var);
                self.scope.extend(comprehension.iter_var2.as_deref());
                self.walk(&comprehension.loop_cond);
                self.walk(&comprehension.loop_step);
                self.walk(&comprehension.result);
                self.scope.truncate(depth);
            }
        }
    }

    fn entry(&mut self, entry: &'p EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key);
                self.walk(&entry.value);
            }
            EntryExpr::StructField(field) => self.walk(&field.value),
        }
    }

    fn name(&mut self, root: &IdedExpr, name: &str, path: Vec<String>) {
        if name.starts_with('@') || self.scope.contains(&name) {
            return;
        }
        let declared = self
            .variables
            .is_some_and(|variables| variables.contains(name));
        if TYPES.contains(&name) && !declared {
            self.types.insert(name.to_owned());
            return;
        }
        let offset = self.parsed.offset(root.id).unwrap_or(0);
        let word = match name {
            "nil" | "None" | "undefined" => {
                Some("`null`, or has() to ask whether a field is there")
            }
            "True" | "TRUE" => Some("`true`"),
            "False" | "FALSE" => Some("`false`"),
            _ => None,
        };
        if !declared && (self.variables.is_some() || word.is_some()) {
            let hint = match (word, self.variables) {
                (Some(word), _) => Some(format!("write {word}")),
                (None, Some(variables)) => nearest(name, variables.iter().map(String::as_str))
                    .map(|near| format!("did you mean `{near}`?")),
                (None, None) => None,
            };
            return self.error(
                Kind::UndeclaredName,
                offset,
                format!("undeclared reference to '{name}'"),
                hint,
            );
        }
        let (line, column) = self.parsed.position(offset);
        self.references.push(Reference { path, line, column });
    }

    fn call(&mut self, expr: &'p IdedExpr, call: &'p CallExpr) {
        let name = call.func_name.as_str();
        let is_function = name.chars().all(|c| c == '_' || c.is_alphanumeric());
        let mut is_member = call.target.is_some();
        if let Some(target) = &call.target {
            let qualified = match &target.expr {
                Expr::Ident(space) => Some(format!("{space}.{name}")),
                _ => None,
            };
            match qualified.filter(|qualified| self.functions.contains_key(qualified.as_str())) {
                Some(qualified) => {
                    is_member = false;
                    self.function(expr, &qualified, false, call.args.len());
                }
                None => {
                    self.walk(target);
                    if is_function {
                        self.function(expr, name, true, call.args.len());
                    }
                }
            }
        } else if is_function {
            self.function(expr, name, false, call.args.len());
        }
        // Macros that didn't expand still have their bound names as arguments; they are reported once, as calls.
        let unexpanded = is_member
            && matches!(
                name,
                "all"
                    | "exists"
                    | "existsOne"
                    | "exists_one"
                    | "filter"
                    | "map"
                    | "sortBy"
                    | "optMap"
                    | "optFlatMap"
            );
        if !unexpanded {
            call.args.iter().for_each(|arg| self.walk(arg));
        }
    }

    fn function(&mut self, expr: &IdedExpr, name: &str, is_member: bool, count: usize) {
        let simple = name.rsplit('.').next().unwrap_or(name);
        let offset = self.parsed.name_offset(expr.id, simple);
        let Some(arity) = self.functions.get(name).copied() else {
            let habit = HABITS
                .iter()
                .find(|(habit, _)| *habit == name)
                .map(|(_, here)| format!("write {here}"));
            let hint = habit.or_else(|| {
                nearest(name, self.functions.keys().copied())
                    .map(|near| format!("did you mean `{near}`?"))
            });
            return self.error(
                Kind::UnknownFunction,
                offset,
                format!("undeclared reference to function '{name}'"),
                hint,
            );
        };
        let (counts, others) = if is_member {
            (arity.member, arity.global)
        } else {
            (arity.global, arity.member)
        };
        if counts.contains(&count) {
            return;
        }
        if counts.is_empty() {
            let form = if is_member {
                "a function, not a method"
            } else {
                "a method, not a function"
            };
            let example = match (is_member, others.first().copied().unwrap_or(0)) {
                (true, 1) => format!("{name}(x)"),
                (true, _) => format!("{name}(x, …)"),
                (false, 0) => format!("x.{name}()"),
                (false, _) => format!("x.{name}(…)"),
            };
            return self.error(
                Kind::Arguments,
                offset,
                format!("'{name}' is {form}"),
                Some(format!("write `{example}`")),
            );
        }
        let wanted: Vec<String> = counts.iter().map(usize::to_string).collect();
        let plural = if counts == [1] { "" } else { "s" };
        let message = format!(
            "{name}() takes {} argument{plural}, got {count}",
            wanted.join(" or ")
        );
        self.error(Kind::Arguments, offset, message, None);
    }
}

/// The innermost operand of a chain of selections by name, and the names from last to first.
pub(super) fn path_of(expr: &IdedExpr) -> Option<(&IdedExpr, Vec<String>)> {
    let mut names = Vec::new();
    let mut at = expr;
    loop {
        match &at.expr {
            Expr::Ident(_) => return Some((at, names)),
            Expr::Select(select) => {
                names.push(select.field.clone());
                at = &select.operand;
            }
            Expr::Call(call)
                if matches!(
                    call.func_name.as_str(),
                    operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT
                ) =>
            {
                let [
                    operand,
                    IdedExpr {
                        expr: Expr::Literal(LiteralValue::String(key)),
                        ..
                    },
                ] = call.args.as_slice()
                else {
                    return None;
                };
                names.push(key.inner().to_owned());
                at = operand;
            }
            _ => return None,
        }
    }
}

/// The closest candidate, if it is close: at most two edits, and fewer than a third of the name, or equal but for case.
fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| {
            let edits = if candidate.eq_ignore_ascii_case(name) {
                0
            } else {
                distance(name, candidate)
            };
            (edits, candidate)
        })
        .filter(|(edits, _)| *edits == 0 || (*edits <= 2 && edits * 3 <= name.len()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short names; longer ones count as far apart.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX / 4;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (corner + usize::from(x != *y)).min(above + 1).min(left + 1);
            corner = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
