//! The trace of a dry run as text and as JSON, in upstream's shapes.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::cluster::Operation;
use crate::pipeline::outcome::{
    ActionResult, ApiRecord, Outcome, Phase, PreconditionResult, ResourceResult, Trace,
};

/// Width that parameter names are padded to.
const PARAM_WIDTH: usize = 16;
/// Width that names of steps are padded to.
const STEP_WIDTH: usize = 30;
/// Width that kind and namespace are padded to.
const KIND_WIDTH: usize = 12;

/// The trace for people.
pub(super) fn text(outcome: &Outcome, verbose: bool) -> String {
    let trace = &outcome.trace;
    let mut out = String::from("Dry-Run Execution Trace\n========================\n");
    let _ = writeln!(
        out,
        "Event: id={} type={}\n",
        trace.event_id, trace.event_type
    );
    params(&mut out, trace, verbose);
    if !reached(trace, Phase::Preconditions) {
        let _ = writeln!(out, "Result: FAILED");
        return out;
    }
    preconditions(&mut out, trace, verbose);
    resources(&mut out, trace, verbose);
    discovered(&mut out, trace);
    actions(&mut out, trace, verbose);
    let _ = writeln!(
        out,
        "Result: {}",
        if outcome.failed() {
            "FAILED"
        } else {
            "SUCCESS"
        }
    );
    out
}

/// Nothing runs after failed params, unless the config says so.
fn reached(trace: &Trace, phase: Phase) -> bool {
    phase == Phase::Params
        || !trace.errors.contains_key(&Phase::Params)
        || !trace.actions.is_empty()
}

fn heading(out: &mut String, number: &str, title: &str, dots: usize, result: &str) {
    let _ = writeln!(out, "Phase {number}: {title} {} {result}", ".".repeat(dots));
}

fn params(out: &mut String, trace: &Trace, verbose: bool) {
    let error = trace.errors.get(&Phase::Params);
    heading(
        out,
        "1",
        "Parameter Extraction",
        14,
        if error.is_some() { "FAILED" } else { "SUCCESS" },
    );
    match error {
        Some(error) => {
            let _ = writeln!(out, "  Error: {error}");
        }
        None => {
            for (name, value) in &trace.params {
                let _ = writeln!(out, "  {name:<PARAM_WIDTH$} = {value}");
            }
        }
    }
    for call in trace
        .calls
        .iter()
        .filter(|call| call.phase == Phase::Params)
    {
        api_call(out, call, "  ", verbose);
    }
    out.push('\n');
}

fn preconditions(out: &mut String, trace: &Trace, verbose: bool) {
    let error = trace.errors.get(&Phase::Preconditions);
    let result = match (error, trace.preconditions.last()) {
        (Some(_), _) => "FAILED",
        (None, None) => "SUCCESS",
        (None, Some(_)) if trace.gone && trace.actions.is_empty() && trace.resources.is_empty() => {
            "SUCCESS (RESOURCE NOT FOUND)"
        }
        (None, Some(last)) if last.matched => "SUCCESS (MET)",
        (None, Some(_)) => "SUCCESS (NOT MET)",
    };
    heading(out, "2", "Preconditions", 21, result);
    let total = trace.preconditions.len();
    for (index, result) in trace.preconditions.iter().enumerate() {
        let word = precondition_word(result);
        let _ = writeln!(
            out,
            "  [{}/{total}] {:<STEP_WIDTH$} {word}",
            index + 1,
            result.name
        );
        calls_of(out, trace, Phase::Preconditions, &result.name, verbose);
        for (name, value) in &result.captured {
            let _ = writeln!(out, "    Captured: {name} = {value}");
        }
        if let Some(error) = &result.error {
            let _ = writeln!(out, "    Error: {error}");
        }
    }
    out.push('\n');
}

fn precondition_word(result: &PreconditionResult) -> &'static str {
    match (&result.error, result.matched) {
        (Some(_), _) => "FAIL",
        (None, true) => "PASS",
        (None, false) => "NOT MET",
    }
}

fn resources(out: &mut String, trace: &Trace, verbose: bool) {
    let failed = trace.errors.contains_key(&Phase::Resources);
    let skipped = trace
        .skipped
        .as_ref()
        .or_else(|| trace.errors.get(&Phase::Preconditions));
    match (failed, skipped) {
        (false, Some(reason)) => {
            heading(out, "3", "Resources", 24, "SKIPPED");
            let _ = writeln!(out, "  Reason: {reason}\n");
            return;
        }
        (true, _) => heading(out, "3", "Resources", 24, "FAILED"),
        (false, None) => heading(out, "3", "Resources", 24, "SUCCESS"),
    }
    let total = trace.resources.len();
    for (index, resource) in trace.resources.iter().enumerate() {
        let _ = writeln!(
            out,
            "  [{}/{total}] {:<STEP_WIDTH$} {}",
            index + 1,
            resource.name,
            operation_word(resource)
        );
        if !resource.object.is_empty() {
            let _ = writeln!(
                out,
                "    Kind: {:<KIND_WIDTH$} Namespace: {:<KIND_WIDTH$} Name: {}",
                resource.kind, resource.namespace, resource.object
            );
        }
        if let Some(error) = &resource.error {
            let _ = writeln!(out, "    Error: {error}");
        }
        if let Some(before) = &resource.before {
            let _ = writeln!(out, "    Pre-delete state:\n{}", block(before, 6));
        }
        if let (true, Some(manifest)) = (verbose, &resource.manifest) {
            let _ = writeln!(
                out,
                "    [verbose] Rendered manifest:\n{}",
                block(manifest, 6)
            );
        }
    }
    out.push('\n');
}

fn operation_word(resource: &ResourceResult) -> String {
    match (&resource.error, resource.operation) {
        (Some(_), _) => "FAILED".into(),
        (None, Some(operation)) if resource.pending => {
            format!(
                "{} ({})",
                operation.as_str().to_uppercase(),
                resource.reason
            )
        }
        (None, Some(operation)) => operation.as_str().to_uppercase(),
        (None, None) => "UNKNOWN".into(),
    }
}

fn discovered(out: &mut String, trace: &Trace) {
    if trace.discovered.is_empty() {
        return;
    }
    heading(
        out,
        "3.5",
        "Discovery Results",
        17,
        "(available as resources.* in payload)",
    );
    for (name, value) in &trace.discovered {
        let _ = writeln!(out, "  {name}:\n{}", block(value, 4));
    }
    out.push('\n');
}

fn actions(out: &mut String, trace: &Trace, verbose: bool) {
    let error = trace.errors.get(&Phase::PostActions);
    let gone = trace.gone && !trace.actions.is_empty();
    let result = match (error, gone) {
        (Some(_), _) => "FAILED",
        (None, true) => "SUCCESS (RESOURCE NOT FOUND)",
        (None, false) => "SUCCESS",
    };
    heading(out, "4", "Post Actions", 21, result);
    if let (Some(error), true) = (error, trace.actions.is_empty()) {
        let _ = writeln!(out, "  Error: {error}");
    }
    let total = trace.actions.len();
    for (index, action) in trace.actions.iter().enumerate() {
        let _ = writeln!(
            out,
            "  [{}/{total}] {:<STEP_WIDTH$} {}",
            index + 1,
            action.name,
            action_word(action)
        );
        if let Some(reason) = &action.skipped {
            let _ = writeln!(out, "    Reason: {reason}");
        }
        calls_of(out, trace, Phase::PostActions, &action.name, verbose);
        if let Some(error) = &action.error {
            let _ = writeln!(out, "    Error: {error}");
        }
    }
    out.push('\n');
}

fn action_word(action: &ActionResult) -> &'static str {
    match (&action.error, &action.skipped) {
        (Some(_), _) => "FAILED",
        (None, Some(_)) => "SKIPPED",
        (None, None) => "EXECUTED",
    }
}

fn calls_of(out: &mut String, trace: &Trace, phase: Phase, step: &str, verbose: bool) {
    for call in trace
        .calls
        .iter()
        .filter(|call| call.phase == phase && call.step == step)
    {
        api_call(out, call, "    ", verbose);
    }
}

fn api_call(out: &mut String, call: &ApiRecord, indent: &str, verbose: bool) {
    let _ = writeln!(
        out,
        "{indent}API Call: {} {} -> {}",
        call.method, call.url, call.status
    );
    if !verbose {
        return;
    }
    for (title, body) in [
        ("Request body", &call.request_body),
        ("Response body", &call.response_body),
    ] {
        if !body.is_empty() {
            let value = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
            let _ = writeln!(out, "    [verbose] {title}:\n{}", block(&value, 6));
        }
    }
}

/// JSON, indented as a whole.
fn block(value: &Value, indent: usize) -> String {
    let text = go_compat::json::to_string_indented(value, "  ").unwrap_or_default();
    let pad = " ".repeat(indent);
    text.lines()
        .map(|line| format!("{pad}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The trace for programs. Keys stand in upstream's order, empty ones are left out.
pub(super) fn json(outcome: &Outcome, operations: &[Operation], verbose: bool) -> String {
    let trace = &outcome.trace;
    let mut object = Ordered::default();
    object.add(
        "event",
        &json!({"id": trace.event_id, "type": trace.event_type}),
    );
    object.add(
        "status",
        &json!(if outcome.failed() {
            "failed"
        } else {
            "success"
        }),
    );
    object.add_unless_empty("params", &Value::Object(trace.params.clone()));
    object.list(
        "preconditions",
        trace.preconditions.iter().map(precondition_json),
    );
    object.list(
        "resources",
        trace
            .resources
            .iter()
            .map(|resource| resource_json(resource, verbose)),
    );
    object.add_unless_empty(
        "discoveredResources",
        &Value::Object(trace.discovered.clone()),
    );
    object.list("postActions", trace.actions.iter().map(action_json));
    let errors: Map<String, Value> = trace
        .errors
        .iter()
        .map(|(phase, error)| (phase.as_str().to_owned(), json!(error)))
        .collect();
    object.add_unless_empty("errors", &Value::Object(errors));
    object.list(
        "apiRequests",
        trace.calls.iter().map(|call| call_json(call, verbose)),
    );
    object.list("transportOperations", operations.iter().map(operation_json));
    indented(&object.finish())
}

fn precondition_json(result: &PreconditionResult) -> Ordered {
    let mut object = Ordered::default();
    object.add_text("error", result.error.as_deref().unwrap_or_default());
    object.add("name", &json!(result.name));
    object.add(
        "status",
        &json!(if result.error.is_some() {
            "failed"
        } else {
            "success"
        }),
    );
    object.add("matched", &json!(result.matched));
    object
}

fn resource_json(result: &ResourceResult, verbose: bool) -> Ordered {
    let mut object = Ordered::default();
    if let Some(before) = &result.before {
        object.add("discoveredState", before);
    }
    object.add("name", &json!(result.name));
    object.add_text("kind", &result.kind);
    object.add_text("namespace", &result.namespace);
    object.add_text("resourceName", &result.object);
    object.add(
        "status",
        &json!(if result.error.is_some() {
            "failed"
        } else {
            "success"
        }),
    );
    if let Some(operation) = result.operation {
        object.add("operation", &json!(operation.as_str()));
        let written =
            matches!(operation.as_str(), "create" | "update" | "recreate") && !result.pending;
        let reason = if written {
            format!("dry-run {}", operation.as_str())
        } else {
            result.reason.clone()
        };
        object.add_text("reason", &reason);
    }
    object.add_text("error", result.error.as_deref().unwrap_or_default());
    if let (true, Some(manifest)) = (verbose, &result.manifest) {
        object.add("manifest", manifest);
    }
    object
}

fn action_json(result: &ActionResult) -> Ordered {
    let mut object = Ordered::default();
    object.add_text("error", result.error.as_deref().unwrap_or_default());
    object.add("name", &json!(result.name));
    let status = match (&result.error, &result.skipped) {
        (Some(_), _) => "failed",
        (None, Some(_)) => "skipped",
        (None, None) => "success",
    };
    object.add("status", &json!(status));
    if let Some(reason) = &result.skipped {
        object.add("skipped", &json!(true));
        object.add_text("reason", reason);
    }
    object
}

fn call_json(call: &ApiRecord, verbose: bool) -> Ordered {
    let mut object = Ordered::default();
    if verbose {
        object.add_text("requestBody", &call.request_body);
        object.add_text("responseBody", &call.response_body);
    }
    object.add("method", &json!(call.method));
    object.add("url", &json!(call.url));
    object.add("statusCode", &json!(call.status));
    object.add("phase", &json!(call.phase.as_str()));
    object.add_text("step", &call.step);
    object
}

fn operation_json(operation: &Operation) -> Ordered {
    let mut object = Ordered::default();
    object.add("operation", &json!(operation.operation));
    object.add("kind", &json!(operation.kind));
    object.add_text("namespace", &operation.namespace);
    object.add_text("name", &operation.name);
    object.add("result", &json!(operation.result));
    object
}

/// A JSON object whose keys keep the order in which they were added.
#[derive(Default)]
struct Ordered {
    members: Vec<String>,
}

impl Ordered {
    fn add(&mut self, key: &str, value: &Value) {
        let value = go_compat::json::to_string(value).unwrap_or_default();
        self.raw(key, &value);
    }

    fn add_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.add(key, &json!(value));
        }
    }

    fn add_unless_empty(&mut self, key: &str, value: &Value) {
        if value.as_object().is_some_and(|map| !map.is_empty()) {
            self.add(key, value);
        }
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = Ordered>) {
        let items: Vec<String> = items.map(|item| item.finish()).collect();
        if !items.is_empty() {
            self.raw(key, &format!("[{}]", items.join(",")));
        }
    }

    fn raw(&mut self, key: &str, value: &str) {
        self.members.push(format!("{}:{value}", json!(key)));
    }

    fn finish(&self) -> String {
        format!("{{{}}}", self.members.join(","))
    }
}

/// Two spaces per level; keeps the order of keys, which a JSON tree would not.
fn indented(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    let mut chars = compact.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_keeps_order_and_texts() {
        let compact = r#"{"b":[1,{"a":"x,{\"}"}],"a":{},"c":[]}"#;
        let expected = "{\n  \"b\": [\n    1,\n    {\n      \"a\": \"x,{\\\"}\"\n    }\n  ],\n  \"a\": {},\n  \"c\": []\n}";
        assert_eq!(indented(compact), expected);
        let parsed: Value = serde_json::from_str(&indented(compact)).unwrap();
        assert_eq!(parsed, serde_json::from_str::<Value>(compact).unwrap());
    }
}
