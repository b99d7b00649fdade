//! Recorded answers of the API.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use crate::api::{Api, Error as ApiError, Request, Response, url};
use crate::config::deployment::HyperfleetApi;

/// Answers by method and path, in the order of the file. Unmatched calls are answered 200 `{}`.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    /// `*` = any.
    method: String,
    pattern: Regex,
    answers: Vec<Answer>,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    body: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    responses: Vec<FileEndpoint>,
}

#[derive(Deserialize)]
struct FileEndpoint {
    #[serde(rename = "match", default)]
    matching: FileMatch,
    #[serde(default)]
    responses: Vec<FileAnswer>,
}

#[derive(Deserialize, Default)]
struct FileMatch {
    #[serde(default)]
    method: String,
    #[serde(rename = "urlPattern", default)]
    url_pattern: String,
}

#[derive(Deserialize)]
struct FileAnswer {
    #[serde(rename = "statusCode", default)]
    status_code: u16,
    #[serde(default)]
    body: Option<Value>,
}

impl Answers {
    /// Reads `{"responses": [{"match": {"method", "urlPattern"}, "responses": [{"statusCode", "body"}]}]}`.
    ///
    /// # Errors
    /// Malformed JSON, an endpoint without responses or pattern, a pattern that is no regular expression.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let invalid = |why: String| Error(format!("dryrun responses file {name:?}: {why}"));
        let file: File = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let mut endpoints = Vec::with_capacity(file.responses.len());
        for (index, endpoint) in file.responses.into_iter().enumerate() {
            let FileMatch {
                method,
                url_pattern,
            } = endpoint.matching;
            if url_pattern.is_empty() {
                return Err(invalid(format!("endpoint {index} has empty urlPattern")));
            }
            if endpoint.responses.is_empty() {
                return Err(invalid(format!(
                    "endpoint {index} has no responses defined"
                )));
            }
            let pattern = Regex::new(&url_pattern).map_err(|error| {
                invalid(format!(
                    "endpoint {index}: invalid urlPattern {url_pattern:?}: {error}"
                ))
            })?;
            let answers = endpoint
                .responses
                .into_iter()
                .map(|answer| Answer {
                    status: if answer.status_code == 0 {
                        200
                    } else {
                        answer.status_code
                    },
                    body: answer
                        .body
                        .map_or_else(|| "{}".to_owned(), |body| body.to_string()),
                })
                .collect();
            endpoints.push(Endpoint {
                method,
                pattern,
                answers,
            });
        }
        Ok(Self { endpoints })
    }

    pub(super) fn for_api(self, api: &HyperfleetApi) -> RecordedApi {
        let given = self.endpoints.iter().map(|_| AtomicUsize::new(0)).collect();
        RecordedApi {
            answers: self,
            given,
            base_url: api.base_url.clone(),
            version: api.version.clone(),
        }
    }
}

pub(super) struct RecordedApi {
    answers: Answers,
    /// How many answers each endpoint has given.
    given: Vec<AtomicUsize>,
    base_url: String,
    version: String,
}

#[async_trait]
impl Api for RecordedApi {
    async fn call(&self, request: &Request) -> Result<Response, ApiError> {
        let method = request.method.as_str();
        let path = url::resolve(
            &self.base_url,
            &self.version,
            &request.url,
            request.older_paths,
        )
        .path;
        let found = self
            .answers
            .endpoints
            .iter()
            .zip(&self.given)
            .find(|(endpoint, _)| {
                (endpoint.method == "*" || endpoint.method == method)
                    && endpoint.pattern.is_match(&path)
            });
        let Some((endpoint, given)) = found else {
            return Ok(Response {
                status: 200,
                body: "{}".into(),
            });
        };
        // In sequence; the last one repeats.
        let index = given
            .fetch_add(1, Ordering::Relaxed)
            .min(endpoint.answers.len().saturating_sub(1));
        let Some(answer) = endpoint.answers.get(index) else {
            return Ok(Response {
                status: 200,
                body: "{}".into(),
            });
        };
        let Answer { status, body } = answer.clone();
        if (200..300).contains(&status) {
            Ok(Response { status, body })
        } else {
            Err(ApiError::Status {
                method,
                path,
                status,
                body,
                attempts: 1,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(text: &str) -> RecordedApi {
        let settings = crate::config::Config::default().clients.hyperfleet_api;
        Answers::parse("f", text).unwrap().for_api(&HyperfleetApi {
            base_url: "http://h".into(),
            ..settings
        })
    }

    #[tokio::test]
    async fn answers_come_in_sequence_and_the_last_repeats() {
        let api = api(r#"{"responses":[
              {"match":{"method":"GET","urlPattern":"/clusters/[^/]+$"},
               "responses":[{"statusCode":200,"body":{"n":1}},{"statusCode":404}]},
              {"match":{"method":"*","urlPattern":"/statuses"},"responses":[{"statusCode":0,"body":[1]}]}]}"#);
        let get = async |url: &str| api.call(&Request::get(url)).await;
        assert_eq!(get("clusters/1").await.unwrap().body, r#"{"n":1}"#);
        assert!(get("clusters/1").await.unwrap_err().is_object_gone());
        assert!(get("clusters/1").await.unwrap_err().is_object_gone());
        assert_eq!(get("clusters/1/statuses").await.unwrap().body, "[1]");
        assert_eq!(get("other").await.unwrap().body, "{}");
    }

    #[test]
    fn malformed_files_say_where() {
        for (text, part) in [
            ("{", "EOF"),
            (
                r#"{"responses":[{"match":{"urlPattern":"x"}}]}"#,
                "endpoint 0 has no responses defined",
            ),
            (
                r#"{"responses":[{"responses":[{}]}]}"#,
                "endpoint 0 has empty urlPattern",
            ),
            (
                r#"{"responses":[{"match":{"urlPattern":"["},"responses":[{}]}]}"#,
                "endpoint 0: invalid urlPattern \"[\"",
            ),
        ] {
            let error = Answers::parse("f.json", text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("f.json"), "{error}");
        }
    }
}
