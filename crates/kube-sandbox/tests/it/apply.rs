//! Server-side apply and field managers.

use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, with_widgets};

fn entry<'a>(object: &'a Value, manager: &str, operation: &str) -> Option<&'a Value> {
    object["metadata"]["managedFields"]
        .as_array()?
        .iter()
        .find(|entry| entry["manager"] == manager && entry["operation"] == operation)
}

fn fields<'a>(object: &'a Value, manager: &str, operation: &str) -> &'a Value {
    &entry(object, manager, operation).unwrap_or_else(|| panic!("{manager} {operation}: {object}"))
        ["fieldsV1"]
}

fn with_data(name: &str, data: Value) -> Value {
    let mut object = config_map(name);
    object["data"] = data;
    object
}

#[tokio::test]
async fn apply_creates_and_owns_what_it_says() {
    let api = Sandbox::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let mut body = config_map("a");
    body["metadata"]["labels"] = json!({"app": "x"});
    let created = api.apply(&path, "one", &body).await.expect(201);
    assert_eq!(
        *fields(&created, "one", "Apply"),
        json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:data": {"f:key": {}}})
    );
    assert_eq!(entry(&created, "one", "Apply").unwrap()["apiVersion"], "v1");
    // What isn't said any more goes.
    let applied = api
        .apply(&path, "one", &with_data("a", json!({"other": "1"})))
        .await
        .expect(200);
    assert_eq!(applied["data"], json!({"other": "1"}));
    assert!(applied["metadata"].get("labels").is_none());
}

#[tokio::test]
async fn two_appliers_share_and_conflict() {
    let api = Sandbox::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    api.apply(&path, "one", &with_data("a", json!({"x": "1", "y": "1"})))
        .await
        .expect(201);
    // The same value is shared.
    let both = api
        .apply(&path, "two", &with_data("a", json!({"x": "1", "z": "2"})))
        .await
        .expect(200);
    assert_eq!(both["data"], json!({"x": "1", "y": "1", "z": "2"}));
    assert_eq!(
        *fields(&both, "two", "Apply"),
        json!({"f:data": {"f:x": {}, "f:z": {}}})
    );

    let answer = api
        .apply(&path, "two", &with_data("a", json!({"x": "9"})))
        .await;
    assert_eq!(
        answer.body["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.x"}])
    );
    assert_eq!(
        answer.refused(409, "Conflict"),
        "Apply failed with 1 conflict: conflict with \"one\": .data.x"
    );
    let message = api
        .apply(&path, "two", &with_data("a", json!({"x": "9", "y": "9"})))
        .await
        .refused(409, "Conflict");
    assert_eq!(
        message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.x\n- .data.y"
    );
    assert_eq!(
        api.get(&path).await.expect(200),
        both,
        "a refused apply changes nothing"
    );

    // Force takes the field away.
    let forced = api
        .force(&path, "two", &with_data("a", json!({"x": "9"})))
        .await
        .expect(200);
    assert_eq!(forced["data"], json!({"x": "9", "y": "1"}));
    assert_eq!(
        *fields(&forced, "one", "Apply"),
        json!({"f:data": {"f:y": {}}})
    );
    // `one` doesn't want x any more: it stays, since `two` has it.
    let kept = api
        .apply(&path, "one", &with_data("a", json!({"y": "1"})))
        .await
        .expect(200);
    assert_eq!(kept["data"], json!({"x": "9", "y": "1"}));
    // The last applier who wanted it gives it up: it goes.
    let gone = api
        .apply(&path, "two", &with_data("a", json!({})))
        .await
        .expect(200);
    assert_eq!(gone["data"], json!({"y": "1"}));
    assert!(
        entry(&gone, "two", "Apply").is_none_or(|entry| entry["fieldsV1"] == json!({"f:data": {}}))
    );
}

#[tokio::test]
async fn updates_take_fields_and_appliers_conflict_with_them() {
    let api = Sandbox::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    api.apply(&path, "one", &with_data("a", json!({"x": "1", "y": "1"})))
        .await
        .expect(201);
    let updated = api
        .merge(
            &format!("{path}?fieldManager=editor"),
            &json!({"data": {"x": "2"}}),
        )
        .await
        .expect(200);
    assert_eq!(
        *fields(&updated, "one", "Apply"),
        json!({"f:data": {"f:y": {}}})
    );
    assert_eq!(
        *fields(&updated, "editor", "Update"),
        json!({"f:data": {"f:x": {}}})
    );
    let time = entry(&updated, "editor", "Update").unwrap()["time"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = api
        .apply(&path, "one", &with_data("a", json!({"x": "1", "y": "1"})))
        .await
        .refused(409, "Conflict");
    assert_eq!(
        message,
        format!(
            "Apply failed with 1 conflict: conflict with \"editor\" using v1 at {time}: .data.x"
        )
    );
    // The same manager name, another operation: another owner.
    api.merge(
        &format!("{path}?fieldManager=one"),
        &json!({"data": {"y": "2"}}),
    )
    .await
    .expect(200);
    let message = api
        .apply(&path, "one", &with_data("a", json!({"y": "1"})))
        .await
        .refused(409, "Conflict");
    assert!(
        message.contains("conflict with \"one\" using v1 at"),
        "{message}"
    );
    // A field that an updater removes belongs to nobody.
    let removed = api
        .merge(
            &format!("{path}?fieldManager=editor"),
            &json!({"data": {"y": null}}),
        )
        .await
        .expect(200);
    assert!(
        !removed["metadata"]["managedFields"]
            .to_string()
            .contains("f:y")
    );
}

#[tokio::test]
async fn an_object_without_owners_belongs_to_before_first_apply() {
    let api = Sandbox::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let reset = api
        .merge(&path, &json!({"metadata": {"managedFields": [{}]}}))
        .await
        .expect(200);
    assert!(reset["metadata"].get("managedFields").is_none());
    let message = api
        .apply(&path, "one", &with_data("a", json!({"key": "2"})))
        .await
        .refused(409, "Conflict");
    assert!(
        message.contains("conflict with \"before-first-apply\" using v1 at"),
        "{message}"
    );
    let applied = api.apply(&path, "one", &config_map("a")).await.expect(200);
    assert!(entry(&applied, "before-first-apply", "Update").is_some());
    assert!(entry(&applied, "one", "Apply").is_some());
}

#[tokio::test]
async fn lists_merge_as_the_schema_says() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let with = |spec: Value| {
        let mut object = widget("w");
        object["spec"] = spec;
        object
    };
    let first = with(
        json!({"size": 1, "parts": [{"name": "a", "value": "1"}, {"name": "b"}], "tags": ["x"],
        "lines": ["1"], "whole": {"a": "1", "b": "1"}, "labels": {"k": "v"}}),
    );
    let created = api.apply(&path, "one", &first).await.expect(201);
    assert_eq!(
        *fields(&created, "one", "Apply"),
        json!({"f:spec": {
            "f:size": {}, "f:lines": {}, "f:whole": {}, "f:labels": {"f:k": {}}, "f:tags": {"v:\"x\"": {}},
            "f:parts": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:value": {}}, "k:{\"name\":\"b\"}": {".": {}, "f:name": {}}},
        }})
    );
    let second = with(
        json!({"size": 1, "parts": [{"name": "c", "value": "3"}, {"name": "a"}], "tags": ["y"]}),
    );
    let merged = api.apply(&path, "two", &second).await.expect(200)["spec"].clone();
    assert_eq!(
        merged["parts"],
        json!([{"name": "c", "value": "3"}, {"name": "a", "value": "1"}, {"name": "b"}])
    );
    assert_eq!(merged["tags"], json!(["x", "y"]));
    // Atomic values conflict as a whole.
    let message = api
        .apply(&path, "two", &with(json!({"size": 1, "lines": ["1", "2"]})))
        .await
        .refused(409, "Conflict");
    assert!(
        message.ends_with("conflict with \"one\": .spec.lines"),
        "{message}"
    );
    let message = api
        .apply(&path, "two", &with(json!({"size": 1, "whole": {"a": "2"}})))
        .await
        .refused(409, "Conflict");
    assert!(
        message.ends_with("conflict with \"one\": .spec.whole"),
        "{message}"
    );
    let message = api
        .apply(
            &path,
            "two",
            &with(json!({"size": 1, "parts": [{"name": "a", "value": "2"}]})),
        )
        .await
        .refused(409, "Conflict");
    assert!(
        message.ends_with("conflict with \"one\": .spec.parts[name=\"a\"].value"),
        "{message}"
    );
    // Items go with the last applier who listed them.
    let left = api
        .apply(&path, "one", &with(json!({"size": 1})))
        .await
        .expect(200)["spec"]
        .clone();
    assert_eq!(
        left["parts"],
        json!([{"name": "c", "value": "3"}, {"name": "a"}])
    );
    assert_eq!(left["tags"], json!(["y"]));
    assert!(
        left.get("lines").is_none() && left.get("whole").is_none() && left.get("labels").is_none()
    );
}

#[tokio::test]
async fn defaults_belong_to_nobody_and_removed_fields_are_defaulted_again() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let mut blue = widget("w");
    blue["spec"]["color"] = "blue".into();
    assert_eq!(
        api.apply(&path, "one", &blue).await.expect(201)["spec"]["color"],
        "blue"
    );
    let red = api.apply(&path, "one", &widget("w")).await.expect(200);
    assert_eq!(red["spec"]["color"], "red");
    assert_eq!(
        *fields(&red, "one", "Apply"),
        json!({"f:spec": {"f:size": {}}})
    );
    // Nobody owns the default, so anybody may set it.
    api.apply(&path, "two", &blue).await.expect(200);
}

#[tokio::test]
async fn containers_of_what_others_own_stay() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let mut labelled = widget("w");
    labelled["spec"]["labels"] = json!({"mine": "1"});
    api.apply(&path, "one", &labelled).await.expect(201);
    api.merge(
        &format!("{path}?fieldManager=editor"),
        &json!({"spec": {"labels": {"theirs": "2"}}}),
    )
    .await
    .expect(200);
    let after = api.apply(&path, "one", &widget("w")).await.expect(200);
    assert_eq!(
        after["spec"]["labels"],
        json!({"theirs": "2"}),
        "an updater's field survives"
    );
}

#[tokio::test]
async fn status_is_applied_through_its_own_endpoint() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let mut body = widget("w");
    body["status"] = json!({"phase": "Ready"});
    let created = api.apply(&path, "one", &body).await.expect(201);
    assert!(created.get("status").is_none());
    assert_eq!(
        *fields(&created, "one", "Apply"),
        json!({"f:spec": {"f:size": {}}})
    );

    body["spec"]["size"] = 50.into();
    body["metadata"]["labels"] = json!({"ignored": "yes"});
    let after = api
        .apply(&format!("{path}/status"), "controller", &body)
        .await
        .expect(200);
    assert_eq!(
        (&after["spec"]["size"], &after["status"]["phase"]),
        (&json!(1), &json!("Ready"))
    );
    assert!(after["metadata"].get("labels").is_none());
    let status_entry = entry(&after, "controller", "Apply").unwrap();
    assert_eq!(status_entry["subresource"], "status");
    assert_eq!(
        status_entry["fieldsV1"],
        json!({"f:status": {"f:phase": {}}})
    );
    assert_eq!(after["metadata"]["generation"], 1);
    let message = api
        .apply(
            &format!("{path}/status"),
            "other",
            &json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "w"}, "status": {"phase": "Bad"}}),
        )
        .await
        .refused(409, "Conflict");
    assert!(
        message.contains("conflict with \"controller\" with subresource \"status\": .status.phase"),
        "{message}"
    );
    api.apply(&format!("{WIDGETS}/none/status"), "x", &widget("none"))
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn malformed_configurations_are_refused() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let mut managed = widget("w");
    managed["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]);
    assert_eq!(
        api.apply(&path, "m", &managed)
            .await
            .refused(400, "BadRequest"),
        "metadata.managedFields must be nil"
    );
    let mut version = widget("w");
    version["apiVersion"] = "example.com/v9".into();
    api.apply(&path, "m", &version)
        .await
        .refused(400, "BadRequest");
    api.apply(&path, "m", &json!({"metadata": {"name": "w"}}))
        .await
        .refused(400, "BadRequest");
    api.apply(&path, "m", &widget("other"))
        .await
        .refused(400, "BadRequest");
    let mut stale = widget("w");
    stale["metadata"]["resourceVersion"] = "1".into();
    api.apply(&path, "m", &stale).await.refused(404, "NotFound");
    api.apply(&path, "m", &widget("w")).await.expect(201);
    api.apply(&path, "m", &stale).await.refused(409, "Conflict");
    let mut invalid = widget("w");
    invalid["spec"]["size"] = 1000.into();
    api.apply(&path, "m", &invalid)
        .await
        .refused(422, "Invalid");
    let yaml = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 7}\n";
    let request = api
        .request("PATCH", &format!("{path}?fieldManager=m"))
        .header("content-type", "application/apply-patch+yaml")
        .body(yaml);
    assert_eq!(api.send(request).await.expect(200)["spec"]["size"], 7);
}

#[tokio::test]
async fn at_most_ten_updaters_are_remembered() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    for index in 0..15 {
        let path = format!("{CONFIG_MAPS}/a?fieldManager=m{index:02}");
        api.merge(&path, &json!({"data": {format!("k{index}"): "v"}}))
            .await
            .expect(200);
    }
    let object = api.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 10);
    assert!(
        fields(&object, "ancient-changes", "Update")
            .to_string()
            .contains("f:k0")
    );
}

/// A work carries manifests with `creationTimestamp: null`; applying it again and again must not change it.
#[tokio::test]
async fn nested_nulls_do_not_move_the_generation() {
    let api = with_widgets().await;
    let path = format!("{WIDGETS}/w");
    let mut body = widget("w");
    body["metadata"]["creationTimestamp"] = Value::Null;
    body["spec"]["free"] =
        json!({"manifests": [{"metadata": {"name": "x", "creationTimestamp": null}, "spec": {}}]});
    let first = api.apply(&path, "m", &body).await.expect(201);
    for _ in 0..3 {
        assert_eq!(api.apply(&path, "m", &body).await.expect(200), first);
    }
    assert_eq!(first["metadata"]["generation"], 1);
}
