use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    log: Log,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Log {
    level: String,
    color: bool,
}

fn defaults() -> Value {
    json!({"name": "x", "port": 80, "tags": [], "log": {"level": "info"}})
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
    move |name| {
        pairs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    }
}

#[test]
fn later_layers_win_key_by_key() {
    let file = file("log: {level: warn, color: true}\ntags: [a, b]\nport: 81\n");
    let table = [
        ("LOG_LEVEL", "log.level"),
        ("PORT", "port"),
        ("EMPTY", "name"),
    ];
    let config: Config = Layers::new(defaults())
        .file(file.path())
        .env_from(
            "T_",
            &table,
            env(&[("T_LOG_LEVEL", "error"), ("T_PORT", "82"), ("T_EMPTY", "")]),
        )
        .set("port", 83.into())
        .build()
        .unwrap();
    assert_eq!(config.port, 83);
    assert_eq!(config.name, "x");
    assert_eq!(config.tags, ["a", "b"]);
    assert_eq!(
        config.log,
        Log {
            level: "error".into(),
            color: true
        }
    );
}

#[test]
fn environment_text_takes_the_type_that_the_key_has() {
    let table = [("COLOR", "log.color"), ("NAME", "name"), ("TAGS", "tags")];
    let config: Config = Layers::new(defaults())
        .env_from(
            "",
            &table,
            env(&[("COLOR", "true"), ("NAME", "12"), ("TAGS", "a, b")]),
        )
        .build()
        .unwrap();
    assert!(config.log.color);
    assert_eq!(config.name, "12");
    assert_eq!(config.tags, ["a", "b"]);
}

#[test]
fn errors_name_the_key_and_the_layer() {
    let text = |layers: Layers| layers.build::<Config>().unwrap_err().to_string();

    let wrong = text(Layers::new(defaults()).env_from(
        "T_",
        &[("PORT", "port")],
        env(&[("T_PORT", "many")]),
    ));
    assert!(
        wrong.starts_with("port: ") && wrong.ends_with("(from environment variable T_PORT)"),
        "{wrong}"
    );

    let file = file("log:\n  colour: true\n");
    let unknown = text(Layers::new(defaults()).file(file.path()));
    assert!(
        unknown.starts_with("log.colour: unknown key, expected"),
        "{unknown}"
    );
    assert!(
        unknown.ends_with(&format!("(from file {}:2)", file.path().display())),
        "{unknown}"
    );

    let missing = text(Layers::new(json!({})));
    assert_eq!(missing, "name: is required (from the built-in defaults)");

    let flag = text(Layers::new(defaults()).flag("--tags", "tags", Some(json!([1]))));
    assert!(
        flag.starts_with("tags.0: ") && flag.ends_with("(from flag --tags)"),
        "{flag}"
    );
}

#[test]
fn unusable_files_are_named_with_the_position() {
    let bad = file("a: 1\nb: [1,\n");
    let error = Layers::new(defaults())
        .file(bad.path())
        .build::<Config>()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Syntax { line: Some(_), .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}:", bad.path().display())),
        "{error}"
    );

    let list = file("[1, 2]");
    let error = Layers::new(defaults())
        .file(list.path())
        .build::<Config>()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("must be a mapping of keys to values, is a list"),
        "{error}"
    );

    let error = Layers::new(defaults())
        .file("/no/such/file")
        .build::<Config>()
        .unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");

    let empty = file("\n");
    assert!(
        Layers::new(defaults())
            .file(empty.path())
            .build::<Config>()
            .is_ok()
    );
}

#[test]
fn shown_trees_hide_secrets() {
    let mut tree =
        json!({"auth": {"token": "t", "user": "u"}, "list": [{"password": "p"}], "token": ""});
    redact(&mut tree, &|key| key == "token" || key == "password");
    assert_eq!(
        tree,
        json!({"auth": {"token": "**REDACTED**", "user": "u"}, "list": [{"password": "**REDACTED**"}], "token": ""})
    );
}
