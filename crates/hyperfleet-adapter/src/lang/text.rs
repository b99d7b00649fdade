//! Text with `{{ }}`.

use expressions::template::{Reference, Template};
use serde_json::Value;

use super::SyntaxError;

/// A text, compiled if it holds template markers.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    source: String,
    template: Option<Template>,
}

impl Text {
    /// Compiles `source`; `name` appears in errors.
    pub(crate) fn compile(name: &str, source: &str) -> Result<Self, SyntaxError> {
        if !source.contains("{{") {
            return Ok(Self::plain(source.to_owned()));
        }
        let template = Template::parse(name, source).map_err(|error| SyntaxError {
            line: error.line,
            column: error.column,
            message: error.message,
        })?;
        Ok(Self {
            source: source.to_owned(),
            template: Some(template),
        })
    }

    /// A text without markers.
    pub(crate) fn plain(source: String) -> Self {
        Self {
            source,
            template: None,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.template.is_none()
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Uses of names at the root of the data, with their place in the text.
    pub(crate) fn references(&self) -> &[Reference] {
        self.template.as_ref().map_or(&[], Template::references)
    }

    /// Whether the text uses a name at the root of the data.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.references()
            .iter()
            .any(|reference| reference.path.first().is_some_and(|root| root == name))
    }

    /// Renders with `data` as root. A name that is not there is an error.
    pub(crate) fn render(&self, data: &Value) -> Result<String, String> {
        match &self.template {
            None => Ok(self.source.clone()),
            Some(template) => template
                .render(data)
                .map_err(|error| format!("failed to execute template: {error}")),
        }
    }
}
