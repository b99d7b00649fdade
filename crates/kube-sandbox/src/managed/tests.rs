//! What must hold for any objects and any order of writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Apply, Managed, Manager, Operation, Scope, update};
use crate::fields::FieldSet;
use crate::shape::{
    ListRule, ListShape, MapKey, ObjectShape, Shape, compare, extract, merge, remove,
};

const NOW: &str = "2026-01-01T00:00:00Z";

/// `leaf`, `free` (any object), `map` (entries), `keyed` (list by `k`), `set`, `whole` (atomic).
fn shape() -> Arc<Shape> {
    let keyed = Shape::List(ListShape {
        rule: ListRule::Map(vec![MapKey {
            name: "k".to_owned(),
            default: None,
        }]),
        item: Shape::unknown(),
    });
    let set = Shape::List(ListShape {
        rule: ListRule::Set,
        item: Shape::unknown(),
    });
    let map = Shape::Object(ObjectShape {
        fields: BTreeMap::new(),
        rest: Some(Shape::unknown()),
    });
    let fields = [
        ("keyed", keyed),
        ("set", set),
        ("map", map),
        ("whole", Shape::Atomic),
    ]
    .into_iter()
    .map(|(name, shape)| (name.to_owned(), Arc::new(shape)))
    .collect();
    Arc::new(Shape::Object(ObjectShape { fields, rest: None }))
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..3i64).prop_map(Value::from),
        "[ab]".prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ]
}

fn free() -> impl Strategy<Value = Value> {
    let inner = prop_oneof![
        leaf(),
        prop::collection::vec(leaf(), 0..3).prop_map(Value::from)
    ];
    inner.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[xyz]", inner, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

fn object() -> impl Strategy<Value = Value> {
    let keyed = prop::collection::btree_map("[pqr]", leaf(), 0..4).prop_map(|items| {
        Value::Array(
            items
                .into_iter()
                .map(|(key, value)| json!({"k": key, "v": value}))
                .collect(),
        )
    });
    let set = prop::collection::btree_set("[pqr]", 0..4)
        .prop_map(|items| json!(items.into_iter().collect::<Vec<_>>()));
    let map = prop::collection::btree_map("[pqr]", free(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    let member = |name: &'static str, values: BoxedStrategy<Value>| {
        prop::option::of(values).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    (
        member("leaf", leaf().boxed()),
        member("free", free().boxed()),
        member("map", map.boxed()),
        member("keyed", keyed.boxed()),
        member("set", set.boxed()),
        member("whole", free().boxed()),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            Value::Object([a, b, c, d, e, f].into_iter().flatten().collect())
        })
}

fn manager(name: &str, operation: Operation) -> Manager {
    Manager {
        operation,
        name: name.to_owned(),
        api_version: "v1".to_owned(),
        subresource: String::new(),
    }
}

fn apply(
    managed: &Managed,
    live: &Value,
    config: &Value,
    name: &str,
    force: bool,
) -> Option<(Value, Managed)> {
    let shape = shape();
    let manager = manager(name, Operation::Apply);
    let apply = Apply {
        manager: &manager,
        scope: Scope::Whole,
        shape: &shape,
        force,
        allowed: FieldSet::new(),
        now: NOW,
    };
    apply.run(managed, live, config).ok()
}

/// Lists of items with identity have no order here, and containers that hold nothing count as absent.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept: serde_json::Map<String, Value> = map
                .iter()
                .map(|(name, child)| (name.clone(), normal(child)))
                .filter(|(_, child)| *child != json!({}) && *child != json!([]))
                .collect();
            Value::Object(kept)
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changed_is_an_empty_comparison(a in object()) {
        let comparison = compare(&a, &a, &shape());
        prop_assert!(comparison.touched().is_empty() && comparison.removed.is_empty());
    }

    #[test]
    fn a_difference_is_seen_from_both_sides(a in object(), b in object()) {
        let (there, back) = (compare(&a, &b, &shape()), compare(&b, &a, &shape()));
        prop_assert_eq!(&there.added, &back.removed);
        prop_assert_eq!(&there.modified, &back.modified);
        if there.touched().is_empty() && there.removed.is_empty() {
            prop_assert_eq!(normal(&a), normal(&b));
        }
    }

    #[test]
    fn merging_holds_the_configuration_and_is_idempotent(live in object(), config in object()) {
        let shape = shape();
        let merged = merge(&live, &config, &shape);
        prop_assert_eq!(merge(&merged, &config, &shape), merged.clone());
        // An empty object of the configuration may hold members of the live one.
        let there = compare(&json!({}), &merged, &shape).added;
        prop_assert!(extract(&config, &shape).paths().iter().all(|path| there.holds(path)));
    }

    #[test]
    fn removing_everything_leaves_nothing(a in object()) {
        let shape = shape();
        prop_assert_eq!(normal(&remove(&a, &extract(&a, &shape), &FieldSet::new(), &shape)), json!({}));
    }

    #[test]
    fn field_sets_survive_json(a in object()) {
        let set = extract(&a, &shape());
        prop_assert_eq!(FieldSet::from_json(&set.to_json()), Some(set));
    }

    /// Alone, an applier always gets exactly what it said last.
    #[test]
    fn a_single_applier_gets_what_it_says(configs in prop::collection::vec(object(), 1..5)) {
        let (mut live, mut managed) = (json!({}), Managed::default());
        for config in &configs {
            (live, managed) = apply(&managed, &live, config, "one", false).expect("no conflict with oneself");
            prop_assert_eq!(normal(&live), normal(config));
        }
    }

    #[test]
    fn applying_again_changes_nothing(live in object(), config in object()) {
        let created = update(&Managed::default(), &json!({}), &live, &manager("creator", Operation::Update), Scope::Whole, &shape(), NOW);
        let (first, owners) = apply(&created, &live, &config, "one", true).expect("forced");
        let (second, owners_again) = apply(&owners, &first, &config, "one", false).expect("no conflict any more");
        prop_assert_eq!(&first, &second);
        prop_assert!(owners.same_ownership(&owners_again));
    }

    /// Several appliers with force: everyone's last configuration holds, except for what others took later.
    #[test]
    fn owners_own_what_is_there(steps in prop::collection::vec((0..3usize, object(), any::<bool>()), 1..8)) {
        let shape = shape();
        let (mut live, mut managed) = (json!({}), Managed::default());
        for (who, object, is_apply) in steps {
            let name = ["a", "b", "c"][who];
            if is_apply {
                let before = live.clone();
                match apply(&managed, &live, &object, name, false) {
                    Some((after, owners)) => (live, managed) = (after, owners),
                    None => (live, managed) = apply(&managed, &before, &object, name, true).expect("forced"),
                }
                // Whoever applies gets all of its fields with its values.
                let merged = merge(&live, &object, &shape);
                prop_assert_eq!(normal(&merged), normal(&live));
            } else {
                managed = update(&managed, &live, &object, &manager(name, Operation::Update), Scope::Whole, &shape, NOW);
                live = object;
            }
            let mut wrapped = json!({"metadata": {}});
            managed.store(&mut wrapped);
            prop_assert!(Managed::of(&wrapped).same_ownership(&managed), "ownership survives JSON");
            for entry in &managed.entries {
                for path in entry.set.paths() {
                    let there = compare(&json!({}), &live, &shape).added;
                    prop_assert!(there.holds(&path), "{:?} owns {:?} of {}", entry.manager, path, live);
                }
            }
        }
    }
}
