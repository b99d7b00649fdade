//! Settings: the YAML of upstream, and what this Sentinel adds to it.

use std::{path::PathBuf, time::Duration};

use hyperfleet_client::resources::MAX_PAGE_SIZE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Resources per page unless the settings say otherwise.
pub const DEFAULT_PAGE_SIZE: u32 = 20;
/// Largest `page_size` that the settings may name; the API gives at most [`MAX_PAGE_SIZE`].
pub const MAX_CONFIGURED_PAGE_SIZE: u32 = 500;

/// How a Sentinel runs. Plain data: the front door reads file, environment and flags (see [`crate::cli`]).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who it is.
    pub sentinel: Identity,
    /// Plural of the kind to watch, e.g. `clusters`. Required.
    pub resource_type: String,
    /// Time between the starts of two cycles; a slow cycle delays the next. Default 5 s.
    #[serde(with = "go_compat::duration::serde")]
    pub poll_interval: Duration,
    /// What it talks to.
    pub clients: Clients,
    /// Watch only resources with all these labels.
    pub resource_selector: Vec<Selector>,
    /// When a resource needs a pulse.
    pub message_decision: Decision,
    /// What a pulse says: names to CEL expressions, numbers, booleans, or more of the same. Required.
    pub message_data: Map<String, Value>,
    /// Logging; read by the front door.
    pub log: Log,
    /// Log the settings at start; read by the front door.
    pub debug_config: bool,
    /// Trace; without effect.
    pub tracing_enabled: bool,
    /// Send a pulse at once when a generation is new, whatever the decision says. Default off.
    pub publish_on_generation_change: bool,
    /// After a start, send a pulse for every resource, whatever the decision says: adapters that were restarted at the same
    /// time learn what became of their objects meanwhile. Default off, as it is as many pulses as there are resources.
    pub publish_on_start: bool,
    /// A resource whose generation did not change gets its next pulse no sooner than this after the last. Default 10 s,
    /// 0 = no limit.
    #[serde(with = "go_compat::duration::serde")]
    pub republish_interval: Duration,
    /// Pulses on their way to the broker at once, at least 1. Default 16.
    pub publish_concurrency: usize,
    /// Address of `/healthz` and `/readyz`; a missing host means all. Default `:8080`.
    pub health_listen: String,
    /// Address of `/metrics`; a missing host means all. Default `:9090`.
    pub metrics_listen: String,
}

/// Who a Sentinel is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Shown to the API in `User-Agent`. Default `hyperfleet-sentinel`.
    pub name: String,
}

/// What a Sentinel talks to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// The HyperFleet API.
    pub hyperfleet_api: Api,
    /// The broker.
    pub broker: Broker,
}

/// The HyperFleet API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// `http://host:port`, no path. Required.
    pub base_url: String,
    /// Accepted, without effect: the path is that of v1.
    pub version: String,
    /// Time for one attempt. Default 10 s.
    #[serde(with = "go_compat::duration::serde")]
    pub timeout: Duration,
    /// Resources per page, 1–500; more than 100 means 100. Default 20.
    pub page_size: u32,
    /// Bearer token.
    pub auth: Auth,
}

/// Bearer token.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Absolute path of the token's file.
    pub token_path: Option<PathBuf>,
    /// How long a read token is used; 0 reads it every time.
    #[serde(with = "go_compat::duration::serde")]
    pub token_cache_ttl: Duration,
}

/// The broker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Where pulses go. Required.
    pub topic: String,
}

/// One label of a selector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Key.
    pub label: String,
    /// Value.
    pub value: String,
}

/// When a resource needs a pulse.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Named expressions, evaluated in this order.
    #[serde(default)]
    pub params: Vec<Param>,
    /// The decision; must be a boolean.
    pub result: String,
}

/// A named expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Its name in later expressions.
    #[serde(default)]
    pub name: String,
    /// CEL.
    #[serde(default)]
    pub expr: String,
}

/// Logging.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `debug`, `info`, `warn` or `error`. Default `info`.
    pub level: String,
    /// `json` or `text`. Default `json`.
    pub format: String,
    /// `stdout`, `stderr` or a file. Default `stdout`.
    pub output: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sentinel: Identity::default(),
            resource_type: String::new(),
            poll_interval: Duration::from_secs(5),
            clients: Clients::default(),
            resource_selector: Vec::new(),
            message_decision: Decision::default(),
            message_data: Map::new(),
            log: Log::default(),
            debug_config: false,
            tracing_enabled: true,
            publish_on_generation_change: false,
            publish_on_start: false,
            republish_interval: Duration::from_secs(10),
            publish_concurrency: 16,
            health_listen: ":8080".to_owned(),
            metrics_listen: ":9090".to_owned(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: hyperfleet_types::pulse::DEFAULT_SOURCE.to_owned(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            version: "v1".to_owned(),
            timeout: Duration::from_secs(10),
            page_size: DEFAULT_PAGE_SIZE,
            auth: Auth::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "json".to_owned(),
            output: "stdout".to_owned(),
        }
    }
}

/// Not reconciled for more than 10 s, reconciled more than 30 min ago, new, or changed.
impl Default for Decision {
    fn default() -> Self {
        Self::with_ages("10s", "30m")
    }
}

impl Decision {
    /// The default decision with other ages, as Go durations: how long after the last report a resource that is not reconciled,
    /// and one that is, gets its next pulse.
    pub fn with_ages(not_reconciled: &str, reconciled: &str) -> Self {
        let param = |name: &str, expr: &str| Param {
            name: name.to_owned(),
            expr: expr.to_owned(),
        };
        let older = |age: &str| format!("now - timestamp(ref_time) > duration(\"{age}\")");
        Self {
            params: vec![
                param("ref_time", "condition(\"Reconciled\").last_updated_time"),
                param("is_reconciled", "condition(\"Reconciled\").status == \"True\""),
                param("has_ref_time", "ref_time != \"\""),
                param("is_new_resource", "resource.generation == 1 && !has_ref_time"),
                param("generation_mismatch", "resource.generation > condition(\"Reconciled\").observed_generation"),
                param("reconciled_and_stale", &format!("is_reconciled && has_ref_time && {}", older(reconciled))),
                param("not_reconciled_and_debounced", &format!("!is_reconciled && has_ref_time && {}", older(not_reconciled))),
            ],
            result: "is_new_resource || generation_mismatch || reconciled_and_stale || not_reconciled_and_debounced".to_owned(),
        }
    }
}

/// Everything wrong with settings, in the words of upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(pub Vec<String>);

impl Config {
    /// Watches `resource_type` of the API at `base_url` and sends to `topic`; a pulse carries what adapters read.
    pub fn new(resource_type: &str, base_url: &str, topic: &str) -> Self {
        let mut config = Self {
            resource_type: resource_type.to_owned(),
            message_data: standard_data(),
            ..Self::default()
        };
        base_url.clone_into(&mut config.clients.hyperfleet_api.base_url);
        topic.clone_into(&mut config.clients.broker.topic);
        config
    }

    /// Reads YAML; the result is not checked yet.
    ///
    /// # Errors
    /// Line, column and key of the first thing that does not fit.
    pub fn from_yaml(text: &str) -> Result<Self, go_compat::yaml::Error> {
        go_compat::yaml::from_str_config(text)
    }

    /// Checks everything that can be checked without the network, except expressions.
    ///
    /// # Errors
    /// [`Invalid`] with every problem.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Vec::new();
        let mut missing = |field: &str, value: &str, flag: &str, env: &str| {
            if value.trim().is_empty() {
                problems.push(problem(field, "required", None, flag, env));
            }
        };
        let api = &self.clients.hyperfleet_api;
        missing(
            "resource_type",
            &self.resource_type,
            "--resource-type",
            "HYPERFLEET_RESOURCE_TYPE",
        );
        missing(
            "clients.hyperfleet_api.base_url",
            &api.base_url,
            "--hyperfleet-api-base-url",
            "HYPERFLEET_API_BASE_URL",
        );
        missing(
            "clients.broker.topic",
            &self.clients.broker.topic,
            "--broker-topic",
            "HYPERFLEET_BROKER_TOPIC",
        );
        missing(
            "message_decision.result",
            &self.message_decision.result,
            "",
            "",
        );
        let mut wrong = |field: &str, rule: &str, actual: String, flag: &str, env: &str| {
            problems.push(problem(field, rule, Some(actual), flag, env));
        };
        let shown = go_compat::duration::format;
        if self.poll_interval.is_zero() {
            wrong(
                "poll_interval",
                "must be greater than 0",
                shown(self.poll_interval),
                "--poll-interval",
                "HYPERFLEET_POLL_INTERVAL",
            );
        }
        if api.timeout.is_zero() {
            let (flag, env) = ("--hyperfleet-api-timeout", "HYPERFLEET_API_TIMEOUT");
            wrong(
                "clients.hyperfleet_api.timeout",
                "must be greater than 0",
                shown(api.timeout),
                flag,
                env,
            );
        }
        if !(1..=MAX_CONFIGURED_PAGE_SIZE).contains(&api.page_size) {
            let rule = format!("must be between 1 and {MAX_CONFIGURED_PAGE_SIZE}");
            wrong(
                "clients.hyperfleet_api.page_size",
                &rule,
                api.page_size.to_string(),
                "",
                "HYPERFLEET_API_PAGE_SIZE",
            );
        }
        if let Some(path) = api
            .auth
            .token_path
            .as_ref()
            .filter(|path| !path.is_absolute())
        {
            let env = "HYPERFLEET_API_AUTH_TOKEN_PATH";
            wrong(
                "clients.hyperfleet_api.auth.token_path",
                "must be an absolute path",
                path.display().to_string(),
                "",
                env,
            );
        }
        if self.publish_concurrency == 0 {
            wrong(
                "publish_concurrency",
                "must be at least 1",
                "0".to_owned(),
                "",
                "",
            );
        }
        for (index, Selector { label, .. }) in self.resource_selector.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
            if label.is_empty() || !label.bytes().all(plain) {
                wrong(
                    &format!("resource_selector[{index}].label"),
                    "must be a label key",
                    label.clone(),
                    "",
                    "",
                );
            }
        }
        if self.message_data.is_empty() {
            problems.push(problem("message_data", "required", None, "", ""));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Invalid(problems))
        }
    }

    /// Resources per page that the API will give.
    pub fn page_size(&self) -> u32 {
        self.clients
            .hyperfleet_api
            .page_size
            .clamp(1, MAX_PAGE_SIZE)
    }

    /// The selector as a search; none selects everything.
    pub fn search(&self) -> Option<String> {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        // A label that is named twice counts as it was named last.
        let labels: std::collections::BTreeMap<&str, &str> = self
            .resource_selector
            .iter()
            .map(|selector| (selector.label.as_str(), selector.value.as_str()))
            .collect();
        let terms: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("labels.{label}='{}'", quoted(value)))
            .collect();
        (!terms.is_empty()).then(|| terms.join(" and "))
    }

    /// The selector as a metric label.
    pub fn selector_label(&self) -> String {
        let terms: Vec<String> = self
            .resource_selector
            .iter()
            .map(|selector| format!("{}:{}", selector.label, selector.value))
            .collect();
        if terms.is_empty() {
            "all".to_owned()
        } else {
            terms.join(",")
        }
    }
}

/// What adapters read from a pulse.
pub fn standard_data() -> Map<String, Value> {
    let data = json!({"id": "resource.id", "kind": "resource.kind", "href": "resource.href", "generation": "resource.generation"});
    data.as_object().cloned().unwrap_or_default()
}

/// As [`standard_data`], with the parent of a child kind.
pub fn child_data() -> Map<String, Value> {
    let mut data = standard_data();
    let owner = "resource.owner_references";
    data.insert(
        "owner_references".to_owned(),
        json!({"id": format!("{owner}.id"), "href": format!("{owner}.href"), "kind": format!("{owner}.kind")}),
    );
    data
}

fn problem(field: &str, rule: &str, actual: Option<String>, flag: &str, env: &str) -> String {
    let mut text = format!("Field '{field}' failed validation: {rule}\n");
    if let Some(actual) = actual {
        text.push_str(&format!("Actual value: {actual}\n"));
    }
    text.push_str("Please provide via:\n");
    for (name, value) in [("Flag", flag), ("Env", env), ("File", field)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        text.push_str(&format!("  - {name}: {value}\n"));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_s_file_is_read_verbatim() {
        let config = Config::from_yaml(
            "sentinel:\n  name: s1\nresource_type: clusters\npoll_interval: 2s\nclients:\n  hyperfleet_api:\n    base_url: http://api:8000\n    \
             version: v1\n    timeout: 1m30s\n    page_size: 50\n    auth: {token_path: /var/run/token, token_cache_ttl: 30s}\n  broker:\n    \
             topic: ns-clusters\nresource_selector:\n- {label: shard, value: '1'}\n- {label: region, value: us-east1}\n\
             message_decision:\n  params:\n  - name: ref_time\n    expr: 'condition(\"Reconciled\").last_updated_time'\n  result: 'ref_time != \"\"'\n\
             message_data:\n  id: resource.id\n  nested: {clusterId: resource.id, n: 3, yes: true}\nlog: {level: debug, format: text, output: stderr}\n\
             debug_config: true\ntracing_enabled: false\n",
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(
            (config.poll_interval, config.page_size()),
            (Duration::from_secs(2), 50)
        );
        assert_eq!(
            config.clients.hyperfleet_api.timeout,
            Duration::from_secs(90)
        );
        assert_eq!(
            config.search().as_deref(),
            Some("labels.region='us-east1' and labels.shard='1'")
        );
        assert_eq!(config.selector_label(), "shard:1,region:us-east1");
        assert_eq!(
            config.message_data["nested"]["clusterId"], "resource.id",
            "the case of keys is kept"
        );
    }

    #[test]
    fn every_mistake_is_named_with_where_to_mend_it() {
        let mut config = Config {
            poll_interval: Duration::ZERO,
            ..Config::default()
        };
        config.clients.hyperfleet_api.page_size = 501;
        config.clients.hyperfleet_api.auth.token_path = Some("token".into());
        let text = config.check().unwrap_err().to_string();
        for expected in [
            "Field 'resource_type' failed validation: required\nPlease provide via:\n  - Flag: --resource-type\n  - Env: HYPERFLEET_RESOURCE_TYPE\n  - File: resource_type",
            "Field 'clients.hyperfleet_api.base_url' failed validation: required",
            "Field 'message_data' failed validation: required",
            "Field 'poll_interval' failed validation: must be greater than 0\nActual value: 0s",
            "Field 'clients.hyperfleet_api.page_size' failed validation: must be between 1 and 500\nActual value: 501",
            "must be an absolute path",
        ] {
            assert!(text.contains(expected), "{expected}\nnot in\n{text}");
        }
        assert!(
            Config::from_yaml("resource_typ: x")
                .unwrap_err()
                .to_string()
                .contains("resource_typ")
        );
        assert!(Config::from_yaml("poll_interval: -5s").is_err());
    }

    #[test]
    fn a_selector_can_t_leave_its_quotes() {
        let selector = |value: &str| Selector {
            label: "a".to_owned(),
            value: value.to_owned(),
        };
        let config = Config {
            resource_selector: vec![selector("old"), selector("x' or '1'='1\\")],
            ..Config::default()
        };
        assert_eq!(
            config.search().as_deref(),
            Some("labels.a='x\\' or \\'1\\'=\\'1\\\\'")
        );
    }
}
