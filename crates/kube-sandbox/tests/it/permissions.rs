//! Impersonated users and their roles; requests of web pages.

use kube_sandbox::Config;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIG_MAPS, Sandbox, WIDGETS, config_map, widget, widget_crd};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const CLUSTER_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

async fn checked() -> Sandbox {
    Sandbox::with(Config {
        rbac: true,
        crds: vec![widget_crd()],
        ..Config::default()
    })
    .await
}

async fn as_user(
    api: &Sandbox,
    user: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let mut request = api.request(method, path).header("impersonate-user", user);
    if let Some(body) = body {
        let kind = if method == "PATCH" {
            "application/apply-patch+yaml"
        } else {
            "application/json"
        };
        request = request.header("content-type", kind).body(body.to_string());
    }
    api.send(request).await
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

async fn grant(api: &Sandbox, name: &str, rules: &[Value], subject: Value) {
    api.post(ROLES, &json!({"metadata": {"name": name}, "rules": rules}))
        .await
        .expect(201);
    let binding = json!({"metadata": {"name": name}, "roleRef": {"kind": "Role", "name": name}, "subjects": [subject]});
    api.post(BINDINGS, &binding).await.expect(201);
}

#[tokio::test]
async fn without_a_role_nothing_is_allowed() {
    let api = checked().await;
    let message = as_user(&api, "ann", "GET", &format!("{CONFIG_MAPS}/a"), None)
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        "configmaps \"a\" is forbidden: User \"ann\" cannot get resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let message = as_user(&api, "ann", "GET", "/api/v1/nodes", None)
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        "nodes is forbidden: User \"ann\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    let message = as_user(&api, "ann", "POST", WIDGETS, Some(&widget("w")))
        .await
        .refused(403, "Forbidden");
    assert!(
        message.starts_with(
            "widgets.example.com is forbidden: User \"ann\" cannot create resource \"widgets\""
        ),
        "{message}"
    );
    // Discovery and questions about oneself are for everybody.
    as_user(&api, "ann", "GET", "/apis", None).await.expect(200);
    as_user(&api, "ann", "GET", "/openapi/v3", None)
        .await
        .expect(200);
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(
        as_user(&api, "ann", "POST", path, Some(&review))
            .await
            .expect(201)["status"]["allowed"],
        false
    );
    assert_eq!(
        api.post(path, &review).await.expect(201)["status"]["allowed"],
        true
    );
    let request = api
        .request("GET", CONFIG_MAPS)
        .header("impersonate-group", "system:masters");
    api.send(request).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn roles_allow_what_they_say() {
    let api = checked().await;
    let account = json!({"kind": "ServiceAccount", "name": "agent", "namespace": "work"});
    let rules = [
        rule(
            &["get", "list", "watch", "patch", "create"],
            "example.com",
            &["widgets"],
        ),
        rule(&["patch"], "example.com", &["widgets/status"]),
        json!({"verbs": ["get", "update"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]}),
    ];
    grant(&api, "agent", &rules, account).await;
    let user = "system:serviceaccount:work:agent";
    let path = format!("{WIDGETS}/w?fieldManager=m");
    as_user(&api, user, "PATCH", &path, Some(&widget("w")))
        .await
        .expect(201);
    as_user(&api, user, "GET", &format!("{WIDGETS}/w"), None)
        .await
        .expect(200);
    as_user(&api, user, "GET", WIDGETS, None).await.expect(200);
    let status = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": {"phase": "x"}});
    as_user(
        &api,
        user,
        "PATCH",
        &format!("{WIDGETS}/w/status?fieldManager=m"),
        Some(&status),
    )
    .await
    .expect(200);
    as_user(&api, user, "GET", &format!("{WIDGETS}/w/status"), None)
        .await
        .refused(403, "Forbidden");
    as_user(&api, user, "DELETE", &format!("{WIDGETS}/w"), None)
        .await
        .refused(403, "Forbidden");
    as_user(&api, user, "GET", "/apis/example.com/v1/widgets", None)
        .await
        .refused(403, "Forbidden");
    api.post(CONFIG_MAPS, &config_map("mine")).await.expect(201);
    as_user(&api, user, "GET", &format!("{CONFIG_MAPS}/mine"), None)
        .await
        .expect(200);
    as_user(&api, user, "GET", &format!("{CONFIG_MAPS}/other"), None)
        .await
        .refused(403, "Forbidden");
    as_user(
        &api,
        user,
        "GET",
        &format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Dmine"),
        None,
    )
    .await
    .refused(403, "Forbidden");
    as_user(
        &api,
        "system:serviceaccount:other:agent",
        "GET",
        WIDGETS,
        None,
    )
    .await
    .refused(403, "Forbidden");
    // Applying what isn't there is creating.
    grant(
        &api,
        "patcher",
        &[rule(&["patch"], "example.com", &["widgets"])],
        json!({"kind": "User", "name": "bob"}),
    )
    .await;
    as_user(&api, "bob", "PATCH", &path, Some(&widget("w")))
        .await
        .expect(200);
    let message = as_user(
        &api,
        "bob",
        "PATCH",
        &path.replace("/w?", "/new?"),
        Some(&widget("new")),
    )
    .await
    .refused(403, "Forbidden");
    assert!(
        message.contains("cannot create resource \"widgets\""),
        "{message}"
    );
}

#[tokio::test]
async fn cluster_roles_bind_everywhere_and_aggregate() {
    let api = checked().await;
    let part = json!({"metadata": {"name": "part", "labels": {"to": "viewer"}}, "rules": [rule(&["list"], "", &["nodes", "configmaps"])]});
    api.post(CLUSTER_ROLES, &part).await.expect(201);
    let whole = json!({"metadata": {"name": "viewer"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "viewer"}}]}});
    api.post(CLUSTER_ROLES, &whole).await.expect(201);
    let binding = json!({"metadata": {"name": "viewers"}, "roleRef": {"kind": "ClusterRole", "name": "viewer"}, "subjects": [{"kind": "Group", "name": "ops"}]});
    api.post(CLUSTER_BINDINGS, &binding).await.expect(201);
    let ask = |path: &'static str| {
        let request = api
            .request("GET", path)
            .header("impersonate-user", "ann")
            .header("impersonate-group", "ops");
        api.send(request)
    };
    ask("/api/v1/nodes").await.expect(200);
    ask("/api/v1/configmaps").await.expect(200);
    ask("/api/v1/namespaces/kube-system/configmaps")
        .await
        .expect(200);
    ask("/api/v1/secrets").await.refused(403, "Forbidden");
    let review = json!({"spec": {"user": "ann", "groups": ["ops"], "resourceAttributes": {"verb": "list", "resource": "nodes"}}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(
        api.post(path, &review).await.expect(201)["status"]["allowed"],
        true
    );
    let review = json!({"spec": {"user": "ann", "groups": ["ops"], "resourceAttributes": {"verb": "delete", "resource": "nodes"}}});
    assert_eq!(
        api.post(path, &review).await.expect(201)["status"]["allowed"],
        false
    );
}

#[tokio::test]
async fn nobody_grants_what_he_doesn_t_have() {
    let api = checked().await;
    let rules = [
        rule(
            &["create", "update", "patch"],
            "rbac.authorization.k8s.io",
            &["roles", "rolebindings"],
        ),
        rule(&["get"], "", &["configmaps"]),
    ];
    grant(
        &api,
        "deputy",
        &rules,
        json!({"kind": "User", "name": "ann"}),
    )
    .await;
    let role = |verbs: &[&str]| json!({"metadata": {"name": "r"}, "rules": [rule(verbs, "", &["configmaps"])]});
    let path = format!("{ROLES}?dryRun=All");
    let message = as_user(&api, "ann", "POST", &path, Some(&role(&["get", "delete"])))
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"get\" \"delete\"]}"
    );
    as_user(&api, "ann", "POST", ROLES, Some(&role(&["get"])))
        .await
        .expect(201);
    api.post(
        ROLES,
        &json!({"metadata": {"name": "strong"}, "rules": [rule(&["*"], "*", &["*"])]}),
    )
    .await
    .expect(201);
    let bind = |role: &str| json!({"metadata": {"name": format!("b-{role}")}, "roleRef": {"kind": "Role", "name": role}, "subjects": [{"kind": "User", "name": "ann"}]});
    as_user(&api, "ann", "POST", BINDINGS, Some(&bind("r")))
        .await
        .expect(201);
    as_user(&api, "ann", "POST", BINDINGS, Some(&bind("strong")))
        .await
        .refused(403, "Forbidden");
    grant(
        &api,
        "binder",
        &[rule(&["bind"], "rbac.authorization.k8s.io", &["roles"])],
        json!({"kind": "User", "name": "ann"}),
    )
    .await;
    as_user(&api, "ann", "POST", BINDINGS, Some(&bind("strong")))
        .await
        .expect(201);
}

#[tokio::test]
async fn without_the_switch_everybody_may_do_everything() {
    let api = Sandbox::start().await;
    as_user(&api, "ann", "POST", CONFIG_MAPS, Some(&config_map("a")))
        .await
        .expect(201);
    let answer = as_user(
        &api,
        "ann",
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        Some(&json!({})),
    )
    .await
    .expect(201);
    assert_eq!(answer["status"]["userInfo"]["username"], "ann");
}

#[tokio::test]
async fn web_pages_are_refused() {
    let api = Sandbox::start().await;
    let request = api
        .request("POST", CONFIG_MAPS)
        .header("origin", "https://evil.example")
        .body(config_map("a").to_string());
    api.send(request).await.refused(403, "Forbidden");
    for (host, code) in [
        ("evil.example:80", 403),
        ("localhost:1", 200),
        ("127.0.0.9", 200),
        ("[::1]:80", 200),
    ] {
        let request = api.request("GET", CONFIG_MAPS).header("host", host);
        assert_eq!(api.send(request).await.code, code, "{host}");
    }
    assert_eq!(api.get(CONFIG_MAPS).await.expect(200)["items"], json!([]));
}
