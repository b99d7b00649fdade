//! Which broker: a flag, a variable, or the file and variables of upstream's broker library.

use std::collections::BTreeMap;

use serde_json::Value;

/// Largest broker file, in bytes (1 MiB).
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The broker inside of this process.
const MEMORY: &str = "memory://";

/// The URL of the broker, and the parallelism if the broker config sets one.
pub(super) struct Broker {
    pub(super) url: String,
    pub(super) parallelism: Option<i64>,
}

/// Flag > `HYPERFLEET_BROKER_URL` > broker variables > broker file > `memory://`.
pub(super) fn choose(
    flag: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Broker, String> {
    let variable = |name: &str| {
        environment
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    };
    let file = match variable("BROKER_CONFIG_FILE") {
        Some(path) => read(&path)?,
        None => Value::Null,
    };
    let key = |name: &str, pointer: &str| {
        variable(name).or_else(|| {
            file.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
    };
    let parallelism = file
        .pointer("/subscriber/parallelism")
        .and_then(Value::as_i64);
    if let Some(url) = flag.or_else(|| variable("HYPERFLEET_BROKER_URL")) {
        return Ok(Broker { url, parallelism });
    }
    let kind = key("BROKER_TYPE", "/broker/type").unwrap_or_default();
    let url = match kind.as_str() {
        "" | "memory" => MEMORY.to_owned(),
        "rabbitmq" => key("BROKER_RABBITMQ_URL", "/broker/rabbitmq/url")
            .ok_or("invalid configuration: rabbitmq.url is required")?,
        "googlepubsub" => {
            let project = key(
                "BROKER_GOOGLEPUBSUB_PROJECT_ID",
                "/broker/googlepubsub/project_id",
            )
            .ok_or("invalid configuration: googlepubsub.project_id is required")?;
            format!("pubsub://{project}")
        }
        other => {
            return Err(format!(
                "invalid configuration: unsupported broker type: {other}"
            ));
        }
    };
    Ok(Broker { url, parallelism })
}

fn read(path: &str) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("broker config file {path:?}: {error}");
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // A missing file is fine, as upstream: the variables may say everything.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(failed(error)),
    };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(format!(
            "broker config file {path:?} is larger than {MAX_FILE_BYTES} bytes"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    go_compat::yaml::from_str_config(&text)
        .map_err(|error| format!("broker config file {path:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        choose(flag.map(str::to_owned), &environment).map(|broker| broker.url)
    }

    #[test]
    fn the_broker_comes_from_where_upstream_looks() {
        assert_eq!(url(None, &[]).unwrap(), "memory://");
        assert_eq!(
            url(
                Some("amqp://flag"),
                &[("HYPERFLEET_BROKER_URL", "amqp://env")]
            )
            .unwrap(),
            "amqp://flag"
        );
        assert_eq!(
            url(None, &[("HYPERFLEET_BROKER_URL", "amqp://env")]).unwrap(),
            "amqp://env"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.yaml");
        std::fs::write(&path, "broker: {type: rabbitmq, rabbitmq: {url: 'amqp://file'}}\nsubscriber: {parallelism: 4}\n").unwrap();
        let file = ("BROKER_CONFIG_FILE", path.to_str().unwrap());
        assert_eq!(url(None, &[file]).unwrap(), "amqp://file");
        assert_eq!(
            url(None, &[file, ("BROKER_RABBITMQ_URL", "amqp://variable")]).unwrap(),
            "amqp://variable"
        );
        assert_eq!(
            url(
                None,
                &[
                    file,
                    ("BROKER_TYPE", "googlepubsub"),
                    ("BROKER_GOOGLEPUBSUB_PROJECT_ID", "p")
                ]
            )
            .unwrap(),
            "pubsub://p"
        );
        let environment =
            BTreeMap::from([("BROKER_CONFIG_FILE".to_owned(), path.display().to_string())]);
        assert_eq!(choose(None, &environment).unwrap().parallelism, Some(4));
        assert_eq!(
            url(None, &[("BROKER_CONFIG_FILE", "/nope")]).unwrap(),
            "memory://"
        );
        for (variables, part) in [
            ([("BROKER_TYPE", "kafka")], "unsupported broker type: kafka"),
            ([("BROKER_TYPE", "rabbitmq")], "rabbitmq.url is required"),
            (
                [("BROKER_TYPE", "googlepubsub")],
                "googlepubsub.project_id is required",
            ),
        ] {
            assert!(url(None, &variables).unwrap_err().contains(part));
        }
    }
}
