//! The Common Expression Language as the fleet's Go programs configure it.
//!
//! The interpreter is the `cel` crate. Around it stands what that crate leaves open and our users rely on: integers from
//! JSON are integers, `has()` of a scalar is false, map iteration is sorted, doubles print as Go prints them, names and
//! functions are checked on compilation, evaluation has a budget, and results are JSON as Go writes it.
//!
//! ```
//! use expressions::cel::{Bindings, Environment};
//! use serde_json::json;
//!
//! let program = Environment::adapter().compile("cluster.nodes.size() > 1 && has(cluster.name)")?;
//! let cluster = json!({"name": "c1", "nodes": ["a", "b"]});
//! let mut bindings = Bindings::new();
//! bindings.insert("cluster", &cluster);
//! assert_eq!(program.evaluate(&bindings)?, json!(true));
//! # Ok::<(), expressions::cel::Error>(())
//! ```
//!
//! In reading order: [`Environment`] and [`Program`] here, `source` (tokens, limits, hints), `check` (names and functions),
//! `rewrite` (what is changed in the tree), `functions` and `budget` (what is called at run), `convert` (JSON), `seed` (the first
//! generation's dialect).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::cel::common::value::Val;
use ::cel::{Context, Env, IdedExpr};
use jiff::Timestamp;
use serde_json::Value;

mod budget;
mod check;
mod convert;
mod error;
mod functions;
mod rewrite;
mod seed;
mod source;
mod stack;

pub use check::Reference;
pub use error::{Error, Kind};
pub use seed::Rewrite;

use budget::Budget;

/// Longest expression accepted, in bytes (16 KiB).
pub const MAX_EXPRESSION_BYTES: usize = 16 * 1024;
/// Most brackets, dots and arithmetic operators in one expression: a bound on its depth.
pub const MAX_OPERATORS: usize = 500;
/// Budget of an evaluation unless set: one unit per round of a macro and per value or 64 bytes of text that a macro builds.
pub const DEFAULT_BUDGET: u64 = 1_000_000;
/// Budget in the API's mapped conditions.
pub const API_BUDGET: u64 = 10_000;
/// Longest time that the macros of one evaluation may take; a net below the budget for steps that are slow by themselves.
pub const MAX_EVALUATION_TIME: std::time::Duration = std::time::Duration::from_secs(10);
/// Longest text that one function call may build, in bytes (4 MiB).
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Longest list that `distinct()` accepts; it compares every pair.
pub const MAX_DISTINCT_ITEMS: usize = 10_000;
/// Longest text that `toJson()` gives, in bytes (1 MiB).
pub const MAX_TO_JSON_BYTES: usize = 1024 * 1024;

/// Who evaluates: decides about the functions and the names that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    Adapter,
    Sentinel,
    SentinelPayload,
    Api,
}

/// What an expression may use: names, functions, budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environment {
    user: User,
    /// None: any name.
    variables: Option<BTreeSet<String>>,
    budget: u64,
}

/// A compiled expression. Cheap to share between threads; evaluation needs only a reference.
#[derive(Clone)]
pub struct Program {
    expression: Arc<str>,
    tree: Arc<IdedExpr>,
    references: Arc<[Reference]>,
    bindable: Arc<[String]>,
    depth: usize,
    budget: u64,
    /// `now` is a variable (Sentinel).
    binds_now: bool,
}

/// Values for the names of an expression.
#[derive(Clone, Default)]
pub struct Bindings<'v> {
    values: BTreeMap<String, Bound<'v>>,
    now: Option<Timestamp>,
}

#[derive(Clone)]
enum Bound<'v> {
    Json(&'v Value),
    Evaluated(&'v Evaluated),
}

/// A result that keeps its CEL type: a timestamp stays a timestamp when it is bound to a name of another expression.
#[derive(Clone, Debug)]
pub struct Evaluated {
    value: ::cel::Value,
    type_name: String,
    json: Value,
}

// === impl Environment ===

impl Environment {
    fn new(user: User, variables: Option<&[&str]>, budget: u64) -> Self {
        let variables =
            variables.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Self {
            user,
            variables,
            budget,
        }
    }

    /// Adapter task configs: any name until [`Environment::variables`] says otherwise; `now()` and the functions for
    /// conditions, feedback and JSON.
    #[must_use]
    pub fn adapter() -> Self {
        Self::new(User::Adapter, None, DEFAULT_BUDGET)
    }

    /// Sentinel's decision: `resource`, `now` (a timestamp), and `condition(name)`.
    #[must_use]
    pub fn sentinel() -> Self {
        Self::new(User::Sentinel, Some(&["resource", "now"]), DEFAULT_BUDGET)
    }

    /// Sentinel's message data: `resource` and `reason`.
    #[must_use]
    pub fn sentinel_payload() -> Self {
        Self::new(
            User::SentinelPayload,
            Some(&["resource", "reason"]),
            DEFAULT_BUDGET,
        )
    }

    /// The API's mapped conditions: `statuses`, `resource`, `toJson` and `dig`; budget [`API_BUDGET`].
    #[must_use]
    pub fn api() -> Self {
        Self::new(User::Api, Some(&["statuses", "resource"]), API_BUDGET)
    }

    /// Declares more names. From then on any other name is an error on compilation.
    #[must_use]
    pub fn variables<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.variables
            .get_or_insert_default()
            .extend(names.into_iter().map(Into::into));
        self
    }

    /// Accepts any name; a name that isn't bound is an error on evaluation.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.variables = None;
        self
    }

    /// Sets the budget of one evaluation, see [`DEFAULT_BUDGET`].
    #[must_use]
    pub fn budget(mut self, units: u64) -> Self {
        self.budget = units;
        self
    }

    /// Compiles an expression. An empty or blank one is `true`.
    ///
    /// # Errors
    /// Syntax, limits, undeclared names, unknown functions or wrong numbers of arguments, with line, column and, where a
    /// habit of another language is recognized, a hint.
    pub fn compile(&self, expression: &str) -> Result<Program, Error> {
        let source = source::Source::read(expression)?;
        if source.is_blank() {
            return self
                .finish(expression, &source, "true", |_| Vec::new())
                .map(|(program, _)| program);
        }
        self.finish(expression, &source, expression, |_| Vec::new())
            .map(|(program, _)| program)
    }

    /// Compiles an expression of the first generation of task configs: `a ?? b`, `nil`, `list[?(@.k=='v')]`, and `has()` that is
    /// false wherever a part of the path is missing. Says what was rewritten.
    ///
    /// # Errors
    /// As [`Environment::compile`].
    pub fn compile_seed(&self, expression: &str) -> Result<(Program, Vec<Rewrite>), Error> {
        let source = source::Source::read(expression)?;
        if source.is_blank() {
            return self.finish(expression, &source, "true", |_| Vec::new());
        }
        let translation = seed::Translation::of(&source);
        let text = translation.text().to_owned();
        self.finish(expression, &source, &text, |parsed| {
            translation.apply(parsed)
        })
    }

    fn finish(
        &self,
        expression: &str,
        source: &source::Source<'_>,
        text: &str,
        prepare: impl FnOnce(&mut source::Parsed) -> Vec<Rewrite> + Send,
    ) -> Result<(Program, Vec<Rewrite>), Error> {
        // The parser recurses deeply for its size, so it gets a stack of its own.
        stack::with_large_stack(|| {
            let mut parsed = source.parse(text)?;
            let rewrites = prepare(&mut parsed);
            let names = check::check(&parsed, self.user, self.variables.as_ref())
                .map_err(|error| error.in_expression(expression))?;
            rewrite::rewrite(&mut parsed.tree, self.user);
            let program = Program {
                expression: expression.into(),
                depth: rewrite::depth(&parsed.tree),
                tree: Arc::new(parsed.tree),
                references: names.references.into(),
                bindable: names.bindable.into_iter().collect(),
                budget: self.budget,
                binds_now: self.user == User::Sentinel,
            };
            Ok((program, rewrites))
        })
        .unwrap_or_else(|| Err(Error::internal(expression, "the parser gave up")))
    }
}

// === impl Program ===

impl Program {
    /// The text it was compiled from.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Names that must be bound from outside, sorted, without those that macros introduce.
    #[must_use]
    pub fn free_identifiers(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.references.iter().map(Reference::root).collect();
        names.into_iter().collect()
    }

    /// Every use of a free name with the fields selected on it, and where it stands.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Evaluates to JSON as Go writes it: times as RFC 3339 text, durations as nanoseconds, absent optionals as null.
    ///
    /// # Errors
    /// What the interpreter finds (with cel-go's texts), an exhausted budget, or a result without a JSON form.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, Error> {
        Ok(self.evaluate_typed(bindings)?.json)
    }

    /// Evaluates and keeps the CEL type of the result.
    ///
    /// # Errors
    /// As [`Program::evaluate`].
    pub fn evaluate_typed(&self, bindings: &Bindings<'_>) -> Result<Evaluated, Error> {
        stack::run(self.depth, || self.run(bindings))
            .unwrap_or_else(|| Err(Error::internal(&self.expression, "the interpreter gave up")))
    }

    fn run(&self, bindings: &Bindings<'_>) -> Result<Evaluated, Error> {
        let env: &'static Arc<Env> = functions::environment();
        let now = bindings.now.unwrap_or_else(Timestamp::now);
        let budget = Budget::new(self.budget);
        let mut context = Context::with_env(Arc::clone(env));
        context.add_variable_as_val(rewrite::BUDGET, Box::new(budget.clone()));
        context.add_variable_as_val(rewrite::NOW, functions::timestamp(now));
        if self.binds_now {
            context.add_variable_as_val("now", functions::timestamp(now));
        }
        for name in self.bindable.iter() {
            match bindings.values.get(name) {
                Some(Bound::Json(value)) => {
                    context.add_variable_as_val(name.as_str(), convert::from_json(value))
                }
                Some(Bound::Evaluated(evaluated)) => {
                    context.add_variable_as_val(name.as_str(), evaluated.as_val())
                }
                None => {}
            }
        }
        let result = ::cel::Value::resolve_val(&self.tree, &context);
        // The interpreter lets `||` and `&&` absorb errors; an exhausted budget is never absorbed.
        if let Some(message) = budget.exhausted() {
            return Err(Error::budget(&self.expression, message));
        }
        let result = result.map_err(|error| Error::from_execution(&self.expression, &error))?;
        let value: &(dyn Val + '_) = result.as_ref();
        let json = convert::to_json(value)
            .map_err(|message| Error::evaluation(&self.expression, message))?;
        Ok(Evaluated {
            type_name: value.get_type().name().to_owned(),
            value: ::cel::Value::try_from(value).unwrap_or(::cel::Value::Null),
            json,
        })
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("expression", &self.expression)
            .finish_non_exhaustive()
    }
}

// === impl Bindings ===

impl<'v> Bindings<'v> {
    /// No names. The time is read from the clock on each evaluation until it is set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name to a JSON value, replacing what it was bound to.
    pub fn insert(&mut self, name: impl Into<String>, value: &'v Value) -> &mut Self {
        self.values.insert(name.into(), Bound::Json(value));
        self
    }

    /// Binds a name to the result of another expression.
    pub fn insert_evaluated(&mut self, name: impl Into<String>, value: &'v Evaluated) -> &mut Self {
        self.values.insert(name.into(), Bound::Evaluated(value));
        self
    }

    /// Sets the time that `now` and the age of conditions are taken from.
    pub fn now(&mut self, now: Timestamp) -> &mut Self {
        self.now = Some(now);
        self
    }

    /// True if the name is bound.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

// === impl Evaluated ===

impl Evaluated {
    /// The result as JSON.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The result as JSON, without a copy.
    #[must_use]
    pub fn into_json(self) -> Value {
        self.json
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.json.as_bool()
    }

    /// CEL's name of the type: `bool`, `int`, `string`, `list`, `map`, `null_type`, `google.protobuf.Timestamp`, …
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Whether a condition counts as met: a boolean decides itself; null, `""`, `[]` and `{}` are not met, anything else is.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match &self.json {
            Value::Bool(value) => *value,
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::Number(_) => true,
        }
    }

    fn as_val<'v>(&self) -> Box<dyn Val + 'v> {
        let val: Result<Box<dyn Val>, _> = self.value.clone().try_into();
        val.unwrap_or_else(|_| convert::null())
    }
}

#[cfg(test)]
mod tests;
