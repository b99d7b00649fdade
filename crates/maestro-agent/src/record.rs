//! The record of a work on the managed cluster (AppliedManifestWork): owner of everything that the work applied, and
//! the only memory that outlives this process.
//!
//! See `docs/protocol/work-agent.md`, "Records".

pub mod crd;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_access::{Client, Delete, Error, Patch, Resource, Write, object};
use manifestwork::constants::{
    API_VERSION, APPLIED_KIND, APPLIED_RESOURCE, APPLIED_WORK_FINALIZER, GROUP,
};
use manifestwork::{AppliedResourceMeta, ids};
use serde_json::{Value, json};

use crate::apply::owner::Owner;

/// How often a write is tried when somebody else wrote in between.
const CONFLICT_TRIES: u32 = 4;

/// A record as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name: `<hub hash>-<work name>`.
    pub name: String,
    /// Its unique id; owner references point at it.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Hash of the server's address that made it.
    pub hub_hash: String,
    /// The agent that made it.
    pub agent_id: String,
    /// Name of the work.
    pub work: String,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// The objects that were applied.
    pub applied: Vec<AppliedResourceMeta>,
}

/// Whose records these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the server's address.
    pub hub_hash: String,
    /// Id of this agent.
    pub agent_id: String,
    /// Ids of agents whose records are taken over.
    pub adopts: Vec<String>,
}

/// Access to the records of this agent.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    identity: Arc<Identity>,
}

// === impl Record ===

impl Record {
    /// Reads a record; `None` if it names no work.
    pub fn read(live: &Value) -> Option<Self> {
        let text = |key: &str| live["spec"][key].as_str().unwrap_or_default().to_owned();
        let name = object::name(live)?.to_owned();
        let hub_hash = text("hubHash");
        let mut work = text("manifestWorkName");
        if work.is_empty() {
            work = name.strip_prefix(&format!("{hub_hash}-"))?.to_owned();
        }
        let applied = serde_json::from_value(live["status"]["appliedResources"].clone());
        Some(Self {
            uid: object::uid(live)?.to_owned(),
            resource_version: object::resource_version(live)
                .unwrap_or_default()
                .to_owned(),
            hub_hash,
            agent_id: text("agentID"),
            work,
            deleting: object::is_deleting(live),
            finalizers: object::finalizers(live)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            applied: applied.unwrap_or_default(),
            name,
        })
    }

    /// The owner that its objects name.
    pub fn owner(&self) -> Owner {
        Owner {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// Whether this is an older sight than the other. Versions are opaque; those that aren't numbers are never older.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let number = |record: &Self| record.resource_version.parse::<u64>().ok();
        match (number(self), number(other)) {
            (Some(mine), Some(theirs)) => mine < theirs,
            _ => false,
        }
    }
}

// === impl Identity ===

impl Identity {
    /// The name of the record of a work.
    pub fn record_name(&self, work: &str) -> String {
        ids::applied_work_name(&self.hub_hash, work)
    }

    /// Whether a record is this agent's own.
    pub fn owns(&self, record: &Record) -> bool {
        record.agent_id == self.agent_id && record.hub_hash == self.hub_hash
    }

    /// Whether a record of another server address may be taken over.
    pub fn adopts(&self, record: &Record) -> bool {
        !self.owns(record)
            && (record.agent_id == self.agent_id || self.adopts.contains(&record.agent_id))
    }
}

// === impl Records ===

impl Records {
    /// Access through a client.
    pub fn new(client: Client, identity: Arc<Identity>) -> Self {
        Self { client, identity }
    }

    /// How records are served.
    ///
    /// # Errors
    /// [`Error::NoSuchKind`] while the CRD isn't installed, or what discovery met.
    pub async fn resource(&self) -> Result<Resource, Error> {
        self.client.resolve(API_VERSION, APPLIED_KIND).await
    }

    /// Reads the record of a work.
    ///
    /// # Errors
    /// What the request met.
    pub async fn find(&self, name: &str) -> Result<Option<Record>, Error> {
        let found = self
            .client
            .find(&self.resource().await?, None, name)
            .await?;
        Ok(found.as_ref().and_then(Record::read))
    }

    /// Makes sure that the record of a work exists. Labels are copied at creation only.
    ///
    /// # Errors
    /// What the requests met.
    pub async fn ensure(
        &self,
        work: &str,
        labels: &BTreeMap<String, String>,
        known: Option<Record>,
    ) -> Result<Record, Error> {
        let spec = json!({
            "hubHash": self.identity.hub_hash,
            "agentID": self.identity.agent_id,
            "manifestWorkName": work,
        });
        let known = match known {
            Some(record) => record,
            None => match self.create(work, labels, &spec).await {
                Ok(record) => return Ok(record),
                Err(Error::AlreadyExists(_)) => {
                    self.must_find(&self.identity.record_name(work)).await?
                }
                Err(error) => return Err(error),
            },
        };
        if self.identity.owns(&known) && known.work == work {
            return Ok(known);
        }
        self.patch(&known, |_| Some((false, json!({"spec": spec}))))
            .await
    }

    async fn create(
        &self,
        work: &str,
        labels: &BTreeMap<String, String>,
        spec: &Value,
    ) -> Result<Record, Error> {
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": APPLIED_KIND,
            "metadata": {
                "name": self.identity.record_name(work),
                "labels": labels,
                "finalizers": [APPLIED_WORK_FINALIZER],
            },
            "spec": spec,
        });
        let resource = self.resource().await?;
        let made = self
            .client
            .create(&resource, None, &object, &Write::default())
            .await?;
        read(&made)
    }

    /// Writes the list of applied objects, if it changes.
    ///
    /// # Errors
    /// What the requests met.
    pub async fn set_applied(
        &self,
        record: &Record,
        mut applied: Vec<AppliedResourceMeta>,
    ) -> Result<Record, Error> {
        applied.sort();
        applied.dedup();
        self.patch(record, |current| {
            (current.applied != applied)
                .then(|| (true, json!({"status": {"appliedResources": applied}})))
        })
        .await
    }

    /// Marks the record for deletion; its finalizer holds it until everything is gone. Answers with the marked record,
    /// or with nothing if there was no finalizer to hold it.
    ///
    /// # Errors
    /// What the request met, other than "not found".
    pub async fn delete(&self, record: &Record) -> Result<Option<Record>, Error> {
        let resource = self.resource().await?;
        match self
            .client
            .delete(&resource, None, &record.name, &Delete::default())
            .await
        {
            Ok(answer) => Ok(Record::read(&answer).filter(|record| record.deleting)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes our finalizer off, which ends a record that is being deleted.
    ///
    /// # Errors
    /// What the requests met, other than "not found".
    pub async fn release(&self, record: &Record) -> Result<(), Error> {
        let released = self
            .patch(record, |current| {
                let rest: Vec<&String> = current
                    .finalizers
                    .iter()
                    .filter(|name| *name != APPLIED_WORK_FINALIZER)
                    .collect();
                let rest = if rest.is_empty() {
                    Value::Null
                } else {
                    json!(rest)
                };
                current
                    .finalizers
                    .iter()
                    .any(|name| name == APPLIED_WORK_FINALIZER)
                    .then(|| (false, json!({"metadata": {"finalizers": rest}})))
            })
            .await;
        match released {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Patches the record, or its status (first value true). The body always names the life and the version that it was
    /// made for; when somebody else wrote in between it is made again. `None` means that there is nothing to do.
    async fn patch(
        &self,
        record: &Record,
        body: impl Fn(&Record) -> Option<(bool, Value)>,
    ) -> Result<Record, Error> {
        let resource = self.resource().await?;
        let mut current = record.clone();
        let mut tries = 1;
        loop {
            let Some((status, mut patch)) = body(&current) else {
                return Ok(current);
            };
            if let Some(metadata) = object::metadata_mut(&mut patch) {
                metadata.insert("uid".into(), json!(current.uid));
                metadata.insert("resourceVersion".into(), json!(current.resource_version));
            }
            let patch = Patch::Merge(patch);
            let (name, options) = (current.name.as_str(), Write::default());
            let result = if status {
                self.client
                    .patch_status(&resource, None, name, &patch, &options)
                    .await
            } else {
                self.client
                    .patch(&resource, None, name, &patch, &options)
                    .await
            };
            match result {
                Ok(live) => return read(&live),
                Err(Error::Conflict(status)) if tries < CONFLICT_TRIES => {
                    tries += 1;
                    let fresh = self.must_find(&current.name).await?;
                    if fresh.uid != record.uid {
                        return Err(Error::Conflict(status));
                    }
                    current = fresh;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn must_find(&self, name: &str) -> Result<Record, Error> {
        let live = self.client.get(&self.resource().await?, None, name).await?;
        read(&live)
    }
}

fn read(live: &Value) -> Result<Record, Error> {
    Record::read(live).ok_or_else(|| {
        Error::Decode(format!(
            "{APPLIED_RESOURCE}.{GROUP} without a name, a uid or a work"
        ))
    })
}
