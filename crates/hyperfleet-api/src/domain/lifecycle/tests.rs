use serde_json::json;

use super::*;

#[test]
fn equal_json_is_equal_whatever_a_database_made_of_it() {
    for (a, b) in [
        (json!({"a": 1, "b": [1, 2]}), json!({"b": [1, 2], "a": 1})),
        (json!(1e2), json!(100)),
        (json!({"n": {"x": 1.0}}), json!({"n": {"x": 1}})),
    ] {
        assert!(same(&a, &b), "{a} {b}");
    }
    for (a, b) in [
        (json!({"a": 1}), json!({"a": 2})),
        (json!({"a": 1}), json!({"a": 1, "b": null})),
        (json!([1, 2]), json!([2, 1])),
        (
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_992_u64),
        ),
        (json!("1"), json!(1)),
    ] {
        assert!(!same(&a, &b), "{a} {b}");
    }
}

#[test]
fn paths_are_canonical() {
    let registry = Registry::new(crate::registry::standard()).unwrap();
    let kind = registry.kind("Cluster").unwrap();
    assert_eq!(href(kind, None, "i"), "/api/hyperfleet/v1/clusters/i");
}
