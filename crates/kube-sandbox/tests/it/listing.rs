//! Lists: selectors, pages, versions.

use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, with_widgets};

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

async fn labelled(api: &Sandbox, name: &str, labels: Value) {
    let mut object = config_map(name);
    object["metadata"]["labels"] = labels;
    api.post(CONFIG_MAPS, &object).await.expect(201);
}

#[tokio::test]
async fn selectors_select() {
    let api = with_widgets().await;
    labelled(&api, "a", json!({"app": "web", "tier": "front"})).await;
    labelled(&api, "b", json!({"app": "web"})).await;
    labelled(&api, "c", json!({"app": "db"})).await;
    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("?labelSelector=app%3Dweb", vec!["a", "b"]),
        ("?labelSelector=app+in+(web,db),!tier", vec!["b", "c"]),
        ("?labelSelector=app!%3Dweb", vec!["c"]),
        ("?fieldSelector=metadata.name%3Db", vec!["b"]),
        (
            "?fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault",
            vec!["a", "c"],
        ),
        (
            "?labelSelector=app%3Dweb&fieldSelector=metadata.name%3Dc",
            vec![],
        ),
    ] {
        let list = api.get(&format!("{CONFIG_MAPS}{query}")).await.expect(200);
        assert_eq!(names(&list), expected, "{query}");
    }
    assert_eq!(
        names(&api.get("/api/v1/configmaps").await.expect(200)),
        ["a", "b", "c", "extension-apiserver-authentication"]
    );
    api.get(&format!("{CONFIG_MAPS}?labelSelector=a+b"))
        .await
        .refused(400, "BadRequest");
    let message = api
        .get(&format!("{CONFIG_MAPS}?fieldSelector=data.x%3Dy"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(message, "field label not supported: data.x");

    let mut blue = widget("blue");
    blue["spec"]["color"] = "blue".into();
    api.post(WIDGETS, &blue).await.expect(201);
    api.post(WIDGETS, &widget("red")).await.expect(201);
    let list = api
        .get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dblue"))
        .await
        .expect(200);
    assert_eq!(names(&list), ["blue"]);
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("WidgetList"), &json!("example.com/v1"))
    );
}

#[tokio::test]
async fn pages_hold_every_object_that_was_there_throughout() {
    let api = Sandbox::start().await;
    for index in 0..7 {
        api.post(CONFIG_MAPS, &config_map(&format!("c{index}")))
            .await
            .expect(201);
    }
    let first = api.get(&format!("{CONFIG_MAPS}?limit=3")).await.expect(200);
    assert_eq!(names(&first), ["c0", "c1", "c2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    let revision = first["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();

    // Changes between the pages.
    api.delete(&format!("{CONFIG_MAPS}/c2"), &json!({}))
        .await
        .expect(200);
    api.post(CONFIG_MAPS, &config_map("b9")).await.expect(201);

    let mut seen: Vec<String> = names(&first).into_iter().map(str::to_owned).collect();
    let mut token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    loop {
        let page = api
            .get(&format!("{CONFIG_MAPS}?limit=3&continue={token}"))
            .await
            .expect(200);
        assert_eq!(
            page["metadata"]["resourceVersion"], revision,
            "a watch from here sees what the pages missed"
        );
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4", "c5", "c6"]);
    let mut watch = api
        .watch(&format!(
            "{CONFIG_MAPS}?watch=true&resourceVersion={revision}"
        ))
        .await;
    assert_eq!(watch.seen().await, ("DELETED".to_owned(), "c2".to_owned()));
    assert_eq!(watch.seen().await, ("ADDED".to_owned(), "b9".to_owned()));
    api.get(&format!("{CONFIG_MAPS}?limit=3&continue=nonsense"))
        .await
        .refused(400, "BadRequest");
    api.get(&format!("{CONFIG_MAPS}?limit=x"))
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn resource_versions_of_lists() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let list = api.get(CONFIG_MAPS).await.expect(200);
    let revision: u64 = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for query in [
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={revision}"),
        format!("resourceVersion={revision}&resourceVersionMatch=Exact"),
        "resourceVersion=1&resourceVersionMatch=NotOlderThan".to_owned(),
    ] {
        api.get(&format!("{CONFIG_MAPS}?{query}")).await.expect(200);
    }
    let future = revision + 1000;
    api.get(&format!("{CONFIG_MAPS}?resourceVersion={future}"))
        .await
        .refused(504, "Timeout");
    api.get(&format!(
        "{CONFIG_MAPS}?resourceVersion=1&resourceVersionMatch=Exact"
    ))
    .await
    .refused(410, "Expired");
    api.get(&format!("{CONFIG_MAPS}?resourceVersionMatch=Exact"))
        .await
        .refused(422, "Invalid");
    api.get(&format!("{CONFIG_MAPS}?resourceVersion=x"))
        .await
        .refused(422, "Invalid");
    api.get(&format!(
        "{CONFIG_MAPS}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    ))
    .await
    .refused(422, "Invalid");
}

#[tokio::test]
async fn metadata_only() {
    let api = Sandbox::start().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = api.get_as(CONFIG_MAPS, accept).await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert!(list["items"][0].get("data").is_none());
    let one = api
        .get_as(
            &format!("{CONFIG_MAPS}/a"),
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        )
        .await
        .expect(200);
    assert_eq!(one["metadata"]["name"], "a");
    assert!(one.get("data").is_none());
}
