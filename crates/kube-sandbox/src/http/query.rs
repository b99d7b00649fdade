//! Query options.

use crate::failure::Failure;

/// The query of a request, in order.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses `a=b&c=d`. Malformed escapes stay as they are.
    pub fn parse(text: &str) -> Self {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of an option, empty if absent.
    pub fn get(&self, name: &str) -> &str {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// Whether an option is given, even without a value.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// A boolean option, false if absent. Like the API server, any value but `false` and `0` is true.
    ///
    /// # Errors
    /// None today; the signature leaves room for strictness.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.has(name) && !matches!(self.get(name), "false" | "0"))
    }

    /// A number option.
    ///
    /// # Errors
    /// 400 if it isn't a number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!(
                    "invalid value {text:?} of query option {name}: not a number"
                ))
            }),
        }
    }

    /// `dryRun`: `All` or nothing.
    ///
    /// # Errors
    /// 422 for other values.
    pub fn dry_run(&self) -> Result<bool, Failure> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let cause =
                    crate::failure::Cause::not_supported("dryRun", &other.into(), &["All".into()]);
                Err(Failure::invalid_options("CreateOptions", &[cause]))
            }
        }
    }
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let escaped = (byte == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (_, Some(value)) => {
                out.push(value);
                index += 3;
            }
            (b'+', None) => {
                out.push(b' ');
                index += 1;
            }
            (byte, None) => {
                out.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_decoded() {
        let query = Query::parse(
            "watch&fieldSelector=metadata.name%3Dx&labelSelector=a+in+(b)&limit=5&bad=%zz&force=false",
        );
        assert!(query.flag("watch").expect("a flag"));
        assert!(!query.flag("force").expect("a flag"));
        assert_eq!(query.get("fieldSelector"), "metadata.name=x");
        assert_eq!(query.get("labelSelector"), "a in (b)");
        assert_eq!(query.number("limit").expect("a number"), Some(5));
        assert_eq!(query.get("bad"), "%zz");
        assert!(Query::parse("limit=x").number("limit").is_err());
    }
}
