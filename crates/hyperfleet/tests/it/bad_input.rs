//! The doors of a running system, tried with what users get wrong. Each answer has the code that its protocol names, shows no internals,
//! and changes nothing.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::support::{Up, hyperfleet};

#[tokio::test]
async fn every_door_refuses_what_users_get_wrong_and_changes_nothing() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let up = Up::start(data.path(), &[]).await;
    let id = up.create_cluster("untouched").await;
    let before = up.reconciled(&id, 1).await;

    // HyperFleet API.
    let path = format!("/clusters/{id}");
    for (method, path, body, expected) in [
        ("POST", "/clusters", json!({"name": "no-spec"}), 400),
        (
            "POST",
            "/clusters",
            json!({"kind": "Cluster", "name": "Bad Name!", "spec": {}}),
            400,
        ),
        (
            "POST",
            "/clusters",
            json!({"kind": "Cluster", "name": "untouched", "spec": {}}),
            409,
        ),
        ("POST", "/clusters", json!([1, 2]), 400),
        ("PATCH", path.as_str(), json!({"spec": "text"}), 400),
        (
            "GET",
            "/clusters?search=name%20%3D%3D%20'x",
            Value::Null,
            400,
        ),
        (
            "GET",
            "/clusters?order=name%3Bdrop%20table",
            Value::Null,
            400,
        ),
        ("GET", "/clusters/does-not-exist", Value::Null, 404),
        ("GET", "/nowhere", Value::Null, 404),
    ] {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = up.api(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(
            !answer.to_string().to_lowercase().contains("sqlite"),
            "{answer}"
        );
    }

    // Maestro REST.
    let rest = up.endpoint("maestroRest");
    for (method, path, body, expected) in [
        (
            "POST",
            "/api/maestro/v1/consumers",
            json!({"name": "Not A Label"}),
            400,
        ),
        (
            "GET",
            "/api/maestro/v1/resource-bundles?search=nope%20%3D%3D",
            Value::Null,
            400,
        ),
        (
            "GET",
            "/api/maestro/v1/resource-bundles/none",
            Value::Null,
            404,
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = up.request(method, &format!("{rest}{path}"), body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }

    // Half a request, then nothing more: the others are served all the same.
    let address = up.endpoint("api").trim_start_matches("http://").to_owned();
    let mut half = TcpStream::connect(&address).expect("connect");
    half.write_all(b"POST /api/hyperfleet/v1/clusters HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":")
        .expect("write");
    drop(half);

    // Kubernetes: an invalid HostedCluster is refused with every violation.
    let hosted = format!(
        "{}/apis/hypershift.openshift.io/v1beta1/namespaces/clusters/hostedclusters",
        up.endpoint("management")
    );
    let invalid = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": "invalid", "namespace": "clusters"},
        "spec": {"platform": {"type": "GCP", "gcp": {"project": "X", "region": "US"}}},
    });
    let (status, answer) = up.request("POST", &hosted, Some(invalid)).await;
    assert_eq!(status, 422, "{answer}");
    assert!(
        answer["details"]["causes"]
            .as_array()
            .is_some_and(|c| c.len() > 3),
        "{answer:#}"
    );

    let (_, list) = up.api("GET", "/clusters", None).await;
    assert_eq!(list["total"], 1, "{list}");
    let (_, after) = up.api("GET", &path, None).await;
    assert_eq!(after["generation"], before["generation"]);
    assert_eq!(after["spec"], before["spec"]);
}

#[test]
fn usage_errors_name_the_flag() {
    for (arguments, flag) in [
        (vec!["up", "--time-scale", "fast"], "--time-scale"),
        (vec!["up", "--time-scale", "0"], "--time-scale"),
        (vec!["up", "--broker", "kafka://x"], "--broker"),
        (
            vec!["up", "--maestro-server", "not a url"],
            "--maestro-server",
        ),
        (vec!["up", "--kubeconfig", "does/not/exist"], "--kubeconfig"),
        (vec!["demo", "--output", "xml"], "--output"),
    ] {
        let output = hyperfleet().args(&arguments).output().expect("run");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text.contains(flag), "{arguments:?}: {text}");
    }
}

#[test]
fn a_second_up_on_the_same_data_is_refused_with_the_reason() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _first = runtime.block_on(Up::start(data.path(), &[]));
    let output = hyperfleet()
        .args(["up", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("in use"), "{text}");
}
