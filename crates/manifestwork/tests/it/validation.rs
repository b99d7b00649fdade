//! What is refused, and with which words.

use manifestwork::{
    Manifest, ManifestWork,
    validate::{
        self, BundleError, MAX_DEPTH, MAX_MANIFESTS_SIZE, for_server, for_source, for_workload,
        manifests_size,
    },
};
use serde_json::{Value, json};

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

fn server_says(manifest: Value) -> String {
    for_server(&[manifest.into()]).unwrap_err().to_string()
}

#[test]
fn the_server_names_what_is_missing_or_forbidden() {
    let with = |patch: Value| {
        let mut manifest = config_map("m");
        for (key, value) in patch.as_object().unwrap() {
            match (value, key.as_str()) {
                (Value::Object(fields), "metadata") => {
                    for (key, value) in fields {
                        manifest["metadata"][key] = value.clone();
                    }
                }
                _ => manifest[key] = value.clone(),
            }
        }
        server_says(manifest)
    };
    assert_eq!(
        with(json!({"apiVersion": ""})),
        "apiVersion: Required value: field not set"
    );
    assert_eq!(
        with(json!({"apiVersion": "apps/"})),
        r#"apiVersion: Invalid value: "apps/": version not set"#
    );
    assert_eq!(
        with(json!({"apiVersion": "/v1"})),
        r#"apiVersion: Invalid value: "/v1": group not set"#
    );
    assert_eq!(
        with(json!({"apiVersion": "a/b/c"})),
        r#"apiVersion: Invalid value: "a/b/c": bad format"#
    );
    assert_eq!(
        with(json!({"kind": null})),
        "kind: Required value: field not set"
    );
    assert_eq!(
        with(json!({"metadata": {"name": ""}})),
        "metadata.name: Required value: field not set"
    );
    assert!(
        with(json!({"metadata": {"namespace": "Bad_"}})).starts_with(
            r#"metadata.namespace: Invalid value: "Bad_": a lowercase RFC 1123 label must"#
        )
    );
    assert_eq!(
        with(json!({"metadata": {"generateName": "x"}})),
        "metadata.generateName: Forbidden: field cannot be set"
    );
    assert_eq!(
        with(json!({"metadata": {"resourceVersion": "1"}})),
        "metadata.resourceVersion: Forbidden: field cannot be set"
    );
    assert_eq!(
        with(json!({"kind": "", "metadata": {"deletionGracePeriodSeconds": 0}})),
        "[kind: Required value: field not set, metadata.deletionGracePeriodSeconds: Forbidden: field cannot be set]"
    );
    assert!(
        with(json!({"metadata": {"labels": {"a b": "c"}}}))
            .starts_with(r#"metadata.labels: Invalid value: "a b": name part must consist of"#)
    );
    assert!(
        with(json!({"metadata": {"finalizers": ["/x"]}})).contains("prefix part must be non-empty")
    );
}

#[test]
fn the_server_refuses_what_is_no_object() {
    for manifest in [
        json!(null),
        json!("kind: ConfigMap"),
        json!([1]),
        json!({"metadata": 5}),
        json!({"kind": {}}),
    ] {
        let text = server_says(manifest.clone());
        assert!(
            text.contains("invalid type") && !text.contains("struct"),
            "{manifest}: {text}"
        );
    }
}

#[test]
fn duplicates_are_refused_by_identity() {
    let same_name_other_kind = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m", "namespace": "default"}});
    assert_eq!(
        for_server(&[config_map("m").into(), same_name_other_kind.into()]),
        Ok(())
    );
    assert_eq!(
        for_server(&[
            config_map("m").into(),
            config_map("n").into(),
            config_map("m").into()
        ])
        .unwrap_err()
        .to_string(),
        "duplicate manifest for resource default/m with resource type v1.ConfigMap"
    );
    assert_eq!(
        for_server(&[]),
        Ok(()),
        "no manifests are the server's least worry"
    );
}

#[test]
fn size_counts_compact_bytes_and_framing() {
    let manifest = |length: usize| Manifest::from_value(&json!("x".repeat(length - 2)));
    assert_eq!(manifests_size(&[manifest(127)]), 129);
    assert_eq!(manifests_size(&[manifest(128)]), 131);
    assert_eq!(
        manifests_size(&[manifest(16_384), manifest(2)]),
        16_384 + 4 + 4
    );
    let spaced = Manifest::from_json(r#" { "a" : [ 1 , " " ] } "#).unwrap();
    assert_eq!(manifests_size(&[spaced]), r#"{"a":[1," "]}"#.len() + 2);
}

#[test]
fn the_size_limit_is_exact() {
    let sized = |total: usize| {
        let mut manifest = config_map("m");
        manifest["data"] = json!("");
        let rest = total - 1 - 3 - manifest.to_string().len();
        manifest["data"] = json!("x".repeat(rest));
        Manifest::from_value(&manifest)
    };
    assert_eq!(for_server(&[sized(MAX_MANIFESTS_SIZE)]), Ok(()));
    let over = [sized(MAX_MANIFESTS_SIZE + 1)];
    assert_eq!(
        for_server(&over),
        Err(BundleError::TooLarge { size: 512_001 })
    );
    let text = "the size of manifests is 512001 bytes which exceeds the 512000 limit";
    assert_eq!(for_server(&over).unwrap_err().to_string(), text);
    assert!(for_workload(&over)[0].to_string().contains(text));
}

#[test]
fn deep_nesting_is_refused_before_a_parser_does() {
    let deep = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"X\",\"metadata\":{{\"name\":\"n\"}},\"spec\":{}1{}}}",
        "[".repeat(MAX_DEPTH),
        "]".repeat(MAX_DEPTH)
    );
    let manifest = Manifest::from_json(deep).unwrap();
    assert!(
        for_server(std::slice::from_ref(&manifest))
            .unwrap_err()
            .to_string()
            .contains("nested 101 levels deep")
    );
    assert_eq!(for_workload(&[manifest]).len(), 1);
}

#[test]
fn a_source_lists_everything_at_once() {
    let mut work = ManifestWork::new("", "Not.A.Label");
    work.metadata.labels.insert("ok".into(), "not ok".into());
    work.spec.workload.manifests = vec![
        json!({"apiVersion": "v1"}).into(),
        config_map("m").into(),
        config_map("m").into(),
        json!(7).into(),
    ];
    work.spec.manifest_configs = serde_json::from_value(json!([
        {"resourceIdentifier": {"resource": "", "name": "m"}, "updateStrategy": {"type": "Nope"},
         "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "a"}]}, {"type": "X"}],
         "conditionRules": [{"type": "CEL"}]}
    ]))
    .unwrap();
    let errors: Vec<String> = for_source(&work).iter().map(ToString::to_string).collect();
    let expected = [
        "metadata.name: Invalid value: \"Not.A.Label\": a lowercase RFC 1123 label",
        "metadata.namespace: Required value: field not set",
        "metadata.labels: Invalid value: \"not ok\": a valid label must",
        "spec.workload.manifests[0].kind: Required value: field not set",
        "spec.workload.manifests[0].metadata.name: Required value: field not set",
        "spec.workload.manifests[2]: Duplicate value: \"v1.ConfigMap default/m\"",
        "spec.workload.manifests[3]: Invalid value: invalid type: integer `7`, expected an object",
        "spec.manifestConfigs[0].resourceIdentifier.resource: Required value",
        "spec.manifestConfigs[0].updateStrategy.type: Unsupported value: \"Nope\": supported values: \"Update\", \"CreateOnly\", \"ServerSideApply\", \"ReadOnly\"",
        "spec.manifestConfigs[0].feedbackRules[0].jsonPaths[0].path: Required value",
        "spec.manifestConfigs[0].feedbackRules[1].type: Unsupported value: \"X\"",
        "spec.manifestConfigs[0].conditionRules[0].condition: Required value",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(
            error.starts_with(expected),
            "{error}\nshould start with\n{expected}"
        );
    }
}

#[test]
fn an_empty_work_is_refused_by_sources_only() {
    let errors = for_source(&ManifestWork::new("c", "w"));
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "spec.workload.manifests: Required value: Workload manifests should not be empty"
    );
}

#[test]
fn names_follow_kubernetes() {
    use validate::names::{label, label_value, qualified, subdomain};
    for good in ["a", "a-b", "0", &"a".repeat(63)] {
        assert!(label(good).is_empty(), "{good}");
    }
    for bad in ["", "_", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
        assert!(!label(bad).is_empty(), "{bad}");
    }
    assert_eq!(
        label(&"a".repeat(64)),
        ["must be no more than 63 characters"]
    );
    assert!(subdomain("a.b-c.d").is_empty() && !subdomain("a..b").is_empty());
    assert!(
        qualified("example.com/My_Name.x").is_empty()
            && !qualified("a/b/c").is_empty()
            && !qualified("").is_empty()
    );
    assert!(
        label_value("").is_empty()
            && label_value("a.B_c-1").is_empty()
            && !label_value("-").is_empty()
    );
}
