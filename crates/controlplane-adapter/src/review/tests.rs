use serde_json::json;

use super::*;
use crate::testing::{message, rendered, review, short};

fn refused(verdict: Verdict) -> (String, String, Overrides) {
    match verdict {
        Verdict::Refuse {
            reason,
            message,
            overrides,
        } => (reason, message, overrides),
        other => panic!("not refused: {other:?}"),
    }
}

fn warned(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Warn(sentences) => sentences,
        Verdict::Allow => Vec::new(),
        other @ Verdict::Refuse { .. } => panic!("{other:?}"),
    }
}

#[test]
fn a_good_rendering_is_sent() {
    let warnings = warned(review(&rendered(1), None, json!({})));
    // The example is public, which is worth a word.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("[W02]"));
}

#[test]
fn rules_are_enforced_before_anything_is_sent() {
    let mut bad = rendered(2);
    bad["spec"].as_object_mut().unwrap().remove("services");
    let accounts = &mut bad["spec"]["platform"]["gcp"]["workloadIdentity"]["serviceAccountsEmails"];
    for account in ["cloudController", "storage", "imageRegistry", "network"] {
        accounts.as_object_mut().unwrap().remove(account);
    }
    bad["spec"]["infraID"] = json!("0198");
    let (reason, text, overrides) = refused(review(&bad, None, json!({})));
    assert_eq!(reason, "ValidationFailed");
    assert!(text.contains("spec.services: Required value"), "{text}");
    assert!(
        text.contains("serviceAccountsEmails.cloudController: Required value"),
        "{text}"
    );
    assert!(text.ends_with("; and 1 more"), "{text}");
    for type_ in ["Applied", "Available", "Health"] {
        assert_eq!(short(&overrides, type_), "False ValidationFailed");
    }
    assert!(message(&overrides, "Health").contains("nothing was sent"));
    assert_eq!(short(&overrides, "Finalized"), "False NotDeleting");
    assert_eq!(overrides.observed_generation, Some(2));
}

#[test]
fn validation_may_only_warn_or_not_look() {
    let mut bad = rendered(1);
    bad["spec"].as_object_mut().unwrap().remove("services");
    let sentences = warned(review(
        &bad,
        None,
        json!({"hostedcluster_validation": "warn"}),
    ));
    assert!(
        sentences
            .iter()
            .any(|s| s == "spec.services: Required value [S07]"),
        "{sentences:?}"
    );
    assert_eq!(
        review(&bad, None, json!({"hostedcluster_validation": "off"})),
        Verdict::Allow
    );
}

#[test]
fn immutable_changes_name_field_old_and_new() {
    let mut moved = rendered(2);
    moved["spec"]["platform"]["gcp"]["region"] = json!("europe-west2");
    for mode in ["enforce", "warn", "off"] {
        let (reason, text, overrides) = refused(review(
            &moved,
            Some(&rendered(1)),
            json!({"hostedcluster_validation": mode}),
        ));
        assert_eq!(reason, "ImmutableFieldChanged");
        let expected = "spec.platform.gcp.region: Region is immutable (was \"us-central1\", requested \"europe-west2\")";
        assert_eq!(text, expected);
        assert_eq!(short(&overrides, "Applied"), "False ImmutableFieldChanged");
        assert_eq!(message(&overrides, "Applied"), expected);
        assert_eq!(
            short(&overrides, "Available"),
            "False ImmutableFieldChanged"
        );
        assert_eq!(
            message(&overrides, "Available"),
            "control plane keeps running with generation 1"
        );
        assert!(
            !overrides.conditions.iter().any(|c| c.type_ == "Health"),
            "the running cluster decides about Health"
        );
        assert_eq!(overrides.observed_generation, Some(2));
    }
}

#[test]
fn immutable_changes_come_before_what_they_break() {
    let mut moved = rendered(2);
    moved["spec"]["platform"]["gcp"]["project"] = json!("other-project-9");
    let (reason, text, _) = refused(review(&moved, Some(&rendered(1)), json!({})));
    assert_eq!(reason, "ImmutableFieldChanged");
    assert!(
        text.starts_with("spec.platform.gcp.project: Project is immutable (was \"my-project-123\""),
        "{text}"
    );
    assert!(text.contains("must belong to the same project"), "{text}");
}

#[test]
fn what_may_change_is_sent() {
    let mut next = rendered(2);
    next["spec"]["release"]["image"] = json!("quay.io/ocp:4.22.5-multi");
    next["spec"]["platform"]["gcp"]["resourceLabels"] = json!([{"key": "a", "value": "b"}]);
    next["spec"]["sshKey"] = json!({"name": "key"});
    let sentences = warned(review(&next, Some(&rendered(1)), json!({})));
    assert!(
        sentences
            .iter()
            .any(|s| s == "spec.sshKey: all nodes will be replaced [W08]"),
        "{sentences:?}"
    );
}

#[test]
fn downgrades_need_a_setting() {
    let mut older = rendered(2);
    older["spec"]["release"]["image"] = json!("quay.io/ocp:4.22.1-multi");
    let (reason, text, _) = refused(review(&older, Some(&rendered(1)), json!({})));
    assert_eq!(reason, "ImmutableFieldChanged");
    assert!(text.contains("downgrade from 4.22.3 to 4.22.1 is not supported"));
    warned(review(
        &older,
        Some(&rendered(1)),
        json!({"allow_downgrade": true}),
    ));
}

#[test]
fn bucket_mode_needs_no_signing_key() {
    let mut keyless = rendered(1);
    keyless["spec"]
        .as_object_mut()
        .unwrap()
        .remove("serviceAccountSigningKey");
    assert_eq!(
        refused(review(&keyless, None, json!({}))).0,
        "ValidationFailed"
    );
    warned(review(&keyless, None, json!({"oidc_bucket": true})));
}

#[test]
fn the_region_must_be_the_management_clusters() {
    warned(review(
        &rendered(1),
        None,
        json!({"management_region": "us-central1"}),
    ));
    let (_, text, _) = refused(review(
        &rendered(1),
        None,
        json!({"management_region": "europe-west2"}),
    ));
    assert!(
        text.ends_with("region us-central1 differs from management cluster region europe-west2"),
        "{text}"
    );
}

#[test]
fn a_work_of_somebody_else_is_not_touched() {
    use hyperfleet_adapter::policy::Gvk;
    use serde_json::Map;

    let (desired, gvk) = (
        rendered(2),
        Gvk::new(names::API_VERSION, names::HOSTED_CLUSTER),
    );
    let wanted = crate::testing::work(&desired);
    let mut stored = wanted.clone();
    let params = Map::from_iter([("adapter".to_owned(), json!({"name": "hypershift"}))]);
    let verdict = |stored: &Value| {
        crate::policy().review(&Review {
            resource: "r",
            gvk: &gvk,
            desired: &desired,
            current: Some(&desired),
            work: Some(&wanted),
            current_work: Some(stored),
            target: None,
            params: &params,
            generation: 2,
            settings: &Map::new(),
            now: crate::testing::at(0),
        })
    };
    stored["metadata"]["labels"]["hyperfleet.io/cluster-id"] = json!("c2");
    let (reason, text, overrides) = refused(verdict(&stored));
    assert_eq!(reason, "ManifestWorkConflict");
    assert!(
        text.starts_with("ManifestWork hostedcluster-c1 is owned by hyperfleet.io/cluster-id=c2"),
        "{text}"
    );
    assert_eq!(short(&overrides, "Available"), "False Unknown");
    assert_eq!(short(&overrides, "Health"), "False ManifestWorkConflict");
    stored["metadata"]["labels"] =
        json!({"hyperfleet.io/cluster-id": "c1", "hyperfleet.io/adapter": "somebody"});
    assert_eq!(refused(verdict(&stored)).0, "ManifestWorkConflict");
    // Works of an older config carry the adapter's own name or no labels, and are adopted.
    stored["metadata"]["labels"]["hyperfleet.io/adapter"] = json!("hypershift");
    warned(verdict(&stored));
    stored["metadata"].as_object_mut().unwrap().remove("labels");
    warned(verdict(&stored));
}

#[test]
fn wrong_settings_are_told_and_nothing_is_sent() {
    let (reason, text, _) = refused(review(
        &rendered(1),
        None,
        json!({"hostedcluster_validation": "maybe"}),
    ));
    assert_eq!(reason, "InvalidPolicySettings");
    assert_eq!(
        text,
        "policy.hostedcluster_validation: must be enforce, warn or off, is \"maybe\""
    );
}
