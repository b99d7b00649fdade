//! What templates and expressions can see.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::outcome::Phase;
use crate::lang::Variables;

/// Names of one event.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Params, responses, captures, payloads and the built-in roots: what templates see.
    data: Value,
    /// `resources.*`; only expressions see it.
    pub(crate) resources: Map<String, Value>,
    pub(crate) meta: Meta,
}

/// `adapter.*` in expressions, beside name and version.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    failed: bool,
    resources_skipped: bool,
    skip_reason: String,
    error_reason: String,
    error_message: String,
    pub(crate) execution_error: Option<ExecutionError>,
    pub(crate) resource_errors: BTreeMap<String, ExecutionError>,
}

/// Where and why an execution failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecutionError {
    pub(crate) phase: Phase,
    pub(crate) step: String,
    pub(crate) message: String,
}

impl ExecutionError {
    fn to_value(&self) -> Value {
        json!({"phase": self.phase.as_str(), "step": self.step, "message": self.message})
    }
}

impl Meta {
    /// Failure never turns back into success.
    pub(crate) fn fail(&mut self, reason: &str, message: &str) {
        self.failed = true;
        self.error_reason = reason.to_owned();
        self.error_message = message.to_owned();
    }

    /// The first reason stays.
    pub(crate) fn skip_resources(&mut self, reason: &str) {
        if !self.resources_skipped {
            self.skip_reason = reason.to_owned();
        }
        self.resources_skipped = true;
    }

    fn add_to(&self, adapter: &mut Map<String, Value>) {
        let status = if self.failed { "failed" } else { "success" };
        adapter.insert("executionStatus".into(), status.into());
        adapter.insert("resourcesSkipped".into(), self.resources_skipped.into());
        adapter.insert("skipReason".into(), self.skip_reason.as_str().into());
        adapter.insert("errorReason".into(), self.error_reason.as_str().into());
        adapter.insert("errorMessage".into(), self.error_message.as_str().into());
        let error = self
            .execution_error
            .as_ref()
            .map_or(Value::Null, ExecutionError::to_value);
        adapter.insert("executionError".into(), error);
        let errors = self
            .resource_errors
            .iter()
            .map(|(name, error)| (name.clone(), error.to_value()))
            .collect();
        adapter.insert("resourceErrors".into(), Value::Object(errors));
    }
}

impl Scope {
    pub(crate) fn new() -> Self {
        Self {
            data: Value::Object(Map::new()),
            resources: Map::new(),
            meta: Meta::default(),
        }
    }

    /// What templates see.
    pub(crate) fn data(&self) -> &Value {
        &self.data
    }

    fn map(&self) -> Option<&Map<String, Value>> {
        self.data.as_object()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.map()?.get(name)
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if let Value::Object(map) = &mut self.data {
            map.insert(name.to_owned(), value);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Value::Object(map) = &mut self.data {
            map.remove(name);
        }
    }

    /// Everything declared, without environment, config and the built-in roots.
    pub(crate) fn params(&self) -> Map<String, Value> {
        let mut params = self.map().cloned().unwrap_or_default();
        for builtin in ["adapter", "config", "env", "event"] {
            params.remove(builtin);
        }
        params
    }

    /// `adapter` and `resources` as expressions see them; `resources` hides a param of that name.
    pub(crate) fn roots(&self) -> Map<String, Value> {
        let mut adapter = match self.get("adapter") {
            Some(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        self.meta.add_to(&mut adapter);
        let mut roots = Map::new();
        roots.insert("adapter".into(), Value::Object(adapter));
        roots.insert("resources".into(), Value::Object(self.resources.clone()));
        roots
    }

    /// What expressions see: `roots` (from [`Scope::roots`]) before everything else.
    pub(crate) fn variables<'a>(&'a self, roots: &'a Map<String, Value>) -> Variables<'a> {
        let mut variables = Variables::new();
        variables.layer(roots);
        if let Some(map) = self.map() {
            variables.layer(map);
        }
        variables
    }

    /// The same as one value, for field paths.
    pub(crate) fn merged(&self, roots: &Map<String, Value>) -> Value {
        let mut map = self.map().cloned().unwrap_or_default();
        map.extend(
            roots
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        Value::Object(map)
    }
}
