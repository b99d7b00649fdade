//! wait, apply --wait, watch, signals.

use std::{process::Stdio, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
};

use crate::{Bench, DEADLINE, complete, finish};

const FAST: &str = "--poll-interval=100ms";

/// Sends a signal to a child that this test started.
fn interrupt(child: &Child) {
    let id = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn wait_ends_when_the_condition_holds() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let waiting = bench.command(&[
        "wait",
        "--consumer=c1",
        "--name=w",
        "--for=ConfigMap:status.succeeded>=1 AND Applied",
        FAST,
        "--results-path=r.json",
    ]);
    let waiting = tokio::spawn(finish(waiting));
    let results = testkit::eventually("a record of waiting", DEADLINE, async || {
        std::fs::read_to_string(bench.path("r.json"))
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
    })
    .await;
    assert_eq!(
        json!([results["status"], results["final"], results["phase"]]),
        json!(["Waiting", false, "InProgress"])
    );
    bench.fake.report("w", json!({"succeeded": 0}));
    bench.fake.report("w", complete());
    let run = waiting.await.unwrap();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("version 1, no status yet"), "{}", run.err);
    let results = bench.results("r.json");
    assert_eq!(
        results["status"], "ConfigMap:status.succeeded>=1 AND Applied",
        "upstream's odd status"
    );
    assert_eq!(
        json!([results["message"], results["final"], results["phase"]]),
        json!([
            "Condition 'ConfigMap:status.succeeded>=1 AND Applied' met",
            true,
            "Met"
        ])
    );
    assert_eq!(
        results["resources"][0]["statusFeedback"]["status"]["succeeded"],
        1
    );
}

#[tokio::test]
async fn wait_gives_up_with_what_it_saw_last() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    bench.fake.report("w", json!({}));
    let run = bench
        .run(&[
            "wait",
            "--consumer=c1",
            "--name=w",
            "--for=Degraded",
            "--timeout=1s",
            FAST,
            "--results-path=r.json",
            "--results-format=status-reporter",
        ])
        .await;
    assert_eq!(run.code, 4, "{}", run.err);
    assert!(
        run.err
            .contains("Error: error waiting for condition 'Degraded': context deadline exceeded\n"),
        "{}",
        run.err
    );
    assert!(
        run.err
            .contains("Last seen: version 1, Applied=True, Available=True"),
        "{}",
        run.err
    );
    let results = bench.results("r.json");
    assert_eq!(
        json!([results["status"], results["reason"]]),
        json!(["failure", "WaitTimeout"])
    );
    let run = bench.run(&["wait", "--consumer=c1", "--name=absent"]).await;
    assert_eq!(run.code, 3);
    assert!(
        run.err
            .contains("ManifestWork \"absent\" not found in consumer \"c1\""),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn apply_wait_does_not_take_old_news_for_good_news() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    bench.fake.report("w", json!({}));
    let file = bench.work("w", "2");
    let waiting = bench.command(&[
        "apply",
        "--consumer=c1",
        "--manifest-file",
        &file,
        "--wait",
        FAST,
        "--timeout=50s",
    ]);
    let waiting = tokio::spawn(finish(waiting));
    testkit::eventually("the update", DEADLINE, async || {
        (bench.fake.data().published.len() == 2).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!waiting.is_finished(), "Available is from version 1");
    bench.fake.report("w", json!({}));
    let run = waiting.await.unwrap();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("status is of version 1"), "{}", run.err);
}

#[tokio::test]
async fn the_words_of_older_scripts_are_understood() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    bench
        .good(&["apply", "--consumer=c1", "--manifest-file", &file])
        .await;
    bench.fake.report("w", json!({}));
    bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--watch",
            "--timeout=5m",
        ])
        .await;
    bench
        .good(&[
            "wait",
            "--name=w",
            "--consumer=c1",
            "--condition=Applied",
            "--watch",
        ])
        .await;
    bench
        .good(&[
            "wait",
            "--name=w",
            "--consumer=c1",
            "--condition=Nothing",
            "--for=Applied",
        ])
        .await;
    bench
        .good(&["list", "--consumer=c1", "--status=Applied"])
        .await;
    bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--wait=",
        ])
        .await;
    let run = bench
        .good(&[
            "wait",
            "--name=w",
            "--consumer=c1",
            "--for=Nothing OR Applied AND Available",
        ])
        .await;
    assert!(
        run.err.contains("mixes AND and OR without parentheses"),
        "{}",
        run.err
    );
    let run = bench
        .run(&[
            "wait",
            "--name=w",
            "--consumer=c1",
            "--for=Nothing OR Applied AND Nothing2",
            "--condition-compat=upstream",
            "--timeout=300ms",
        ])
        .await;
    assert_eq!(run.code, 4);
    bench
        .good(&["delete", "--name=w", "--consumer=c1", "--all"])
        .await;
}

#[tokio::test]
async fn a_work_that_is_deleted_while_waiting_ends_the_wait() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let waiting = tokio::spawn(finish(bench.command(&[
        "wait",
        "--consumer=c1",
        "--name=w",
        FAST,
    ])));
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.fake.vanish("w");
    let run = waiting.await.unwrap();
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("was deleted while waiting"), "{}", run.err);
}

#[tokio::test]
async fn a_signal_ends_waiting_with_its_own_code() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let mut command = bench.command(&[
        "wait",
        "--consumer=c1",
        "--name=w",
        FAST,
        "--results-path=r.json",
    ]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    testkit::eventually("the wait", DEADLINE, async || {
        bench.path("r.json").exists().then_some(())
    })
    .await;
    interrupt(&child);
    let status = tokio::time::timeout(DEADLINE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(bench.results("r.json")["phase"], "Failed");
    assert!(
        bench.results("r.json")["message"]
            .as_str()
            .unwrap()
            .contains("context canceled")
    );
}

#[tokio::test]
async fn watch_prints_a_line_per_change() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let mut command = bench.command(&["watch", "--consumer=c1", "--name=w", FAST]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
    };
    let first = next().await.unwrap();
    assert!(
        first.starts_with('[') && first.ends_with("] v1 "),
        "{first}"
    );
    bench.fake.report("w", json!({}));
    assert!(
        next()
            .await
            .unwrap()
            .ends_with("] v1 Applied✓ Available✓ | ConfigMap/w: Applied✓ ")
    );
    bench.fake.finish_deletion("w");
    // The last report may or may not be seen before the row goes.
    let mut line = next().await.unwrap();
    if line.contains("Deleted✓") {
        line = next().await.unwrap();
    }
    assert!(line.ends_with("is gone"), "{line}");
    interrupt(&child);
    assert_eq!(next().await.as_deref(), Some(""));
    assert_eq!(next().await.as_deref(), Some("Watch stopped"));
    let status = tokio::time::timeout(DEADLINE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn watch_of_a_consumer_can_be_json_lines() {
    let bench = Bench::new().await;
    bench.apply("a", "1").await;
    bench.apply("b", "1").await;
    let run = bench
        .good(&[
            "watch",
            "--consumer=c1",
            "-o",
            "json",
            "--timeout=500ms",
            FAST,
        ])
        .await;
    let names: Vec<String> = run
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["name"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}
