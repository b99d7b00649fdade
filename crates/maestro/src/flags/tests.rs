use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    Server(Box<crate::server::ServerArgs>),
    Agent(Box<crate::agent::AgentArgs>),
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(Sub, Given), String> {
    let arguments = std::iter::once("maestro")
        .chain(arguments.iter().copied())
        .map(OsString::from);
    let arguments = normalized(arguments, &["agent"]);
    let lookup = |name: &str| {
        environment
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    match parse_from::<Cli>(&arguments, &lookup) {
        Ok((cli, given)) => Ok((cli.command, given)),
        Err(Stop::Usage(error)) => Err(error.to_string()),
        Err(Stop::Config(problems)) => Err(problems.join("\n")),
        Err(Stop::Print(text)) => Err(text),
    }
}

/// What `--print-config` shows, without comments behind values.
fn effective(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(["--print-config"])
        .collect();
    run(&arguments, environment).unwrap_err()
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maestro.yaml");
    std::fs::write(&path, text).unwrap();
    let flag = format!("--config={}", path.display());
    (folder, flag)
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let (_folder, config) = file(
        "addresses:\n  server-hostname: from-file\n  http-server-bindport: 1\n  grpc-server-bindport: 2\nrules:\n  client-id: from-file\n",
    );
    let environment = [
        ("MAESTRO_HTTP_SERVER_BINDPORT", "3"),
        ("MAESTRO_CLIENT_ID", "from-env"),
    ];
    let text = effective(&["server", &config, "--client-id=from-flag"], &environment);
    for line in [
        "  client-id: \"from-flag\"  # flag --client-id",
        "  http-server-bindport: 3  # environment variable MAESTRO_HTTP_SERVER_BINDPORT",
        "maestro.yaml:4",
        "  server-hostname: \"from-file\"  # file ",
        "  grpc-broker-bindport: 8091  # default",
        "  # https-cert-file:",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn what_is_printed_is_a_configuration_file() {
    let text = effective(&["server", "--client-id=x", "--enable-db-debug"], &[]);
    let (_folder, config) = file(&text);
    let again = effective(&["server", &config], &[]);
    assert!(again.contains("  client-id: \"x\"  # file "), "{again}");
    assert!(
        again.contains("  enable-db-debug: true  # file "),
        "{again}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let text = effective(&["server", "--database=postgres://u:geheim@h/d"], &[]);
    assert!(text.contains("postgres://u:(hidden)@h/d"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_places() {
    let (_folder, config) = file(
        "adresses: {}\nclient-id: x\naddresses:\n  http-server-bindport: many\n  enable-https: true\n  port: 1\n  server-hostname: 1.10\n  grpc-server-bindport: 70000\ngrpc:\n  grpc-server-ping-interval: 10\n  typed-errors: \"yes\"\nrules: [1]\n",
    );
    let text = run(&["server", &config], &[]).unwrap_err();
    for (place, message) in [
        (
            ":1:1: ",
            "unknown section `adresses`; there are addresses, tls, database",
        ),
        (":2:1: ", "`client-id` belongs into the section `rules`"),
        (
            ":4:25: ",
            "addresses.http-server-bindport: must be a number, is a text",
        ),
        (
            ":5:3: ",
            "`enable-https` belongs into the section `tls`, not `addresses`",
        ),
        (
            ":6:3: ",
            "unknown key `port`; `addresses` has server-hostname",
        ),
        (
            ":7:20: ",
            "addresses.server-hostname: must be a text; put it in quotes",
        ),
        (
            ":8:25: ",
            "addresses.grpc-server-bindport: 70000 is not in 0..=65535",
        ),
        (":10:30: ", "grpc.grpc-server-ping-interval: "),
        (
            ":11:17: ",
            "grpc.typed-errors: must be true or false, is a text",
        ),
        (
            ":12:8: ",
            "the section `rules` must hold settings, is a list",
        ),
    ] {
        let expected = format!("{place}{message}");
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    assert_eq!(text.lines().count(), 10, "{text}");
    let environment = [
        ("MAESTRO_V", "x"),
        ("MAESTRO_ENV", "y"),
        ("MAESTRO_CONFIG", "/no/file"),
        ("MAESTRO_CLIENT_ID", ""),
    ];
    let text = run(&["server"], &environment).unwrap_err();
    assert!(
        text.contains("environment variable MAESTRO_V: invalid digit"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3, "{text}");
    let missing = run(&["server", "--config=/no/such/file"], &[]).unwrap_err();
    assert!(missing.contains("read the configuration file /no/such/file"));
    let (_folder, config) = file("a: [\n");
    let broken = run(&["server", &config], &[]).unwrap_err();
    assert!(broken.contains("maestro.yaml:"), "{broken}");
}

#[test]
fn presets_are_defaults() {
    let v = |arguments: &[&str], preset: &str| {
        let text = effective(arguments, &[("MAESTRO_ENV", preset)]);
        let line = text
            .lines()
            .find(|line| line.contains(" v:"))
            .unwrap()
            .to_owned();
        line.trim().to_owned()
    };
    assert_eq!(
        v(&["server"], "production"),
        "v: 1  # preset MAESTRO_ENV=production"
    );
    assert_eq!(v(&["server", "-v=2"], "development"), "v: 2  # flag --v");
    assert_eq!(v(&["server"], ""), "# v:");
    let error = run(&["server"], &[("MAESTRO_ENV", "staging")]).unwrap_err();
    assert!(
        error.starts_with("Unknown runtime environment: staging"),
        "{error}"
    );
}

#[test]
fn flags_are_written_as_in_go() {
    for flags in [
        &["server", "-v=2"][..],
        &["server", "-v", "2"],
        &["server", "-v2"],
        &["server", "--v=2"],
        &["server", "--v", "2"],
        &["-v=2", "server"],
        &["-v", "2", "server"],
        &["--logtostderr", "server"],
        &["server", "--enable-https=F", "--heartbeat-disable=1"],
        &["server", "--enable-metrics-https=TRUE"],
        &[
            "server",
            "--log_dir=/tmp",
            "--stderrthreshold=2",
            "--vmodule=a=1,b=2",
        ],
        &[
            "agent",
            "--consumer_name=c",
            "--kube-api_qps",
            "5",
            "--terminate-on-files=a",
            "--log-dir=x",
            "--skip_headers",
        ],
    ] {
        run(flags, &[]).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
    }
    let error = run(&["server", "--enable-https=yes"], &[]).unwrap_err();
    assert!(error.contains("must be true or false"), "{error}");
    let error = run(&["server", "--server_hostname=x"], &[]).unwrap_err();
    assert!(error.contains("unexpected argument"), "{error}");
}

#[test]
fn flags_without_effect_are_remembered() {
    let (_, given) = run(
        &[
            "server",
            "--vmodule=x=1",
            "--consistent-hash-load=2",
            "-v=1",
        ],
        &[],
    )
    .unwrap();
    assert_eq!(
        given.without_effect,
        ["--consistent-hash-load", "--vmodule"]
    );
    let (_folder, config) = file("accepted-for-compatibility:\n  source-id: x\n");
    let (_, given) = run(&["server", &config], &[]).unwrap();
    assert_eq!(given.without_effect, ["--source-id"]);
    let (_, given) = run(&["agent", "--namespace=x"], &[]).unwrap();
    assert_eq!(given.without_effect, ["--namespace"]);
}

#[test]
fn every_setting_has_a_section_and_one_variable() {
    let schema = crate::server::schema();
    let mut variables = std::collections::BTreeSet::new();
    for (long, arg) in settings(&schema) {
        assert_ne!(section(arg), "general", "{long} has no heading");
        let name = variable(long, arg);
        assert!(variables.insert(name.clone()), "{name} is taken twice");
    }
}
