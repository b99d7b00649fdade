//! The budget of one evaluation: a value that travels through the tree and is spent by the rounds of macros.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ::cel::ExecutionError;
use ::cel::common::types::{CelBool, Type};
use ::cel::common::value::{CowVal, StaticVal, Val};

use super::{MAX_EVALUATION_TIME, convert};

static BUDGET_TYPE: Type = Type::new_unspecified_type("@budget");

const EXCEEDED: &str = "evaluation budget exceeded";
const TOO_SLOW: &str = "evaluation budget exceeded: it takes too long";

/// What is left, shared by every mention in the tree.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<State>);

#[derive(Debug)]
struct State {
    left: AtomicU64,
    slow: AtomicBool,
    deadline: Instant,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(units: u64) -> Self {
        let deadline = Instant::now() + MAX_EVALUATION_TIME;
        // One more than the units, so that zero means exhausted.
        Self(Arc::new(State {
            left: AtomicU64::new(units.saturating_add(1)),
            slow: AtomicBool::new(false),
            deadline,
        }))
    }

    fn spend(&self, units: u64) -> Result<(), ExecutionError> {
        let take = |left: u64| Some(left.saturating_sub(units));
        let before = self
            .0
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .unwrap_or(0);
        if before <= units {
            return Err(ExecutionError::function_error("", EXCEEDED));
        }
        if Instant::now() > self.0.deadline {
            self.0.slow.store(true, Ordering::Relaxed);
            return Err(ExecutionError::function_error("", TOO_SLOW));
        }
        Ok(())
    }

    /// Why the evaluation had to stop, if it had.
    pub(super) fn exhausted(&self) -> Option<&'static str> {
        if self.0.slow.load(Ordering::Relaxed) {
            Some(TOO_SLOW)
        } else if self.0.left.load(Ordering::Relaxed) == 0 {
            Some(EXCEEDED)
        } else {
            None
        }
    }
}

impl Val for Budget {
    fn get_type(&self) -> &Type {
        &BUDGET_TYPE
    }

    fn cel_type() -> &'static Type {
        &BUDGET_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Budget {}

fn spend(args: &[CowVal<'_, '_>], units: u64) -> Result<(), ExecutionError> {
    match args
        .last()
        .and_then(|budget| budget.downcast_ref::<Budget>())
    {
        Some(budget) => budget.spend(units),
        None => Err(ExecutionError::missing_argument_or_target()),
    }
}

/// `@tick(@budget)`: a round of a macro. Always true.
pub(super) fn tick<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    spend(&args, 1)?;
    Ok(CowVal::owned(CelBool::from(true)))
}

/// `@step(value, @budget)`: a round of `filter`; gives the value.
pub(super) fn step<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    spend(&args, 1)?;
    first(args)
}

/// `@charge(value, @budget)`: a value that a macro keeps, paid by its size; gives the value.
pub(super) fn charge<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let weight = args
        .first()
        .map_or(1, |value| convert::weight(value.as_ref()));
    spend(&args, weight)?;
    first(args)
}

fn first<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    args.into_iter()
        .next()
        .ok_or_else(ExecutionError::missing_argument_or_target)
}
