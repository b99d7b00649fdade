//! The version in the config against the version of the binary: major and minor must be equal.

use super::problem::{Problem, Problems, Stage};
use super::tree::Node;

/// Compares, and reports a mismatch. Nothing is compared if either is empty or the binary is 0.0.0.
pub(crate) fn check(tree: &Node, config: &str, binary: &str, problems: &Problems) {
    if config.is_empty() || binary.is_empty() {
        return;
    }
    let at = tree
        .at_path("adapter.version")
        .map_or(&tree.at, |node| &node.at);
    let Some(wanted) = parse(config) else {
        let message = "Skipping adapter version validation: config version is not valid semver";
        return problems.warn(Problem::new(at, "adapter.version", message));
    };
    let Some(actual) = parse(binary) else {
        let message = "Skipping adapter version validation: binary version is not valid semver";
        return problems.warn(Problem::new(at, "adapter.version", message));
    };
    if actual == (0, 0, 0) || (wanted.0, wanted.1) == (actual.0, actual.1) {
        return;
    }
    let message = format!(
        "adapter version mismatch: config {config:?} (major.minor={}.{}) != adapter {binary:?} (major.minor={}.{})",
        wanted.0, wanted.1, actual.0, actual.1
    );
    problems.error(Stage::Version, Problem::new(at, "adapter.version", message));
}

/// `v1.2.3-rc.1+build` → (1, 2, 3). Minor and patch may be missing, as Go's library allows.
fn parse(version: &str) -> Option<(u64, u64, u64)> {
    let core = version
        .strip_prefix('v')
        .unwrap_or(version)
        .split(['-', '+'])
        .next()?;
    let mut numbers = core.split('.').map(|part| part.parse::<u64>().ok());
    let major = numbers.next()??;
    let minor = numbers.next().unwrap_or(Some(0))?;
    let patch = numbers.next().unwrap_or(Some(0))?;
    numbers.next().is_none().then_some((major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    fn outcome(config: &str, binary: &str) -> (usize, usize) {
        let problems = Problems::default();
        check(
            &tree::parse("f", "adapter: {version: x}").unwrap(),
            config,
            binary,
            &problems,
        );
        let (errors, warnings) = problems.finish();
        (errors.len(), warnings.len())
    }

    #[test]
    fn only_major_and_minor_count() {
        for (config, binary, expected) in [
            ("1.2.0", "1.2.3", (0, 0)),
            ("v1.2.0", "1.2.3", (0, 0)),
            ("1.2", "1.2.3", (0, 0)),
            ("1.2.0", "2.0.0", (1, 0)),
            ("1.2.0", "1.3.0", (1, 0)),
            ("", "1.3.0", (0, 0)),
            ("1.2.0", "", (0, 0)),
            ("abc", "1.3.0", (0, 1)),
            ("1.2.0", "0.0.0-dev", (0, 0)),
        ] {
            assert_eq!(outcome(config, binary), expected, "{config} {binary}");
        }
    }
}
