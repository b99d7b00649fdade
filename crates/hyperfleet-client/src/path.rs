//! From what a task config or a caller says to the path that is asked for.

use reqwest::Url;

/// The URL for `target` below `base`.
///
/// A relative target gets `/api/hyperfleet/<version>/` unless it starts with `api/`; `.` and `..` are resolved, one trailing
/// slash is dropped, the query string is kept. An absolute URL is left alone.
///
/// # Errors
/// A text that says which of the two is no URL.
pub fn resolve(base: &Url, version: &str, target: &str) -> Result<Url, String> {
    if target.contains("://") {
        return Url::parse(target).map_err(|error| format!("URL {target:?}: {error}"));
    }
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let segments = clean(path);
    let mut url = base.clone();
    {
        let mut to = url
            .path_segments_mut()
            .map_err(|()| format!("base URL {base} can't have a path"))?;
        to.pop_if_empty();
        if segments.first() != Some(&"api") {
            to.extend([
                "api",
                "hyperfleet",
                if version.is_empty() { "v1" } else { version },
            ]);
        }
        to.extend(segments.iter().map(|segment| decode(segment)));
    }
    url.set_query(query);
    Ok(url)
}

/// Segments of `path` without empty ones, `.` and `..`.
fn clean(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments
}

/// Undoes `%XX`, since `path_segments_mut` encodes again; text that is no valid encoding stays.
fn decode(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_targets_get_the_prefix_and_keep_their_query() {
        let cases = [
            (
                "http://h:8000",
                "v1",
                "clusters/1",
                "http://h:8000/api/hyperfleet/v1/clusters/1",
            ),
            (
                "http://h:8000/",
                "v1",
                "/clusters/1/",
                "http://h:8000/api/hyperfleet/v1/clusters/1",
            ),
            (
                "http://h:8000",
                "v1",
                "/clusters/../clusters/1",
                "http://h:8000/api/hyperfleet/v1/clusters/1",
            ),
            (
                "http://h:8000",
                "v2",
                "clusters/1",
                "http://h:8000/api/hyperfleet/v2/clusters/1",
            ),
            (
                "http://h:8000",
                "",
                "clusters/1",
                "http://h:8000/api/hyperfleet/v1/clusters/1",
            ),
            (
                "http://h:8000",
                "v1",
                "api/v1/clusters/1",
                "http://h:8000/api/v1/clusters/1",
            ),
            (
                "http://h:8000/p",
                "v1",
                "/api/x?a=b%20c",
                "http://h:8000/p/api/x?a=b%20c",
            ),
            (
                "http://h:8000",
                "v1",
                "http://other/x?y",
                "http://other/x?y",
            ),
            (
                "http://h:8000",
                "v1",
                "clusters/a%20b",
                "http://h:8000/api/hyperfleet/v1/clusters/a%20b",
            ),
        ];
        for (base, version, target, want) in cases {
            let base = Url::parse(base).unwrap();
            assert_eq!(
                resolve(&base, version, target).unwrap().as_str(),
                want,
                "{target}"
            );
        }
    }

    #[test]
    fn text_that_is_no_url_is_refused() {
        let base = Url::parse("http://h:8000").unwrap();
        assert!(
            resolve(&base, "v1", "http://[/")
                .unwrap_err()
                .contains("http://[/")
        );
    }
}
