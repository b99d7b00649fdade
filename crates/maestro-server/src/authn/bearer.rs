//! Bearer tokens on their way in. They are never printed.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

/// Longest token, bytes. Tokens of service accounts have about 1 KB; those with many groups rarely 8 KB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token that nobody has judged yet.
#[derive(Clone)]
pub struct Bearer(String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer([hidden])")
    }
}

impl Bearer {
    /// What `authorization` holds: the first value, with or without `Bearer ` before it. `None` if that can't be a
    /// token.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let token = match text.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
            _ => text,
        };
        let good = !token.is_empty()
            && token.len() <= MAX_TOKEN_BYTES
            && !token.contains(|c: char| c.is_whitespace() || c.is_control());
        good.then(|| Self(token.to_owned()))
    }

    /// The token, to show it to who judges it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands for the token where it is remembered.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_bytes(value).unwrap());
        Bearer::from_headers(&headers).map(|bearer| bearer.expose().to_owned())
    }

    #[test]
    fn tokens_are_read_as_upstream_reads_them() {
        for value in ["Bearer t.o.k", "bearer t.o.k", "BEARER  t.o.k ", "t.o.k"] {
            assert_eq!(parse(value.as_bytes()).as_deref(), Some("t.o.k"), "{value}");
        }
        for value in ["", "Bearer ", "Bearer", "Basic dTpw", "Bearer a b"] {
            let expected = (value == "Bearer").then(|| "Bearer".to_owned());
            assert_eq!(parse(value.as_bytes()), expected, "{value:?}");
        }
        assert_eq!(parse(b"Bearer \xff\xfe"), None);
        assert_eq!(parse("x".repeat(MAX_TOKEN_BYTES + 1).as_bytes()), None);
        assert!(Bearer::from_headers(&HeaderMap::new()).is_none());
    }

    #[test]
    fn tokens_are_not_printed() {
        assert_eq!(
            format!("{:?}", Bearer("secret".to_owned())),
            "Bearer([hidden])"
        );
    }
}
