//! The `policy` block of the deployment config.

use std::time::Duration;

use serde_json::{Map, Value};

use hypershift::status::Options;

/// What to do with a HostedCluster that breaks a rule.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Validation {
    /// Refuse it before anything is sent.
    #[default]
    Enforce,
    /// Send it and log what is wrong.
    Warn,
    /// Don't look.
    Off,
}

/// The settings, with their defaults filled in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `hostedcluster_validation`: `enforce` (default), `warn`, `off`.
    pub validation: Validation,
    /// `allow_downgrade`: permit an older release image. Default false.
    pub allow_downgrade: bool,
    /// `oidc_bucket`: the operator publishes OIDC documents in its bucket, so that no signing key is needed. Default false.
    pub oidc_bucket: bool,
    /// `management_region`: the GCP region of the management cluster, in which hosted clusters must be. Default: any.
    pub management_region: Option<String>,
    /// `transient_available`: `false` (default) or `unknown`: what to report as Available when Maestro can't be reached.
    /// The API discards `Unknown` after the first report and so keeps what it knew.
    pub transient_available_unknown: bool,
    /// `agent_timeout`, `degraded_grace`, `config_error_grace`, `finalizer_timeout` (Go durations),
    /// `available_requires_version`, `certificate_signals`.
    pub status: Options,
}

impl Settings {
    /// Reads the block.
    ///
    /// # Errors
    /// Every problem: unknown keys, wrong types, unknown words.
    pub fn parse(block: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (key, value) in block {
            if let Err(problem) = settings.set(key, value) {
                problems.push(format!("policy.{key}: {problem}"));
            }
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "hostedcluster_validation" => {
                self.validation = match value.as_str() {
                    Some("enforce") => Validation::Enforce,
                    Some("warn") => Validation::Warn,
                    // YAML's older readers make a boolean of `off`.
                    Some("off") => Validation::Off,
                    None if value == &Value::Bool(false) => Validation::Off,
                    _ => return Err(format!("must be enforce, warn or off, is {value}")),
                }
            }
            "transient_available" => {
                self.transient_available_unknown = match value.as_str() {
                    Some("unknown") => true,
                    Some("false") => false,
                    None if value == &Value::Bool(false) => false,
                    _ => return Err(format!("must be false or unknown, is {value}")),
                }
            }
            "management_region" => {
                let region = value.as_str().filter(|region| !region.is_empty());
                self.management_region = Some(
                    region
                        .ok_or_else(|| format!("must be a region, is {value}"))?
                        .to_owned(),
                );
            }
            "allow_downgrade" => self.allow_downgrade = boolean(value)?,
            "oidc_bucket" => self.oidc_bucket = boolean(value)?,
            "available_requires_version" => {
                self.status.available_requires_version = boolean(value)?
            }
            "certificate_signals" => self.status.certificate_signals = boolean(value)?,
            "agent_timeout" => self.status.agent_timeout = duration(value)?,
            "degraded_grace" => self.status.degraded_grace = duration(value)?,
            "config_error_grace" => self.status.config_error_grace = duration(value)?,
            "finalizer_timeout" => self.status.finalizer_timeout = duration(value)?,
            _ => return Err("unknown key".into()),
        }
        Ok(())
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("must be true or false, is {value}"))
}

fn duration(value: &Value) -> Result<Duration, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("must be a duration such as 5m, is {value}"))?;
    go_compat::duration::parse(text)
        .map_err(|error| format!("must be a duration such as 5m: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(block: Value) -> Result<Settings, Vec<String>> {
        Settings::parse(block.as_object().unwrap())
    }

    #[test]
    fn defaults_and_values() {
        let defaults = parse(json!({})).unwrap();
        assert_eq!(defaults.validation, Validation::Enforce);
        assert_eq!(defaults.status.finalizer_timeout, Duration::from_secs(1800));
        let all = parse(json!({
            "hostedcluster_validation": "warn", "allow_downgrade": true, "oidc_bucket": true, "agent_timeout": "1m30s",
            "degraded_grace": "10m", "config_error_grace": "0s", "finalizer_timeout": "1h",
            "available_requires_version": true, "certificate_signals": false, "transient_available": "unknown",
            "management_region": "us-central1",
        }))
        .unwrap();
        assert_eq!(all.validation, Validation::Warn);
        assert!(all.allow_downgrade && all.oidc_bucket && all.transient_available_unknown);
        assert_eq!(all.status.agent_timeout, Duration::from_secs(90));
        assert!(!all.status.certificate_signals);
        assert_eq!(
            parse(json!({"hostedcluster_validation": false}))
                .unwrap()
                .validation,
            Validation::Off
        );
    }

    #[test]
    fn every_problem_is_named() {
        let problems = parse(json!({
            "hostedcluster_validation": "strict", "agent_timeout": 5, "degraded_grace": "soon", "oidc_bucket": "yes", "typo": 1,
        }))
        .unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(
            problems.iter().any(|p| p
                == "policy.hostedcluster_validation: must be enforce, warn or off, is \"strict\"")
        );
        assert!(problems.iter().any(|p| p == "policy.typo: unknown key"));
    }
}
