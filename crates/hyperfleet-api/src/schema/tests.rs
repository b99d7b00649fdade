use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::registry::standard;

fn registry() -> Registry {
    Registry::new(standard()).unwrap()
}

fn schema(spec: Value) -> Schemas {
    Schemas::compile("test", &json!({"components": {"schemas": {"ClusterSpec": spec, "Port": {"type": "integer", "maximum": 9}}}}), &registry()).unwrap()
}

fn errors(schemas: &Schemas, spec: Value) -> Vec<String> {
    let errors = schemas.check("Cluster", spec.as_object().unwrap());
    errors
        .into_iter()
        .map(|error| format!("{} {}", error.field, error.message))
        .collect()
}

#[test]
fn every_wrong_member_is_named() {
    let schemas = schema(json!({
        "type": "object", "required": ["a", "b"], "additionalProperties": false,
        "properties": {
            "a": {"type": "string", "minLength": 2, "pattern": "^x"}, "b": {"type": "integer", "minimum": 1, "exclusiveMaximum": 5},
            "list": {"type": "array", "items": {"$ref": "#/components/schemas/Port"}, "maxItems": 2, "uniqueItems": true},
            "word": {"enum": ["one", 2]}, "maybe": {"type": "string", "nullable": true}, "either": {"type": ["string", "null"]},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "choice": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["k"]}]}, "not": {"not": {"type": "string"}}
        }
    }));
    let fine = json!({"a": "xy", "b": 4.0, "list": [1, 9], "word": 2, "maybe": null, "either": null, "map": {"k": true}, "choice": "s", "not": 1});
    assert_eq!(errors(&schemas, fine), [] as [String; 0]);
    let wrong = json!({"a": "y", "b": 5, "list": [10, "x", 10], "word": "two", "map": {"k": 1}, "choice": 7, "not": "s", "more": 1});
    let found = errors(&schemas, wrong);
    for expected in [
        "spec.a must have at least 2 characters",
        "spec.a must match the pattern ^x",
        "spec.b must be less than 5",
        "spec.list must have at most 2 items",
        "spec.list must not have equal items",
        "spec.list[0] must be at most 9",
        "spec.list[1] must be an integer",
        "spec.word must be one of \"one\", 2",
        "spec.map.k must be a boolean",
        "spec.choice must be a string",
        "spec.not is not allowed to be this",
        "spec.more is not a known field",
    ] {
        assert!(
            found.iter().any(|error| error == expected),
            "{expected} not in {found:#?}"
        );
    }
    assert_eq!(
        errors(&schemas, json!({})),
        ["spec.a is required", "spec.b is required"]
    );
}

#[test]
fn the_built_in_document_is_valid_and_checks() {
    let schemas = Schemas::load(&Source::Gcp, &registry()).unwrap();
    assert_eq!(schemas.name("Cluster"), Some("ClusterSpec"));
    assert_eq!(schemas.name("Channel"), None);
    let spec = json!({"platform": {"type": "gcp", "gcp": {"diskSize": 9, "diskType": "floppy"}}, "nodeCount": -1});
    let found: Vec<String> = schemas
        .check("NodePool", spec.as_object().unwrap())
        .into_iter()
        .map(|error| error.field)
        .collect();
    assert_eq!(
        found,
        [
            "spec.nodeCount",
            "spec.platform.gcp.diskSize",
            "spec.platform.gcp.diskType"
        ]
    );
}

#[test]
fn a_document_that_makes_no_sense_stops_the_start() {
    let broken = json!({"components": {"schemas": {"ClusterSpec": {
        "type": "objekt", "properties": {"a": {"pattern": "("}, "b": {"$ref": "#/elsewhere"}, "c": 7}, "required": "a"}}}});
    let problems = Schemas::compile("d.yaml", &broken, &registry())
        .unwrap_err()
        .join("\n");
    for expected in [
        "d.yaml: components.schemas.ClusterSpec: unknown type",
        "properties.a: pattern",
        "properties.b: $ref",
        "properties.c: must be",
        "required must be a list",
    ] {
        assert!(problems.contains(expected), "{expected} not in {problems}");
    }
    let missing = Schemas::load(&Source::File("/nowhere".into()), &registry())
        .unwrap_err()
        .join("\n");
    assert!(missing.contains("/nowhere"), "{missing}");
    let mut entities = standard();
    entities[0].require_spec_schema = true;
    let registry = Registry::new(entities).unwrap();
    assert!(Schemas::load(&Source::None, &registry).is_err());
    assert!(Schemas::compile("d", &json!({}), &registry).is_err());
}

#[test]
fn a_schema_may_refer_to_itself_where_it_describes_a_member() {
    let compile = |spec: Value| {
        Schemas::compile(
            "test",
            &json!({"components": {"schemas": {"ClusterSpec": spec}}}),
            &registry(),
        )
    };
    let itself = json!({"$ref": "#/components/schemas/ClusterSpec"});
    let schemas = compile(json!({"type": "object", "properties": {"a": itself, "b": itself, "n": {"type": "integer"}}})).unwrap();
    let deep = (0..60).fold(
        json!({"n": "x"}),
        |inner, _| json!({"a": {"n": 1}, "b": inner}),
    );
    assert_eq!(errors(&schemas, deep).len(), 1);
    for endless in [
        itself.clone(),
        json!({"allOf": [{"type": "object"}, {"not": itself}]}),
    ] {
        let problems = compile(endless).unwrap_err().join("\n");
        assert!(
            problems.contains("refers to itself without describing a member"),
            "{problems}"
        );
    }
}

proptest! {
    #[test]
    fn no_spec_panics(text in r#"\{("(platform|nodeCount|gcp|type)":(\{\}|\[1,"x"\]|null|-1|"gcp"|\{"gcp":\{"diskSize":1e3\}\}),?){0,3}\}"#) {
        let schemas = Schemas::load(&Source::Gcp, &registry()).unwrap();
        if let Ok(Value::Object(spec)) = serde_json::from_str(&text) {
            schemas.check("NodePool", &spec);
            schemas.check("Cluster", &spec);
        }
    }
}
