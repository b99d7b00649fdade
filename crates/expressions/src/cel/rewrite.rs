//! What is changed in a tree before it runs: `has()` on scalars, the budget, mixed arithmetic, sorted iteration, and the
//! arguments that our functions need and nobody writes.

use ::cel::IdedExpr;
use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::User;

/// The name that holds the budget. Names with `@` can't be written in an expression.
pub(super) const BUDGET: &str = "@budget";
/// The name that holds the time of the evaluation.
pub(super) const NOW: &str = "@now";

pub(super) fn rewrite(expr: &mut IdedExpr, user: User) {
    match &mut expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => {
            rewrite(&mut select.operand, user);
            if select.test {
                let field = text(std::mem::take(&mut select.field));
                let operand = std::mem::take(&mut *select.operand);
                expr.expr = call_expr("@has", vec![operand, field]);
            }
        }
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                rewrite(target, user);
            }
            call.args.iter_mut().for_each(|arg| rewrite(arg, user));
            rename(call, user);
        }
        Expr::List(list) => list
            .elements
            .iter_mut()
            .for_each(|element| rewrite(element, user)),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .for_each(|entry| rewrite_entry(&mut entry.expr, user)),
        Expr::Struct(object) => object
            .entries
            .iter_mut()
            .for_each(|entry| rewrite_entry(&mut entry.expr, user)),
        Expr::Comprehension(comprehension) => rewrite_comprehension(comprehension, user),
    }
}

fn rewrite_entry(entry: &mut EntryExpr, user: User) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            rewrite(&mut entry.key, user);
            rewrite(&mut entry.value, user);
        }
        EntryExpr::StructField(field) => rewrite(&mut field.value, user),
    }
}

/// Calls that go to our functions instead.
fn rename(call: &mut CallExpr, user: User) {
    if call.target.is_some() {
        return;
    }
    let name = match (call.func_name.as_str(), call.args.len()) {
        (operators::ADD, 2) => "@add",
        (operators::SUBSTRACT, 2) => "@subtract",
        (operators::MULTIPLY, 2) => "@multiply",
        (operators::DIVIDE, 2) => "@divide",
        ("string", 1) => "@string",
        ("toJson", 1) if user == User::Api => "@toJsonPlain",
        ("now", 0) if user == User::Adapter => {
            call.args.push(ident(NOW));
            "@nowText"
        }
        ("conditionAge", 2) | ("stableFor", 3) if user == User::Adapter => {
            call.args.push(ident(NOW));
            return;
        }
        ("condition", 1) if user == User::Sentinel => {
            call.args.insert(0, ident("resource"));
            "@condition"
        }
        _ => return,
    };
    name.clone_into(&mut call.func_name);
}

fn rewrite_comprehension(comprehension: &mut ComprehensionExpr, user: User) {
    rewrite(&mut comprehension.iter_range, user);
    rewrite(&mut comprehension.accu_init, user);
    let binds_only = is_boolean(&comprehension.loop_cond, false);
    if binds_only {
        // `optMap` and friends: no round is ever made, the result is what they bind a name for.
        rewrite(&mut comprehension.result, user);
        wrap(&mut comprehension.result, "@charge");
        return;
    }
    let range = std::mem::take(&mut comprehension.iter_range);
    comprehension.iter_range = call("@ordered", vec![range]);
    if rewrite_append(comprehension, user) {
        return;
    }
    rewrite(&mut comprehension.loop_step, user);
    rewrite(&mut comprehension.result, user);
    rewrite(&mut comprehension.loop_cond, user);
    // A choice, not `&&`: an exhausted budget must end the loop, not be absorbed.
    let condition = std::mem::take(&mut comprehension.loop_cond);
    let tick = call("@tick", vec![ident(BUDGET)]);
    comprehension.loop_cond = call(
        operators::CONDITIONAL,
        vec![tick, condition, boolean(false)],
    );
}

/// `map` and `filter`: `@result + [element]`, perhaps guarded. The interpreter runs this shape without copying the list in each
/// round, so its outside stays as it is and the budget goes inside.
fn rewrite_append(comprehension: &mut ComprehensionExpr, user: User) -> bool {
    let accu = comprehension.accu_var.clone();
    let is_accu = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == accu);
    if !is_accu(&comprehension.result) || !is_boolean(&comprehension.loop_cond, true) {
        return false;
    }
    let Expr::Call(step) = &mut comprehension.loop_step.expr else {
        return false;
    };
    if step.target.is_some() {
        return false;
    }
    if step.func_name == operators::CONDITIONAL {
        let [guard, append, otherwise] = step.args.as_mut_slice() else {
            return false;
        };
        if !is_accu(otherwise) || !charge_appended(append, &accu, user) {
            return false;
        }
        rewrite(guard, user);
        wrap(guard, "@step");
        return true;
    }
    charge_appended(&mut comprehension.loop_step, &accu, user)
}

fn charge_appended(expr: &mut IdedExpr, accu: &str, user: User) -> bool {
    let Expr::Call(call) = &mut expr.expr else {
        return false;
    };
    if call.func_name != operators::ADD || call.target.is_some() {
        return false;
    }
    let [left, right] = call.args.as_mut_slice() else {
        return false;
    };
    let (Expr::Ident(name), Expr::List(list)) = (&left.expr, &mut right.expr) else {
        return false;
    };
    if name != accu {
        return false;
    }
    for element in &mut list.elements {
        rewrite(element, user);
        wrap(element, "@charge");
    }
    true
}

/// `expr` becomes `function(expr, @budget)`.
fn wrap(expr: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(expr);
    *expr = call(function, vec![inner, ident(BUDGET)]);
}

fn is_boolean(expr: &IdedExpr, value: bool) -> bool {
    matches!(&expr.expr, Expr::Literal(LiteralValue::Boolean(boolean)) if *boolean.inner() == value)
}

pub(super) fn call_expr(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args,
    })
}

pub(super) fn call(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: call_expr(function, args),
    }
}

pub(super) fn ident(name: &str) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Ident(name.to_owned()),
    }
}

pub(super) fn boolean(value: bool) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::Boolean(value.into())),
    }
}

fn text(value: String) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::String(value.into())),
    }
}

/// Levels of the tree.
pub(super) fn depth(expr: &IdedExpr) -> usize {
    let deepest = |exprs: &[IdedExpr]| exprs.iter().map(depth).max().unwrap_or(0);
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
        EntryExpr::StructField(field) => depth(&field.value),
    };
    1 + match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Select(select) => depth(&select.operand),
        Expr::Call(call) => deepest(&call.args).max(call.target.as_deref().map_or(0, depth)),
        Expr::List(list) => deepest(&list.elements),
        Expr::Map(map) => map
            .entries
            .iter()
            .map(|item| entry(&item.expr))
            .max()
            .unwrap_or(0),
        Expr::Struct(object) => object
            .entries
            .iter()
            .map(|item| entry(&item.expr))
            .max()
            .unwrap_or(0),
        Expr::Comprehension(comprehension) => {
            let parts = [
                &comprehension.iter_range,
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ];
            parts.into_iter().map(depth).max().unwrap_or(0)
        }
    }
}
