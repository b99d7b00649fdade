//! What people see on standard error.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A line for people.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Something that deserves a look.
pub(crate) fn warn(text: &str) {
    eprintln!("Warning: {text}");
}

/// True if standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A spinner on a terminal, lines elsewhere; says something only when it changes.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub(crate) fn start(text: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let mut progress = Self {
            bar,
            last: String::new(),
        };
        progress.now(text);
        progress
    }

    pub(crate) fn now(&mut self, text: &str) {
        if self.last == text {
            return;
        }
        text.clone_into(&mut self.last);
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => say(text),
        }
    }

    /// A line that stays, above the spinner.
    pub(crate) fn warn(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("Warning: {text}")),
            None => warn(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
