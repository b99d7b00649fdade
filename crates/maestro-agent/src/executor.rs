//! Whether the service account that a work names may do what the work asks for. A check only: the agent always acts
//! with its own identity.
//!
//! See `docs/protocol/work-agent.md`, "Executor".

use kube_access::{Client, Error, Write};
use manifestwork::{Executor, ExecutorSubjectType, Manifest};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::target::Target;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Asks for each verb that the strategy may need, and for roles and bindings whether they would give more rights than
/// the account has.
///
/// # Errors
/// The condition of a manifest that the account may not apply, or what the requests met.
pub async fn check(
    client: &Client,
    executor: &Executor,
    target: &Target,
    manifest: &Manifest,
    owned: bool,
) -> Result<(), Failure> {
    if executor.subject.type_ != ExecutorSubjectType::ServiceAccount {
        return Err(Failure::other(
            "only support ServiceAccount type for the executor",
        ));
    }
    let Some(account) = &executor.subject.service_account else {
        return Err(Failure::other("the executor service account is nil"));
    };
    let user = format!(
        "system:serviceaccount:{}:{}",
        account.namespace, account.name
    );
    let groups = [
        "system:serviceaccounts".to_owned(),
        "system:authenticated".to_owned(),
        format!("system:serviceaccounts:{}", account.namespace),
    ];
    let verbs: &[&str] = if owned {
        &["create", "update", "patch", "get", "delete"]
    } else {
        &["create", "update", "patch", "get"]
    };
    for verb in verbs {
        if !allowed(client, &user, &groups, target, verb).await? {
            return Err(Failure::other(denied(target)));
        }
    }
    if target.resource.gvk.group == RBAC_GROUP {
        let options = Write {
            dry_run: true,
            impersonate_user: Some(user),
            ..Write::default()
        };
        let object = manifest.to_value();
        match client
            .create(&target.resource, target.namespace(), &object, &options)
            .await
        {
            Ok(_) | Err(Error::AlreadyExists(_)) => {}
            Err(Error::Forbidden(_)) => {
                return Err(Failure::other(format!(
                    "{}, error: permission escalation",
                    denied(target)
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn denied(target: &Target) -> String {
    format!(
        "not allowed to apply the resource {} {}, {} {}, will try again in 1m0s",
        target.resource.gvk.group, target.resource.plural, target.namespace, target.name
    )
}

async fn allowed(
    client: &Client,
    user: &str,
    groups: &[String],
    target: &Target,
    verb: &str,
) -> Result<bool, Error> {
    let (api_version, kind) = ("authorization.k8s.io/v1", "SubjectAccessReview");
    let resource = client.resolve(api_version, kind).await?;
    let review = json!({
        "apiVersion": api_version,
        "kind": kind,
        "spec": {
            "user": user,
            "groups": groups,
            "resourceAttributes": {
                "group": target.resource.gvk.group,
                "version": target.resource.gvk.version,
                "resource": target.resource.plural,
                "namespace": target.namespace,
                "name": target.name,
                "verb": verb,
            },
        },
    });
    let answer = client
        .create(&resource, None, &review, &Write::default())
        .await?;
    Ok(answer["status"]["allowed"] == Value::Bool(true))
}
