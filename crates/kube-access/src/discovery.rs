//! What the server serves, remembered per group and version, asked again on a miss.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::resource::{join_api_version, segment, split_api_version};
use crate::{Client, Error, Gvk, Resource};

/// Kinds by `group/version`. Known kinds are kept; a missing one is looked up each time it is asked for.
#[derive(Default)]
pub(crate) struct Cache {
    served: RwLock<HashMap<String, Arc<Vec<Resource>>>>,
}

impl Cache {
    pub(crate) async fn resolve(
        &self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, Error> {
        let is_it = |resource: &&Resource| resource.gvk.kind == kind;
        if let Some(found) = self
            .known(api_version)
            .and_then(|kinds| kinds.iter().find(is_it).cloned())
        {
            return Ok(found);
        }
        let kinds = self.fetch(client, api_version, kind).await?;
        kinds
            .iter()
            .find(is_it)
            .cloned()
            .ok_or_else(|| no_such_kind(api_version, kind))
    }

    pub(crate) async fn resolve_plural(
        &self,
        client: &Client,
        group: &str,
        plural: &str,
    ) -> Result<Resource, Error> {
        let is_it = |resource: &&Resource| resource.plural == plural;
        if let Some(found) = self.known_in_group(group, plural) {
            return Ok(found);
        }
        let mut versions = Vec::new();
        let mut last_error = None;
        if group.is_empty() {
            versions.push("v1".to_owned());
        } else {
            match client
                .get_path(&format!("/apis/{}", segment("group", group)?))
                .await
            {
                Ok(answer) => versions.extend(group_versions(&answer)),
                Err(Error::NotFound(_)) => return Err(no_such_kind(group, plural)),
                Err(error) => return Err(error),
            }
        }
        for version in versions {
            let api_version = join_api_version(group, &version);
            match self.fetch(client, &api_version, plural).await {
                Ok(kinds) => {
                    if let Some(found) = kinds.iter().find(is_it) {
                        return Ok(found.clone());
                    }
                }
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error
            .filter(|error| !error.is_no_such_kind())
            .unwrap_or_else(|| no_such_kind(group, plural)))
    }

    pub(crate) fn clear(&self) {
        self.served
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn known(&self, api_version: &str) -> Option<Arc<Vec<Resource>>> {
        self.served
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(api_version)
            .cloned()
    }

    /// A kind of the group by its plural, in any version that was looked at before.
    fn known_in_group(&self, group: &str, plural: &str) -> Option<Resource> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<&Resource> = served
            .iter()
            .filter(|(api_version, _)| split_api_version(api_version).0 == group)
            .flat_map(|(_, kinds)| kinds.iter())
            .filter(|kind| kind.plural == plural)
            .collect();
        found.sort_by(|left, right| left.gvk.version.cmp(&right.gvk.version));
        found.first().map(|kind| (*kind).clone())
    }

    async fn fetch(
        &self,
        client: &Client,
        api_version: &str,
        wanted: &str,
    ) -> Result<Arc<Vec<Resource>>, Error> {
        let (group, version) = split_api_version(api_version);
        if version.is_empty() {
            return Err(no_such_kind(api_version, wanted));
        }
        let path = match group {
            "" => format!("/api/{}", segment("version", version)?),
            group => format!(
                "/apis/{}/{}",
                segment("group", group)?,
                segment("version", version)?
            ),
        };
        let answer = match client.get_path(&path).await {
            Ok(answer) => answer,
            Err(Error::NotFound(_)) => return Err(no_such_kind(api_version, wanted)),
            Err(error) => return Err(error),
        };
        let kinds = Arc::new(parse(&answer, group, version));
        self.served
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(api_version.to_owned(), Arc::clone(&kinds));
        Ok(kinds)
    }
}

fn no_such_kind(api_version: &str, kind: &str) -> Error {
    Error::NoSuchKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}

/// The versions of an `APIGroup`, preferred first.
fn group_versions(group: &Value) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    let preferred = group["preferredVersion"]["version"].as_str();
    let all = group["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for version in preferred
        .into_iter()
        .chain(all.iter().filter_map(|entry| entry["version"].as_str()))
    {
        if !versions.iter().any(|have| have == version) {
            versions.push(version.to_owned());
        }
    }
    versions
}

/// Reads an `APIResourceList`; entries such as `deployments/status` become subresources.
fn parse(list: &Value, group: &str, version: &str) -> Vec<Resource> {
    let entries = list["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let mut kinds: Vec<Resource> = entries
        .iter()
        .filter_map(|entry| {
            let plural = entry["name"].as_str().filter(|name| !name.contains('/'))?;
            Some(Resource {
                gvk: Gvk {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: entry["kind"].as_str()?.to_owned(),
                },
                plural: plural.to_owned(),
                namespaced: entry["namespaced"].as_bool().unwrap_or(false),
                verbs: strings(&entry["verbs"]),
                subresources: Vec::new(),
            })
        })
        .collect();
    for entry in entries {
        let Some((plural, subresource)) = entry["name"].as_str().and_then(|n| n.split_once('/'))
        else {
            continue;
        };
        if let Some(resource) = kinds.iter_mut().find(|kind| kind.plural == plural) {
            resource.subresources.push(subresource.to_owned());
        }
    }
    kinds
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subresources_join_their_kind() {
        let kinds = parse(
            &json!({"resources": [
                {"name": "hostedclusters", "kind": "HostedCluster", "namespaced": true, "verbs": ["get", "patch"]},
                {"name": "hostedclusters/status", "kind": "HostedCluster", "namespaced": true, "verbs": ["get"]},
                {"name": 7}, "junk",
            ]}),
            "hypershift.openshift.io",
            "v1beta1",
        );
        assert_eq!(kinds.len(), 1);
        assert!(kinds[0].has_subresource("status"));
        assert!(kinds[0].namespaced);
        assert_eq!(
            kinds[0].gvk.api_version(),
            "hypershift.openshift.io/v1beta1"
        );
    }

    #[test]
    fn preferred_version_first() {
        let group = json!({"preferredVersion": {"version": "v1"}, "versions": [{"version": "v2beta1"}, {"version": "v1"}]});
        assert_eq!(group_versions(&group), ["v1", "v2beta1"]);
    }
}
