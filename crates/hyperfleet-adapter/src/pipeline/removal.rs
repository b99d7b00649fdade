//! Taking objects away: for good by `lifecycle.delete`, or to make them anew by `lifecycle.recreate`.

use std::sync::Arc;

use kube_access::{Propagation, object};
use serde_json::Value;

use super::Run;
use super::apply::Decision;
use super::discovery::{self, Wanted};
use super::observe::State;
use super::outcome::ResourceResult;
use super::resources::{describe, failure};
use crate::config::task::{DeleteRule, Resource};
use crate::policy::{Failure, Gvk, Operation};
use crate::transport::Transport;

/// How to find an object again.
pub(super) struct Place<'a> {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) target: Option<&'a str>,
    pub(super) gvk: Gvk,
    pub(super) wanted: Wanted,
}

impl Place<'_> {
    async fn find(&self, context: &str) -> Result<Option<Value>, Failure> {
        discovery::find(
            self.transport.as_ref(),
            self.target,
            &self.gvk,
            &self.wanted,
        )
        .await
        .map_err(|error| failure(error.context(context)))
    }

    /// Asks for the deletion, once; answers with what is left of the object. What can't be read counts as still there.
    pub(super) async fn remove(
        &self,
        live: Value,
        propagation: Propagation,
    ) -> Result<Option<Value>, Failure> {
        let name = object::name(&live).unwrap_or_default();
        if !object::is_deleting(&live) {
            tracing::info!(
                "deleting {} {name}: propagationPolicy={propagation:?}",
                self.gvk.kind
            );
            let namespace = object::namespace(&live).filter(|_| self.target.is_none());
            self.transport
                .delete(self.target, &self.gvk, namespace, name, propagation)
                .await
                .map_err(|error| failure(error.context("failed to delete resource")))?;
        }
        match self
            .find("failed to discover resource after deletion")
            .await
        {
            Ok(remaining) => Ok(remaining),
            Err(failure) => {
                tracing::warn!("{}", failure.message);
                Ok(Some(live))
            }
        }
    }
}

impl Run<'_> {
    pub(super) async fn delete(
        &mut self,
        resource: &Resource,
        rule: &DeleteRule,
        state: &mut State,
        result: &mut ResourceResult,
    ) -> Result<Decision, Failure> {
        let target = state.target.clone();
        let place = Place {
            transport: self.transport(resource)?,
            target: target.as_deref(),
            gvk: self.kind(resource)?,
            wanted: self.wanted(resource)?,
        };
        let done = |reason: &str| Decision {
            operation: Operation::Delete,
            reason: reason.into(),
        };
        result.kind.clone_from(&place.gvk.kind);
        let Some(live) = place
            .find("failed to discover resource for deletion")
            .await?
        else {
            self.forget(resource, state);
            return Ok(done("resource already deleted or never existed"));
        };
        self.touch(place.target, &live);
        describe(&live, result);
        result.before = Some(live.clone());
        match place.remove(live, rule.propagation).await? {
            None => self.forget(resource, state),
            // Whoever waits for its end waits for the next event.
            Some(remaining) => self.store(resource, state, remaining),
        }
        Ok(done("lifecycle.delete.when evaluated to true"))
    }

    /// Whether what is there has to go before it is made anew. What is on its way out already can't be kept any more.
    pub(super) fn recreates(
        &self,
        resource: &Resource,
        existing: Option<&Value>,
    ) -> Result<bool, Failure> {
        let (Some(when), Some(existing)) = (&resource.recreate_when, existing) else {
            return Ok(false);
        };
        Ok(object::is_deleting(existing) || self.lifecycle(when, "recreate")?)
    }
}
