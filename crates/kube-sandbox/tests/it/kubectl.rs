//! Black-box checks with the real `kubectl`, if it is installed. The same requests are tested without it elsewhere.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Sandbox, WIDGETS, widget_crd, with_widgets};

/// `kubectl` with the kubeconfig of a sandbox.
struct Kubectl {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Kubectl {
    fn new(api: &Sandbox) -> Option<Self> {
        if Command::new("kubectl")
            .args(["version", "--client"])
            .output()
            .is_err()
        {
            eprintln!("kubectl is not on PATH: this test ran without it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, &api.kubeconfig).unwrap();
        Some(Self { folder, kubeconfig })
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(args.split_whitespace())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command with text on its standard input; standard output and error together.
    async fn run(&self, args: &str, input: &str) -> (bool, String) {
        let mut command = self.command(args);
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(input.as_bytes())
                .unwrap();
            let output = child.wait_with_output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8(text).unwrap())
        })
        .await
        .unwrap()
    }

    #[track_caller]
    fn assert(result: (bool, String), args: &str) -> String {
        assert!(result.0, "kubectl {args}: {}", result.1);
        result.1
    }

    async fn ok(&self, args: &str) -> String {
        Self::assert(self.run(args, "").await, args)
    }

    async fn ok_with(&self, args: &str, input: &str) -> String {
        Self::assert(self.run(args, input).await, args)
    }

    async fn fails_with(&self, args: &str, input: &str) -> String {
        let (success, text) = self.run(args, input).await;
        assert!(!success, "kubectl {args}: {text}");
        text
    }
}

const WIDGET: &str = "
apiVersion: example.com/v1
kind: Widget
metadata: {name: w1, labels: {app: x}}
spec: {size: 3, parts: [{name: a, value: one}]}
";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: d1}
spec:
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec: {containers: [{name: c, image: 'image:1', env: [{name: A, value: one}]}]}
";

#[tokio::test]
async fn kubectl_applies_gets_describes_and_deletes_custom_resources() {
    let api = Sandbox::start().await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    let crd = widget_crd().to_string();
    assert!(
        kubectl
            .ok_with("apply -f -", &crd)
            .await
            .contains("created")
    );
    kubectl
        .ok("wait --for=condition=Established crd/widgets.example.com --timeout=30s")
        .await;
    assert_eq!(
        kubectl.ok_with("apply -f -", WIDGET).await,
        "widget.example.com/w1 created\n"
    );
    assert_eq!(
        kubectl.ok_with("apply -f -", WIDGET).await,
        "widget.example.com/w1 unchanged\n"
    );
    let table = kubectl.ok("get wd").await;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["NAME", "SIZE", "READY", "AGE"]);
    assert_eq!(lines[1][..2], ["w1", "3"]);
    assert!(
        kubectl
            .ok("get all -A -l app=x")
            .await
            .contains("widget.example.com/w1")
    );
    assert!(
        kubectl
            .ok("describe widget w1")
            .await
            .contains("Size:     3")
    );
    assert!(
        kubectl
            .ok("explain widget.spec.size")
            .await
            .contains("<integer>")
    );
    let diff = WIDGET.replace("size: 3", "size: 4");
    assert_eq!(
        kubectl.ok_with("apply -f -", &diff).await,
        "widget.example.com/w1 configured\n"
    );
    kubectl.ok("scale --replicas=9 widget/w1").await;
    kubectl
        .ok("patch widget w1 --type=merge -p {\"spec\":{\"color\":\"blue\"}}")
        .await;
    kubectl.ok("label widget w1 tier=front").await;
    kubectl.ok("annotate widget w1 note=yes").await;
    assert_eq!(
        kubectl
            .ok("get widget w1 -o jsonpath={.spec.size}-{.spec.color}-{.metadata.labels.tier}")
            .await,
        "9-blue-front"
    );
    assert_eq!(
        kubectl
            .ok("get wd --field-selector spec.color=blue -o name")
            .await,
        "widget.example.com/w1\n"
    );
    kubectl.ok("patch widget w1 --subresource=status --type=merge -p {\"status\":{\"phase\":\"Done\"}}").await;
    kubectl
        .ok("wait --for=jsonpath={.status.phase}=Done widget/w1 --timeout=30s")
        .await;
    // Newer versions add the namespace.
    let deleted = kubectl.ok("delete widget w1").await;
    assert!(
        deleted.starts_with("widget.example.com \"w1\" deleted"),
        "{deleted}"
    );
    assert_eq!(
        kubectl.fails_with("get widget w1", "").await,
        "Error from server (NotFound): widgets.example.com \"w1\" not found\n"
    );
    kubectl.ok("delete crd widgets.example.com").await;
    assert!(
        kubectl
            .fails_with("get widgets", "")
            .await
            .contains("the server")
    );
}

#[tokio::test]
async fn kubectl_applies_on_the_server_side() {
    let api = with_widgets().await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    assert_eq!(
        kubectl.ok_with("apply --server-side -f -", WIDGET).await,
        "widget.example.com/w1 serverside-applied\n"
    );
    let shown = kubectl
        .ok("get widget w1 -o yaml --show-managed-fields")
        .await;
    for part in [
        "manager: kubectl",
        "operation: Apply",
        "f:size: {}",
        "k:{\"name\":\"a\"}:",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let other = WIDGET.replace("size: 3", "size: 5");
    let refused = kubectl
        .fails_with("apply --server-side --field-manager=other -f -", &other)
        .await;
    assert!(
        refused.contains("Apply failed with 1 conflict: conflict with \"kubectl\": .spec.size"),
        "{refused}"
    );
    kubectl
        .ok_with(
            "apply --server-side --field-manager=other --force-conflicts -f -",
            &other,
        )
        .await;
    assert_eq!(
        kubectl.ok("get widget w1 -o jsonpath={.spec.size}").await,
        "5"
    );
    // From client side to server side.
    let second = WIDGET.replace("w1", "w2");
    kubectl.ok_with("apply -f -", &second).await;
    kubectl
        .ok_with(
            "apply --server-side -f -",
            &second.replace("size: 3", "size: 6"),
        )
        .await;
    assert_eq!(
        kubectl.ok("get widget w2 -o jsonpath={.spec.size}").await,
        "6"
    );
}

#[tokio::test]
async fn kubectl_applies_and_creates_built_in_kinds() {
    let api = Sandbox::start().await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    assert_eq!(
        kubectl.ok_with("apply -f -", DEPLOYMENT).await,
        "deployment.apps/d1 created\n"
    );
    let changed = DEPLOYMENT
        .replace("image:1", "image:2")
        .replace("{name: A, value: one}", "{name: B, value: two}");
    assert_eq!(
        kubectl.ok_with("apply -f -", &changed).await,
        "deployment.apps/d1 configured\n"
    );
    let container = kubectl
        .ok("get deploy d1 -o jsonpath={.spec.template.spec.containers[0]}")
        .await;
    assert_eq!(
        container,
        r#"{"env":[{"name":"B","value":"two"}],"image":"image:2","name":"c"}"#
    );
    kubectl.ok("set image deploy/d1 c=image:3").await;
    kubectl.ok("scale deploy/d1 --replicas=4").await;
    assert!(kubectl.ok("get deploy -o wide").await.contains("image:3"));
    // These commands send protobuf.
    kubectl.ok("create namespace n1").await;
    kubectl
        .ok("-n n1 create configmap c1 --from-literal=a=b")
        .await;
    kubectl
        .ok("-n n1 create secret generic s1 --from-literal=p=q")
        .await;
    kubectl.ok("-n n1 create serviceaccount sa1").await;
    kubectl
        .ok("-n n1 create role r1 --verb=get --resource=pods")
        .await;
    kubectl
        .ok("-n n1 create rolebinding b1 --role=r1 --serviceaccount=n1:sa1")
        .await;
    kubectl.ok("-n n1 create job j1 --image=i").await;
    kubectl
        .ok("-n n1 create deployment d2 --image=i --replicas=2")
        .await;
    kubectl.ok("-n n1 run p1 --image=i").await;
    assert_eq!(
        kubectl.ok("-n n1 get cm c1 -o jsonpath={.data}").await,
        r#"{"a":"b"}"#
    );
    assert_eq!(
        kubectl
            .ok("-n n1 get secret s1 -o jsonpath={.data}-{.type}")
            .await,
        r#"{"p":"cQ=="}-Opaque"#
    );
    assert_eq!(
        kubectl.ok("-n n1 get role r1 -o jsonpath={.rules}").await,
        r#"[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]"#
    );
    assert_eq!(kubectl.ok("-n n1 get deploy d2 -o jsonpath={.spec.replicas}{.spec.template.spec.containers[0].image}").await, "2i");
    assert_eq!(kubectl.ok("auth can-i create pods").await, "yes\n");
    assert!(kubectl.ok("auth whoami").await.contains("sandbox-admin"));
    assert!(
        kubectl
            .ok("-n n1 get job,deploy,pod,sa,role,rolebinding")
            .await
            .contains("rolebinding.rbac")
    );
    assert!(
        kubectl
            .ok("-n n1 describe deploy d2")
            .await
            .contains("2 desired")
    );
    assert!(
        kubectl
            .ok("explain pod.spec.containers.image")
            .await
            .contains("<string>")
    );
    kubectl.ok("delete namespace n1 --timeout=30s").await;
    assert!(
        kubectl
            .fails_with("get namespace n1", "")
            .await
            .contains("NotFound")
    );
    assert!(kubectl.ok("version").await.contains("hyperfleet-sandbox"));
    assert!(kubectl.ok("api-resources").await.contains("deployments"));
    assert!(kubectl.ok("get --raw /readyz").await.contains("ok"));
}

#[tokio::test]
async fn kubectl_is_told_what_is_wrong() {
    let api = with_widgets().await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    let unknown = kubectl
        .fails_with("apply -f -", &WIDGET.replace("size: 3", "size: 3, sise: 4"))
        .await;
    assert!(
        unknown.contains("strict decoding error: unknown field \"spec.sise\""),
        "{unknown}"
    );
    let invalid = kubectl
        .fails_with("apply -f -", &WIDGET.replace("size: 3", "size: 0"))
        .await;
    assert!(
        invalid.contains("spec.size in body should be greater than or equal to 1"),
        "{invalid}"
    );
    let elsewhere = kubectl.fails_with("-n nowhere apply -f -", WIDGET).await;
    assert!(
        elsewhere.contains("namespaces \"nowhere\" not found"),
        "{elsewhere}"
    );
}

#[tokio::test]
async fn kubectl_watches() {
    let api = with_widgets().await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    kubectl.ok_with("apply -f -", WIDGET).await;
    let mut child = kubectl
        .command("get widgets -w")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    let mut next = async || {
        let line = tokio::time::timeout(crate::support::DEADLINE, receiver.recv())
            .await
            .unwrap()
            .unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(next().await[..2], ["NAME", "SIZE"]);
    assert_eq!(next().await[..2], ["w1", "3"]);
    api.merge(
        &format!("{WIDGETS}/w1"),
        &serde_json::json!({"spec": {"size": 8}}),
    )
    .await
    .expect(200);
    assert_eq!(next().await[..2], ["w1", "8"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn kubectl_acts_as_others() {
    let config = kube_sandbox::Config {
        rbac: true,
        ..Default::default()
    };
    let api = Sandbox::with(config).await;
    let Some(kubectl) = Kubectl::new(&api) else {
        return;
    };
    kubectl
        .ok("create role reader --verb=get,list --resource=configmaps")
        .await;
    kubectl
        .ok("create rolebinding readers --role=reader --serviceaccount=default:sa")
        .await;
    let account = "--as=system:serviceaccount:default:sa";
    assert_eq!(
        kubectl
            .ok(&format!("{account} auth can-i list configmaps"))
            .await,
        "yes\n"
    );
    assert!(
        kubectl
            .fails_with(&format!("{account} auth can-i delete configmaps"), "")
            .await
            .starts_with("no")
    );
    kubectl.ok(&format!("{account} get configmaps")).await;
    let refused = kubectl
        .fails_with(&format!("{account} get secrets"), "")
        .await;
    assert_eq!(
        refused,
        "Error from server (Forbidden): secrets is forbidden: User \"system:serviceaccount:default:sa\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\"\n"
    );
    assert!(
        kubectl
            .ok(&format!("{account} auth can-i --list"))
            .await
            .contains("[get list]")
    );
    std::fs::write(&kubectl.kubeconfig, &api.kubeconfig_as).unwrap();
    assert!(
        kubectl
            .ok("auth whoami")
            .await
            .contains("system:serviceaccounts:default")
    );
    kubectl.fails_with("get secrets", "").await;
}
