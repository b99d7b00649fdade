//! Works that name a service account are applied only as far as it may.

use axum::http::StatusCode;
use manifestwork::{Executor, ExecutorServiceAccount, ExecutorSubject, ExecutorSubjectType};
use serde_json::json;

use crate::world::{World, config_map, manifest_condition, work};

fn executor() -> Executor {
    Executor {
        subject: ExecutorSubject {
            type_: ExecutorSubjectType::ServiceAccount,
            service_account: Some(ExecutorServiceAccount {
                namespace: "default".into(),
                name: "runner".into(),
            }),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_object_is_not_applied_until_it_is_allowed() {
    let world = World::new().await;
    // The account may do everything but delete the second object.
    world.cluster.fail(|call| {
        if !call.path.ends_with("/subjectaccessreviews") {
            return None;
        }
        let asked = &call.body["spec"]["resourceAttributes"];
        let denied = asked["name"] == "denied" && asked["verb"] == "delete";
        let mut answer = call.body.clone();
        answer["status"] = json!({"allowed": !denied});
        assert_eq!(
            call.body["spec"]["user"],
            "system:serviceaccount:default:runner"
        );
        Some((StatusCode::CREATED, answer))
    });
    let agent = world.agent().await;
    let mut made = work(
        "w1",
        &[
            config_map("allowed", json!({})),
            config_map("denied", json!({})),
        ],
    );
    made.spec.executor = Some(executor());
    world.broker.put(&made);
    let status = world
        .status("w1", "one is applied, one is denied", |work| {
            manifest_condition(work, 0, "Applied").is_some_and(|c| c.status == true.into())
                && manifest_condition(work, 1, "Applied").is_some_and(|c| c.status == false.into())
        })
        .await;
    assert_eq!(
        manifest_condition(&status, 1, "Applied").unwrap().message,
        "Failed to apply manifest: not allowed to apply the resource  configmaps, default denied, will try again in 1m0s"
    );
    assert!(world.cluster.get("ConfigMap", "denied").await.is_none());
    world.cluster.fail(|call| {
        let mut answer = call.body.clone();
        answer["status"] = json!({"allowed": true});
        call.path
            .ends_with("/subjectaccessreviews")
            .then_some((StatusCode::CREATED, answer))
    });
    world.applied("w1", 1).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_one_is_refused() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work("w1", &[config_map("cm", json!({}))]);
    let mut nobody = executor();
    nobody.subject.service_account = None;
    made.spec.executor = Some(nobody);
    world.broker.put(&made);
    world
        .status("w1", "the executor is refused", |work| {
            manifest_condition(work, 0, "Applied")
                .is_some_and(|c| c.message.ends_with("the executor service account is nil"))
        })
        .await;
    assert!(world.cluster.get("ConfigMap", "cm").await.is_none());
    agent.stop().await;
}
