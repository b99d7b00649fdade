//! What a person sees with `kubectl` and the printed kubeconfig. Where kubectl is not installed, the same requests are covered by the
//! sandbox's own tests over plain HTTP.

use std::path::Path;
use std::process::Command;

use super::support::{PATIENCE, Up};
use testkit::eventually;

fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let output = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .env("HOME", kubeconfig.parent().expect("a folder"))
        .output()
        .expect("run kubectl");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn kubectl_shows_the_hosted_cluster_its_managers_and_its_deletion() {
    if Command::new("kubectl")
        .arg("version")
        .arg("--client")
        .output()
        .is_err()
    {
        println!("kubectl is not on PATH: seen through the sandbox's own HTTP tests only");
        return;
    }
    let data = tempfile::tempdir().expect("a temporary directory");
    let up = Up::start(data.path(), &[]).await;
    let kubeconfig = data.path().join("management.kubeconfig");
    let id = up.create_cluster("seen-by-kubectl").await;
    up.reconciled(&id, 1).await;

    let table = kubectl(&kubeconfig, &["get", "hostedclusters", "-A"]);
    assert!(
        table.contains("seen-by-kubectl") && table.contains("NAME"),
        "{table}"
    );
    let yaml = kubectl(
        &kubeconfig,
        &[
            "get",
            "hostedcluster",
            "-n",
            "clusters",
            "seen-by-kubectl",
            "-o",
            "yaml",
            "--show-managed-fields",
        ],
    );
    assert!(
        yaml.contains("manager: work-agent") && yaml.contains("operation: Apply"),
        "{yaml}"
    );
    let described = kubectl(
        &kubeconfig,
        &[
            "describe",
            "hostedcluster",
            "-n",
            "clusters",
            "seen-by-kubectl",
        ],
    );
    assert!(
        described.contains("Kind:         HostedCluster"),
        "{described}"
    );
    let works = kubectl(&kubeconfig, &["get", "appliedmanifestworks"]);
    assert!(works.contains('-'), "{works}");

    let (status, _) = up.api("DELETE", &format!("/clusters/{id}"), None).await;
    assert_eq!(status, 202);
    eventually("kubectl to say NotFound", PATIENCE, async || {
        let answer = kubectl(
            &kubeconfig,
            &["get", "hostedcluster", "-n", "clusters", "seen-by-kubectl"],
        );
        answer.contains("NotFound").then_some(())
    })
    .await;
}
