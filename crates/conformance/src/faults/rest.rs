//! Reading and deleting over REST.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::history::{Answer, Call, Outcome, Row};
use super::place::Place;
use super::wire;

/// Rows on a page of a walk: small, so that walks have many pages.
const PAGE: usize = 20;
/// How long the registration of a cluster is tried, seconds.
const REGISTER: f64 = 30.0;
/// Pages of a walk, at most.
const PAGES: usize = 2000;
const BUNDLES: &str = "/api/maestro/v1/resource-bundles";

/// A client of all servers.
#[derive(Clone, Debug)]
pub struct Rest {
    place: Place,
    http: reqwest::Client,
}

impl Rest {
    /// A client.
    ///
    /// # Errors
    /// When the HTTP client can't be made.
    pub fn new(place: &Place) -> anyhow::Result<Self> {
        service_runtime::install_crypto_provider();
        let http = reqwest::Client::builder()
            .timeout(place.patience(5.0))
            .connect_timeout(Duration::from_secs(2))
            .build()?;
        let place = place.clone();
        Ok(Self { place, http })
    }

    fn url(&self, server: usize, path: &str) -> String {
        let address = self.place.servers.get(server).map_or("", |of| &of.rest);
        format!("http://{address}{path}")
    }

    async fn fetch(&self, url: reqwest::Url) -> Result<(u16, Value), String> {
        let failed = |error: reqwest::Error| format!("{:#}", anyhow::Error::new(error));
        let response = self.http.get(url).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(failed)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Reads a work, on the record.
    pub async fn get(&self, actor: &str, server: usize, id: &str) -> Option<Row> {
        let recorder = &self.place.recorder;
        let op = recorder.invoke(actor, Call::Get { id: id.to_owned() });
        let url = self.url(server, &format!("{BUNDLES}/{id}"));
        let answer = match url.parse() {
            Ok(url) => self.fetch(url).await,
            Err(error) => Err(format!("{error}")),
        };
        let outcome = match answer {
            Ok((200, body)) => match wire::row(&body) {
                Some(row) => Outcome::Ok {
                    answer: Answer::Row(Some(row)),
                },
                None => Outcome::Unknown {
                    text: format!("an answer that isn't a work: {body}"),
                },
            },
            Ok((404, body)) if body.get("code").is_some_and(|code| code == "maestro-7") => {
                Outcome::Ok {
                    answer: Answer::Row(None),
                }
            }
            Ok((status, body)) => Outcome::Unknown {
                text: format!("{status} {body}"),
            },
            Err(text) => Outcome::Unknown { text },
        };
        recorder.finish(op, outcome.clone());
        match outcome {
            Outcome::Ok {
                answer: Answer::Row(row),
            } => row,
            _ => None,
        }
    }

    /// Asks for a deletion, on the record.
    pub async fn delete(&self, actor: &str, server: usize, id: &str, life: u32) -> Outcome {
        let recorder = &self.place.recorder;
        let id = id.to_owned();
        let url = self.url(server, &format!("{BUNDLES}/{id}"));
        let op = recorder.invoke(actor, Call::Delete { id, life });
        let outcome = match self.http.delete(url).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let text = response.text().await.unwrap_or_default();
                match status {
                    200..=299 => Outcome::done(),
                    404 => Outcome::Refused {
                        code: "NotFound".to_owned(),
                        text,
                    },
                    _ => Outcome::Unknown {
                        text: format!("{status} {text}"),
                    },
                }
            }
            Err(error) => Outcome::Unknown {
                text: format!("{:#}", anyhow::Error::new(error)),
            },
        };
        recorder.finish(op, outcome.clone());
        outcome
    }

    /// Walks the works of a source by `id > last`; rows as they are shown on the way.
    ///
    /// # Errors
    /// The first page that didn't come.
    pub async fn rows(&self, server: usize, source: &str) -> Result<Vec<Row>, String> {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..PAGES {
            let search = match rows.last() {
                Some(row) => format!("source = '{source}' and id > '{}'", row.id),
                None => format!("source = '{source}'"),
            };
            let size = PAGE.to_string();
            let parameters = [
                ("orderBy", "id"),
                ("size", &*size),
                ("search", &*search),
                ("page", "1"),
            ];
            let url = reqwest::Url::parse_with_params(&self.url(server, BUNDLES), parameters)
                .map_err(|error| error.to_string())?;
            let (status, body) = self.fetch(url).await?;
            let items = body.get("items").and_then(Value::as_array);
            let Some(items) = items.filter(|_| status == 200) else {
                return Err(format!("{status} {body}"));
            };
            rows.extend(items.iter().filter_map(wire::row));
            if items.len() < PAGE {
                return Ok(rows);
            }
        }
        Err(format!("a list of {PAGES} pages"))
    }

    /// The same on the record, for what it says about lists.
    pub async fn walk(&self, actor: &str, server: usize, source: &str) {
        let recorder = &self.place.recorder;
        let op = recorder.invoke(
            actor,
            Call::Walk {
                source: source.to_owned(),
            },
        );
        let outcome = match self.rows(server, source).await {
            Ok(rows) => Outcome::Ok {
                answer: Answer::Ids(rows.into_iter().map(|row| row.id).collect()),
            },
            Err(text) => Outcome::Unknown { text },
        };
        recorder.finish(op, outcome);
    }

    /// Registers a cluster; one that is there already is fine. A server that has just started may need a while.
    ///
    /// # Errors
    /// No answer for long, or a refusal.
    pub async fn register(&self, server: usize, cluster: &str) -> anyhow::Result<()> {
        let url = self.url(server, "/api/maestro/v1/consumers");
        let body = serde_json::json!({"name": cluster}).to_string();
        let deadline = Instant::now() + self.place.patience(REGISTER);
        loop {
            let answer = self.http.post(&url).body(body.clone()).send().await;
            match answer {
                Ok(response) => {
                    let status = response.status().as_u16();
                    if matches!(status, 201 | 409) {
                        return Ok(());
                    }
                    let text = response.text().await.unwrap_or_default();
                    anyhow::ensure!(
                        status >= 500 && Instant::now() < deadline,
                        "register {cluster}: {status} {text}"
                    );
                }
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
