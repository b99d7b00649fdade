//! Consumers: the clusters that works are for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use manifestwork::serde_util::null_default;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Client, Error,
    bundle::{Page, in_circles, quotable, segment},
    rest::Call,
};

const RESOURCE: &str = "consumer";

/// A registered cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Id.
    #[serde(default, deserialize_with = "null_default")]
    pub id: String,
    /// Name; never changes.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Labels.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

/// The consumers of a server.
#[derive(Clone, Debug)]
pub struct Consumers {
    client: Client,
}

// === impl Consumers ===

impl Consumers {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All consumers, by id.
    ///
    /// # Errors
    /// A call failed.
    pub async fn list(&self) -> Result<Vec<Consumer>, Error> {
        let mut all: Vec<Consumer> = Vec::new();
        loop {
            let search = match all.last() {
                None => String::new(),
                Some(last) => format!("id > '{}'", quotable("id", &last.id)?),
            };
            let page = self.page(search).await?;
            in_circles(
                all.last().map(|last| last.id.as_str()),
                page.items.iter().map(|item| item.id.as_str()),
            )?;
            let last = page.is_last(self.client.shared.config.page_size);
            all.extend(page.items);
            if last {
                return Ok(all);
            }
        }
    }

    /// A consumer by name.
    ///
    /// # Errors
    /// Not found, a name that no consumer can have, or the call failed.
    pub async fn get(&self, name: &str) -> Result<Consumer, Error> {
        let search = format!("name = '{}'", quotable("consumer", name)?);
        let found = self
            .page(search)
            .await?
            .items
            .into_iter()
            .find(|consumer| consumer.name == name);
        found.ok_or_else(|| Error::NotFound {
            resource: RESOURCE,
            name: name.to_owned(),
        })
    }

    /// Registers a consumer.
    ///
    /// # Errors
    /// The name is taken or malformed, or the call failed. After [`Error::Timeout`] it may be registered all the same.
    ///
    /// # Cancel safety
    /// A registration that is dropped may have happened.
    pub async fn create(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Consumer, Error> {
        let body = json!({ "name": name, "labels": labels });
        self.client
            .shared
            .rest
            .json(self.call(Method::POST, "/consumers".to_owned(), name, Some(body)))
            .await
    }

    /// Replaces the labels of a consumer.
    ///
    /// # Errors
    /// Not found, or the call failed.
    pub async fn set_labels(
        &self,
        id: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Consumer, Error> {
        let path = format!("/consumers/{}", segment(id)?);
        self.client
            .shared
            .rest
            .json(self.call(Method::PATCH, path, id, Some(json!({ "labels": labels }))))
            .await
    }

    /// Removes a consumer that has no works left.
    ///
    /// # Errors
    /// It still has works, or the call failed. An unknown id is no error.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let path = format!("/consumers/{}", segment(id)?);
        self.client
            .shared
            .rest
            .call(self.call(Method::DELETE, path, id, None))
            .await
            .map(drop)
    }

    async fn page(&self, search: String) -> Result<Page<Consumer>, Error> {
        let size = self.client.shared.config.page_size.to_string();
        let mut call = self.call(Method::GET, "/consumers".to_owned(), "", None);
        call.query = vec![
            ("page", "1".to_owned()),
            ("size", size),
            ("orderBy", "id".to_owned()),
        ];
        if !search.is_empty() {
            call.query.push(("search", search));
        }
        self.client.shared.rest.json(call).await
    }

    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        name: &'a str,
        body: Option<serde_json::Value>,
    ) -> Call<'a> {
        Call {
            method,
            path,
            query: Vec::new(),
            body,
            resource: RESOURCE,
            name,
            operation_id: self.client.operation_id(),
            trace: self.client.trace(),
        }
    }
}
