//! The YAML of the folder `adapters/`, embedded, so that a binary can run the adapters without files.

/// `adapters/controlplane/task.yaml`.
pub const TASK_CONFIG: &str = include_str!("../../../adapters/controlplane/task.yaml");
/// `adapters/controlplane/deployment.yaml`.
pub const DEPLOYMENT_CONFIG: &str = include_str!("../../../adapters/controlplane/deployment.yaml");

/// A ready adapter.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    /// Its folder, for example `dns`.
    pub name: &'static str,
    /// Its task config.
    pub task: &'static str,
    /// Its deployment config; addresses are those of a typical installation.
    pub deployment: &'static str,
}

/// Shorthand for the two files of a folder.
macro_rules! adapter {
    ($name:literal) => {
        Adapter {
            name: $name,
            task: include_str!(concat!("../../../adapters/", $name, "/task.yaml")),
            deployment: include_str!(concat!("../../../adapters/", $name, "/deployment.yaml")),
        }
    };
}

/// The corrected control-plane adapter.
pub const CONTROLPLANE: Adapter = adapter!("controlplane");
/// Checks a cluster's spec.
pub const VALIDATION: Adapter = adapter!("validation");
/// Decides a cluster's names.
pub const DNS: Adapter = adapter!("dns");
/// Provides the pull secret.
pub const PULLSECRET: Adapter = adapter!("pullsecret");
/// The design document's own control-plane task config, of an older generation.
pub const SEED: Adapter = adapter!("seed");
/// A control-plane task config as a user of the upstream adapter writes it.
pub const UPSTREAM_STYLE: Adapter = adapter!("upstream-style");

/// All of them.
pub const ALL: [Adapter; 6] = [
    CONTROLPLANE,
    VALIDATION,
    DNS,
    PULLSECRET,
    SEED,
    UPSTREAM_STYLE,
];
