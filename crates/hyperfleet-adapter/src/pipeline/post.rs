//! Phase `post_actions`: payloads, then actions.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::outcome::ActionResult;
use super::report::correct;
use super::{PhaseError, Run};
use crate::config::task::shape::{Computed, RenderError};
use crate::config::task::{Action, Build, How, Payload};
use crate::lang::{Expression, matched};

/// The step of errors in payloads.
const BUILD: &str = "build_payloads";

/// How an action ended, if not with an error.
enum Done {
    Executed,
    Skipped(String),
    /// What it speaks about does not exist any more.
    Gone,
}

impl Run<'_> {
    pub(super) async fn post_actions(&mut self) -> Result<(), PhaseError> {
        let task = Arc::clone(&self.pipeline.task);
        let mut skipped = BTreeSet::new();
        BUILD.clone_into(&mut self.step);
        for payload in &task.payloads {
            if !self.payload(payload)? {
                skipped.insert(payload.name.as_str());
            }
        }
        for (index, action) in task.actions.iter().enumerate() {
            self.step.clone_from(&action.name);
            let done = self.action(action, &skipped).await;
            let result = |skipped: Option<&str>, error: Option<&str>| ActionResult {
                name: action.name.clone(),
                skipped: skipped.map(str::to_owned),
                error: error.map(str::to_owned),
            };
            match done {
                Ok(Done::Executed) => {
                    tracing::info!("PostAction[{index}] processed: SUCCESS - status=success");
                    self.trace.actions.push(result(None, None));
                }
                Ok(Done::Skipped(reason)) => {
                    tracing::info!("PostAction[{index}] processed: SKIPPED - reason={reason}");
                    self.trace.actions.push(result(Some(&reason), None));
                }
                Ok(Done::Gone) => {
                    tracing::info!(
                        "PostAction[{index}] processed: SKIPPED - reason=ResourceNotFound"
                    );
                    self.trace
                        .actions
                        .push(result(Some("ResourceNotFound"), None));
                    self.trace.gone = true;
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!("PostAction[{index}] processed: FAILED");
                    self.trace.actions.push(result(None, Some(&error.message)));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Builds one payload; `false` if its condition says no.
    fn payload(&mut self, payload: &Payload) -> Result<bool, PhaseError> {
        let failed = |message: String| {
            PhaseError::terminal(BUILD, format!("payload {:?}: {message}", payload.name))
        };
        if let Some(when) = &payload.when
            && !self.when(when).map_err(failed)?
        {
            self.scope.remove(&payload.name);
            return Ok(false);
        }
        let mut value = match &payload.build {
            Build::Raw(value) => value.clone(),
            Build::Map(shape) => {
                let roots = self.scope.roots();
                let merged = self.scope.merged(&roots);
                let variables = self.scope.variables(&roots);
                shape
                    .render(self.scope.data(), &mut |computed| {
                        Ok(compute(computed, &variables, &merged))
                    })
                    .map_err(|RenderError(message)| failed(message))?
            }
        };
        correct(&mut value, &self.overrides);
        let text = match value {
            // Raw texts go out as they are.
            Value::String(text) => text,
            value => {
                go_compat::json::to_string(&value).map_err(|error| failed(error.to_string()))?
            }
        };
        self.scope.set(&payload.name, Value::String(text));
        Ok(true)
    }

    async fn action(
        &mut self,
        action: &Action,
        skipped: &BTreeSet<&str>,
    ) -> Result<Done, PhaseError> {
        if let Some(body) = action.api_call.as_ref().and_then(|call| call.body.as_ref())
            && let Some(name) = skipped.iter().find(|name| body.uses(name))
        {
            return Ok(Done::Skipped(format!(
                "referenced payload '{name}' was skipped"
            )));
        }
        if let Some(when) = &action.when
            && !self
                .when(when)
                .map_err(|message| PhaseError::terminal(&action.name, message))?
        {
            return Ok(Done::Skipped(format!(
                "when condition evaluated to false: {}",
                when.source()
            )));
        }
        if let Some(log) = &action.log {
            self.log(log);
        }
        if let Some(call) = &action.api_call {
            match self.call(call).await {
                Ok(_) => {}
                Err(error) if error.is_object_gone() => return Ok(Done::Gone),
                Err(error) => return Err(error.phase_error(&action.name)),
            }
        }
        Ok(Done::Executed)
    }

    fn when(&self, when: &Expression) -> Result<bool, String> {
        let roots = self.scope.roots();
        when.evaluate(&self.scope.variables(&roots))
            .map(|value| matched(&value))
            .map_err(|error| format!("when condition can't be evaluated: {error}"))
    }
}

/// A computed leaf: null, a missing field and an evaluation error give the default.
fn compute(computed: &Computed, variables: &crate::lang::Variables<'_>, merged: &Value) -> Value {
    let value = match &computed.how {
        How::Field(path) => path.find(merged).unwrap_or_else(|error| {
            tracing::debug!(key = %computed.path, "field has no value: {error}");
            Value::Null
        }),
        How::Expression(expression) => expression.evaluate(variables).unwrap_or_else(|error| {
            tracing::warn!(key = %computed.path, "expression can't be evaluated: {error}");
            Value::Null
        }),
    };
    if value.is_null() {
        computed.default.clone().unwrap_or(Value::Null)
    } else {
        value
    }
}
