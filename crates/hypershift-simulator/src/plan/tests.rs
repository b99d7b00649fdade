use super::*;
use proptest::prelude::*;

const SCALE: Settings = Settings {
    time_scale: 1.0,
    creation: CreationFault::None,
    deletion: Deletion::Clean,
};

fn object(image: &str) -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {
            "name": "c", "namespace": "clusters", "uid": "0198f3a2-6c1e-7b44-9d0a-3f5e8c1b2a77", "generation": 1,
            "annotations": {"hypershift.openshift.io/cleanup-cloud-resources": "true"},
        },
        "spec": {"clusterID": "x", "infraID": "y", "release": {"image": image}, "platform": {"type": "GCP"}},
    })
}

/// Does what the plan says, as the API server would.
fn apply(object: &mut Value, plan: &Plan) {
    if let Some(Value::Object(spec)) = &plan.spec {
        for (key, value) in spec {
            object["spec"][key] = value.clone();
        }
    }
    if let Some(status) = &plan.status {
        object["status"] = status.clone();
    }
    if let Some(finalizers) = &plan.finalizers {
        object["metadata"]["finalizers"] = json!(finalizers);
    }
    if let Some(memory) = &plan.memory {
        object["metadata"]["annotations"][crate::TIMELINE_ANNOTATION] =
            Value::from(memory.to_annotation());
    }
}

/// Plays until nothing more is due, jumping to each wake.
fn play(object: &mut Value, mut now: Timestamp) -> Timestamp {
    for _ in 0..200 {
        let plan = plan(object, now, &SCALE);
        apply(object, &plan);
        match plan.wake {
            Some(wake) => now = wake,
            None if plan.is_idle() => return now,
            None => {}
        }
    }
    panic!("the play never ends: {object:#}");
}

fn condition(object: &Value, kind: &str) -> String {
    let list = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let found = list.into_iter().flatten().find(|c| c["type"] == kind);
    found
        .and_then(|c| c["status"].as_str())
        .unwrap_or_default()
        .to_owned()
}

fn start() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("a time")
}

#[test]
fn a_control_plane_comes_up_is_upgraded_degrades_recovers_and_goes() {
    let mut cluster = object("quay.io/openshift-release-dev/ocp-release:4.22.3-multi");
    let now = play(&mut cluster, start());
    assert_eq!(condition(&cluster, "Available"), "True", "{cluster:#}");
    assert_eq!(
        cluster["metadata"]["finalizers"],
        json!([hypershift::names::FINALIZER])
    );
    assert!(plan(&cluster, now, &SCALE).is_idle());

    cluster["spec"]["release"]["image"] =
        Value::from("quay.io/openshift-release-dev/ocp-release:4.22.5-multi");
    let now = play(&mut cluster, now);
    assert_eq!(
        cluster.pointer("/status/version/history/0/version"),
        Some(&json!("4.22.5")),
        "{cluster:#}"
    );
    assert_eq!(
        cluster.pointer("/status/version/history/0/state"),
        Some(&json!("Completed"))
    );

    cluster["metadata"]["annotations"][DEGRADE_ANNOTATION] = json!("D1");
    let now = play(&mut cluster, now);
    assert_eq!(condition(&cluster, "Degraded"), "True");
    assert_eq!(condition(&cluster, "Available"), "True");
    cluster["metadata"]["annotations"]
        .as_object_mut()
        .expect("a map")
        .remove(DEGRADE_ANNOTATION);
    let now = play(&mut cluster, now);
    assert_eq!(condition(&cluster, "Degraded"), "False");

    cluster["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    play(&mut cluster, now);
    assert_eq!(cluster["metadata"]["finalizers"], json!([]), "{cluster:#}");
}

#[test]
fn an_unknown_release_is_refused_and_another_one_accepted() {
    let mut cluster = object("quay.io/openshift-release-dev/ocp-release:4.22.3-multi");
    let now = play(&mut cluster, start());
    cluster["spec"]["release"]["image"] = json!("quay.io/nothing/here");
    let now = play(&mut cluster, now);
    assert_eq!(condition(&cluster, "Available"), "True");
    cluster["spec"]["release"]["image"] =
        json!("quay.io/openshift-release-dev/ocp-release:4.22.5-multi");
    play(&mut cluster, now);
    assert_eq!(
        cluster.pointer("/status/version/history/0/version"),
        Some(&json!("4.22.5")),
        "{cluster:#}"
    );
}

#[test]
fn ids_that_nobody_chose_are_filled_in_first() {
    let mut cluster = object("r:4.22.3");
    cluster["spec"]
        .as_object_mut()
        .expect("a map")
        .remove("clusterID");
    let plan = plan(&cluster, start(), &SCALE);
    assert_eq!(
        plan.spec,
        Some(json!({"clusterID": "0198f3a2-6c1e-7b44-9d0a-3f5e8c1b2a77"}))
    );
    assert!(plan.status.is_none());
}

#[test]
fn finalizers_of_others_stay() {
    let mut cluster = object("quay.io/openshift-release-dev/ocp-release:4.22.3-multi");
    cluster["metadata"]["finalizers"] = json!(["example.com/mine"]);
    play(&mut cluster, start());
    assert_eq!(
        cluster["metadata"]["finalizers"],
        json!(["example.com/mine", hypershift::names::FINALIZER])
    );
}

proptest! {
    /// Looking more often, or not at all for a while (a restart), ends in the same status.
    #[test]
    fn how_often_it_is_looked_at_does_not_matter(pauses in proptest::collection::vec(0_i64..200, 1..20)) {
        let mut watched = object("quay.io/openshift-release-dev/ocp-release:4.22.3-multi");
        play(&mut watched, start());
        let mut restarted = object("quay.io/openshift-release-dev/ocp-release:4.22.3-multi");
        let mut now = start();
        for pause in pauses {
            let plan = plan(&restarted, now, &SCALE);
            apply(&mut restarted, &plan);
            now = now.checked_add(SignedDuration::from_secs(pause)).expect("a time");
        }
        play(&mut restarted, now);
        let states = |o: &Value| {
            let list = o.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut list: Vec<String> = list.iter().map(|c| format!("{} {} {}", c["type"], c["status"], c["reason"])).collect();
            list.sort();
            list
        };
        prop_assert_eq!(states(&watched), states(&restarted));
    }
}
