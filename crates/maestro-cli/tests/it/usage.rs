//! The command line itself.

use crate::{Bench, bare, finish};

#[tokio::test]
async fn help_needs_nothing_and_shows_no_secret() {
    let run = finish(bare(&[])).await;
    assert_eq!(run.code, 0);
    for command in [
        "apply",
        "build",
        "delete",
        "get",
        "list",
        "describe",
        "wait",
        "watch",
        "validate",
        "diff",
        "version",
        "completion",
    ] {
        assert!(run.out.contains(command), "{command}");
    }
    let mut command = bare(&["apply", "--help"]);
    command.env("MAESTRO_GRPC_TOKEN", "hunter2");
    let run = finish(command).await;
    assert_eq!(run.code, 0);
    assert!(run.out.contains("MAESTRO_GRPC_TOKEN") && !run.out.contains("hunter2"));
    assert!(run.out.contains("--wait"), "{}", run.out);
}

#[tokio::test]
async fn mistakes_are_named_in_known_words() {
    for (arguments, error) in [
        (
            vec!["applz"],
            "unknown command \"applz\" for \"maestro-cli\"",
        ),
        (vec!["get", "--watch"], "unknown flag: --watch"),
        (vec!["get", "-x"], "unknown shorthand flag: 'x' in -x"),
        (
            vec!["apply"],
            "required flag(s) \"consumer\", \"manifest-file\" not set",
        ),
        (
            vec!["get"],
            "required flag(s) \"consumer\", \"name\" not set",
        ),
        (
            vec!["wait", "--name=x"],
            "required flag(s) \"consumer\" not set",
        ),
        (
            vec!["get", "--name=", "--consumer=c"],
            "flag \"name\" must not be empty",
        ),
        (
            vec!["list", "--consumer=c", "--timeout=soon"],
            "invalid argument \"soon\" for \"--timeout\" flag: ",
        ),
        (
            vec!["list", "--consumer=c", "--output=xml"],
            "invalid argument \"xml\" for \"--output\" flag",
        ),
        (
            vec![
                "apply",
                "--consumer=c",
                "--manifest-file=f",
                "--wait",
                "Job:Complete",
            ],
            "unexpected argument \"Job:Complete\"",
        ),
        (
            vec!["wait", "--consumer=c", "--name=n", "--for=A AND"],
            "condition, column 6: a condition is missing here",
        ),
        (
            vec!["list", "--consumer=a b"],
            "invalid consumer name: invalid character ' ' in search query",
        ),
        (
            vec!["list", "--consumer=c", "--http-endpoint=localhost:8000"],
            "must begin with http:// or https://",
        ),
        (
            vec![
                "build",
                "--consumer=c",
                "--name=n",
                "--source-file=f",
                "--strategy=x",
            ],
            "unknown merge strategy: x (use 'merge' or 'replace')",
        ),
        (
            vec![
                "build",
                "--consumer=c",
                "--name=n",
                "--source-file=f",
                "--wait",
            ],
            "cannot use --wait without --apply",
        ),
    ] {
        let run = finish(bare(&arguments)).await;
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
        assert!(
            run.err.starts_with(&format!("Error: {error}")) || run.err.contains(error),
            "{arguments:?}: {}",
            run.err
        );
        assert!(
            run.err.starts_with("Error: ") && run.out.is_empty(),
            "{arguments:?}: {} {}",
            run.err,
            run.out
        );
    }
    let run = finish(bare(&["aply"])).await;
    assert!(run.err.contains("Did you mean apply?"), "{}", run.err);
}

#[tokio::test]
async fn version_and_completion_need_no_server() {
    let run = finish(bare(&["version"])).await;
    assert!(
        run.code == 0
            && run.out.starts_with("maestro-cli version ")
            && run.out.contains("OS/Arch: linux/"),
        "{}",
        run.out
    );
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let run = finish(bare(&["completion", shell])).await;
        assert!(
            run.code == 0 && run.out.contains("manifest-file"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_server_says_what_to_check() {
    let mut command = bare(&[
        "list",
        "--consumer=c1",
        "--http-endpoint=http://127.0.0.1:1",
    ]);
    command.env("RESULTS_PATH", "/nowhere/at/all");
    let run = finish(command).await;
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(
        run.err.contains("127.0.0.1:1") && run.err.contains("Hint:  Is Maestro running there?"),
        "{}",
        run.err
    );
}

#[tokio::test]
async fn tls_against_a_plain_server_gets_a_hint() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let mut command = bench.command(&[
        "apply",
        "--consumer=c1",
        "--manifest-file",
        &file,
        "--grpc-insecure=false",
        "--grpc-tls-skip-verify",
    ]);
    command.env_remove("MAESTRO_GRPC_INSECURE");
    let run = finish(command).await;
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(run.err.contains("--grpc-insecure"), "{}", run.err);
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_mentioned() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let run = bench
        .good(&[
            "apply",
            "--consumer=c1",
            "--manifest-file",
            &file,
            "--grpc-client-token=hunter2",
        ])
        .await;
    assert!(
        run.err.contains("Warning: the token is not sent") && !run.err.contains("hunter2"),
        "{}",
        run.err
    );
    assert!(bench.fake.data().tokens.iter().all(Option::is_none));
}

#[tokio::test]
async fn flags_win_over_the_environment() {
    let bench = Bench::new().await;
    let file = bench.work("w", "1");
    let mut command = bench.command(&[
        "apply",
        "--consumer=c1",
        "--manifest-file",
        &file,
        "--source-id=flag",
    ]);
    command.env("MAESTRO_SOURCE_ID", "environment");
    assert_eq!(finish(command).await.code, 0);
    assert_eq!(bench.fake.data().published[0].source, "flag");
    let mut command = bench.command(&[
        "apply",
        "--consumer=c1",
        "--manifest-file",
        &bench.work("x", "1"),
    ]);
    command.env("MAESTRO_SOURCE_ID", "environment");
    assert_eq!(finish(command).await.code, 0);
    assert_eq!(bench.fake.data().published[1].source, "environment");
}
