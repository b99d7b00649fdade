//! Payloads and actions of older task configs.

use super::super::problem::Problems;
use super::super::tree::{Kind, Node, Position};
use super::task::{api_call, for_each, hoist_call, push};
use super::{Notes, rename};

/// Spellings only; the meaning stays.
pub(super) fn spellings(tree: &mut Node, notes: &Notes, problems: &Problems) {
    if let Some(entry) = tree.take("postActions") {
        notes.older(
            &entry.key_at,
            "postActions",
            "postActions",
            "post.post_actions",
        );
        tree.set_path("post.postActions", entry.value);
    }
    let Some(post) = tree.get_mut("post") else {
        return;
    };
    rename(
        post,
        "post",
        "parameters",
        "payloads",
        false,
        notes,
        problems,
    );
    rename(post, "post", "params", "payloads", false, notes, problems);
    rename(
        post,
        "post",
        "postActions",
        "post_actions",
        true,
        notes,
        problems,
    );
    for_each(post, "payloads", |payload, path| {
        rename(
            payload,
            &format!("post.{path}"),
            "buildRef",
            "build_ref",
            true,
            notes,
            problems,
        );
    });
    for_each(post, "post_actions", |action, path| {
        let path = format!("post.{path}");
        rename(action, &path, "apiCall", "api_call", true, notes, problems);
        hoist_call(action, &path, notes, problems);
        if let Some(call) = action.get_mut("api_call") {
            api_call(call, &format!("{path}.api_call"), notes, problems);
        }
    });
}

/// Names, report fields, the condition map, PUT.
pub(super) fn complete(tree: &mut Node, notes: &Notes) {
    let works = finalized_when(tree);
    let Some(post) = tree.get_mut("post") else {
        return;
    };
    for_each(post, "payloads", |payload, path| {
        if let Some(build) = payload.get_mut("build") {
            unwrap_values(build, notes, path);
            conditions_map(build, &works, notes, path);
            report_fields(build);
        }
    });
    let mut unnamed = 0;
    for_each(post, "post_actions", |action, path| {
        if !action.has("name") {
            unnamed += 1;
            let at = action.at.clone();
            notes.older(
                &at,
                &format!("post.{path}"),
                "an action without a name",
                "name",
            );
            action.set("name", Node::text(&at, format!("postAction{unnamed}")));
        }
        if let Some(call) = action.get_mut("api_call") {
            post_to_put(call, path, notes);
        }
    });
}

/// When is everything gone? An expression over the resources that older documents delete by themselves.
fn finalized_when(tree: &Node) -> Option<String> {
    let mut gone = Vec::new();
    for resource in tree.get("resources")?.items() {
        let implied = resource
            .at_path("lifecycle.delete.when.expression")
            .and_then(Node::as_text)
            == Some("deletedTime != ''");
        if let Some(name) = resource.get("name").and_then(Node::scalar_text)
            && implied
        {
            gone.push(format!("!resources.?{name}.hasValue()"));
        }
    }
    (!gone.is_empty()).then(|| gone.join(" && "))
}

/// `{value: x}`, with or without a description, is `x`; a description beside an expression is dropped.
fn unwrap_values(node: &mut Node, notes: &Notes, path: &str) {
    let is_value = node.has("value")
        && node
            .entries()
            .iter()
            .all(|entry| entry.key == "value" || entry.key == "description");
    if is_value && let Some(entry) = node.take("value") {
        notes.older(
            &entry.key_at,
            &format!("post.{path}.build"),
            "a leaf {value: x}",
            "the value itself",
        );
        *node = entry.value;
        return;
    }
    if node.has("expression") || node.has("field") {
        node.take("description");
        return;
    }
    match &mut node.kind {
        Kind::Map(entries) => entries
            .iter_mut()
            .for_each(|entry| unwrap_values(&mut entry.value, notes, path)),
        Kind::List(items) => items
            .iter_mut()
            .for_each(|item| unwrap_values(item, notes, path)),
        _ => {}
    }
}

/// `conditions: {applied: …}` becomes the list of conditions that the API takes.
fn conditions_map(build: &mut Node, finalized: &Option<String>, notes: &Notes, path: &str) {
    let Some(conditions) = build.get("conditions") else {
        return;
    };
    let Kind::Map(entries) = &conditions.kind else {
        return;
    };
    let at = conditions.at.clone();
    notes.older(
        &at,
        &format!("post.{path}.build.conditions"),
        "conditions as a map",
        "a list of {type, status, reason, message}",
    );
    let mut list = Node::list(&at, Vec::new());
    for entry in entries {
        let type_ = capitalise(&entry.key);
        add(&mut list, condition(&entry.value, &type_));
    }
    let has = |list: &Node, type_: &str| {
        list.items()
            .iter()
            .any(|item| item.get("type").and_then(Node::as_text) == Some(type_))
    };
    for type_ in ["Applied", "Available", "Health"] {
        if !has(&list, type_) {
            let absent = Node::map(
                &at,
                [(
                    "status",
                    Node::map(&at, [("expression", Node::text(&at, "null"))]),
                )],
            );
            add(&mut list, condition(&absent, type_));
        }
    }
    if !has(&list, "Finalized") {
        add(&mut list, finalized_condition(&at, finalized));
    }
    build.set("conditions", list);
}

fn add(list: &mut Node, item: Node) {
    if let Kind::List(items) = &mut list.kind {
        items.push(item);
    }
}

fn capitalise(key: &str) -> String {
    let mut chars = key.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// One entry of the map. True and `"True"` are True, false is False; null or a value that can't be computed counts as
/// False, except for Health, where it means that nothing speaks against the adapter.
fn condition(entry: &Node, type_: &str) -> Node {
    let at = entry.at.clone();
    let mut condition = Node::map(&at, [("type", Node::text(&at, type_))]);
    let expression = entry
        .at_path("status.expression")
        .and_then(Node::as_text)
        .map(str::to_owned);
    let status = entry.get("status").cloned();
    match (&expression, status) {
        (Some(source), _) => {
            let status = status_expression(source, type_);
            let line = entry
                .at_path("status.expression")
                .map_or(&at, |node| &node.at)
                .clone();
            condition.set("status", computed(&line, &status, "False"));
            if !entry.has("reason") {
                let reason = format!("({status}) == \"True\" ? \"{type_}True\" : \"{type_}False\"");
                condition.set("reason", computed(&line, &reason, &format!("{type_}False")));
            }
        }
        (None, Some(status)) => {
            condition.set("status", status);
            if !entry.has("reason") {
                condition.set("reason", Node::text(&at, format!("{type_}Reported")));
            }
        }
        (None, None) => condition.set("status", Node::text(&at, "False")),
    }
    for key in ["reason", "message"] {
        if let Some(value) = entry.get(key) {
            condition.set(key, value.clone());
        }
    }
    if !condition.has("message") {
        condition.set("message", Node::text(&at, ""));
    }
    condition
}

fn status_expression(source: &str, type_: &str) -> String {
    let otherwise = if type_ == "Health" {
        "adapter.executionStatus == \"success\""
    } else {
        "false"
    };
    format!(
        "[({source}\n) ?? ({otherwise})].exists(s, s == true || s == \"True\") ? \"True\" : \"False\""
    )
}

fn computed(at: &Position, expression: &str, default: &str) -> Node {
    Node::map(
        at,
        [
            ("expression", Node::text(at, expression)),
            ("default", Node::text(at, default)),
        ],
    )
}

fn finalized_condition(at: &Position, finalized: &Option<String>) -> Node {
    let text = |value: &str| Node::text(at, value);
    match finalized {
        None => Node::map(
            at,
            [
                ("type", text("Finalized")),
                ("status", text("False")),
                ("reason", text("NotDeleting")),
                ("message", text("")),
            ],
        ),
        Some(gone) => {
            let deleting = "deletedTime != ''";
            let done = format!("{deleting} && adapter.executionStatus == \"success\" && {gone}");
            let reason = format!(
                "{done} ? \"CleanupConfirmed\" : {deleting} ? (adapter.executionStatus == \"success\" ? \
                 \"CleanupInProgress\" : \"AdapterUnhealthy\") : \"NotDeleting\""
            );
            Node::map(
                at,
                [
                    ("type", text("Finalized")),
                    (
                        "status",
                        computed(at, &format!("{done} ? \"True\" : \"False\""), "False"),
                    ),
                    ("reason", computed(at, &reason, "NotDeleting")),
                    ("message", text("")),
                ],
            )
        }
    }
}

/// A status report says who reports, at which generation and when.
fn report_fields(build: &mut Node) {
    if !build.has("conditions") {
        return;
    }
    let at = build.at.clone();
    if !build.has("adapter") {
        build.set("adapter", Node::text(&at, "{{ .adapter.name }}"));
    }
    if !build.has("observed_generation") {
        build.set(
            "observed_generation",
            Node::map(&at, [("expression", Node::text(&at, "int(generation)"))]),
        );
    }
    if !build.has("observed_time") {
        build.set(
            "observed_time",
            Node::text(&at, "{{ now | date \"2006-01-02T15:04:05.000Z07:00\" }}"),
        );
    }
}

/// The API takes reports by PUT only.
fn post_to_put(call: &mut Node, path: &str, notes: &Notes) {
    let to_statuses = call
        .get("url")
        .and_then(Node::as_text)
        .is_some_and(|url| url.trim_end_matches('/').ends_with("/statuses"));
    let Some(method) = call.get_mut("method") else {
        return;
    };
    if to_statuses && method.as_text() == Some("POST") {
        notes.older(
            &method.at,
            &format!("post.{path}.api_call.method"),
            "POST …/statuses",
            "PUT …/statuses",
        );
        *method = Node::text(&method.at, "PUT");
    }
}

/// Adds a capture to the precondition unless a capture or param of that name exists.
pub(super) fn add_capture(precondition: &mut Node, capture: Node) {
    push(precondition, "capture", capture);
}
