//! Whether and how to write an object: the generation rule, the policies, the write.

use serde_json::Value;

use super::discovery::{MANIFEST_WORK, carried};
use super::{PhaseError, Run};
use crate::policy::{Failure, FailureClass, Gvk, Operation, Overrides, Review, Verdict};
use crate::transport::select::{GENERATION_ANNOTATION, contains, generation};
use crate::transport::{Created, Error, Transport};
use kube_access::object;

/// What to do with an object, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) operation: Operation,
    pub(super) reason: String,
}

/// Compares what is wanted with what is there.
pub(super) fn decide(
    current: Option<&Value>,
    wanted: &Value,
    recreate_on_change: bool,
) -> Decision {
    let decision = |operation, reason: String| Decision { operation, reason };
    let Some(current) = current else {
        return decision(Operation::Create, "resource not found".into());
    };
    let change = |reason: String| {
        if recreate_on_change {
            decision(
                Operation::Recreate,
                format!("{reason}, recreateOnChange=true"),
            )
        } else {
            decision(Operation::Update, reason)
        }
    };
    if object::annotation(wanted, GENERATION_ANNOTATION).is_none() {
        // Without generations the content decides; an object would otherwise never change again.
        let mut content = wanted.clone();
        if let Value::Object(map) = &mut content {
            map.remove("status");
        }
        return if contains(current, &content) {
            decision(Operation::Skip, "content unchanged".into())
        } else {
            change("content changed".into())
        };
    }
    let (old, new) = (generation(current), generation(wanted));
    if old == new {
        decision(Operation::Skip, format!("generation {new} unchanged"))
    } else {
        change(format!("generation changed {old}->{new}"))
    }
}

/// Why a write did not happen.
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) overrides: Overrides,
}

/// A rendered object on its way.
pub(super) struct Desired<'a> {
    pub(super) resource: &'a str,
    pub(super) gvk: &'a Gvk,
    pub(super) object: &'a Value,
    pub(super) target: Option<&'a str>,
}

impl Run<'_> {
    /// Asks the policies about the object, or about each object that a ManifestWork carries.
    pub(super) fn review(
        &self,
        desired: &Desired<'_>,
        current: Option<&Value>,
    ) -> Result<(), Refusal> {
        if self.pipeline.policies.is_empty() {
            return Ok(());
        }
        let in_work = desired.gvk.kind == MANIFEST_WORK;
        let objects = if in_work {
            carried(desired.object)
        } else {
            vec![desired.object]
        };
        for wanted in objects {
            let Some(gvk) = object::gvk(wanted) else {
                continue;
            };
            let existing = if in_work {
                current.and_then(|work| same_object(work, &gvk, wanted))
            } else {
                current
            };
            for policy in self
                .pipeline
                .policies
                .iter()
                .filter(|policy| policy.handles(&gvk))
            {
                let review = Review {
                    resource: desired.resource,
                    gvk: &gvk,
                    desired: wanted,
                    current: existing,
                    work: in_work.then_some(desired.object),
                    current_work: current.filter(|_| in_work),
                    target: desired.target,
                    params: self.scope.data().as_object().unwrap_or(self.settings()),
                    generation: generation(wanted),
                    settings: self.settings(),
                    now: self.now,
                };
                match policy.review(&review) {
                    Verdict::Allow => {}
                    Verdict::Warn(sentences) => {
                        for sentence in sentences {
                            tracing::warn!(resource = desired.resource, kind = %gvk.kind, "{sentence}");
                        }
                    }
                    Verdict::Refuse {
                        reason,
                        message,
                        overrides,
                    } => {
                        let message = format!("{reason}: {message}");
                        return Err(Refusal {
                            failure: Failure {
                                class: FailureClass::Refused,
                                message,
                            },
                            overrides,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// The manifest of a work with the same kind, namespace and name.
pub(super) fn same_object<'a>(work: &'a Value, gvk: &Gvk, like: &Value) -> Option<&'a Value> {
    carried(work).into_iter().find(|manifest| {
        object::gvk(manifest).is_some_and(|have| have.kind == gvk.kind && have.group == gvk.group)
            && object::name(manifest) == object::name(like)
            && object::namespace(manifest) == object::namespace(like)
    })
}

/// Carries out a decision.
pub(super) async fn write(
    transport: &dyn Transport,
    desired: &Desired<'_>,
    current: Option<&Value>,
    decision: Decision,
) -> Result<Decision, Error> {
    let (target, gvk, wanted) = (desired.target, desired.gvk, desired.object);
    match (decision.operation, current) {
        (Operation::Create, _) => match transport.create(target, gvk, wanted).await? {
            Created::Yes => Ok(decision),
            Created::Existed => Ok(Decision {
                operation: Operation::Skip,
                reason: "already exists (concurrent create)".into(),
            }),
        },
        (Operation::Update, Some(current)) => {
            transport.update(target, gvk, current, wanted).await?;
            Ok(decision)
        }
        (Operation::Recreate, Some(current)) => {
            transport.recreate(target, gvk, current, wanted).await?;
            Ok(decision)
        }
        _ => Ok(decision),
    }
}

impl PhaseError {
    pub(super) fn from_failure(step: &str, failure: &Failure) -> Self {
        Self {
            step: step.to_owned(),
            message: failure.message.clone(),
            transient: failure.class == FailureClass::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object_at(generation: &str) -> Value {
        json!({"metadata": {"name": "x", "annotations": {GENERATION_ANNOTATION: generation}}, "spec": {"a": 1}})
    }

    #[test]
    fn f81_the_generation_decides() {
        for (old, new, recreate, operation, reason) in [
            (None, "5", false, Operation::Create, "resource not found"),
            (
                Some("5"),
                "5",
                false,
                Operation::Skip,
                "generation 5 unchanged",
            ),
            (
                Some("5"),
                "6",
                false,
                Operation::Update,
                "generation changed 5->6",
            ),
            (
                Some("6"),
                "5",
                false,
                Operation::Update,
                "generation changed 6->5",
            ),
            (
                Some("1"),
                "100",
                true,
                Operation::Recreate,
                "generation changed 1->100, recreateOnChange=true",
            ),
            (
                Some("bad"),
                "3",
                false,
                Operation::Update,
                "generation changed 0->3",
            ),
        ] {
            let current = old.map(object_at);
            let decision = decide(current.as_ref(), &object_at(new), recreate);
            assert_eq!(
                (decision.operation, decision.reason.as_str()),
                (operation, reason)
            );
        }
    }

    #[test]
    fn without_a_generation_the_content_decides() {
        let live =
            json!({"metadata": {"name": "x", "uid": "u"}, "data": {"a": "1"}, "status": {"x": 1}});
        let wanted = |value: &str| json!({"metadata": {"name": "x"}, "data": {"a": value}});
        assert_eq!(
            decide(Some(&live), &wanted("1"), false).operation,
            Operation::Skip
        );
        assert_eq!(
            decide(Some(&live), &wanted("2"), false).operation,
            Operation::Update
        );
    }
}
