//! Loading configs of the current generation: what is accepted, and what is said about what is not.

use std::collections::BTreeMap;

use hyperfleet_adapter::{Loader, Source, config};
use serde_json::json;

use crate::support::{DEPLOYMENT, load, load_with, refusal};

fn deployment_refusal(deployment: &str) -> String {
    match load_with(deployment, "{}") {
        Ok(_) => panic!("was accepted:\n{deployment}"),
        Err(error) => error.to_string(),
    }
}

fn overridden(
    deployment: &str,
    variables: &[(&str, &str)],
    settings: &[(&str, &str)],
) -> config::Config {
    let mut loader = Loader::new(
        Source::text("adapter.yaml", deployment),
        Source::text("task.yaml", ""),
    )
    .environment(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    for (key, value) in settings {
        loader = loader.set(*key, *value);
    }
    loader.load().unwrap().config
}

#[test]
fn minimal_documents_load() {
    let loaded = load_with("adapter: {name: a}", "").unwrap();
    assert_eq!(loaded.config.adapter.name, "a");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn what_a_deployment_lacks_or_gets_wrong_is_named() {
    for (deployment, part) in [
        ("adapter: {version: '1.0'}", "adapter.name is required"),
        ("log: {level: info}", "adapter.name is required"),
        ("", "empty (EOF)"),
        ("[]", "expected a map of keys"),
        (
            "adapter: {name: a}\nlog: {format: xml}",
            "invalid log format \"xml\": must be \"json\" or \"text\"",
        ),
        (
            "adapter: {name: a}\nlog: {output: file}",
            "invalid log output \"file\": must be 'stdout', 'stderr', or empty",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {timeout: 10}}",
            "expected a duration",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {timeout: 10x}}",
            "unknown unit \"x\"",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {retry_backoff: fast}}",
            "invalid retry backoff strategy \"fast\" (supported: exponential, linear, constant)",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {auth: {}}}",
            "clients.hyperfleet_api.auth.token_path must be set when auth is configured",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {auth: {token_path: rel}}}",
            "must be an absolute path, got \"rel\"",
        ),
        (
            "adapter: {name: a}\nclients: {hyperfleet_api: {auth: {token_path: /t, token_cache_ttl: -1s}}}",
            "token_cache_ttl must not be negative",
        ),
        (
            "adapter: {name: a}\nclients: {maestro: {insecure: true}}",
            "clients.maestro.http_server_address is required",
        ),
        (
            "adapter: {name: a}\nclients: {maestro: {http_server_address: 'ftp://x', grpc_server_address: 'x:1', source_id: s}}",
            "must use http:// or https:// scheme (got scheme \"ftp\"",
        ),
        (
            "adapter: {name: a}\nclients: {maestro: {http_server_address: 'http://x', grpc_server_address: 'x:1', source_id: s}}",
            "must use https:// scheme when Insecure=false",
        ),
        (
            "adapter: {name: a}\nclients: {maestro: {http_server_address: 'https://x', grpc_server_address: 'x:1', source_id: s, timeout: soon}}",
            "invalid maestro timeout \"soon\"",
        ),
        (
            "adapter: {name: a}\nclients: {brokers: {}}",
            "unknown key \"brokers\" (did you mean \"broker\"?)",
        ),
        ("adapter: {name: a, name: b}", "duplicate"),
        (
            "adapter: {name: a, version: 9.0.0}",
            "adapter version mismatch",
        ),
        (
            "adapter: {name: a}\nack_policy: never",
            "\"never\" is invalid (allowed: always, selective)",
        ),
        (
            "adapter: {name: a}\nschemaVersion: v2",
            "newer than this binary",
        ),
    ] {
        let error = deployment_refusal(deployment);
        assert!(error.contains(part), "{deployment}\n{error}");
        assert!(error.contains("adapter.yaml:"), "no place: {error}");
    }
}

#[test]
fn flag_beats_environment_beats_file() {
    let api = |variables: &[(&str, &str)], settings: &[(&str, &str)]| {
        overridden(DEPLOYMENT, variables, settings)
            .clients
            .hyperfleet_api
            .base_url
    };
    let variable = [("HYPERFLEET_API_BASE_URL", "http://env")];
    assert_eq!(api(&[], &[]), "http://api.test:8000");
    assert_eq!(api(&variable, &[]), "http://env");
    assert_eq!(
        api(
            &variable,
            &[("clients.hyperfleet_api.base_url", "http://flag")]
        ),
        "http://flag"
    );
    assert_eq!(
        api(&[("HYPERFLEET_API_BASE_URL", "")], &[]),
        "http://api.test:8000",
        "empty means not set"
    );

    let config = overridden(
        "adapter: {name: a}",
        &[
            ("LOG_LEVEL", "DEBUG"),
            ("BROKER_TOPIC", "legacy"),
            ("BROKER_SUBSCRIPTION_ID", "legacy"),
            ("HYPERFLEET_BROKER_TOPIC", "prefixed"),
            ("HYPERFLEET_API_RETRY_ATTEMPTS", "7"),
            ("HYPERFLEET_DEBUG_CONFIG", "true"),
            ("HYPERFLEET_KUBERNETES_QPS", "2.5"),
            // Alone it must not switch an adapter for Kubernetes to Maestro.
            ("HYPERFLEET_MAESTRO_SOURCE_ID", "stray"),
        ],
        &[],
    );
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.clients.broker.topic, "prefixed");
    assert_eq!(config.clients.broker.subscription_id, "legacy");
    assert_eq!(config.clients.hyperfleet_api.retry_attempts, 7);
    assert!(config.debug_config && config.clients.maestro.is_none());
    assert!((config.clients.kubernetes.qps - 2.5).abs() < f64::EPSILON);
    let loader = Loader::new(
        Source::text("a", "adapter: {name: a}"),
        Source::text("t", ""),
    )
    .environment([(
        "HYPERFLEET_API_RETRY_ATTEMPTS".to_owned(),
        "many".to_owned(),
    )]);
    let error = loader.load().unwrap_err().to_string();
    assert!(
        error.contains("environment HYPERFLEET_API_RETRY_ATTEMPTS")
            && error.contains("whole number"),
        "{error}"
    );
}

#[test]
fn maestro_files_come_from_yaml_and_single_ones_from_the_environment() {
    let deployment = "
adapter: {name: a}
clients:
  maestro:
    http_server_address: https://m
    grpc_server_address: m:8090
    source_id: s
    auth: {type: tls, tls_config: {ca_file: /ca, cert_file: /crt, key_file: /key}}
";
    let maestro = overridden(deployment, &[("HYPERFLEET_MAESTRO_CA_FILE", "/other")], &[])
        .clients
        .maestro
        .unwrap();
    assert_eq!(maestro.auth.ca_file.as_deref(), Some("/other"));
    assert_eq!(maestro.auth.cert_file.as_deref(), Some("/crt"));
    let all = [
        ("HYPERFLEET_MAESTRO_GRPC_SERVER_ADDRESS", "m:1"),
        ("HYPERFLEET_MAESTRO_HTTP_SERVER_ADDRESS", "https://m"),
        ("HYPERFLEET_MAESTRO_SOURCE_ID", "s"),
    ];
    assert!(
        overridden("adapter: {name: a}", &all, &[])
            .clients
            .maestro
            .is_some()
    );
}

#[test]
fn every_structural_mistake_has_upstreams_words() {
    let precondition = |body: &str| format!("preconditions:\n  - {{name: p, {body}}}\n");
    let resource = |body: &str| {
        format!("resources:\n  - {{name: r, manifest: {{apiVersion: v1, kind: X}}, {body}}}\n")
    };
    let by_name = "discovery: {by_name: x}";
    let cases: Vec<(String, &str)> = vec![
        ("params: [{source: event.id}]".into(), "params[0].name is required"),
        ("params: [{name: a}]".into(), "params[0].source is required"),
        ("params: [{name: a, source: ''}]".into(), "params[0].source is required"),
        (
            "params: [{name: a, source: {api_call: {method: GET, url: /x}, expression: 'true'}}]".into(),
            "source: only one of 'api_call', 'expression', or 'file' may be set",
        ),
        ("params: [{name: a, source: {}}]".into(), "source: mapping must contain one of 'api_call', 'expression', or 'file'"),
        ("params: [{name: a, source: {expression: ' '}}]".into(), "source: expression must not be empty"),
        ("params: [{name: a, source: [x]}]".into(), "source: expected string or mapping, got !!seq"),
        ("params: [{name: a, source: event.id, type: number}]".into(), "params[0].type \"number\" is invalid (allowed:"),
        ("params: [{name: a, source: {file: {path: ''}}}]".into(), "path is required for file source"),
        ("preconditions: [{expression: 'true'}]".into(), "preconditions[0].name is required"),
        (
            "preconditions: [{name: check-cluster, expression: 'true'}]".into(),
            "must start with lowercase letter and contain only letters, numbers, underscores (no hyphens)",
        ),
        ("preconditions: [{name: CheckCluster, expression: 'true'}]".into(), "must start with lowercase letter"),
        ("preconditions: [{name: p}]".into(), "preconditions[0]: must specify api_call, conditions"),
        (precondition("api_call: {url: /x}"), "preconditions[0].api_call.method is required"),
        (
            precondition("api_call: {method: get, url: /x}"),
            "preconditions[0].api_call.method \"get\" is invalid (allowed: GET, POST, PUT, PATCH, DELETE)",
        ),
        (precondition("api_call: {method: GET}"), "preconditions[0].api_call.url is required"),
        (
            precondition("api_call: {method: GET, url: /x}, capture: [{name: c}]"),
            "preconditions[0].capture[0]: must have either 'field' or 'expression' set",
        ),
        (
            precondition("api_call: {method: GET, url: /x}, capture: [{name: c, field: a, expression: b}]"),
            "preconditions[0].capture[0]: 'field' and 'expression' are mutually exclusive",
        ),
        (
            precondition("api_call: {method: GET, url: /x}, capture: [{field: a}]"),
            "preconditions[0].capture[0].name is required",
        ),
        (
            precondition("api_call: {method: GET, url: /x}, capture: [{name: event, field: a}]"),
            "captures \"event\", which is the name of something built in",
        ),
        (
            precondition("conditions: [{field: a, operator: invalidOp, value: 1}]"),
            "invalid operator \"invalidOp\", must be one of: equals, notEquals, in, notIn, contains, greaterThan, lessThan, exists",
        ),
        (precondition("conditions: [{field: a, value: 1}]"), "preconditions[0].conditions[0].operator is required"),
        (precondition("conditions: [{field: a, operator: equals}]"), "value is required for operator \"equals\""),
        (precondition("conditions: [{field: a, operator: greaterThan}]"), "value is required for operator \"greaterThan\""),
        (precondition("conditions: [{field: a, operator: in, value: x}]"), "value must be a list for operator \"in\""),
        (precondition("conditions: [{field: a, operator: notIn, value: x}]"), "value must be a list for operator \"notIn\""),
        (
            precondition("conditions: [{field: a, operator: exists, value: x}]"),
            "value/values should not be set for operator \"exists\"",
        ),
        (
            precondition("conditions: [{field: a, operator: in, value: [x], values: [y]}]"),
            "condition has both 'value' and 'values' keys; use only one",
        ),
        ("resources: [{manifest: {kind: X}, discovery: {by_name: x}}]".into(), "resources[0].name is required"),
        (
            "resources: [{name: r, manifest: {kind: X}, discovery: {by_name: x}}, {name: r, manifest: {kind: X}, discovery: {by_name: x}}]".into(),
            "resources: contains duplicate name values",
        ),
        ("resources: [{name: r, manifest: {kind: X}}]".into(), "resources[0].discovery is required"),
        (resource("discovery: {namespace: n}"), "resources[0].discovery: must have either 'by_name' or 'by_selectors' set"),
        (
            resource("discovery: {by_name: x, by_selectors: {label_selector: {a: b}}}"),
            "resources[0].discovery: 'by_name' and 'by_selectors' are mutually exclusive",
        ),
        (
            resource("discovery: {by_selectors: {}}"),
            "resources[0].discovery.by_selectors.label_selector is required",
        ),
        (resource(&format!("{by_name}, transport: {{client: ''}}")), "resources[0].transport.client is required"),
        (
            resource(&format!("{by_name}, transport: {{client: ssh}}")),
            "resources[0].transport.client \"ssh\" is invalid (allowed: kubernetes, maestro)",
        ),
        (
            resource(&format!("{by_name}, transport: {{client: maestro}}")),
            "maestro transport config is required when client is \"maestro\"",
        ),
        (
            resource(&format!("{by_name}, transport: {{client: maestro, maestro: {{}}}}")),
            "target_cluster is required for maestro transport",
        ),
        (
            resource(&format!("{by_name}, transport: {{client: maestro, maestro: {{target_cluster: c}}}}")),
            "the deployment config has no clients.maestro",
        ),
        ("resources: [{name: r, discovery: {by_name: x}}]".into(), "manifest is required for kubernetes transport"),
        ("resources: [{name: r, manifest: {ref: ''}, discovery: {by_name: x}}]".into(), "manifest ref cannot be empty"),
        (resource(&format!("{by_name}, lifecycle: {{delete: {{}}}}")), "lifecycle.delete.when.expression is required: without it the resource will never be deleted"),
        (
            resource(&format!("{by_name}, lifecycle: {{delete: {{when: {{expression: ''}}}}}}")),
            "lifecycle.delete.when.expression is required",
        ),
        (
            resource(&format!("{by_name}, lifecycle: {{delete: {{when: {{expression: 'true'}}, propagationPolicy: Fast}}}}")),
            "invalid propagationPolicy \"Fast\": must be one of Background, Foreground, Orphan",
        ),
        (
            resource(&format!("{by_name}, lifecycle: {{create: {{}}}}")),
            "lifecycle.create.when.expression is required when lifecycle.create is configured",
        ),
        (
            "resources: [{name: r, manifest: {kind: X}, lifecycle: {create: {when: {expression: 'true'}}}}]".into(),
            "lifecycle.create requires a discovery config to check if the resource already exists",
        ),
        (
            "resources: [{name: r, manifest: {kind: X}, lifecycle: {delete: {when: {expression: 'true'}}}}]".into(),
            "lifecycle.delete requires a discovery config to locate the resource for deletion",
        ),
        (
            resource(&format!("{by_name}, lifecycle: {{recreate: {{}}}}")),
            "resources[0].lifecycle.recreate: lifecycle.recreate.when.expression is required: without it the resource will never be recreated",
        ),
        (
            resource(&format!("{by_name}, lifecycle: {{recreate: {{when: {{expression: 'true'}}, propagationPolicy: Orphan}}}}")),
            "resources[0].lifecycle.recreate.propagationPolicy: unknown key",
        ),
        (
            resource(&format!("{by_name}, lifecycle: {{recreate: {{when: {{expression: 'a &&'}}}}}}")),
            "resources[0].lifecycle.recreate.when.expression: CEL parse error",
        ),
        (
            resource(&format!("{by_name}, recreate_on_change: true, lifecycle: {{recreate: {{when: {{expression: 'true'}}}}}}")),
            "resources[0]: recreate_on_change and lifecycle.recreate are two rules for one thing; use only lifecycle.recreate",
        ),
        (
            "resources: [{name: r, manifest: {kind: X}, lifecycle: {recreate: {when: {expression: 'true'}}}}]".into(),
            "lifecycle.recreate requires a discovery config to tell when the old resource is gone",
        ),
        ("post: {payloads: [{name: p}]}".into(), "post.payloads[0]: must have either 'build' or 'build_ref' set"),
        (
            "post: {payloads: [{name: p, build: {}, build_ref: x}]}".into(),
            "post.payloads[0]: 'build' and 'build_ref' are mutually exclusive",
        ),
        ("post: {payloads: [{name: p, build: {}, when: {}}]}".into(), "post.payloads[0].when.expression is required"),
        ("post: {post_actions: [{name: report-status}]}".into(), "no hyphens"),
        ("preconditions: [{name: p, expression: 'a &&'}]".into(), "CEL parse error"),
        ("post: {payloads: [{name: p, build: {}, when: {expression: 'a &&'}}]}".into(), "CEL parse error"),
        ("post: {post_actions: [{name: a, when: {expression: 'a &&'}}]}".into(), "CEL parse error"),
        (resource(&format!("{by_name}, lifecycle: {{delete: {{when: {{expression: 'a &&'}}}}}}")), "CEL parse error"),
        ("param: []".into(), "unknown key \"param\" (did you mean \"params\"?)"),
        ("params: [{name: a, source: {file: {path: /x, trims: true}}}]".into(), "unknown key \"trims\" (did you mean \"trim\"?)"),
    ];
    for (task, part) in cases {
        let error = refusal(&task);
        assert!(
            error.contains(part),
            "expected {part:?} for\n{task}\n{error}"
        );
        assert!(error.contains("task.yaml:"), "no place: {error}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let error = refusal(
        "params:
  - name: clusterId
    source: event.id
  - source: event.x
preconditions:
  - name: Check
    api_call:
      method: get
      url: /clusters/{{ .clusterIdd }}
  - name: ready
    expression: |
      true &&
      (a ==
resources:
  - name: r
    manifest: {apiVersion: v1, kind: '{{ .nope.deep }}'}
    discovery: {by_name: '{{ if }}'}
",
    );
    for part in [
        "task.yaml:4:5: params[1].name is required",
        "task.yaml:6:11: preconditions[0].name \"Check\": must start with",
        "task.yaml:8:15: preconditions[0].api_call.method \"get\" is invalid",
        "task.yaml:9:25: preconditions[0].api_call.url: undefined template variable \"clusterIdd\"",
        "preconditions[1].expression: CEL parse error",
        "undefined template variable \"nope.deep\"",
        "resources[0].discovery.by_name: failed to parse template",
        "task config validation failed with 3 error(s)",
        "task config semantic validation failed: validation failed with 4 error(s)",
    ] {
        assert!(error.contains(part), "{part}\nin\n{error}");
    }
}

#[test]
fn names_of_params_captures_and_preconditions_are_known_to_templates() {
    load(
        "params:
  - {name: clusterId, source: event.id}
preconditions:
  - name: cluster
    api_call: {method: GET, url: '/clusters/{{ .clusterId }}'}
    capture: [{name: region, field: spec.region}]
resources:
  - name: r
    manifest: {apiVersion: v1, kind: X, metadata: {name: '{{ .cluster.name }}-{{ .region }}-{{ .env.X }}-{{ .adapter.name }}'}}
    discovery: {by_name: '{{ range $i, $z := .cluster.zones }}{{ $z.name }}{{ end }}'}
",
    )
    .unwrap();
    let error = refusal(
        "params:
  - {name: a, source: {api_call: {method: GET, url: '/x/{{ .b }}'}}}
  - {name: b, source: event.id}
",
    );
    assert!(
        error.contains("undefined template variable \"b\""),
        "{error}"
    );
}

#[test]
fn deprecations_and_unknown_names_are_warnings() {
    let loaded = load(
        "preconditions:
  - name: cluster
    api_call: {method: GET, url: /clusters/1, timeout: soon, retry_backoff: fast}
    expression: cluster.ready && typo
",
    )
    .unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let has = |part: &str| {
        warnings
            .iter()
            .filter(|warning| warning.contains(part))
            .count()
    };
    assert_eq!(
        has("precondition \"cluster\": api_call is deprecated"),
        1,
        "{warnings:?}"
    );
    assert_eq!(
        has("expression uses \"typo\", which nothing defines"),
        1,
        "{warnings:?}"
    );
    assert_eq!(
        (
            has("timeout \"soon\" is ignored"),
            has("retry_backoff \"fast\"")
        ),
        (1, 1),
        "{warnings:?}"
    );
}

#[test]
fn older_expressions_in_a_current_document_are_errors_with_the_modern_spelling() {
    for (expression, part) in [
        ("a ?? b", "orValue"),
        ("a == nil", "null"),
        ("a[?(@.k == 'v')]", "filter"),
    ] {
        let error = refusal(&format!(
            "preconditions: [{{name: p, expression: \"{expression}\"}}]"
        ));
        assert!(error.contains(part), "{expression}: {error}");
    }
}

#[test]
fn a_current_document_with_an_older_construct_is_refused_with_the_hint() {
    let error = refusal(
        "preconditions:
  - name: p
    api_call: {method: GET, endpoint: /x}
post:
  postActions: [{name: a, api_call: {method: PUT, url: /x, retry_attempts: 3}}]
",
    );
    for part in [
        "task.yaml:3:29: preconditions[0].api_call.endpoint: endpoint is an older spelling: write url",
        "postActions is an older spelling: write post_actions",
        "this document is of the current generation: preconditions[0].api_call in line 3",
    ] {
        assert!(error.contains(part), "{part}\nin\n{error}");
    }
}

#[test]
fn required_variables_are_checked_at_load() {
    let task = |default: &str| {
        format!("params: [{{name: a, source: env.SURELY_NOT_SET, required: true{default}}}]")
    };
    assert!(
        refusal(&task(""))
            .contains("params[0]: required environment variable SURELY_NOT_SET is not set")
    );
    load(&task(", default: x")).unwrap();
    Loader::new(Source::text("a", DEPLOYMENT), Source::text("t", task("")))
        .environment([("SURELY_NOT_SET".to_owned(), "x".to_owned())])
        .load()
        .unwrap();
}

#[test]
fn files_are_read_from_below_the_config_only() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "manifest.yaml",
        "apiVersion: v1\nkind: ConfigMap\n{{ if true }}\nmetadata: {name: x}\n{{ end }}\n",
    );
    write("build.yaml", "a: '{{ .adapter.name }}'\n");
    write("bad.yaml", "a: '{{ .nope }}'\n");
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.yaml"), "a: b").unwrap();
    std::os::unix::fs::symlink(
        outside.path().join("secret.yaml"),
        dir.path().join("link.yaml"),
    )
    .unwrap();
    let load = |manifest: &str, build: &str| {
        let task = format!(
            "resources: [{{name: r, manifest: {{ref: {manifest}}}, discovery: {{by_name: x}}}}]\npost: {{payloads: [{{name: p, build_ref: {build}}}]}}"
        );
        let source = Source::text("task.yaml", task).in_directory(dir.path());
        Loader::new(Source::text("a", DEPLOYMENT), source).load()
    };
    load("manifest.yaml", "build.yaml").unwrap();
    load("./sub/../manifest.yaml", "build.yaml").unwrap();
    for (manifest, build, part) in [
        (
            "missing.yaml",
            "build.yaml",
            "resources[0].manifest.ref: referenced file \"missing.yaml\" does not exist (resolved to \"/",
        ),
        (
            "sub",
            "build.yaml",
            "resources[0].manifest.ref: referenced path \"sub\" is a directory, not a file",
        ),
        (
            "../../etc/passwd",
            "build.yaml",
            "path \"../../etc/passwd\" escapes base directory",
        ),
        (
            "link.yaml",
            "build.yaml",
            "path \"link.yaml\" escapes base directory",
        ),
        (
            "manifest.yaml",
            "bad.yaml",
            "undefined template variable \"nope\"",
        ),
    ] {
        let error = load(manifest, build).unwrap_err().to_string();
        assert!(error.contains(part), "{part}\nin\n{error}");
    }
    // Both at once.
    let error = load("missing.yaml", "gone.yaml").unwrap_err().to_string();
    assert!(
        error.contains("missing.yaml") && error.contains("gone.yaml"),
        "{error}"
    );
}

#[test]
fn the_dump_is_merged_redacted_yaml() {
    let deployment = "
adapter: {name: a}
clients:
  hyperfleet_api: {default_headers: {X-Token: hunter2, X-Plain: shown}, auth: {token_path: /secret/path}}
  maestro: {http_server_address: 'https://m', grpc_server_address: 'm:1', source_id: s, auth: {tls_config: {ca_file: /secret/ca}}}
";
    let loaded = load_with(
        deployment,
        "preconditions: [{name: p, conditions: [{field: a, operator: equals, value: 5}]}]",
    )
    .unwrap();
    let dump = config::dump(&loaded);
    assert!(
        !dump.contains("hunter2") && !dump.contains("/secret"),
        "{dump}"
    );
    assert!(
        dump.contains("**REDACTED**") && dump.contains("shown") && dump.contains("value: 5"),
        "{dump}"
    );
    let parsed: BTreeMap<String, serde_json::Value> =
        go_compat::yaml::from_str_config(&dump).unwrap();
    assert_eq!(parsed["clients"]["hyperfleet_api"]["timeout"], json!("10s"));
    assert!(dump.contains("\n    hyperfleet_api:\n"), "4 spaces: {dump}");
}
