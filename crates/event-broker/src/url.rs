//! From a URL to a broker.

use std::sync::Arc;

use crate::{Broker, Error, MemoryBroker};

/// Opens the broker that `url` names: `memory://` is a new one inside this process.
///
/// # Errors
/// [`Error::Unsupported`] for brokers that this build has no driver for, [`Error::Invalid`] for anything else
/// that is not a broker URL. Credentials in the URL are never repeated.
pub fn connect(url: &str) -> Result<Arc<dyn Broker>, Error> {
    let Some((scheme, _)) = url.split_once("://") else {
        return Err(Error::Invalid(
            "broker URL has no scheme: expected memory://, amqp://host or pubsub://project".into(),
        ));
    };
    match scheme {
        "memory" => Ok(MemoryBroker::new()),
        "amqp" | "amqps" => Err(missing(scheme, "RabbitMQ")),
        "pubsub" | "googlepubsub" => Err(missing(scheme, "Google Pub/Sub")),
        other => Err(Error::Invalid(format!(
            "unsupported broker type: {other} (known: memory, amqp, amqps, pubsub)"
        ))),
    }
}

fn missing(scheme: &str, name: &str) -> Error {
    Error::Unsupported(format!(
        "broker {scheme}://: this build has no {name} driver; use memory:// with all parts in one process"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_a_driver_say_so_without_repeating_credentials() {
        assert!(connect("memory://").is_ok());
        for (url, text) in [
            ("amqp://user:hunter2@rabbit:5672/", "RabbitMQ"),
            ("amqps://user:hunter2@rabbit:5672/", "RabbitMQ"),
            ("pubsub://project", "Pub/Sub"),
            ("kafka://hunter2@x", "unsupported broker type: kafka"),
            ("hunter2", "no scheme"),
        ] {
            let Err(error) = connect(url) else {
                panic!("{url} was accepted")
            };
            let error = error.to_string();
            assert!(error.contains(text), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
