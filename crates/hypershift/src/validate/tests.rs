mod operator;
mod random;
mod relations;
mod structural;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::example;

/// The example with one value replaced; null removes it.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = example::hosted_cluster("demo");
    set(&mut document, pointer, value);
    document
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(last)),
        (Value::Object(members), value) => drop(members.insert(last.to_owned(), value)),
        (Value::Array(items), value) => items[last.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer} leads into {other}"),
    }
}

fn gcp(rest: &str) -> String {
    format!("/spec/platform/gcp/{rest}")
}

fn full(document: &Value) -> Vec<(&'static str, String)> {
    host_cluster(document, Mode::Full)
        .into_iter()
        .map(|violation| (violation.rule, violation.path))
        .collect()
}

/// Each line: what is changed in the example, and which rule must be broken where. Other rules may be broken too.
#[track_caller]
fn expect(changes: &[(&str, Value)], rule: &str, path: &str) -> Violation {
    let mut document = example::hosted_cluster("demo");
    for (pointer, value) in changes {
        set(&mut document, pointer, value.clone());
    }
    let violations = host_cluster(&document, Mode::Full);
    violations
        .iter()
        .find(|violation| violation.rule == rule && violation.path == path)
        .unwrap_or_else(|| panic!("{changes:?} breaks no {rule} at {path}, but {violations:#?}"))
        .clone()
}

#[test]
fn the_example_keeps_every_rule() {
    assert_eq!(full(&example::hosted_cluster("demo")), []);
    assert_eq!(
        host_cluster(&example::hosted_cluster("demo"), Mode::Admission),
        []
    );
}

#[test]
fn context_decides_what_the_document_cannot() {
    let document = with("/spec/serviceAccountSigningKey", Value::Null);
    let bucket = Context {
        oidc_bucket: true,
        ..Context::default()
    };
    assert_eq!(check(&document, &bucket), []);
    let issuer = json!("https://storage.googleapis.com/bucket/hf-1");
    let mut by_issuer = document.clone();
    set(&mut by_issuer, "/spec/issuerURL", issuer);
    assert_eq!(check(&by_issuer, &Context::default()), []);

    let example = example::hosted_cluster("demo");
    let elsewhere = Context {
        management_region: Some("europe-west2"),
        ..Context::default()
    };
    assert_eq!(
        check(&example, &elsewhere)[0].message,
        "region us-central1 differs from management cluster region europe-west2"
    );
    let asked = Context {
        openshift_version: Some("4.9.0"),
        ..Context::default()
    };
    assert_eq!(
        check(&example, &asked)[0].to_string(),
        "openshift_version: release version 4.9.0 is outside 4.14 .. 5.1"
    );
}

#[test]
fn structural_errors_hide_relations_but_not_operator_rules() {
    let mut document = with("/spec/services", Value::Null);
    set(&mut document, &gcp("project"), json!("My-Project"));
    set(&mut document, "/spec/infraID", json!("0198"));
    let rules: Vec<_> = full(&document).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["S07", "O05"]);
}

#[test]
fn the_design_documents_own_template_is_refused_before_it_is_sent() {
    // The template of the design that this system started from: no services, two of six accounts.
    let mut document = example::hosted_cluster("demo");
    let id = "0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88";
    for member in [
        "services",
        "etcd",
        "clusterID",
        "issuerURL",
        "serviceAccountSigningKey",
        "secretEncryption",
        "configuration",
    ] {
        set(&mut document, &format!("/spec/{member}"), Value::Null);
    }
    for account in ["cloudController", "storage", "imageRegistry", "network"] {
        set(
            &mut document,
            &gcp(&format!("workloadIdentity/serviceAccountsEmails/{account}")),
            Value::Null,
        );
    }
    set(&mut document, "/spec/infraID", json!(id));
    set(&mut document, &gcp("resourceLabels/0/value"), json!(id));
    set(&mut document, "/spec/dns/publicZoneID", json!(""));
    set(
        &mut document,
        "/spec/release/image",
        json!("quay.io/openshift-release-dev/ocp-release:4.22.3"),
    );
    let found = full(&document);
    let missing = |rule, path: &str| (rule, path.to_owned());
    let accounts = "spec.platform.gcp.workloadIdentity.serviceAccountsEmails";
    for expected in [
        missing("S06", &format!("{accounts}.cloudController")),
        missing("S06", &format!("{accounts}.network")),
        missing("S07", "spec.services"),
        missing("S30", "spec.dns.publicZoneID"),
        missing("O05", "spec.infraID"),
        missing("O11", "spec.release.image"),
        missing("O13", "spec"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:#?}");
    }
}

#[test]
fn stored_faults_are_tolerated_until_they_change() {
    let account = gcp("workloadIdentity/serviceAccountsEmails/network");
    let stored = with(
        &account,
        json!("bad@my-project-123.iam.gserviceaccount.com"),
    );
    let mut next = stored.clone();
    set(
        &mut next,
        "/spec/release/image",
        json!("quay.io/ocp:4.22.5-multi"),
    );
    let update = |new: &Value| {
        check(
            new,
            &Context {
                mode: Mode::Admission,
                stored: Some(&stored),
                ..Context::default()
            },
        )
    };
    assert_eq!(update(&next), []);
    set(
        &mut next,
        &account,
        json!("network@other-project-9.iam.gserviceaccount.com"),
    );
    let found = update(&next);
    assert_eq!(
        found[0].message,
        "network service account must belong to the same project"
    );
}

#[test]
fn warnings_say_what_is_worth_knowing() {
    let document = with("/spec/secretEncryption", Value::Null);
    let rules = |found: Vec<Violation>| found.into_iter().map(|w| w.rule).collect::<Vec<_>>();
    assert_eq!(rules(warnings(&document, None, &[])), ["W02", "W03"]);
    let mut changed = document.clone();
    set(&mut changed, "/spec/pullSecret/name", json!("other"));
    set(&mut changed, "/spec/issuerURL", Value::Null);
    set(&mut changed, "/spec/configuration", Value::Null);
    set(&mut changed, "/spec/sshKey", json!({"name": "key"}));
    changed["metadata"]["annotations"] = json!({});
    let neighbour = example::hosted_cluster("other");
    let found = rules(warnings(
        &changed,
        Some(&document),
        &[neighbour, document.clone()],
    ));
    assert_eq!(
        found,
        [
            "W01", "W02", "W03", "W04", "W05", "W06", "W07", "W08", "W08"
        ]
    );
}

#[test]
fn every_message_fits_where_it_goes() {
    let broken = with(&gcp("region"), json!("x"));
    for violation in host_cluster(&broken, Mode::Full) {
        assert!(!violation.message.is_empty() && !violation.path.is_empty());
        assert_eq!(
            violation.to_string(),
            format!("{}: {}", violation.path, violation.message)
        );
    }
}

#[test]
fn every_rule_of_the_tables_is_documented() {
    let page = include_str!("../../../../docs/protocol/hostedcluster-gcp.md");
    for rule in [rules::STRUCTURE, rules::PATTERNS, rules::OPERATOR]
        .into_iter()
        .flatten()
    {
        assert!(
            page.contains(&format!("| {} |", rule.id)),
            "{} is missing",
            rule.id
        );
    }
}
