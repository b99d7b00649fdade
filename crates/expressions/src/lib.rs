//! Compiled CEL and Go templates: checked at load, bounded at run.
