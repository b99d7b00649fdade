//! Create, get, list, patch, delete.

use std::collections::HashSet;

use hyperfleet_types::{List, NewResource, Resource, ResourcePatch};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{error::Error, transport::Client};

/// Largest page the API gives.
pub const MAX_PAGE_SIZE: u32 = 100;

/// Resources of one kind, perhaps below one parent.
pub struct Resources<'c> {
    client: &'c Client,
    base: String,
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Search expression, e.g. `labels.env='prod'`.
    pub search: Option<String>,
    /// Order, e.g. `name asc`; default: newest first.
    pub order: Option<String>,
    /// Page from 1; default 1.
    pub page: Option<u32>,
    /// Items per page, at most [`MAX_PAGE_SIZE`]; default 20.
    pub size: Option<u32>,
}

impl ListOptions {
    /// Lists what matches `search`.
    pub fn search(search: impl Into<String>) -> Self {
        Self {
            search: Some(search.into()),
            ..Self::default()
        }
    }

    fn query(&self) -> String {
        let pairs = [
            ("page", self.page.map(|page| page.to_string())),
            ("size", self.size.map(|size| size.to_string())),
            ("order", self.order.clone()),
            ("search", self.search.clone()),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        // Any base will do: only the encoded query is taken.
        Url::parse_with_params("http://query", pairs)
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl<'c> Resources<'c> {
    pub(crate) fn root(client: &'c Client, plural: &str) -> Self {
        Self {
            client,
            base: plural.to_owned(),
        }
    }

    pub(crate) fn nested(client: &'c Client, parents: &str, parent: &str, plural: &str) -> Self {
        Self {
            client,
            base: format!("{parents}/{}/{plural}", segment(parent)),
        }
    }

    fn item(&self, id: &str) -> String {
        format!("{}/{}", self.base, segment(id))
    }

    /// Creates a resource. Repeated only if the API can't have done it, so a lost answer is an error: look by name then.
    ///
    /// # Errors
    /// [`Class::AlreadyExists`](crate::Class::AlreadyExists) if a live resource has the name, and any other [`Error`].
    pub async fn create(&self, new: &NewResource) -> Result<Resource, Error> {
        let body = serde_json::to_value(new).map_err(|error| Error::Config(error.to_string()))?;
        self.client
            .request(Method::POST, &self.base, Some(body))
            .await?
            .json()
    }

    /// Gets one resource, also one that is being deleted.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if it is gone, and any other [`Error`].
    pub async fn get(&self, id: &str) -> Result<Resource, Error> {
        self.client
            .request(Method::GET, &self.item(id), None)
            .await?
            .json()
    }

    /// Gets one page.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn list(&self, options: &ListOptions) -> Result<List<Resource>, Error> {
        self.page(options).await
    }

    async fn page<T: DeserializeOwned>(&self, options: &ListOptions) -> Result<List<T>, Error> {
        let query = options.query();
        let path = if query.is_empty() {
            self.base.clone()
        } else {
            format!("{}?{query}", self.base)
        };
        self.client.request(Method::GET, &path, None).await?.json()
    }

    /// Gets all pages, oldest first so that what is created meanwhile comes at the end and shifts nothing. A resource that
    /// shows up on two pages is returned once.
    ///
    /// # Errors
    /// The first [`Error`] of any page; nothing is returned then.
    pub async fn list_all(&self, options: &ListOptions) -> Result<Vec<Resource>, Error> {
        self.pages(options, |resource: &Resource| Some(resource.id.clone()))
            .await
    }

    /// As [`Resources::list_all`], as JSON: one resource that this client does not understand does not hide the others.
    ///
    /// # Errors
    /// As [`Resources::list_all`].
    pub async fn list_all_json(&self, options: &ListOptions) -> Result<Vec<Value>, Error> {
        self.pages(options, |resource: &Value| {
            resource
                .get("id")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        options: &ListOptions,
        id: impl Fn(&T) -> Option<String>,
    ) -> Result<Vec<T>, Error> {
        let mut page = ListOptions {
            page: Some(1),
            order: Some("created_time asc".to_owned()),
            ..options.clone()
        };
        let mut all: Vec<T> = Vec::new();
        let mut seen = HashSet::new();
        let mut collected = 0_u64;
        loop {
            let list: List<T> = self.page(&page).await?;
            let empty = list.items.is_empty();
            collected += list.items.len() as u64;
            all.extend(
                list.items
                    .into_iter()
                    .filter(|resource| id(resource).is_none_or(|id| seen.insert(id))),
            );
            if empty || collected >= list.total {
                return Ok(all);
            }
            page.page = page.page.map(|number| number + 1);
        }
    }

    /// Replaces spec, labels or references whole.
    ///
    /// # Errors
    /// [`Class::Conflict`](crate::Class::Conflict) if it is being deleted, and any other [`Error`].
    pub async fn patch(&self, id: &str, patch: &ResourcePatch) -> Result<Resource, Error> {
        let body = serde_json::to_value(patch).map_err(|error| Error::Config(error.to_string()))?;
        self.client
            .request(Method::PATCH, &self.item(id), Some(body))
            .await?
            .json()
    }

    /// Asks for deletion; the resource stays until every adapter reports `Finalized`.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if it is gone, and any other [`Error`].
    pub async fn delete(&self, id: &str) -> Result<Resource, Error> {
        self.client
            .request(Method::DELETE, &self.item(id), None)
            .await?
            .json()
    }

    /// Removes a resource that is being deleted, with its children, without waiting for adapters.
    ///
    /// # Errors
    /// [`Class::Conflict`](crate::Class::Conflict) if deletion was not asked for before, and any other [`Error`].
    pub async fn force_delete(&self, id: &str, reason: &str) -> Result<(), Error> {
        let body: Value = json!({ "reason": reason });
        self.client
            .request(
                Method::POST,
                &format!("{}/force-delete", self.item(id)),
                Some(body),
            )
            .await?;
        Ok(())
    }
}

/// `text` as one path segment.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text.len() > 2)
        {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
