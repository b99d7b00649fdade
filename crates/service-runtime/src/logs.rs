//! Log lines with the fleet's field names.
//!
//! One line per event, JSON or text, with `timestamp`, `level`, `message`, `component`, `version` and `hostname`
//! first and then the fields of the spans (outermost first) and of the event itself. Field names and both forms
//! follow `docs/protocol/service-conventions.md`. Values of fields that name a secret are replaced, and a line never
//! exceeds [`MAX_LINE_BYTES`].

mod fields;
mod line;

use std::io::Write as _;

use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use fields::Fields;
pub use line::MAX_LINE_BYTES;
use line::Origin;

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `{timestamp} {LEVEL} [{component}] [{version}] [{hostname}] {message} {key}={value}…`
    Text,
    /// One JSON object.
    #[default]
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Standard error: for everything whose standard output is data.
    #[default]
    Stderr,
    /// Standard output: what the fleet's services default to.
    Stdout,
    /// The end of a file, created if it isn't there: for a process whose terminal is for its user.
    File(std::path::PathBuf),
}

/// The names of the three fields on which the fleet does not agree with itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Names {
    /// `timestamp`, `level` (lower case), `message`: the logging standard.
    #[default]
    Standard,
    /// `time`, `level` (upper case), `msg`: what the adapters' dashboards were built on.
    Slog,
}

/// How to log.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `debug`, `info`, `warn` (or `warning`), `error`, or directives such as `info,maestro_server=debug`. Empty =
    /// `info`.
    pub level: String,
    /// The form of a line.
    pub format: Format,
    /// Where lines go.
    pub output: Output,
    /// Names of the common fields.
    pub names: Names,
    /// The service, for example `sentinel`.
    pub component: String,
    /// The version of the binary.
    pub version: String,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error(
        "invalid log level {0:?}: must be debug, info, warn or error, or directives such as info,my_crate=debug"
    )]
    Level(String),
    /// Somebody else has installed a subscriber.
    #[error("logging is already set up")]
    Installed,
    /// The log file can't be opened.
    #[error("open log file {path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Sends every `tracing` event of the process to lines, from now on.
///
/// # Errors
/// If the level is malformed or logging was already set up.
pub fn init(options: Options) -> Result<(), Error> {
    let filter = filter(&options.level)?;
    let write: Box<Write> = match &options.output {
        // A whole line per write: lines of several processes on one terminal do not mix. A closed pipe must not
        // end the service.
        Output::Stderr => Box::new(|line| drop(std::io::stderr().lock().write_all(line))),
        Output::Stdout => Box::new(|line| drop(std::io::stdout().lock().write_all(line))),
        Output::File(path) => {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path);
            let file = file.map_err(|source| Error::File {
                path: path.clone(),
                source,
            })?;
            // One write of a whole line in append mode needs no lock.
            Box::new(move |line| drop((&file).write_all(line)))
        }
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(Lines::new(&options, write))
        .try_init()
        .map_err(|_| Error::Installed)
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let directives = match level {
        "" => "info",
        "warning" => "warn",
        other => other,
    };
    let known = |word: &str| {
        ["trace", "debug", "info", "warn", "error", "off"]
            .contains(&word.to_ascii_lowercase().as_str())
    };
    // A bare word that is no level would be taken for the name of a crate.
    let bare = directives
        .split(',')
        .all(|part| part.contains('=') || known(part.trim()));
    if !bare {
        return Err(Error::Level(level.to_owned()));
    }
    // Notices of PostgreSQL ("relation already exists, skipping") and every statement are for who asks for them.
    let directives = format!("tokio_postgres=warn,{directives}");
    EnvFilter::try_new(directives).map_err(|_| Error::Level(level.to_owned()))
}

type Write = dyn Fn(&[u8]) + Send + Sync;

/// The layer that writes lines.
struct Lines {
    origin: Origin,
    format: Format,
    names: Names,
    write: Box<Write>,
}

impl Lines {
    fn new(options: &Options, write: Box<Write>) -> Self {
        let origin = Origin {
            component: options.component.clone(),
            version: options.version.clone(),
            hostname: hostname(),
        };
        Self {
            origin,
            format: options.format,
            names: options.names,
            write,
        }
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span);
            }
        }
        event.record(&mut fields);
        let now = jiff::Timestamp::now();
        let line = match self.format {
            Format::Json => line::json(
                now,
                *event.metadata().level(),
                &self.origin,
                self.names,
                fields,
            ),
            Format::Text => line::text(now, *event.metadata().level(), &self.origin, fields),
        };
        (self.write)(line.as_bytes());
    }
}

/// The machine's name; in a pod the pod's.
fn hostname() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    [
        kernel,
        std::env::var("HOSTNAME").ok(),
        std::env::var("POD_NAME").ok(),
    ]
    .into_iter()
    .flatten()
    .map(|name| name.trim().to_owned())
    .find(|name| !name.is_empty())
    .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests;
