//! Where the adapter's objects on Kubernetes can be, as far as that is known without a pulse: what a start looks through.

use std::collections::BTreeSet;

use event_broker::Event;
use kube_access::Gvk;
use serde_json::Value;

use super::{Pipeline, Run};
use crate::config::task::{Param, Root, Source};
use crate::lang::Text;

/// What templates see without any pulse, beside params.
const ROOTS: [&str; 3] = ["adapter", "config", "env"];

impl Pipeline {
    /// Kinds, each with a namespace, or `None` where the namespace depends on the pulse. Kinds that depend on it are left out.
    pub(crate) async fn places(&self) -> BTreeSet<(Gvk, Option<String>)> {
        let none = Event::new("none", "none", Value::Null);
        let mut run = Run::new(self, &none);
        run.begin(Value::Null);
        let mut known: BTreeSet<&str> = ROOTS.into();
        for param in &self.task.params {
            // A name that is declared again depends on the pulse as soon as one of its sources does.
            let value = if is_constant(param) {
                run.param(param).await.unwrap_or(None)
            } else {
                known.remove(param.name.as_str());
                None
            };
            if let Some(value) = value {
                known.insert(&param.name);
                run.scope.set(&param.name, value);
            }
        }
        let namespace = |text: &Text| {
            let constant = text.references().iter().all(|reference| {
                let root = reference.path.first();
                root.is_some_and(|root| known.contains(root.as_str()))
            });
            let rendered = constant.then(|| text.render(run.scope.data()).ok())?;
            rendered.filter(|namespace| !namespace.is_empty() && namespace != "*")
        };
        let on_kubernetes = self.task.resources.iter().filter(|r| r.target.is_none());
        on_kubernetes
            .filter_map(|resource| {
                let of_discovery = resource.discovery.namespace.as_ref();
                Some((resource.gvk.clone()?, of_discovery.and_then(namespace)))
            })
            .collect()
    }
}

fn is_constant(param: &Param) -> bool {
    matches!(
        param.source,
        Source::Env { .. }
            | Source::File { .. }
            | Source::Path {
                root: Root::Config,
                ..
            }
    )
}
