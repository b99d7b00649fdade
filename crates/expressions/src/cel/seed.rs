//! The dialect of the first generation of task configs, translated on the tree.
//!
//! `a ?? b`, `nil` and `list[?(@.k == 'v')]` never were CEL. The text is first made parseable without moving anything (`??` as
//! `||`, `@` as `_`), then the nodes that came from those places are replaced. `has(a.b.c)` is false when `a.b` is missing.

use std::collections::{BTreeMap, BTreeSet};

use ::cel::IdedExpr;
use ::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators};

use super::rewrite::{boolean, call, ident};
use super::source::{Parsed, Source, TokenKind};

/// A construct of the first generation that was understood, and how it is written today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The construct: `??`, `nil`, `[?(@…)]`.
    pub construct: &'static str,
    /// Today's spelling.
    pub modern: &'static str,
}

/// Text of the same length that parses, and where it was changed.
pub(super) struct Translation {
    text: String,
    /// Offsets of `??`.
    coalesce: BTreeSet<usize>,
    /// Offsets of the `[` of filters.
    filters: BTreeSet<usize>,
    /// For each `||` and `??`, the bracket it stands in: operators of one chain share it.
    groups: BTreeMap<usize, usize>,
}

// === impl Translation ===

impl Translation {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let mut bytes = source.text.as_bytes().to_vec();
        let mut translation = Self {
            text: String::new(),
            coalesce: BTreeSet::new(),
            filters: BTreeSet::new(),
            groups: BTreeMap::new(),
        };
        // Open brackets: offset, and whether a filter starts there.
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut index = 0;
        while let Some(token) = source.tokens.get(index) {
            let group = open.last().map_or(0, |(offset, _)| offset + 1);
            match token.kind {
                TokenKind::Symbol('?') if source.spells(index, "??") => {
                    translation.coalesce.insert(token.start);
                    translation.groups.insert(token.start, group);
                    for byte in bytes.iter_mut().skip(token.start).take(2) {
                        *byte = b'|';
                    }
                    index += 1;
                }
                TokenKind::Symbol('|') if source.spells(index, "||") => {
                    translation.groups.insert(token.start, group);
                    index += 1;
                }
                TokenKind::Symbol('[') if source.spells(index, "[?(") => {
                    open.push((token.start, true));
                    // Only a filter if `@` follows somewhere inside, else an optional index.
                }
                TokenKind::Symbol('[' | '(' | '{') => open.push((token.start, false)),
                TokenKind::Symbol(']' | ')' | '}') => {
                    open.pop();
                }
                TokenKind::Symbol('@') => {
                    if let Some((offset, _)) = open.iter().rev().find(|(_, filter)| *filter) {
                        translation.filters.insert(*offset);
                        if let Some(byte) = bytes.get_mut(token.start) {
                            *byte = b'_';
                        }
                    }
                }
                _ => {}
            }
            index += 1;
        }
        // Only ASCII was replaced by ASCII.
        translation.text = String::from_utf8(bytes).unwrap_or_else(|_| source.text.to_owned());
        translation
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the marked nodes and says what was found.
    pub(super) fn apply(&self, parsed: &mut Parsed) -> Vec<Rewrite> {
        let mut tree = std::mem::take(&mut parsed.tree);
        let mut found = BTreeMap::new();
        self.walk(parsed, &mut tree, &mut found);
        parsed.tree = tree;
        found
            .into_iter()
            .map(|(offset, (construct, modern))| {
                let (line, column) = parsed.position(offset);
                Rewrite {
                    line,
                    column,
                    construct,
                    modern,
                }
            })
            .collect()
    }

    fn walk(
        &self,
        parsed: &Parsed,
        expr: &mut IdedExpr,
        found: &mut BTreeMap<usize, (&'static str, &'static str)>,
    ) {
        self.children(parsed, expr, found);
        let offset = parsed.offset(expr.id);
        let id = expr.id;
        match &mut expr.expr {
            Expr::Ident(name) if name == "nil" => {
                found.insert(offset.unwrap_or(0), ("nil", "null"));
                expr.expr = Expr::Literal(LiteralValue::Null);
            }
            Expr::Select(select) if select.test => {
                // has(x), but false on any error: !(not strictly false (!has(x))).
                let test = std::mem::take(expr);
                let negated = call(operators::LOGICAL_NOT, vec![test]);
                *expr = call(
                    operators::LOGICAL_NOT,
                    vec![call(operators::NOT_STRICTLY_FALSE, vec![negated])],
                );
            }
            Expr::Call(node)
                if node.func_name == operators::OPT_INDEX
                    && offset.is_some_and(|at| self.filters.contains(&at)) =>
            {
                found.insert(
                    offset.unwrap_or(0),
                    ("[?(@…)]", "list.filter(e, e.key == 'value')[0]"),
                );
                let mut args = std::mem::take(&mut node.args).into_iter();
                if let (Some(list), Some(condition)) = (args.next(), args.next()) {
                    let zero = IdedExpr {
                        id: 0,
                        expr: Expr::Literal(LiteralValue::Int(0.into())),
                    };
                    let filtered = IdedExpr {
                        id: 0,
                        expr: filter(list, condition),
                    };
                    *expr = IdedExpr {
                        id,
                        ..call(operators::INDEX, vec![filtered, zero])
                    };
                }
            }
            Expr::Call(node) if node.func_name == operators::LOGICAL_OR => {
                let Some(group) = offset.and_then(|at| self.groups.get(&at)).copied() else {
                    return;
                };
                let (mut operands, mut offsets) = (Vec::new(), Vec::new());
                self.flatten(
                    parsed,
                    std::mem::take(expr),
                    group,
                    &mut operands,
                    &mut offsets,
                );
                for offset in offsets
                    .iter()
                    .filter(|offset| self.coalesce.contains(offset))
                {
                    found.insert(*offset, ("??", "a.?b.orValue(c)"));
                }
                *expr = self.rebuild(operands, &offsets);
            }
            _ => {}
        }
    }

    fn children(
        &self,
        parsed: &Parsed,
        expr: &mut IdedExpr,
        found: &mut BTreeMap<usize, (&'static str, &'static str)>,
    ) {
        match &mut expr.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
            Expr::Select(select) => self.walk(parsed, &mut select.operand, found),
            // A chain is taken apart at its top, see flatten; the parts below must still be as parsed.
            Expr::Call(node) => {
                let chain = node.func_name == operators::LOGICAL_OR;
                for child in node.target.as_deref_mut().into_iter().chain(&mut node.args) {
                    if chain && is_or(child) && self.same_group(parsed, expr.id, child.id) {
                        self.children(parsed, child, found);
                    } else {
                        self.walk(parsed, child, found);
                    }
                }
            }
            Expr::List(list) => list
                .elements
                .iter_mut()
                .for_each(|element| self.walk(parsed, element, found)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.walk(parsed, &mut entry.key, found);
                        self.walk(parsed, &mut entry.value, found);
                    }
                }
            }
            Expr::Struct(_) => {}
            Expr::Comprehension(comprehension) => {
                for part in [
                    &mut comprehension.iter_range,
                    &mut comprehension.accu_init,
                    &mut comprehension.loop_cond,
                    &mut comprehension.loop_step,
                    &mut comprehension.result,
                ] {
                    self.walk(parsed, part, found);
                }
            }
        }
    }

    fn group(&self, parsed: &Parsed, id: u64) -> Option<usize> {
        parsed
            .offset(id)
            .and_then(|offset| self.groups.get(&offset))
            .copied()
    }

    fn same_group(&self, parsed: &Parsed, a: u64, b: u64) -> bool {
        self.group(parsed, a).is_some() && self.group(parsed, a) == self.group(parsed, b)
    }

    /// The operands and operators of one chain, left to right; the parser balances chains into trees.
    fn flatten(
        &self,
        parsed: &Parsed,
        expr: IdedExpr,
        group: usize,
        operands: &mut Vec<IdedExpr>,
        offsets: &mut Vec<usize>,
    ) {
        if !is_or(&expr) || self.group(parsed, expr.id) != Some(group) {
            operands.push(expr);
            return;
        }
        let offset = parsed.offset(expr.id).unwrap_or(0);
        if let Expr::Call(node) = expr.expr {
            let mut args = node.args.into_iter();
            if let Some(left) = args.next() {
                self.flatten(parsed, left, group, operands, offsets);
            }
            offsets.push(offset);
            if let Some(right) = args.next() {
                self.flatten(parsed, right, group, operands, offsets);
            }
        }
    }

    /// `??` binds looser than `||` and to the right.
    fn rebuild(&self, operands: Vec<IdedExpr>, offsets: &[usize]) -> IdedExpr {
        let mut parts: Vec<IdedExpr> = Vec::new();
        for (index, operand) in operands.into_iter().enumerate() {
            let joined = index > 0
                && offsets
                    .get(index - 1)
                    .is_some_and(|offset| !self.coalesce.contains(offset));
            match parts.last_mut() {
                Some(last) if joined => {
                    let left = std::mem::take(last);
                    *last = call(operators::LOGICAL_OR, vec![left, operand]);
                }
                _ => parts.push(operand),
            }
        }
        let last = parts.pop().unwrap_or_else(|| boolean(false));
        parts.into_iter().rev().fold(last, |fallback, value| {
            // The fallback if the value is absent or can't be had at all.
            let missing = call(
                operators::NOT_STRICTLY_FALSE,
                vec![call("@absent", vec![value.clone()])],
            );
            call(operators::CONDITIONAL, vec![missing, fallback, value])
        })
    }
}

fn is_or(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Call(node) if node.func_name == operators::LOGICAL_OR && node.target.is_none())
}

/// `list.filter(_, condition)`, as the macro expands it.
fn filter(list: IdedExpr, condition: IdedExpr) -> Expr {
    const ELEMENT: &str = "_";
    const RESULT: &str = "@result";
    let of = |elements| IdedExpr {
        id: 0,
        expr: Expr::List(ListExpr::new(elements)),
    };
    let append = call(
        operators::ADD,
        vec![ident(RESULT), of(vec![ident(ELEMENT)])],
    );
    Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: list,
        iter_var: ELEMENT.to_owned(),
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init: of(Vec::new()),
        loop_cond: boolean(true),
        loop_step: call(
            operators::CONDITIONAL,
            vec![condition, append, ident(RESULT)],
        ),
        result: ident(RESULT),
    }))
}
