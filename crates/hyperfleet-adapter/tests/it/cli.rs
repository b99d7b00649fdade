//! The command line: upstream's flags, from arguments to an action.

use clap::Parser;
use hyperfleet_adapter::cli::{Action, Args};

use crate::support::{adapters, answers, reports};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn action(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Action, String> {
    let program = Program::try_parse_from(std::iter::once(&"adapter").chain(arguments))
        .map_err(|error| error.to_string())?;
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    program
        .args
        .into_action(environment)
        .map_err(|error| error.to_string())
}

fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    match action(arguments, environment) {
        Ok(_) => panic!("{arguments:?} was accepted"),
        Err(error) => error,
    }
}

fn path(name: &str) -> String {
    adapters().join(name).display().to_string()
}

#[test]
fn version_has_three_lines() {
    let Ok(Action::Print { text, .. }) = action(&["version"], &[]) else {
        panic!("no text")
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("Version:    ")
            && lines[1].starts_with("Commit:     ")
            && lines[2].starts_with("Build Date: "),
        "{text}"
    );
}

#[test]
fn paths_come_from_flags_or_variables() {
    assert!(refusal(&["config-dump"], &[]).contains("adapter config file path is required (use --config flag or HYPERFLEET_ADAPTER_CONFIG env var)"));
    let config = path("controlplane/deployment.yaml");
    assert!(
        refusal(&["config-dump", "-c", &config], &[])
            .contains("task config file path is required (use --task-config flag or HYPERFLEET_TASK_CONFIG env var)")
    );
    assert!(
        refusal(&["config-dump", "-c", "/nope", "-t", "/nope"], &[])
            .contains("failed to read adapter config file \"/nope\"")
    );
    let task = path("controlplane/task.yaml");
    let Ok(Action::Print { text, .. }) = action(
        &["config-dump"],
        &[
            ("HYPERFLEET_ADAPTER_CONFIG", &config),
            ("HYPERFLEET_TASK_CONFIG", &task),
        ],
    ) else {
        panic!("no dump")
    };
    assert!(
        text.starts_with("post:\n") && text.contains("\nclients:\n"),
        "{text}"
    );
}

#[test]
fn flags_override_keys() {
    let (config, task) = (
        path("controlplane/deployment.yaml"),
        path("controlplane/task.yaml"),
    );
    let arguments = [
        "serve",
        "-c",
        &config,
        "-t",
        &task,
        "--hyperfleet-api-base-url",
        "http://flag",
        "--hyperfleet-api-retry",
        "9",
        "--maestro-insecure",
        "--maestro-http-server-address",
        "http://m",
        "--log-level",
        "debug",
        "--debug-config",
        "--kubernetes-qps",
        "1.5",
        "--maestro-retry-attempts",
        "2",
        "--broker",
        "amqp://b",
    ];
    let Ok(Action::Serve { loaded, broker }) =
        action(&arguments, &[("HYPERFLEET_API_BASE_URL", "http://env")])
    else {
        panic!("not served")
    };
    assert_eq!(broker, "amqp://b");
    let clients = &loaded.config.clients;
    assert_eq!(
        (
            clients.hyperfleet_api.base_url.as_str(),
            clients.hyperfleet_api.retry_attempts
        ),
        ("http://flag", 9)
    );
    let maestro = clients.maestro.as_ref().unwrap();
    assert!(maestro.insecure && loaded.config.debug_config && maestro.retry_attempts == 2);
    assert_eq!(loaded.config.log.level, "debug");
    assert!(refusal(&["serve", "--no-such-flag"], &[]).contains("--no-such-flag"));
}

#[tokio::test]
async fn dry_run_is_a_command_and_flags_of_serve() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let event = write(
        "event.json",
        r#"{"specversion":"1.0","id":"e1","source":"s","type":"t","data":{"id":"c1","kind":"Cluster","generation":1}}"#,
    );
    let cluster = serde_json::json!({"id": "c1", "name": "demo", "generation": 1, "spec": {}, "status": {"conditions": []}});
    let responses = write("responses.json", &answers(&cluster, &reports(&[])));
    let (config, task) = (
        path("controlplane/deployment.yaml"),
        path("controlplane/task.yaml"),
    );
    for command in ["serve", "dry-run"] {
        let arguments = [
            command,
            "-c",
            &config,
            "-t",
            &task,
            "--dry-run-event",
            &event,
            "--dry-run-api-responses",
            &responses,
        ];
        let Ok(Action::DryRun(run)) = action(&arguments, &[]) else {
            panic!("no dry run")
        };
        let (text, errors, code) = run.print(Vec::new()).await;
        assert!(
            text.contains("Result: SUCCESS") && text.contains("waiting for"),
            "{text}\n{errors:?}"
        );
        assert_eq!(code, 0);
    }
    let arguments = ["dry-run", "-c", &config, "-t", &task];
    assert_eq!(
        refusal(&arguments, &[]),
        "--dry-run-event is required for dry-run mode"
    );
    let wrong = write(
        "wrong.json",
        r#"{"specversion":"1.0","source":"s","type":"t"}"#,
    );
    let error = refusal(
        &[
            "dry-run",
            "-c",
            &config,
            "-t",
            &task,
            "--dry-run-event",
            &wrong,
        ],
        &[],
    );
    assert!(
        error.contains("invalid CloudEvent in") && error.contains("`id`"),
        "{error}"
    );

    // A failed run ends with 0, as upstream, unless asked otherwise.
    let down = write(
        "down.json",
        r#"{"responses":[{"match":{"method":"*","urlPattern":"."},"responses":[{"statusCode":500}]}]}"#,
    );
    for (flag, expected) in [(None, 0), (Some("--dry-run-exit-code"), 2)] {
        let mut arguments = vec![
            "dry-run",
            "-c",
            &config,
            "-t",
            &task,
            "--dry-run-event",
            &event,
            "--dry-run-api-responses",
            &down,
            "--dry-run-output",
            "json",
        ];
        arguments.extend(flag);
        let Ok(Action::DryRun(run)) = action(&arguments, &[]) else {
            panic!("no dry run")
        };
        let (text, errors, code) = run.print(Vec::new()).await;
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"],
            "failed"
        );
        assert!(
            errors[0].starts_with("Error in param_extraction: "),
            "{errors:?}"
        );
        assert_eq!(code, expected);
    }
}
