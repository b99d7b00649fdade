//! From codes and texts to classes. Pure.
//!
//! Upstream's server answers every failure of a publish with code UNKNOWN, so that only the text tells them apart; ours sends
//! the right code with the same text, or a Kubernetes Status as JSON.

use serde::Deserialize;
use tonic::{Code, Status};

use super::Error;

const WORKS: &str = "manifestworks.work.open-cluster-management.io";

/// What an error of a call about a thing means.
pub(crate) fn from_status(status: &Status, address: &str, name: &str) -> Error {
    let text = status.message();
    if let Some(error) = kubernetes(text, name) {
        return error;
    }
    if let Some(error) = by_text(text, name) {
        return error;
    }
    let message = || text.to_owned();
    if lost_connection(status) {
        return Error::unavailable(format!("{address}: {}", with_causes(status)));
    }
    match status.code() {
        Code::NotFound => not_found(name),
        Code::AlreadyExists => Error::AlreadyExists {
            resource: WORKS,
            name: name.to_owned(),
        },
        Code::Aborted => Error::Conflict {
            message: message(),
            latest: None,
        },
        Code::FailedPrecondition | Code::InvalidArgument => Error::invalid(text),
        Code::PermissionDenied => Error::Denied { message: message() },
        Code::Unauthenticated => Error::Unauthenticated { message: message() },
        Code::OutOfRange => Error::TooLarge { message: message() },
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
            Error::unavailable(format!("{address}: {}", with_causes(status)))
        }
        Code::Unimplemented => Error::protocol(format!(
            "{address} doesn't serve CloudEvents; is it the source service (port 8090)? {text}"
        )),
        _ => Error::Internal {
            message: format!("{address}: {}", with_causes(status)),
        },
    }
}

/// True if the connection broke under the call. The transport tells it with the codes of a server's own failures, but with a cause,
/// which nothing that a server says has.
fn lost_connection(status: &Status) -> bool {
    const WORDS: [&str; 6] = [
        "broken pipe",
        "connection reset",
        "connection closed",
        "connection aborted",
        "unexpected end of file",
        "stream closed",
    ];
    if !matches!(status.code(), Code::Unknown | Code::Internal) {
        return false;
    }
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string().to_ascii_lowercase();
        if error.is::<std::io::Error>() || WORDS.iter().any(|word| text.contains(word)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a REST error response means.
pub(crate) fn from_http(
    status: u16,
    body: &[u8],
    address: &str,
    resource: &'static str,
    name: &str,
) -> Error {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        code: String,
        #[serde(default)]
        reason: String,
    }
    let parsed: Option<Body> = serde_json::from_slice(body).ok();
    let known = parsed
        .as_ref()
        .filter(|body| body.code.starts_with("maestro-"));
    let reason = known.map_or_else(
        || format!("{address}: HTTP status {status}"),
        |body| {
            if body.reason.is_empty() {
                format!("{address}: HTTP status {status}")
            } else {
                body.reason.clone()
            }
        },
    );
    match status {
        // Gone is only what Maestro says is gone: another service at the address knows nothing about works.
        404 if known.is_some_and(|body| body.code == "maestro-7") => Error::NotFound {
            resource,
            name: name.to_owned(),
        },
        404 => Error::protocol(format!("{reason}; is this Maestro's REST API (port 8000)?")),
        401 => Error::Unauthenticated { message: reason },
        403 => Error::Denied { message: reason },
        409 if reason.contains("already exists") => Error::AlreadyExists {
            resource,
            name: name.to_owned(),
        },
        409 => Error::Conflict {
            message: reason,
            latest: None,
        },
        413 => Error::TooLarge { message: reason },
        400 | 422 => Error::invalid(reason),
        408 | 429 | 502..=504 => Error::unavailable(reason),
        500.. => Error::Internal { message: reason },
        _ => Error::protocol(reason),
    }
}

fn not_found(name: &str) -> Error {
    Error::NotFound {
        resource: WORKS,
        name: name.to_owned(),
    }
}

/// A Kubernetes Status inside the text: `{"ErrStatus":{"reason":"Conflict","code":409,...}}`.
fn kubernetes(text: &str, name: &str) -> Option<Error> {
    #[derive(Deserialize)]
    struct Wrapped {
        #[serde(rename = "ErrStatus")]
        status: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(default)]
        reason: String,
        #[serde(default)]
        message: String,
        #[serde(default)]
        code: i32,
    }
    if !text.starts_with('{') {
        return None;
    }
    let Inner {
        reason,
        message,
        code,
    } = serde_json::from_str::<Wrapped>(text).ok()?.status;
    if let Some(error) = by_text(&message, name) {
        return Some(error);
    }
    Some(match (reason.as_str(), code) {
        ("NotFound", _) | (_, 404) => not_found(name),
        ("AlreadyExists", _) => Error::AlreadyExists {
            resource: WORKS,
            name: name.to_owned(),
        },
        ("Conflict", _) | (_, 409) => Error::Conflict {
            message,
            latest: None,
        },
        ("Forbidden", _) | (_, 403) => Error::Denied { message },
        ("Unauthorized", _) | (_, 401) => Error::Unauthenticated { message },
        ("RequestEntityTooLarge", _) | (_, 413) => Error::TooLarge { message },
        ("ServiceUnavailable" | "Timeout" | "ServerTimeout" | "TooManyRequests", _)
        | (_, 429 | 502..=504) => Error::Unavailable { message },
        ("Invalid" | "BadRequest", _) | (_, 400..=499) => Error::invalid(message),
        _ => Error::Internal { message },
    })
}

/// Parts of texts about an event that breaks a rule.
const REFUSALS: [&str; 5] = [
    "maestro-8: ",
    "failed to decode cloudevent: ",
    "failed to convert to cloudevent: ",
    "failed to parse cloud event type",
    "unsupported action ",
];

/// Texts that both servers send, whatever the code.
fn by_text(text: &str, name: &str) -> Option<Error> {
    let message = || text.to_owned();
    let has = |part: &str| text.contains(part);
    Some(if has("maestro-6: This Resource already exists") {
        Error::AlreadyExists {
            resource: WORKS,
            name: name.to_owned(),
        }
    } else if let Some((_, rest)) = text.split_once("the resource version is not the latest") {
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        Error::Conflict {
            message: message(),
            latest: digits.parse().ok(),
        }
    } else if has("the resource is under deletion") {
        Error::Deleting { message: message() }
    } else if has("fk_resources_consumers") {
        Error::ConsumerNotFound {
            consumer: consumer_in(text).unwrap_or_default(),
        }
    } else if has("the size of manifests is") {
        Error::TooLarge { message: message() }
    } else if REFUSALS.iter().any(|part| has(part)) {
        Error::invalid(text)
    } else if has("maestro-7: ") {
        not_found(name)
    } else if has("unauthorized to publish") || has("unauthorized to subscribe") {
        Error::Denied { message: message() }
    } else if has("token not authenticated")
        || text == "invalid token"
        || text == "missing metadata"
    {
        Error::Unauthenticated { message: message() }
    } else if has("failed to authorize the request") {
        Error::Unavailable { message: message() }
    } else if has("message length too large") || has("received message larger than max") {
        Error::TooLarge { message: message() }
    } else {
        return None;
    })
}

/// `consumer "c" is not registered` names the consumer; upstream's text doesn't.
fn consumer_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("consumer \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// The status text and what caused it: "tcp connect error: Connection refused".
fn with_causes(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = if text.is_empty() {
                part
            } else {
                format!("{text}: {part}")
            };
        }
        cause = error.source();
    }
    if text.is_empty() {
        format!("{:?}", status.code())
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
