//! What the adapter hands to a policy, for tests.

use hyperfleet_adapter::policy::{Failure, Gvk, Observed, Operation, Overrides, Review};
use hyperfleet_types::ConditionReport;
use hypershift::timeline::{self, CreationFault, Parameters, Step};
use hypershift::{example, names};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

pub(crate) const TARGET: &str = "management-1";

pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
    start
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

/// The example as rendered for a HyperFleet generation.
pub(crate) fn rendered(generation: i64) -> Value {
    let mut object = example::hosted_cluster("demo");
    object["metadata"]["annotations"]["hyperfleet.io/generation"] = generation.to_string().into();
    object
}

/// A work that carries `manifest`, without status.
pub(crate) fn work(manifest: &Value) -> Value {
    json!({
        "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
        "metadata": {
            "name": "hostedcluster-c1", "namespace": TARGET, "generation": 1,
            "creationTimestamp": "2026-03-02T10:00:00Z",
            "labels": {"hyperfleet.io/cluster-id": "c1", "hyperfleet.io/adapter": "controlplane"},
        },
        "spec": {
            "workload": {"manifests": [manifest]},
            "manifestConfigs": [{"feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "status", "path": ".status"}]}]}],
        },
    })
}

/// Everything about one run; tests change what matters to them.
pub(crate) struct Case {
    pub(crate) object: Option<Value>,
    pub(crate) work: Option<Value>,
    pub(crate) params: Map<String, Value>,
    pub(crate) settings: Map<String, Value>,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) operation: Option<Operation>,
    pub(crate) failure: Option<Failure>,
    pub(crate) skipped: Option<&'static str>,
    pub(crate) now: Timestamp,
}

impl Case {
    /// A run that found the work unchanged, without any answer of the agent.
    pub(crate) fn sent() -> Self {
        let object = rendered(1);
        let cluster = json!({"kind": "Cluster", "name": "demo", "generation": 1, "spec": {}});
        Self {
            work: Some(work(&object)),
            object: Some(object),
            params: Map::from_iter([
                ("cluster".to_owned(), cluster),
                ("adapter".to_owned(), json!({"name": "hypershift"})),
            ]),
            settings: Map::new(),
            generation: 1,
            deleting: false,
            operation: Some(Operation::Skip),
            failure: None,
            skipped: None,
            now: at(3600),
        }
    }

    /// As [`sent`](Self::sent), applied by the agent and with this status.
    pub(crate) fn with_status(status: &Value) -> Self {
        let mut case = Self::sent();
        case.condition("Applied", "True", "");
        case.feed(
            "status",
            json!({"type": "JsonRaw", "jsonRaw": status.to_string()}),
        );
        case
    }

    pub(crate) fn object(&mut self) -> &mut Value {
        self.object.as_mut().unwrap()
    }

    pub(crate) fn feed(&mut self, name: &str, value: Value) {
        let object = self.object();
        if object.get("statusFeedback").is_none() {
            object["statusFeedback"] = json!({"values": []});
        }
        object["statusFeedback"]["values"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": name, "fieldValue": value}));
    }

    pub(crate) fn condition(&mut self, type_: &str, status: &str, message: &str) {
        let condition = json!({"type": type_, "status": status, "reason": "R", "message": message, "observedGeneration": 1});
        let object = self.object();
        if object.get("conditions").is_none() {
            object["conditions"] = json!([]);
        }
        object["conditions"].as_array_mut().unwrap().push(condition);
    }

    pub(crate) fn map(&self) -> Option<Overrides> {
        let gvk = Gvk::new(names::API_VERSION, names::HOSTED_CLUSTER);
        let observed = Observed {
            resource: "hostedClusterWork",
            gvk: &gvk,
            object: self.object.as_ref(),
            work: self.work.as_ref(),
            desired: None,
            target: Some(TARGET),
            params: &self.params,
            generation: self.generation,
            deleting: self.deleting,
            operation: self.operation,
            failure: self.failure.as_ref(),
            skipped: self.skipped,
            settings: &self.settings,
            now: self.now,
        };
        crate::policy().map(&observed)
    }
}

/// Asks the policy about sending `desired` where `current` was sent before.
pub(crate) fn review(
    desired: &Value,
    current: Option<&Value>,
    settings: Value,
) -> hyperfleet_adapter::policy::Verdict {
    let gvk = Gvk::new(names::API_VERSION, names::HOSTED_CLUSTER);
    let (wanted, stored) = (work(desired), current.map(work));
    crate::policy().review(&Review {
        resource: "hostedClusterWork",
        gvk: &gvk,
        desired,
        current,
        work: Some(&wanted),
        current_work: stored.as_ref(),
        target: Some(TARGET),
        params: &Map::new(),
        generation: 2,
        settings: settings.as_object().unwrap(),
        now: at(0),
    })
}

pub(crate) fn condition<'o>(overrides: &'o Overrides, type_: &str) -> &'o ConditionReport {
    overrides
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap_or_else(|| panic!("no {type_}"))
}

/// Status and reason, as `True ControlPlaneReady`.
pub(crate) fn short(overrides: &Overrides, type_: &str) -> String {
    let condition = condition(overrides, type_);
    format!(
        "{} {}",
        condition.status,
        condition.reason.as_deref().unwrap_or_default()
    )
}

pub(crate) fn message<'o>(overrides: &'o Overrides, type_: &str) -> &'o str {
    condition(overrides, type_)
        .message
        .as_deref()
        .unwrap_or_default()
}

fn apply(steps: &[Step], last: &str, status: &mut Value) {
    let end = steps.iter().position(|step| step.id == last).unwrap();
    for step in &steps[..=end] {
        let after = i64::try_from(step.after.as_secs()).unwrap();
        step.patch.apply(status, at(after), 1, false);
    }
}

/// The status after a step of the creation.
pub(crate) fn created(last: &str) -> Value {
    let mut status = Value::Null;
    let parameters = Parameters::of(&rendered(1), at(0), 1.0);
    apply(
        &timeline::creation(&parameters, CreationFault::None),
        last,
        &mut status,
    );
    status
}

/// The status after a step of the degradation of a running cluster.
pub(crate) fn degraded(last: &str) -> Value {
    let mut status = created("S10");
    apply(
        &timeline::degradation(&Parameters::of(&rendered(1), at(0), 1.0)),
        last,
        &mut status,
    );
    status
}

/// The status after a step of an upgrade to `image`.
pub(crate) fn upgraded(image: &str, last: &str) -> Value {
    let mut object = rendered(1);
    object["spec"]["release"]["image"] = image.into();
    let mut status = created("S10");
    object["status"] = status.clone();
    let verdict = if last == "UB" {
        timeline::Upgrade::NotUpgradeable
    } else {
        timeline::judge_upgrade(&object)
    };
    let steps = timeline::upgrade(
        &Parameters::of(&object, at(0), 1.0),
        &status.clone(),
        &verdict,
    );
    apply(&steps, last, &mut status);
    status
}
