//! Rules in code for one kind: what they see, what they may refuse, what they correct.

use std::sync::{Arc, Mutex};

use hyperfleet_adapter::ResourcePolicy;
use hyperfleet_adapter::policy::{FailureClass, Gvk, Observed, Overrides, Review, Verdict};
use hyperfleet_types::{ConditionReport, ConditionStatus};
use serde_json::{Map, Value, json};

use crate::world::{WORK_TASK, World, condition, hosted_cluster, status};

/// Refuses generation 2, and says in the report what it saw.
#[derive(Default)]
struct Witness {
    seen: Mutex<Vec<Value>>,
}

impl ResourcePolicy for Witness {
    fn handles(&self, gvk: &Gvk) -> bool {
        *gvk == hosted_cluster()
    }

    fn review(&self, review: &Review<'_>) -> Verdict {
        assert_eq!(review.desired["kind"], "HostedCluster");
        assert_eq!((review.resource, review.target), ("work", Some("c1")));
        assert_eq!(review.settings["mode"], "strict");
        if review.generation != 2 {
            return Verdict::Warn(vec!["fine".into()]);
        }
        let was = review
            .current
            .and_then(|current| current["spec"]["infraID"].as_str())
            .unwrap_or_default();
        Verdict::Refuse {
            reason: "ImmutableFieldChanged".into(),
            message: format!("was {was}"),
            overrides: Overrides {
                conditions: vec![report(
                    "Applied",
                    ConditionStatus::False,
                    "ImmutableFieldChanged",
                )],
                ..Overrides::default()
            },
        }
    }

    fn map(&self, observed: &Observed<'_>) -> Option<Overrides> {
        let seen = json!({
            "object": observed.object.is_some(), "work": observed.work.is_some(), "desired": observed.desired.is_some(),
            "deleting": observed.deleting, "operation": observed.operation, "skipped": observed.skipped,
            "failure": observed.failure.map(|failure| failure.class == FailureClass::Refused),
            "status": observed.object.and_then(|object| object.get("status")).cloned(),
            "generation": observed.generation,
        });
        self.seen.lock().unwrap().push(seen);
        Some(Overrides {
            conditions: vec![
                report("Health", ConditionStatus::True, "Mapped"),
                report("Applied", ConditionStatus::True, "Mapped"),
            ],
            data: Map::from_iter([("seen".to_owned(), json!(observed.operation))]),
            observed_generation: Some(1),
        })
    }
}

fn report(type_: &str, status: ConditionStatus, reason: &str) -> ConditionReport {
    ConditionReport {
        type_: type_.into(),
        status,
        reason: Some(reason.into()),
        message: Some(String::new()),
    }
}

#[tokio::test]
async fn a_policy_corrects_the_report_and_refuses_changes() {
    let world = World::new().await;
    let witness = Arc::new(Witness::default());
    let deployment = world.deployment("test", "policy: {mode: strict}");
    let _adapter = world
        .start_with(&deployment, WORK_TASK, vec![witness.clone()])
        .await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    let first = world
        .reported("c1", "created", |report| report["data"]["seen"] == "create")
        .await;
    assert_eq!(
        (
            condition(&first, "Applied")["reason"].as_str(),
            first["observed_generation"].as_i64()
        ),
        (Some("Mapped"), Some(1))
    );
    assert_eq!(first["data"]["consumer"], "c1", "what the YAML says stays");

    world
        .maestro
        .report("hostedcluster-c1", json!({"conditions": []}));
    world
        .reported("c1", "read again", |report| {
            report["data"]["seen"] == "skip"
        })
        .await;
    let last = witness.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last["status"], json!({"conditions": []}), "{last:#}");

    let version = || {
        let id = world.maestro.id("hostedcluster-c1");
        world.maestro.data().rows[&id].version
    };
    assert_eq!(version(), 1);
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    let refused = world
        .reported("c1", "refused", |report| {
            status(report, "Applied") == "False"
        })
        .await;
    assert_eq!(
        condition(&refused, "Applied")["reason"],
        "ImmutableFieldChanged",
        "a refusal counts more than the mapping"
    );
    assert_eq!(condition(&refused, "Health")["reason"], "Mapped");
    assert_eq!(version(), 1, "nothing was written");
    world.settled().await;
    let last = witness.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (&last["failure"], &last["object"], &last["desired"]),
        (&json!(true), &json!(true), &json!(true)),
        "{last:#}"
    );
}

#[tokio::test]
async fn a_policy_sees_what_exists_when_preconditions_are_not_met() {
    let world = World::new().await;
    let witness = Arc::new(Witness::default());
    let deployment = world.deployment("test", "policy: {mode: strict}");
    let task = format!(
        "{WORK_TASK}\npreconditions: [{{name: ready, expression: \"cluster.?spec.?blocked.orValue(false) != true\"}}]\n"
    );
    let _adapter = world
        .start_with(&deployment, &task, vec![witness.clone()])
        .await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world
        .reported("c1", "created", |report| report["data"]["seen"] == "create")
        .await;
    world.api.data().clusters.get_mut("c1").unwrap()["spec"] = json!({"blocked": true});
    world.pulse("c1", 1).await;
    world
        .reported("c1", "skipped", |report| report["data"]["seen"].is_null())
        .await;
    let last = witness.seen.lock().unwrap().last().cloned().unwrap();
    assert!(
        last["skipped"]
            .as_str()
            .unwrap()
            .starts_with("precondition 'ready' not met"),
        "{last:#}"
    );
    assert_eq!(
        (&last["object"], &last["operation"]),
        (&json!(true), &Value::Null)
    );
    // Nothing exists: the policy is asked all the same.
    world.api.cluster("c9", 1);
    world.api.data().clusters.get_mut("c9").unwrap()["spec"] = json!({"blocked": true});
    world.pulse("c9", 1).await;
    world
        .reported("c9", "skipped", |report| {
            condition(report, "Health")["reason"] == "Mapped"
        })
        .await;
    let last = witness.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last["object"], false);
}
