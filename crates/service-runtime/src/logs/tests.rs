use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Runs `work` with a subscriber of its own and returns its lines.
fn lines(options: &Options, work: impl FnOnce()) -> Vec<String> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let write: Box<Write> = Box::new(move |line| {
        sink.lock()
            .unwrap()
            .push(String::from_utf8(line.to_vec()).unwrap())
    });
    let subscriber = tracing_subscriber::registry()
        .with(filter(&options.level).unwrap())
        .with(Lines::new(options, write));
    tracing::subscriber::with_default(subscriber, work);
    let lines = written.lock().unwrap();
    lines.clone()
}

fn options(format: Format) -> Options {
    Options {
        component: "sentinel".into(),
        version: "1.2.3".into(),
        format,
        ..Options::default()
    }
}

#[test]
fn json_lines_carry_the_fleet_fields_and_those_of_the_spans() {
    let lines = lines(&options(Format::Json), || {
        let span =
            tracing::info_span!("event", event_id = "e1", cluster_id = tracing::field::Empty);
        let _entered = span.enter();
        span.record("cluster_id", "c1");
        tracing::warn!(
            observed_generation = 3,
            error = "no route",
            "Could not \"report\"."
        );
        tracing::debug!("not shown");
    });
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("{\"timestamp\":\"") && lines[0].ends_with("}\n"),
        "{}",
        lines[0]
    );
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["level"], "warn");
    assert_eq!(line["message"], "Could not \"report\".");
    assert_eq!(line["component"], "sentinel");
    assert_eq!(line["version"], "1.2.3");
    assert!(
        line["hostname"]
            .as_str()
            .is_some_and(|name| !name.is_empty())
    );
    assert_eq!(line["event_id"], "e1");
    assert_eq!(line["cluster_id"], "c1");
    assert_eq!(line["observed_generation"], 3);
    assert_eq!(line["error"], "no route");
    assert!(
        line["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
}

#[test]
fn slog_names_are_what_the_adapters_write() {
    let lines = lines(
        &Options {
            names: Names::Slog,
            ..options(Format::Json)
        },
        || tracing::info!("hello"),
    );
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (&line["level"], &line["msg"]),
        (&"INFO".into(), &"hello".into())
    );
    assert!(line["time"].is_string());
}

#[test]
fn text_lines_stay_on_one_line() {
    let lines = lines(&options(Format::Text), || {
        tracing::info!(a = "x y", b = 1, c = "plain", "two\nlines")
    });
    let (_, rest) = lines[0].split_once(' ').unwrap();
    let host = hostname();
    assert_eq!(
        rest,
        format!("INFO [sentinel] [1.2.3] [{host}] two\\nlines a=\"x y\" b=1 c=plain\n")
    );
}

#[test]
fn secrets_are_hidden_and_their_locations_are_not() {
    let lines = lines(&options(Format::Json), || {
        tracing::info!(
            token = "t",
            db_password = "p",
            token_path = "/run/token",
            secret_name = "s",
            "x"
        );
    });
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["token"], "**REDACTED**");
    assert_eq!(line["db_password"], "**REDACTED**");
    assert_eq!(line["token_path"], "/run/token");
    assert_eq!(line["secret_name"], "s");
}

#[test]
fn long_lines_are_cut_and_stay_json() {
    let long = "\u{1}ä".repeat(100_000);
    for format in [Format::Json, Format::Text] {
        let lines = lines(
            &options(format),
            || tracing::info!(long = %long, "start {long}"),
        );
        assert!(
            lines[0].len() <= MAX_LINE_BYTES,
            "{format:?}: {}",
            lines[0].len()
        );
        assert!(lines[0].contains("…(cut)"));
        if format == Format::Json {
            assert!(serde_json::from_str::<Value>(&lines[0]).is_ok());
        }
    }
}

#[test]
fn levels_are_checked() {
    for good in [
        "",
        "debug",
        "INFO",
        "warn",
        "warning",
        "error",
        "info,hyper=warn",
    ] {
        assert!(filter(good).is_ok(), "{good}");
    }
    for bad in ["loud", "info,noise", "hyper=loud"] {
        assert!(matches!(filter(bad), Err(Error::Level(_))), "{bad}");
    }
}

#[test]
fn a_field_cannot_take_the_place_of_a_common_one() {
    let lines = lines(&options(Format::Json), || {
        tracing::info!(component = "liar", level = 9, "x")
    });
    assert_eq!(lines[0].matches("\"component\"").count(), 1);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["component"], "sentinel");
}
