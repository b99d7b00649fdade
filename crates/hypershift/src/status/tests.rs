use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conditions::Condition;
use crate::example;
use crate::timeline::{self, CreationFault, Parameters, Step, Upgrade};

const IMAGE: &str = "quay.io/openshift-release-dev/ocp-release:4.22.3-multi";

fn start() -> Timestamp {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    start()
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap()
}

fn object() -> Value {
    let mut object = example::hosted_cluster("demo");
    object["metadata"]["generation"] = json!(1);
    object
}

fn apply(steps: &[Step], last: &str, status: &mut Value) {
    let end = steps.iter().position(|step| step.id == last).unwrap();
    for step in &steps[..=end] {
        step.patch
            .apply(status, at(step.after.as_secs().cast_signed()), 1, false);
    }
}

/// The status after a step of the creation.
fn created(last: &str) -> Value {
    let mut status = Value::Null;
    apply(
        &timeline::creation(
            &Parameters::of(&object(), start(), 1.0),
            CreationFault::None,
        ),
        last,
        &mut status,
    );
    status
}

/// The status after a step of the degradation of a cluster that was made an hour before.
fn degraded(last: &str) -> Value {
    let mut status = created("S10");
    apply(
        &timeline::degradation(&Parameters::of(&object(), start(), 1.0)),
        last,
        &mut status,
    );
    status
}

fn upgrading(version: &str, verdict: &Upgrade, last: &str) -> Value {
    let mut object = object();
    object["spec"]["release"]["image"] = json!(format!(
        "quay.io/openshift-release-dev/ocp-release:{version}-multi"
    ));
    let mut status = created("S10");
    apply(
        &timeline::upgrade(
            &Parameters::of(&object, start(), 1.0),
            &status.clone(),
            verdict,
        ),
        last,
        &mut status,
    );
    status
}

fn condition(
    type_: &'static str,
    status: &'static str,
    message: &'static str,
) -> Condition<'static> {
    Condition {
        type_,
        status,
        reason: "Because",
        message,
        observed_generation: None,
        last_transition_time: None,
    }
}

fn known() -> Delivery<'static> {
    Delivery {
        applied: Some(condition("Applied", "True", "")),
        sent_at: Some(start()),
        ..Delivery::default()
    }
}

fn mapped(status: &Value) -> Mapped {
    mapped_with(status, known(), at(3600), &Options::default())
}

fn mapped_with(
    status: &Value,
    delivery: Delivery<'_>,
    now: Timestamp,
    options: &Options,
) -> Mapped {
    map(
        status,
        &Context {
            delivery,
            feedback_error: None,
            wanted_image: Some(IMAGE),
            now,
            options,
        },
    )
}

fn short(condition: &ConditionInput) -> (&'static str, &str) {
    (condition.status.as_str(), condition.reason.as_str())
}

#[test]
fn creation_is_provisioning_until_available_although_progressing_is_false() {
    for step in ["S1", "S2", "S3", "S4", "S5", "S6", "S7"] {
        let report = mapped(&created(step));
        assert_eq!(
            short(&report.applied),
            ("True", "ManifestWorkExists"),
            "{step}"
        );
        assert_eq!(
            short(&report.available),
            ("False", "Provisioning"),
            "{step}"
        );
        assert!(
            report
                .available
                .message
                .starts_with("Control plane provisioning in progress: "),
            "{step}"
        );
        assert_eq!(report.version, "", "{step}");
    }
    for step in ["S8", "S9", "S10"] {
        let report = mapped(&created(step));
        assert_eq!(
            short(&report.available),
            ("True", "ControlPlaneReady"),
            "{step}"
        );
        assert_eq!(
            report.available.message,
            "Control plane is ready and operational"
        );
        assert_eq!(short(&report.health), ("True", "NoIssues"), "{step}");
        assert_eq!(
            report.control_plane_endpoint,
            "https://api-demo.gcp.example.com:443"
        );
        assert_eq!(
            (report.version.as_str(), report.upgrade),
            ("4.22.3", UpgradeState::Idle),
            "{step}"
        );
    }
    // The host is empty although the port is known already.
    assert_eq!(mapped(&created("S2")).control_plane_endpoint, "");
}

#[test]
fn texts_are_taken_as_they_are() {
    let status = json!({
        "controlPlaneEndpoint": "https://api.example.com:6443",
        "version": "4.20.1",
        "conditions": [{"type": "Available", "status": "False", "message": "soon"}, {"type": "Progressing", "status": "True"}],
    });
    let report = mapped(&status);
    assert_eq!(
        report.control_plane_endpoint,
        "https://api.example.com:6443"
    );
    assert_eq!(report.version, "4.20.1");
    assert_eq!(short(&report.available), ("False", "Provisioning"));
    let mut idle = status;
    idle["conditions"][1]["status"] = json!("False");
    assert_eq!(short(&mapped(&idle).available), ("False", "NotReady"));
    assert_eq!(
        mapped(&idle).available.message,
        "Control plane not ready: soon"
    );
}

#[test]
fn endpoints() {
    let of = |host: &str, port: i64| {
        endpoint(&json!({"controlPlaneEndpoint": {"host": host, "port": port}}))
    };
    assert_eq!(of("10.0.0.4", 443), "https://10.0.0.4:443");
    assert_eq!(of("fd00::1", 6443), "https://[fd00::1]:6443");
    assert_eq!(of("api.example.com", 0), "https://api.example.com");
    assert_eq!(of("", 443), "");
    assert_eq!(endpoint(&json!({})), "");
}

#[test]
fn applied_follows_this_run_and_the_agent() {
    let options = Options::default();
    let none = Value::Null;
    let now = |status: &Value, delivery: Delivery<'_>, seconds: i64| {
        mapped_with(status, delivery, at(seconds), &options)
    };
    let sent = |sent| Delivery {
        sent,
        sent_at: Some(start()),
        ..Delivery::default()
    };

    let created = now(&none, sent(Sent::Created), 0);
    assert_eq!(short(&created.applied), ("True", "ManifestWorkCreated"));
    assert_eq!(
        created.applied.message,
        "HostedCluster CR sent to management cluster"
    );
    assert_eq!(short(&created.available), ("False", "Provisioning"));
    assert_eq!(short(&created.health), ("True", "NoIssues"));

    let waiting = now(&none, sent(Sent::Nothing), 299);
    assert_eq!(short(&waiting.applied), ("True", "ManifestWorkExists"));
    assert_eq!(short(&waiting.available), ("False", "Unknown"));

    let silent = now(&none, sent(Sent::Nothing), 301);
    assert_eq!(short(&silent.applied), ("False", "AgentNotResponding"));
    assert_eq!(short(&silent.available), ("False", "Unknown"));
    assert_eq!(short(&silent.health), ("False", "AgentNotResponding"));

    assert_eq!(
        short(&now(&self::created("S8"), sent(Sent::Updated), 0).applied),
        ("True", "ManifestWorkUpdated")
    );
}

#[test]
fn a_refused_manifest_and_a_vanished_object() {
    let conflict = "Failed to apply manifest: Apply failed with 1 conflict";
    let refused = Delivery {
        applied: Some(condition("Applied", "False", conflict)),
        ..Delivery::default()
    };
    let report = mapped_with(&Value::Null, refused, at(0), &Options::default());
    assert_eq!(short(&report.applied), ("False", "ManifestApplyFailed"));
    assert_eq!(report.applied.message, conflict);
    assert_eq!(short(&report.health), ("False", "ManifestApplyFailed"));
    // A running cluster stays available while its update is refused.
    let running = mapped_with(&created("S8"), refused, at(3600), &Options::default());
    assert_eq!(short(&running.available), ("True", "ControlPlaneReady"));

    let stale = Condition {
        observed_generation: Some(2),
        ..condition("Applied", "False", conflict)
    };
    let retried = Delivery {
        applied: Some(stale),
        work_generation: Some(3),
        ..Delivery::default()
    };
    assert_eq!(
        short(&mapped_with(&Value::Null, retried, at(0), &Options::default()).applied),
        ("True", "ManifestWorkExists")
    );

    let gone = Delivery {
        present: Some(condition("Available", "False", "not found")),
        ..known()
    };
    let report = mapped_with(&created("S8"), gone, at(3600), &Options::default());
    assert_eq!(short(&report.applied), ("False", "HostedClusterMissing"));
    assert_eq!(short(&report.available), ("False", "NotReady"));
    assert_eq!(short(&report.health), ("False", "HostedClusterMissing"));
}

#[test]
fn health_names_the_first_thing_that_is_wrong() {
    let health =
        |step: &str| mapped_with(&degraded(step), known(), at(3600), &Options::default()).health;
    assert_eq!(short(&health("D1")), ("False", "Degraded"));
    assert_eq!(
        health("D1").message,
        "Control plane is degraded: kube-apiserver deployment has 1 unavailable replicas"
    );
    assert_eq!(
        short(&mapped(&degraded("D1")).available),
        ("True", "ControlPlaneReady")
    );
    assert_eq!(
        short(&mapped(&degraded("D2")).available),
        ("False", "NotReady")
    );
    assert_eq!(short(&health("D3")), ("True", "NoIssues"));
    for step in ["D4", "D5", "D6"] {
        assert_eq!(
            short(&health(step)),
            ("False", "CertificateProblem"),
            "{step}"
        );
        assert!(
            health(step)
                .message
                .contains("Certificates are managed by the HyperShift operator: check"),
            "{step}"
        );
    }
    assert_eq!(short(&health("D7")), ("False", "ReconcileFailed"));
    assert!(
        health("D7")
            .message
            .starts_with("GCPEndpointAvailable: GCP API permission denied")
    );
    let rotation = health("D8");
    assert_eq!(short(&rotation), ("False", "Degraded"));
    assert!(rotation.message.starts_with(
        "Control plane is degraded: kube-apiserver serving certificate expires in 23h"
    ));
    assert_eq!(short(&health("D9")), ("True", "NoIssues"));
}

#[test]
fn patience_is_configurable() {
    let lenient = Options {
        degraded_grace: Duration::from_secs(600),
        ..Options::default()
    };
    let health = |step: &str, seconds: i64, options: &Options| {
        mapped_with(&degraded(step), known(), at(seconds), options).health
    };
    assert_eq!(short(&health("D1", 599, &lenient)), ("True", "NoIssues"));
    assert_eq!(short(&health("D1", 600, &lenient)), ("False", "Degraded"));
    // D7 happens after 480 s, and its grace is five minutes.
    assert_eq!(
        short(&health("D7", 480 + 299, &Options::default())),
        ("True", "NoIssues")
    );
    assert_eq!(
        short(&health("D7", 480 + 300, &Options::default())),
        ("False", "ReconcileFailed")
    );
    let blind = Options {
        certificate_signals: false,
        ..Options::default()
    };
    assert_eq!(short(&health("D4", 3600, &blind)), ("True", "NoIssues"));
}

#[test]
fn upgrades() {
    let options = Options::default();
    let wanted = "quay.io/openshift-release-dev/ocp-release:4.22.5-multi";
    let report = |status: &Value, options: &Options| {
        let context = Context {
            delivery: known(),
            feedback_error: None,
            wanted_image: Some(wanted),
            now: at(7200),
            options,
        };
        map(status, &context)
    };
    let steps = [
        ("U0", UpgradeState::InProgress, "4.22.3"),
        ("U1", UpgradeState::InProgress, "4.22.3"),
        ("U2", UpgradeState::InProgress, "4.22.3"),
        ("U3", UpgradeState::ControlPlaneDone, "4.22.3"),
        ("U4", UpgradeState::Idle, "4.22.5"),
    ];
    for (step, state, version) in steps {
        let mapped = report(&upgrading("4.22.5", &Upgrade::Proceeds, step), &options);
        assert_eq!(
            short(&mapped.available),
            ("True", "ControlPlaneReady"),
            "{step}"
        );
        assert_eq!(
            (mapped.upgrade, mapped.version.as_str()),
            (state, version),
            "{step}"
        );
        assert_eq!(mapped.desired_version, "4.22.5");
        let in_progress = mapped
            .available
            .message
            .ends_with("; upgrade to 4.22.5 in progress");
        assert_eq!(
            in_progress,
            state == UpgradeState::InProgress,
            "{step}: {}",
            mapped.available.message
        );
    }
    // The operator has not seen the new image yet.
    assert_eq!(
        report(&created("S10"), &options).upgrade,
        UpgradeState::InProgress
    );

    let strict = Options {
        available_requires_version: true,
        ..Options::default()
    };
    let early = report(&upgrading("4.22.5", &Upgrade::Proceeds, "U1"), &strict);
    assert_eq!(short(&early.available), ("False", "UpgradeInProgress"));
    assert_eq!(
        short(&report(&upgrading("4.22.5", &Upgrade::Proceeds, "U3"), &strict).available),
        ("True", "ControlPlaneReady")
    );
}

#[test]
fn refused_upgrades() {
    let blocked = mapped(&upgrading("4.23.1", &Upgrade::NotUpgradeable, "UB"));
    assert_eq!(short(&blocked.available), ("True", "ControlPlaneReady"));
    assert_eq!(blocked.upgrade, UpgradeState::Blocked);
    assert_eq!(short(&blocked.health), ("False", "UpgradeBlocked"));
    assert!(
        blocked
            .health
            .message
            .ends_with(". Acknowledge or use a z-stream release")
    );
    let invalid = mapped(&upgrading(
        "5.2.0",
        &Upgrade::InvalidRelease("no".into()),
        "UI",
    ));
    assert_eq!(short(&invalid.health), ("False", "ReconcileFailed"));
    assert_eq!(invalid.health.message, "ValidReleaseImage: no");
}

#[test]
fn unreadable_feedback_is_an_adapter_problem() {
    let options = Options::default();
    let context = Context {
        delivery: known(),
        feedback_error: Some("expected value at column 3"),
        wanted_image: None,
        now: at(0),
        options: &options,
    };
    let report = map(&Value::Null, &context);
    assert_eq!(short(&report.health), ("False", "FeedbackParseError"));
    assert_eq!(short(&report.available), ("False", "Unknown"));
}

#[test]
fn a_whole_object_is_read_like_its_status() {
    let mut whole = object();
    assert_eq!(short(&mapped(&whole).available), ("False", "Unknown"));
    whole["status"] = created("S8");
    assert_eq!(mapped(&whole), mapped(&whole["status"]));
    assert_eq!(
        short(&mapped(&json!({"conditions": []})).available),
        ("False", "Unknown")
    );
}

#[test]
fn a_report_claims_a_generation_when_agent_and_operator_have_seen_it() {
    let base = Generations {
        annotated: 3,
        work: Some(7),
        reported: Some(2),
        ..Generations::default()
    };
    let of = |generations: Generations| observed_generation(&generations);
    assert_eq!(
        of(Generations {
            applied: Some(6),
            ..base
        }),
        2
    );
    assert_eq!(
        of(Generations {
            applied: Some(7),
            ..base
        }),
        3
    );
    assert_eq!(
        of(Generations {
            applied: Some(7),
            object: Some(4),
            operator: Some(3),
            ..base
        }),
        2
    );
    assert_eq!(
        of(Generations {
            applied: Some(7),
            object: Some(4),
            operator: Some(4),
            ..base
        }),
        3
    );
    assert_eq!(
        of(Generations {
            applied: Some(6),
            reported: None,
            ..base
        }),
        2
    );
    assert_eq!(
        of(Generations {
            annotated: 1,
            applied: None,
            reported: None,
            ..base
        }),
        1
    );
    assert_eq!(
        of(Generations {
            annotated: 1,
            applied: Some(6),
            reported: None,
            ..base
        }),
        1
    );
}

#[test]
fn long_messages_are_cut() {
    let long = ConditionInput::fails("Reason", "ä".repeat(3000));
    assert_eq!(long.message.chars().count(), MAX_MESSAGE);
    assert!(long.message.ends_with('…'));
}

proptest! {
    #[test]
    fn every_status_gets_a_valid_report(
        type_ in "Available|Progressing|Degraded|Valid[A-Z][a-z]{1,5}|ReconciliationSucceeded",
        state in "True|False|Unknown|x",
        reason in "[A-Za-z]{0,8}",
        message in ".{0,40}",
        endpoint in prop_oneof![Just(json!(3)), Just(json!(null)), Just(json!({"host": 1})), Just(json!("x"))],
        version in prop_oneof![Just(json!({})), Just(json!([])), Just(json!({"history": [1, {}]})), Just(json!(7))],
    ) {
        let status = json!({
            "conditions": [{"type": type_, "status": state, "reason": reason, "message": message}, 4],
            "controlPlaneEndpoint": endpoint,
            "version": version,
            "controlPlaneVersion": version,
        });
        let report = mapped(&status);
        for condition in [&report.applied, &report.available, &report.health] {
            prop_assert!(condition.status != Status::Unknown);
            prop_assert!(condition.reason.chars().all(|c| c.is_ascii_alphanumeric()) && !condition.reason.is_empty());
            prop_assert!(condition.message.chars().count() <= MAX_MESSAGE);
        }
    }
}
