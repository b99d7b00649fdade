//! What only the operator would find out.

use super::*;

#[test]
fn what_only_the_operator_would_find_out() {
    let hostname = |index: usize| format!("/spec/services/{index}/servicePublishingStrategy/route");
    let path =
        |index: usize| format!("spec.services[{index}].servicePublishingStrategy.route.hostname");
    let api = json!({"hostname": "api-demo.gcp.example.com"});
    let network = "/spec/networking/machineNetwork/0/cidr";
    let grace = "metadata.annotations.\"hypershift.openshift.io/destroy-grace-period\"";
    let same = json!("demo-gcp-pd-csi@my-project-123.iam.gserviceaccount.com");
    let cases: &[(&str, Value, &str, &str)] = &[
        (
            "/spec/services/3/service",
            json!("OIDC"),
            "O01",
            "spec.services",
        ),
        (
            "/spec/services/0/servicePublishingStrategy/type",
            json!("LoadBalancer"),
            "O01",
            "spec.services",
        ),
        (&hostname(1), Value::Null, "O02", "spec.services"),
        (&hostname(1), api.clone(), "O03", &path(1)),
        (
            &gcp("workloadIdentity/serviceAccountsEmails/network"),
            same,
            "O04",
            "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.storage",
        ),
        ("/spec/infraID", json!("0198a3b1"), "O05", "spec.infraID"),
        (
            "/spec/infraID",
            json!("a".repeat(57)),
            "O05",
            "spec.infraID",
        ),
        ("/metadata/name", json!("0demo"), "O06", "metadata.name"),
        ("/metadata/name", json!("de.mo"), "O06", "metadata.name"),
        ("/metadata/name", json!("a".repeat(56)), "O07", "metadata"),
        (
            "/spec/dns/baseDomain",
            json!(""),
            "O08",
            "spec.dns.baseDomain",
        ),
        (
            "/spec/dns/baseDomain",
            json!("Example.com"),
            "O08",
            "spec.dns.baseDomain",
        ),
        ("/spec/dns", Value::Null, "O08", "spec.dns.baseDomain"),
        (
            network,
            json!("10.0.0.1/20"),
            "O09",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("300.1.1.0/24"),
            "O09",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("10.132.0.0/16"),
            "O10",
            "spec.networking.clusterNetwork[0].cidr",
        ),
        (
            network,
            json!("172.20.0.0/16"),
            "O10",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("fd10::/64"),
            "O10",
            "spec.networking.clusterNetwork[0].cidr",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:4.22.3"),
            "O11",
            "spec.release.image",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:4.13.9-multi"),
            "O12",
            "spec.release.image",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:5.2.0-multi"),
            "O12",
            "spec.release.image",
        ),
        ("/spec/serviceAccountSigningKey", Value::Null, "O13", "spec"),
        (
            "/spec/secretEncryption",
            json!({"type": "kms"}),
            "O14",
            "spec.secretEncryption.type",
        ),
        (
            "/spec/pullSecret/name",
            json!(""),
            "O15",
            "spec.pullSecret.name",
        ),
        ("/spec/pullSecret", json!({}), "O15", "spec.pullSecret.name"),
        (
            "/spec/sshKey",
            json!({"name": "Key_1"}),
            "O15",
            "spec.sshKey.name",
        ),
        ("/spec/autoNode", json!({}), "O17", "spec.autoNode"),
        (
            "/spec/etcd",
            json!({"managementType": "Unmanaged", "unmanaged": {}}),
            "O18",
            "spec.etcd.managementType",
        ),
        (
            "/metadata/annotations/hypershift.openshift.io~1destroy-grace-period",
            json!("abc"),
            "O19",
            grace,
        ),
        (
            &hostname(3),
            json!({"hostname": "ignition.example.com"}),
            "O21",
            &path(3),
        ),
    ];
    for (pointer, value, rule, path) in cases {
        let pointer = pointer.replace("~1", "\u{1}");
        let mut document = example::hosted_cluster("demo");
        if let Some((parent, last)) = pointer.split_once("annotations/") {
            let annotations = document
                .pointer_mut(&format!("{parent}annotations"))
                .unwrap();
            annotations[last.replace('\u{1}', "/")] = value.clone();
        } else {
            set(&mut document, &pointer, value.clone());
        }
        let found = full(&document);
        assert!(
            found.contains(&(*rule, (*path).to_owned())),
            "{pointer} = {value}: {rule} at {path}, found {found:#?}"
        );
    }
    let overlap = expect(
        &[(network, json!("10.132.0.0/16"))],
        "O10",
        "spec.networking.clusterNetwork[0].cidr",
    );
    assert_eq!(
        overlap.message,
        "machineNetwork and clusterNetwork overlap: 10.132.0.0/16 and 10.132.0.0/14"
    );
    let duplicate = expect(&[(&hostname(1), api)], "O03", &path(1));
    assert_eq!(
        duplicate.message,
        "service type OAuthServer can't be published with the same hostname api-demo.gcp.example.com as service type APIServer"
    );
}
