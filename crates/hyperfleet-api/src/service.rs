//! What the API can do, apart from HTTP: scopes, commands, reads.

use std::sync::Arc;

use hyperfleet_types::{AdapterStatus, Code, Resource};
use jiff::Timestamp;

use crate::{
    domain::{
        self, Command, Create, Delete, Family, ForceDelete, Outcome, Patch, Report,
        report::Incoming,
    },
    error::{Error, Rejection},
    metrics::Metrics,
    registry::{Kind, Registry},
    request::{NewResource, ResourcePatch},
    store::{Load, Query, Reach, Store},
};

/// Which resources a route speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Their kind; `None` on the kind-agnostic root.
    pub kind: Option<Arc<Kind>>,
    /// Their parent, on nested routes.
    pub parent: Option<(Arc<Kind>, String)>,
}

impl Scope {
    /// Whether a resource is one of them.
    pub fn contains(&self, resource: &Resource) -> bool {
        let kind = self
            .kind
            .as_ref()
            .is_none_or(|kind| kind.kind == resource.kind);
        let owner = resource.owner_references.as_ref();
        kind && self
            .parent
            .as_ref()
            .is_none_or(|(_, parent)| owner.is_some_and(|owner| owner.id == *parent))
    }

    /// What they are called in texts.
    pub fn label(&self) -> &str {
        self.kind.as_ref().map_or("Resource", |kind| &kind.kind)
    }

    fn not_found(&self, id: &str) -> Rejection {
        Rejection::not_found(self.label(), id)
    }
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Written to `created_by`, `updated_by`, `deleted_by`.
    pub actor: String,
    /// Stamped into new resources.
    pub tenancy: std::collections::BTreeMap<String, String>,
}

/// The API without HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    metrics: Metrics,
}

impl Api {
    /// An API over a store.
    pub fn new(store: Arc<dyn Store>, registry: Arc<Registry>, metrics: Metrics) -> Self {
        Self {
            store,
            registry,
            metrics,
        }
    }

    /// The kinds.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The storage.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Makes a resource.
    ///
    /// # Errors
    /// Refusals and failures of the storage.
    pub async fn create(
        &self,
        scope: &Scope,
        caller: &Caller,
        new: NewResource,
    ) -> Result<Resource, Error> {
        let kind = new.check(scope, &self.registry)?;
        let parent = match (&kind.parent_kind, &scope.parent) {
            (Some(_), None) => {
                let parents = kind
                    .parent_kind
                    .as_deref()
                    .and_then(|parent| self.registry.kind(parent));
                let parents = parents.map_or("", |parent| &parent.plural);
                let text = format!(
                    "kind \"{}\" is a child kind; create it via /{parents}/{{id}}/{}",
                    kind.kind, kind.plural
                );
                return Err(Rejection::invalid(text).status(422).into());
            }
            (_, parent) => parent.as_ref().map(|(_, id)| id.clone()),
        };
        if let (Some(id), Some((parent_kind, _))) = (&parent, &scope.parent)
            && !is_id(id)
        {
            return Err(Rejection::not_found(&parent_kind.kind, id).into());
        }
        let load = Load {
            id: parent.clone(),
            reach: Reach::Alone,
            specs: self.registry.maps_conditions(),
            targets: new.targets(),
        };
        let command = Command::Create(Create {
            id: uuid::Uuid::now_v7().to_string(),
            kind: kind.kind.clone(),
            parent,
            name: new.name,
            spec: new.spec.unwrap_or_default(),
            labels: new.labels,
            references: new.references,
            tenancy: caller.tenancy.clone(),
            actor: caller.actor.clone(),
        });
        resource(self.change(load, command, |_| Ok(())).await?)
    }

    /// One resource, also while it is being deleted.
    ///
    /// # Errors
    /// Not found, and failures of the storage.
    pub async fn get(&self, scope: &Scope, id: &str) -> Result<Resource, Error> {
        self.check_parent(scope).await?;
        self.find(scope, id).await
    }

    /// A page of resources and how many there are.
    ///
    /// # Errors
    /// Not found (the parent), and failures of the storage.
    pub async fn list(&self, scope: &Scope, query: Query) -> Result<(Vec<Resource>, u64), Error> {
        let kind = scope
            .kind
            .as_ref()
            .map(|kind| kind.kind.clone())
            .or(query.kind);
        let owner = scope.parent.as_ref().map(|(_, id)| id.clone());
        self.store
            .list(Query {
                kind,
                owner,
                ..query
            })
            .await
    }

    /// Fails if the parent of a nested route does not exist.
    ///
    /// # Errors
    /// Not found, and failures of the storage.
    pub async fn check_parent(&self, scope: &Scope) -> Result<(), Error> {
        let Some((kind, id)) = &scope.parent else {
            return Ok(());
        };
        self.find(
            &Scope {
                kind: Some(kind.clone()),
                parent: None,
            },
            id,
        )
        .await?;
        Ok(())
    }

    /// Replaces parts of a resource.
    ///
    /// # Errors
    /// Refusals and failures of the storage.
    pub async fn patch(
        &self,
        scope: &Scope,
        caller: &Caller,
        id: &str,
        patch: ResourcePatch,
    ) -> Result<Resource, Error> {
        self.check_parent(scope).await?;
        let load = Load {
            id: Some(id.to_owned()),
            reach: Reach::Alone,
            specs: self.registry.maps_conditions(),
            targets: patch.targets(),
        };
        let ResourcePatch {
            spec,
            labels,
            references,
        } = patch;
        let command = Command::Patch(Patch {
            id: id.to_owned(),
            spec,
            labels,
            references,
            actor: caller.actor.clone(),
        });
        resource(self.change_one(scope, id, load, command).await?)
    }

    /// Asks for deletion.
    ///
    /// # Errors
    /// Refusals and failures of the storage.
    pub async fn delete(
        &self,
        scope: &Scope,
        caller: &Caller,
        id: &str,
    ) -> Result<Resource, Error> {
        self.check_parent(scope).await?;
        let load = Load {
            id: Some(id.to_owned()),
            reach: Reach::All,
            specs: self.registry.maps_conditions(),
            targets: Vec::new(),
        };
        let command = Command::Delete(Delete {
            id: id.to_owned(),
            actor: caller.actor.clone(),
        });
        match self.change_one(scope, id, load, command).await {
            // This one text has no id: clients know it like that.
            Err(Error::Rejected(gone))
                if gone.code == Code::ResourceNotFound
                    && scope.kind.is_some()
                    && scope.parent.is_none() =>
            {
                Err(Rejection::new(
                    Code::ResourceNotFound,
                    format!("{} not found", scope.label()),
                )
                .into())
            }
            outcome => resource(outcome?),
        }
    }

    /// Removes what is being deleted, with everything below it; returns the ids.
    ///
    /// # Errors
    /// Refusals and failures of the storage.
    pub async fn force_delete(&self, scope: &Scope, id: &str) -> Result<Vec<String>, Error> {
        self.check_parent(scope).await?;
        let load = Load {
            id: Some(id.to_owned()),
            reach: Reach::All,
            specs: self.registry.maps_conditions(),
            targets: Vec::new(),
        };
        let command = Command::ForceDelete(ForceDelete { id: id.to_owned() });
        match self.change_one(scope, id, load, command).await? {
            Outcome::Removed(ids) => Ok(ids),
            _ => Ok(Vec::new()),
        }
    }

    /// A page of the statuses of a resource and how many there are.
    ///
    /// # Errors
    /// Not found, and failures of the storage.
    pub async fn statuses(
        &self,
        scope: &Scope,
        id: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<AdapterStatus>, u64), Error> {
        self.find(scope, id).await?;
        self.store.statuses(id, offset, limit).await
    }

    /// Takes an adapter's report; `None` if it told nothing new.
    ///
    /// # Errors
    /// Refusals and failures of the storage.
    pub async fn report(
        &self,
        scope: &Scope,
        id: &str,
        incoming: Incoming,
    ) -> Result<Option<AdapterStatus>, Error> {
        let report = Report::check(id, incoming, Timestamp::now())?;
        let load = Load {
            id: Some(id.to_owned()),
            reach: Reach::Up,
            specs: self.registry.maps_conditions(),
            targets: Vec::new(),
        };
        match self
            .change_one(scope, id, load, Command::Report(report))
            .await?
        {
            Outcome::Stored(status) => Ok(Some(*status)),
            _ => Ok(None),
        }
    }

    async fn find(&self, scope: &Scope, id: &str) -> Result<Resource, Error> {
        let resource = if is_id(id) {
            self.store.get(id).await?
        } else {
            None
        };
        Ok(resource
            .filter(|resource| scope.contains(resource))
            .ok_or_else(|| scope.not_found(id))?)
    }

    /// Changes a resource of the scope.
    async fn change_one(
        &self,
        scope: &Scope,
        id: &str,
        load: Load,
        command: Command,
    ) -> Result<Outcome, Error> {
        if !is_id(id) {
            return Err(scope.not_found(id).into());
        }
        let (scope, id) = (scope.clone(), id.to_owned());
        self.change(load, command, move |family| {
            let found = family
                .members
                .get(&id)
                .is_some_and(|member| scope.contains(&member.resource));
            if found {
                Ok(())
            } else {
                Err(scope.not_found(&id))
            }
        })
        .await
    }

    async fn change(
        &self,
        load: Load,
        command: Command,
        check: impl Fn(&Family) -> Result<(), Rejection> + Send + Sync + 'static,
    ) -> Result<Outcome, Error> {
        let registry = self.registry.clone();
        let decide = move |family: Family| {
            check(&family)?;
            // The time is taken under the locks, so that it never runs backwards for one resource.
            domain::decide(
                &registry,
                &command,
                family,
                domain::microseconds(Timestamp::now()),
            )
        };
        let plan = self.store.change(load, Arc::new(decide)).await?;
        for started in &plan.started {
            self.metrics
                .reconciliation_started(&started.kind, started.deleting);
        }
        Ok(plan.outcome)
    }
}

fn resource(outcome: Outcome) -> Result<Resource, Error> {
    match outcome {
        Outcome::Resource(resource) => Ok(*resource),
        _ => Err(sql_store::Error::other("the change has no resource to answer with").into()),
    }
}

/// Whether this can be an id at all: a UUID as the API writes them. Anything else is not asked for in the database.
pub fn is_id(text: &str) -> bool {
    text.len() == 36
        && uuid::Uuid::try_parse(text).is_ok()
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}
