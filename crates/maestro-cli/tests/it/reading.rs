//! get, list, describe and their forms.

use serde_json::{Value, json};

use crate::{Bench, complete};

#[tokio::test]
async fn get_prints_the_known_object() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    bench.fake.report("w", complete());
    let run = bench
        .good(&["get", "--consumer=c1", "--name=w", "--output=json"])
        .await;
    let keys: Vec<&str> = run
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("  \"")?.split('"').next())
        .collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "consumerName",
            "version",
            "createdAt",
            "updatedAt",
            "manifests",
            "status"
        ]
    );
    let object: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(object["status"]["ObservedVersion"], 1);
    assert_eq!(
        object["status"]["resourceStatus"][0]["statusFeedback"]["values"][0]["name"],
        "status"
    );
    assert_eq!(object["manifests"][0]["kind"], "ConfigMap");
    assert!(
        !object["createdAt"].as_str().unwrap().contains('.'),
        "whole seconds"
    );

    let run = bench.good(&["get", "--consumer=c1", "--name=w"]).await;
    assert!(
        run.out.starts_with("consumerName: c1\ncreatedAt: ") && run.out.ends_with("\n\n"),
        "{}",
        run.out
    );
    let run = bench
        .good(&[
            "get",
            "--consumer=c1",
            "--name=w",
            "-o",
            "jsonpath={.manifests[0].kind} {.version}",
        ])
        .await;
    assert_eq!(run.out, "ConfigMap 1\n");
    let run = bench
        .good(&["get", "--consumer=c1", "--name=w", "--output=name"])
        .await;
    assert_eq!(run.out, "w\n");

    let run = bench.run(&["get", "--consumer=c1", "--name=x"]).await;
    assert_eq!(run.code, 3);
    assert!(
        run.err
            .starts_with("Error: manifestwork.work.open-cluster-management.io \"x\" not found\n"),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn what_get_prints_as_a_manifestwork_can_be_applied_again() {
    let bench = Bench::new().await;
    let file = bench.file("w.yaml", "kind: ManifestWork\nmetadata: {name: w, labels: {a: b}}\nspec:\n  workload: {manifests: [{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: ns}}]}\n  manifestConfigs:\n  - resourceIdentifier: {group: '', resource: configmaps, name: m, namespace: ns}\n    feedbackRules: [{type: JSONPaths, jsonPaths: [{name: d, path: .data}]}]\n  executor: {subject: {type: ServiceAccount, serviceAccount: {namespace: ns, name: a}}}\n");
    bench
        .good(&["apply", "--consumer=c1", "--manifest-file", &file])
        .await;
    bench.fake.data().shows_executor = true;
    bench.fake.report("w", json!({}));
    let run = bench
        .good(&["get", "--consumer=c1", "--name=w", "--output=manifestwork"])
        .await;
    bench.file("again.yaml", &run.out);
    let run = bench
        .good(&["apply", "--consumer=c1", "--manifest-file=again.yaml"])
        .await;
    assert!(run.err.contains("unchanged"), "{}", run.err);
}

#[tokio::test]
async fn list_has_data_text_and_table() {
    let bench = Bench::new().await;
    assert_eq!(bench.good(&["list", "--consumer=c1"]).await.out, "[]\n\n");
    assert_eq!(
        bench
            .good(&["list", "--consumer=c1", "-o", "json"])
            .await
            .out,
        "[]\n"
    );
    assert_eq!(
        bench
            .good(&["list", "--consumer=c1", "-o", "text"])
            .await
            .out,
        "No ManifestWorks found for consumer c1\n"
    );
    bench.apply("web", "1").await;
    bench.apply("db", "1").await;
    bench.fake.report("web", json!({}));
    let run = bench
        .good(&["list", "--consumer=c1", "--output=json"])
        .await;
    let items: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(items[1]["name"], "web");
    assert_eq!(
        items[1]["manifests"],
        json!([{"kind": "ConfigMap", "name": "web", "namespace": "default"}])
    );
    assert_eq!(
        items[1]["conditions"][0],
        json!({"type": "Applied", "status": "True", "reason": "AppliedManifestWorkComplete"})
    );
    assert!(items[0].get("conditions").is_none());

    let table = bench
        .good(&["list", "--consumer=c1", "--output=table"])
        .await
        .out;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "NAME",
            "VERSION",
            "APPLIED",
            "AVAILABLE",
            "MANIFESTS",
            "AGE"
        ]
    );
    assert_eq!(rows[1][..5], ["db", "1", "-", "-", "1"]);
    assert_eq!(rows[2][..5], ["web", "1", "True", "True", "1"]);

    let text = bench
        .good(&["list", "--consumer=c1", "--output=text"])
        .await
        .out;
    assert!(text.contains("ManifestWork: web\n  ID:        ") && text.contains("  Manifests (1):\n    - ConfigMap/default/web\n  Conditions:\n    - Applied: True\n"), "{text}");
    assert!(
        text.ends_with("Total: 2 ManifestWork(s) for consumer c1\n"),
        "{text}"
    );

    for (filter, names) in [
        ("we", "web\n"),
        ("configmap/d", "db\n"),
        ("ConfigMap/default/w", "web\n"),
        ("ConfigMap/", "db\nweb\n"),
        ("Secret/", ""),
        ("nothing", ""),
    ] {
        assert_eq!(
            bench
                .good(&["list", "--consumer=c1", "-o", "name", "--filter", filter])
                .await
                .out,
            names,
            "{filter}"
        );
    }
    assert_eq!(
        bench
            .good(&["list", "--consumer=c1", "-o", "name", "--status=Applied"])
            .await
            .out,
        "web\n"
    );
    assert_eq!(
        bench
            .good(&["list", "--consumer=c1", "--filter=nothing", "-o", "json"])
            .await
            .out,
        "[]\n"
    );
}

#[tokio::test]
async fn f19_a_deleting_work_says_so_everywhere() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    bench.good(&["delete", "--consumer=c1", "--name=w"]).await;
    assert!(
        bench
            .good(&["list", "--consumer=c1", "-o", "text"])
            .await
            .out
            .contains("  Deleting since: 20")
    );
    assert!(
        bench
            .good(&["list", "--consumer=c1", "-o", "table"])
            .await
            .out
            .contains("w (deleting)")
    );
    assert!(
        bench
            .good(&["describe", "--consumer=c1", "--name=w", "-o", "text"])
            .await
            .out
            .contains("Deleting:     since 20")
    );
    assert!(
        bench
            .good(&["get", "--consumer=c1", "--name=w", "-o", "json"])
            .await
            .out
            .contains("\"deletedAt\"")
    );
}

#[tokio::test]
async fn describe_is_for_people() {
    let bench = Bench::new().await;
    bench.apply("w", "1").await;
    let text = bench
        .good(&["describe", "--consumer=c1", "--name=w", "-o", "text"])
        .await
        .out;
    assert!(
        text.starts_with("Name:         w\nID:           ")
            && text.contains("\nConditions:\n  (none)\n"),
        "{text}"
    );
    bench.fake.report("w", json!({"phase": "ok"}));
    let text = bench
        .good(&["describe", "--consumer=c1", "--name=w", "-o", "text"])
        .await
        .out;
    for part in [
        "  Applied:\n    Status:  True\n    Reason:  AppliedManifestWorkComplete\n",
        "    LastTransitionTime: 2026-01-01T00:00:03Z\n",
        "Manifests (1):\n  [0] ConfigMap/default/w\n",
        "Resource Status:\n  ConfigMap/w:\n    Namespace: default\n",
        "    Feedback:\n      status: {\"phase\":\"ok\"}\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let data: Value = serde_json::from_str(
        &bench
            .good(&["describe", "--consumer=c1", "--name=w", "-o", "json"])
            .await
            .out,
    )
    .unwrap();
    assert_eq!(
        data["resourceStatus"][0]["statusFeedback"]["status"]["phase"],
        "ok"
    );
}

#[tokio::test]
async fn f37_works_beyond_a_page_are_found() {
    let bench = Bench::new().await;
    let file = bench.work("seed", "1");
    bench
        .good(&["apply", "--consumer=c1", "--manifest-file", &file])
        .await;
    // 450 rows of another source: more than two pages.
    {
        let mut data = bench.fake.data();
        let seed = data.rows.values().next().unwrap().clone();
        for number in 0..450 {
            let mut row = seed.clone();
            let mut metadata = row.spec.metadata().unwrap().unwrap();
            metadata.name = format!("w{number:03}");
            row.spec
                .set("metadata", serde_json::to_string(&metadata).unwrap());
            data.rows.insert(format!("00000000-{number:04}"), row);
        }
    }
    let names = bench
        .good(&["list", "--consumer=c1", "-o", "name"])
        .await
        .out;
    assert_eq!(names.lines().count(), 451);
    bench.good(&["get", "--consumer=c1", "--name=w449"]).await;
    bench
        .good(&["delete", "--consumer=c1", "--name=w449"])
        .await;
}
