//! How the name of an agent contains the name of its cluster.

use std::fmt;

const PLACE: &str = "{cluster}";

/// Such as `system:open-cluster-management:{cluster}:agent` or `{cluster}-*`: text, the place of the cluster, and text in
/// which `*` stands for one or more characters.
///
/// A name contains one cluster or none: the longest name of a cluster (an RFC 1123 label) that stands where `{cluster}` is
/// and is followed by what the pattern says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    after: String,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The place of the cluster is missing, or there are several.
    #[error("must contain {PLACE} once, for example system:open-cluster-management:{PLACE}:agent")]
    Place,
    /// A `*` before the cluster: it couldn't be said where the cluster begins.
    #[error("a * must come after {PLACE}")]
    Before,
    /// A `*` right behind the cluster: it couldn't be said where the cluster ends.
    #[error("there must be text between {PLACE} and *, for example {PLACE}:*")]
    Adjacent,
}

/// Longest name of a cluster.
const MAX_CLUSTER: usize = 63;

impl Pattern {
    /// The name of the cluster in a name.
    #[must_use]
    pub fn cluster<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(self.before.as_str())?;
        let label = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let longest = rest.bytes().take_while(label).take(MAX_CLUSTER).count();
        (1..=longest)
            .rev()
            .filter_map(|end| rest.split_at_checked(end))
            .find(|(cluster, after)| is_label(cluster) && fits(&self.after, after))
            .map(|(cluster, _)| cluster)
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text is what a pattern with `*` says.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    // Each piece at its first place leaves most to the pieces behind it; the last one belongs at the end.
    let mut pieces: Vec<&str> = others.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let skip = rest.chars().next().map_or(0, char::len_utf8);
        let Some(at) = rest.get(skip..).and_then(|rest| rest.find(piece)) else {
            return false;
        };
        if skip == 0 {
            return false;
        }
        rest = rest.get(skip + at + piece.len()..).unwrap_or_default();
    }
    rest.len() > last.len() && rest.ends_with(last)
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (before, after) = text.split_once(PLACE).ok_or(PatternError::Place)?;
        if after.contains(PLACE) {
            return Err(PatternError::Place);
        }
        if before.contains('*') {
            return Err(PatternError::Before);
        }
        if after.starts_with('*') {
            return Err(PatternError::Adjacent);
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster(pattern: &str, name: &str) -> Option<String> {
        let pattern: Pattern = pattern.parse().unwrap();
        pattern.cluster(name).map(str::to_owned)
    }

    #[test]
    fn a_name_contains_one_cluster_or_none() {
        let ocm = "system:open-cluster-management:{cluster}:agent";
        for (pattern, name, expected) in [
            (ocm, "system:open-cluster-management:c1:agent", Some("c1")),
            (ocm, "system:open-cluster-management:c1:agent2", None),
            (ocm, "system:open-cluster-management:c1", None),
            (ocm, "system:open-cluster-management::agent", None),
            (ocm, "system:open-cluster-management:a:b:agent", None),
            (ocm, "system:open-cluster-management:C1:agent", None),
            (ocm, "xsystem:open-cluster-management:c1:agent", None),
            ("{cluster}", "c1", Some("c1")),
            ("{cluster}", "c1 ", None),
            ("{cluster}", "-c1", None),
            ("{cluster}-*", "prod-1-agent", Some("prod-1")),
            ("{cluster}-*", "prod-", None),
            ("{cluster}-*", "prod", None),
            ("{cluster}-agent", "a-agent-agent", Some("a-agent")),
            ("{cluster}-*-x", "a-b-c-x", Some("a-b")),
            ("m:{cluster}:*", "m:c1:addon:x:agent:y", Some("c1")),
            ("m:{cluster}:*:agent:*", "m:c1:addon:agent:y", Some("c1")),
            ("m:{cluster}:*:agent:*", "m:c1:addon:agent:", None),
            ("m:{cluster}:*:agent:*", "m:c1::agent:x", None),
            ("m:{cluster}:*é", "m:c1:ééé", Some("c1")),
            ("m:{cluster}:**", "m:c1:é", None),
        ] {
            assert_eq!(
                cluster(pattern, name).as_deref(),
                expected,
                "{pattern} {name}"
            );
        }
        let long = "x".repeat(MAX_CLUSTER);
        assert_eq!(cluster("{cluster}", &long), Some(long.clone()));
        assert_eq!(cluster("{cluster}", &format!("{long}x")), None);
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (text, expected) in [
            ("", PatternError::Place),
            ("{Cluster}", PatternError::Place),
            ("{cluster}{cluster}", PatternError::Place),
            ("*:{cluster}", PatternError::Before),
            ("{cluster}*", PatternError::Adjacent),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(expected), "{text}");
        }
        let pattern: Pattern = "a{cluster}b*".parse().unwrap();
        assert_eq!(pattern.to_string(), "a{cluster}b*");
    }

    proptest! {
        #[test]
        fn an_agent_named_for_a_cluster_is_its_agent(name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", tail in "[a-z0-9]{1,9}") {
            prop_assert_eq!(cluster("x:{cluster}:*", &format!("x:{name}:{tail}")), Some(name.clone()));
            prop_assert_eq!(cluster("{cluster}-*", &format!("{name}-{tail}")), Some(name.clone()));
            prop_assert_eq!(cluster("{cluster}", &name), Some(name));
        }

        #[test]
        fn no_name_is_trouble(pattern in "[a:*-]{0,6}", name in "\\PC{0,30}") {
            if let Ok(pattern) = format!("{{cluster}}{pattern}").parse::<Pattern>() {
                let found = pattern.cluster(&name);
                prop_assert!(found.is_none_or(|cluster| name.starts_with(cluster)));
            }
        }
    }
}
