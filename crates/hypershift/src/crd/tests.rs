use super::*;

#[test]
fn both_documents_are_definitions_of_their_kind() {
    for (crd, kind, plural) in [
        (hosted_cluster(), "HostedCluster", "hostedclusters"),
        (node_pool(), "NodePool", "nodepools"),
    ] {
        assert_eq!(crd["kind"], "CustomResourceDefinition");
        assert_eq!(
            crd["metadata"]["name"],
            format!("{plural}.hypershift.openshift.io")
        );
        assert_eq!(crd["spec"]["names"]["kind"], kind);
        assert_eq!(crd["spec"]["scope"], "Namespaced");
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["name"], "v1beta1");
        assert!(version["subresources"]["status"].is_object());
        assert!(
            version["additionalPrinterColumns"]
                .as_array()
                .is_some_and(|columns| columns.len() >= 5)
        );
        assert_eq!(version["schema"]["openAPIV3Schema"]["type"], "object");
    }
}
