//! Documents of any form.

use super::*;

/// Any JSON document, with the names that rules look at mixed in.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["10\\.0\\.0\\.0/[0-9]{1,2}", "Route|APIServer|GCP|Managed"]
            .prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("spec".to_owned()),
        Just("platform".into()),
        Just("gcp".into()),
        Just("services".into()),
        Just("networking".into()),
        Just("machineNetwork".into()),
        Just("cidr".into()),
        Just("metadata".into()),
        Just("annotations".into()),
        Just("release".into()),
        Just("image".into()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Pointers to every value of a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(members) => {
            members
                .iter()
                .filter(|(name, _)| !name.contains('/'))
                .for_each(|(name, member)| pointers(member, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(document in any_json(), stored in any_json()) {
        let context = Context { stored: Some(&stored), management_region: Some("r"), ..Context::default() };
        let _ = check(&document, &context);
        let _ = warnings(&document, Some(&stored), std::slice::from_ref(&stored));
        let _ = crate::immutable::changes(&stored, &document);
    }

    #[test]
    fn broken_examples_are_judged_without_panic(index in any::<prop::sample::Index>(), value in any_json()) {
        let mut document = example::hosted_cluster("demo");
        let mut all = Vec::new();
        pointers(&document, "", &mut all);
        let pointer: &String = index.get(&all);
        set(&mut document, pointer, value);
        let found = host_cluster(&document, Mode::Full);
        // Levels never mix, and what admission says is part of what a full check says.
        prop_assert!(found.is_sorted_by_key(|violation| violation.level()));
        for violation in host_cluster(&document, Mode::Admission) {
            prop_assert!(found.contains(&violation));
        }
    }
}
