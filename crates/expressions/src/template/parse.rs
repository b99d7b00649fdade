//! Tokens to tree. Everything that can be known without data is checked here: balance of blocks, functions and how many arguments
//! they take, variables, names of templates.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod pipeline;
mod tokens;

use tokens::Tokens;

use super::error::{Error, Kind};
use super::lex::{self, Action, Failure, Piece, Token, TokenKind};
use super::tree::{Node, Pipeline, Reference, Span, Tree, position};
use super::{MAX_NESTING, MAX_TEMPLATE_BYTES};

pub(super) fn parse(name: &str, text: &str) -> Result<Tree, Error> {
    let error = |kind, (offset, message): Failure| {
        let (line, column) = position(text, offset);
        Error {
            name: name.to_owned(),
            line,
            column,
            kind,
            at: String::new(),
            message,
        }
    };
    if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!(
            "template has {} bytes, the limit is {MAX_TEMPLATE_BYTES}",
            text.len()
        );
        return Err(error(Kind::Limit, (0, message)));
    }
    let syntax = |failure| error(Kind::Syntax, failure);
    let pieces = lex::pieces(text).map_err(syntax)?;
    let mut parser = Parser {
        pieces: pieces.into_iter().collect::<Vec<_>>().into_iter(),
        end: text.len(),
        variables: vec![String::new()],
        defined: BTreeMap::new(),
        called: Vec::new(),
        references: Vec::new(),
        scope: Scope {
            root: true,
            main: true,
            loops: 0,
            depth: 0,
        },
    };
    let main = parser.template().map_err(syntax)?;
    let defined: BTreeSet<&str> = parser.defined.keys().map(String::as_str).collect();
    if let Some((offset, called)) = parser
        .called
        .iter()
        .find(|(_, called)| !defined.contains(called.as_str()))
    {
        return Err(syntax((
            *offset,
            format!("template \"{called}\" not defined"),
        )));
    }
    let references = parser.references.into_iter().map(|(path, offset)| {
        let (line, column) = position(text, offset);
        Reference { path, line, column }
    });
    Ok(Tree {
        name: name.to_owned(),
        references: references.collect(),
        text: text.to_owned(),
        main,
        defined: parser.defined,
    })
}

/// What is around the node that is being parsed.
#[derive(Clone, Copy)]
struct Scope {
    /// The dot is the root of the data.
    root: bool,
    /// In the main template, where `$` is the root of the data.
    main: bool,
    /// Loops around, for break and continue.
    loops: usize,
    /// Blocks around.
    depth: usize,
}

/// How a list of nodes ended.
enum Stop {
    Text,
    End,
    /// `{{else …}}`, with what follows the word.
    Else(Action),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// Length of the text, where a missing end is reported.
    end: usize,
    /// Variables in scope, innermost last.
    variables: Vec<String>,
    defined: BTreeMap<String, Vec<Node>>,
    called: Vec<(usize, String)>,
    references: Vec<(Vec<String>, usize)>,
    scope: Scope,
}

// === impl Parser ===

impl Parser {
    fn template(&mut self) -> Result<Vec<Node>, Failure> {
        match self.list(None)? {
            (nodes, Stop::Text) => Ok(nodes),
            // list reports both others itself when nothing is open.
            (nodes, Stop::End | Stop::Else(_)) => Ok(nodes),
        }
    }

    /// Nodes up to the end of a block, or of the text if none is open. `opened` is the block's keyword and place.
    fn list(&mut self, opened: Option<(&str, usize)>) -> Result<(Vec<Node>, Stop), Failure> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let keyword = match action.tokens.first() {
                Some(Token {
                    kind: TokenKind::Word(word),
                    ..
                }) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" | "else" if opened.is_none() => {
                    return Err((action.start, format!("unexpected {{{{{keyword}}}}}")));
                }
                "end" => {
                    nothing_after(&action, "end")?;
                    return Ok((nodes, Stop::End));
                }
                "else" => return Ok((nodes, Stop::Else(action))),
                "define" => {
                    if opened.is_some() {
                        return Err((
                            action.start,
                            "unexpected {{define}}: it must not stand inside of another block"
                                .to_owned(),
                        ));
                    }
                    self.define(&action)?;
                }
                _ => nodes.push(self.node(&keyword, action)?),
            }
        }
        match opened {
            None => Ok((nodes, Stop::Text)),
            Some((keyword, start)) => Err((
                start,
                format!(
                    "unexpected end of template: {{{{{keyword}}}}} is not closed by {{{{end}}}}"
                ),
            )),
        }
    }

    fn node(&mut self, keyword: &str, action: Action) -> Result<Node, Failure> {
        let start = action.start;
        match keyword {
            "if" => {
                let (condition, then, otherwise) = self.block("if", action, false, 1)?;
                Ok(Node::If {
                    condition,
                    then,
                    otherwise,
                })
            }
            "with" => {
                let (value, then, otherwise) = self.block("with", action, false, 1)?;
                Ok(Node::With {
                    value,
                    then,
                    otherwise,
                })
            }
            "range" => {
                let (over, body, otherwise) = self.block("range", action, true, 1)?;
                Ok(Node::Range {
                    over,
                    body,
                    otherwise,
                })
            }
            "template" | "block" => self.call_template(keyword == "block", &action),
            "break" | "continue" => {
                if self.scope.loops == 0 {
                    return Err((start, format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                }
                nothing_after(&action, keyword)?;
                Ok(if keyword == "break" {
                    Node::Break
                } else {
                    Node::Continue
                })
            }
            _ => {
                let mut tokens = Tokens {
                    tokens: &action.tokens,
                    at: 0,
                    end: action.end,
                    depth: 0,
                };
                let pipeline = self.pipeline(&mut tokens, "command", 1)?;
                Ok(Node::Action(pipeline))
            }
        }
    }

    /// A block that starts with a pipeline: if, with, range. `skip` words stand before it.
    fn block(
        &mut self,
        keyword: &str,
        action: Action,
        is_loop: bool,
        skip: usize,
    ) -> Result<(Pipeline, Vec<Node>, Vec<Node>), Failure> {
        if self.scope.depth >= MAX_NESTING {
            return Err((
                action.start,
                format!("blocks are nested more than {MAX_NESTING} deep"),
            ));
        }
        let variables = self.variables.len();
        let outer = self.scope;
        let mut tokens = Tokens {
            tokens: &action.tokens,
            at: skip,
            end: action.end,
            depth: 0,
        };
        let pipeline = self.pipeline(&mut tokens, keyword, if is_loop { 2 } else { 1 })?;
        self.scope = Scope {
            root: outer.root && keyword == "if",
            loops: outer.loops + usize::from(is_loop),
            depth: outer.depth + 1,
            ..outer
        };
        let opened = Some((keyword, action.start));
        let inner = self.variables.len();
        let (then, end) = self.list(opened)?;
        self.variables.truncate(inner);
        self.scope = Scope {
            depth: outer.depth + 1,
            ..outer
        };
        let otherwise = match end {
            Stop::Else(action) => self.otherwise(keyword, action, opened)?,
            Stop::End | Stop::Text => Vec::new(),
        };
        self.variables.truncate(variables);
        self.scope = outer;
        Ok((pipeline, then, otherwise))
    }

    /// What follows `{{else}}`; `{{else if}}` and `{{else with}}` are a block of their own that shares the end.
    fn otherwise(
        &mut self,
        keyword: &str,
        action: Action,
        opened: Option<(&str, usize)>,
    ) -> Result<Vec<Node>, Failure> {
        let word = action.tokens.get(1).map(|token| &token.kind);
        let chained =
            matches!(keyword, "if" | "with") && word == Some(&TokenKind::Word(keyword.to_owned()));
        if chained {
            let (pipeline, then, otherwise) = self.block(keyword, action, false, 2)?;
            return Ok(vec![if keyword == "if" {
                Node::If {
                    condition: pipeline,
                    then,
                    otherwise,
                }
            } else {
                Node::With {
                    value: pipeline,
                    then,
                    otherwise,
                }
            }]);
        }
        nothing_after(&action, "else")?;
        match self.list(opened)? {
            (_, Stop::Else(second)) => Err((
                second.start,
                "unexpected {{else}}: the block already has one".to_owned(),
            )),
            (nodes, Stop::End | Stop::Text) => Ok(nodes),
        }
    }

    fn define(&mut self, action: &Action) -> Result<(), Failure> {
        let name = template_name(action, "define")?;
        if let Some(extra) = action.tokens.get(2) {
            return Err((extra.start, "unexpected text in {{define}}".to_owned()));
        }
        let body =
            self.separate(
                |parser| match parser.list(Some(("define", action.start)))? {
                    (_, Stop::Else(second)) => {
                        Err((second.start, "unexpected {{else}} in {{define}}".to_owned()))
                    }
                    (nodes, Stop::End | Stop::Text) => Ok(nodes),
                },
            )?;
        self.add(name, body, action.start)
    }

    /// Parses the body of another template: variables and dot are its own.
    fn separate<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let variables = std::mem::replace(&mut self.variables, vec![String::new()]);
        let inside = Scope {
            root: false,
            main: false,
            loops: 0,
            depth: self.scope.depth + 1,
        };
        let scope = std::mem::replace(&mut self.scope, inside);
        if self.scope.depth > MAX_NESTING {
            return Err((
                self.end,
                format!("blocks are nested more than {MAX_NESTING} deep"),
            ));
        }
        let parsed = parse(self)?;
        self.variables = variables;
        self.scope = scope;
        Ok(parsed)
    }

    fn add(&mut self, name: String, body: Vec<Node>, start: usize) -> Result<(), Failure> {
        if self.defined.contains_key(&name) {
            return Err((start, format!("multiple definition of template \"{name}\"")));
        }
        self.defined.insert(name, body);
        Ok(())
    }

    /// `{{template "name" pipeline}}`, and `{{block "name" pipeline}}`, which also defines it.
    fn call_template(&mut self, is_block: bool, action: &Action) -> Result<Node, Failure> {
        let keyword = if is_block { "block" } else { "template" };
        let name = template_name(action, keyword)?;
        let mut tokens = Tokens {
            tokens: &action.tokens,
            at: 2,
            end: action.end,
            depth: 0,
        };
        let argument = if is_block || tokens.peek().is_some() {
            Some(self.pipeline(&mut tokens, keyword, 1)?)
        } else {
            None
        };
        if is_block {
            let body =
                self.separate(|parser| match parser.list(Some(("block", action.start)))? {
                    (_, Stop::Else(second)) => {
                        Err((second.start, "unexpected {{else}} in {{block}}".to_owned()))
                    }
                    (nodes, Stop::End | Stop::Text) => Ok(nodes),
                })?;
            self.add(name.clone(), body, action.start)?;
        }
        self.called.push((action.start, name.clone()));
        Ok(Node::Template {
            name,
            argument,
            span: Span {
                start: action.start,
                end: action.end,
            },
        })
    }
}

fn nothing_after(action: &Action, keyword: &str) -> Result<(), Failure> {
    match action.tokens.get(1) {
        None => Ok(()),
        Some(token) => Err((token.start, format!("unexpected text in {{{{{keyword}}}}}"))),
    }
}

fn template_name(action: &Action, keyword: &str) -> Result<String, Failure> {
    match action.tokens.get(1) {
        Some(Token {
            kind: TokenKind::Literal(Value::String(name)),
            ..
        }) => Ok(name.clone()),
        Some(token) => Err((
            token.start,
            format!("{{{{{keyword}}}}} needs a quoted name"),
        )),
        None => Err((
            action.start,
            format!("{{{{{keyword}}}}} needs a quoted name"),
        )),
    }
}
