use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::conditions::{all, find};
use crate::example;

const SPEED: f64 = 60.0;

fn start() -> jiff::Timestamp {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

fn parameters(object: &Value) -> Parameters {
    Parameters::of(object, start(), 1.0)
}

fn object() -> Value {
    let mut object = example::hosted_cluster("demo");
    object["metadata"]["generation"] = json!(1);
    object
}

/// The status after all steps up to and including `last`.
fn after(steps: &[Step], last: &str, mut status: Value, generation: i64) -> Value {
    let end = steps
        .iter()
        .position(|step| step.id == last)
        .unwrap_or_else(|| panic!("no {last}"));
    for step in &steps[..=end] {
        let now = start()
            .checked_add(jiff::SignedDuration::try_from(step.after).unwrap())
            .unwrap();
        step.patch.apply(&mut status, now, generation, false);
    }
    status
}

fn created() -> Value {
    after(
        &creation(&parameters(&object()), CreationFault::None),
        "S10",
        Value::Null,
        1,
    )
}

fn ids(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(|step| step.id).collect()
}

#[test]
fn creation_ends_available_with_the_documented_status() {
    let status = created();
    assert_eq!(
        status["controlPlaneEndpoint"],
        json!({"host": "api-demo.gcp.example.com", "port": 443})
    );
    assert_eq!(status["kubeconfig"]["name"], "demo-admin-kubeconfig");
    assert_eq!(
        status["ignitionEndpoint"],
        "ignition-server.apps.demo.hypershift.local"
    );
    assert_eq!(
        status["oauthCallbackURLTemplate"],
        "https://oauth-demo.gcp.example.com:443/oauth2callback/[identity-provider-name]"
    );
    let image = "quay.io/openshift-release-dev/ocp-release:4.22.3-multi";
    assert_eq!(
        status["version"]["history"],
        json!([{"state": "Completed", "startedTime": "2026-03-02T10:00:01Z", "completionTime": "2026-03-02T10:14:55Z",
                "version": "4.22.3", "image": image, "verified": false}])
    );
    assert_eq!(
        status["controlPlaneVersion"]["history"][0]["completionTime"],
        "2026-03-02T10:04:55Z"
    );
    let available = find(&status, "Available").unwrap();
    assert!(available.is_true());
    assert_eq!(
        available.last_transition_time,
        Some("2026-03-02T10:05:00Z".parse().unwrap())
    );
    assert_eq!(available.observed_generation, Some(1));
    assert_eq!(
        find(&status, "ValidGCPCredentials")
            .unwrap()
            .observed_generation,
        None
    );
    assert_eq!(
        find(&status, "Progressing").unwrap().last_transition_time,
        Some("2026-03-02T10:00:01Z".parse().unwrap())
    );
    assert_eq!(all(&status).count(), 34);
}

#[test]
fn steps_are_ordered_and_scaled() {
    let object = object();
    let fast = Parameters::of(&object, start(), SPEED);
    let steps = creation(&fast, CreationFault::None);
    assert_eq!(
        ids(&steps),
        [
            "S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10"
        ]
    );
    assert!(steps.is_sorted_by_key(|step| step.after));
    assert_eq!(steps[8].after, Duration::from_secs(5));
    let status = after(&steps, "S8", Value::Null, 1);
    // 295 s at sixty times the speed.
    assert_eq!(
        status["controlPlaneVersion"]["history"][0]["completionTime"],
        "2026-03-02T10:00:04Z"
    );
    for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let odd = Parameters::of(&object, start(), odd);
        assert_eq!(odd.scaled(Duration::from_secs(7)), Duration::from_secs(7));
    }
}

#[test]
fn without_workers_the_guest_never_completes() {
    let mut parameters = parameters(&object());
    parameters.workers = false;
    let steps = creation(&parameters, CreationFault::None);
    assert_eq!(steps.last().unwrap().id, "S9");
    let status = after(&steps, "S9", Value::Null, 1);
    assert!(find(&status, "Available").unwrap().is_true());
    assert_eq!(status["version"]["history"][0]["state"], "Partial");
    assert_eq!(
        upgrade(&parameters, &status, &Upgrade::Proceeds)
            .last()
            .unwrap()
            .id,
        "U3"
    );
}

#[test]
fn private_control_planes_have_an_address_and_no_names() {
    let mut object = object();
    object["spec"]["platform"]["gcp"]["endpointAccess"] = json!("Private");
    let status = after(
        &creation(&parameters(&object), CreationFault::None),
        "S10",
        Value::Null,
        1,
    );
    assert_eq!(
        status["controlPlaneEndpoint"],
        json!({"host": "10.0.0.100", "port": 443})
    );
    let dns = find(&status, "ExternalDNSReachable").unwrap();
    assert_eq!(
        (dns.status, dns.message),
        ("Unknown", "External DNS is not configured")
    );
}

#[test]
fn what_goes_wrong_while_creating() {
    let parameters = parameters(&object());
    let blocked = creation(&parameters, CreationFault::NoPullSecret);
    assert_eq!(ids(&blocked), ["S0", "S1"]);
    let status = after(&blocked, "S1", Value::Null, 1);
    assert_eq!(
        find(&status, "ValidReleaseImage").unwrap().reason,
        "SecretNotFound"
    );
    assert_eq!(find(&status, "Progressing").unwrap().reason, "Blocked");

    let no_oidc = after(
        &creation(&parameters, CreationFault::NoOidc),
        "S8",
        Value::Null,
        1,
    );
    assert!(find(&no_oidc, "Available").unwrap().is_true());
    assert!(
        find(&no_oidc, "ReconciliationSucceeded")
            .unwrap()
            .is_false()
    );

    let no_subnet = creation(&parameters, CreationFault::NoServiceConnectSubnet);
    assert_eq!(no_subnet.last().unwrap().id, "S2");
    assert!(
        find(
            &after(&no_subnet, "S2", Value::Null, 1),
            "GCPServiceAttachmentAvailable"
        )
        .unwrap()
        .is_false()
    );

    let silent = creation(&parameters, CreationFault::NoIgnition);
    assert!(silent.iter().all(|step| step.patch.finalizers.is_none()));
    let status = after(&silent, "S1", Value::Null, 1);
    assert!(find(&status, "ReconciliationSucceeded").unwrap().is_true());
    assert!(find(&status, "GCPEndpointAvailable").is_none());
}

/// The created object asking for another release.
fn upgrading(version: &str) -> Value {
    let mut object = object();
    object["metadata"]["generation"] = json!(2);
    object["spec"]["release"]["image"] = json!(format!(
        "quay.io/openshift-release-dev/ocp-release:{version}-multi"
    ));
    object["status"] = created();
    object
}

#[test]
fn upgrades_keep_the_history() {
    let object = upgrading("4.22.5");
    assert_eq!(judge_upgrade(&object), Upgrade::Proceeds);
    let steps = upgrade(&parameters(&object), &object["status"], &Upgrade::Proceeds);
    assert_eq!(ids(&steps), ["U0", "U1", "U2", "U3", "U4"]);
    let rolling = after(&steps, "U1", object["status"].clone(), 2);
    assert!(find(&rolling, "Progressing").unwrap().is_true());
    let versions = |status: &Value, member: &str| -> Vec<(String, String)> {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let history = status[member]["history"].as_array().unwrap();
        history
            .iter()
            .map(|entry| (text(entry, "version"), text(entry, "state")))
            .collect()
    };
    let pair = |version: &str, state: &str| (version.to_owned(), state.to_owned());
    assert_eq!(
        versions(&rolling, "controlPlaneVersion"),
        [pair("4.22.5", "Partial"), pair("4.22.3", "Completed")]
    );
    let done = after(&steps, "U4", object["status"].clone(), 2);
    assert_eq!(
        versions(&done, "version"),
        [pair("4.22.5", "Completed"), pair("4.22.3", "Completed")]
    );
    assert_eq!(done["version"]["observedGeneration"], 3);
    assert_eq!(done["controlPlaneVersion"]["observedGeneration"], 2);
    assert_eq!(
        find(&done, "Available").unwrap().observed_generation,
        Some(2)
    );
}

#[test]
fn superseded_installations_end_but_stay_partial() {
    let mut parameters = parameters(&object());
    parameters.workers = false;
    let status = after(
        &creation(&parameters, CreationFault::None),
        "S9",
        Value::Null,
        1,
    );
    let object = upgrading("4.22.5");
    let steps = upgrade(&self::parameters(&object), &status, &Upgrade::Proceeds);
    let next = after(&steps, "U2", status, 2);
    let old = &next["version"]["history"][1];
    assert_eq!(
        (&old["state"], &old["completionTime"]),
        (
            &json!("Partial"),
            &next["version"]["history"][0]["startedTime"]
        )
    );
}

#[test]
fn which_upgrades_the_operator_takes() {
    assert_eq!(judge_upgrade(&upgrading("4.23.1")), Upgrade::Proceeds);
    let mut blocked = upgrading("4.23.1");
    let conditions = blocked["status"]["conditions"].as_array_mut().unwrap();
    let upgradeable = conditions
        .iter_mut()
        .find(|c| c["type"] == "ClusterVersionUpgradeable")
        .unwrap();
    upgradeable["status"] = json!("False");
    assert_eq!(judge_upgrade(&blocked), Upgrade::NotUpgradeable);
    let mut z_stream = blocked.clone();
    z_stream["spec"]["release"]["image"] = json!("quay.io/ocp:4.22.9-multi");
    assert_eq!(judge_upgrade(&z_stream), Upgrade::Proceeds);
    let image = blocked["spec"]["release"]["image"].clone();
    blocked["metadata"]["annotations"]["hypershift.openshift.io/force-upgrade-to"] = image;
    assert_eq!(judge_upgrade(&blocked), Upgrade::Proceeds);

    let invalid = |version: &str| match judge_upgrade(&upgrading(version)) {
        Upgrade::InvalidRelease(problem) => problem,
        other => panic!("{version}: {other:?}"),
    };
    assert_eq!(
        invalid("5.2.0"),
        "the latest version supported is: \"5.1\". Attempting to use: \"5.2.0\""
    );
    assert!(
        invalid("4.13.0")
            .starts_with("the minimum version supported for platform GCP is: \"4.14\"")
    );
    assert_eq!(
        invalid("4.21.0"),
        "y-stream downgrade from \"4.22.3\" to \"4.21.0\" is not supported"
    );
    assert!(invalid("nonsense").contains("failed to lookup release image"));

    let object = upgrading("5.2.0");
    let steps = upgrade(
        &parameters(&object),
        &object["status"],
        &judge_upgrade(&object),
    );
    assert_eq!(ids(&steps), ["UI"]);
    let status = after(&steps, "UI", object["status"].clone(), 2);
    assert_eq!(
        find(&status, "Progressing").unwrap().message,
        format!("ValidReleaseImage condition is false: {}", invalid("5.2.0"))
    );
}

#[test]
fn degradation_ends_well() {
    let object = object();
    let steps = degradation(&parameters(&object));
    assert_eq!(steps.len(), 9);
    let lost = after(&steps, "D2", created(), 1);
    assert_eq!(
        find(&lost, "Available").unwrap().reason,
        "EtcdWaitingForQuorum"
    );
    let end = after(&steps, "D9", created(), 1);
    assert!(
        find(&end, "Available").unwrap().is_true() && find(&end, "Degraded").unwrap().is_false()
    );
    assert!(!serde_json::to_string(&end).unwrap().contains("${"));
}

#[test]
fn deletions() {
    let parameters = parameters(&object());
    let plain = deletion(&parameters, Deletion::Clean, None, true);
    assert_eq!(ids(&plain), ["X0", "X1", "X2", "X3", "X4", "X5", "X7"]);
    assert!(releases(&plain.last().unwrap().patch));
    assert_eq!(plain.last().unwrap().after, Duration::from_secs(280));

    let grace = deletion(
        &parameters,
        Deletion::Clean,
        Some(Duration::from_secs(120)),
        true,
    );
    assert_eq!(ids(&grace)[5..], ["X5", "X6", "X7"]);
    assert_eq!(grace.last().unwrap().after, Duration::from_secs(400));
    assert_eq!(
        grace[6].patch.conditions[0].message,
        "Grace period set: 2m0s"
    );

    let careless = deletion(&parameters, Deletion::Clean, None, false);
    assert_eq!(ids(&careless), ["X0", "X1", "X2", "X7"]);
    for endless in [Deletion::StuckNetwork, Deletion::StuckBucket] {
        assert!(
            deletion(&parameters, endless, None, true)
                .iter()
                .all(|step| !releases(&step.patch))
        );
    }
    assert_eq!(
        ids(&deletion(&parameters, Deletion::CleanupSkipped, None, true)),
        ["X0", "X1", "X2", "X3", "XC", "X7"]
    );
    let timed_out = deletion(&parameters, Deletion::CleanupTimedOut, None, true);
    assert_eq!(ids(&timed_out), ["X0", "X1", "X2", "X3", "XT", "X7"]);
    assert!(timed_out[5].after > timed_out[4].after);
}

#[test]
fn a_deleted_objects_status_is_frozen() {
    let mut status = created();
    let before = find(&status, "Available").unwrap().observed_generation;
    for step in deletion(&parameters(&object()), Deletion::Clean, None, true) {
        step.patch.apply(&mut status, start(), 9, true);
    }
    assert!(find(&status, "Available").unwrap().is_true());
    assert_eq!(
        find(&status, "Available").unwrap().observed_generation,
        before
    );
    assert!(find(&status, "CloudResourcesDestroyed").unwrap().is_true());
}

proptest! {
    #[test]
    fn replaying_steps_changes_nothing(steps in 1_usize..11, again in 0_usize..11) {
        let timeline = creation(&parameters(&object()), CreationFault::None);
        let mut status = Value::Null;
        for step in &timeline[..steps] {
            step.patch.apply(&mut status, start(), 1, false);
        }
        let before = status.clone();
        if let Some(last) = timeline[..steps].get(again) {
            // Going back to an earlier step and forward again ends where it was, but for times of changed conditions.
            last.patch.apply(&mut status, start(), 1, false);
            for step in &timeline[..steps] {
                step.patch.apply(&mut status, start(), 1, false);
            }
        }
        prop_assert_eq!(before, status);
    }

    #[test]
    fn patches_bear_any_status(text in ".{0,20}", number in any::<i64>()) {
        for mut status in [json!(text), json!({"conditions": number}), json!({"conditions": [number, {"type": 1}]}), json!([])] {
            for step in creation(&parameters(&object()), CreationFault::None) {
                step.patch.apply(&mut status, start(), number, false);
            }
            prop_assert!(find(&status, "Available").unwrap().is_true());
        }
    }
}
