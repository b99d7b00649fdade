//! What can be wrong with a template, when it is parsed and when it is rendered.

/// When an error is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is not a template. Found on parsing.
    Syntax,
    /// The data doesn't have a key that the template uses.
    MissingKey,
    /// The data doesn't fit what the template does with it.
    Execution,
    /// A stated limit was reached, on parsing or on rendering.
    Limit,
}

/// A template that doesn't parse or can't be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: {}{message}", self.place())]
pub struct Error {
    /// Name of the template.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Class of the error.
    pub kind: Kind,
    /// The piece of the template that failed; empty for errors of parsing.
    pub at: String,
    /// What is wrong.
    pub message: String,
}

// === impl Error ===

impl Error {
    fn place(&self) -> String {
        if self.at.is_empty() {
            String::new()
        } else {
            format!("executing \"{}\" at <{}>: ", self.name, self.at)
        }
    }
}
