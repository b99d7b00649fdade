//! The CEL of the shipped task configs, evaluated alone.

use controlplane_adapter::configs::{self, Adapter};
use expressions::cel::{Bindings, Environment};
use serde_json::{Value, json};

/// Every `expression:` of a document with the path it stands at.
fn all(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let at = format!("{path}.{name}");
                match member {
                    Value::String(text) if name == "expression" => found.push((at, text.clone())),
                    other => all(other, &at, found),
                }
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| all(item, &format!("{path}[{index}]"), found));
        }
        _ => {}
    }
}

fn document(adapter: Adapter) -> Value {
    go_compat::yaml::from_str_config(adapter.task)
        .unwrap_or_else(|error| panic!("{}: {error}", adapter.name))
}

#[test]
fn every_expression_compiles() {
    for adapter in configs::ALL
        .into_iter()
        .filter(|adapter| adapter.name != "seed")
    {
        let mut found = Vec::new();
        all(&document(adapter), adapter.name, &mut found);
        assert!(found.len() > 10, "{}", adapter.name);
        for (path, text) in found {
            Environment::adapter()
                .open()
                .compile(&text)
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

/// Evaluates the expression of one param.
fn param(adapter: Adapter, name: &str, scope: &Value) -> Value {
    let document = document(adapter);
    let params = document["params"].as_array().unwrap();
    let param = params
        .iter()
        .find(|param| param["name"] == name)
        .unwrap_or_else(|| panic!("no param {name}"));
    let text = param["source"]["expression"].as_str().unwrap();
    let program = Environment::adapter().open().compile(text).unwrap();
    let mut bindings = Bindings::new();
    for (name, value) in scope.as_object().unwrap() {
        bindings.insert(name.as_str(), value);
    }
    program
        .evaluate(&bindings)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn report(adapter: &str, data: Value) -> Value {
    json!({"adapter": adapter, "observed_generation": 1, "conditions": [], "data": data})
}

#[test]
fn the_management_cluster_stays_once_it_is_chosen() {
    let choose = |spec: Value, statuses: Value| {
        let scope = json!({
            "cluster": {"spec": spec}, "statuses": {"items": statuses}, "defaultConsumer": "default",
            "config": {"adapter": {"name": "hypershift"}},
        });
        param(configs::CONTROLPLANE, "managementCluster", &scope)
    };
    assert_eq!(choose(json!({}), json!([])), "default");
    assert_eq!(
        choose(
            json!({"management_cluster": "m2"}),
            json!([report("dns", json!({}))])
        ),
        "m2"
    );
    let chosen = report("hypershift", json!({"management_cluster": "m1"}));
    assert_eq!(
        choose(json!({"management_cluster": "m2"}), json!([chosen])),
        "m1"
    );
    assert_eq!(
        choose(
            json!({}),
            json!([{"adapter": "hypershift", "conditions": []}])
        ),
        "default"
    );
}

#[test]
fn it_says_what_it_waits_for() {
    let waiting = |conditions: Value| {
        param(
            configs::CONTROLPLANE,
            "waitingFor",
            &json!({"cluster": {"status": {"conditions": conditions}}}),
        )
    };
    let condition =
        |name: &str, status: &str| json!({"type": format!("{name}Successful"), "status": status});
    assert_eq!(waiting(json!([])), "validation, dns, pullsecret");
    let some = json!([
        condition("Validation", "True"),
        condition("Dns", "False"),
        condition("Pullsecret", "True")
    ]);
    assert_eq!(waiting(some), "dns");
    let all = json!([
        condition("Validation", "True"),
        condition("Dns", "True"),
        condition("Pullsecret", "True")
    ]);
    assert_eq!(waiting(all), "");
    assert_eq!(
        param(configs::CONTROLPLANE, "waitingFor", &json!({"cluster": {}})),
        "validation, dns, pullsecret"
    );
}

#[test]
fn the_pull_secret_is_the_clusters_own_or_the_adapters_or_guessed() {
    let name = |spec: Value, statuses: Value| {
        let scope = json!({"cluster": {"spec": spec}, "statuses": {"items": statuses}, "clusterName": "demo"});
        param(configs::CONTROLPLANE, "pullSecret", &scope)
    };
    let reported = json!([report("pullsecret", json!({"pull_secret_name": "made"}))]);
    assert_eq!(name(json!({}), json!([])), "demo-pull-secret");
    assert_eq!(name(json!({}), reported.clone()), "made");
    assert_eq!(name(json!({"pull_secret_name": "own"}), reported), "own");
}

#[test]
fn accounts_may_be_derived_from_a_prefix() {
    let email = |spec: Value, prefix: &str| {
        let scope =
            json!({"cluster": {"spec": spec}, "saPrefix": prefix, "projectId": "my-project-123"});
        param(configs::CONTROLPLANE, "storageEmail", &scope)
    };
    assert_eq!(email(json!({}), ""), "");
    assert_eq!(
        email(json!({}), "demo"),
        "demo-gcp-pd-csi@my-project-123.iam.gserviceaccount.com"
    );
    assert_eq!(email(json!({"storage_sa_email": "x"}), "demo"), "x");
}

#[test]
fn flat_keys_win_over_nested_ones() {
    let of = |spec: Value| {
        param(
            configs::CONTROLPLANE,
            "projectId",
            &json!({"cluster": {"spec": spec}}),
        )
    };
    assert_eq!(
        of(json!({"gcp_project_id": "flat", "platform": {"gcp": {"projectID": "nested"}}})),
        "flat"
    );
    assert_eq!(
        of(json!({"platform": {"gcp": {"projectID": "nested"}}})),
        "nested"
    );
    assert_eq!(of(json!({})), "");
}

#[test]
fn release_images() {
    let image = |spec: Value| {
        param(
            configs::CONTROLPLANE,
            "releaseImage",
            &json!({"cluster": {"spec": spec}, "releaseRepository": "repo"}),
        )
    };
    assert_eq!(
        image(json!({"openshift_version": "4.22.3"})),
        "repo:4.22.3-multi"
    );
    assert_eq!(
        image(json!({"openshift_version": "4.22.3", "release_arch": "x86_64"})),
        "repo:4.22.3-x86_64"
    );
    assert_eq!(image(json!({"release_image": "own:1"})), "own:1");
}

#[test]
fn the_validation_adapter_names_every_problem() {
    let problem = |spec: Value| {
        let found = param(
            configs::VALIDATION,
            "problem",
            &json!({"cluster": {"spec": spec}}),
        );
        found.as_str().unwrap().to_owned()
    };
    let good = json!({
        "gcp_project_id": "my-project-123", "gcp_project_number": "123", "gcp_region": "us-central1",
        "vpc_network_name": "vpc", "psc_subnet_name": "psc", "openshift_version": "4.22.3",
    });
    assert_eq!(problem(good.clone()), "");
    let mut numeric = good.clone();
    numeric["gcp_project_number"] = json!(123);
    assert_eq!(problem(numeric), "");
    let found = problem(json!({"gcp_region": "moon"}));
    for field in [
        "gcp_project_id",
        "gcp_region",
        "gcp_project_number",
        "vpc_network_name",
        "psc_subnet_name",
        "openshift_version",
    ] {
        assert!(found.contains(field), "{field} in {found}");
    }
}

#[test]
fn the_dns_adapter_keeps_to_its_zone() {
    let problem = |domain: &str, parent: &str| {
        param(
            configs::DNS,
            "problem",
            &json!({"baseDomain": domain, "parentZone": parent}),
        )
    };
    assert_eq!(problem("gcp.example.com", ""), "");
    assert_eq!(problem("gcp.example.com", "example.com"), "");
    assert_eq!(problem("example.com", "example.com"), "");
    assert!(
        problem("gcp.example.org", "example.com")
            .as_str()
            .unwrap()
            .contains("is not below example.com")
    );
    assert!(
        problem("badexample.com", "example.com")
            .as_str()
            .unwrap()
            .contains("is not below")
    );
    assert!(
        problem("Example.com", "")
            .as_str()
            .unwrap()
            .contains("lowercase")
    );
    assert!(
        problem("", "")
            .as_str()
            .unwrap()
            .contains("base_domain must be")
    );
}

#[test]
fn the_pull_secret_adapter_wants_a_docker_config() {
    let problem = |text: &str| param(configs::PULLSECRET, "problem", &json!({"pullSecret": text}));
    assert_eq!(problem("{\"auths\":{\"quay.io\":{}}}"), "");
    assert!(
        problem("")
            .as_str()
            .unwrap()
            .contains("set PULL_SECRET_DATA")
    );
    assert!(problem("hello").as_str().unwrap().contains("has no auths"));
}
