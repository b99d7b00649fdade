//! Phase `preconditions`.

use serde_json::{Map, Value, json};

use super::outcome::PreconditionResult;
use super::{PhaseError, Run, conditions};
use crate::api;
use crate::config::task::{Capture, Check, How, Precondition};
use crate::lang::{Variables, matched};

/// Characters of an expression that a reason repeats.
const MAX_SHOWN: usize = 200;

/// How the phase ended.
#[derive(Debug)]
pub(super) enum Verdict {
    Met,
    /// The reason, with the name of the precondition.
    NotMet(String),
    /// The resource does not exist any more: nothing is left to do.
    Gone,
    Failed(PhaseError),
}

/// How one precondition ended.
enum One {
    Met,
    NotMet(String),
    Gone,
    Failed(PhaseError),
}

impl Run<'_> {
    /// In order; stops at the first that is not met or fails.
    pub(super) async fn preconditions(&mut self) -> Verdict {
        for (index, precondition) in self.pipeline.task.preconditions.iter().enumerate() {
            self.step.clone_from(&precondition.name);
            let mut captured = Vec::new();
            let one = self.precondition(precondition, &mut captured).await;
            let result = |matched, error: Option<&str>| PreconditionResult {
                name: precondition.name.clone(),
                matched,
                error: error.map(str::to_owned),
                captured: captured.clone(),
            };
            match one {
                One::Met => {
                    tracing::debug!("Precondition[{index}] evaluated: MET");
                    self.trace.preconditions.push(result(true, None));
                }
                One::NotMet(details) => {
                    tracing::debug!("Precondition[{index}] evaluated: NOT_MET - {details}");
                    self.trace.preconditions.push(result(false, None));
                    return Verdict::NotMet(format!(
                        "precondition '{}' not met: {details}",
                        precondition.name
                    ));
                }
                One::Gone => {
                    self.trace.preconditions.push(result(false, None));
                    return Verdict::Gone;
                }
                One::Failed(error) => {
                    tracing::debug!(
                        "Precondition[{index}] evaluated: FAILED - {}",
                        error.message
                    );
                    self.trace
                        .preconditions
                        .push(result(false, Some(&error.message)));
                    return Verdict::Failed(error);
                }
            }
        }
        Verdict::Met
    }

    async fn precondition(
        &mut self,
        precondition: &Precondition,
        captured: &mut Vec<(String, Value)>,
    ) -> One {
        if let Some(log) = &precondition.log {
            self.log(log);
        }
        if let Some(call) = &precondition.api_call {
            let name = &precondition.name;
            let response = match self.call(call).await {
                Ok(response) => response,
                Err(error) if error.is_object_gone() => return One::Gone,
                Err(error) => return One::Failed(error.phase_error(name)),
            };
            let mut response = match response.object() {
                Ok(response) => response,
                Err(message) => return One::Failed(PhaseError::terminal(name, message)),
            };
            if precondition.adapters_view
                && let Err(error) = self.add_adapters(precondition, &mut response).await
            {
                return One::Failed(error);
            }
            self.capture(precondition, &response, captured);
            self.scope.set(name, response);
        }
        self.check(precondition)
    }

    /// Stores captures; what can't be found is null, unless a default says otherwise.
    fn capture(
        &mut self,
        precondition: &Precondition,
        response: &Value,
        captured: &mut Vec<(String, Value)>,
    ) {
        let empty = Map::new();
        let own = Map::from_iter([(precondition.name.clone(), response.clone())]);
        let keys = response.as_object().unwrap_or(&empty);
        let mut variables = Variables::new();
        variables.layer(&own);
        variables.layer(keys);
        // For paths, the same as one value.
        let mut merged = keys.clone();
        merged.insert(precondition.name.clone(), response.clone());
        let merged = Value::Object(merged);
        for capture in &precondition.captures {
            let value = evaluate_capture(capture, &variables, &merged);
            captured.push((capture.name.clone(), value.clone()));
            self.scope.set(&capture.name, value);
        }
    }

    fn check(&self, precondition: &Precondition) -> One {
        let roots = self.scope.roots();
        match &precondition.check {
            Check::None => One::Met,
            Check::Expression(expression) => {
                match expression.evaluate(&self.scope.variables(&roots)) {
                    Ok(value) if matched(&value) => One::Met,
                    Ok(_) => One::NotMet(format!(
                        "the expression is false: {}",
                        one_line(expression.source())
                    )),
                    Err(error) => One::NotMet(format!("CEL error: {error}")),
                }
            }
            Check::Conditions(list) => {
                let data = self.scope.merged(&roots);
                let mut unmet = Vec::new();
                for condition in list {
                    match conditions::evaluate(condition, &data) {
                        Ok(finding) if finding.met => {}
                        Ok(finding) => unmet.push(finding.details),
                        Err(message) => {
                            return One::Failed(PhaseError::terminal(&precondition.name, message));
                        }
                    }
                }
                if unmet.is_empty() {
                    One::Met
                } else {
                    One::NotMet(unmet.join("; "))
                }
            }
        }
    }

    /// `status.adapters` as older APIs had it, from the reports of the adapters.
    async fn add_adapters(
        &mut self,
        precondition: &Precondition,
        response: &mut Value,
    ) -> Result<(), PhaseError> {
        let name = &precondition.name;
        let present = response
            .get("status")
            .and_then(|status| status.get("adapters"))
            .is_some();
        let Some(call) = precondition.api_call.as_ref().filter(|_| !present) else {
            return Ok(());
        };
        let url = call
            .url
            .render(self.scope.data())
            .map_err(|error| PhaseError::terminal(name, error))?;
        let url = url
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/')
            .to_owned();
        let request = api::Request {
            older_paths: true,
            ..api::Request::get(format!("{url}/statuses"))
        };
        let reports = match self.send(request).await {
            Ok(response) => response
                .object()
                .map_err(|message| PhaseError::terminal(name, message))?,
            Err(error) if error.is_object_gone() => Value::Null,
            Err(error) => return Err(error.phase_error(name)),
        };
        let adapters: Vec<Value> = reports
            .get("items")
            .and_then(Value::as_array)
            .map(|items| items.iter().map(adapter_entry).collect())
            .unwrap_or_default();
        if let Value::Object(map) = response {
            let status = map.entry("status").or_insert_with(|| json!({}));
            if let Value::Object(status) = status {
                status.insert("adapters".into(), Value::Array(adapters));
            }
        }
        Ok(())
    }
}

fn adapter_entry(report: &Value) -> Value {
    let take = |key: &str| report.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "name": take("adapter"), "conditions": take("conditions"), "data": take("data"),
        "observed_generation": take("observed_generation"),
    })
}

fn evaluate_capture(capture: &Capture, variables: &Variables<'_>, merged: &Value) -> Value {
    match &capture.how {
        How::Field(path) => {
            let found = path.find(merged);
            if let Ok(value) = &found
                && !value.is_null()
            {
                return value.clone();
            }
            if let Some(default) = &capture.default {
                return default.clone();
            }
            let why = found.err().unwrap_or_else(|| "it is empty".to_owned());
            tracing::warn!(capture = %capture.name, "captured field {:?} has no value: {why}", path.text());
            Value::Null
        }
        How::Expression(expression) => expression.evaluate(variables).unwrap_or_else(|error| {
            tracing::warn!(capture = %capture.name, "capture expression can't be evaluated: {error}");
            Value::Null
        }),
    }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
