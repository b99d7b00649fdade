//! Pipelines, commands and operands.

use serde_json::Value;

use super::super::MAX_NESTING;
use super::super::functions::{self, Function};
use super::super::lex::{Failure, Token, TokenKind};
use super::super::tree::{Command, Operand, OperandKind, Pipeline, Span};
use super::Parser;
use super::tokens::Tokens;

impl Parser {
    /// `[$a[, $b] :=] command | command …` up to the end of the tokens or a closing parenthesis. `context` names it in errors.
    pub(super) fn pipeline(
        &mut self,
        tokens: &mut Tokens<'_>,
        context: &str,
        most_variables: usize,
    ) -> Result<Pipeline, Failure> {
        let start = tokens.offset();
        let (variables, declares) = self.declaration(tokens, context, most_variables)?;
        let mut commands = Vec::new();
        loop {
            match tokens.peek().map(|token| &token.kind) {
                None | Some(TokenKind::Close) => break,
                Some(TokenKind::Pipe) => {
                    return Err((tokens.offset(), format!("missing value for {context}")));
                }
                Some(_) => commands.push(self.command(tokens, commands.len())?),
            }
            match tokens.peek().map(|token| &token.kind) {
                Some(TokenKind::Pipe) => {
                    tokens.at += 1;
                    if !tokens
                        .peek()
                        .is_some_and(|token| token.kind != TokenKind::Close)
                    {
                        return Err((tokens.offset(), format!("missing value for {context}")));
                    }
                }
                None | Some(TokenKind::Close) => break,
                Some(_) => return Err((tokens.offset(), tokens.unexpected(context))),
            }
        }
        if tokens.depth == 0
            && let Some(token) = tokens.peek()
        {
            return Err((token.start, "unexpected right parenthesis".to_owned()));
        }
        if commands.is_empty() {
            return Err((start, format!("missing value for {context}")));
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        } else if let Some(unknown) = variables.iter().find(|name| !self.variables.contains(name)) {
            return Err((start, format!("undefined variable \"${unknown}\"")));
        }
        Ok(Pipeline {
            variables,
            declares,
            commands,
            span: Span {
                start,
                end: tokens.last_end(start),
            },
        })
    }

    fn declaration(
        &mut self,
        tokens: &mut Tokens<'_>,
        context: &str,
        most: usize,
    ) -> Result<(Vec<String>, bool), Failure> {
        let name = |index: usize| match tokens.tokens.get(index).map(|token| &token.kind) {
            Some(TokenKind::Variable(name)) => Some(name.clone()),
            _ => None,
        };
        let kind = |index: usize| tokens.tokens.get(index).map(|token| &token.kind);
        let Some(first) = name(tokens.at) else {
            return Ok((Vec::new(), false));
        };
        let (names, operator) = match (kind(tokens.at + 1), name(tokens.at + 2)) {
            (Some(TokenKind::Comma), Some(second)) => (vec![first, second], tokens.at + 3),
            _ => (vec![first], tokens.at + 1),
        };
        let declares = match kind(operator) {
            Some(TokenKind::Declare) => true,
            Some(TokenKind::Assign) => false,
            _ if names.len() > 1 => {
                return Err((
                    tokens.offset(),
                    format!("too many declarations in {context}"),
                ));
            }
            _ => return Ok((Vec::new(), false)),
        };
        if names.len() > most {
            return Err((
                tokens.offset(),
                format!("too many declarations in {context}"),
            ));
        }
        if names.iter().any(String::is_empty) {
            return Err((
                tokens.offset(),
                "$ can't be declared or assigned".to_owned(),
            ));
        }
        tokens.at = operator + 1;
        Ok((names, declares))
    }

    /// Operands up to a pipe, a closing parenthesis or the end. `stage` commands stand before it in the pipeline.
    fn command(&mut self, tokens: &mut Tokens<'_>, stage: usize) -> Result<Command, Failure> {
        let start = tokens.offset();
        let mut operands = Vec::new();
        loop {
            let spaced = match tokens.peek() {
                None => break,
                Some(token) => match token.kind {
                    TokenKind::Pipe | TokenKind::Close => break,
                    TokenKind::Comma | TokenKind::Declare | TokenKind::Assign => {
                        return Err((token.start, tokens.unexpected("operand")));
                    }
                    _ => token.spaced,
                },
            };
            if !operands.is_empty() && !spaced {
                return Err((tokens.offset(), tokens.unexpected("operand")));
            }
            operands.push(self.operand(tokens)?);
        }
        let span = Span {
            start,
            end: tokens.last_end(start),
        };
        let mut operands = operands.into_iter();
        let Some(first) = operands.next() else {
            return Err((start, "empty command".to_owned()));
        };
        let arguments: Vec<Operand> = operands.collect();
        let piped = usize::from(stage > 0);
        if let OperandKind::Call(function) = &first.kind
            && first.fields.is_empty()
        {
            function
                .check(arguments.len() + piped)
                .map_err(|message| (start, message))?;
            return Ok(Command::Call {
                function: *function,
                arguments,
                span,
            });
        }
        let what = || match &first.kind {
            OperandKind::Nil => "nil".to_owned(),
            OperandKind::Literal(literal) => literal.to_string(),
            _ => "a value".to_owned(),
        };
        if matches!(first.kind, OperandKind::Nil) {
            return Err((start, "nil is not a command".to_owned()));
        }
        if piped > 0 {
            return Err((
                start,
                format!(
                    "non executable command in pipeline stage {}: {} is not a function",
                    stage + 1,
                    what()
                ),
            ));
        }
        if let Some(argument) = arguments.first() {
            return Err((
                argument.span.start,
                format!(
                    "can't give argument to non-function: {} is not a function",
                    what()
                ),
            ));
        }
        Ok(Command::Value(first))
    }

    /// One term and the fields that are selected on it.
    fn operand(&mut self, tokens: &mut Tokens<'_>) -> Result<Operand, Failure> {
        let Some(token) = tokens.next() else {
            return Err((tokens.end, "missing operand".to_owned()));
        };
        let start = token.start;
        let mut fields = Vec::new();
        let kind = match token.kind.clone() {
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => {
                fields.push(name);
                OperandKind::Dot
            }
            TokenKind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err((start, format!("undefined variable \"${name}\"")));
                }
                OperandKind::Variable(name)
            }
            TokenKind::Literal(literal) => OperandKind::Literal(literal),
            TokenKind::Word(word) => self.word(&word, start)?,
            TokenKind::Open => {
                if tokens.depth >= MAX_NESTING {
                    return Err((
                        start,
                        format!("parentheses are nested more than {MAX_NESTING} deep"),
                    ));
                }
                tokens.depth += 1;
                let inner = self.pipeline(tokens, "parenthesized pipeline", 0)?;
                tokens.depth -= 1;
                match tokens.next() {
                    Some(Token {
                        kind: TokenKind::Close,
                        ..
                    }) => OperandKind::Pipeline(Box::new(inner)),
                    _ => return Err((start, "unclosed left parenthesis".to_owned())),
                }
            }
            _ => return Err((start, tokens.unexpected_at(tokens.at - 1, "operand"))),
        };
        while let Some(Token {
            kind: TokenKind::Field(name),
            spaced: false,
            start: at,
            ..
        }) = tokens.peek()
        {
            if matches!(kind, OperandKind::Literal(_) | OperandKind::Nil)
                || token.kind == TokenKind::Dot
            {
                return Err((*at, format!("unexpected .{name} after a constant or a dot")));
            }
            fields.push(name.clone());
            tokens.at += 1;
        }
        let at_root = match &kind {
            OperandKind::Dot => self.scope.root,
            OperandKind::Variable(name) => name.is_empty() && self.scope.main,
            _ => false,
        };
        if at_root && !fields.is_empty() {
            self.references.push((fields.clone(), start));
        }
        if let OperandKind::Call(function) = &kind
            && !fields.is_empty()
        {
            function.check(0).map_err(|message| (start, message))?;
        }
        Ok(Operand {
            kind,
            fields,
            span: Span {
                start,
                end: tokens.last_end(start),
            },
        })
    }

    fn word(&self, word: &str, start: usize) -> Result<OperandKind, Failure> {
        match word {
            "true" | "false" => Ok(OperandKind::Literal(Value::Bool(word == "true"))),
            "nil" => Ok(OperandKind::Nil),
            "if" | "else" | "end" | "range" | "with" | "define" | "template" | "block"
            | "break" | "continue" => Err((start, format!("unexpected keyword \"{word}\""))),
            name => match Function::named(name) {
                Some(function) => Ok(OperandKind::Call(function)),
                None => {
                    let hint = functions::hint(name)
                        .map(|hint| format!(" ({hint})"))
                        .unwrap_or_default();
                    Err((start, format!("function \"{name}\" not defined{hint}")))
                }
            },
        }
    }
}
