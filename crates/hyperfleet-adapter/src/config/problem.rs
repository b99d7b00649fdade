//! What is wrong with a configuration: every problem with file, line, column and key, all at once.

use std::cell::RefCell;
use std::fmt;

use super::tree::Position;

/// Problems listed before the rest is only counted.
const MAX_LISTED: usize = 200;

/// One thing that is wrong, or deprecated, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File as it was named when loading.
    pub file: String,
    /// Line from 1; 0 when the problem has no place in a file.
    pub line: usize,
    /// Column from 1.
    pub column: usize,
    /// Path of the key, such as `preconditions[0].api_call.url`; may be empty.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// A problem at `position`.
    pub(crate) fn new(
        position: &Position,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: position.file.to_string(),
            line: position.line,
            column: position.column,
            key: key.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column)?;
            }
            f.write_str(": ")?;
        }
        // Messages that follow upstream's texts already begin with their key.
        if !self.key.is_empty() && !self.message.starts_with(&self.key) {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Which check found a problem; the order is that of upstream's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Reading, unknown keys, wrong types.
    Parse,
    /// Required keys, exclusive keys, enumerations, names.
    Structure,
    /// Files that the config refers to.
    Files,
    /// Templates, expressions, references between parts.
    Semantic,
    /// Version of the config against the binary.
    Version,
}

/// Collects problems while a config is read. Shared by reference; one reader, one thread.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: RefCell<Vec<(Stage, Problem)>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(crate) fn error(&self, stage: Stage, problem: Problem) {
        let mut errors = self.errors.borrow_mut();
        if !errors.iter().any(|(_, have)| *have == problem) {
            errors.push((stage, problem));
        }
    }

    pub(crate) fn warn(&self, problem: Problem) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&problem) {
            warnings.push(problem);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// The errors by stage, each stage in reading order, and the warnings.
    pub(crate) fn finish(self) -> (Vec<(Stage, Problem)>, Vec<Problem>) {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|(stage, problem)| (*stage, problem.line, problem.column));
        (errors, self.warnings.into_inner())
    }
}

/// Why a configuration can't be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which config, found by which check, what.
    pub(crate) errors: Vec<(&'static str, Stage, Problem)>,
}

impl Error {
    /// An error without a place in a file.
    pub(crate) fn plain(what: &'static str, message: impl Into<String>) -> Self {
        let problem = Problem {
            file: String::new(),
            line: 0,
            column: 0,
            key: String::new(),
            message: message.into(),
        };
        Self {
            errors: vec![(what, Stage::Parse, problem)],
        }
    }

    /// All that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.errors.iter().map(|(_, _, problem)| problem)
    }
}

/// Upstream's words for what failed.
fn heading(what: &str, stage: Stage) -> String {
    match stage {
        Stage::Parse => format!("failed to load {what} config: failed to parse {what} config YAML"),
        Stage::Structure => format!("{what} config validation failed"),
        Stage::Files => {
            format!("{what} config file reference validation failed: file reference errors")
        }
        Stage::Semantic => format!("{what} config semantic validation failed: validation failed"),
        Stage::Version => format!("{what} version validation failed"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to load adapter configuration")?;
        if let [(_, _, only)] = self.errors.as_slice()
            && only.file.is_empty()
        {
            return write!(f, ": {only}");
        }
        let mut section = None;
        for (listed, (what, stage, problem)) in self.errors.iter().enumerate() {
            if section != Some((*what, *stage)) {
                section = Some((*what, *stage));
                let count = self
                    .errors
                    .iter()
                    .filter(|(w, s, _)| section == Some((*w, *s)))
                    .count();
                write!(f, "\n{} with {count} error(s):", heading(what, *stage))?;
            }
            if listed == MAX_LISTED {
                return write!(f, "\n  … and {} more", self.errors.len() - listed);
            }
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
