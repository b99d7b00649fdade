//! The verbs of the API over untyped objects.

use http::Method;
use serde_json::{Value, json};

use super::Client;
use super::options::{Apply, Delete, List, Listed, Patch, Write};
use crate::resource::encode;
use crate::watch::Selection;
use crate::{Error, Resource, object};

/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;

impl Client {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it isn't there; otherwise what the request met.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, Error> {
        self.get_path(&resource.object_path(namespace, name)?).await
    }

    /// Reads an object that may be absent.
    ///
    /// # Errors
    /// What the request met, other than "not found".
    pub async fn find(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        match self.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists one page.
    ///
    /// # Errors
    /// What the request met; [`Error::Expired`] if the continue token is too old.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &List,
    ) -> Result<Listed, Error> {
        let mut query = Query::default();
        query.maybe("labelSelector", options.labels.as_deref());
        query.maybe("fieldSelector", options.fields.as_deref());
        if options.limit > 0 {
            query.push("limit", &options.limit.to_string());
        }
        query.maybe("continue", options.continue_token.as_deref());
        let accept = if options.metadata_only {
            METADATA_LIST
        } else {
            JSON
        };
        let path = query.path(resource.collection_path(namespace)?);
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, accept)
            .body(Vec::new())
            .map_err(|error| Error::BadInput(error.to_string()))?;
        listed(self.send(request).await?, resource)
    }

    /// Lists everything, page by page.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub async fn list_all(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &List,
    ) -> Result<Listed, Error> {
        let mut options = options.clone();
        if options.limit == 0 {
            options.limit = PAGE_SIZE;
        }
        let mut all = self.list(resource, namespace, &options).await?;
        while let Some(token) = all.continue_token.take() {
            options.continue_token = Some(token);
            let page = self.list(resource, namespace, &options).await?;
            all.items.extend(page.items);
            all.resource_version = page.resource_version;
            all.continue_token = page.continue_token;
        }
        Ok(all)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Invalid`], or what else the request met.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
        options: &Write,
    ) -> Result<Value, Error> {
        let path = resource.collection_path(namespace)?;
        self.write(Method::POST, path, JSON, object, options).await
    }

    /// Replaces an object; `metadata.resourceVersion` guards against overwriting somebody else's write.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it changed meanwhile, or what else the request met.
    pub async fn replace(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        options: &Write,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)?;
        self.write(Method::PUT, path, JSON, object, options).await
    }

    /// Replaces the `status` of an object.
    ///
    /// # Errors
    /// As [`Client::replace`].
    pub async fn replace_status(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        options: &Write,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)? + "/status";
        self.write(Method::PUT, path, JSON, object, options).await
    }

    /// Server-side apply: creates the object, or merges it by field ownership.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`Error::field_conflicts`] if another manager holds a field, or what else
    /// the request met.
    pub async fn apply(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        options: &Apply,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)?;
        self.apply_at(path, object, options).await
    }

    /// Server-side apply of the `status` of an object.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn apply_status(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        options: &Apply,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)? + "/status";
        self.apply_at(path, object, options).await
    }

    async fn apply_at(
        &self,
        path: String,
        object: &Value,
        options: &Apply,
    ) -> Result<Value, Error> {
        let mut query = Query::default();
        query.push("fieldManager", &options.field_manager);
        query.push("force", if options.force { "true" } else { "false" });
        if options.dry_run {
            query.push("dryRun", "All");
        }
        let body =
            serde_json::to_vec(object).map_err(|error| Error::BadInput(error.to_string()))?;
        let request = http::Request::patch(query.path(path))
            .header(http::header::ACCEPT, JSON)
            .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(body)
            .map_err(|error| Error::BadInput(error.to_string()))?;
        self.send(request).await
    }

    /// Patches an object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] if the patch names a version that is gone, or what else the
    /// request met.
    pub async fn patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
        options: &Write,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)?;
        self.patch_at(path, patch, options).await
    }

    /// Patches the `status` of an object.
    ///
    /// # Errors
    /// As [`Client::patch`].
    pub async fn patch_status(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
        options: &Write,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)? + "/status";
        self.patch_at(path, patch, options).await
    }

    async fn patch_at(&self, path: String, patch: &Patch, options: &Write) -> Result<Value, Error> {
        let (content_type, body) = match patch {
            Patch::Merge(body) => ("application/merge-patch+json", body),
            Patch::Json(body) => ("application/json-patch+json", body),
            Patch::Strategic(body) => ("application/strategic-merge-patch+json", body),
        };
        self.write(Method::PATCH, path, content_type, body, options)
            .await
    }

    /// Deletes an object. Answers what the server says: the object while something still holds it, or a
    /// `Status`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] if a precondition doesn't hold, or what else the request met.
    pub async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        options: &Delete,
    ) -> Result<Value, Error> {
        let path = resource.object_path(namespace, name)?;
        let body = options.body().to_string().into_bytes();
        let request = http::Request::delete(path)
            .header(http::header::ACCEPT, JSON)
            .header(http::header::CONTENT_TYPE, JSON)
            .body(body)
            .map_err(|error| Error::BadInput(error.to_string()))?;
        self.send(request).await
    }

    /// The request that opens a watch of a collection from a version.
    pub(crate) fn watch_request(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selection: &Selection,
        from: &str,
        timeout_seconds: u32,
    ) -> Result<http::Request<Vec<u8>>, Error> {
        let mut query = Query::default();
        query.push("watch", "true");
        query.push("allowWatchBookmarks", "true");
        query.push("timeoutSeconds", &timeout_seconds.to_string());
        query.push("resourceVersion", from);
        query.maybe("labelSelector", selection.labels.as_deref());
        query.maybe("fieldSelector", selection.fields.as_deref());
        let accept = if selection.metadata_only {
            METADATA
        } else {
            JSON
        };
        http::Request::get(query.path(resource.collection_path(namespace)?))
            .header(http::header::ACCEPT, accept)
            .body(Vec::new())
            .map_err(|error| Error::BadInput(error.to_string()))
    }

    async fn write(
        &self,
        method: Method,
        path: String,
        content_type: &str,
        object: &Value,
        options: &Write,
    ) -> Result<Value, Error> {
        let mut query = Query::default();
        query.maybe(
            "fieldManager",
            Some(options.field_manager.as_str()).filter(|name| !name.is_empty()),
        );
        if options.dry_run {
            query.push("dryRun", "All");
        }
        let body =
            serde_json::to_vec(object).map_err(|error| Error::BadInput(error.to_string()))?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(query.path(path))
            .header(http::header::ACCEPT, JSON)
            .header(http::header::CONTENT_TYPE, content_type);
        if let Some(user) = &options.impersonate_user {
            request = request.header("Impersonate-User", user);
        }
        let request = request
            .body(body)
            .map_err(|error| Error::BadInput(error.to_string()))?;
        self.send(request).await
    }
}

const JSON: &str = "application/json";
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A query string; absent and empty stay absent.
#[derive(Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn push(&mut self, key: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&encode(value));
    }

    pub(crate) fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    pub(crate) fn path(self, path: String) -> String {
        path + &self.0
    }
}

/// Reads a list. Items of built-in kinds come without `apiVersion` and `kind`; they are filled in.
fn listed(mut answer: Value, resource: &Resource) -> Result<Listed, Error> {
    let metadata = &answer["metadata"];
    let resource_version = metadata["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let continue_token = metadata["continue"]
        .as_str()
        .filter(|token| !token.is_empty())
        .map(str::to_owned);
    let mut items = match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(_) => return Err(Error::Decode("the list has no array of items".to_owned())),
    };
    for item in &mut items {
        identify(item, resource);
    }
    Ok(Listed {
        items,
        resource_version,
        continue_token,
    })
}

/// Fills in `apiVersion` and `kind` where the server left them out, and undoes `PartialObjectMetadata`.
pub(crate) fn identify(item: &mut Value, resource: &Resource) {
    let partial = object::kind(item) == Some("PartialObjectMetadata");
    let Some(fields) = item.as_object_mut() else {
        return;
    };
    if partial || !fields.contains_key("kind") {
        fields.insert("kind".into(), json!(resource.gvk.kind));
    }
    if partial || !fields.contains_key("apiVersion") {
        fields.insert("apiVersion".into(), json!(resource.gvk.api_version()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let mut query = Query::default();
        query.push("labelSelector", "a=b,c in (d)");
        query.maybe("continue", None);
        query.push("limit", "5");
        assert_eq!(
            query.path("/x".into()),
            "/x?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=5"
        );
    }
}
