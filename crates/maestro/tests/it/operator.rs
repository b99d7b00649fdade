//! `maestro consumer` and `maestro resourcebundle` against a server. Each expected text was compared with what upstream's binary prints
//! against the same server.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use crate::support::{Server, maestro, outcome};

struct Operator {
    server: Server,
    folder: tempfile::TempDir,
}

impl Operator {
    async fn start() -> Self {
        let server = Server::start(&["--database=sqlite::memory:"]).await;
        server.is_ready().await;
        Self {
            server,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Exit code, output and error of a command, ids and times replaced.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let rest = self.server.rest();
        let grpc = self.server.address("grpc").unwrap();
        let mut all = arguments.to_vec();
        all.extend(["--rest-url", &rest]);
        if arguments.first() == Some(&"resourcebundle") {
            all.extend(["--grpc-server-address", &grpc]);
        }
        outcome(&all).await
    }

    fn file(&self, text: &str) -> String {
        let path = self.folder.path().join("bundle.json");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn consumer(&self, name: &str) -> String {
        let created = self.run(&["consumer", "create", name, "-o", "json"]).await;
        assert_eq!(created.0, 0, "{}", created.2);
        let value: serde_json::Value = serde_json::from_str(&created.1).unwrap();
        value["id"].as_str().unwrap().to_owned()
    }
}

/// Times become `TIME`, as in both forms of output.
fn timeless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if is_time(rest) {
            out.push_str("TIME");
            rest = rest[TIME.len()..]
                .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | 'Z'));
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The shape of a time: `d` is a digit, `_` what stands between day and hour.
const TIME: &str = "dddd-dd-dd_dd:dd:dd";

fn is_time(text: &str) -> bool {
    text.len() >= TIME.len()
        && text
            .bytes()
            .zip(TIME.bytes())
            .all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                b'_' => matches!(byte, b' ' | b'T'),
                other => byte == other,
            })
}

#[test]
fn an_id_is_not_a_time() {
    let id = "ab602f6b-d550-494f-956c-7b75d4205e24";
    assert_eq!(
        timeless(&format!("{id} 2026-12-01 05:22:23\n")),
        format!("{id} TIME\n")
    );
    assert_eq!(timeless("\"2026-12-01T05:22:23.25Z\"é"), "\"TIME\"é");
}

#[tokio::test]
async fn consumers_are_printed_as_upstream_prints_them() {
    let operator = Operator::start().await;
    let (code, out, error) = operator
        .run(&[
            "consumer", "create", "c1", "--label", "b=2,a=1", "--label", "c=x=y",
        ])
        .await;
    assert_eq!(code, 0, "{error}");
    let id = out
        .lines()
        .find_map(|line| line.strip_prefix("ID        "))
        .unwrap()
        .to_owned();
    let table = format!(
        "FIELD     VALUE\nID        {id}\nName      c1\nLabels    a=1,b=2,c=x=y\nCreated   TIME\nUpdated   TIME\n"
    );
    assert_eq!(timeless(&out), table);
    let (_, out, _) = operator.run(&["consumer", "get", &id]).await;
    assert_eq!(timeless(&out), table);
    let (_, out, _) = operator.run(&["consumer", "list"]).await;
    let blank = " ".repeat(id.len() - 2);
    assert_eq!(
        timeless(&out),
        format!("ID{blank}   NAME   LABELS          CREATED\n{id}   c1     a=1,b=2,c=x=y   TIME\n")
    );
    let (_, out, _) = operator.run(&["consumer", "get", &id, "-o", "json"]).await;
    let json = format!(
        "{{\n  \"created_at\": \"TIME\",\n  \"href\": \"/api/maestro/v1/consumers/{id}\",\n  \"id\": \"{id}\",\n  \"kind\": \"Consumer\",\n  \"labels\": {{\n    \"a\": \"1\",\n    \"b\": \"2\",\n    \"c\": \"x=y\"\n  }},\n  \"name\": \"c1\",\n  \"updated_at\": \"TIME\"\n}}\n"
    );
    assert_eq!(timeless(&out), json);
    let arguments = [
        "consumer",
        "update",
        &id,
        "--label=a=9",
        "--remove-label=b,c",
    ];
    let (code, out, _) = operator.run(&arguments).await;
    assert_eq!(code, 0);
    assert!(out.contains("Labels    a=9\n"), "{out}");
    let (code, out, _) = operator.run(&["consumer", "delete", &id, "-y"]).await;
    assert_eq!(
        (code, out),
        (0, format!("Consumer {id} deleted successfully\n"))
    );
    let (_, out, _) = operator.run(&["consumer", "list"]).await;
    assert_eq!(out, "ID   NAME   LABELS   CREATED\n");
}

#[tokio::test]
async fn bundles_are_applied_printed_and_deleted() {
    let operator = Operator::start().await;
    let consumer = operator.consumer("c1").await;
    let manifest = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"default"},"data":{"a":"<b>"}}"#;
    let file = operator.file(&format!(
        r#"{{"consumer_name":"c1","manifests":[{manifest}],"metadata":{{"labels":{{"x":"y"}}}},"delete_option":{{"propagationPolicy":"Orphan"}}}}"#
    ));
    let (code, out, error) = operator
        .run(&["resourcebundle", "apply", "-f", &file])
        .await;
    assert_eq!(code, 0, "{error}");
    let id = out
        .strip_prefix("Resource bundle applied successfully:\nID: ")
        .unwrap()
        .trim()
        .to_owned();
    let (_, out, _) = operator.run(&["resourcebundle", "get", &id]).await;
    assert_eq!(
        timeless(&out),
        format!(
            "FIELD      VALUE\nID         {id}\nName       {id}\nConsumer   c1\nVersion    1\nCreated    TIME\nUpdated    TIME\nStatus     Unknown\n"
        )
    );
    let (_, out, _) = operator.run(&["resourcebundle", "list"]).await;
    let blank = " ".repeat(id.len() - 4);
    let header =
        format!("ID  {blank}   NAME{blank}   CONSUMER   VERSION   CREATED               STATUS\n");
    assert!(out.starts_with(&header), "{out}");
    let (_, out, _) = operator
        .run(&["resourcebundle", "get", &id, "-o", "json"])
        .await;
    for line in [
        "      \"data\": {\n        \"a\": \"\\u003cb\\u003e\"\n      },\n",
        "  \"delete_option\": {\n    \"propagationPolicy\": \"Orphan\"\n  },\n",
        "    \"labels\": {\n      \"x\": \"y\"\n    }",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    let (_, out, _) = operator.run(&["resourcebundle", "status", &id]).await;
    assert_eq!(
        out,
        format!("FIELD    VALUE\nID       {id}\nStatus   Unknown\n")
    );
    let (_, out, _) = operator
        .run(&["resourcebundle", "status", &id, "-o", "json"])
        .await;
    assert_eq!(out, "null\n");
    // An update needs the current version, if it says one.
    let change = manifest.replace("<b>", "c");
    let with_version = |version: u32| {
        format!(
            r#"{{"id":"{id}","version":{version},"consumer_name":"c1","manifests":[{change}]}}"#
        )
    };
    let file = operator.file(&with_version(7));
    let (code, _, error) = operator
        .run(&["resourcebundle", "apply", "-f", &file])
        .await;
    assert_eq!(code, 1);
    assert_eq!(
        error,
        "Error: version mismatch: manifest specifies version 7 but resource bundle has version 1. Update your manifest with the current version or omit 'version' to use the latest\n"
    );
    let file = operator.file(&with_version(0));
    assert_eq!(
        operator
            .run(&["resourcebundle", "apply", "-f", &file])
            .await
            .0,
        0
    );
    let (_, out, _) = operator.run(&["resourcebundle", "get", &id]).await;
    assert!(out.contains("Version    2\n"), "{out}");
    let (code, _, error) = operator
        .run(&["consumer", "delete", &consumer, "--yes"])
        .await;
    assert_eq!(code, 1);
    assert!(error.starts_with("Error: permission denied\n"), "{error}");
    let (code, out, _) = operator.run(&["resourcebundle", "delete", &id, "-y"]).await;
    assert_eq!(
        (code, out),
        (0, format!("Resource bundle {id} deleted successfully\n"))
    );
}

#[tokio::test]
async fn a_deletion_is_asked_for() {
    let operator = Operator::start().await;
    let id = operator.consumer("c1").await;
    let rest = operator.server.rest();
    let question = format!("Are you sure you want to delete consumer {id}? (y/N): ");
    for (answer, code, out) in [
        ("n\n", 0, format!("{question}Deletion cancelled\n")),
        ("", 1, question.clone()),
        (
            " Yes \n",
            0,
            format!("{question}Consumer {id} deleted successfully\n"),
        ),
    ] {
        let mut child = maestro(&["consumer", "delete", &id, "--rest-url", &rest])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(answer.as_bytes()).await.unwrap();
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{answer:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), out);
        let error = String::from_utf8(output.stderr).unwrap();
        let expected = match answer {
            "" => "Error: failed to read confirmation: EOF\n",
            _ => "",
        };
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn mistakes_have_upstreams_words_and_exit_code() {
    let operator = Operator::start().await;
    operator.consumer("c1").await;
    let broken = operator.file("{}");
    for (arguments, text) in [
        (&["consumer", "get", "nope"][..], "consumer not found"),
        (&["consumer", "create", "c1"], "consumer already exists"),
        (&["consumer", "create", "_"], "bad request"),
        (
            &["consumer", "create", "x", "--label", "foo"],
            "invalid label format: foo (expected key=value)",
        ),
        (
            &["consumer", "create", "x", "--label", "=foo"],
            "invalid label format: =foo (key cannot be empty)",
        ),
        (
            &["consumer", "update", "x"],
            "at least one --label or --remove-label must be specified",
        ),
        (&["consumer", "list", "--page=0"], "--page must be >= 1"),
        (&["consumer", "list", "--size", "-1"], "--size must be >= 1"),
        (
            &["consumer", "list", "--search", "garbage"],
            "unexpected status code 400, err=400 Bad Request",
        ),
        (
            &["consumer", "list", "-o", "yaml"],
            "invalid output format: yaml (must be json or table)",
        ),
        (
            &["consumer", "list", "--timeout=0s"],
            "--timeout must be greater than 0",
        ),
        (
            &["resourcebundle", "status", "nope"],
            "resource bundle not found",
        ),
        (
            &["resourcebundle", "delete", "nope"],
            "resource bundle not found",
        ),
        (
            &["resourcebundle", "apply", "-f", "/no/such/file"],
            "failed to read manifest file: open /no/such/file: no such file or directory",
        ),
        (
            &["resourcebundle", "apply", "-f", &broken],
            "failed to apply resource bundle: consumer name is required",
        ),
        (
            &["resourcebundle", "apply", "-f", &broken, "--grpc-ca-file=x"],
            "failed to create gRPC client: grpc-ca-file requires grpc-token-file or grpc-client-cert-file + grpc-client-key-file",
        ),
        (
            &[
                "resourcebundle",
                "apply",
                "-f",
                &broken,
                "--grpc-token-file=x",
            ],
            "failed to create gRPC client: CA file is required for secure gRPC connection",
        ),
        (
            &[
                "resourcebundle",
                "apply",
                "-f",
                &broken,
                "--grpc-client-key-file=x",
            ],
            "failed to create gRPC client: both client certificate and key must be provided for mutual TLS",
        ),
    ] {
        let (code, out, error) = operator.run(arguments).await;
        assert_eq!(code, 1, "{arguments:?}");
        assert_eq!(out, "", "{arguments:?}");
        assert_eq!(
            error.lines().next().unwrap(),
            format!("Error: {text}"),
            "{arguments:?}"
        );
    }
    let (_, _, error) = operator.run(&["consumer", "create", "_"]).await;
    assert!(error.contains("\nThe server says: "), "{error}");
    let unread = operator.file(r#"{"consumer_name":"nobody","manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"x"}}]}"#);
    let (code, _, error) = operator
        .run(&["resourcebundle", "apply", "-f", &unread])
        .await;
    assert_eq!(code, 1);
    assert!(
        error.starts_with("Error: failed to apply resource bundle: failed to publish CloudEvent: failed to publish CloudEvent: rpc error: code = ")
            && error.contains("fk_resources_consumers"),
        "{error}"
    );
}
