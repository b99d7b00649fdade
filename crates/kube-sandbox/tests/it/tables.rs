//! Tables, as `kubectl get` asks for them.

use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, WIDGETS, config_map, widget, with_widgets};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

fn titles(table: &Value) -> Vec<&str> {
    table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn custom_columns() {
    let api = with_widgets().await;
    api.post(WIDGETS, &widget("a")).await.expect(201);
    let status = json!({"status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}});
    api.merge(&format!("{WIDGETS}/a/status"), &status)
        .await
        .expect(200);
    api.post(WIDGETS, &widget("b")).await.expect(201);
    let table = api.get_as(WIDGETS, TABLE).await.expect(200);
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(titles(&table), ["Name", "Size", "Ready", "Age"]);
    assert_eq!(table["columnDefinitions"][0]["format"], "name");
    let row = &table["rows"][0];
    assert_eq!(
        row["cells"].as_array().unwrap()[..3],
        [json!("a"), json!(1), json!("True")]
    );
    assert!(row["cells"][3].as_str().unwrap().ends_with('s'));
    assert_eq!(table["rows"][1]["cells"][2], Value::Null);
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert!(row["object"].get("spec").is_none());
    let whole = api
        .get_as(&format!("{WIDGETS}?includeObject=Object"), TABLE)
        .await
        .expect(200);
    assert_eq!(whole["rows"][0]["object"]["spec"]["size"], 1);
    let none = api
        .get_as(&format!("{WIDGETS}/a?includeObject=None"), TABLE)
        .await
        .expect(200);
    assert_eq!(none["rows"][0]["object"], Value::Null);
    api.get_as(&format!("{WIDGETS}?includeObject=Some"), TABLE)
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn built_in_columns() {
    let api = with_widgets().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let table = api.get_as(CONFIG_MAPS, TABLE).await.expect(200);
    assert_eq!(titles(&table), ["Name", "Data", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], 1);
    let table = api
        .get_as("/api/v1/namespaces/default", TABLE)
        .await
        .expect(200);
    assert_eq!(table["rows"][0]["cells"][1], "Active");
}

#[tokio::test]
async fn watch_events_are_tables_too() {
    let api = with_widgets().await;
    let mut watch = api.watch_as(&format!("{WIDGETS}?watch=true"), TABLE).await;
    api.post(WIDGETS, &widget("a")).await.expect(201);
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["kind"]),
        (&json!("ADDED"), &json!("Table"))
    );
    assert_eq!(event["object"]["rows"][0]["cells"][0], "a");
    assert_eq!(titles(&event["object"]), ["Name", "Size", "Ready", "Age"]);
}
