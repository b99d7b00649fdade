//! A resource with everything whose fate is tied to it, and a draft of what happens to them.

use std::collections::BTreeMap;

use hyperfleet_types::{
    AdapterStatus, Resource, ResourceCondition,
    condition::{FINALIZED, RECONCILED},
};
use jiff::Timestamp;

use super::{
    aggregate::{Inputs, aggregate},
    mapping::{self, Rule},
};
use crate::registry::{Kind, Registry};

/// What the store loaded, under its locks.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// The resource itself, its ancestors and its descendants, as far as the command needs them.
    pub members: BTreeMap<String, Member>,
    /// Resources that the command wants to refer to; those that don't exist are missing.
    pub targets: BTreeMap<String, Target>,
}

/// One resource of a family. The `spec` is loaded for the resource that the command names, and for the others
/// if conditions are mapped from it.
#[derive(Debug, Clone)]
pub struct Member {
    /// As stored.
    pub resource: Resource,
    /// Last report of each adapter.
    pub statuses: Vec<AdapterStatus>,
    /// How many children exist, whether being deleted or not, whether loaded or not.
    pub children: u64,
    /// Live resources that refer to it.
    pub inbound: Vec<Inbound>,
}

/// A live resource that refers to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Id of the resource.
    pub id: String,
    /// Kind of the resource.
    pub kind: String,
    /// Name of the resource.
    pub name: String,
}

/// A resource that a command wants to refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: String,
    /// Its canonical path.
    pub href: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// One change of stored rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A new resource, with its references.
    Insert(Box<Resource>),
    /// Everything but spec, labels and references of a resource.
    Head(Box<Resource>),
    /// Spec and labels of a resource.
    Body(Box<Resource>),
    /// References of a resource, as a whole.
    References(Box<Resource>),
    /// References to a resource are removed.
    Unlink(String),
    /// Conditions of a resource, as a whole.
    Conditions(String, Vec<ResourceCondition>),
    /// The last report of an adapter.
    Status(String, Box<AdapterStatus>),
    /// A resource goes, with its statuses and references.
    Remove(String),
}

/// What a command does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Applied in this order, all or none.
    pub writes: Vec<Write>,
    /// Answer to the caller.
    pub outcome: Outcome,
    /// Resources that are not reconciled any more, or not yet.
    pub started: Vec<Started>,
}

/// A resource whose `Reconciled` became false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its kind.
    pub kind: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// Answer to the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The resource as it is now (or as it was when it went).
    Resource(Box<Resource>),
    /// The report as stored.
    Stored(Box<AdapterStatus>),
    /// The report told nothing new; nothing was stored.
    Discarded,
    /// These resources were removed.
    Removed(Vec<String>),
}

/// A family while a decision is being made: changes show at once and are written down.
#[derive(Debug)]
pub struct Draft<'r> {
    registry: &'r Registry,
    family: Family,
    writes: Vec<Write>,
    started: Vec<Started>,
}

impl<'r> Draft<'r> {
    /// Starts with nothing changed.
    pub fn new(registry: &'r Registry, family: Family) -> Self {
        Self {
            registry,
            family,
            writes: Vec::new(),
            started: Vec::new(),
        }
    }

    /// The changes.
    pub fn finish(self, outcome: Outcome) -> Plan {
        Plan {
            writes: self.writes,
            outcome,
            started: self.started,
        }
    }

    /// Notes a change that was made in the family already, or concerns none of its members.
    pub fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// A member.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.family.members.get(id)
    }

    /// A member, to change it; the change must be [noted](Draft::write).
    pub fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.family.members.get_mut(id)
    }

    /// Ids and resources of the loaded children of `id`, in order of the registry's kinds, then by id.
    pub fn children(&self, id: &str) -> Vec<&Member> {
        let order = |member: &&Member| {
            self.registry
                .kinds()
                .iter()
                .position(|kind| kind.kind == member.resource.kind)
        };
        let mut children: Vec<&Member> = self
            .family
            .members
            .values()
            .filter(|member| owner(&member.resource) == Some(id))
            .collect();
        children.sort_by_key(order);
        children
    }

    /// The kind of a member. A kind that is no longer registered has no rules.
    pub fn kind(&self, member: &Member) -> Option<&'r Kind> {
        self.registry
            .kind(&member.resource.kind)
            .map(|kind| &**kind)
    }

    fn required(&self, member: &Member) -> &'r [String] {
        self.kind(member)
            .map_or(&[], |kind| &kind.required_adapters)
    }

    /// Computes the conditions of a member again.
    ///
    /// A kind without required adapters shows none until somebody reported.
    ///
    /// # Errors
    /// What a mapped condition says that can't be computed, in words; then nothing changed.
    pub fn recompute(&mut self, id: &str) -> Result<(), String> {
        let Some(member) = self.member(id) else {
            return Ok(());
        };
        let required = self.required(member);
        if required.is_empty() && member.statuses.is_empty() {
            return Ok(());
        }
        let mut conditions = conditions(required, member);
        conditions.extend(mapping::map(self.rules(member), member)?);
        self.show(id, conditions);
        Ok(())
    }

    /// Computes the mapped conditions of a member again and leaves the others.
    ///
    /// # Errors
    /// As [`Draft::recompute`].
    pub fn remap(&mut self, id: &str) -> Result<(), String> {
        let Some(member) = self.member(id) else {
            return Ok(());
        };
        let rules = self.rules(member);
        let is_mapped = |condition: &ResourceCondition| {
            rules.iter().any(|rule| rule.type_() == condition.type_)
        };
        let kept = member
            .resource
            .status
            .conditions
            .iter()
            .filter(|condition| !is_mapped(condition));
        let mut conditions: Vec<ResourceCondition> = kept.cloned().collect();
        conditions.extend(mapping::map(rules, member)?);
        self.show(id, conditions);
        Ok(())
    }

    /// Computes the conditions of a member again; where a mapped condition can't be computed, those that were mapped before stay.
    /// For changes that must not fail because of one.
    pub fn recompute_leniently(&mut self, id: &str) {
        let Err(error) = self.recompute(id) else {
            return;
        };
        tracing::warn!(
            resource_id = id,
            error,
            "condition mapping failed; the mapped conditions stay as they were"
        );
        let Some(member) = self.member(id) else {
            return;
        };
        let rules = self.rules(member);
        let before = member.resource.status.conditions.iter();
        let mapped =
            before.filter(|condition| rules.iter().any(|rule| rule.type_() == condition.type_));
        let mapped: Vec<ResourceCondition> = mapped.cloned().collect();
        let mut conditions = conditions(self.required(member), member);
        conditions.extend(mapped);
        self.show(id, conditions);
    }

    fn rules(&self, member: &Member) -> &'r [Rule] {
        self.kind(member).map_or(&[], |kind| &kind.rules)
    }

    /// Gives a member these conditions.
    fn show(&mut self, id: &str, conditions: Vec<ResourceCondition>) {
        let Some(member) = self.member(id) else {
            return;
        };
        if conditions == member.resource.status.conditions {
            return;
        }
        let reconciled = |conditions: &[ResourceCondition]| {
            let condition = conditions
                .iter()
                .find(|condition| condition.type_ == RECONCILED);
            condition.map(|condition| condition.status.is_true())
        };
        if let Some(member) = self.family.members.get_mut(id) {
            let resource = &mut member.resource;
            if reconciled(&resource.status.conditions) != Some(false)
                && reconciled(&conditions) == Some(false)
            {
                self.started.push(Started {
                    kind: resource.kind.clone(),
                    deleting: resource.is_deleting(),
                });
            }
            resource.status.conditions.clone_from(&conditions);
            self.write(Write::Conditions(id.to_owned(), conditions));
        }
    }

    /// Marks a member as being deleted.
    pub fn mark(&mut self, id: &str, actor: &str, now: Timestamp) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let resource = &mut member.resource;
        resource.generation = resource.generation.saturating_add(1);
        resource.updated_time = now.max(resource.updated_time);
        resource.updated_by = actor.to_owned();
        resource.deleted_time = Some(now);
        resource.deleted_by = Some(actor.to_owned());
        let had_references = !resource.references.is_empty();
        resource.references.clear();
        let resource = Box::new(resource.clone());
        if had_references {
            self.write(Write::References(resource.clone()));
        }
        self.write(Write::Head(resource));
    }

    /// Whether a member is being deleted and nothing holds it any more.
    pub fn is_finalized(&self, id: &str) -> bool {
        self.member(id).is_some_and(|member| {
            let resource = &member.resource;
            let done = |adapter: &String| {
                let status = member
                    .statuses
                    .iter()
                    .find(|status| status.adapter == *adapter);
                status.is_some_and(|status| {
                    status.observed_generation == resource.generation && status.is_true(FINALIZED)
                })
            };
            resource.deleted_time.is_some()
                && member.children == 0
                && self.required(member).iter().all(done)
        })
    }

    /// Removes a member.
    pub fn remove(&mut self, id: &str) {
        let Some(member) = self.family.members.remove(id) else {
            return;
        };
        self.write(Write::Remove(id.to_owned()));
        if let Some(owner) =
            owner(&member.resource).and_then(|owner| self.family.members.get_mut(owner))
        {
            owner.children = owner.children.saturating_sub(1);
        }
    }

    /// After a member went: its owner may have waited for that. Goes up until somebody stays.
    pub fn settle(&mut self, owner_id: Option<String>) {
        let mut next = owner_id;
        while let Some(id) = next.take() {
            if self.is_finalized(&id) {
                next = self
                    .member(&id)
                    .and_then(|member| owner(&member.resource))
                    .map(str::to_owned);
                self.remove(&id);
            } else {
                self.recompute_leniently(&id);
            }
        }
    }
}

/// Id of the parent.
pub fn owner(resource: &Resource) -> Option<&str> {
    resource
        .owner_references
        .as_ref()
        .map(|owner| owner.id.as_str())
}

/// The conditions of a member of a kind that requires these adapters.
pub fn conditions(required: &[String], member: &Member) -> Vec<ResourceCondition> {
    aggregate(&Inputs {
        required,
        generation: member.resource.generation,
        reference_time: member.resource.updated_time,
        deleting: member.resource.deleted_time.is_some(),
        has_children: member.children > 0,
        statuses: &member.statuses,
        previous: &member.resource.status.conditions,
    })
}
