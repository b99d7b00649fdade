//! Conditions that the configuration maps from what adapters report, by CEL. See `docs/protocol/adapter-status.md`, "Mapped
//! conditions".

use expressions::cel::{Bindings, Environment, Error, Program};
use hyperfleet_types::{ConditionStatus, ResourceCondition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::family::Member;

/// Longest type, bytes.
pub const MAX_TYPE_BYTES: usize = 100;
/// A condition with a longer reason is left out, bytes.
pub const MAX_REASON_BYTES: usize = 256;
/// A longer message is cut, bytes.
pub const MAX_MESSAGE_BYTES: usize = 2048;
/// Deepest nesting that is looked into for secrets; what is deeper is left out.
const MAX_DEPTH: usize = 20;
/// What stands for a secret.
const REDACTED: &str = "***REDACTED***";
/// A member whose name has one of these in it may hold a secret.
const SECRETS: [&str; 22] = [
    "password",
    "secret",
    "token",
    "apikey",
    "api_key",
    "privatekey",
    "secretkey",
    "accesskey",
    "sshkey",
    "encryptionkey",
    "accountkey",
    "servicekey",
    "registrykey",
    "signingkey",
    "credential",
    "passphrase",
    "private",
    "auth",
    "connection",
    "cert",
    "kubeconfig",
    "bearer",
];

/// A rule as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether there is such a condition.
    pub when: Expression,
    /// What it says.
    pub output: Output,
}

/// What a mapped condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// `True` or `False`, as text or boolean.
    pub status: Expression,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Expression>,
    /// Message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Expression>,
}

/// A CEL expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// CEL.
    pub expression: String,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    type_: String,
    when: Program,
    status: Program,
    reason: Option<Program>,
    message: Option<Program>,
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// Every problem, with its key.
    pub fn compile(config: &Config) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let environment = Environment::api();
        let mut compile = |key: &str, expression: &Expression| match environment
            .compile(&expression.expression)
        {
            Ok(_) if expression.expression.trim().is_empty() => {
                problems.push(format!("{key}: is required"));
                None
            }
            Ok(program) => Some(program),
            Err(error) => {
                problems.push(format!("{key}: {error}"));
                None
            }
        };
        let when = compile("when.expression", &config.when);
        let status = compile("output.status.expression", &config.output.status);
        let reason = config
            .output
            .reason
            .as_ref()
            .map(|reason| compile("output.reason.expression", reason));
        let message = config
            .output
            .message
            .as_ref()
            .map(|message| compile("output.message.expression", message));
        if config.type_.is_empty() || config.type_.len() > MAX_TYPE_BYTES {
            problems.push(format!("type must have 1-{MAX_TYPE_BYTES} characters"));
        }
        match (when, status) {
            (Some(when), Some(status)) if problems.is_empty() => Ok(Self {
                type_: config.type_.clone(),
                when,
                status,
                reason: reason.flatten(),
                message: message.flatten(),
            }),
            _ => Err(problems),
        }
    }

    /// Type of the condition.
    pub fn type_(&self) -> &str {
        &self.type_
    }
}

/// The mapped conditions of a resource, in the order of the rules.
///
/// # Errors
/// What the first failing expression says.
pub fn map(rules: &[Rule], member: &Member) -> Result<Vec<ResourceCondition>, String> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let (statuses, resource) = (statuses(member), resource(member));
    let mut bindings = Bindings::new();
    bindings
        .insert("statuses", &statuses)
        .insert("resource", &resource);
    let conditions = rules.iter().map(|rule| {
        condition(rule, member, &bindings).map_err(|text| format!("{}: {text}", rule.type_))
    });
    Ok(conditions
        .collect::<Result<Vec<_>, String>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn condition(
    rule: &Rule,
    member: &Member,
    bindings: &Bindings<'_>,
) -> Result<Option<ResourceCondition>, String> {
    let text = |error: Error| error.to_string();
    match rule.when.evaluate(bindings).map_err(text)? {
        Value::Bool(true) => {}
        Value::Bool(false) => return Ok(None),
        other => return Err(format!("when must be a boolean, is {other}")),
    }
    let status = match rule.status.evaluate(bindings).map_err(text)? {
        Value::Bool(holds) => ConditionStatus::from(holds),
        Value::String(word) if word.eq_ignore_ascii_case("true") => ConditionStatus::True,
        Value::String(word) if word.eq_ignore_ascii_case("false") => ConditionStatus::False,
        other => return Err(format!("status must be True or False, is {other}")),
    };
    let words = |program: &Option<Program>| -> Result<Option<String>, String> {
        let Some(program) = program else {
            return Ok(None);
        };
        Ok(Some(match program.evaluate(bindings).map_err(text)? {
            Value::String(words) => words,
            other => other.to_string(),
        }))
    };
    let (reason, mut message) = (words(&rule.reason)?, words(&rule.message)?);
    if reason
        .as_ref()
        .is_some_and(|reason| reason.len() > MAX_REASON_BYTES)
    {
        return Ok(None);
    }
    if let Some(message) = &mut message {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    let resource = &member.resource;
    let (before, now) = (resource.condition(&rule.type_), resource.updated_time);
    Ok(Some(ResourceCondition {
        type_: rule.type_.clone(),
        status,
        reason,
        message,
        observed_generation: resource.generation,
        created_time: before.map_or(now, |before| before.created_time),
        last_updated_time: now,
        last_transition_time: before
            .filter(|before| before.status == status)
            .map_or(now, |before| before.last_transition_time),
    }))
}

/// The variable `statuses`. An adapter that does not know something says nothing at all.
fn statuses(member: &Member) -> Value {
    let known = member.statuses.iter().filter(|status| {
        !status
            .conditions
            .iter()
            .any(|condition| condition.status == ConditionStatus::Unknown)
    });
    let shown = known.map(|status| {
        let conditions: Vec<Value> = status
            .conditions
            .iter()
            .map(|condition| {
                json!({
                    "type": condition.type_,
                    "status": condition.status,
                    "reason": condition.reason.as_deref().unwrap_or_default(),
                    "message": condition.message.as_deref().unwrap_or_default(),
                })
            })
            .collect();
        json!({
            "adapter": status.adapter,
            "observed_generation": f64::from(status.observed_generation),
            "conditions": conditions,
            "data": masked(&Value::Object(status.data.clone()), 0),
        })
    });
    shown.collect()
}

/// The variable `resource`.
fn resource(member: &Member) -> Value {
    let resource = &member.resource;
    let owner = resource.owner_references.as_ref();
    json!({
        "ID": resource.id, "id": resource.id,
        "CreatedTime": resource.created_time, "created_time": resource.created_time,
        "UpdatedTime": resource.updated_time, "updated_time": resource.updated_time,
        "kind": resource.kind, "name": resource.name, "href": resource.href,
        "spec": masked(&Value::Object(resource.spec.clone()), 0),
        "tenancy": resource.tenancy,
        "generation": f64::from(resource.generation),
        "created_by": resource.created_by, "updated_by": resource.updated_by,
        "deleted_time": resource.deleted_time, "deleted_by": resource.deleted_by,
        "owner_id": owner.map(|owner| &owner.id),
        "owner_kind": owner.map(|owner| &owner.kind),
        "owner_href": owner.map(|owner| &owner.href),
    })
}

/// A value without secrets.
fn masked(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) if depth > MAX_DEPTH => REDACTED.into(),
        Value::Array(items) => items.iter().map(|item| masked(item, depth + 1)).collect(),
        Value::Object(members) => {
            let shown = members.iter().map(|(name, value)| {
                let lower = name.to_lowercase();
                let secret = SECRETS.iter().any(|word| lower.contains(word));
                (
                    name.clone(),
                    if secret {
                        REDACTED.into()
                    } else {
                        masked(value, depth + 1)
                    },
                )
            });
            Value::Object(shown.collect::<Map<String, Value>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_look_alikes_are_not() {
        let value = json!({"adminPassword": "x", "deep": [{"API_KEY": {"a": 1}, "clusterName": "c"}], "privateEndpoint": "hidden too"});
        let want = json!({"adminPassword": REDACTED, "deep": [{"API_KEY": REDACTED, "clusterName": "c"}], "privateEndpoint": REDACTED});
        assert_eq!(masked(&value, 0), want);
        let deep = (0..30).fold(json!({"password": "x"}), |inner, _| json!([inner]));
        assert!(!masked(&deep, 0).to_string().contains("\"x\""));
    }
}
