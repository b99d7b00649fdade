//! Tree and data to text.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::error::{Error, Kind};
use super::functions::Call;
use super::tree::{Command, Node, Operand, OperandKind, Pipeline, Span, Tree, position};
use super::value::{Lookup, Val};
use super::{MAX_DEPTH, MAX_OUTPUT_BYTES, MAX_STEPS};

pub(super) fn execute(tree: &Tree, data: &Value, now: Timestamp) -> Result<String, Error> {
    let data = Val::borrowed(data);
    let mut run = Run {
        tree,
        now,
        out: String::new(),
        variables: vec![("", data.clone())],
        steps: 0,
        depth: 0,
    };
    run.nodes(&tree.main, &data)?;
    Ok(run.out)
}

/// What happens after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Run<'t, 'd> {
    tree: &'t Tree,
    now: Timestamp,
    out: String,
    /// Variables in scope, innermost last; the first is `$`.
    variables: Vec<(&'t str, Val<'d>)>,
    steps: usize,
    depth: usize,
}

// === impl Run ===

impl<'t, 'd> Run<'t, 'd> {
    fn error(&self, kind: Kind, span: Span, message: impl Into<String>) -> Error {
        let (line, column) = position(&self.tree.text, span.start);
        let at = self.tree.slice(span).chars().take(80).collect();
        Error {
            name: self.tree.name.clone(),
            line,
            column,
            kind,
            at,
            message: message.into(),
        }
    }

    fn step(&mut self, span: Span) -> Result<(), Error> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(self.error(
                Kind::Limit,
                span,
                format!("template takes more than {MAX_STEPS} steps"),
            ));
        }
        Ok(())
    }

    fn write(&mut self, text: &str, span: Span) -> Result<(), Error> {
        if self.out.len() + text.len() > MAX_OUTPUT_BYTES {
            return Err(self.error(
                Kind::Limit,
                span,
                format!("output is longer than {MAX_OUTPUT_BYTES} bytes"),
            ));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &'t [Node], dot: &Val<'d>) -> Result<Flow, Error> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Nodes whose variables end with them.
    fn body(&mut self, nodes: &'t [Node], dot: &Val<'d>, span: Span) -> Result<Flow, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(
                Kind::Limit,
                span,
                format!("blocks and templates are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let variables = self.variables.len();
        self.depth += 1;
        let flow = self.nodes(nodes, dot)?;
        self.depth -= 1;
        self.variables.truncate(variables);
        Ok(flow)
    }

    fn node(&mut self, node: &'t Node, dot: &Val<'d>) -> Result<Flow, Error> {
        match node {
            Node::Text(text) => {
                self.step(Span::default())?;
                self.write(text, Span::default())?;
            }
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let text = if value.is_nil() {
                        Cow::Borrowed("<no value>")
                    } else {
                        Cow::Owned(value.print())
                    };
                    self.write(&text, pipeline.span)?;
                }
            }
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let variables = self.variables.len();
                let holds = self.pipeline(condition, dot)?.is_true();
                let flow = self.body(if holds { then } else { otherwise }, dot, condition.span)?;
                self.variables.truncate(variables);
                return Ok(flow);
            }
            Node::With {
                value,
                then,
                otherwise,
            } => {
                let variables = self.variables.len();
                let found = self.pipeline(value, dot)?;
                let flow = if found.is_true() {
                    self.body(then, &found, value.span)?
                } else {
                    self.body(otherwise, dot, value.span)?
                };
                self.variables.truncate(variables);
                return Ok(flow);
            }
            Node::Range {
                over,
                body,
                otherwise,
            } => return self.range(over, body, otherwise, dot),
            Node::Template {
                name,
                argument,
                span,
            } => {
                let argument = match argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Val::nil(),
                };
                let body = self
                    .tree
                    .defined
                    .get(name)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                // The other template sees its argument and nothing of ours.
                let outer = std::mem::replace(&mut self.variables, vec![("", argument.clone())]);
                self.body(body, &argument, *span)?;
                self.variables = outer;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn range(
        &mut self,
        over: &'t Pipeline,
        body: &'t [Node],
        otherwise: &'t [Node],
        dot: &Val<'d>,
    ) -> Result<Flow, Error> {
        let variables = self.variables.len();
        let value = self.commands(over, dot)?;
        let mut rounds = 0_usize;
        let mut flow = Flow::Next;
        let mut round = |run: &mut Self, key: Val<'d>, item: Val<'d>| -> Result<bool, Error> {
            rounds += 1;
            run.step(over.span)?;
            run.bind_range(over, key, item.clone());
            flow = run.body(body, &item, over.span)?;
            if over.declares {
                run.variables.truncate(variables);
            }
            Ok(flow != Flow::Break)
        };
        match &value {
            Val::Json(Cow::Borrowed(Value::Array(items))) => {
                for (index, item) in items.iter().enumerate() {
                    if !round(self, Val::owned(index), Val::borrowed(item))? {
                        break;
                    }
                }
            }
            Val::Json(Cow::Borrowed(Value::Object(map))) => {
                for (key, item) in map {
                    if !round(self, Val::owned(key.as_str()), Val::borrowed(item))? {
                        break;
                    }
                }
            }
            Val::Json(json) => match json.as_ref() {
                Value::Null => {}
                Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        if !round(self, Val::owned(index), Val::owned(item.clone()))? {
                            break;
                        }
                    }
                }
                Value::Object(map) => {
                    for (key, item) in map {
                        if !round(self, Val::owned(key.as_str()), Val::owned(item.clone()))? {
                            break;
                        }
                    }
                }
                Value::Number(number) if !number.is_f64() => {
                    for index in 0..number.as_i64().unwrap_or(i64::MAX) {
                        if !round(self, Val::owned(index), Val::owned(index))? {
                            break;
                        }
                    }
                }
                _ => {
                    return Err(self.error(
                        Kind::Execution,
                        over.span,
                        format!("range can't iterate over {}", short(&value)),
                    ));
                }
            },
            Val::Time(_) => {
                return Err(self.error(
                    Kind::Execution,
                    over.span,
                    "range can't iterate over a time",
                ));
            }
        }
        if rounds == 0 {
            flow = self.body(otherwise, dot, over.span)?;
            self.variables.truncate(variables);
            return Ok(flow);
        }
        self.variables.truncate(variables);
        Ok(Flow::Next)
    }

    /// `range $item` and `range $key, $item`, declared or assigned.
    fn bind_range(&mut self, over: &'t Pipeline, key: Val<'d>, item: Val<'d>) {
        match over.variables.as_slice() {
            [one] => self.bind(one, item, over.declares),
            [first, second] => {
                self.bind(first, key, over.declares);
                self.bind(second, item, over.declares);
            }
            _ => {}
        }
    }

    fn bind(&mut self, name: &'t str, value: Val<'d>, declares: bool) {
        if declares {
            self.variables.push((name, value));
        } else if let Some((_, slot)) = self
            .variables
            .iter_mut()
            .rev()
            .find(|(variable, _)| *variable == name)
        {
            *slot = value;
        }
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &Val<'d>) -> Result<Val<'d>, Error> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'t Pipeline, dot: &Val<'d>) -> Result<Val<'d>, Error> {
        let mut last = None;
        for command in &pipeline.commands {
            self.step(pipeline.span)?;
            last = Some(match command {
                Command::Value(operand) => self.operand(operand, dot)?,
                Command::Call {
                    function,
                    arguments,
                    span,
                } => {
                    if let Some(decides) = function.short_circuit() {
                        self.short_circuit(decides, arguments, last, dot)?
                    } else {
                        let mut values = Vec::with_capacity(arguments.len() + 1);
                        for argument in arguments {
                            values.push(self.operand(argument, dot)?);
                        }
                        values.extend(last);
                        self.call(*function, values, *span)?
                    }
                }
            });
        }
        Ok(last.unwrap_or_else(Val::nil))
    }

    fn call(
        &self,
        function: super::functions::Function,
        arguments: Vec<Val<'d>>,
        span: Span,
    ) -> Result<Val<'d>, Error> {
        let call = Call { now: self.now };
        let value = function.run(&call, arguments).map_err(|message| {
            self.error(
                Kind::Execution,
                span,
                format!("error calling {}: {message}", function.name()),
            )
        })?;
        if value
            .as_text()
            .is_some_and(|text| text.len() > MAX_OUTPUT_BYTES)
        {
            return Err(self.error(
                Kind::Limit,
                span,
                format!(
                    "result of {} is longer than {MAX_OUTPUT_BYTES} bytes",
                    function.name()
                ),
            ));
        }
        Ok(value)
    }

    /// `and` and `or`: operands after the one that decides are not evaluated.
    fn short_circuit(
        &mut self,
        decides: bool,
        arguments: &'t [Operand],
        piped: Option<Val<'d>>,
        dot: &Val<'d>,
    ) -> Result<Val<'d>, Error> {
        let mut value = Val::nil();
        for argument in arguments {
            value = self.operand(argument, dot)?;
            if value.is_true() == decides {
                return Ok(value);
            }
        }
        Ok(piped.unwrap_or(value))
    }

    fn operand(&mut self, operand: &'t Operand, dot: &Val<'d>) -> Result<Val<'d>, Error> {
        let mut value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Variable(name) => {
                let found = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(variable, _)| variable == name);
                found.map_or_else(Val::nil, |(_, value)| value.clone())
            }
            OperandKind::Literal(literal) => Val::owned(literal.clone()),
            OperandKind::Nil => Val::nil(),
            OperandKind::Call(function) => self.call(*function, Vec::new(), operand.span)?,
            OperandKind::Pipeline(inner) => self.pipeline(inner, dot)?,
        };
        for name in &operand.fields {
            value = value.member(name).map_err(|lookup| match lookup {
                Lookup::Missing => self.error(
                    Kind::MissingKey,
                    operand.span,
                    format!("map has no entry for key \"{name}\""),
                ),
                Lookup::OfNil => self.error(
                    Kind::Execution,
                    operand.span,
                    format!("nil pointer evaluating interface {{}}.{name}"),
                ),
                Lookup::NoMembers(kind) => self.error(
                    Kind::Execution,
                    operand.span,
                    format!("can't evaluate field {name} in type {kind}"),
                ),
            })?;
        }
        Ok(value)
    }
}

/// A value as errors repeat it.
fn short(value: &Val<'_>) -> String {
    let text = value.print();
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
