//! Room to recurse: parser and interpreter are recursive and need up to 60 KiB of stack per level in unoptimized builds.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Stack for compilation and for the evaluation of deep trees, in bytes (64 MiB, committed by the system as it is used).
const LARGE_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Depth of a tree up to which the caller's stack is enough (2 MiB are usual).
const INLINE_DEPTH: usize = if cfg!(debug_assertions) { 12 } else { 40 };

/// Runs work on a thread with a large stack. None if it panicked or no thread could be started.
///
/// Neither parser nor interpreter is ours; a defect in them must cost one expression, not the service.
pub(super) fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(LARGE_STACK_BYTES);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// Runs work here if a tree of this depth can't exhaust the stack, else with a large one. None if it panicked.
pub(super) fn run<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if depth > INLINE_DEPTH {
        return with_large_stack(work);
    }
    catch_unwind(AssertUnwindSafe(work)).ok()
}
