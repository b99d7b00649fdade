//! Payloads: bundles of manifests and whole works.

use event_wire::payload::{ManifestBundle, ManifestBundleStatus};
use manifestwork::{ManifestWork, Spec, hash, manifest, validate};

/// The payload of a spec or status event.
pub fn bundle(data: &[u8]) {
    if let Ok(bundle) = serde_json::from_slice::<ManifestBundle>(data) {
        let again = serde_json::to_vec(&bundle).unwrap();
        assert_eq!(
            serde_json::from_slice::<ManifestBundle>(&again).unwrap(),
            bundle,
            "another bundle after a round trip"
        );
        check(&bundle.manifests);
        let spec = Spec::from(bundle.clone());
        assert_eq!(ManifestBundle::from(&spec), bundle);
    }
    if let Ok(status) = serde_json::from_slice::<ManifestBundleStatus>(data) {
        let status = manifestwork::Status::from(status);
        assert_eq!(hash::status_hash(&status).len(), 64);
    }
}

/// A work as a person writes it or as Kubernetes shows it.
pub fn work(data: &[u8]) {
    let Ok(work) = serde_json::from_slice::<ManifestWork>(data) else {
        return;
    };
    let again = serde_json::to_vec(&work).unwrap();
    assert_eq!(
        serde_json::from_slice::<ManifestWork>(&again).unwrap(),
        work,
        "another work after a round trip"
    );
    check(&work.spec.workload.manifests);
    for error in validate::for_source(&work) {
        assert!(!error.to_string().is_empty());
    }
}

fn check(manifests: &[manifestwork::Manifest]) {
    for manifest in manifests {
        let length = manifest.compact_len();
        assert!(length <= manifest.as_str().len());
        if manifest::depth(manifest.as_str()) <= validate::MAX_DEPTH {
            assert_eq!(manifest, &manifestwork::Manifest::from(manifest.to_value()));
        }
    }
    let for_workload = validate::for_workload(manifests);
    if validate::for_server(manifests).is_ok() {
        let size = validate::manifests_size(manifests);
        assert!(size <= validate::MAX_MANIFESTS_SIZE);
        // Sources and agents ask for no more than the server, but for at least one manifest.
        assert!(
            manifests.is_empty() || for_workload.is_empty(),
            "the server takes what an agent refuses: {}",
            validate::list(&for_workload)
        );
    }
}
