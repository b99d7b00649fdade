//! apply, delete, build, diff, validate.

use serde_json::json;

use crate::{Bench, complete, exists, finish};

#[tokio::test]
async fn apply_creates_updates_and_leaves_alone() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let apply = [
        "apply",
        "--consumer=c1",
        "--manifest-file",
        &file,
        "--results-path=results.json",
    ];
    let run = bench.good(&apply).await;
    assert_eq!(
        run.err,
        "manifestwork \"w\" created on consumer \"c1\" (version 1)\n"
    );
    assert_eq!(run.out, "");
    let results = bench.results("results.json");
    assert_eq!(
        json!([
            results["name"],
            results["manifestWorkName"],
            results["consumer"],
            results["version"],
            results["status"],
            results["message"],
            results["phase"],
            results["final"]
        ]),
        json!([
            "w",
            "w",
            "c1",
            1,
            "Applied",
            "ManifestWork applied successfully",
            "Applied",
            true
        ])
    );
    assert!(
        results["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert!(bench.good(&apply).await.err.contains("unchanged"));
    bench.work("w", "2");
    assert!(
        bench
            .good(&apply)
            .await
            .err
            .contains("updated on consumer \"c1\" (version 2)")
    );
    assert_eq!(bench.fake.data().published.len(), 2);
    let run = bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--force",
            "-o",
            "json",
        ])
        .await;
    assert_eq!(bench.fake.data().published.len(), 3, "forced");
    let object: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(object["version"], 3);
}

#[tokio::test]
async fn apply_takes_plain_objects_folders_and_standard_input() {
    let bench = Bench::new().await;
    std::fs::create_dir(bench.path("objects")).unwrap();
    bench.file("objects/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n");
    bench.file(
        "objects/c.json",
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}"#,
    );
    bench.file("objects/readme.txt", "not: yaml: at all");
    bench
        .good(&[
            "apply",
            "--name=bundle",
            "--consumer=c1",
            "--manifest-file=objects",
        ])
        .await;
    {
        let data = bench.fake.data();
        let bundle: event_wire::payload::ManifestBundle = data.published[0].json().unwrap();
        let names: Vec<String> = bundle
            .manifests
            .iter()
            .map(|manifest| manifest.meta().unwrap().metadata.name)
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
    let run = bench
        .run(&["apply", "--consumer=c1", "--manifest-file=objects/c.json"])
        .await;
    assert_eq!(run.code, 2);
    assert!(run.err.contains("failed to load manifest file: file objects/c.json does not contain a valid ManifestWork resource"), "{}", run.err);
    assert!(run.err.contains("--name=NAME"), "{}", run.err);

    let mut command = bench.command(&[
        "apply",
        "--consumer=c1",
        "--manifest-file=-",
        "--name=piped",
    ]);
    command.stdin(std::fs::File::open(bench.path("objects/c.json")).unwrap());
    assert_eq!(finish(command).await.code, 0);
    assert_eq!(bench.fake.data().rows.len(), 2);
}

#[tokio::test]
async fn apply_refuses_bad_files_before_anything_is_sent() {
    let bench = Bench::new().await;
    let large = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{a: {}}}}}",
        "x".repeat(512_000)
    );
    let cases = [
        ("absent.yaml", None, "failed to read file absent.yaml"),
        (
            "broken.yaml",
            Some("metadata:\n  name: w\n bad: ["),
            "broken.yaml:",
        ),
        (
            "twice.yaml",
            Some("kind: ManifestWork\nmetadata: {name: w}\nspec:\n  a: 1\n  a: 2\n"),
            "twice.yaml:5",
        ),
        ("empty.yaml", Some(""), "file empty.yaml is empty"),
        (
            "other.yaml",
            Some("apiVersion: v2\nkind: ManifestWork\nmetadata: {name: w}\n"),
            "file other.yaml does not contain a valid ManifestWork resource",
        ),
        (
            "unnamed.yaml",
            Some("kind: ManifestWork\nspec: {}\n"),
            "ManifestWork in unnamed.yaml must have a name",
        ),
        (
            "none.yaml",
            Some("kind: ManifestWork\nmetadata: {name: w}\n"),
            "Workload manifests should not be empty",
        ),
        (
            "type.yaml",
            Some("kind: ManifestWork\nmetadata: {name: w}\nspec: {workload: {manifests: 5}}\n"),
            "failed to unmarshal ManifestWork from type.yaml: type.yaml:3:30: spec.workload.manifests: invalid type",
        ),
        (
            "boolean.yaml",
            Some("kind: ManifestWork\nmetadata: {name: n}\n"),
            "from boolean.yaml: metadata.name: invalid type: boolean `false`, expected a string\nHint:  YAML reads y, n",
        ),
        (
            "name.yaml",
            Some(
                "kind: ManifestWork\nmetadata: {name: A.b}\nspec: {workload: {manifests: [{apiVersion: v1, kind: X, metadata: {name: x}}]}}\n",
            ),
            "metadata.name: Invalid value: \"A.b\"",
        ),
        (
            "large.yaml",
            Some(large.as_str()),
            "which exceeds the 512000 limit",
        ),
    ];
    for (file, content, error) in cases {
        if let Some(content) = content {
            bench.file(file, content);
        }
        let mut arguments = vec![
            "apply",
            "--consumer=c1",
            "--manifest-file",
            file,
            "--results-path=r.json",
        ];
        if file == "large.yaml" {
            arguments.push("--name=large");
        }
        let run = bench.run(&arguments).await;
        assert_eq!(run.code, 2, "{file}: {}", run.err);
        assert!(run.err.contains(error), "{file}: {}", run.err);
        let results = bench.results("r.json");
        assert_eq!(
            json!([results["status"], results["phase"], results["final"]]),
            json!(["Failed", "Failed", true]),
            "{file}"
        );
    }
    assert!(bench.fake.data().published.is_empty());
}

#[tokio::test]
async fn an_unknown_consumer_is_told_with_those_that_exist() {
    let bench = Bench::new().await;
    bench.fake.consumer("c2");
    let file = bench.work("w", "1");
    let run = bench
        .run(&[
            "apply",
            "--consumer=c3",
            "--manifest-file",
            &file,
            "--results-path=r.json",
            "--results-format=status-reporter",
        ])
        .await;
    assert_eq!(run.code, 3);
    assert!(
        run.err
            .starts_with("Error: consumer \"c3\" not found. Available consumers: c1, c2\n"),
        "{}",
        run.err
    );
    let results = bench.results("r.json");
    assert_eq!(
        json!([results["status"], results["reason"]]),
        json!(["failure", "ConsumerNotFound"])
    );
    bench.fake.data().consumers.clear();
    let run = bench.run(&["list", "--consumer=c3"]).await;
    assert!(
        run.err.contains("no consumers are registered with Maestro"),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn a_work_of_another_source_is_not_doubled() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--source-id=other",
        ])
        .await;
    let run = bench
        .run(&["apply", "--consumer=c1", "--manifest-file", &file])
        .await;
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(
        run.err.contains("not of source \"maestro-cli\"") && run.err.contains("--source-id"),
        "{}",
        run.err
    );
    bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--force",
        ])
        .await;
    assert_eq!(bench.fake.data().rows.len(), 2);
    let run = bench.good(&["get", "--consumer=c1", "--name=w"]).await;
    assert!(run.err.contains("2 works are named \"w\""), "{}", run.err);
    let run = bench
        .run(&["get", "--consumer=c1", "--name=w", "--source-id=third"])
        .await;
    assert_eq!(run.code, 5, "{}", run.err);
    let id = bench.fake.data().rows.keys().next().unwrap().clone();
    bench
        .good(&[
            "get",
            "--consumer=c1",
            "--name=w",
            "--source-id=third",
            "--id",
            &id,
        ])
        .await;
}

#[tokio::test]
async fn a_conflict_and_a_deletion_have_their_code() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let file = bench.work("w", "2");
    let conflict = || {
        tonic::Status::unknown(
            "failed to update resource: maestro-6: the resource version is not the latest, the latest version: 9",
        )
    };
    bench.fake.data().failures.push((conflict(), false));
    let run = bench
        .run(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--results-path=r.json",
        ])
        .await;
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(
        run.err.contains("Failed to publish resource w: ")
            && run.err.contains("the latest version: 9"),
        "{}",
        run.err
    );
    assert_eq!(bench.results("r.json")["status"], "Failed");
    bench.fake.data().failures.push((conflict(), false));
    bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--retry-on-conflict=1",
        ])
        .await;
    bench.good(&["delete", "--consumer=c1", "--name=w"]).await;
    bench.work("w", "3");
    let run = bench
        .run(&["apply", "--consumer=c1", "--manifest-file", &file])
        .await;
    assert_eq!(run.code, 5);
    assert!(run.err.contains("is being deleted"), "{}", run.err);
}

#[tokio::test]
async fn delete_asks_waits_and_is_repeatable() {
    let bench = Bench::new().await;
    let run = bench
        .good(&[
            "delete",
            "--consumer=c1",
            "--name=w",
            "--results-path=r.json",
        ])
        .await;
    assert!(
        run.err.contains("nothing to delete") && !exists(&bench.path("r.json")),
        "{}",
        run.err
    );
    bench.apply("w", "1").await;
    let run = bench
        .good(&["delete", "--consumer=c1", "--name=w", "--dry-run"])
        .await;
    assert!(
        run.err.contains("would delete")
            && bench
                .fake
                .data()
                .rows
                .values()
                .all(|row| row.deleted_at.is_none())
    );
    bench
        .good(&[
            "delete",
            "--consumer=c1",
            "--name=w",
            "--results-path=r.json",
        ])
        .await;
    assert_eq!(bench.results("r.json")["status"], "Deleted");
    let run = bench
        .run(&[
            "delete",
            "--consumer=c1",
            "--name=w",
            "--wait",
            "--timeout=1s",
            "--results-path=r.json",
        ])
        .await;
    assert_eq!(run.code, 4, "{}", run.err);
    assert!(
        run.err
            .contains("error waiting for deletion: context deadline exceeded")
            && run.err.contains("is it connected?"),
        "{}",
        run.err
    );
    assert_eq!(bench.results("r.json")["phase"], "Timeout");
    let waiting = bench.command(&[
        "delete",
        "--consumer=c1",
        "--name=w",
        "--wait",
        "--poll-interval=100ms",
    ]);
    let waiting = tokio::spawn(finish(waiting));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    bench.fake.finish_deletion("w");
    let run = waiting.await.unwrap();
    assert!(
        run.code == 0 && run.err.contains("\"w\" is gone"),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn all_works_of_a_consumer_are_deleted_only_on_purpose() {
    let bench = Bench::new().await;
    bench.apply("a", "1").await;
    bench.apply("b", "1").await;
    let run = bench.run(&["delete", "--consumer=c1", "--all"]).await;
    assert_eq!(run.code, 2);
    assert!(
        run.err.contains("deletes all 2 works") && run.err.contains("--yes"),
        "{}",
        run.err
    );
    assert!(
        bench
            .fake
            .data()
            .rows
            .values()
            .all(|row| row.deleted_at.is_none())
    );
    bench
        .good(&["delete", "--consumer=c1", "--all", "--yes"])
        .await;
    assert!(
        bench
            .fake
            .data()
            .rows
            .values()
            .all(|row| row.deleted_at.is_some())
    );
}

#[tokio::test]
async fn build_merges_replaces_and_removes() {
    let bench = Bench::new().await;
    let part = bench.file("part.yaml", "manifests:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: w, namespace: default}, data: {key: new}}\n- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}}\n");
    let build = ["build", "--consumer=c1", "--name=w", "--source-file", &part];
    let run = bench.run(&build).await;
    assert_eq!(run.code, 3);
    assert!(
        run.err
            .contains("ManifestWork w not found in consumer c1 (use --force to create new)"),
        "{}",
        run.err
    );
    bench.apply("w", "1").await;
    let run = bench.good(&build).await;
    assert!(
        run.out.contains("key: new")
            && run.out.contains("kind: Secret")
            && run.out.contains("app: demo"),
        "{}",
        run.out
    );
    assert_eq!(bench.fake.data().published.len(), 1, "only printed");
    let run = bench
        .good(&[
            "build",
            "--consumer=c1",
            "--name=w",
            "--source-file",
            &part,
            "--output-file=out.json",
        ])
        .await;
    assert!(run.err.contains("ManifestWork written to out.json"));
    assert_eq!(
        bench.results("out.json")["spec"]["workload"]["manifests"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // Somebody else changes the work between reading and sending.
    bench.fake.data().failures.push((tonic::Status::unknown("failed to update resource: maestro-6: the resource version is not the latest, the latest version: 2"), false));
    let run = bench
        .good(&[
            "build",
            "--consumer=c1",
            "--name=w",
            "--source-file",
            &part,
            "--apply",
        ])
        .await;
    assert!(
        run.err.contains("building on the new version") && run.err.contains("updated"),
        "{}",
        run.err
    );
    let sent = |bench: &Bench| {
        let bundle: event_wire::payload::ManifestBundle =
            bench.fake.data().published.last().unwrap().json().unwrap();
        bundle
            .manifests
            .iter()
            .map(|manifest| manifest.meta().unwrap().kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(sent(&bench), ["ConfigMap", "Secret"]);
    bench
        .good(&[
            "build",
            "--consumer=c1",
            "--name=w",
            "--source-file",
            &part,
            "--apply",
            "--remove=ConfigMap/default/w",
        ])
        .await;
    assert_eq!(sent(&bench), ["Secret"]);
    let run = bench
        .run(&[
            "build",
            "--consumer=c1",
            "--name=w",
            "--source-file",
            &part,
            "--remove=Job/x/y",
        ])
        .await;
    assert_eq!(run.code, 3, "{}", run.err);
    let one = bench.file(
        "one.yaml",
        "manifests: [{apiVersion: v1, kind: Service, metadata: {name: x, namespace: default}}]",
    );
    bench
        .good(&[
            "build",
            "--consumer=c1",
            "--name=w",
            "--source-file",
            &one,
            "--apply",
            "--strategy=replace",
        ])
        .await;
    assert_eq!(sent(&bench), ["Service"]);
    bench
        .good(&[
            "build",
            "--consumer=c1",
            "--name=fresh",
            "--source-file",
            &one,
            "--apply",
            "--force",
        ])
        .await;
    assert_eq!(bench.fake.data().rows.len(), 2);
}

#[tokio::test]
async fn diff_shows_what_apply_would_change() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let diff = ["diff", "--consumer=c1", "--manifest-file", &file];
    let run = bench.good(&diff).await;
    assert_eq!(
        run.out,
        "ManifestWork \"w\" does not exist on consumer \"c1\"\n\nLocal ManifestWork would CREATE:\n  Name: w\n  Manifests: 1\n    [0] ConfigMap/default/w\n"
    );
    bench.apply("w", "1").await;
    assert!(
        bench
            .good(&diff)
            .await
            .out
            .ends_with("No differences found - manifests are identical\n")
    );
    bench.work("w", "2");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "    - {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}}\n  deleteOption: {propagationPolicy: Orphan}\n").unwrap();
    let run = bench
        .run(&[
            "diff",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--exit-code",
            "--show-diff",
        ])
        .await;
    assert_eq!(run.code, 1);
    for part in [
        "Comparing ManifestWork \"w\"\n  Remote ID: ",
        "  Remote Version: 1\n\nManifest count differs: local=2, remote=1\nDifferences found:\n\n  + Added (1):\n    + Secret/default/s\n\n  ~ Modified (2):\n    ~ ConfigMap/default/w\n      ~ data.key: \"1\" → \"2\"\n    ~ ManifestWork\n      + spec.deleteOption: propagationPolicy: Orphan\n\nSummary: 1 added, 0 removed, 2 modified\n",
        "--- remote\n+++ local\n",
    ] {
        assert!(run.out.contains(part), "{}", run.out);
    }
}

#[tokio::test]
async fn validate_finds_everything_without_a_server() {
    let bench = Bench::new().await;
    let good = bench.work("w", "1");
    let run = crate::finish(crate::bare(&["validate", "--manifest-file", &good])).await;
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "Validation PASSED\n  Name: w\n  Manifests: 1\n")
    );
    let run = crate::finish(crate::bare(&[
        "validate",
        "--manifest-file",
        &good,
        "--verbose",
    ]))
    .await;
    assert!(
        run.out.contains("  [0] ConfigMap/default/w\n") && run.out.contains("ManifestConfigs: 0"),
        "{}",
        run.out
    );
    let bad = bench.file(
        "bad.yaml",
        "kind: ManifestWork\nmetadata: {name: w}\nspec:\n  workload:\n    manifests:\n    - {}\n    - text\n    - {kind: X}\n    - {apiVersion: v1, kind: ConfigMap, metadata: {namespace: ns}}\n    - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns}}\n    - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns}}\n  manifestConfigs:\n  - resourceIdentifier: {resource: configmaps, name: b, namespace: ns}\n    updateStrategy: {type: Nope}\n    feedbackRules: [{type: JSONPaths, jsonPaths: [{name: p, path: \".a[\"}]}]\n",
    );
    let run = crate::finish(crate::bare(&["validate", "--manifest-file", &bad])).await;
    assert_eq!(run.code, 2);
    for problem in [
        "  - manifest[0] is empty\n",
        "  - manifest[1] is not valid YAML/JSON: it must be an object\n",
        "  - manifest[2] missing apiVersion\n",
        "  - manifest[2] missing metadata\n",
        "  - manifest[3] missing metadata.name\n",
        "  - spec.workload.manifests[5]: Duplicate value",
        "updateStrategy.type: Unsupported value: \"Nope\"",
        "  - spec.manifestConfigs[0] matches no manifest: there is no \"b\" in namespace \"ns\"\n",
        "  - spec.manifestConfigs[0].feedbackRules[0].jsonPaths[0].path: \".a[\":",
    ] {
        assert!(run.out.contains(problem), "{problem}\n{}", run.out);
    }
    assert!(
        run.out.starts_with("Validation FAILED:\n") && run.err.contains("validation failed with "),
        "{} {}",
        run.out,
        run.err
    );
    bench
        .good(&["validate", "--manifest-file", &good, "--consumer=c1"])
        .await;
    assert_eq!(
        bench
            .run(&["validate", "--manifest-file", &good, "--consumer=c9"])
            .await
            .code,
        3
    );
}

#[tokio::test]
async fn a_results_file_that_cannot_be_written_is_an_error() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let run = bench
        .run(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--results-path=/nowhere/r.json",
        ])
        .await;
    assert_eq!(run.code, 1);
    assert!(
        run.err
            .contains("failed to write results file: /nowhere/r.json"),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn a_reporter_gets_one_final_file() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    bench.fake.report("w", complete());
    bench
        .good(&[
            "wait",
            "--consumer=c1",
            "--name=w",
            "--for=Available",
            "--results-path=r.json",
            "--results-format=hyperfleet",
        ])
        .await;
    let results = bench.results("r.json");
    assert_eq!(
        json!([
            results["status"],
            results["reason"],
            results["message"],
            results["data"]["status"]["succeeded"],
            results["details"]["phase"]
        ]),
        json!([
            "success",
            "ConditionMet",
            "Condition 'Available' met",
            1,
            "Met"
        ])
    );
    let types: Vec<&str> = results["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["Applied", "Available", "Health"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(bench.path("r.json"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o644, "another user can read it");
}
