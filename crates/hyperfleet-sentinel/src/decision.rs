//! Does a resource need a pulse? Compiled once, evaluated per resource and cycle.

use expressions::cel::{Bindings, Environment, Evaluated, Program};
use jiff::Timestamp;

use crate::{config, observed::Observed};

/// Why a pulse is sent when the decision says so.
pub const MATCHED: &str = "message decision matched";
/// Why none is sent when the decision says so.
pub const NOT_MATCHED: &str = "message decision result is false";

/// A compiled decision.
#[derive(Debug)]
pub struct Decision {
    params: Vec<(String, Program)>,
    result: Program,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether to send a pulse.
    pub publish: bool,
    /// Why, from a small set: fit for a metric label and for `reason` in a payload.
    pub reason: String,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

impl Verdict {
    /// Send a pulse.
    pub fn publish(reason: impl Into<String>) -> Self {
        Self {
            publish: true,
            reason: reason.into(),
            error: None,
        }
    }

    /// Send none.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self {
            publish: false,
            reason: reason.into(),
            error: None,
        }
    }

    fn failed(reason: String, error: impl ToString) -> Self {
        Self {
            publish: false,
            reason,
            error: Some(error.to_string()),
        }
    }
}

impl Decision {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// Every problem, with the key, line and column of the expression.
    pub fn compile(config: &config::Decision) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let names: Vec<&str> = config
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        for (index, param) in config.params.iter().enumerate() {
            let key = format!("message_decision.params[{index}]");
            if param.name.trim().is_empty() {
                problems.push(format!("{key}.name: is required"));
            } else if matches!(param.name.as_str(), "resource" | "now" | "condition") {
                problems.push(format!("{key}.name: {:?} is taken", param.name));
            } else if names.iter().take(index).any(|name| *name == param.name) {
                problems.push(format!("{key}.name: {:?} is used twice", param.name));
            }
            if param.expr.trim().is_empty() {
                problems.push(format!("{key}.expr: is required"));
            }
        }
        // A name may be used before its turn; that is found when it is evaluated.
        let environment =
            Environment::sentinel().variables(names.iter().map(|name| (*name).to_owned()));
        let mut compile = |key: String, text: &str| match environment.compile(text) {
            Ok(program) => Some(program),
            Err(error) => {
                problems.push(format!("{key}: {error}"));
                None
            }
        };
        let params: Vec<(String, Program)> = config
            .params
            .iter()
            .enumerate()
            .filter_map(|(index, param)| {
                let program = compile(
                    format!("message_decision.params[{index}].expr"),
                    &param.expr,
                )?;
                Some((param.name.clone(), program))
            })
            .collect();
        let result = compile("message_decision.result".to_owned(), &config.result);
        match result {
            Some(result) if problems.is_empty() => Ok(Self { params, result }),
            _ => Err(problems),
        }
    }

    /// Decides about one resource. An expression that fails means: no pulse.
    pub fn decide(&self, resource: &Observed, now: Timestamp) -> Verdict {
        let mut evaluated: Vec<(&str, Evaluated)> = Vec::with_capacity(self.params.len());
        for (name, program) in &self.params {
            match program.evaluate_typed(&bindings(resource, &evaluated, now)) {
                Ok(value) => evaluated.push((name, value)),
                Err(error) => {
                    return Verdict::failed(format!("param \"{name}\" evaluation failed"), error);
                }
            }
        }
        match self
            .result
            .evaluate_typed(&bindings(resource, &evaluated, now))
        {
            Err(error) => Verdict::failed("result evaluation failed".to_owned(), error),
            Ok(value) => match value.as_bool() {
                Some(true) => Verdict::publish(MATCHED),
                Some(false) => Verdict::skip(NOT_MATCHED),
                None => Verdict::skip(format!(
                    "result expression did not return bool, got {}",
                    value.type_name()
                )),
            },
        }
    }
}

fn bindings<'v>(
    resource: &'v Observed,
    evaluated: &'v [(&str, Evaluated)],
    now: Timestamp,
) -> Bindings<'v> {
    let mut bindings = Bindings::new();
    bindings.insert("resource", &resource.variable);
    bindings.now(now);
    for (name, value) in evaluated {
        bindings.insert_evaluated(*name, value);
    }
    bindings
}

#[cfg(test)]
mod tests;
