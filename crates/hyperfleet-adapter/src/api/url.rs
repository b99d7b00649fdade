//! From the URL in a task config to the URL that is requested.

/// The part of a URL that task configs leave out.
const PREFIX: &str = "/api/hyperfleet/";

/// A completed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// What error texts, traces and recorded answers show: the path with its query, or a foreign URL as it is.
    pub(crate) path: String,
    /// What is requested.
    pub(crate) full: String,
    /// Whether this is the HyperFleet API's own origin: only there the token goes.
    pub(crate) own_origin: bool,
}

/// Completes `configured` with the API's `base` URL and `version` (`v1` if empty).
///
/// Relative URLs get `/api/hyperfleet/<version>` unless they start with `api/`; absolute ones of the API's own
/// scheme and host lose the base; foreign ones stay. Queries are kept. `older` moves `/api/v1/…` of the API to
/// `/api/hyperfleet/v1/…`.
pub(crate) fn resolve(base: &str, version: &str, configured: &str, older: bool) -> Resolved {
    let base = base.trim_end_matches('/');
    let version = if version.is_empty() { "v1" } else { version };
    if configured.is_empty() || base.is_empty() {
        return Resolved {
            path: configured.into(),
            full: configured.into(),
            own_origin: false,
        };
    }
    let (origin, base_path) = split_origin(base);
    let (url, query) = match configured.split_once('?') {
        Some((url, query)) => (url, format!("?{query}")),
        None => (configured, String::new()),
    };
    if url.contains("://") {
        let (other, path) = split_origin(url);
        if !other.eq_ignore_ascii_case(origin) {
            return Resolved {
                path: configured.into(),
                full: configured.into(),
                own_origin: false,
            };
        }
        // The base may itself end in the prefix, then nothing is to be moved.
        let path = if older {
            modern_path(path)
        } else {
            path.to_owned()
        };
        let below = path
            .strip_prefix(base_path)
            .filter(|rest| base_path.is_empty() || rest.is_empty() || rest.starts_with('/'));
        return match below {
            Some(rest) => own(base, &clean(rest), &query),
            // Same host, but outside of the base path: as written.
            None => own(origin, &clean(&path), &query),
        };
    }
    let path = clean(url);
    let path = if older { modern_path(&path) } else { path };
    let complete = if path.starts_with("/api/") || path == "/api" {
        path
    } else if base_path.ends_with(&format!("{PREFIX}{version}")) {
        // Upstream would repeat the prefix and miss.
        path
    } else {
        format!("{PREFIX}{version}{path}")
    };
    own(base, &complete, &query)
}

fn own(base: &str, path: &str, query: &str) -> Resolved {
    let path = format!("{path}{query}");
    Resolved {
        full: format!("{base}{path}"),
        path,
        own_origin: true,
    }
}

/// `http://h:8000/a/b` → `http://h:8000`, `/a/b`.
fn split_origin(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    url.split_at(end)
}

/// Removes empty and dot segments and a trailing slash; begins with a slash.
fn clean(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

/// `/api/v1/clusters` → `/api/hyperfleet/v1/clusters`.
fn modern_path(path: &str) -> String {
    let Some(rest) = path.strip_prefix("/api/v") else {
        return path.to_owned();
    };
    let version_is_number = rest
        .split('/')
        .next()
        .is_some_and(|version| !version.is_empty() && version.chars().all(|c| c.is_ascii_digit()));
    if version_is_number {
        format!("{PREFIX}v{rest}")
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://h:8000";

    #[test]
    fn urls_are_completed_as_upstream_does() {
        for (configured, version, path) in [
            ("clusters/1", "v1", "/api/hyperfleet/v1/clusters/1"),
            ("/clusters/1", "v1", "/api/hyperfleet/v1/clusters/1"),
            ("/clusters/1/", "v1", "/api/hyperfleet/v1/clusters/1"),
            (
                "/clusters/../clusters/1",
                "v1",
                "/api/hyperfleet/v1/clusters/1",
            ),
            ("api/hyperfleet/v1/x", "v1", "/api/hyperfleet/v1/x"),
            ("/api/other/v1/x", "v1", "/api/other/v1/x"),
            ("clusters/1", "v2", "/api/hyperfleet/v2/clusters/1"),
            ("clusters/1", "", "/api/hyperfleet/v1/clusters/1"),
            ("http://h:8000/a/b", "v1", "/a/b"),
            (
                "clusters?search=name='a/b'&page=2",
                "v1",
                "/api/hyperfleet/v1/clusters?search=name='a/b'&page=2",
            ),
        ] {
            let resolved = resolve(BASE, version, configured, false);
            assert_eq!(resolved.path, path, "{configured}");
            assert_eq!(resolved.full, format!("{BASE}{path}"), "{configured}");
            assert!(resolved.own_origin);
        }
    }

    #[test]
    fn the_base_may_have_a_path() {
        let base = "http://h:8000/api/hyperfleet/v1/";
        let resolved = resolve(
            base,
            "v1",
            "http://h:8000/api/hyperfleet/v1/clusters/1",
            false,
        );
        assert_eq!(
            (resolved.path.as_str(), resolved.full.as_str()),
            ("/clusters/1", "http://h:8000/api/hyperfleet/v1/clusters/1")
        );
        assert_eq!(
            resolve(base, "v1", "clusters/1", false).full,
            "http://h:8000/api/hyperfleet/v1/clusters/1"
        );
        assert_eq!(
            resolve("http://h/p", "v1", "http://h/other", false).full,
            "http://h/other"
        );
    }

    #[test]
    fn foreign_urls_stay_and_get_no_token() {
        for url in [
            "https://h:8000/x",
            "http://other/x?a=b",
            "http://h:8000.evil.example/x",
        ] {
            let resolved = resolve(BASE, "v1", url, false);
            assert_eq!((resolved.full.as_str(), resolved.own_origin), (url, false));
        }
        assert_eq!(resolve("", "v1", "clusters/1", false).full, "clusters/1");
        assert_eq!(resolve(BASE, "v1", "", false).full, "");
    }

    #[test]
    fn older_paths_move_to_where_the_api_serves_them() {
        for url in ["http://h:8000/api/v1/clusters/1", "/api/v1/clusters/1"] {
            assert_eq!(
                resolve(BASE, "v1", url, true).full,
                "http://h:8000/api/hyperfleet/v1/clusters/1"
            );
        }
        assert_eq!(
            resolve(BASE, "v1", "http://h:8000/api/vx/1", true).full,
            "http://h:8000/api/vx/1"
        );
        assert_eq!(
            resolve(BASE, "v1", "http://other/api/v1/x", true).full,
            "http://other/api/v1/x"
        );
    }
}
