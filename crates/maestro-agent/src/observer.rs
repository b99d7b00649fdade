//! Sights of the objects that works are about.
//!
//! Each object has a watch of its own, so that the agent holds in memory only what it needs. A kind with many objects
//! gets one watch of their metadata instead (of their namespace, or of the cluster if they are spread over several), and a
//! GET for each change of one that is of interest. So the number of open watches is bounded, and never all Secrets of a
//! cluster are in memory.

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
    /// Objects of a kind that are watched one by one.
    singles: usize,
    groups: HashMap<Arc<Resource>, Group>,
}

impl Observer {
    /// An observer that watches at most `singles` objects of a kind one by one.
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
        self.groups
            .entry(Arc::clone(&target.resource))
            .or_insert_with(|| Group::new(self.client.clone(), self.sights.clone(), self.singles))
            .add(target);
    }

    /// Stops watching an object.
    pub fn unwatch(&mut self, target: &Target) {
        if let Some(group) = self.groups.get_mut(&target.resource) {
            group.remove(target);
            if group.is_empty() {
                self.groups.remove(&target.resource);
            }
        }
    }
}
