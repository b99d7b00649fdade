//! What discovery knows about a kind, and the URL paths that follow from it.

use std::fmt;

use crate::Error;

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version, such as `v1beta1`.
    pub version: String,
    /// The kind, such as `HostedCluster`.
    pub kind: String,
}

impl Gvk {
    /// Reads `group/version` (or `version` for the core group) and a kind.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = split_api_version(api_version);
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.kind)
    }
}

/// A kind as the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// The plural in the URL, such as `hostedclusters`.
    pub plural: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// The verbs that discovery lists, such as `patch`.
    pub verbs: Vec<String>,
    /// The subresources that discovery lists, such as `status`.
    pub subresources: Vec<String>,
}

impl Resource {
    /// Whether the kind has a subresource of that name.
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|have| have == name)
    }

    /// The path of the collection. A namespaced kind without a namespace addresses all namespaces.
    ///
    /// # Errors
    /// [`Error::BadInput`] if a part can't be a path segment.
    pub fn collection_path(&self, namespace: Option<&str>) -> Result<String, Error> {
        let base = match self.gvk.group.as_str() {
            "" => format!("/api/{}", segment("version", &self.gvk.version)?),
            group => format!(
                "/apis/{}/{}",
                segment("group", group)?,
                segment("version", &self.gvk.version)?
            ),
        };
        let plural = segment("resource", &self.plural)?;
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Ok(format!(
                "{base}/namespaces/{}/{plural}",
                segment("namespace", namespace)?
            )),
            None => Ok(format!("{base}/{plural}")),
        }
    }

    /// The path of one object.
    ///
    /// # Errors
    /// [`Error::BadInput`] if a part can't be a path segment.
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> Result<String, Error> {
        Ok(format!(
            "{}/{}",
            self.collection_path(namespace)?,
            segment("name", name)?
        ))
    }
}

/// Splits `group/version`; the core group has no slash.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

pub(crate) fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// One path segment, percent-encoded. Names come from manifests, so they must not be able to reach
/// another path.
pub(crate) fn segment(what: &str, text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::BadInput(format!(
            "the {what} of the object is empty"
        )));
    }
    if text == "." || text == ".." || text.contains('/') || text.contains('%') {
        return Err(Error::BadInput(format!(
            "{text:?} can't be the {what} of an object"
        )));
    }
    Ok(encode(text))
}

/// Percent-encodes everything outside of RFC 3986's unreserved characters and `:` (legal in RBAC names).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(group: &str, namespaced: bool) -> Resource {
        Resource {
            gvk: Gvk::new(&join_api_version(group, "v1"), "Thing"),
            plural: "things".into(),
            namespaced,
            verbs: vec![],
            subresources: vec!["status".into()],
        }
    }

    #[test]
    fn paths_follow_group_and_scope() {
        let core = resource("", true);
        assert_eq!(
            core.object_path(Some("ns"), "x").unwrap(),
            "/api/v1/namespaces/ns/things/x"
        );
        assert_eq!(core.collection_path(None).unwrap(), "/api/v1/things");
        let cluster = resource("g.io", false);
        assert_eq!(
            cluster.object_path(Some("ignored"), "x").unwrap(),
            "/apis/g.io/v1/things/x"
        );
        assert_eq!(
            cluster.object_path(None, "system:node").unwrap(),
            "/apis/g.io/v1/things/system:node"
        );
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        let core = resource("", true);
        for bad in ["", ".", "..", "a/b", "a%2fb"] {
            assert!(core.object_path(Some("ns"), bad).is_err(), "{bad:?}");
            assert!(core.object_path(Some(bad), "x").is_err(), "{bad:?}");
        }
        assert_eq!(
            core.object_path(Some("ns"), "a?b#c").unwrap(),
            "/api/v1/namespaces/ns/things/a%3Fb%23c"
        );
    }
}
