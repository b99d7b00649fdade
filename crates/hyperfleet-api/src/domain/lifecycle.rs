//! Create, patch, delete, force-delete. See `docs/protocol/hyperfleet-api.md`, "Generation and deletion".

use std::collections::BTreeMap;

use hyperfleet_types::{API_PREFIX, ObjectReference, Resource, ResourceStatus};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    family::{Draft, Family, Member, Outcome, Plan, Started, Write, conditions, owner},
    mapping,
    references::{self, References},
};
use crate::{
    error::Rejection,
    registry::{Kind, OnParentDelete, Registry},
};

/// Make a resource. Name, spec and labels were checked.
#[derive(Debug, Clone)]
pub struct Create {
    /// Id that it gets.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Id of its parent, for child kinds.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// Its spec.
    pub spec: Map<String, Value>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Links it asks for.
    pub references: References,
    /// Tenant dimensions of the caller.
    pub tenancy: BTreeMap<String, String>,
    /// The caller.
    pub actor: String,
}

/// Replace parts of a resource.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Whose.
    pub id: String,
    /// New spec.
    pub spec: Option<Map<String, Value>>,
    /// New labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// New links.
    pub references: Option<References>,
    /// The caller.
    pub actor: String,
}

/// Ask for deletion.
#[derive(Debug, Clone)]
pub struct Delete {
    /// Of what.
    pub id: String,
    /// The caller.
    pub actor: String,
}

/// Remove what is being deleted without waiting for adapters.
#[derive(Debug, Clone)]
pub struct ForceDelete {
    /// What.
    pub id: String,
}

/// Canonical path of a resource of `kind`.
pub fn href(kind: &Kind, parent: Option<&Resource>, id: &str) -> String {
    match parent {
        Some(parent) => format!("{}/{}/{id}", parent.href, kind.plural),
        None => format!("{API_PREFIX}/{}/{id}", kind.plural),
    }
}

pub(super) fn create(
    registry: &Registry,
    new: &Create,
    family: &Family,
    now: Timestamp,
) -> Result<Plan, Rejection> {
    let kind = registry
        .kind(&new.kind)
        .ok_or_else(|| Rejection::invalid(format!("Unknown entity kind: {}", new.kind)))?;
    let parent = match (&new.parent, &kind.parent_kind) {
        (Some(id), Some(parent_kind)) => {
            let parent = family.members.get(id).map(|member| &member.resource);
            let parent = parent
                .filter(|parent| parent.kind == *parent_kind)
                .ok_or_else(|| Rejection::not_found(parent_kind, id))?;
            if parent.deleted_time.is_some() {
                return Err(marked(parent));
            }
            Some(parent)
        }
        _ => None,
    };
    let references = references::resolve(kind, &new.references, &family.targets)?;
    let resource = Resource {
        id: new.id.clone(),
        kind: kind.kind.clone(),
        name: new.name.clone(),
        href: href(kind, parent, &new.id),
        spec: new.spec.clone(),
        labels: new.labels.clone(),
        tenancy: new.tenancy.clone(),
        generation: 1,
        created_time: now,
        updated_time: now,
        created_by: new.actor.clone(),
        updated_by: new.actor.clone(),
        deleted_time: None,
        deleted_by: None,
        owner_references: parent.map(|parent| ObjectReference {
            id: parent.id.clone(),
            kind: parent.kind.clone(),
            href: parent.href.clone(),
        }),
        references,
        status: ResourceStatus::default(),
    };
    let mut member = Member {
        resource,
        statuses: Vec::new(),
        children: 0,
        inbound: Vec::new(),
    };
    if !kind.required_adapters.is_empty() {
        member.resource.status.conditions = conditions(&kind.required_adapters, &member);
        match mapping::map(&kind.rules, &member) {
            Ok(mapped) => member.resource.status.conditions.extend(mapped),
            Err(error) => tracing::warn!(resource_id = new.id, error, "condition mapping failed"),
        }
    }
    let resource = Box::new(member.resource);
    let started = if resource.status.conditions.is_empty() {
        Vec::new()
    } else {
        vec![Started {
            kind: resource.kind.clone(),
            deleting: false,
        }]
    };
    Ok(Plan {
        writes: vec![Write::Insert(resource.clone())],
        outcome: Outcome::Resource(resource),
        started,
    })
}

pub(super) fn patch(
    registry: &Registry,
    patch: &Patch,
    family: Family,
    now: Timestamp,
) -> Result<Plan, Rejection> {
    let targets = family.targets.clone();
    let mut draft = Draft::new(registry, family);
    let member = draft
        .member(&patch.id)
        .ok_or_else(|| Rejection::not_found("Resource", &patch.id))?;
    let kind = draft.kind(member);
    let mut resource = member.resource.clone();
    if resource.deleted_time.is_some() {
        return Err(marked(&resource));
    }
    let mut body = false;
    if let Some(spec) = &patch.spec
        && !same_object(spec, &resource.spec)
    {
        resource.spec.clone_from(spec);
        body = true;
    }
    if let Some(labels) = &patch.labels
        && *labels != resource.labels
    {
        resource.labels.clone_from(labels);
        body = true;
    }
    if let (Some(wanted), Some(kind)) = (&patch.references, kind) {
        resource.references = references::resolve(kind, wanted, &targets)?;
    }
    if !body && patch.references.is_none() {
        return Ok(draft.finish(Outcome::Resource(Box::new(resource))));
    }
    resource.generation = resource.generation.saturating_add(1);
    resource.updated_time = now.max(resource.updated_time);
    resource.updated_by.clone_from(&patch.actor);
    if body {
        draft.write(Write::Body(Box::new(resource.clone())));
    }
    if patch.references.is_some() {
        draft.write(Write::References(Box::new(resource.clone())));
    }
    draft.write(Write::Head(Box::new(resource.clone())));
    if let Some(member) = draft.member_mut(&patch.id) {
        member.resource = resource;
    }
    draft.recompute_leniently(&patch.id);
    let outcome = draft
        .member(&patch.id)
        .map(|member| Box::new(member.resource.clone()));
    Ok(draft.finish(outcome.map_or(Outcome::Discarded, Outcome::Resource)))
}

pub(super) fn delete(
    registry: &Registry,
    delete: &Delete,
    family: Family,
    now: Timestamp,
) -> Result<Plan, Rejection> {
    let mut draft = Draft::new(registry, family);
    let member = draft
        .member(&delete.id)
        .ok_or_else(|| Rejection::not_found("Resource", &delete.id))?;
    let parent = owner(&member.resource).map(str::to_owned);
    let mut going = Going {
        draft: &mut draft,
        actor: &delete.actor,
        now,
        marked: Vec::new(),
    };
    let resource = going.delete(&delete.id)?;
    if draft.member(&delete.id).is_none() {
        draft.settle(parent);
    }
    Ok(draft.finish(Outcome::Resource(Box::new(resource))))
}

/// A deletion on its way down a tree.
struct Going<'d, 'r> {
    draft: &'d mut Draft<'r>,
    actor: &'d str,
    now: Timestamp,
    /// Live resources that this deletion marked: their references count no more.
    marked: Vec<String>,
}

impl Going<'_, '_> {
    /// Children first, so that a parent knows what is left below it. Returns the resource as it was deleted.
    fn delete(&mut self, id: &str) -> Result<Resource, Rejection> {
        let mut cascade = Vec::new();
        let Some(member) = self.draft.member(id) else {
            return Err(Rejection::not_found("Resource", id));
        };
        for child in self.draft.children(id) {
            match self
                .draft
                .kind(child)
                .and_then(|kind| kind.on_parent_delete)
            {
                Some(OnParentDelete::Restrict) if child.resource.deleted_time.is_none() => {
                    let Resource { kind, id, .. } = &member.resource;
                    let text = format!(
                        "Cannot delete {kind} '{id}': active {}(s) exist",
                        child.resource.kind
                    );
                    return Err(Rejection::state(text));
                }
                Some(OnParentDelete::Cascade) => cascade.push(child.resource.id.clone()),
                _ => {}
            }
        }
        for child in cascade {
            self.delete(&child)?;
        }
        let Some(member) = self.draft.member(id) else {
            return Err(Rejection::not_found("Resource", id));
        };
        if let Some(source) = member
            .inbound
            .iter()
            .find(|source| !self.marked.contains(&source.id))
        {
            let (kind, name) = (&member.resource.kind, &member.resource.name);
            let text = format!(
                "cannot delete {kind} \"{name}\": referenced by {} \"{}\" — remove the reference(s) before deleting",
                source.kind, source.name
            );
            return Err(Rejection::state(text));
        }
        if member.resource.deleted_time.is_none() {
            self.draft.mark(id, self.actor, self.now);
            self.marked.push(id.to_owned());
        }
        self.draft.recompute_leniently(id);
        let resource = self.draft.member(id).map(|member| member.resource.clone());
        if self.draft.is_finalized(id) {
            self.draft.remove(id);
        }
        resource.ok_or_else(|| Rejection::not_found("Resource", id))
    }
}

pub(super) fn force_delete(
    registry: &Registry,
    delete: &ForceDelete,
    family: Family,
    _now: Timestamp,
) -> Result<Plan, Rejection> {
    let mut draft = Draft::new(registry, family);
    let member = draft
        .member(&delete.id)
        .ok_or_else(|| Rejection::not_found("Resource", &delete.id))?;
    let Resource { kind, id, .. } = &member.resource;
    if member.resource.deleted_time.is_none() {
        return Err(Rejection::state(format!(
            "{kind} '{id}' is not in Finalizing state"
        )));
    }
    let parent = owner(&member.resource).map(str::to_owned);
    let mut removed = Vec::new();
    remove_tree(&mut draft, &delete.id, &mut removed);
    draft.settle(parent);
    Ok(draft.finish(Outcome::Removed(removed)))
}

fn remove_tree(draft: &mut Draft<'_>, id: &str, removed: &mut Vec<String>) {
    let children: Vec<String> = draft
        .children(id)
        .into_iter()
        .map(|child| child.resource.id.clone())
        .collect();
    for child in children {
        remove_tree(draft, &child, removed);
    }
    draft.write(Write::Unlink(id.to_owned()));
    draft.remove(id);
    removed.push(id.to_owned());
}

fn marked(resource: &Resource) -> Rejection {
    Rejection::state(format!(
        "{} '{}' is marked for deletion",
        resource.kind, resource.id
    ))
}

/// Equal as JSON values: the order of members and the spelling of numbers don't count (a database may change both).
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_object(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
        }
        (a, b) => a == b,
    }
}

fn same_object(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
}

#[cfg(test)]
mod tests;
