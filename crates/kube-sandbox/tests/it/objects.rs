//! Creating, reading, replacing, deleting; errors in the words of the API server.

use serde_json::json;

use crate::support::{CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, with_widgets};

#[tokio::test]
async fn an_object_lives_and_dies() {
    let api = Sandbox::start().await;
    let created = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let metadata = &created["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(
        metadata["creationTimestamp"].as_str().unwrap().len(),
        "2026-01-01T00:00:00Z".len()
    );
    assert!(
        metadata.get("generation").is_none(),
        "config maps have none"
    );
    assert_eq!(metadata["managedFields"][0]["manager"], "tests");
    assert_eq!(metadata["managedFields"][0]["operation"], "Update");

    assert_eq!(
        api.get(&format!("{CONFIG_MAPS}/a")).await.expect(200),
        created
    );

    let mut changed = created.clone();
    changed["data"]["key"] = "other".into();
    let replaced = api
        .put(&format!("{CONFIG_MAPS}/a"), &changed)
        .await
        .expect(200);
    let number = |object: &serde_json::Value| -> u64 {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(number(&replaced) > number(&created));

    let message = api
        .put(&format!("{CONFIG_MAPS}/a"), &changed)
        .await
        .refused(409, "Conflict");
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );

    let gone = api
        .delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await
        .expect(200);
    assert_eq!(gone["status"], "Success");
    assert_eq!(gone["details"]["uid"], created["metadata"]["uid"]);
    assert_eq!(
        api.get(&format!("{CONFIG_MAPS}/a"))
            .await
            .refused(404, "NotFound"),
        "configmaps \"a\" not found"
    );
}

#[tokio::test]
async fn what_extension_servers_read_at_start_is_there() {
    let api = Sandbox::start().await;
    let place = "/api/v1/namespaces/kube-system/configmaps";
    let name = "extension-apiserver-authentication";
    let found = api.get(&format!("{place}/{name}")).await.expect(200);
    let header = &found["data"]["requestheader-username-headers"];
    assert_eq!(header, "[\"X-Remote-User\"]");
    assert!(
        found["data"].get("requestheader-client-ca-file").is_none(),
        "an empty certificate would be an error, an absent one is none"
    );
    let one = format!("{place}?fieldSelector=metadata.name%3D{name}");
    let list = api.get(&one).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_not_stored() {
    let api = Sandbox::start().await;
    let created = api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(api.put(&path, &created).await.expect(200), created);
    assert_eq!(
        api.merge(&path, &json!({"data": {"key": "value"}}))
            .await
            .expect(200),
        created
    );
    let applied = api.apply(&path, "m", &config_map("a")).await.expect(200);
    assert_ne!(applied, created, "a new applier is a change of ownership");
    assert_eq!(
        api.apply(&path, "m", &config_map("a")).await.expect(200),
        applied
    );
}

#[tokio::test]
async fn refusals_have_the_right_code_reason_and_text() {
    let api = with_widgets().await;
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let exists = api.post(CONFIG_MAPS, &config_map("a")).await;
    assert_eq!(
        exists.body["details"],
        json!({"name": "a", "kind": "configmaps"})
    );
    assert_eq!(
        exists.refused(409, "AlreadyExists"),
        "configmaps \"a\" already exists"
    );

    let missing = api.get(&format!("{WIDGETS}/x")).await;
    assert_eq!(
        missing.body["details"],
        json!({"name": "x", "group": "example.com", "kind": "widgets"})
    );
    assert_eq!(
        missing.refused(404, "NotFound"),
        "widgets.example.com \"x\" not found"
    );

    let message = api
        .post("/api/v1/namespaces/none/configmaps", &config_map("a"))
        .await
        .refused(404, "NotFound");
    assert_eq!(message, "namespaces \"none\" not found");
    let message = api
        .get("/apis/example.com/v1/nothings")
        .await
        .refused(404, "NotFound");
    assert_eq!(message, "the server could not find the requested resource");
    let message = api
        .post("/api/v1/configmaps", &config_map("a"))
        .await
        .refused(405, "MethodNotAllowed");
    assert_eq!(
        message,
        "the server does not allow this method on the requested resource"
    );

    let mut wrong = widget("w");
    wrong["apiVersion"] = "example.com/v2".into();
    let message = api.post(WIDGETS, &wrong).await.refused(400, "BadRequest");
    assert_eq!(
        message,
        "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)"
    );
    let mut versioned = config_map("b");
    versioned["metadata"]["resourceVersion"] = "5".into();
    api.post(CONFIG_MAPS, &versioned)
        .await
        .refused(400, "BadRequest");
    let mut elsewhere = config_map("b");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    api.post(CONFIG_MAPS, &elsewhere)
        .await
        .refused(400, "BadRequest");
    let message = api
        .put(&format!("{CONFIG_MAPS}/a"), &config_map("b"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(
        message,
        "the name of the object (b) does not match the name on the URL (a)"
    );

    api.post(WIDGETS, &widget("w")).await.expect(201);
    let message = api
        .put(&format!("{WIDGETS}/w"), &widget("w"))
        .await
        .refused(422, "Invalid");
    assert_eq!(
        message,
        "Widget.example.com \"w\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
    );
}

#[tokio::test]
async fn names_are_checked_and_generated() {
    let api = Sandbox::start().await;
    let answer = api.post(CONFIG_MAPS, &config_map("Not_A_Name")).await;
    assert_eq!(
        answer.body["details"]["causes"][0]["field"],
        "metadata.name"
    );
    assert!(answer.refused(422, "Invalid").starts_with("ConfigMap \"Not_A_Name\" is invalid: metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain"));
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let message = api
        .post(CONFIG_MAPS, &nameless)
        .await
        .refused(422, "Invalid");
    assert_eq!(
        message,
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
    );
    let generated =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "job-"}});
    let created = api.post(CONFIG_MAPS, &generated).await.expect(201);
    assert_eq!(
        created["metadata"]["name"].as_str().unwrap().len(),
        "job-".len() + 5
    );
    // RBAC names are freer.
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:X"}, "rules": []});
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role)
        .await
        .expect(201);
    api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3AX")
        .await
        .expect(200);
}

#[tokio::test]
async fn bad_bodies_change_nothing() {
    let api = Sandbox::start().await;
    let post = |body: &'static str, kind: &'static str| {
        api.send(
            api.request("POST", CONFIG_MAPS)
                .header("content-type", kind)
                .body(body),
        )
    };
    let message = post("{\"kind\": ", "application/json")
        .await
        .refused(400, "BadRequest");
    assert!(message.contains("line 1 column 9"), "{message}");
    post("[1]", "application/json")
        .await
        .refused(400, "BadRequest");
    post("\"text\"", "application/json")
        .await
        .refused(400, "BadRequest");
    post("{}", "application/cbor")
        .await
        .refused(415, "UnsupportedMediaType");
    post("a: [", "application/yaml")
        .await
        .refused(400, "BadRequest");
    post("{\"metadata\": \"x\"}", "application/json")
        .await
        .refused(400, "BadRequest");
    let wrong_types = json!({"metadata": {"name": "a"}, "data": {"n": 5}}).to_string();
    let answer = api
        .send(api.request("POST", CONFIG_MAPS).body(wrong_types))
        .await;
    assert!(
        answer
            .refused(400, "BadRequest")
            .contains("data.n in body must be of type string")
    );
    let labels = json!({"metadata": {"name": "a", "labels": {"x": {"y": 1}}, "finalizers": "f"}})
        .to_string();
    api.send(api.request("POST", CONFIG_MAPS).body(labels))
        .await
        .refused(400, "BadRequest");
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    api.send(api.request("POST", CONFIG_MAPS).body(deep))
        .await
        .refused(400, "BadRequest");
    let large = format!("{{\"data\": \"{}\"}}", "x".repeat(3 * 1024 * 1024));
    api.send(api.request("POST", CONFIG_MAPS).body(large))
        .await
        .refused(413, "RequestEntityTooLarge");
    assert_eq!(api.get(CONFIG_MAPS).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn yaml_bodies_are_read() {
    let api = Sandbox::start().await;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  on: \"yes\"\n";
    let request = api
        .request("POST", CONFIG_MAPS)
        .header("content-type", "application/yaml")
        .body(text);
    assert_eq!(
        api.send(request).await.expect(201)["data"],
        json!({"on": "yes"})
    );
}

#[tokio::test]
async fn unknown_and_duplicate_fields_are_refused_when_strict() {
    let api = with_widgets().await;
    let strict = |path: &str, body: &str| {
        let path = format!("{path}?fieldValidation=Strict");
        let request = api.request("POST", &path).body(body.to_owned());
        async { api.send(request).await }
    };
    let message = strict(
        CONFIG_MAPS,
        r#"{"metadata": {"name": "a", "nam": "b"}, "dta": {}}"#,
    )
    .await
    .refused(400, "BadRequest");
    assert_eq!(
        message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"metadata.nam\", unknown field \"dta\""
    );
    let message = strict(
        WIDGETS,
        r#"{"metadata": {"name": "a"}, "spec": {"size": 1, "size": 2}}"#,
    )
    .await
    .refused(400, "BadRequest");
    assert!(
        message.ends_with("strict decoding error: duplicate field \"spec.size\""),
        "{message}"
    );
    let pod =
        r#"{"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "imgae": "x"}]}}"#;
    let message = strict("/api/v1/namespaces/default/pods", pod)
        .await
        .refused(400, "BadRequest");
    assert!(
        message.contains("unknown field \"spec.containers[0].imgae\""),
        "{message}"
    );

    // Without strictness they are dropped, with a warning.
    let mut unknown = widget("w");
    unknown["spec"]["nothing"] = 1.into();
    let answer = api.post(WIDGETS, &unknown).await;
    assert_eq!(
        answer.headers["warning"],
        "299 - \"unknown field \\\"spec.nothing\\\"\""
    );
    assert!(answer.expect(201)["spec"].get("nothing").is_none());
}

#[tokio::test]
async fn dry_run_checks_and_stores_nothing() {
    let api = Sandbox::start().await;
    let created = api
        .post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("a"))
        .await
        .expect(201);
    assert!(created["metadata"]["uid"].is_string());
    assert!(created["metadata"].get("resourceVersion").is_none());
    api.get(&format!("{CONFIG_MAPS}/a"))
        .await
        .refused(404, "NotFound");
    api.post(CONFIG_MAPS, &config_map("a")).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a?dryRun=All");
    assert_eq!(
        api.merge(&path, &json!({"data": {"x": "y"}}))
            .await
            .expect(200)["data"]["x"],
        "y"
    );
    api.delete(&path, &json!({})).await.expect(200);
    api.delete(&format!("{CONFIG_MAPS}/a"), &json!({"dryRun": ["All"]}))
        .await
        .expect(200);
    assert_eq!(
        api.get(&format!("{CONFIG_MAPS}/a")).await.expect(200)["data"],
        json!({"key": "value"})
    );
    api.post(&format!("{CONFIG_MAPS}?dryRun=Some"), &config_map("b"))
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn built_in_rules_hold() {
    let api = Sandbox::start().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let created = api.post(secrets, &secret).await.expect(201);
    assert_eq!(
        (&created["type"], &created["data"]["a"]),
        (&json!("Opaque"), &json!("Yg=="))
    );
    let message = api
        .merge(&format!("{secrets}/s"), &json!({"type": "other"}))
        .await
        .refused(422, "Invalid");
    assert_eq!(
        message,
        "Secret \"s\" is invalid: type: Invalid value: \"other\": field is immutable"
    );

    let frozen = json!({"metadata": {"name": "f"}, "data": {"a": "b"}, "immutable": true});
    api.post(CONFIG_MAPS, &frozen).await.expect(201);
    let message = api
        .merge(&format!("{CONFIG_MAPS}/f"), &json!({"data": {"a": "c"}}))
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("data: Forbidden: field is immutable when `immutable` is set"),
        "{message}"
    );

    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]});
    let created = api.post(bindings, &binding).await.expect(201);
    assert_eq!(created["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    let message = api
        .merge(&format!("{bindings}/b"), &json!({"roleRef": {"name": "x"}}))
        .await
        .refused(422, "Invalid");
    assert!(message.contains("roleRef: Invalid value"), "{message}");

    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let bad = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": []}}}});
    let message = api.post(deployments, &bad).await.refused(422, "Invalid");
    assert!(
        message.contains("`selector` does not match template `labels`"),
        "{message}"
    );
    assert!(
        message.contains("spec.template.spec.containers: Required value"),
        "{message}"
    );
}

#[tokio::test]
async fn generation_follows_the_spec_of_a_deployment() {
    let api = Sandbox::start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let created = api.post(path, &deployment).await.expect(201);
    assert_eq!(
        (
            &created["metadata"]["generation"],
            &created["spec"]["replicas"]
        ),
        (&json!(1), &json!(1))
    );
    let one = format!("{path}/d");
    let generation = |object: serde_json::Value| object["metadata"]["generation"].as_i64().unwrap();
    assert_eq!(
        generation(
            api.merge(&one, &json!({"metadata": {"labels": {"x": "y"}}}))
                .await
                .expect(200)
        ),
        1
    );
    assert_eq!(
        generation(
            api.merge(&one, &json!({"spec": {"replicas": 3}}))
                .await
                .expect(200)
        ),
        2
    );
    let status = json!({"status": {"replicas": 3}, "spec": {"replicas": 9}});
    let after = api
        .merge(&format!("{one}/status"), &status)
        .await
        .expect(200);
    assert_eq!(
        (&after["spec"]["replicas"], &after["status"]["replicas"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(generation(after), 2);
    assert_eq!(
        generation(
            api.merge(&one, &json!({"metadata": {"generation": 77}}))
                .await
                .expect(200)
        ),
        2
    );
    // The scale subresource is one number of it.
    let scale = api.get(&format!("{one}/scale")).await.expect(200);
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(3))
    );
    assert_eq!(scale["status"]["selector"], "a=b");
    assert_eq!(
        api.merge(&format!("{one}/scale"), &json!({"spec": {"replicas": 5}}))
            .await
            .expect(200)["spec"]["replicas"],
        5
    );
    assert_eq!(api.get(&one).await.expect(200)["spec"]["replicas"], 5);
    api.merge(&format!("{one}/scale"), &json!({"spec": {"replicas": -1}}))
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn reviews_allow_everything() {
    let api = Sandbox::start().await;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": "u"}});
    let answer = api
        .post(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            &review,
        )
        .await
        .expect(201);
    assert_eq!(answer["status"]["allowed"], true);
    let token = json!({"spec": {"token": "secret"}});
    let answer = api
        .post("/apis/authentication.k8s.io/v1/tokenreviews", &token)
        .await
        .expect(201);
    assert_eq!(answer["status"]["authenticated"], true);
    assert!(
        answer["spec"].get("token").is_none(),
        "tokens aren't repeated"
    );
    api.get("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .await
        .refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn a_token_is_required_when_configured() {
    let config = kube_sandbox::Config {
        bearer_token: Some("t0ken".to_owned()),
        ..Default::default()
    };
    assert!(!format!("{config:?}").contains("t0ken"));
    let api = Sandbox::with(config).await;
    api.get("/api/v1/namespaces")
        .await
        .refused(401, "Unauthorized");
    for bad in ["Bearer wrong", "Bearer ", "t0ken", "Bearer t0kenx"] {
        let request = api
            .request("GET", "/api/v1/namespaces")
            .header("authorization", bad);
        api.send(request).await.refused(401, "Unauthorized");
    }
    let request = api
        .request("GET", "/api/v1/namespaces")
        .header("authorization", "Bearer t0ken");
    api.send(request).await.expect(200);
    assert!(api.kubeconfig.contains("t0ken"));
}
