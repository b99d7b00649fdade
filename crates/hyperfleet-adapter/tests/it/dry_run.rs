//! What the phases do, event by event, in memory.

use hyperfleet_adapter::Loaded;
use hyperfleet_adapter::dry_run::{Answers, Discovery, Input, dry_run};
use serde_json::{Value, json};

use crate::support::{
    DEPLOYMENT, DEPLOYMENT_MAESTRO, load, load_with, pulse, reported, run, status,
};

const OK: &str = r#"{"responses": [{"match": {"method": "*", "urlPattern": "."}, "responses": [{"body": {"name": "demo", "generation": 5}}]}]}"#;

/// A task with a precondition on the cluster, one ConfigMap, one report.
fn task(precondition: &str, resource: &str) -> String {
    format!(
        r#"
params:
  - {{name: clusterId, source: event.id, required: true}}
preconditions:
  - name: cluster
    api_call: {{method: GET, url: "/clusters/{{{{ .clusterId }}}}"}}
    capture: [{{name: clusterName, field: name}}]
    {precondition}
resources:
  - name: settings
    manifest:
      apiVersion: v1
      kind: ConfigMap
      metadata: {{name: "c-{{{{ .clusterId }}}}", namespace: n, annotations: {{hyperfleet.io/generation: "5"}}}}
      data: {{name: "{{{{ .clusterName }}}}"}}
    discovery: {{namespace: n, by_name: "c-{{{{ .clusterId }}}}"}}
    {resource}
post:
  payloads:
    - name: payload
      build:
        conditions:
          - {{type: Health, status: {{expression: "adapter.executionStatus == 'success' ? 'True' : 'False'"}},
             reason: {{expression: "adapter.errorReason"}}, message: {{expression: "adapter.errorMessage"}}}}
          - {{type: Applied, status: {{expression: "resources.?settings.hasValue() ? 'True' : 'False'"}}}}
        data:
          error: {{expression: "adapter.executionError"}}
          errors: {{expression: "adapter.resourceErrors"}}
          skipped: {{expression: "adapter.resourcesSkipped"}}
          reason: {{expression: "adapter.skipReason"}}
  post_actions:
    - name: report
      api_call: {{method: PUT, url: "/clusters/{{{{ .clusterId }}}}/statuses", body: "{{{{ .payload }}}}"}}
"#
    )
}

async fn trace(task: &str, answers: &str) -> Value {
    run(load(task).unwrap(), 5, answers, "{}").await
}

async fn text(loaded: Loaded, answers: &str, verbose: bool) -> String {
    let input = Input {
        event: pulse(5),
        answers: Answers::parse("a", answers).unwrap(),
        discovery: Discovery::default(),
    };
    dry_run(loaded.config, loaded.task, input, Vec::new())
        .await
        .text(verbose)
}

fn answer(method: &str, pattern: &str, status: u16, body: &Value) -> String {
    json!({"responses": [
        {"match": {"method": method, "urlPattern": pattern}, "responses": [{"statusCode": status, "body": body}]},
        {"match": {"method": "*", "urlPattern": "."}, "responses": [{"body": {"name": "demo"}}]},
    ]})
    .to_string()
}

#[tokio::test]
async fn the_text_trace_has_all_phases() {
    let loaded = load(&task("expression: clusterName == 'demo'", "")).unwrap();
    let text = text(loaded, OK, false).await;
    let expected = r#"Dry-Run Execution Trace
========================
Event: id=ID type=com.redhat.hyperfleet.cluster.reconcile

Phase 1: Parameter Extraction .............. SUCCESS
  cluster          = {"generation":5,"name":"demo"}
  clusterId        = "c1"
  clusterName      = "demo"
  payload          = PAYLOAD

Phase 2: Preconditions ..................... SUCCESS (MET)
  [1/1] cluster                        PASS
    API Call: GET /api/hyperfleet/v1/clusters/c1 -> 200
    Captured: clusterName = "demo"

Phase 3: Resources ........................ SUCCESS
  [1/1] settings                       CREATE
    Kind: ConfigMap    Namespace: n            Name: c-c1

Phase 3.5: Discovery Results ................. (available as resources.* in payload)
  settings:
    {
      "apiVersion": "v1",
      "data": {
        "name": "demo"
      },
      "kind": "ConfigMap",
      "metadata": {
        "annotations": {
          "hyperfleet.io/generation": "5"
        },
        "name": "c-c1",
        "namespace": "n"
      }
    }

Phase 4: Post Actions ..................... SUCCESS
  [1/1] report                         EXECUTED
    API Call: PUT /api/hyperfleet/v1/clusters/c1/statuses -> 200

Result: SUCCESS
"#;
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("Event: id="))
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let payload = text
        .lines()
        .find_map(|line| line.strip_prefix("  payload          = "))
        .unwrap();
    assert_eq!(
        text,
        expected
            .replace("ID type", &format!("{id} type"))
            .replace("PAYLOAD", payload)
    );
}

#[tokio::test]
async fn bodies_and_manifests_appear_only_when_asked_for() {
    let loaded = || load(&task("", "")).unwrap();
    assert!(!text(loaded(), OK, false).await.contains("[verbose]"));
    let verbose = text(loaded(), OK, true).await;
    for part in [
        "[verbose] Request body:",
        "[verbose] Response body:",
        "[verbose] Rendered manifest:",
    ] {
        assert!(verbose.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_precondition_that_is_not_met_skips_resources_and_reports() {
    let trace = trace(&task("expression: clusterName == 'other'", ""), OK).await;
    assert_eq!(trace["status"], "success");
    let report = reported(&trace);
    assert_eq!(
        (status(&report, "Health"), status(&report, "Applied")),
        ("True".into(), "False".into())
    );
    assert_eq!(report["data"]["skipped"], true);
    let reason = report["data"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("precondition 'cluster' not met: "),
        "{reason}"
    );
    let loaded = load(&task(
        "conditions: [{field: clusterName, operator: equals, value: x}]",
        "",
    ))
    .unwrap();
    let shown = text(loaded, OK, false).await;
    assert!(
        shown.contains("Preconditions ..................... SUCCESS (NOT MET)"),
        "{shown}"
    );
    assert!(
        shown.contains(
            "Reason: precondition 'cluster' not met: clusterName equals x (actual: demo)"
        ),
        "{shown}"
    );
}

#[tokio::test]
async fn an_expression_that_fails_is_not_met() {
    let trace = trace(&task("expression: cluster.spec.deep == 1", ""), OK).await;
    let reason = reported(&trace)["data"]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("CEL error") && reason.contains("no such key: spec"),
        "{reason}"
    );
}

#[tokio::test]
async fn f82_failures_are_reported_as_failures() {
    // The API is down during a precondition.
    let down = answer("GET", "/clusters/c1$", 503, &json!({}));
    let trace = trace(&task("", ""), &down).await;
    assert_eq!(trace["status"], "failed");
    let report = reported(&trace);
    assert_eq!(status(&report, "Health"), "False", "{report:#}");
    assert_eq!(report["conditions"][0]["reason"], "PreconditionFailed");
    assert_eq!(
        (
            &report["data"]["error"]["phase"],
            &report["data"]["error"]["step"]
        ),
        (&json!("preconditions"), &json!("cluster"))
    );
    assert!(
        report["data"]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("returned 503 503 Service Unavailable")
    );

    // A wrong use of an operator is an error, not a mismatch.
    let trace = self::trace(
        &task(
            "conditions: [{field: clusterName, operator: greaterThan, value: 1}]",
            "",
        ),
        OK,
    )
    .await;
    let report = reported(&trace);
    assert_eq!(
        (trace["status"].as_str(), status(&report, "Health").as_str()),
        (Some("failed"), "False")
    );

    // An answer that is no object.
    let trace = self::trace(
        &task("", ""),
        &answer("GET", "/clusters/c1$", 200, &json!([1])),
    )
    .await;
    assert_eq!(status(&reported(&trace), "Health"), "False");

    // A lifecycle condition with a name that nothing defines: neither deleted nor applied.
    let trace = self::trace(
        &task(
            "",
            "lifecycle: {delete: {when: {expression: not_captured != null}}}",
        ),
        OK,
    )
    .await;
    let report = reported(&trace);
    assert_eq!(status(&report, "Health"), "False");
    assert!(
        report["data"]["errors"]["settings"]["message"]
            .as_str()
            .unwrap()
            .contains("not_captured"),
        "{report:#}"
    );
    assert_eq!(report["data"]["errors"]["settings"]["phase"], "resources");

    // A nested discovery with the name of another resource.
    let collision = "nested_discoveries: [{name: other, discovery: {by_name: x}}]\n  - {name: other, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: o}}, discovery: {by_name: o}}";
    let mut task = task("", collision);
    task = task.replace("  - name: settings", "  - {name: other2, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: o2}}, discovery: {by_name: o2}}\n  - name: settings");
    let trace = self::trace(
        &task.replace("name: other, discovery", "name: other2, discovery"),
        OK,
    )
    .await;
    let report = reported(&trace);
    assert_eq!(status(&report, "Health"), "False");
    assert!(
        report["data"]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nested discovery key collision: \"other2\""),
        "{report:#}"
    );
}

#[tokio::test]
async fn f79_a_missing_cluster_ends_quietly_and_a_wrong_path_does_not() {
    for body in [json!({"code": "HYPERFLEET-NTF-002"}), json!({})] {
        let trace = trace(&task("", ""), &answer("GET", "/clusters/c1$", 404, &body)).await;
        assert_eq!(trace["status"], "success");
        assert_eq!(
            trace["apiRequests"].as_array().unwrap().len(),
            1,
            "no report: {trace:#}"
        );
    }
    let trace = trace(
        &task("", ""),
        &answer(
            "GET",
            "/clusters/c1$",
            404,
            &json!({"code": "HYPERFLEET-NTF-000"}),
        ),
    )
    .await;
    assert_eq!(
        (
            trace["status"].as_str(),
            status(&reported(&trace), "Health").as_str()
        ),
        (Some("failed"), "False")
    );
    let loaded = load(&task("", "")).unwrap();
    let shown = text(
        loaded,
        &answer("GET", "/clusters/c1$", 404, &json!({})),
        false,
    )
    .await;
    assert!(
        shown.contains("Preconditions ..................... SUCCESS (RESOURCE NOT FOUND)"),
        "{shown}"
    );
}

#[tokio::test]
async fn captures_fall_back_to_their_default_then_to_null() {
    let precondition = r#"expression: "true"
    log: {message: "cluster {{ .clusterId }}", level: debug}"#;
    let task = task(precondition, "").replace(
        "[{name: clusterName, field: name}]",
        "[{name: clusterName, field: name}, {name: a, field: nope, default: false}, {name: b, field: nope}, {name: c, expression: cluster.name + '!'}, {name: d, expression: nope.x}]",
    );
    let trace = trace(&task, OK).await;
    let params = &trace["params"];
    assert_eq!(
        (&params["a"], &params["b"], &params["c"], &params["d"]),
        (&json!(false), &Value::Null, &json!("demo!"), &Value::Null)
    );
}

#[tokio::test]
async fn params_resolve_in_order_and_say_why_they_can_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("value");
    std::fs::write(&file, "42\n").unwrap();
    let params = format!(
        r#"
params:
  - {{name: cluster, source: {{api_call: {{method: GET, url: /clusters/c1}}}}}}
  - {{name: clusterName, source: cluster.name}}
  - {{name: upper, source: {{expression: 'clusterName.upperAscii() + event.id'}}}}
  - {{name: kind, source: kind}}
  - {{name: apiVersion, source: config.clients.hyperfleet_api.version}}
  - {{name: number, source: {{file: {{path: {path}}}}}, type: int}}
  - {{name: raw, source: {{file: {{path: {path}, trim: false}}}}}}
  - {{name: missing, source: event.nope.deep, default: fallback}}
  - {{name: undefined, source: event.nope}}
  - {{name: deep, source: clusterName.x, default: d}}
  - {{name: unconvertible, source: event.kind, type: int, default: 7}}
post: {{payloads: [{{name: p, build: {{value: "{{{{ .upper }}}} {{{{ .number }}}}"}}}}]}}
"#,
        path = file.display()
    );
    let trace = trace(&params, OK).await;
    assert_eq!(trace["status"], "success", "{trace:#}");
    let params = &trace["params"];
    for (name, expected) in [
        ("clusterName", json!("demo")),
        ("upper", json!("DEMOc1")),
        ("kind", json!("Cluster")),
        ("apiVersion", json!("v1")),
        ("number", json!(42)),
        ("raw", json!("42\n")),
        ("missing", json!("fallback")),
        ("deep", json!("d")),
        ("unconvertible", json!(7)),
        ("p", json!("{\"value\":\"DEMOc1 42\"}")),
    ] {
        assert_eq!(params[name], expected, "{name}");
    }
    assert!(params.get("undefined").is_none());

    for (param, part) in [
        (
            "{name: a, source: event.x.y, required: true}",
            "[param_extraction] a: failed to extract required parameter 'a' from source 'event.x.y': field 'x' not found at path 'x'",
        ),
        (
            "{name: a, source: event.id.y, required: true}",
            "cannot access field 'y': parent is not a map (got string)",
        ),
        (
            "{name: a, source: event.kind, type: int, required: true}",
            "failed to convert parameter 'a' to type 'int': cannot convert string 'Cluster' to int",
        ),
        (
            "{name: a, source: {expression: nope.x}, required: true}",
            "from source 'expression(\"nope.x\")'",
        ),
        (
            "{name: a, source: {file: {path: /nope}}, required: true}",
            "from source 'file(/nope)'",
        ),
    ] {
        let trace = self::trace(&format!("params: [{param}]\npost: {{post_actions: [{{name: a, api_call: {{method: PUT, url: /x}}}}]}}"), OK).await;
        assert_eq!(trace["status"], "failed");
        let error = trace["errors"]["param_extraction"].as_str().unwrap();
        assert!(error.contains(part), "{error}");
        assert!(
            trace.get("apiRequests").is_none(),
            "no report after failed params: {trace:#}"
        );
    }
}

#[tokio::test]
async fn integers_of_json_stay_integers_in_templates() {
    let answers = r#"{"responses": [{"match": {"method": "GET", "urlPattern": "/clusters/c1$"}, "responses": [{"body": {"name": "demo", "n": 1000000, "generation": 123456789}}]}]}"#;
    let task = task("", "")
        .replace("{{ .clusterName }}", "{{ .cluster.n }}")
        .replace(
            "generation: \"5\"",
            "generation: \"{{ .cluster.generation }}\"",
        );
    let trace = trace(&task, answers).await;
    assert_eq!(trace["resources"][0]["manifest"]["data"]["name"], "1000000");
    assert_eq!(
        trace["resources"][0]["manifest"]["metadata"]["annotations"]["hyperfleet.io/generation"],
        "123456789"
    );
}

#[tokio::test]
async fn text_manifests_shape_their_structure() {
    let resource = r"
  - name: shaped
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: shaped
        annotations: {hyperfleet.io/generation: '1'}
        {{ if .clusterName }}
        labels: {a: b}
        {{ end }}
      replicas: {{ .cluster.generation }}
      data:
      {{ range $i, $v := .cluster.zones }}
        - {{ $v }}
      {{ end }}
    discovery: {by_name: shaped}
";
    let task = task("", resource);
    let answers = r#"{"responses": [{"match": {"method": "GET", "urlPattern": "/clusters/c1$"}, "responses": [{"body": {"name": "demo", "generation": 5, "zones": ["a", "b", "c"]}}]}]}"#;
    let trace = trace(&task, answers).await;
    let manifest = &trace["resources"][1]["manifest"];
    assert_eq!(
        (
            &manifest["replicas"],
            &manifest["data"],
            &manifest["metadata"]["labels"]["a"]
        ),
        (&json!(5), &json!(["a", "b", "c"]), &json!("b"))
    );

    for (body, part) in [
        (
            "{{ if false }}x{{ end }}",
            "failed to render manifest: empty manifest",
        ),
        (
            "- a\n      - b {{ .clusterName }}",
            "failed to render manifest: empty manifest",
        ),
        (
            "a: [{{ .clusterName }}",
            "failed to parse rendered manifest as YAML",
        ),
        (
            "a: {{ .cluster.nope }}",
            "failed to render manifest template",
        ),
    ] {
        let resource = format!(
            "\n  - name: broken\n    manifest: |\n      {body}\n    discovery: {{by_name: x}}\n"
        );
        let trace = self::trace(&self::task("", &resource), answers).await;
        let error = trace["resources"][1]["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{trace:#}"));
        assert!(error.contains(part), "{part} in {error}");
        assert_eq!(reported(&trace)["data"]["error"]["step"], "broken");
    }
}

#[tokio::test]
async fn lifecycle_create_decides_only_about_absent_objects() {
    let create =
        |when: &str| format!("lifecycle: {{create: {{when: {{expression: \"{when}\"}}}}}}");
    let created = trace(&task("", &create("true")), OK).await;
    assert_eq!(created["resources"][0]["operation"], "create");
    let skipped = trace(&task("", &create("false")), OK).await;
    assert_eq!(
        skipped["resources"][0]["reason"],
        "lifecycle.create.when condition evaluated to false"
    );
    let report = reported(&skipped);
    assert_eq!(
        report["data"]["reason"],
        "settings: lifecycle.create.when condition evaluated to false"
    );
    assert_eq!(
        (status(&report, "Applied"), &skipped["status"]),
        ("False".into(), &json!("success"))
    );
    let existing = r#"{"c-c1": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c-c1", "namespace": "n", "annotations": {"hyperfleet.io/generation": "4"}}}}"#;
    let updated = run(load(&task("", &create("false"))).unwrap(), 5, OK, existing).await;
    assert_eq!(
        updated["resources"][0]["operation"], "update",
        "{updated:#}"
    );
}

/// One resource that is made anew by a rule, and one after it.
const RECREATE: &str = r#"
resources:
  - name: work
    TRANSPORT
    manifest: {apiVersion: KINDVERSION, kind: KIND, metadata: {name: work, annotations: {hyperfleet.io/generation: "5"}}}
    discovery: {by_name: work}
    lifecycle:
      DELETE
      recreate: {when: {expression: "resources.work.metadata.annotations['hyperfleet.io/generation'] != '5'"}}
  - name: after
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: after, annotations: {hyperfleet.io/generation: "5"}}}
    discovery: {by_name: after}
"#;

fn recreate(kind: (&str, &str), transport: &str, delete: &str) -> String {
    RECREATE
        .replace("KINDVERSION", kind.0)
        .replace("KIND", kind.1)
        .replace("TRANSPORT", transport)
        .replace("DELETE", delete)
}

/// Operation and reason of each resource.
fn operations(trace: &Value) -> Vec<(&str, &str)> {
    let resources = trace["resources"].as_array().unwrap().iter();
    resources
        .map(|resource| {
            let text = |key: &str| resource[key].as_str().unwrap_or_default();
            (text("operation"), text("reason"))
        })
        .collect()
}

fn at_generation(kind: (&str, &str), generation: &str) -> Value {
    json!({"apiVersion": kind.0, "kind": kind.1,
        "metadata": {"name": "work", "annotations": {"hyperfleet.io/generation": generation}}})
}

#[tokio::test]
async fn lifecycle_recreate_deletes_and_creates_in_one_run_where_that_can_be() {
    let config_map = ("v1", "ConfigMap");
    let task = recreate(config_map, "", "");
    let run_with = async |task: &str, object: Option<Value>| {
        let discovery = object.map_or(json!({}), |object| json!({"work": object}));
        run(load(task).unwrap(), 5, OK, &discovery.to_string()).await
    };
    // An absent object is simply made, a current one is left alone, and neither is asked about.
    let trace = run_with(&task, None).await;
    assert_eq!(operations(&trace)[0], ("create", "dry-run create"));
    let trace = run_with(&task, Some(at_generation(config_map, "5"))).await;
    assert_eq!(operations(&trace)[0], ("skip", "generation 5 unchanged"));

    let trace = run_with(&task, Some(at_generation(config_map, "4"))).await;
    assert_eq!(operations(&trace)[0], ("recreate", "dry-run recreate"));
    let asked: Vec<_> = trace["transportOperations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|operation| operation["name"] == "work" && operation["operation"] != "get")
        .map(|operation| {
            (
                operation["operation"].as_str(),
                operation["result"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        asked,
        [
            (Some("delete"), Some("deleted")),
            (Some("apply"), Some("create"))
        ]
    );
    // A deletion wins, and the other rule is not even looked at.
    let delete = "delete: {when: {expression: 'true'}}";
    let task = recreate(config_map, "", delete).replace("resources.work.metadata", "nothing.here");
    let trace = run_with(&task, Some(at_generation(config_map, "4"))).await;
    assert_eq!(
        operations(&trace)[0],
        ("delete", "lifecycle.delete.when evaluated to true")
    );
    // A rule that can't be evaluated fails the resource and writes nothing.
    let task = recreate(config_map, "", "").replace("resources.work.metadata", "nothing.here");
    let trace = run_with(&task, Some(at_generation(config_map, "4"))).await;
    let error = trace["resources"][0]["error"].as_str().unwrap();
    assert!(
        error.starts_with("lifecycle.recreate.when condition can't be evaluated: "),
        "{error}"
    );
    assert_eq!(operations(&trace)[1].0, "create", "the next one goes on");
    // What can't be made again is not deleted.
    let task =
        recreate(config_map, "", "").replace("{name: work, ", "{name: \"{{ .generation }}\", ");
    let task = format!("params: [{{name: generation, source: event.nope}}]\n{task}");
    let trace = run_with(&task, Some(at_generation(config_map, "4"))).await;
    assert!(trace["resources"][0]["error"].is_string(), "{trace:#}");
    assert!(
        !trace["transportOperations"].to_string().contains("deleted"),
        "{trace:#}"
    );
}

#[tokio::test]
async fn lifecycle_recreate_waits_where_somebody_has_to_clean_up_first() {
    let work = ("work.open-cluster-management.io/v1", "ManifestWork");
    let transport = "transport: {client: maestro, maestro: {target_cluster: m1}}";
    let task = recreate(work, transport, "");
    let mut deleting = at_generation(work, "5");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    // The rule says so; or somebody else has deleted it, which can't be taken back.
    for (existing, deletes) in [(at_generation(work, "4"), 1), (deleting, 0)] {
        let discovery = json!({"work": existing}).to_string();
        let loaded = load_with(DEPLOYMENT_MAESTRO, &task).unwrap();
        let trace = run(loaded, 5, OK, &discovery).await;
        assert_eq!(
            operations(&trace),
            [
                ("recreate", "deletion pending"),
                ("create", "dry-run create")
            ]
        );
        assert_eq!(trace["status"], "success");
        let asked = trace["transportOperations"].as_array().unwrap();
        let of = |word: &str| {
            let of_work = asked.iter().filter(|operation| operation["name"] == "work");
            of_work
                .filter(|operation| operation["operation"] == word)
                .count()
        };
        assert_eq!((of("delete"), of("apply")), (deletes, 0), "{asked:#?}");
        let left = &trace["discoveredResources"]["work"]["metadata"]["deletionTimestamp"];
        assert!(left.is_string(), "{trace:#}");
    }
    let loaded = load_with(DEPLOYMENT_MAESTRO, &task).unwrap();
    let input = Input {
        event: pulse(5),
        answers: Answers::parse("a", OK).unwrap(),
        discovery: Discovery::parse(&json!({"work": at_generation(work, "4")}).to_string())
            .unwrap(),
    };
    let report = dry_run(loaded.config, loaded.task, input, Vec::new()).await;
    let shown = report.text(false);
    assert!(shown.contains("RECREATE (deletion pending)"), "{shown}");
}

/// Two resources; the second goes only when the first is gone.
const CASCADE: &str = r#"
resources:
  - name: child
    TRANSPORT
    manifest: {apiVersion: KINDVERSION, kind: KIND, metadata: {name: child}}
    discovery: {by_name: child}
    lifecycle: {delete: {when: {expression: "true"}}}
  - name: parent
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: parent}}
    discovery: {by_name: parent}
    lifecycle: {delete: {when: {expression: "!resources.?child.hasValue()"}, propagationPolicy: Foreground}}
"#;

#[tokio::test]
async fn deletions_cascade_in_one_run_or_wait() {
    let object = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "annotations": {"hyperfleet.io/generation": "5"}}});
    // Kubernetes: gone at once, so both go in one run.
    let task = CASCADE
        .replace("TRANSPORT", "")
        .replace("KINDVERSION", "v1")
        .replace("KIND", "ConfigMap");
    let discovery = json!({"child": object("ConfigMap", "v1", "child"), "parent": object("ConfigMap", "v1", "parent")}).to_string();
    let trace = run(load(&task).unwrap(), 5, OK, &discovery).await;
    let operations: Vec<_> = trace["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["delete", "delete"]);
    assert!(trace.get("discoveredResources").is_none(), "{trace:#}");

    // Maestro: the work stays until its agent has cleaned up, so the parent waits.
    let task = CASCADE
        .replace(
            "TRANSPORT",
            "transport: {client: maestro, maestro: {target_cluster: m1}}",
        )
        .replace("KINDVERSION", "work.open-cluster-management.io/v1")
        .replace("KIND", "ManifestWork");
    let work = object(
        "ManifestWork",
        "work.open-cluster-management.io/v1",
        "child",
    );
    let discovery =
        json!({"child": work, "parent": object("ConfigMap", "v1", "parent")}).to_string();
    let trace = run(
        load_with(DEPLOYMENT_MAESTRO, &task).unwrap(),
        5,
        OK,
        &discovery,
    )
    .await;
    let resources = trace["resources"].as_array().unwrap();
    assert_eq!(
        (
            resources[0]["operation"].as_str(),
            resources[1]["operation"].as_str()
        ),
        (Some("delete"), Some("skip")),
        "{trace:#}"
    );
    assert!(trace["discoveredResources"]["child"]["metadata"]["deletionTimestamp"].is_string());
    // Its deletion is asked for once, however often the event comes.
    let mut deleting = work.clone();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let discovery = json!({"child": deleting}).to_string();
    let trace = run(
        load_with(DEPLOYMENT_MAESTRO, &task).unwrap(),
        5,
        OK,
        &discovery,
    )
    .await;
    let deletes = trace["transportOperations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["operation"] == "delete")
        .count();
    assert_eq!(deletes, 0, "{trace:#}");
    // Never existed.
    let trace = run(load_with(DEPLOYMENT_MAESTRO, &task).unwrap(), 5, OK, "{}").await;
    assert_eq!(
        trace["resources"][0]["reason"],
        "resource already deleted or never existed"
    );
}

#[tokio::test]
async fn payloads_are_built_once_and_skipped_ones_skip_their_actions() {
    let task = r#"
params: [{name: n, source: event.generation}]
post:
  payloads:
    - name: first
      build:
        "key-{{ .n }}": "{{ .n }}"
        list: [a, "{{ .event.kind }}", {nested: {expression: "n + 1"}}]
        flag: true
        number: 3
        field: {field: event.id}
        missing: {field: event.nope, default: d}
        missing_null: {field: event.nope}
        error: {expression: event.nope.deep, default: e}
        null_result: {expression: "null", default: f}
        mapped: {expression: "[1, 2].map(x, x * 2)"}
        object: {expression: "{'a': n}"}
        html: "<&>"
    - {name: second, build: {first: "{{ .first }}"}, when: {expression: "n == 5"}}
    - {name: never, build: {}, when: {expression: "false"}}
    - {name: raw, build: just text}
  post_actions:
    - {name: uses_never, api_call: {method: POST, url: /x, body: "{{ .never }}"}}
    - {name: not_now, when: {expression: "n == 6"}, api_call: {method: POST, url: /y}}
    - {name: with_headers, api_call: {method: POST, url: "/z?n={{ .n }}", headers: [{name: X-N, value: "{{ .n }}"}], body: "{{ .second }}"}}
    - {name: only_log, log: {message: "n is {{ .n }}", level: warn}}
"#;
    let trace = trace(task, OK).await;
    assert_eq!(trace["status"], "success", "{trace:#}");
    let first: Value = serde_json::from_str(trace["params"]["first"].as_str().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"key-5": "5", "list": ["a", "Cluster", {"nested": 6}], "flag": true, "number": 3, "field": "c1",
            "missing": "d", "missing_null": null, "error": "e", "null_result": "f", "mapped": [2, 4], "object": {"a": 5}, "html": "<&>"})
    );
    assert!(
        trace["params"]["first"]
            .as_str()
            .unwrap()
            .contains("\\u003c\\u0026\\u003e")
    );
    assert_eq!(trace["params"]["raw"], "just text");
    assert!(trace["params"].get("never").is_none());
    let actions = trace["postActions"].as_array().unwrap();
    assert_eq!(
        actions[0]["reason"],
        "referenced payload 'never' was skipped"
    );
    assert_eq!(
        actions[1]["reason"],
        "when condition evaluated to false: n == 6"
    );
    assert_eq!(
        (&actions[2]["status"], &actions[3]["status"]),
        (&json!("success"), &json!("success"))
    );
    let calls = trace["apiRequests"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["url"], "/api/hyperfleet/v1/z?n=5");
}

#[tokio::test]
async fn failed_payloads_and_actions_stop_the_phase() {
    let post = |payload: &str, action: &str| {
        format!(
            "post: {{payloads: [{{name: p, {payload}}}], post_actions: [{{name: a, {action}}}, {{name: b, api_call: {{method: PUT, url: /b}}}}]}}"
        )
    };
    let call = "api_call: {method: PUT, url: /a, body: '{{ .p }}'}";
    for (payload, action, part) in [
        (
            "build: {x: '{{ .event.nope }}'}",
            call,
            "[post_actions] build_payloads: payload \"p\"",
        ),
        (
            "build: {}, when: {expression: event.nope.deep == 1}",
            call,
            "build_payloads",
        ),
        (
            "build: {}",
            "when: {expression: event.nope.deep == 1}, api_call: {method: PUT, url: /a}",
            "[post_actions] a: when condition can't be evaluated",
        ),
        (
            "build: {}",
            "api_call: {method: PUT, url: '/{{ .event.nope }}'}",
            "failed to render URL",
        ),
    ] {
        let trace = trace(&post(payload, action), OK).await;
        let error = trace["errors"]["post_actions"]
            .as_str()
            .unwrap_or_else(|| panic!("{trace:#}"));
        assert!(error.contains(part), "{error}");
        assert!(
            trace.get("apiRequests").is_none(),
            "nothing is sent: {trace:#}"
        );
    }
    let failing = answer("PUT", "/a$", 500, &json!({}));
    let trace = trace(&post("build: {}", call), &failing).await;
    assert!(
        trace["errors"]["post_actions"]
            .as_str()
            .unwrap()
            .contains("returned 500")
    );
    assert_eq!(
        trace["apiRequests"].as_array().unwrap().len(),
        1,
        "b is not called"
    );
    let gone = answer("PUT", "/a$", 404, &json!({"code": "HYPERFLEET-NTF-002"}));
    let trace = self::trace(&post("build: {}", call), &gone).await;
    assert_eq!(
        (&trace["status"], &trace["postActions"][0]["reason"]),
        (&json!("success"), &json!("ResourceNotFound"))
    );
    assert_eq!(trace["apiRequests"].as_array().unwrap().len(), 1);
    let wrong = answer("PUT", "/a$", 404, &json!({"code": "HYPERFLEET-NTF-000"}));
    assert_eq!(
        self::trace(&post("build: {}", call), &wrong).await["status"],
        "failed"
    );
}

#[tokio::test]
async fn malformed_events_fail_at_once() {
    for (data, part) in [
        (json!("not json"), "must be a JSON object"),
        (
            json!({"generation": "5"}),
            "generation must be a whole number",
        ),
    ] {
        let loaded = load(&task("", "")).unwrap();
        let mut event = pulse(1);
        event.data = Some(data);
        let input = Input {
            event,
            answers: Answers::default(),
            discovery: Discovery::default(),
        };
        let report = dry_run(loaded.config, loaded.task, input, Vec::new()).await;
        let trace: Value = serde_json::from_str(&report.json(false)).unwrap();
        let error = trace["errors"]["param_extraction"].as_str().unwrap();
        assert!(
            error.contains("failed to parse event data: failed to unmarshal to EventData: error=")
                && error.contains(part),
            "{error}"
        );
        assert!(trace.get("apiRequests").is_none() && trace.get("preconditions").is_none());
        assert!(
            report
                .text(false)
                .contains("Parameter Extraction .............. FAILED")
        );
    }
}

#[tokio::test]
async fn secrets_of_the_environment_are_not_in_the_trace() {
    let loaded = hyperfleet_adapter::Loader::new(
        hyperfleet_adapter::Source::text("a", DEPLOYMENT),
        hyperfleet_adapter::Source::text("t", "params: [{name: x, source: env.SHOWN}]"),
    )
    .environment([
        ("SHOWN".to_owned(), "shown".to_owned()),
        ("SECRET".to_owned(), "hunter2".to_owned()),
    ])
    .load()
    .unwrap();
    let text = text(loaded, OK, true).await;
    assert!(
        text.contains("shown") && !text.contains("hunter2"),
        "{text}"
    );
}
