//! The names that templates and expressions may use, as far as a config declares them.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// Names that every template sees.
pub(crate) const TEMPLATE_BUILTINS: &[&str] = &["adapter", "config", "env", "event", "now", "date"];
/// Names that every expression sees.
pub(crate) const CEL_BUILTINS: &[&str] = &["adapter", "config", "env", "event", "resources"];
/// Names that a capture may not take: it would hide them.
pub(crate) const RESERVED: &[&str] = &["adapter", "resources", "event", "env"];

/// What a document declares, collected before its texts are compiled.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Params, captures, preconditions and payloads.
    pub(crate) declared: BTreeSet<String>,
    /// Whether expressions are read in the older dialect.
    pub(crate) older: bool,
    /// Older CEL constructs that were warned about.
    pub(crate) warned: RefCell<BTreeSet<&'static str>>,
}

impl Names {
    pub(crate) fn knows_in_template(&self, name: &str) -> bool {
        TEMPLATE_BUILTINS.contains(&name) || self.declared.contains(name)
    }

    pub(crate) fn knows_in_cel(&self, name: &str) -> bool {
        CEL_BUILTINS.contains(&name) || self.declared.contains(name)
    }
}
