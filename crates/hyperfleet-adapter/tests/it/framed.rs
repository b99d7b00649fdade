//! The generation of January 2026: `manifests[]`, and the ManifestWork around them in a file.

use hyperfleet_adapter::{Loader, Source};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DEPLOYMENT_MAESTRO, answers, reports, run};
use crate::world::{World, status};

const TASK: &str = r#"
params:
  - {name: clusterId, source: event.id, type: string, required: true}
  - {name: consumer, source: config.policy.consumer, default: c1}
preconditions:
  - name: clusterStatus
    apiCall: {method: GET, url: "/clusters/{{ .clusterId }}"}
    capture:
      - {name: clusterName, field: name}
      - {name: generation, field: generation}
resources:
  - name: clusterSetup
    transport:
      client: maestro
      maestro:
        targetCluster: "{{ .consumer }}"
        manifestWork: {ref: work.yaml}
    manifests:
      - name: hostedCluster
        manifest:
          apiVersion: hypershift.openshift.io/v1beta1
          kind: HostedCluster
          metadata: {name: "{{ .clusterId }}", namespace: clusters}
          spec: {infraID: "{{ .clusterId }}"}
      - name: clusterNamespace
        manifest: {ref: namespace.yaml}
post:
  payloads:
    - name: statusPayload
      build:
        adapter: "{{ .adapter.name }}"
        observed_generation: {expression: int(generation)}
        conditions:
          - {type: Applied, status: {expression: "conditionStatus(dig(resources, 'clusterSetup.status.conditions'), 'Applied')", default: "False"}}
          - {type: Available, status: {expression: "conditionStatus(dig(resources, 'hostedCluster.status.conditions'), 'Available')", default: "False"}}
          - {type: Health, status: {expression: "resources.clusterNamespace.metadata.name == clusterId ? 'True' : 'False'", default: "False"}}
  postActions:
    - name: report
      apiCall: {method: PUT, url: "/clusters/{{ .clusterId }}/statuses", body: "{{ .statusPayload }}"}
"#;

const WORK: &str = r#"
metadata:
  name: "setup-{{ .clusterId }}"
  labels: {team: spike}
spec:
  deleteOption: {propagationPolicy: Orphan}
"#;

const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: \"{{ .clusterId }}\"}}";

fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(
    deployment: &str,
    task: &str,
    directory: &TempDir,
) -> Result<hyperfleet_adapter::Loaded, String> {
    Loader::new(
        Source::text("adapter.yaml", deployment),
        Source::text("task.yaml", task).in_directory(directory.path()),
    )
    .load()
    .map_err(|error| error.to_string())
}

#[tokio::test]
async fn manifests_and_their_frame_become_one_work_and_come_back() {
    let directory = files(&[("work.yaml", WORK), ("namespace.yaml", NAMESPACE)]);
    let world = World::new().await;
    let loaded = load(&world.deployment("test", ""), TASK, &directory).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    for (construct, modern) in [
        (
            "transport.maestro.manifestWork",
            "the ManifestWork under manifest, or manifest.ref",
        ),
        ("manifests", "one ManifestWork under manifest"),
    ] {
        let hint = format!("{construct} is an older spelling: write {modern}");
        let found = warnings.iter().filter(|warning| warning.contains(&hint));
        assert_eq!(found.count(), 1, "{warnings:#?}");
    }
    let _adapter = world.start_loaded(loaded, vec![]).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    let first = world.reported("c1", "a first report", |_| true).await;
    assert_eq!(status(&first, "Health"), "True", "{first:#}");
    let event = world.maestro.data().published[0].clone();
    let payload: Value = serde_json::from_slice(event.data.as_deref().unwrap()).unwrap();
    let kinds: Vec<_> = payload["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| {
            assert_eq!(
                manifest["metadata"]["annotations"]["hyperfleet.io/generation"],
                "1"
            );
            manifest["kind"].as_str().unwrap()
        })
        .collect();
    assert_eq!(kinds, ["HostedCluster", "Namespace"]);
    assert_eq!(payload["deleteOption"]["propagationPolicy"], "Orphan");
    assert_eq!(payload["manifestConfigs"].as_array().unwrap().len(), 2);
    let metadata = event.metadata().unwrap().unwrap();
    assert_eq!(metadata.name, "setup-c1");
    assert_eq!(metadata.labels["team"], "spike");

    let available = json!({"conditions": [{"type": "Available", "status": "True"}]});
    world.maestro.report("setup-c1", available);
    let is_available = |report: &Value| status(report, "Available") == "True";
    let report = world.reported("c1", "available", is_available).await;
    assert_eq!(status(&report, "Applied"), "True");

    world.api.delete("c1", 2);
    world.pulse("c1", 2).await;
    world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    let last = world.maestro.data().published.last().unwrap().clone();
    assert_eq!(
        last.event_type.to_string(),
        "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.delete_request"
    );
}

#[tokio::test]
async fn a_frame_alone_is_a_whole_work() {
    let whole = format!("{WORK}  workload: {{manifests: [{NAMESPACE}]}}\n  manifestConfigs: []\n");
    let directory = files(&[("work.yaml", &whole)]);
    let start = TASK.find("    manifests:").unwrap();
    let end = TASK.find("post:").unwrap();
    let task = format!("{}{}", &TASK[..start], &TASK[end..]);
    let loaded = load(DEPLOYMENT_MAESTRO, &task, &directory).unwrap();
    let names: Vec<_> = loaded.task.resource_names().map(str::to_owned).collect();
    assert_eq!(names, ["clusterSetupWork"]);
    let cluster = json!({"id": "c1", "kind": "Cluster", "name": "demo", "generation": 3});
    let trace = run(loaded, 3, &answers(&cluster, &reports(&[])), "{}").await;
    let work = &trace["resources"][0]["manifest"];
    assert_eq!(work["metadata"]["name"], "setup-c1", "{trace:#}");
    assert_eq!(
        work["spec"]["manifestConfigs"],
        json!([]),
        "the frame's word stays"
    );
    let namespace = &work["spec"]["workload"]["manifests"][0]["metadata"];
    assert_eq!(namespace["annotations"]["hyperfleet.io/generation"], "3");
    assert!(
        trace["discoveredResources"]["clusterSetup"].is_object(),
        "{trace:#}"
    );
}

#[test]
fn mistakes_in_frames_are_named_with_their_place() {
    let directory = files(&[
        ("work.yaml", WORK),
        ("namespace.yaml", NAMESPACE),
        ("text.yaml", "just text"),
        ("job.yaml", "{apiVersion: batch/v1, kind: Job}"),
        (
            "lines.yaml",
            "metadata:\n  {{ if .x }}\n  name: a\n  {{ end }}\n",
        ),
    ]);
    let refer = |file: &str| TASK.replace("{ref: work.yaml}", &format!("{{ref: {file}}}"));
    let key = "resources[0].transport.maestro.manifestWork";
    for (task, parts) in [
        (
            refer("nope.yaml"),
            vec![
                key,
                "task.yaml:17:",
                "referenced file \"nope.yaml\" does not exist",
            ],
        ),
        (
            refer("../work.yaml"),
            vec![key, "path \"../work.yaml\" escapes base directory"],
        ),
        (
            refer("text.yaml"),
            vec!["text.yaml:1:1", "expected a map of keys, got a text"],
        ),
        (
            refer("job.yaml"),
            vec![key, "expected a ManifestWork, got kind \"Job\""],
        ),
        (
            refer("lines.yaml"),
            vec!["lines.yaml:2:", "it must be YAML before it is rendered"],
        ),
        (
            TASK.replace("namespace.yaml", "nope.yaml"),
            vec![
                "resources[0].manifests[1].ref",
                "\"nope.yaml\" does not exist",
            ],
        ),
        (
            TASK.replace("    manifests:", "    manifest: {kind: X}\n    manifests:"),
            vec![
                key,
                "manifest and transport.maestro.manifestWork are mutually exclusive",
            ],
        ),
        // A document of the current generation has no such words.
        (
            TASK.replace("targetCluster", "target_cluster")
                .replace("apiCall", "api_call"),
            vec![
                "transport.maestro.manifestWork is an older spelling: write the ManifestWork under manifest, or manifest.ref (this document is of the current generation",
            ],
        ),
    ] {
        let error = load(DEPLOYMENT_MAESTRO, &task, &directory).err().unwrap();
        for part in parts {
            assert!(error.contains(part), "expected {part:?} in\n{error}");
        }
    }
}
