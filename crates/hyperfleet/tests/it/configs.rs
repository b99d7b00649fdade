//! The control plane driven by other people's configurations: the seed's own YAML, and one in the style of an upstream user.

use super::support::{PATIENCE, Up};
use testkit::eventually;

#[tokio::test]
async fn the_seed_yaml_ends_available_when_the_cluster_does_not_check() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let up = Up::start(
        data.path(),
        &["--control-plane", "seed", "--crd-checks=false"],
    )
    .await;
    let id = up.create_cluster("from-the-seed").await;
    up.reconciled(&id, 1).await;
    let hosted = up
        .hosted_cluster("from-the-seed")
        .await
        .expect("the HostedCluster");
    assert_eq!(
        hosted["spec"]["platform"]["gcp"]["region"], "us-central1",
        "{hosted:#}"
    );
}

#[tokio::test]
async fn the_seed_yaml_ends_in_applied_false_naming_each_path_when_the_cluster_checks() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let up = Up::start(
        data.path(),
        &["--control-plane", "seed", "--crd-checks=true"],
    )
    .await;
    let id = up.create_cluster("from-the-seed").await;
    let message = eventually("Applied=False naming paths", PATIENCE, async || {
        let (_, statuses) = up
            .api("GET", &format!("/clusters/{id}/statuses"), None)
            .await;
        let report = statuses["items"]
            .as_array()?
            .iter()
            .find(|s| s["adapter"] == "hypershift")?
            .clone();
        let applied = report["conditions"]
            .as_array()?
            .iter()
            .find(|c| c["type"] == "Applied")?
            .clone();
        let message = applied["message"].as_str()?.to_owned();
        (applied["status"] == "False" && message.contains("spec.")).then_some(message)
    })
    .await;
    assert!(
        message.contains("etcd")
            || message.contains("services")
            || message.contains("serviceAccountsEmails"),
        "{message}"
    );
    assert!(up.hosted_cluster("from-the-seed").await.is_none());
}

#[tokio::test]
async fn an_upstream_style_task_config_drives_the_same_path() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let up = Up::start(data.path(), &["--control-plane", "upstream-style"]).await;
    let id = up.create_cluster("upstream-style").await;
    up.reconciled(&id, 1).await;
    let (status, _) = up.api("DELETE", &format!("/clusters/{id}"), None).await;
    assert_eq!(status, 202);
    eventually("the cluster to be gone", PATIENCE, async || {
        let (status, _) = up.api("GET", &format!("/clusters/{id}"), None).await;
        (status == 404 && up.hosted_cluster("upstream-style").await.is_none()).then_some(())
    })
    .await;
}
