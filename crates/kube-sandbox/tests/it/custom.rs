//! Custom resources: schemas, status, versions, definitions coming and going.

use std::sync::Arc;

use kube_sandbox::{Admission, Cause, Config, Operation, Review};
use serde_json::{Value, json};

use crate::support::{CRDS, Sandbox, WIDGETS, widget, widget_crd, with_widgets};

fn with(spec: Value) -> Value {
    let mut object = widget("w");
    object["spec"] = spec;
    object
}

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let api = with_widgets().await;
    for (spec, expected) in [
        (json!({}), "spec.size: Required value"),
        (
            json!({"size": 0}),
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            json!({"size": 101}),
            "spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100",
        ),
        (
            json!({"size": "1"}),
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            json!({"size": 1.5}),
            "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\"",
        ),
        (
            json!({"size": 1, "color": "green"}),
            "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (
            json!({"size": 1, "title": "x"}),
            "spec.title: Invalid value: \"x\": spec.title in body should be at least 2 chars long",
        ),
        (
            json!({"size": 1, "title": "abcdef"}),
            "spec.title: Too long: may not be more than 5 bytes",
        ),
        (
            json!({"size": 1, "title": "ABC"}),
            "spec.title: Invalid value: \"ABC\": spec.title in body should match '^[a-z]*$'",
        ),
        (
            json!({"size": 1, "parts": [{"value": "x"}]}),
            "spec.parts[0].name: Required value",
        ),
        (
            json!({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}),
            "spec.parts[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({"size": 1, "parts": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]}),
            "spec.parts: Too many: 4: must have at most 3 items",
        ),
        (
            json!({"size": 1, "tags": ["a", "a"]}),
            "spec.tags[1]: Duplicate value: \"a\"",
        ),
        (
            json!({"size": 1, "labels": {"k": 5}}),
            "spec.labels.k: Invalid value: \"integer\": spec.labels.k in body must be of type string: \"integer\"",
        ),
        (
            json!({"size": 1, "port": true}),
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"size": 1, "title": null}),
            "spec.title: Invalid value: \"null\": spec.title in body must be of type string: \"null\"",
        ),
    ] {
        let message = api.post(WIDGETS, &with(spec)).await.refused(422, "Invalid");
        assert_eq!(
            message,
            format!("Widget.example.com \"w\" is invalid: {expected}")
        );
    }
    let answer = api
        .post(WIDGETS, &with(json!({"size": 0, "color": "green"})))
        .await;
    let fields: Vec<&Value> = answer.body["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| &cause["field"])
        .collect();
    assert_eq!(fields, ["spec.color", "spec.size"]);
    assert!(
        answer
            .refused(422, "Invalid")
            .contains("is invalid: [spec.color: ")
    );
    assert_eq!(api.get(WIDGETS).await.expect(200)["items"], json!([]));
    let good = json!({"size": 5, "port": "http", "maybe": null, "title": "abc", "free": {"any": [{"thing": 1}]}, "unknown": 1});
    let stored = api.post(WIDGETS, &with(good)).await.expect(201)["spec"].clone();
    assert_eq!(
        stored,
        json!({"size": 5, "port": "http", "maybe": null, "title": "abc", "free": {"any": [{"thing": 1}]}, "color": "red"})
    );
}

#[tokio::test]
async fn an_old_violation_doesn_t_block_other_changes() {
    let api = with_widgets().await;
    api.post(WIDGETS, &with(json!({"size": 90, "title": "abcd"})))
        .await
        .expect(201);
    let crd = format!("{CRDS}/widgets.example.com");
    let tighten = json!([
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum", "value": 50},
    ]);
    api.patch(&crd, "application/json-patch+json", &tighten)
        .await
        .expect(200);
    let path = format!("{WIDGETS}/w");
    api.merge(&path, &json!({"spec": {"title": "xyz"}}))
        .await
        .expect(200);
    api.merge(&path, &json!({"spec": {"size": 80}}))
        .await
        .refused(422, "Invalid");
    api.merge(&path, &json!({"spec": {"size": 40}}))
        .await
        .expect(200);
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let api = with_widgets().await;
    let mut body = widget("w");
    body["status"] = json!({"phase": "Set by the client"});
    let created = api.post(WIDGETS, &body).await.expect(201);
    assert!(created.get("status").is_none());
    assert_eq!(created["metadata"]["generation"], 1);
    let path = format!("{WIDGETS}/w");

    let mut with_status = created.clone();
    with_status["status"] = json!({"phase": "Ready", "extra": "pruned"});
    with_status["spec"]["size"] = 77.into();
    with_status["metadata"]["labels"] = json!({"ignored": "x"});
    let after = api
        .put(&format!("{path}/status"), &with_status)
        .await
        .expect(200);
    assert_eq!(after["spec"]["size"], 1);
    assert_eq!(after["status"], json!({"phase": "Ready"}));
    assert!(after["metadata"].get("labels").is_none());
    assert_eq!(after["metadata"]["generation"], 1);
    let entry = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["subresource"] == "status");
    assert_eq!(
        entry.unwrap()["fieldsV1"],
        json!({"f:status": {".": {}, "f:phase": {}}})
    );
    api.put(&format!("{path}/status"), &with_status)
        .await
        .refused(409, "Conflict");

    let spec = api
        .merge(
            &path,
            &json!({"spec": {"size": 2}, "status": {"phase": "Lost"}}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&spec["spec"]["size"], &spec["status"]["phase"]),
        (&json!(2), &json!("Ready"))
    );
    assert_eq!(spec["metadata"]["generation"], 2);
    let bad = json!({"status": {"size": "text"}});
    api.merge(&format!("{path}/status"), &bad)
        .await
        .refused(422, "Invalid");
    assert_eq!(
        api.get(&format!("{path}/status")).await.expect(200)["status"]["phase"],
        "Ready"
    );
    api.get(&format!("{path}/nothing"))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn without_the_subresource_status_is_a_field_like_others() {
    let mut crd = widget_crd();
    crd["spec"]["versions"][0]
        .as_object_mut()
        .unwrap()
        .remove("subresources");
    let api = Sandbox::with(Config {
        crds: vec![crd],
        ..Config::default()
    })
    .await;
    let mut body = widget("w");
    body["status"] = json!({"phase": "A"});
    let created = api.post(WIDGETS, &body).await.expect(201);
    assert_eq!(created["status"]["phase"], "A");
    let changed = api
        .merge(&format!("{WIDGETS}/w"), &json!({"status": {"phase": "B"}}))
        .await
        .expect(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    api.merge(&format!("{WIDGETS}/w/status"), &json!({}))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn two_versions_of_one_type() {
    let mut crd = widget_crd();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = "v1beta1".into();
    second["storage"] = false.into();
    second["deprecated"] = true.into();
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    let api = Sandbox::with(Config {
        crds: vec![crd],
        ..Config::default()
    })
    .await;
    let beta = WIDGETS.replace("/v1/", "/v1beta1/");
    let mut body = widget("w");
    body["apiVersion"] = "example.com/v1beta1".into();
    let answer = api.post(&beta, &body).await;
    assert_eq!(
        answer.headers["warning"],
        "299 - \"example.com/v1beta1 Widget is deprecated\""
    );
    assert_eq!(answer.expect(201)["apiVersion"], "example.com/v1beta1");
    assert_eq!(
        api.get(&format!("{WIDGETS}/w")).await.expect(200)["apiVersion"],
        "example.com/v1"
    );
    let list = api.get(&beta).await.expect(200);
    assert_eq!(
        (&list["apiVersion"], &list["items"][0]["apiVersion"]),
        (&json!("example.com/v1beta1"), &json!("example.com/v1beta1"))
    );
    let group = api.get("/apis/example.com").await.expect(200);
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let mut watch = api.watch(&format!("{beta}?watch=true")).await;
    assert_eq!(
        watch.next().await.unwrap()["object"]["apiVersion"],
        "example.com/v1beta1"
    );
    // Applying in the other version changes nothing but the version of ownership.
    api.apply(&format!("{WIDGETS}/w"), "m", &widget("w"))
        .await
        .expect(200);
    api.apply(&format!("{beta}/w"), "m", &body)
        .await
        .expect(200);
}

#[tokio::test]
async fn bad_definitions_are_refused() {
    let api = Sandbox::start().await;
    let mut wrong = widget_crd();
    wrong["metadata"]["name"] = "other.example.com".into();
    wrong["spec"]["scope"] = "Somewhere".into();
    wrong["spec"]["versions"][0]["storage"] = false.into();
    let message = api.post(CRDS, &wrong).await.refused(422, "Invalid");
    for part in [
        "spec.scope: Unsupported value",
        "metadata.name: Invalid value",
        "must have exactly one version marked as storage version",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let mut without = widget_crd();
    without["spec"]["versions"][0]
        .as_object_mut()
        .unwrap()
        .remove("schema");
    let message = api.post(CRDS, &without).await.refused(422, "Invalid");
    assert!(
        message.contains(
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"
        ),
        "{message}"
    );
    api.post(CRDS, &widget_crd()).await.expect(201);
    let message = api
        .merge(
            &format!("{CRDS}/widgets.example.com"),
            &json!({"spec": {"scope": "Cluster"}}),
        )
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("spec.scope: Invalid value: \"Cluster\": field is immutable"),
        "{message}"
    );
    // A second definition of the kind is stored and not served.
    let mut clash = widget_crd();
    clash["metadata"]["name"] = "gadgets.example.com".into();
    clash["spec"]["names"]["plural"] = "gadgets".into();
    api.post(CRDS, &clash).await.expect(201);
    let clash = api
        .get(&format!("{CRDS}/gadgets.example.com"))
        .await
        .expect(200);
    assert_eq!(clash["status"]["conditions"][0]["status"], "False");
    api.get("/apis/example.com/v1/gadgets")
        .await
        .refused(404, "NotFound");
    let broken = Config {
        crds: vec![wrong],
        ..Config::default()
    };
    let error = kube_sandbox::Service::bind(broken)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("CustomResourceDefinition other.example.com: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_definition_goes_with_its_objects() {
    let api = with_widgets().await;
    api.post(WIDGETS, &widget("free")).await.expect(201);
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(WIDGETS, &held).await.expect(201);
    let crd = format!("{CRDS}/widgets.example.com");
    let after = api.delete(&crd, &json!({})).await.expect(200);
    assert!(after["metadata"]["deletionTimestamp"].is_string());
    api.get(&format!("{WIDGETS}/free"))
        .await
        .refused(404, "NotFound");
    api.get(&format!("{WIDGETS}/held")).await.expect(200);
    api.merge(
        &format!("{WIDGETS}/held"),
        &json!({"metadata": {"finalizers": null}}),
    )
    .await
    .expect(200);
    api.get(&crd).await.refused(404, "NotFound");
    api.get(WIDGETS).await.refused(404, "NotFound");
    // And can come back.
    api.post(CRDS, &widget_crd()).await.expect(201);
    assert_eq!(api.get(WIDGETS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn schemas_can_be_switched_off() {
    let config = Config {
        crds: vec![widget_crd()],
        validate_schemas: false,
        ..Config::default()
    };
    let api = Sandbox::with(config).await;
    let stored = api
        .post(WIDGETS, &with(json!({"size": "huge", "unknown": 1})))
        .await
        .expect(201);
    assert_eq!(stored["spec"], json!({"size": "huge", "unknown": 1}));
}

/// Refuses sizes above ten, and any change of the color.
struct Rules;

impl Admission for Rules {
    fn review(&self, review: &Review<'_>) -> Result<(), Vec<Cause>> {
        if review.resource != "widgets" {
            return Ok(());
        }
        if review.operation == Operation::Delete {
            return if review.name == "kept" {
                Err(vec![Cause::forbidden("metadata", "is kept")])
            } else {
                Ok(())
            };
        }
        let mut causes = Vec::new();
        let size = &review.object["spec"]["size"];
        if size.as_i64() > Some(10) {
            causes.push(Cause::invalid("spec.size", size, "more than ten"));
        }
        if let Some(old) = review.old_object
            && old["spec"]["color"] != review.object["spec"]["color"]
        {
            causes.push(Cause::invalid(
                "spec.color",
                &review.object["spec"]["color"],
                "Color is immutable",
            ));
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err(causes)
        }
    }
}

#[tokio::test]
async fn rules_from_outside_are_heard() {
    let config = Config {
        crds: vec![widget_crd()],
        admission: vec![Arc::new(Rules)],
        ..Config::default()
    };
    let api = Sandbox::with(config).await;
    let message = api
        .post(WIDGETS, &with(json!({"size": 11})))
        .await
        .refused(422, "Invalid");
    assert_eq!(
        message,
        "Widget.example.com \"w\" is invalid: spec.size: Invalid value: 11: more than ten"
    );
    api.post(WIDGETS, &widget("w")).await.expect(201);
    let path = format!("{WIDGETS}/w");
    let answer = api
        .apply(&path, "m", &with(json!({"size": 1, "color": "blue"})))
        .await;
    assert_eq!(
        answer.code, 409,
        "the creator owns the default: {}",
        answer.body
    );
    let answer = api
        .force(&path, "m", &with(json!({"size": 12, "color": "blue"})))
        .await;
    assert_eq!(
        answer.body["details"]["causes"].as_array().unwrap().len(),
        2
    );
    answer.refused(422, "Invalid");
    api.post(WIDGETS, &widget("kept")).await.expect(201);
    api.delete(&format!("{WIDGETS}/kept"), &json!({}))
        .await
        .refused(403, "Forbidden");
    api.delete(&path, &json!({})).await.expect(200);
}
