//! Which types there are.

use serde_json::{Value, json};

use crate::support::{CRDS, Sandbox, widget_crd, with_widgets};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == name)
}

#[tokio::test]
async fn plain_documents() {
    let api = with_widgets().await;
    assert_eq!(api.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let groups = api.get("/apis").await.expect(200);
    assert_eq!(groups["kind"], "APIGroupList");
    let apps = named(&groups["groups"], "apps").unwrap();
    assert_eq!(
        apps["preferredVersion"],
        json!({"groupVersion": "apps/v1", "version": "v1"})
    );
    assert!(named(&groups["groups"], "example.com").is_some());
    assert_eq!(
        api.get("/apis/example.com").await.expect(200)["kind"],
        "APIGroup"
    );
    api.get("/apis/nothing.example.com")
        .await
        .refused(404, "NotFound");

    let list = api.get("/apis/example.com/v1").await.expect(200);
    assert_eq!(list["groupVersion"], "example.com/v1");
    let widgets = named(&list["resources"], "widgets").unwrap();
    assert_eq!(
        *widgets,
        json!({"name": "widgets", "singularName": "widget", "namespaced": true, "kind": "Widget",
            "shortNames": ["wd"], "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    );
    assert_eq!(
        named(&list["resources"], "widgets/status").unwrap()["verbs"],
        json!(["get", "patch", "update"])
    );
    assert_eq!(
        named(&list["resources"], "widgets/scale").unwrap()["group"],
        "autoscaling"
    );
    let core = api.get("/api/v1").await.expect(200);
    assert_eq!(
        named(&core["resources"], "namespaces").unwrap()["namespaced"],
        false
    );
}

#[tokio::test]
async fn aggregated_documents_when_asked_for() {
    let api = with_widgets().await;
    let answer = api.get_as("/apis", AGGREGATED).await;
    assert_eq!(
        answer.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let list = answer.expect(200);
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (
            &json!("APIGroupDiscoveryList"),
            &json!("apidiscovery.k8s.io/v2")
        )
    );
    let group = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["metadata"]["name"] == "example.com")
        .unwrap();
    let widgets = &group["versions"][0]["resources"][0];
    assert_eq!(
        (&widgets["resource"], &widgets["scope"]),
        (&json!("widgets"), &json!("Namespaced"))
    );
    assert_eq!(widgets["responseKind"]["kind"], "Widget");
    let names: Vec<&Value> = widgets["subresources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sub| &sub["subresource"])
        .collect();
    assert_eq!(names, ["scale", "status"]);
    let core = api.get_as("/api", AGGREGATED).await.expect(200);
    assert_eq!(core["items"][0]["metadata"], json!({}));
}

#[tokio::test]
async fn a_definition_is_served_as_soon_as_its_creation_is_answered() {
    let api = Sandbox::start().await;
    api.get("/apis/example.com/v1")
        .await
        .refused(404, "NotFound");
    api.post(CRDS, &widget_crd()).await.expect(201);
    api.get("/apis/example.com/v1").await.expect(200);
    let crd = api
        .get(&format!("{CRDS}/widgets.example.com"))
        .await
        .expect(200);
    let condition = |kind: &str| {
        crd["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|condition| condition["type"] == kind)
            .unwrap()
            .clone()
    };
    assert_eq!(condition("Established")["status"], "True");
    assert_eq!(condition("NamesAccepted")["status"], "True");
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(crd["status"]["acceptedNames"]["listKind"], "WidgetList");
}

#[tokio::test]
async fn open_api_describes_what_kubectl_needs() {
    let api = with_widgets().await;
    let index = api.get("/openapi/v3").await.expect(200);
    let url = |path: &str| {
        index["paths"][path]["serverRelativeURL"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (path, object, kind) in [
        ("api/v1", "/api/v1/namespaces/{name}", "Namespace"),
        (
            "apis/example.com/v1",
            "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}",
            "Widget",
        ),
    ] {
        let document = api.get(&url(path)).await.expect(200);
        let patch = &document["paths"][object]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], kind);
        assert!(named(&patch["parameters"], "fieldValidation").is_some());
    }
    let document = api.get(&url("apis/example.com/v1")).await.expect(200);
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(
        schema["properties"]["spec"]["properties"]["size"]["maximum"],
        100
    );
    let core = api.get(&url("api/v1")).await.expect(200);
    let pod = &core["components"]["schemas"]["core.PodSpec"]["properties"]["containers"];
    assert_eq!(pod["items"]["$ref"], "#/components/schemas/core.Container");
    // Every reference leads somewhere.
    let schemas = core["components"]["schemas"].as_object().unwrap();
    let text = core.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(api.get("/openapi/v2").await.expect(200)["swagger"], "2.0");
    api.get_as(
        "/openapi/v2",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    )
    .await
    .refused(406, "NotAcceptable");
}

#[tokio::test]
async fn health_version_and_forms() {
    let api = Sandbox::start().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping"] {
        assert_eq!(api.get(path).await.expect(200), "ok");
    }
    assert_eq!(api.get("/version").await.expect(200)["major"], "1");
    api.get_as("/api/v1/namespaces", "application/vnd.kubernetes.protobuf")
        .await
        .refused(406, "NotAcceptable");
    let yaml = api
        .get_as("/api/v1/namespaces/default", "application/yaml")
        .await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    assert!(yaml.expect(200).as_str().unwrap().contains("name: default"));
}
