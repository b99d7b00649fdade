//! Works as the REST API shows them, of every source.

use jiff::Timestamp;
use manifestwork::{
    Condition, DeleteOption, Executor, Manifest, ManifestCondition, ManifestConfig, ManifestWork,
    ObjectMeta, PropagationPolicy, Spec, Status, Workload, constants::SEQUENCE_ID_ANNOTATION,
    serde_util::null_default, status::ResourceStatus,
};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, Error, rest::Call};

pub(crate) const RESOURCE: &str = "resource bundle";

/// A work as the REST API shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Resource id.
    #[serde(default, deserialize_with = "null_default")]
    pub id: String,
    /// Name of the row; the work's own name is in `metadata`.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Consumer that it is for.
    #[serde(default, deserialize_with = "null_default")]
    pub consumer_name: String,
    /// Version; grows with every change of the spec.
    #[serde(default, deserialize_with = "null_default")]
    pub version: i64,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When its spec or status changed last.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// When its deletion was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Metadata of the work as its source sent it.
    #[serde(default, deserialize_with = "null_default")]
    pub metadata: ObjectMeta,
    /// Manifests.
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Manifest>,
    /// Rules for single manifests.
    #[serde(default, deserialize_with = "null_default")]
    pub manifest_configs: Vec<ManifestConfig>,
    /// What happens to the objects at deletion.
    #[serde(default)]
    pub delete_option: Option<DeleteOption>,
    /// Whose rights are used; upstream's server doesn't tell.
    #[serde(
        rename = "executer",
        alias = "executor",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub executor: Option<Executor>,
    /// Whose work it is; upstream's server doesn't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What its agent said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<BundleStatus>,
}

/// Status as the REST API shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BundleStatus {
    /// Version that the status speaks about.
    #[serde(rename = "ObservedVersion", default, deserialize_with = "null_default")]
    pub observed_version: i64,
    /// Place among the status reports.
    #[serde(rename = "SequenceID", default, deserialize_with = "null_default")]
    pub sequence_id: String,
    /// Conditions of the whole work.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
    /// Status of each manifest.
    #[serde(rename = "resourceStatus", default, deserialize_with = "null_default")]
    pub resource_status: Vec<ManifestCondition>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default = "Vec::new", deserialize_with = "null_default")]
    pub(crate) items: Vec<T>,
}

// === impl Page ===

impl<T> Page<T> {
    /// Whether nothing comes after a page for which so many items were asked.
    ///
    /// Servers count the total apart from the items. What is created or deleted between the two makes it too small, so that a page
    /// that is full is never the last. One that isn't is the last unless the total says that the server gives less than was asked.
    pub(crate) fn is_last(&self, asked: u32) -> bool {
        let count = u64::try_from(self.items.len()).unwrap_or(u64::MAX);
        count == 0 || (count < u64::from(asked) && self.total <= count)
    }
}

// === impl Bundle ===

impl Bundle {
    /// Name of the work, or the id of one without a name.
    #[must_use]
    pub fn work_name(&self) -> &str {
        if self.metadata.name.is_empty() {
            &self.id
        } else {
            &self.metadata.name
        }
    }

    /// True once deletion was asked for.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.deleted_at.is_some() || self.metadata.deletion_timestamp.is_some()
    }
}

impl From<Bundle> for ManifestWork {
    fn from(bundle: Bundle) -> Self {
        let mut metadata = bundle.metadata;
        if metadata.name.is_empty() {
            metadata.name.clone_from(&bundle.id);
        }
        if metadata.namespace.is_empty() {
            metadata.namespace = bundle.consumer_name;
        }
        metadata.uid = bundle.id;
        metadata.generation = bundle.version;
        metadata.resource_version = bundle.version.to_string();
        metadata.creation_timestamp = metadata.creation_timestamp.or(bundle.created_at);
        metadata.deletion_timestamp = metadata.deletion_timestamp.or(bundle.deleted_at);
        let status = bundle.status.unwrap_or_default();
        if !status.sequence_id.is_empty() {
            metadata
                .annotations
                .insert(SEQUENCE_ID_ANNOTATION.to_owned(), status.sequence_id);
        }
        // The API shows an absent option as `{}`.
        let delete_option = bundle
            .delete_option
            .filter(|option| *option != DeleteOption::new(PropagationPolicy::Other(String::new())));
        Self {
            metadata,
            spec: Spec {
                workload: Workload {
                    manifests: bundle.manifests,
                },
                delete_option,
                manifest_configs: bundle.manifest_configs,
                executor: bundle.executor,
            },
            status: Status {
                conditions: status.conditions,
                resource_status: ResourceStatus {
                    manifests: status.resource_status,
                },
            },
            ..Self::default()
        }
    }
}

/// Works of every source, addressed by resource id.
#[derive(Clone, Debug)]
pub struct Bundles {
    client: Client,
}

/// A walk over all bundles that a search finds, page by page, each exactly once.
///
/// It walks by id (`id > last`), so that what is created or deleted meanwhile shifts nothing.
#[derive(Debug)]
pub struct Pages {
    client: Client,
    search: String,
    last: Option<String>,
    done: bool,
}

// === impl Bundles ===

impl Bundles {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A bundle by resource id.
    ///
    /// # Errors
    /// Not found, or the call failed.
    pub async fn get(&self, id: &str) -> Result<Bundle, Error> {
        let path = format!("/resource-bundles/{}", segment(id)?);
        self.client
            .shared
            .rest
            .json(self.call(Method::GET, path, id))
            .await
    }

    /// Asks for the deletion of a bundle. It stays visible until its agent has confirmed. Deleting again is fine.
    ///
    /// # Errors
    /// Not found, or the call failed.
    ///
    /// # Cancel safety
    /// A deletion that is dropped may have been asked for.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let path = format!("/resource-bundles/{}", segment(id)?);
        self.client
            .shared
            .rest
            .call(self.call(Method::DELETE, path, id))
            .await
            .map(drop)
    }

    /// All bundles that a search in the server's language finds; an empty search finds everything.
    #[must_use]
    pub fn search(&self, search: &str) -> Pages {
        Pages {
            client: self.client.clone(),
            search: search.to_owned(),
            last: None,
            done: false,
        }
    }

    /// All bundles of a consumer, of every source.
    ///
    /// # Errors
    /// A name that no consumer can have.
    pub fn of_consumer(&self, consumer: &str) -> Result<Pages, Error> {
        Ok(self.search(&format!(
            "consumer_name = '{}'",
            quotable("consumer", consumer)?
        )))
    }

    fn call<'a>(&'a self, method: Method, path: String, name: &'a str) -> Call<'a> {
        Call {
            method,
            path,
            query: Vec::new(),
            body: None,
            resource: RESOURCE,
            name,
            operation_id: self.client.operation_id(),
            trace: self.client.trace(),
        }
    }
}

// === impl Pages ===

impl Pages {
    /// The next page, never empty; none at the end. After an error the same page may be asked for again.
    ///
    /// # Errors
    /// The call failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the page is fetched again.
    pub async fn next(&mut self) -> Result<Option<Vec<Bundle>>, Error> {
        if self.done {
            return Ok(None);
        }
        let mut search = self.search.clone();
        if let Some(last) = &self.last {
            if !search.is_empty() {
                search.push_str(" and ");
            }
            search.push_str(&format!("id > '{}'", quotable("id", last)?));
        }
        let size = self.client.shared.config.page_size;
        let mut query = vec![
            ("page", "1".to_owned()),
            ("size", size.to_string()),
            ("orderBy", "id".to_owned()),
            // Keys beyond upstream's, such as the executor; upstream's server ignores it.
            ("view", "full".to_owned()),
        ];
        if !search.is_empty() {
            query.push(("search", search));
        }
        let page: Page<Bundle> = self
            .client
            .shared
            .rest
            .json(Call {
                method: Method::GET,
                path: "/resource-bundles".to_owned(),
                query,
                body: None,
                resource: RESOURCE,
                name: "",
                operation_id: self.client.operation_id(),
                trace: self.client.trace(),
            })
            .await?;
        self.done = page.is_last(size);
        match page.items.last() {
            None => return Ok(None),
            Some(item) => {
                in_circles(
                    self.last.as_deref(),
                    page.items.iter().map(|item| item.id.as_str()),
                )?;
                self.last = Some(item.id.clone());
            }
        }
        Ok(Some(page.items))
    }

    /// All remaining bundles at once: memory grows with their number.
    ///
    /// # Errors
    /// A call failed.
    pub async fn all(mut self) -> Result<Vec<Bundle>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// A server that ignores the order or the search would make us walk in circles. What comes after what is the database's choice
/// (its collation), so only a last id that comes again shows it.
pub(crate) fn in_circles<'a>(
    last: Option<&str>,
    mut ids: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    match last {
        Some(last) if ids.any(|id| id == last) => Err(Error::protocol(
            "the server ignores search or order of a list: a page holds what an earlier one held",
        )),
        _ => Ok(()),
    }
}

/// An id as a part of a path: letters, digits, `-`, `.`, `_` only.
pub(crate) fn segment(id: &str) -> Result<&str, Error> {
    quotable("id", id)
}

/// Text that is safe inside quotes of a search and as a part of a path.
pub(crate) fn quotable<'a>(what: &str, text: &'a str) -> Result<&'a str, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() {
        return Err(Error::invalid(format!("{what} is empty")));
    }
    if text.len() > 253 {
        return Err(Error::invalid(format!(
            "{what} is too long: {} characters (max 253)",
            text.len()
        )));
    }
    if let Some(bad) = text
        .chars()
        .find(|character| !u8::try_from(*character).is_ok_and(plain))
    {
        return Err(Error::invalid(format!(
            "{what} {text:?}: invalid character '{bad}', only alphanumeric, hyphens, underscores, and dots allowed"
        )));
    }
    if text == "." || text == ".." {
        return Err(Error::invalid(format!("{what} {text:?} is no name")));
    }
    Ok(text)
}
