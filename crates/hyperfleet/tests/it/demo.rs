//! The demo as a script runs it: JSON lines, exit code, report.

use std::process::{Output, Stdio};

use serde_json::Value;

use super::support::hyperfleet;

struct Played {
    output: Output,
    lines: Vec<Value>,
    report: tempfile::TempDir,
}

fn play(arguments: &[&str]) -> Played {
    let report = tempfile::tempdir().expect("a temporary directory");
    let output = hyperfleet()
        .args(["demo", "--output", "json", "--report-dir"])
        .arg(report.path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("run the demo");
    let lines = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
        .collect();
    Played {
        output,
        lines,
        report,
    }
}

impl Played {
    fn succeeded(&self) -> &Self {
        assert!(
            self.output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&self.output.stderr),
            self.lines
                .iter()
                .map(|l| l["text"].as_str().unwrap_or_default())
                .collect::<Vec<_>>()
                .join("\n"),
        );
        self
    }

    fn stages(&self) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|l| l["event"] == "stage")
            .filter_map(|l| l["title"].as_str())
            .collect()
    }

    fn told(&self, text: &str) -> bool {
        self.lines
            .iter()
            .any(|l| l["text"].as_str().is_some_and(|t| t.contains(text)))
    }
}

#[test]
fn demo_creates_upgrades_refuses_and_deletes_and_leaves_a_report() {
    let played = play(&[]);
    played.succeeded();
    assert_eq!(played.stages().len(), 4, "{:?}", played.stages());
    let places = &played.lines[0]["endpoints"];
    for key in ["regionalKubeconfig", "managementKubeconfig", "maestroGrpc"] {
        let place = places[key].as_str().unwrap_or_default();
        assert!(!place.is_empty() && !place.contains(' '), "{places:#}");
    }
    let report = played.lines.last().expect("a last line");
    assert_eq!(report["ok"], true);
    let hops: Vec<&str> = report["hops"]
        .as_array()
        .expect("hops")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for hop in ["api", "sentinel", "adapter", "maestro", "agent", "operator"] {
        assert!(hops.contains(&hop), "{hop} was not seen: {hops:?}");
    }
    assert!(
        played.told("us-central1") && played.told("us-east4"),
        "the refusal names old and new value"
    );
    let read = |name: &str| std::fs::read_to_string(played.report.path().join(name)).expect(name);
    assert!(read("manifestwork.yaml").contains("ServerSideApply"));
    assert!(read("hostedcluster.yaml").contains("kind: HostedCluster"));
    let conditions: Value = serde_json::from_str(&read("conditions.json")).expect("JSON");
    assert!(
        conditions["statuses"]
            .as_array()
            .is_some_and(|s| s.len() >= 4),
        "{conditions:#}"
    );
    let timeline: Value = serde_json::from_str(&read("timeline.json")).expect("JSON");
    assert!(
        timeline["secondsPerHop"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty())
    );
}

#[test]
fn demo_fail_dns_says_what_is_waited_for_and_sends_nothing() {
    assert!(
        play(&["--fail", "dns"])
            .succeeded()
            .told("no work was sent")
    );
}

#[test]
fn demo_fail_validation_lists_every_path_and_sends_nothing() {
    let played = play(&["--fail", "validation"]);
    assert!(played.succeeded().told("no work was sent"));
    assert!(played.told("privateServiceConnectSubnet") && played.told("poolID"));
}

#[test]
fn demo_fail_degraded_carries_the_operators_words() {
    assert!(
        play(&["--fail", "degraded"])
            .succeeded()
            .told("Health=False")
    );
}

#[test]
fn demo_fail_immutable_names_field_old_and_new_value() {
    let played = play(&["--fail", "immutable"]);
    assert!(played.succeeded().told("us-central1"));
    assert!(played.told("us-east4"));
}

#[test]
fn demo_fail_agent_down_loses_nothing() {
    play(&["--fail", "agent-down"]).succeeded();
}

#[test]
fn demo_fail_server_restart_loses_nothing() {
    play(&["--fail", "server-restart"]).succeeded();
}

#[test]
fn demo_in_text_form_is_readable_without_a_terminal() {
    let report = tempfile::tempdir().expect("a temporary directory");
    // Left by a demo that sent something.
    let stale = report.path().join("manifestwork.yaml");
    std::fs::write(&stale, "kind: ManifestWork\n").expect("write");
    let output = hyperfleet()
        .args(["demo", "--fail", "dns", "--report-dir"])
        .arg(report.path())
        .stdin(Stdio::null())
        .output()
        .expect("run the demo");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("sentinel") && text.contains("PreconditionsNotMet"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no escape codes without a terminal");
    assert!(!stale.exists(), "the report is about this demo");
    assert!(!text.contains("Currently reporting"), "{text}");
}

#[test]
fn demo_with_an_unknown_failure_is_a_usage_error_that_lists_them() {
    let output = hyperfleet()
        .args(["demo", "--fail", "dn"])
        .output()
        .expect("run the demo");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("server-restart") && text.contains("--fail"),
        "{text}"
    );
}
