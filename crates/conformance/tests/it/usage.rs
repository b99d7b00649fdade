//! What it answers to flags, and what it leaves for machines. No server is needed: nobody listens where it is sent.

use std::process::Command;

use serde_json::{Value, json};

/// Flags of a server that isn't there.
const NOBODY: [&str; 6] = [
    "--rest=http://name:secret@127.0.0.1:1",
    "--source-grpc=127.0.0.1:1",
    "--agent-grpc=127.0.0.1:1",
    "--health=http://127.0.0.1:1",
    "--database-url=postgres://user:secret@127.0.0.1:1/db",
    "--time-scale=0.5",
];
/// A test that is never applicable, so that nobody has to answer.
const NEVER: &str = "--filter=f2_delete_racing_with_status";

/// Exit code, standard output, standard error.
fn conformance(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(arguments)
        .env_remove("CONFORMANCE_DATABASE_URL")
        .env_remove("CONFORMANCE_TIME_SCALE")
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Against a server that isn't there.
fn against_nobody(more: &[&str]) -> (i32, String, String) {
    conformance(&[&NOBODY, more].concat())
}

#[test]
fn a_filter_that_fits_nothing_is_no_success() {
    for list in [&[][..], &["--list"]] {
        let filters = ["--filter=f3_", "--filter=f3_typing_error"];
        let (code, _, error) = against_nobody(&[&filters, list].concat());
        assert_eq!(code, 2, "{error}");
        assert!(
            error.contains("--filter f3_typing_error fits no test"),
            "{error}"
        );
        assert!(!error.contains("f3_an_unacknowledged"), "nothing is run");
    }
    let (code, _, error) = against_nobody(&["--filter=f3_", "--skip=deletes"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("--skip leaves no test"), "{error}");
}

#[test]
fn a_run_that_judges_nothing_is_no_success() {
    let (code, table, error) = against_nobody(&[NEVER]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("nothing was judged"), "{error}");
    assert!(
        table.contains("0 passed, 0 failed, 1 not applicable"),
        "{table}"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_run() {
    let (code, table, error) = against_nobody(&[NEVER, "--json=/no/such/folder/results.json"]);
    assert_eq!(code, 2, "{error}");
    assert!(
        error.contains("--json /no/such/folder/results.json can't be written"),
        "{error}"
    );
    assert_eq!((table.as_str(), error.lines().count()), ("", 1), "{error}");
}

#[test]
fn results_say_what_was_run_against_what_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    let json = format!("--json={}", path.display());
    against_nobody(&[NEVER, "--profile=full", &json]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["profile"], "full");
    assert_eq!(document["timeScale"], 0.5);
    let server = json!({"rest": "http://127.0.0.1:1/", "sourceGrpc": "127.0.0.1:1", "agentGrpc": "127.0.0.1:1"});
    assert_eq!(document["target"]["server"], server);
    assert_eq!(document["target"]["database"], true);
    assert_eq!(document["notApplicable"], 1);
    assert_eq!(document["tests"][0]["outcome"], "not-applicable");
}

#[test]
fn what_fails_is_1() {
    let (code, table, _) = against_nobody(&["--filter=probes_answer"]);
    assert_eq!(code, 1, "{table}");
    assert!(table.contains("FAIL probes_answer"), "{table}");
}

#[test]
fn help_names_the_exit_codes() {
    let (code, help, _) = conformance(&["--help"]);
    assert_eq!(code, 0);
    for words in [
        "0 if nothing failed",
        "with 1 if something did",
        "with 2 if nothing could",
    ] {
        assert!(help.contains(words), "{help}");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_before_anything_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let good = testkit::certs::Ca::new();
    let (ca, leaf) = (file("ca.crt", good.pem()), good.client("a", "b"));
    let (cert, key) = (file("a.crt", &leaf.cert), file("a.key", &leaf.key));
    let other = file("other.key", &good.client("a", "b").key);
    let (empty, secret) = (file("empty", "\n"), file("secret", "s3cr3t\u{1}"));
    for (flags, words) in [
        (vec![("ca", "/no/such/file")], "/no/such/file: "),
        (vec![("ca", empty.as_str())], "no certificate in it"),
        (vec![("token", &empty)], "no token in it"),
        (vec![("token", &secret)], "no token in it"),
        (vec![("ca", &ca), ("cert", &cert)], "--key-file"),
        (vec![("cert", &cert), ("key", &key)], "--ca-file"),
        (vec![("ca", &ca), ("cert", &cert), ("key", &other)], &cert),
    ] {
        let flags: Vec<String> = flags
            .iter()
            .map(|(flag, path)| format!("--{flag}-file={path}"))
            .collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (code, table, error) = against_nobody(&[&flags, &[NEVER][..]].concat());
        assert_eq!((code, table.as_str()), (2, ""), "{flags:?}: {error}");
        assert!(error.contains(words), "{flags:?}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let flags = [
        format!("--ca-file={ca}"),
        format!("--cert-file={cert}"),
        format!("--key-file={key}"),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (_, _, error) = against_nobody(&[&flags, &[NEVER][..]].concat());
    assert!(error.contains("nothing was judged"), "{error}");
}
