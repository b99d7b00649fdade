//! Links between resources that do not own each other.

use std::collections::{BTreeMap, HashSet};

use hyperfleet_types::ObjectReference;

use super::family::Target;
use crate::{error::Rejection, registry::Kind};

/// Links by reference type.
pub type References = BTreeMap<String, Vec<ObjectReference>>;

/// Checks what a request wants to link to, and completes it with kind and path of each target.
///
/// # Errors
/// A [`Rejection`] for the first rule it breaks.
pub fn resolve(
    kind: &Kind,
    wanted: &References,
    targets: &BTreeMap<String, Target>,
) -> Result<References, Rejection> {
    let name = &kind.kind;
    for (ref_type, links) in wanted {
        let Some(rule) = kind.reference(ref_type) else {
            return Err(Rejection::invalid(format!(
                "unknown reference type \"{ref_type}\" for {name}"
            )));
        };
        if rule.max != 0 && links.len() > rule.max {
            let (max, got) = (rule.max, links.len());
            return Err(Rejection::invalid(format!(
                "reference type \"{ref_type}\" for {name} exceeds max count {max} (got {got})"
            )));
        }
    }
    for rule in &kind.references {
        let count = wanted.get(&rule.ref_type).map_or(0, Vec::len);
        if count < rule.min {
            let (ref_type, min) = (&rule.ref_type, rule.min);
            return Err(Rejection::invalid(format!(
                "required reference type \"{ref_type}\" missing for {name} (min {min})"
            )));
        }
    }
    let mut resolved = References::new();
    for (ref_type, links) in wanted {
        let Some(rule) = kind.reference(ref_type) else {
            continue;
        };
        let refuse =
            |text: String| Rejection::invalid(format!("reference type \"{ref_type}\": {text}"));
        let mut seen = HashSet::new();
        for link in links {
            let (id, target_kind) = (&link.id, &rule.target_kind);
            if id.is_empty() {
                return Err(refuse("id is required".to_owned()));
            }
            if !seen.insert(id) {
                return Err(refuse(format!("duplicate target id \"{id}\"")));
            }
            let mismatch = |kind: &str| {
                format!("kind \"{kind}\" does not match expected target kind \"{target_kind}\"")
            };
            if !link.kind.is_empty() && link.kind != *target_kind {
                return Err(refuse(mismatch(&link.kind)));
            }
            let Some(target) = targets.get(id) else {
                return Err(refuse(format!("target {target_kind} \"{id}\" not found")));
            };
            if target.kind != *target_kind {
                return Err(refuse(mismatch(&target.kind)));
            }
            if target.deleting {
                return Err(refuse(format!(
                    "target {target_kind} \"{id}\" is marked for deletion"
                )));
            }
            resolved
                .entry(ref_type.clone())
                .or_default()
                .push(ObjectReference {
                    id: id.clone(),
                    kind: target.kind.clone(),
                    href: target.href.clone(),
                });
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Entity, Reference};

    fn kind(min: usize, max: usize) -> Kind {
        let rule = Reference {
            ref_type: "wif".to_owned(),
            target_kind: "Wif".to_owned(),
            min,
            max,
        };
        Kind::plain(Entity {
            kind: "Cluster".to_owned(),
            references: vec![rule],
            ..Entity::default()
        })
    }

    fn link(id: &str, kind: &str) -> ObjectReference {
        ObjectReference {
            id: id.to_owned(),
            kind: kind.to_owned(),
            href: "of the client, ignored".to_owned(),
        }
    }

    fn try_links(
        kind: &Kind,
        ref_type: &str,
        links: Vec<ObjectReference>,
    ) -> Result<References, String> {
        let target = |kind: &str, deleting| Target {
            kind: kind.to_owned(),
            href: "/h".to_owned(),
            deleting,
        };
        let targets = BTreeMap::from([
            ("w".to_owned(), target("Wif", false)),
            ("gone".to_owned(), target("Wif", true)),
            ("c".to_owned(), target("Channel", false)),
        ]);
        resolve(
            kind,
            &BTreeMap::from([(ref_type.to_owned(), links)]),
            &targets,
        )
        .map_err(|rejection| rejection.detail)
    }

    #[test]
    fn a_valid_link_is_completed() {
        let resolved = try_links(&kind(1, 1), "wif", vec![link("w", "")]).unwrap();
        assert_eq!(
            resolved["wif"],
            [ObjectReference {
                id: "w".into(),
                kind: "Wif".into(),
                href: "/h".into()
            }]
        );
        assert_eq!(try_links(&kind(0, 1), "wif", vec![]), Ok(References::new()));
    }

    #[test]
    fn each_broken_rule_has_its_text() {
        let one = kind(0, 1);
        let many = kind(0, 0);
        for (kind, ref_type, links, text) in [
            (
                &kind(1, 0),
                "wif",
                vec![],
                "required reference type \"wif\" missing for Cluster (min 1)",
            ),
            (
                &one,
                "x",
                vec![],
                "unknown reference type \"x\" for Cluster",
            ),
            (
                &one,
                "wif",
                vec![link("w", ""), link("v", "")],
                "reference type \"wif\" for Cluster exceeds max count 1 (got 2)",
            ),
            (
                &one,
                "wif",
                vec![link("", "")],
                "reference type \"wif\": id is required",
            ),
            (
                &many,
                "wif",
                vec![link("w", ""), link("w", "")],
                "reference type \"wif\": duplicate target id \"w\"",
            ),
            (
                &one,
                "wif",
                vec![link("w", "A")],
                "reference type \"wif\": kind \"A\" does not match expected target kind \"Wif\"",
            ),
            (
                &one,
                "wif",
                vec![link("c", "")],
                "reference type \"wif\": kind \"Channel\" does not match expected target kind \"Wif\"",
            ),
            (
                &one,
                "wif",
                vec![link("z", "")],
                "reference type \"wif\": target Wif \"z\" not found",
            ),
            (
                &one,
                "wif",
                vec![link("gone", "")],
                "reference type \"wif\": target Wif \"gone\" is marked for deletion",
            ),
        ] {
            assert_eq!(try_links(kind, ref_type, links).unwrap_err(), text);
        }
    }
}
