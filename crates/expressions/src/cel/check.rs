//! Names and functions, checked when an expression is compiled.

use std::collections::{BTreeMap, BTreeSet};

use ::cel::IdedExpr;
use ::cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};

mod functions;
mod near;

use functions::Arity;
use near::nearest;

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
    let functions = functions::of(user);
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
            let habit = functions::habit(name).map(|here| format!("write {here}"));
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
