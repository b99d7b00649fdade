//! Who may do what, by the Role and ClusterRole objects of the cluster. Pure: looks at objects, decides.
//!
//! Follows `docs/protocol/kubernetes-api.md`, "Permissions".

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::range;
use crate::failure::{Failure, Subject};
use crate::object::{Key, Object, metadata_text};
use crate::selector::Selector;

/// API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// Members may do everything.
const MASTERS: &str = "system:masters";

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl User {
    /// The user of requests that impersonate nobody.
    pub fn admin() -> Self {
        Self {
            name: "sandbox-admin".to_owned(),
            groups: vec![MASTERS.to_owned(), "system:authenticated".to_owned()],
        }
    }

    /// A user by name, with the groups that follow from the name.
    pub fn named(name: &str, groups: Vec<String>) -> Self {
        let mut user = Self {
            name: name.to_owned(),
            groups,
        };
        let mut implied = vec!["system:authenticated".to_owned()];
        if let Some((namespace, _)) = user.service_account() {
            implied.push("system:serviceaccounts".to_owned());
            implied.push(format!("system:serviceaccounts:{namespace}"));
        }
        for group in implied {
            if !user.groups.contains(&group) {
                user.groups.push(group);
            }
        }
        user
    }

    /// Namespace and name, if it is a service account.
    fn service_account(&self) -> Option<(&str, &str)> {
        self.name
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')
    }

    /// Whether it may do everything.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    fn is_subject(&self, subject: &Value, binding_namespace: &str) -> bool {
        let text = |name: &str| {
            subject
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match text("kind") {
            "User" => text("name") == self.name,
            "Group" => self.groups.iter().any(|group| group == text("name")),
            "ServiceAccount" => {
                let namespace = match text("namespace") {
                    "" => binding_namespace,
                    namespace => namespace,
                };
                self.service_account() == Some((namespace, text("name")))
            }
            _ => false,
        }
    }
}

/// What a request wants to do with a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or one of RBAC's own.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Empty: everywhere.
    pub namespace: String,
    /// Empty: no particular object.
    pub name: String,
}

impl Action {
    /// The 403 answer.
    pub fn refusal(&self, user: &User) -> Failure {
        let scope = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let plural = self.resource.split('/').next().unwrap_or_default();
        let subject = Subject {
            group: &self.group,
            resource: plural,
            name: &self.name,
            kind: "",
        };
        Failure::forbidden(
            &subject,
            &format!(
                "User {:?} cannot {} resource {:?} in API group {:?} {scope}",
                user.name, self.verb, self.resource, self.group
            ),
        )
    }
}

type Objects = BTreeMap<Key, Arc<Object>>;

/// The permissions that the objects of a cluster give.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// All objects.
    pub objects: &'a Objects,
}

impl Authority<'_> {
    /// Whether a user may do something with a resource.
    pub fn allows(&self, user: &User, action: &Action) -> bool {
        user.is_master()
            || self
                .rules(user, &action.namespace)
                .iter()
                .any(|rule| rule_allows(rule, action))
    }

    /// Whether a user may do something with a path that is no resource.
    pub fn allows_path(&self, user: &User, verb: &str, path: &str) -> bool {
        user.is_master()
            || self.rules(user, "").iter().any(|rule| {
                matches(rule, "verbs", verb)
                    && strings(rule, "nonResourceURLs").any(|pattern| {
                        match pattern.strip_suffix('*') {
                            Some(prefix) => path.starts_with(prefix),
                            None => path == pattern,
                        }
                    })
            })
    }

    /// All rules that bind a user in a namespace (or everywhere, if it is empty).
    pub fn rules(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut rules = Vec::new();
        for object in range(
            self.objects,
            "clusterrolebindings.rbac.authorization.k8s.io",
            None,
        ) {
            self.add_bound(&mut rules, &object.value(), user, "");
        }
        if !namespace.is_empty() {
            for object in range(
                self.objects,
                "rolebindings.rbac.authorization.k8s.io",
                Some(namespace),
            ) {
                self.add_bound(&mut rules, &object.value(), user, namespace);
            }
        }
        rules
    }

    fn add_bound(&self, rules: &mut Vec<Value>, binding: &Value, user: &User, namespace: &str) {
        let subjects = binding
            .get("subjects")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if subjects
            .iter()
            .any(|subject| user.is_subject(subject, namespace))
        {
            rules.extend(
                self.rules_of_reference(binding.get("roleRef").unwrap_or(&Value::Null), namespace),
            );
        }
    }

    /// The rules of a role that a binding in `namespace` refers to.
    fn rules_of_reference(&self, reference: &Value, namespace: &str) -> Vec<Value> {
        let text = |name: &str| {
            reference
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (storage, namespace) = match text("kind") {
            "Role" => ("roles.rbac.authorization.k8s.io", namespace),
            "ClusterRole" => ("clusterroles.rbac.authorization.k8s.io", ""),
            _ => return Vec::new(),
        };
        let key = Key::new(&storage.into(), namespace, text("name"));
        self.objects
            .get(&key)
            .map(|role| self.rules_of_role(&role.value()))
            .unwrap_or_default()
    }

    fn rules_of_role(&self, role: &Value) -> Vec<Value> {
        let own = |role: &Value| {
            role.get("rules")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let Some(selectors) = role
            .pointer("/aggregationRule/clusterRoleSelectors")
            .and_then(Value::as_array)
        else {
            return own(role);
        };
        let selectors: Vec<Selector> = selectors
            .iter()
            .filter_map(Selector::from_label_selector)
            .collect();
        range(self.objects, "clusterroles.rbac.authorization.k8s.io", None)
            .filter(|other| selectors.iter().any(|selector| selector.matches(other)))
            .flat_map(|other| own(&other.value()))
            .collect()
    }

    /// Nobody gives away permissions that he doesn't have: checks a role or binding before it is stored.
    ///
    /// # Errors
    /// 403 that lists what is missing.
    pub fn check_grant(
        &self,
        user: &User,
        kind: &str,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Failure> {
        if user.is_master() {
            return Ok(());
        }
        let namespace = metadata_text(object, "namespace");
        let name = metadata_text(object, "name");
        let (granted, verb, resource) = match kind {
            "Role" | "ClusterRole" => {
                if old.and_then(|old| old.get("rules")) == object.get("rules") {
                    return Ok(());
                }
                let resource = if kind == "Role" {
                    "roles"
                } else {
                    "clusterroles"
                };
                (self.rules_of_role(object), "escalate", resource)
            }
            "RoleBinding" | "ClusterRoleBinding" => {
                if old.is_some_and(|old| old.get("subjects") == object.get("subjects")) {
                    return Ok(());
                }
                let reference = object.get("roleRef").unwrap_or(&Value::Null);
                let role_kind = reference
                    .get("kind")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let resource = if role_kind == "Role" {
                    "roles"
                } else {
                    "clusterroles"
                };
                (
                    self.rules_of_reference(reference, namespace),
                    "bind",
                    resource,
                )
            }
            _ => return Ok(()),
        };
        let special = Action {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: if verb == "bind" {
                object
                    .pointer("/roleRef/name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            } else {
                name.to_owned()
            },
        };
        if self.allows(user, &special) {
            return Ok(());
        }
        let held = self.rules(user, namespace);
        let missing: Vec<String> = granted
            .iter()
            .filter(|rule| !covered(&held, rule))
            .map(shown)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<String> = user
            .groups
            .iter()
            .map(|group| format!("{group:?}"))
            .collect();
        let plural = format!("{}s", kind.to_lowercase());
        Err(Failure::forbidden(
            &Subject {
                group: GROUP,
                resource: &plural,
                name,
                kind: "",
            },
            &format!(
                "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
                user.name,
                groups.join(" "),
                missing.join("\n")
            ),
        ))
    }
}

fn strings<'a>(rule: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    rule.get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn matches(rule: &Value, name: &str, wanted: &str) -> bool {
    strings(rule, name).any(|value| value == "*" || value == wanted)
}

fn rule_allows(rule: &Value, action: &Action) -> bool {
    let names = rule
        .get("resourceNames")
        .and_then(Value::as_array)
        .is_some_and(|names| !names.is_empty());
    matches(rule, "verbs", &action.verb)
        && matches(rule, "apiGroups", &action.group)
        && matches_resource(rule, &action.resource)
        && (!names || strings(rule, "resourceNames").any(|name| name == action.name))
}

fn matches_resource(rule: &Value, wanted: &str) -> bool {
    strings(rule, "resources").any(|value| {
        value == "*"
            || value == wanted
            || match (value.strip_prefix("*/"), wanted.split_once('/')) {
                (Some(subresource), Some((_, wanted))) => subresource == wanted,
                _ => false,
            }
    })
}

/// Whether everything that a rule allows is allowed by one of these.
fn covered(held: &[Value], rule: &Value) -> bool {
    let list = |name: &str| -> Vec<&str> { strings(rule, name).collect() };
    let names = match list("resourceNames") {
        names if names.is_empty() => vec![""],
        names => names,
    };
    let urls = list("nonResourceURLs");
    list("verbs").iter().all(|verb| {
        let resources = list("apiGroups").iter().all(|group| {
            list("resources").iter().all(|resource| {
                names.iter().all(|name| {
                    let action = Action {
                        verb: (*verb).to_owned(),
                        group: (*group).to_owned(),
                        resource: (*resource).to_owned(),
                        namespace: String::new(),
                        name: (*name).to_owned(),
                    };
                    held.iter().any(|rule| rule_allows(rule, &action))
                })
            })
        });
        resources
            && urls.iter().all(|url| {
                held.iter().any(|rule| {
                    matches(rule, "verbs", verb)
                        && strings(rule, "nonResourceURLs").any(|pattern| {
                            match pattern.strip_suffix('*') {
                                Some(prefix) => url.starts_with(prefix),
                                None => *url == pattern,
                            }
                        })
                })
            })
    })
}

/// A rule as refusals show it.
fn shown(rule: &Value) -> String {
    let parts: Vec<String> = [
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    ]
    .into_iter()
    .filter(|(_, member)| strings(rule, member).next().is_some())
    .map(|(title, member)| {
        let values: Vec<String> = strings(rule, member)
            .map(|value| format!("{value:?}"))
            .collect();
        format!("{title}:[{}]", values.join(" "))
    })
    .collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action(verb: &str, group: &str, resource: &str, name: &str) -> Action {
        Action {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn rules_match_as_in_kubernetes() {
        let rule = json!({"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "*/status"]});
        assert!(rule_allows(&rule, &action("get", "", "pods", "p")));
        assert!(rule_allows(
            &rule,
            &action("get", "apps", "deployments/status", "d")
        ));
        assert!(!rule_allows(&rule, &action("get", "", "pods/log", "p")));
        assert!(!rule_allows(&rule, &action("delete", "", "pods", "p")));
        assert!(!rule_allows(&rule, &action("get", "batch", "pods", "p")));
        let named =
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["a"]});
        assert!(rule_allows(&named, &action("update", "x", "y", "a")));
        assert!(!rule_allows(&named, &action("update", "x", "y", "b")));
        assert!(!rule_allows(&named, &action("list", "x", "y", "")));
    }

    #[test]
    fn grants_are_covered_piece_by_piece() {
        let held = [
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]}),
            json!({"verbs": ["list"], "apiGroups": [""], "resources": ["*"]}),
        ];
        assert!(covered(
            &held,
            &json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]})
        ));
        assert!(!covered(
            &held,
            &json!({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]})
        ));
        assert!(!covered(
            &held,
            &json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]})
        ));
    }

    #[test]
    fn service_accounts_have_their_groups() {
        let user = User::named("system:serviceaccount:n:sa", Vec::new());
        assert_eq!(
            user.groups,
            [
                "system:authenticated",
                "system:serviceaccounts",
                "system:serviceaccounts:n"
            ]
        );
        assert!(user.is_subject(
            &json!({"kind": "ServiceAccount", "name": "sa", "namespace": "n"}),
            ""
        ));
        assert!(!user.is_subject(
            &json!({"kind": "ServiceAccount", "name": "sa", "namespace": "m"}),
            ""
        ));
    }
}
