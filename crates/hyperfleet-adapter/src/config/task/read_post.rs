//! `post`: payloads and actions.

use super::super::problem::Stage;
use super::super::read::Reader;
use super::super::tree::Kind;
use super::names::Names;
use super::read::{Context, identifier, one_of, when};
use super::read_call::{api_call, log};
use super::shape::{self, Leaves};
use super::{Action, Build, Payload};

pub(super) fn payload(reader: &Reader<'_>, names: &Names, context: &Context<'_>) -> Payload {
    let mut payload = Payload {
        name: String::new(),
        build: Build::Raw(serde_json::Value::Null),
        when: None,
    };
    if !reader.map(&["name", "build", "build_ref", "when"]) {
        return payload;
    }
    payload.name = reader.required_text("name").unwrap_or_default();
    payload.when = when(reader, names);
    match one_of(reader, "build", "build_ref") {
        Some(("build", child)) => payload.build = build(&child, names),
        Some((_, child)) => {
            if let Some(file) = context.directory.read(&child) {
                let name = file.path.display().to_string();
                match super::super::tree::parse(&name, &file.text) {
                    Ok(node) if matches!(node.kind, Kind::Map(_)) => {
                        payload.build = build(
                            &Reader::new(&node, child.path.clone(), reader.problems),
                            names,
                        );
                    }
                    Ok(node) => child.error(
                        Stage::Files,
                        format!(
                            "{}: {name} must hold a map, holds {}",
                            child.path,
                            node.describe()
                        ),
                    ),
                    Err(problem) => reader.problems.error(Stage::Files, problem),
                }
            }
        }
        None => {}
    }
    payload
}

fn build(reader: &Reader<'_>, names: &Names) -> Build {
    match reader.node.kind {
        Kind::Map(_) => Build::Map(shape::compile(reader, Leaves::Computed, names)),
        _ => Build::Raw(reader.json()),
    }
}

pub(super) fn action(reader: &Reader<'_>, names: &Names) -> Action {
    let mut action = Action {
        name: String::new(),
        when: None,
        api_call: None,
        log: None,
    };
    if !reader.map(&["name", "api_call", "log", "when"]) {
        return action;
    }
    action.name = identifier(reader);
    action.when = when(reader, names);
    action.api_call = reader
        .get("api_call")
        .and_then(|child| api_call(&child, names));
    action.log = reader.get("log").and_then(|child| log(&child, names));
    action
}
