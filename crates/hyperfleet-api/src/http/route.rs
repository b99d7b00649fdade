//! From path and method to what is asked for. A pure function over the registry.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderValue, Method, header};
use hyperfleet_types::{Code, LEGACY_API_PREFIX, Problem};

use super::{method_not_allowed, reply};
use crate::{
    registry::{Kind, Registry},
    service::Scope,
};

/// Where the metadata document is.
const ROOT: &str = "/api/hyperfleet";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Path with `-` for ids: the same for all requests of a kind, so that it can label metrics.
    pub template: String,
    /// Asked for on the path of older clients.
    pub legacy: bool,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say which API this is.
    Metadata,
    /// The OpenAPI document.
    OpenApi,
    /// The OpenAPI document for people.
    OpenApiPage,
    /// A page of resources.
    List(Scope),
    /// A new resource.
    Create(Scope),
    /// One resource.
    Get(Scope, String),
    /// Replace parts of one.
    Patch(Scope, String),
    /// Ask for deletion.
    Delete(Scope, String),
    /// Remove one that is being deleted.
    ForceDelete(Scope, String),
    /// A page of statuses.
    Statuses(Scope, String),
    /// An adapter's report.
    Report(Scope, String),
}

impl Action {
    /// Whether it reads or writes resources.
    pub fn needs_storage(&self) -> bool {
        !matches!(self, Self::Metadata | Self::OpenApi | Self::OpenApiPage)
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Nobody serves the path.
    NoSuchPath,
    /// The path is served for other methods.
    Method {
        /// Its template.
        template: String,
        /// Those methods.
        allowed: &'static str,
    },
}

impl Refused {
    /// Label for metrics.
    pub fn template(&self) -> String {
        match self {
            Self::NoSuchPath => "-".to_owned(),
            Self::Method { template, .. } => template.clone(),
        }
    }

    /// The answer. A path that nobody serves gets no `trace_id`: by that, clients tell a wrong address from a resource that is
    /// gone.
    pub fn reply(&self, path: &str) -> Response {
        match self {
            Self::NoSuchPath => {
                let detail = format!("The requested endpoint '{path}' does not exist");
                reply::problem(Problem::new(Code::EndpointNotFound, detail), path, None)
            }
            Self::Method { allowed, .. } => {
                let mut response = reply::problem(method_not_allowed(allowed), path, None);
                response
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static(allowed));
                response
            }
        }
    }
}

/// Finds out what is asked for.
///
/// # Errors
/// [`Refused`] if nobody serves the path or the method.
pub fn route(registry: &Registry, method: &Method, path: &str) -> Result<Route, Refused> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (legacy, rest) = match (
        path.strip_prefix(ROOT),
        path.strip_prefix(LEGACY_API_PREFIX),
    ) {
        (Some(""), _) => return single(method, path, Action::Metadata),
        (Some(rest), _) => (false, rest.strip_prefix("/v1/").ok_or(Refused::NoSuchPath)?),
        (None, Some(rest)) => (true, rest.strip_prefix('/').ok_or(Refused::NoSuchPath)?),
        (None, None) => return Err(Refused::NoSuchPath),
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(Refused::NoSuchPath);
    }
    match segments.as_slice() {
        ["openapi"] => return single(method, path, Action::OpenApi),
        ["openapi.html"] => return single(method, path, Action::OpenApiPage),
        _ => {}
    }
    let prefix = if legacy {
        LEGACY_API_PREFIX
    } else {
        "/api/hyperfleet/v1"
    };
    let kind = |plural: &str| -> Option<Option<Arc<Kind>>> {
        if plural == "resources" {
            Some(None)
        } else {
            registry.plural(plural).map(|kind| Some(kind.clone()))
        }
    };
    // Either flat (`clusters/…`) or below a parent (`clusters/{id}/nodepools/…`).
    let (scope, base, tail) = match segments.as_slice() {
        [parents, parent, plural, tail @ ..] if child(registry, parents, plural).is_some() => {
            let (parent_kind, kind) =
                child(registry, parents, plural).ok_or(Refused::NoSuchPath)?;
            let scope = Scope {
                kind: Some(kind),
                parent: Some((parent_kind, decoded(parent)?)),
            };
            (scope, format!("{prefix}/{parents}/-/{plural}"), tail)
        }
        [plural, tail @ ..] => {
            let kind = kind(plural).ok_or(Refused::NoSuchPath)?;
            (
                Scope { kind, parent: None },
                format!("{prefix}/{plural}"),
                tail,
            )
        }
        [] => return Err(Refused::NoSuchPath),
    };
    let found = |template: String, action| {
        Ok(Route {
            template,
            legacy,
            action,
        })
    };
    let refused = |template: String, allowed| Err(Refused::Method { template, allowed });
    let id = tail
        .first()
        .map(|id| decoded(id))
        .transpose()?
        .unwrap_or_default();
    match (tail, method.as_str()) {
        ([], "GET" | "HEAD") => found(base, Action::List(scope)),
        ([], "POST") => found(base, Action::Create(scope)),
        ([], _) => refused(base, "GET, HEAD, POST"),
        ([_], "GET" | "HEAD") => found(base + "/-", Action::Get(scope, id)),
        ([_], "PATCH") => found(base + "/-", Action::Patch(scope, id)),
        ([_], "DELETE") => found(base + "/-", Action::Delete(scope, id)),
        ([_], _) => refused(base + "/-", "DELETE, GET, HEAD, PATCH"),
        ([_, "force-delete"], "POST") => {
            found(base + "/-/force-delete", Action::ForceDelete(scope, id))
        }
        ([_, "force-delete"], _) => refused(base + "/-/force-delete", "POST"),
        ([_, "statuses"], "GET" | "HEAD") => {
            found(base + "/-/statuses", Action::Statuses(scope, id))
        }
        ([_, "statuses"], "PUT") => found(base + "/-/statuses", Action::Report(scope, id)),
        // Older adapters POST their reports.
        ([_, "statuses"], "POST") if legacy => {
            found(base + "/-/statuses", Action::Report(scope, id))
        }
        ([_, "statuses"], _) => refused(
            base + "/-/statuses",
            if legacy {
                "GET, HEAD, POST, PUT"
            } else {
                "GET, HEAD, PUT"
            },
        ),
        _ => Err(Refused::NoSuchPath),
    }
}

fn single(method: &Method, path: &str, action: Action) -> Result<Route, Refused> {
    let template = path.to_owned();
    if matches!(*method, Method::GET | Method::HEAD) {
        Ok(Route {
            template,
            legacy: false,
            action,
        })
    } else {
        Err(Refused::Method {
            template,
            allowed: "GET, HEAD",
        })
    }
}

/// The kinds of a parent's and a child's path segment, if they are parent and child.
fn child(registry: &Registry, parents: &str, plural: &str) -> Option<(Arc<Kind>, Arc<Kind>)> {
    let (parent, kind) = (registry.plural(parents)?, registry.plural(plural)?);
    (kind.parent_kind.as_ref() == Some(&parent.kind)).then(|| (parent.clone(), kind.clone()))
}

/// A path segment without its percent signs.
fn decoded(segment: &str) -> Result<String, Refused> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(hex.ok_or(Refused::NoSuchPath)?);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| Refused::NoSuchPath)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::standard;

    fn routed(method: &str, path: &str) -> Result<Route, Refused> {
        route(
            &Registry::new(standard()).unwrap(),
            &method.parse().unwrap(),
            path,
        )
    }

    fn template(method: &str, path: &str) -> String {
        routed(method, path).map_or_else(|refused| refused.template(), |route| route.template)
    }

    #[test]
    fn flat_nested_and_root_routes() {
        let get = |path: &str| routed("GET", path).unwrap();
        let Action::Get(scope, id) = get("/api/hyperfleet/v1/clusters/c/nodepools/n").action else {
            panic!()
        };
        assert_eq!((scope.label(), id.as_str()), ("NodePool", "n"));
        assert_eq!(
            scope.parent.map(|(kind, id)| (kind.kind.clone(), id)),
            Some(("Cluster".into(), "c".into()))
        );
        let Action::List(scope) = get("/api/hyperfleet/v1/nodepools").action else {
            panic!()
        };
        assert!(scope.parent.is_none());
        let Action::Statuses(scope, _) = get("/api/hyperfleet/v1/resources/x/statuses/").action
        else {
            panic!()
        };
        assert!(scope.kind.is_none());
        assert_eq!(get("/api/hyperfleet/").action, Action::Metadata);
        assert_eq!(get("/api/hyperfleet/v1/openapi").action, Action::OpenApi);
        assert!(matches!(
            routed("HEAD", "/api/hyperfleet/v1/clusters")
                .unwrap()
                .action,
            Action::List(_)
        ));
    }

    #[test]
    fn ids_do_not_show_in_templates() {
        assert_eq!(
            template("PUT", "/api/hyperfleet/v1/clusters/c/nodepools/n/statuses"),
            "/api/hyperfleet/v1/clusters/-/nodepools/-/statuses"
        );
        assert_eq!(template("GET", "/whatever/i/want"), "-");
    }

    #[test]
    fn unknown_paths_are_refused() {
        for path in [
            "/",
            "",
            "/api",
            "/api/hyperfleet/v2/clusters",
            "/api/hyperfleet/v1",
            "/api/hyperfleet/v1/x",
            "/api/hyperfleet/v1//clusters",
            "/api/hyperfleet/v1/clusters/c/nodepools/n/x",
            "/api/hyperfleet/v1/clusters/c/versions",
            "/api/v1",
            "/api/v1x/clusters",
            "/api/hyperfleet/v1/clusters/%zz",
            "/api/hyperfleet/v1/clusters/%ff",
            "/api/hyperfleet/v1/clusters/c/statuses/x",
        ] {
            assert_eq!(routed("GET", path), Err(Refused::NoSuchPath), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let allowed = |method: &str, path: &str| match routed(method, path) {
            Err(Refused::Method { allowed, .. }) => allowed,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            allowed("PUT", "/api/hyperfleet/v1/clusters"),
            "GET, HEAD, POST"
        );
        assert_eq!(
            allowed("POST", "/api/hyperfleet/v1/clusters/c/statuses"),
            "GET, HEAD, PUT"
        );
        assert_eq!(allowed("POST", "/api/hyperfleet"), "GET, HEAD");
    }

    #[test]
    fn older_paths_take_posted_reports() {
        let route = routed("POST", "/api/v1/clusters/c/statuses").unwrap();
        assert!(route.legacy && matches!(route.action, Action::Report(..)));
        assert!(routed("PUT", "/api/v1/clusters/c/statuses").is_ok());
    }

    proptest! {
        #[test]
        fn no_path_panics(path in r"(/(api|v1|hyperfleet|clusters|nodepools|%[0-9a-f]{0,2}|[a-z]{0,3}|))*") {
            for method in ["GET", "POST", "TRACE"] {
                let _ = routed(method, &path);
            }
        }
    }
}
