//! Sights of the objects that works are about.
//!
//! Each object has a watch of its own, so that the agent holds in memory only what it needs. A kind with many objects
//! in a namespace gets one watch of their metadata instead, and a GET for each change of one that is of interest.

mod group;

use std::collections::HashMap;
use std::sync::Arc;

use kube_access::{Client, Error, Resource};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::target::Target;
use group::Group;

/// What was seen of an object; `None` if it isn't there.
pub type Sight = (Target, Result<Option<Value>, Error>);

/// Starts and stops watches. Dropping it stops all of them.
#[derive(Debug)]
pub struct Observer {
    client: Client,
    sights: mpsc::Sender<Sight>,
    /// Objects of a kind in a namespace that are watched one by one.
    singles: usize,
    groups: HashMap<(Arc<Resource>, String), Group>,
}

impl Observer {
    /// An observer that watches at most `singles` objects of a kind in a namespace one by one.
    pub fn new(client: Client, singles: usize, sights: mpsc::Sender<Sight>) -> Self {
        Self {
            client,
            sights,
            singles,
            groups: HashMap::new(),
        }
    }

    /// Begins to watch an object. The first sight comes soon, whether it exists or not.
    pub fn watch(&mut self, target: Target) {
        let key = (Arc::clone(&target.resource), target.namespace.clone());
        self.groups
            .entry(key)
            .or_insert_with(|| Group::new(self.client.clone(), self.sights.clone(), self.singles))
            .add(target);
    }

    /// Stops watching an object.
    pub fn unwatch(&mut self, target: &Target) {
        let key = (Arc::clone(&target.resource), target.namespace.clone());
        if let Some(group) = self.groups.get_mut(&key) {
            group.remove(target);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
    }
}
