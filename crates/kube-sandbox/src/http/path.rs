//! From a path to what it names.

use crate::failure::Failure;

/// Longest path, bytes.
const MAX_PATH_BYTES: usize = 4096;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// `/`
    Root,
    /// `/healthz`, `/livez`, `/readyz` and below.
    Health,
    /// `/version`
    Version,
    /// `/api`
    Core,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1` (empty group) and `/apis/<group>/<version>`
    GroupVersion(String, String),
    /// `/openapi/...`
    OpenApi(String),
    /// Objects and collections.
    Object(Place),
}

/// A collection, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// API group, empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace, if the path names one.
    pub namespace: Option<String>,
    /// Plural name.
    pub plural: String,
    /// Object name.
    pub name: Option<String>,
    /// `status`, `scale`, ...
    pub subresource: Option<String>,
}

impl Place {
    /// Requests that are answered and not stored, such as SubjectAccessReview.
    pub fn is_review(&self) -> bool {
        matches!(
            self.group.as_str(),
            "authorization.k8s.io" | "authentication.k8s.io"
        ) || (self.group.is_empty()
            && self.plural == "serviceaccounts"
            && self.subresource.as_deref() == Some("token"))
    }
}

impl Path {
    /// Parses the path of a URI.
    ///
    /// # Errors
    /// 404 for paths that name nothing, 400 for malformed escapes.
    pub fn parse(path: &str) -> Result<Self, Failure> {
        if path.len() > MAX_PATH_BYTES {
            return Err(Failure::bad_request(format!(
                "path is longer than {MAX_PATH_BYTES} bytes"
            )));
        }
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decode)
            .collect::<Result<_, _>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] => Ok(Self::Root),
            ["healthz" | "livez" | "readyz", ..] => Ok(Self::Health),
            ["version"] => Ok(Self::Version),
            ["api"] => Ok(Self::Core),
            ["apis"] => Ok(Self::Groups),
            ["apis", group] => Ok(Self::Group((*group).to_owned())),
            ["api", version] => Ok(Self::GroupVersion(String::new(), (*version).to_owned())),
            ["apis", group, version] => Ok(Self::GroupVersion(
                (*group).to_owned(),
                (*version).to_owned(),
            )),
            ["openapi", rest @ ..] => Ok(Self::OpenApi(rest.join("/"))),
            ["api", version, rest @ ..] => place("", version, rest),
            ["apis", group, version, rest @ ..] => place(group, version, rest),
            _ => Err(Failure::unknown_path()),
        }
    }
}

fn place(group: &str, version: &str, rest: &[&str]) -> Result<Path, Failure> {
    let own = |text: &&str| (*text).to_owned();
    let mut place = Place {
        group: group.to_owned(),
        version: version.to_owned(),
        ..Place::default()
    };
    let rest = match rest {
        // `namespaces/<n>/<resource>/...`, but not `namespaces/<n>/status` and `/finalize`.
        ["namespaces", namespace, tail @ ..]
            if !tail.is_empty()
                && (!group.is_empty() || !matches!(tail, ["status" | "finalize"])) =>
        {
            place.namespace = Some(own(namespace));
            tail
        }
        other => other,
    };
    match rest {
        [plural] => place.plural = own(plural),
        [plural, name] => {
            place.plural = own(plural);
            place.name = Some(own(name));
        }
        [plural, name, subresource] => {
            place.plural = own(plural);
            place.name = Some(own(name));
            place.subresource = Some(own(subresource));
        }
        _ => return Err(Failure::unknown_path()),
    }
    Ok(Path::Object(place))
}

/// Undoes percent-encoding of one path segment.
fn decode(text: &str) -> Result<String, Failure> {
    let bad = || Failure::bad_request("malformed percent-encoding in the path");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(bad)
        };
        let high = digit(bytes.next())?;
        let low = digit(bytes.next())?;
        out.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(path: &str) -> Place {
        match Path::parse(path) {
            Ok(Path::Object(place)) => place,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn objects_and_collections() {
        let place = object(
            "/apis/hypershift.openshift.io/v1beta1/namespaces/clusters/hostedclusters/demo/status",
        );
        assert_eq!(place.group, "hypershift.openshift.io");
        assert_eq!(place.namespace.as_deref(), Some("clusters"));
        assert_eq!(
            (place.plural.as_str(), place.name.as_deref()),
            ("hostedclusters", Some("demo"))
        );
        assert_eq!(place.subresource.as_deref(), Some("status"));
        assert_eq!(object("/api/v1/namespaces").plural, "namespaces");
        assert_eq!(object("/api/v1/namespaces/a").name.as_deref(), Some("a"));
        assert_eq!(
            object("/api/v1/namespaces/a/status").subresource.as_deref(),
            Some("status")
        );
        assert_eq!(object("/api/v1/namespaces/a/pods").plural, "pods");
        assert_eq!(
            object("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode")
                .name
                .as_deref(),
            Some("system:node")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Path::parse("/nothing").is_err());
        assert!(Path::parse("/api/v1/a/b/c/d/e").is_err());
        assert!(Path::parse("/api/v1/pods/%zz").is_err());
        assert!(Path::parse(&format!("/{}", "x".repeat(5000))).is_err());
    }
}
