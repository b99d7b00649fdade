//! OpenShift releases: image references and versions.
//!
//! 4.x continues as 5.y: 4.23 and 5.0 are the same minor. [`Release::minor_ordinal`] counts through.

use std::cmp::Ordering;
use std::fmt;

/// Repository of release images.
pub const DEFAULT_REPOSITORY: &str = "quay.io/openshift-release-dev/ocp-release";
/// Suffixes of release tags, without the dash. `multi` runs on every architecture.
pub const ARCHITECTURES: [&str; 5] = ["multi", "x86_64", "aarch64", "s390x", "ppc64le"];
/// Oldest minor that the operator installs on GCP.
pub const OLDEST_SUPPORTED: (u64, u64) = (4, 14);
/// Newest minor that the operator knows.
pub const NEWEST_SUPPORTED: (u64, u64) = (5, 1);
/// The 4.x minor that is also 5.0.
const MINOR_OF_5_0: u64 = 23;

/// A release version such as `4.22.3` or `5.0.0-rc.1`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Release {
    /// 4 or 5.
    pub major: u64,
    /// The y-stream.
    pub minor: u64,
    /// The z-stream.
    pub patch: u64,
    /// What follows the first dash; empty for a release.
    pub pre_release: String,
}

impl Release {
    /// Reads `X.Y.Z`, optionally with `-pre` and `+build`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text
            .split_once('+')
            .map_or(text, |(version, _build)| version);
        let (numbers, pre_release) = text.split_once('-').unwrap_or((text, ""));
        let mut numbers = numbers.split('.').map(number);
        let release = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
            pre_release: pre_release.to_owned(),
        };
        numbers.next().is_none().then_some(release)
    }

    /// Reads the version from a release image's tag: `…:4.22.3-multi` is 4.22.3.
    pub fn of_image(image: &str) -> Option<Self> {
        let tag = tag(image)?;
        let version = ARCHITECTURES
            .iter()
            .find_map(|architecture| tag.strip_suffix(architecture)?.strip_suffix('-'))
            .unwrap_or(tag);
        Self::parse(version)
    }

    /// The minor, counted through both majors: 4.22 is 22, 5.0 is 23. `None` for other majors.
    pub fn minor_ordinal(&self) -> Option<u64> {
        ordinal((self.major, self.minor))
    }

    /// Whether the operator supports this minor.
    pub fn is_supported(&self) -> bool {
        self.minor_ordinal().is_some_and(|minor| {
            Some(minor) >= ordinal(OLDEST_SUPPORTED) && Some(minor) <= ordinal(NEWEST_SUPPORTED)
        })
    }

    /// Whether both belong to one y-stream.
    pub fn same_minor(&self, other: &Self) -> bool {
        self.minor_ordinal() == other.minor_ordinal()
            && (self.minor_ordinal().is_some() || self.major == other.major)
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |release: &Self| match release.minor_ordinal() {
            Some(minor) => (4, minor, release.patch),
            None => (release.major, release.minor, release.patch),
        };
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| pre_release_order(&self.pre_release, &other.pre_release))
            // 4.23.0 and 5.0.0 are one release with two names: the names decide, so that order agrees with equality.
            .then_with(|| (self.major, self.minor).cmp(&(other.major, other.minor)))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.pre_release.is_empty() {
            Ok(())
        } else {
            write!(f, "-{}", self.pre_release)
        }
    }
}

/// The tag of an image reference; `None` with a digest or without a tag.
pub fn tag(image: &str) -> Option<&str> {
    if image.contains('@') {
        return None;
    }
    let last = image.rsplit('/').next()?;
    last.split_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.is_empty())
}

/// Whether the reference says which architecture it is for: by a known suffix of its tag, or by a digest.
pub fn names_architecture(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once('@') {
        return digest
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    tag(image).is_some_and(|tag| {
        ARCHITECTURES.iter().any(|architecture| {
            tag.strip_suffix(architecture)
                .is_some_and(|rest| rest.ends_with('-'))
        })
    })
}

fn ordinal((major, minor): (u64, u64)) -> Option<u64> {
    match major {
        4 => Some(minor),
        5 => MINOR_OF_5_0.checked_add(minor),
        _ => None,
    }
}

/// Semantic Versioning's order: a release is above its pre-releases, numeric parts compare as numbers.
fn pre_release_order(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut left = a.split('.');
    let mut right = b.split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    #[test]
    fn versions_are_read_from_tags() {
        let of = |image| Release::of_image(image).map(|release| release.to_string());
        assert_eq!(
            of("quay.io/openshift-release-dev/ocp-release:4.22.3-multi").as_deref(),
            Some("4.22.3")
        );
        assert_eq!(
            of("registry:5000/ocp:4.22.0-rc.1-x86_64").as_deref(),
            Some("4.22.0-rc.1")
        );
        assert_eq!(of("registry:5000/ocp").as_deref(), None);
        assert_eq!(of("r/ocp@sha256:aa").as_deref(), None);
        assert_eq!(of("r/ocp:latest").as_deref(), None);
        for bad in [
            "4.22",
            "4.22.3.1",
            "v4.22.3",
            "4.022.3",
            "4..3",
            "",
            "-1.2.3",
            "99999999999999999999.1.1",
        ] {
            assert_eq!(Release::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn architecture_suffixes_and_digests() {
        let digest = format!("r/ocp@sha256:{}", "a".repeat(64));
        for good in ["r/ocp:4.22.3-multi", "r/ocp:4.22.3-ppc64le", &digest] {
            assert!(names_architecture(good), "{good}");
        }
        for bad in [
            "r/ocp:4.22.3",
            "r/ocp",
            "r/ocp:multi",
            "r/ocp@sha256:12",
            "r/ocp:4.22.3-amd64",
        ] {
            assert!(!names_architecture(bad), "{bad}");
        }
    }

    #[test]
    fn order_follows_semantic_versioning_across_the_major() {
        let sorted = [
            "4.14.0-rc.2",
            "4.14.0-rc.10",
            "4.14.0",
            "4.22.3",
            "4.23.1",
            "5.0.2",
            "5.1.0",
        ];
        for pair in sorted.windows(2) {
            assert!(release(pair[0]) < release(pair[1]), "{pair:?}");
        }
        assert!(release("4.23.0").same_minor(&release("5.0.1")));
        assert!(!release("4.22.0").same_minor(&release("5.0.1")));
    }

    #[test]
    fn supported_range() {
        for good in ["4.14.0", "4.23.9", "5.0.0", "5.1.99", "4.24.0"] {
            assert!(release(good).is_supported(), "{good}");
        }
        for bad in ["4.13.99", "5.2.0", "4.25.0", "3.11.0", "6.0.0"] {
            assert!(!release(bad).is_supported(), "{bad}");
        }
    }
}
