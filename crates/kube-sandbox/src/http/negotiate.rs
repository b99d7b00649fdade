//! What form of answer a client wants.

use crate::failure::Failure;

/// Media types that are served.
const SERVED: &str = "application/json, application/yaml";

/// A form of objects and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The objects themselves.
    Json,
    /// The objects themselves, as YAML.
    Yaml,
    /// Rows for people.
    Table,
    /// `metadata` only.
    Metadata,
}

/// One entry of an `Accept` header.
struct Range<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Range<'_> {
    fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
            .unwrap_or_default()
    }
}

fn ranges(accept: &str) -> impl Iterator<Item = Range<'_>> {
    accept.split(',').map(|entry| {
        let mut pieces = entry.split(';').map(str::trim);
        let media_type = pieces.next().unwrap_or_default();
        let parameters = pieces.filter_map(|piece| piece.split_once('=')).collect();
        Range {
            media_type,
            parameters,
        }
    })
}

/// The first acceptable form.
///
/// # Errors
/// 406 if there is none.
pub fn form(accept: &str) -> Result<Form, Failure> {
    if accept.trim().is_empty() {
        return Ok(Form::Json);
    }
    for range in ranges(accept) {
        match range.media_type {
            "application/json" | "*/*" | "application/*" => match range.parameter("as") {
                "" => return Ok(Form::Json),
                "Table" if range.parameter("g") == "meta.k8s.io" => return Ok(Form::Table),
                "PartialObjectMetadata" | "PartialObjectMetadataList"
                    if range.parameter("g") == "meta.k8s.io" =>
                {
                    return Ok(Form::Metadata);
                }
                _ => {}
            },
            "application/yaml" => return Ok(Form::Yaml),
            _ => {}
        }
    }
    Err(Failure::not_acceptable(SERVED))
}

/// Whether an aggregated discovery document is wanted before a plain one.
pub fn wants_aggregated(accept: &str) -> bool {
    ranges(accept)
        .find(|range| {
            matches!(
                range.media_type,
                "application/json" | "*/*" | "application/*"
            )
        })
        .is_some_and(|range| {
            range.parameter("as") == "APIGroupDiscoveryList"
                && range.parameter("g") == "apidiscovery.k8s.io"
                && range.parameter("v") == "v2"
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(form(kubectl), Ok(Form::Table));
        assert_eq!(form("application/json, */*"), Ok(Form::Json));
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Ok(Form::Json)
        );
        assert_eq!(form(""), Ok(Form::Json));
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Form::Metadata)
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf")
                .expect_err("protobuf")
                .code,
            406
        );
    }

    #[test]
    fn aggregated_discovery_only_if_asked_for_first() {
        assert!(wants_aggregated(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        ));
        assert!(!wants_aggregated(
            "application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        ));
        assert!(!wants_aggregated(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        ));
    }
}
