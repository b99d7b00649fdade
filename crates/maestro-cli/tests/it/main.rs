//! The binary against a server in memory: flags in, output, exit code and results file out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod changing;
#[path = "../../../maestro-client/tests/it/fake.rs"]
#[allow(
    dead_code,
    reason = "shared with the client's tests, which press other buttons"
)]
mod fake;
mod reading;
mod usage;
mod waiting;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use fake::Fake;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Long enough for a slow machine; nothing waits for it when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server, a folder, and the binary.
struct Bench {
    fake: Fake,
    folder: TempDir,
}

/// What a run of the binary left behind.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Bench {
    async fn new() -> Self {
        Self {
            fake: Fake::start().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes a file into the folder.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with a work of one ConfigMap.
    fn work(&self, name: &str, value: &str) -> String {
        self.file(
            &format!("{name}.yaml"),
            &format!(
                "apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nmetadata:\n  name: {name}\n  labels: {{app: demo}}\nspec:\n  workload:\n    manifests:\n    - apiVersion: v1\n      kind: ConfigMap\n      metadata: {{name: {name}, namespace: default}}\n      data: {{key: \"{value}\"}}\n"
            ),
        )
    }

    /// The binary with the endpoints of the server.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command
            .env("MAESTRO_GRPC_ENDPOINT", self.fake.grpc.to_string())
            .env("MAESTRO_HTTP_ENDPOINT", self.fake.rest_url())
            .env("MAESTRO_GRPC_INSECURE", "true")
            .current_dir(self.folder.path());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments)).await
    }

    /// As `run`, and it must end well.
    async fn good(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments).await;
        assert_eq!(run.code, 0, "{arguments:?}\n{}\n{}", run.out, run.err);
        run
    }

    /// Applies a work of one ConfigMap.
    async fn apply(&self, name: &str, value: &str) {
        let file = self.work(name, value);
        self.good(&["apply", "--consumer=c1", "--manifest-file", &file])
            .await;
    }

    fn results(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }
}

/// The binary without any setting.
fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maestro-cli"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn finish(mut command: Command) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(DEADLINE, command.output())
        .await
        .expect("the command ends")
        .unwrap();
    Run {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn exists(path: &Path) -> bool {
    path.exists()
}

/// Feedback of a finished Job.
fn complete() -> Value {
    json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]})
}
