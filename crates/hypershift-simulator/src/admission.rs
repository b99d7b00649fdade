//! What the HostedCluster's CRD and the operator's webhooks would refuse, for the sandbox.

use std::sync::Arc;

use hypershift::immutable;
use hypershift::names::{GROUP, HOSTED_CLUSTERS};
use hypershift::validate::{self, Context, Mode};
use kube_sandbox::{Admission, Cause, Operation, Review};

/// The checks, to be plugged into a sandbox.
pub fn admission() -> Arc<dyn Admission> {
    Arc::new(HostedClusters)
}

struct HostedClusters;

impl Admission for HostedClusters {
    fn review(&self, review: &Review<'_>) -> Result<(), Vec<Cause>> {
        // What stands already may always go, and the operator may always report.
        let is_spec = review.group == GROUP
            && review.resource == HOSTED_CLUSTERS
            && review.subresource.is_empty();
        if !is_spec || review.operation == Operation::Delete {
            return Ok(());
        }
        let (object, stored) = (review.object, review.old_object);
        let context = Context {
            mode: Mode::Admission,
            stored,
            ..Context::default()
        };
        let mut causes: Vec<Cause> = validate::check(object, &context)
            .iter()
            .map(|violation| Cause {
                field: violation.path.clone(),
                message: violation.message.clone(),
                reason: violation.reason().to_owned(),
            })
            .collect();
        if let Some(stored) = stored {
            causes.extend(
                immutable::changes(stored, object)
                    .into_iter()
                    .map(|change| Cause {
                        message: change.to_string(),
                        field: change.path,
                        reason: "FieldValueInvalid".to_owned(),
                    }),
            );
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err(causes)
        }
    }
}
