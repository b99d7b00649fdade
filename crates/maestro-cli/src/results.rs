//! The file that tells a program beside us how it went.
//!
//! Written to a temporary file in the same folder and renamed, so that a reader never sees half of it; readable for all (0644), since
//! the reader may run as another user. Every command that changes or waits for something leaves a final record, also when it fails.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::PathBuf};

use jiff::{Timestamp, Zoned};
use maestro_client::Bundle;
use manifestwork::{
    Condition, ConditionStatus, ManifestCondition, conditions, constants::condition,
    serde_util::seconds,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{ExitCode, Failure, cli::ResultsFormat, output::views};

/// How far things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// Waiting.
    InProgress,
    /// The work is stored.
    Applied,
    /// It went wrong.
    Failed,
    /// The work is deleted, or its deletion was asked for.
    Deleted,
    /// The condition was met.
    Met,
    /// The condition was not met in time.
    Timeout,
}

/// Writes the records of one command.
#[derive(Debug)]
pub struct Results {
    path: Option<PathBuf>,
    format: ResultsFormat,
    name: String,
    consumer: String,
    bundle: Option<Bundle>,
    /// Status and message of the last record, which a timeout keeps.
    last: Option<(String, String)>,
}

/// Upstream's object and more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    manifest_work_name: &'a str,
    consumer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
    status: &'a str,
    message: &'a str,
    timestamp: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    conditions: &'a [Condition],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<ResourceRecord<'a>>,
    phase: Phase,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRecord<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    version: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    conditions: &'a [Condition],
    #[serde(skip_serializing_if = "Map::is_empty")]
    status_feedback: Map<String, Value>,
}

impl Results {
    /// Nothing is written without a path.
    #[must_use]
    pub fn new(path: Option<PathBuf>, format: ResultsFormat, name: &str, consumer: &str) -> Self {
        Self {
            path,
            format,
            name: name.to_owned(),
            consumer: consumer.to_owned(),
            bundle: None,
            last: None,
        }
    }

    /// The name of the work, once a file has told it.
    pub fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// What the server last told about the work.
    pub fn saw(&mut self, bundle: &Bundle) {
        if self.path.is_some() {
            self.bundle = Some(bundle.clone());
        }
    }

    /// Writes a record that others will follow.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn progress(&mut self, phase: Phase, status: &str, message: &str) -> Result<(), Failure> {
        self.last = Some((status.to_owned(), message.to_owned()));
        if self.format == ResultsFormat::MaestroCli {
            self.record(phase, status, message, false)
        } else {
            Ok(())
        }
    }

    /// Writes the last record of a command that went well.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn done(&mut self, phase: Phase, status: &str, message: &str) -> Result<(), Failure> {
        match self.format {
            ResultsFormat::MaestroCli => self.record(phase, status, message, true),
            _ => {
                let reason = match phase {
                    Phase::Met => "ConditionMet",
                    Phase::Deleted => "ManifestWorkDeleted",
                    _ => "ManifestWorkApplied",
                };
                self.report(true, reason, message, phase, status)
            }
        }
    }

    /// Writes the last record of a command that failed.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        let phase = if failure.code == ExitCode::WaitTimeout {
            Phase::Timeout
        } else {
            Phase::Failed
        };
        let status = match (&self.last, phase) {
            (Some((status, _)), Phase::Timeout) => status.clone(),
            _ => "Failed".to_owned(),
        };
        match self.format {
            ResultsFormat::MaestroCli => self.record(phase, &status, &failure.message, true),
            _ => self.report(false, failure.reason, &failure.message, phase, &status),
        }
    }

    fn record(
        &self,
        phase: Phase,
        status: &str,
        message: &str,
        is_final: bool,
    ) -> Result<(), Failure> {
        if self.path.is_none() {
            return Ok(());
        }
        let value = self.value(phase, status, message, is_final);
        self.write(&value)
    }

    /// What status-reporter reads, and more for who understands it.
    fn report(
        &self,
        success: bool,
        reason: &str,
        message: &str,
        phase: Phase,
        status: &str,
    ) -> Result<(), Failure> {
        if self.path.is_none() {
            return Ok(());
        }
        let mut report = json!({
            "status": if success { "success" } else { "failure" },
            "reason": reason,
            "message": message,
            "details": self.value(phase, status, message, true),
        });
        if self.format == ResultsFormat::Hyperfleet
            && let Some(report) = report.as_object_mut()
        {
            report.insert(
                "conditions".to_owned(),
                self.adapter_conditions(success, reason, message),
            );
            report.insert("data".to_owned(), self.adapter_data());
        }
        self.write(&report)
    }

    fn value(&self, phase: Phase, status: &str, message: &str, is_final: bool) -> Value {
        let bundle = self.bundle.as_ref();
        let state = bundle.and_then(|bundle| bundle.status.as_ref());
        let record = Record {
            id: bundle.map(|bundle| bundle.id.as_str()).unwrap_or_default(),
            name: &self.name,
            manifest_work_name: &self.name,
            consumer: &self.consumer,
            version: bundle.map(|bundle| bundle.version),
            created_at: bundle.and_then(|bundle| bundle.created_at),
            updated_at: bundle.and_then(|bundle| bundle.updated_at),
            status,
            message,
            timestamp: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
            conditions: state
                .map(|state| state.conditions.as_slice())
                .unwrap_or_default(),
            resources: state
                .map(|state| {
                    state
                        .resource_status
                        .iter()
                        .map(ResourceRecord::from)
                        .collect()
                })
                .unwrap_or_default(),
            phase,
            is_final,
        };
        serde_json::to_value(record).unwrap_or_default()
    }

    fn adapter_conditions(&self, success: bool, reason: &str, message: &str) -> Value {
        let found = self
            .bundle
            .as_ref()
            .and_then(|bundle| bundle.status.as_ref());
        let of = |name: &str| found.and_then(|status| conditions::find(&status.conditions, name));
        let applied = of(condition::APPLIED).map_or(success, |condition| {
            condition.status == ConditionStatus::True
        });
        let available = of(condition::AVAILABLE);
        let met = success && reason == "ConditionMet";
        let one = |type_: &str, holds: bool, reason: &str, message: &str| {
            json!({"type": type_, "status": if holds { "True" } else { "False" }, "reason": reason, "message": message,
                   "lastTransitionTime": seconds::to_string(Timestamp::now())})
        };
        json!([
            one(
                "Applied",
                applied,
                if applied {
                    "ManifestWorkExists"
                } else {
                    "MaestroError"
                },
                if applied {
                    "The ManifestWork is applied"
                } else {
                    message
                }
            ),
            one(
                "Available",
                met || available.is_some_and(|condition| condition.status == ConditionStatus::True),
                if met {
                    "ConditionMet"
                } else {
                    available.map_or("Unknown", |condition| condition.reason.as_str())
                },
                if met {
                    message
                } else {
                    available.map_or(message, |condition| condition.message.as_str())
                },
            ),
            one(
                "Health",
                success,
                if success { "NoIssues" } else { "AdapterError" },
                if success { "" } else { message }
            ),
        ])
    }

    /// Feedback values of all resources by name; the first resource wins.
    fn adapter_data(&self) -> Value {
        let mut data = Map::new();
        let status = self
            .bundle
            .as_ref()
            .and_then(|bundle| bundle.status.as_ref());
        for resource in status
            .map(|status| status.resource_status.as_slice())
            .unwrap_or_default()
        {
            for (name, value) in views::feedback(resource) {
                data.entry(name).or_insert(value);
            }
        }
        Value::Object(data)
    }

    fn write(&self, value: &Value) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let wrong = |error: std::io::Error| {
            Failure::new(
                ExitCode::Failed,
                "ResultsFileFailed",
                format!("failed to write results file: {}: {error}", path.display()),
            )
        };
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".tmp.{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let text = value.to_string();
        let written = fs::File::create(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|error| {
                let _ = fs::remove_file(&temporary);
                wrong(error)
            })
    }
}

impl<'a> From<&'a ManifestCondition> for ResourceRecord<'a> {
    fn from(resource: &'a ManifestCondition) -> Self {
        let meta = &resource.resource_meta;
        let holds = |name: &str| conditions::is_true(&resource.conditions, name);
        Self {
            name: &meta.name,
            namespace: &meta.namespace,
            kind: &meta.kind,
            group: &meta.group,
            version: &meta.version,
            status: if holds(condition::AVAILABLE) {
                "Available"
            } else if holds(condition::APPLIED) {
                "Applied"
            } else {
                "Unknown"
            },
            conditions: &resource.conditions,
            status_feedback: views::feedback(resource),
        }
    }
}
