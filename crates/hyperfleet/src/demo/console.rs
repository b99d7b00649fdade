//! How the demo talks: live lines with a spinner in a terminal, plain lines elsewhere, JSON lines for scripts.
//!
//! Data goes to standard output, the spinner to standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::fact::{Fact, Hop};

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Lines for a person.
    Text,
    /// One JSON object a line, for scripts.
    Json,
}

/// Writes the story of the demo.
pub struct Console {
    output: Output,
    colour: bool,
    spinner: Option<ProgressBar>,
    started: Instant,
}

impl Console {
    /// A console on standard output.
    pub fn new(output: Output) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal && output == Output::Text && std::env::var_os("NO_COLOR").is_none();
        let spinner =
            (output == Output::Text && terminal && std::io::stderr().is_terminal()).then(|| {
                let bar = ProgressBar::new_spinner();
                if let Ok(style) = ProgressStyle::with_template("   {spinner} {msg}") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
        Self {
            output,
            colour,
            spinner,
            started: Instant::now(),
        }
    }

    /// Starts the clock that the lines show.
    pub fn restart_clock(&mut self) {
        self.started = Instant::now();
    }

    /// Time since the clock was started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A line of prose, left out of the JSON form.
    pub fn say(&self, line: impl AsRef<str>) {
        if self.output == Output::Text {
            self.print(line.as_ref());
        }
    }

    /// A key and its value, told as prose or as `{"event":key,…}`.
    pub fn tell(&self, event: &str, prose: impl AsRef<str>, data: impl Serialize) {
        match self.output {
            Output::Text => self.print(prose.as_ref()),
            Output::Json => {
                let mut object = json!({"event": event, "seconds": self.seconds()});
                if let (Some(object), Ok(Value::Object(data))) =
                    (object.as_object_mut(), serde_json::to_value(data))
                {
                    object.extend(data);
                }
                self.print(&object.to_string());
            }
        }
    }

    /// A JSON line, left out of the prose.
    pub fn tell_json(&self, event: &str, data: impl Serialize) {
        if self.output == Output::Json {
            self.tell(event, "", data);
        }
    }

    /// The headline of a stage.
    pub fn stage(&self, number: usize, title: &str) {
        let line = format!("\n{}  {}", self.bold(&number.to_string()), self.bold(title));
        self.tell("stage", line, json!({"number": number, "title": title}));
    }

    /// One fact, with the time at which it was seen. What would be the same line once more is for scripts only.
    pub fn fact(&self, fact: &Fact, repeated: bool) {
        if self.output == Output::Text && (repeated || !fact.is_headline()) {
            return;
        }
        let data = json!({"hop": fact.hop(), "text": fact.to_string(), "detail": fact});
        self.tell("fact", self.line(fact.hop(), &fact.to_string()), data);
    }

    /// Something the demo itself did at a door.
    pub fn action(&self, hop: Hop, text: &str) {
        self.tell(
            "action",
            self.line(hop, text),
            json!({"hop": hop, "text": text}),
        );
    }

    /// Advice to an operator, or an explanation.
    pub fn explain(&self, text: &str) {
        self.tell(
            "explain",
            format!("   {}", self.dim(&format!("→ {text}"))),
            json!({"text": text}),
        );
    }

    /// What the spinner says while nothing happens.
    pub fn waiting(&self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(what.to_owned());
        }
    }

    /// Ends the spinner.
    pub fn finish(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    fn seconds(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    fn line(&self, hop: Hop, text: &str) -> String {
        let time = self.dim(&format!("{:05.2}", self.started.elapsed().as_secs_f64()));
        let marked = if self.colour {
            text.replace('✔', "\x1b[32m✔\x1b[0m")
                .replace('✘', "\x1b[31m✘\x1b[0m")
        } else {
            text.to_owned()
        };
        format!("   {time} {:<9} {marked}", hop.word())
    }

    fn bold(&self, text: &str) -> String {
        if self.colour {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn dim(&self, text: &str) -> String {
        if self.colour {
            format!("\x1b[2m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    // A closed pipe (`demo | head`) must not end in a panic: what can't be written is not written.
    fn print(&self, line: &str) {
        let write = || {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        };
        match &self.spinner {
            Some(spinner) => spinner.suspend(write),
            None => write(),
        }
    }
}
