//! From the tree to the compiled task config, collecting every problem on the way.

use std::collections::BTreeMap;

use super::super::problem::{Problem, Problems, Stage};
use super::super::read::Reader;
use super::super::tree::{Entry, Kind, Node, Position};
use super::files::Directory;
use super::names::{Names, RESERVED};
use super::read_call::{api_call, log};
use super::read_params::params;
use super::read_post::{action, payload};
use super::read_resource;
use super::{Capture, Check, Condition, How, Operator, Precondition, TaskConfig};
use crate::lang::{Dialect, Expression, FieldPath, OlderConstruct, SyntaxError, Text};

/// What reading needs to know beside the document.
pub(crate) struct Context<'a> {
    /// The document was written for an older generation.
    pub(crate) older: bool,
    /// Where referenced files are.
    pub(crate) directory: Directory,
    /// The process environment as the adapter sees it.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Whether a Maestro client is configured.
    pub(crate) maestro: bool,
}

/// Reads the document. Problems are reported; the result is meaningful only if there are no errors.
pub(crate) fn read(tree: &Node, context: &Context<'_>, problems: &Problems) -> TaskConfig {
    let root = Reader::new(tree, "", problems);
    let mut task = TaskConfig {
        params: Vec::new(),
        preconditions: Vec::new(),
        resources: Vec::new(),
        payloads: Vec::new(),
        actions: Vec::new(),
        tree: tree.clone(),
    };
    if tree.is_null()
        || !root.map(&[
            "params",
            "preconditions",
            "resources",
            "post",
            "schemaVersion",
        ])
    {
        return task;
    }
    if let Some(version) = root.get("schemaVersion") {
        super::super::deployment::schema_version(&version);
    }
    let names = Names {
        declared: declared(tree),
        older: context.older,
        ..Names::default()
    };
    // Upstream's order: post, params, preconditions, resources.
    if let Some(post) = root.get("post")
        && post.map(&["payloads", "post_actions"])
    {
        task.payloads = post
            .list("payloads")
            .iter()
            .map(|reader| payload(reader, &names, context))
            .collect();
        task.actions = post
            .list("post_actions")
            .iter()
            .map(|reader| action(reader, &names))
            .collect();
    }
    task.params = params(&root, &names, context);
    task.preconditions = root
        .list("preconditions")
        .iter()
        .map(|reader| precondition(reader, &names))
        .collect();
    let resources = root.list("resources");
    task.resources = resources
        .iter()
        .filter_map(|reader| read_resource::resource(reader, &names, context))
        .collect();
    unique_resources(&root, &task);
    task
}

/// All names that a document declares anywhere.
pub(crate) fn declared(tree: &Node) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    let mut add = |list: Option<&Node>| {
        for item in list.map(Node::items).unwrap_or_default() {
            names.extend(item.get("name").and_then(Node::scalar_text));
        }
    };
    add(tree.get("params"));
    add(tree.get("preconditions"));
    add(tree.at_path("post.payloads"));
    for precondition in tree
        .get("preconditions")
        .map(Node::items)
        .unwrap_or_default()
    {
        add(precondition.get("capture"));
    }
    names
}

fn unique_resources(root: &Reader<'_>, task: &TaskConfig) {
    let mut seen = std::collections::BTreeSet::new();
    for resource in &task.resources {
        if !resource.name.is_empty()
            && !seen.insert(resource.name.as_str())
            && let Some(list) = root.get("resources")
        {
            list.error(
                Stage::Structure,
                "resources: contains duplicate name values",
            );
        }
    }
}

// --- names ---------------------------------------------------------------------------------------------------------

/// `name`, required and an identifier of CEL.
pub(super) fn identifier(reader: &Reader<'_>) -> String {
    let Some(name) = reader.required_text("name") else {
        return String::new();
    };
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let (false, Some(child)) = (starts && rest, reader.get("name")) {
        child.structural(&format!(
            "{name:?}: must start with lowercase letter and contain only letters, numbers, underscores (no hyphens)"
        ));
    }
    name
}

// --- languages -----------------------------------------------------------------------------------------------------

/// What an expression sees, for the check of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every declared name.
    Everything,
    /// A response: its keys are not known.
    Response,
}

/// Compiles a template and checks the names it uses.
pub(super) fn template(reader: &Reader<'_>, names: &Names) -> Option<Text> {
    let source = reader.text()?;
    let text = match Text::compile(&reader.path, &source) {
        Ok(text) => text,
        Err(error) => {
            syntax(
                reader,
                &error,
                &format!("failed to parse template: {}", error.message),
            );
            return None;
        }
    };
    check_names(reader, reader.at(), &text, names);
    Some(text)
}

/// Reports names that nothing declares, at their place.
fn check_names(reader: &Reader<'_>, at: &Position, text: &Text, names: &Names) {
    let block = text.source().contains('\n');
    for reference in text.references() {
        if reference
            .path
            .first()
            .is_some_and(|root| !names.knows_in_template(root))
        {
            let at = at.inside(reference.line, reference.column, block);
            let message = format!("undefined template variable {:?}", reference.path.join("."));
            reader.problems.error(
                Stage::Semantic,
                Problem::new(&at, reader.path.clone(), message),
            );
        }
    }
}

/// A map key that may be a template.
pub(super) fn key_template(reader: &Reader<'_>, entry: &Entry, names: &Names) -> Text {
    let at = &entry.key_at;
    match Text::compile(&reader.path, &entry.key) {
        Ok(text) => {
            check_names(reader, at, &text, names);
            text
        }
        Err(error) => {
            let message = format!("failed to parse template: {}", error.message);
            reader.problems.error(
                Stage::Semantic,
                Problem::new(at, reader.path.clone(), message),
            );
            Text::plain(entry.key.clone())
        }
    }
}

/// Compiles an expression; names that nothing declares are warned about.
pub(super) fn expression(reader: &Reader<'_>, names: &Names, scope: Scope) -> Option<Expression> {
    let source = reader.text()?;
    let dialect = if names.older {
        Dialect::Older
    } else {
        Dialect::Current
    };
    match Expression::compile(&source, dialect) {
        Ok((expression, constructs)) => {
            for found in constructs {
                older_construct(reader, names, &found);
            }
            if scope == Scope::Everything {
                for name in expression.names() {
                    if !names.knows_in_cel(&name) {
                        reader.warn(format!("expression uses {name:?}, which nothing defines"));
                    }
                }
            }
            Some(expression)
        }
        Err(error) => {
            syntax(
                reader,
                &error,
                &format!("CEL parse error: {}", error.message),
            );
            None
        }
    }
}

/// Warned about once per construct.
fn older_construct(reader: &Reader<'_>, names: &Names, found: &OlderConstruct) {
    if names.warned.borrow_mut().insert(found.construct) {
        let block = reader
            .node
            .as_text()
            .is_some_and(|text| text.contains('\n'));
        let at = reader.at().inside(found.line, found.column, block);
        let message = format!(
            "{} is an older spelling: write {}",
            found.construct, found.modern
        );
        reader
            .problems
            .warn(Problem::new(&at, reader.path.clone(), message));
    }
}

pub(super) fn field_path(reader: &Reader<'_>) -> Option<FieldPath> {
    let text = reader.text()?;
    match FieldPath::compile(&text) {
        Ok(path) => Some(path),
        Err(error) => {
            syntax(
                reader,
                &error,
                &format!("invalid field path {text:?}: {}", error.message),
            );
            None
        }
    }
}

/// Reports at the place inside of the text.
fn syntax(reader: &Reader<'_>, error: &SyntaxError, message: &str) {
    let block = reader
        .node
        .as_text()
        .is_some_and(|text| text.contains('\n'));
    let at = reader.at().inside(error.line, error.column, block);
    reader.problems.error(
        Stage::Semantic,
        Problem::new(&at, reader.path.clone(), message),
    );
}

/// `when: {expression}`.
pub(super) fn when(reader: &Reader<'_>, names: &Names) -> Option<Expression> {
    let when = reader.get("when")?;
    if !when.map(&["expression"]) {
        return None;
    }
    let child = when.required("expression")?;
    if child
        .node
        .as_text()
        .is_some_and(|text| text.trim().is_empty())
    {
        when.missing("expression");
        return None;
    }
    expression(&child, names, Scope::Everything)
}

// --- preconditions -------------------------------------------------------------------------------------------------

fn precondition(reader: &Reader<'_>, names: &Names) -> Precondition {
    let mut precondition = Precondition {
        name: String::new(),
        api_call: None,
        adapters_view: false,
        log: None,
        captures: Vec::new(),
        check: Check::None,
    };
    if !reader.map(&[
        "name",
        "api_call",
        "log",
        "capture",
        "conditions",
        "expression",
        "description",
    ]) {
        return precondition;
    }
    precondition.name = identifier(reader);
    precondition.log = reader.get("log").and_then(|child| log(&child, names));
    if let Some(call) = reader.get("api_call") {
        precondition.api_call = api_call(&call, names);
        if !names.older {
            call.warn(format!(
                "precondition {:?}: api_call is deprecated; declare a param with source.api_call",
                precondition.name
            ));
        }
    }
    precondition.captures = reader
        .list("capture")
        .iter()
        .filter_map(|item| capture(item, names))
        .collect();
    precondition.adapters_view = names.older && mentions_adapters(reader.node);
    let conditions: Vec<Condition> = reader
        .list("conditions")
        .iter()
        .filter_map(condition)
        .collect();
    let expression_reader = reader.get("expression");
    if !reader.node.has("api_call")
        && reader.get("conditions").is_none()
        && expression_reader.is_none()
    {
        reader.error(
            Stage::Structure,
            format!("{}: must specify api_call, conditions", reader.path),
        );
    }
    let compiled = expression_reader
        .as_ref()
        .and_then(|child| expression(child, names, Scope::Everything));
    precondition.check = match (conditions.is_empty(), compiled) {
        (false, other) => {
            if let (Some(_), Some(child)) = (other, &expression_reader) {
                child.warn("expression is ignored because the precondition has conditions");
            }
            Check::Conditions(conditions)
        }
        (true, Some(expression)) => Check::Expression(expression),
        (true, None) => Check::None,
    };
    precondition
}

/// Whether a capture looks for adapter reports where older APIs had them.
fn mentions_adapters(node: &Node) -> bool {
    let captures = node.get("capture").map(Node::items).unwrap_or_default();
    captures.iter().any(|capture| {
        ["field", "expression"].iter().any(|key| {
            capture
                .get(key)
                .and_then(Node::as_text)
                .is_some_and(|text| text.contains("status.adapters"))
        })
    })
}

fn capture(reader: &Reader<'_>, names: &Names) -> Option<Capture> {
    if !reader.map(&["name", "field", "expression", "default"]) {
        return None;
    }
    let name = reader.required_text("name").unwrap_or_default();
    if RESERVED.contains(&name.as_str()) {
        reader.structural(&format!(
            "captures {name:?}, which is the name of something built in: choose another name"
        ));
    }
    let how = one_of(reader, "field", "expression")?;
    let how = if how.0 == "field" {
        How::Field(field_path(&how.1)?)
    } else {
        How::Expression(expression(&how.1, names, Scope::Response)?)
    };
    Some(Capture {
        name,
        how,
        default: reader.get_any("default").map(|child| child.json()),
    })
}

/// Exactly one of two keys.
pub(super) fn one_of<'a>(
    reader: &Reader<'a>,
    a: &'static str,
    b: &'static str,
) -> Option<(&'static str, Reader<'a>)> {
    match (reader.get(a), reader.get(b)) {
        (Some(child), None) => Some((a, child)),
        (None, Some(child)) => Some((b, child)),
        (None, None) => {
            reader.error(
                Stage::Structure,
                format!("{}: must have either '{a}' or '{b}' set", reader.path),
            );
            None
        }
        (Some(_), Some(_)) => {
            reader.error(
                Stage::Structure,
                format!("{}: '{a}' and '{b}' are mutually exclusive", reader.path),
            );
            None
        }
    }
}

fn condition(reader: &Reader<'_>) -> Option<Condition> {
    if !reader.map(&["field", "operator", "value", "values"]) {
        return None;
    }
    let field = reader
        .required("field")
        .and_then(|child| field_path(&child));
    let operator = reader.required("operator").and_then(|child| {
        let word = child.text()?;
        let operator = Operator::parse(&word);
        if operator.is_none() {
            child.error(
                Stage::Structure,
                format!(
                    "{}: invalid operator {word:?}, must be one of: {}",
                    child.path,
                    Operator::LISTED
                ),
            );
        }
        operator
    });
    if reader.node.has("value") && reader.node.has("values") {
        reader.error(
            Stage::Parse,
            "condition has both 'value' and 'values' keys; use only one",
        );
        return None;
    }
    let expected = reader.get_any("value").or_else(|| reader.get_any("values"));
    let operator = operator?;
    match (operator, &expected) {
        (Operator::Exists | Operator::NotExists, Some(child)) => {
            child.semantic(format!(
                "value/values should not be set for operator {:?}",
                operator.as_str()
            ));
        }
        (Operator::Exists | Operator::NotExists, None) => {}
        (_, None) => {
            reader.semantic(format!(
                "value is required for operator {:?}",
                operator.as_str()
            ));
        }
        (Operator::In | Operator::NotIn, Some(child))
            if !matches!(child.node.kind, Kind::List(_)) =>
        {
            child.semantic(format!(
                "value must be a list for operator {:?}",
                operator.as_str()
            ));
        }
        _ => {}
    }
    Some(Condition {
        field: field?,
        operator,
        expected: expected.map(|child| child.json()).unwrap_or_default(),
    })
}
