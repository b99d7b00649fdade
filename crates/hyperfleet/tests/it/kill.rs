//! `kill -9` of `up` at any point of the path, then `up` again, ends in the same state as without it.
//!
//! "The same" compares names, specs, condition type, status and reason, and absence; not ids, times and versions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use testkit::eventually;

use super::support::{PATIENCE, Up};

/// Clusters per worker; each is created, upgraded and deleted, with one kill in each.
const CLUSTERS: usize = 10;
/// Workers beside each other, each with an `up` of its own.
const WORKERS: usize = 2;

#[tokio::test]
async fn kill_9_at_sixty_points_ends_in_the_same_state() {
    // They wait most of the time: one thread carries both.
    let (one, other) = tokio::join!(run(0), run(1));
    assert_eq!(one + other, 3 * CLUSTERS * WORKERS);
}

async fn run(worker: usize) -> usize {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut up = Up::start(data.path(), &[]).await;

    // Without any kill: how long each leg takes, and how it ends.
    let mut legs = Vec::new();
    let began = Instant::now();
    let id = up.create_cluster("reference").await;
    up.reconciled(&id, 1).await;
    legs.push(began.elapsed());
    let created = settled(&up, &id, "reference").await;
    let began = Instant::now();
    up.patch_spec(&id, json!({"openshift_version": "4.22.5"}))
        .await;
    up.reconciled(&id, 2).await;
    legs.push(began.elapsed());
    let upgraded = settled(&up, &id, "reference").await;
    let began = Instant::now();
    delete(&up, &id).await;
    gone(&up, &id, "reference").await;
    legs.push(began.elapsed());

    let mut points = 0;
    for number in 0..CLUSTERS {
        // Spread evenly over the leg, the two workers shifted by half a step.
        let share = (number as f64 + worker as f64 / WORKERS as f64) / CLUSTERS as f64;
        let name = format!("killed-{number}");

        let id = up.create_cluster(&name).await;
        kill_after(&mut up, legs[0].mul_f64(share)).await;
        up.reconciled(&id, 1).await;
        same(&up, &id, &name, &created).await;

        up.patch_spec(&id, json!({"openshift_version": "4.22.5"}))
            .await;
        kill_after(&mut up, legs[1].mul_f64(share)).await;
        up.reconciled(&id, 2).await;
        same(&up, &id, &name, &upgraded).await;

        delete(&up, &id).await;
        kill_after(&mut up, legs[2].mul_f64(share)).await;
        gone(&up, &id, &name).await;
        points += 3;
    }
    points
}

async fn kill_after(up: &mut Up, delay: Duration) {
    // Not for correctness: the moment of the kill is the point under test.
    tokio::time::sleep(delay).await;
    up.kill_and_restart().await;
}

async fn delete(up: &Up, id: &str) {
    let (status, answer) = up.api("DELETE", &format!("/clusters/{id}"), None).await;
    assert_eq!(status, 202, "{answer}");
}

async fn gone(up: &Up, id: &str, name: &str) {
    eventually(
        &format!("{name} to be gone everywhere"),
        PATIENCE,
        async || {
            let (status, _) = up.api("GET", &format!("/clusters/{id}"), None).await;
            (status == 404
                && up.hosted_cluster(name).await.is_none()
                && up.bundles(id).await.is_empty())
            .then_some(())
        },
    )
    .await;
}

/// Waits for the state to be as expected: the last report may still be on its way when `Reconciled` is already true.
async fn same(up: &Up, id: &str, name: &str, expected: &Value) {
    let mut last = Value::Null;
    let reached = tokio::time::timeout(PATIENCE, async {
        loop {
            last = state(up, id, name).await;
            if &last == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(
        reached.is_ok(),
        "{name} ended in another state:\n{}\n{}",
        differences("", expected, &last).join("\n"),
        up.log_tail(),
    );
}

/// One line for each place where two states differ.
fn differences(path: &str, expected: &Value, found: &Value) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
            keys.into_iter()
                .flat_map(|key| {
                    let value =
                        |side: &Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                    differences(&format!("{path}.{key}"), &value(expected), &value(found))
                })
                .collect()
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .flat_map(|(index, (expected, found))| {
                differences(&format!("{path}[{index}]"), expected, found)
            })
            .collect(),
        _ if expected == found => Vec::new(),
        _ => vec![format!("{path}: expected {expected}, found {found}")],
    }
}

/// The state once nothing moves any more: `Reconciled` is true while the operator still has work to show.
async fn settled(up: &Up, id: &str, name: &str) -> Value {
    let done = |hosted: &Value| {
        let annotation = &hosted["metadata"]["annotations"]["simulator.hyperfleet.io/timeline"];
        annotation
            .as_str()
            .is_some_and(|text| text.contains("\"done\":true"))
    };
    let mut last = (Value::Null, 0);
    eventually("the state to settle", PATIENCE, async || {
        let now = state(up, id, name).await;
        let finished = up
            .hosted_cluster(name)
            .await
            .is_some_and(|hosted| done(&hosted));
        last = if finished && now == last.0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        (last.1 >= 15).then(|| last.0.clone())
    })
    .await
}

/// The state of a cluster at every door, with its own id and name written as `ID` and `NAME`.
async fn state(up: &Up, id: &str, name: &str) -> Value {
    let (_, cluster) = up.api("GET", &format!("/clusters/{id}"), None).await;
    let (_, statuses) = up
        .api("GET", &format!("/clusters/{id}/statuses"), None)
        .await;
    let mut reports: Vec<Value> = statuses["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| json!({"adapter": s["adapter"], "conditions": conditions(&s["conditions"])}))
        .collect();
    reports.sort_by_key(|r| r["adapter"].as_str().map(str::to_owned));
    let hosted = up.hosted_cluster(name).await.unwrap_or_default();
    let bundles: Vec<Value> = up
        .bundles(id)
        .await
        .iter()
        .map(|b| json!({"manifests": b["manifests"], "conditions": conditions(&b["status"]["conditions"])}))
        .collect();
    let whole = json!({
        "cluster": {"name": cluster["name"], "spec": cluster["spec"], "conditions": conditions(&cluster["status"]["conditions"])},
        "reports": reports,
        "hostedCluster": {"spec": hosted["spec"], "conditions": conditions(&hosted["status"]["conditions"])},
        "bundles": bundles,
    });
    let text = whole
        .to_string()
        .replace(id, "ID")
        .replace(&format!("\"{name}"), "\"NAME")
        .replace(&format!("-{name}"), "-NAME");
    serde_json::from_str(&text).expect("JSON stays JSON")
}

fn conditions(list: &Value) -> Value {
    let mut rows: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| format!("{} {} {}", c["type"], c["status"], c["reason"]))
        .collect();
    rows.sort();
    json!(rows)
}
