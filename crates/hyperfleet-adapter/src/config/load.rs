//! From two files, the environment and flags to a checked configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::deployment::{self, Config};
use super::legacy::{self, Generation, Implied, Notes};
use super::overrides::{apply_environment, apply_setting};
use super::problem::{Error, Problem, Problems, Stage};
use super::task::TaskConfig;
use super::task::files::Directory;
use super::task::read::{Context, read as read_task};
use super::tree::{self, Kind, Node, Position};
use super::version;

/// Largest config file, in bytes (4 MiB).
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// A config document: its text, its name in messages and the directory that file references are relative to.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    directory: Option<PathBuf>,
}

impl Source {
    /// A text that is part of the program or of a test. It can't refer to files unless
    /// [`Source::in_directory`] says where they are.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            directory: None,
        }
    }

    /// Resolves file references below `directory`.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Reads the deployment config.
    ///
    /// # Errors
    /// The file can't be read or is larger than 4 MiB.
    pub fn deployment_file(path: &Path) -> Result<Self, Error> {
        Self::file(path, "adapter")
    }

    /// Reads the task config.
    ///
    /// # Errors
    /// As [`Source::deployment_file`].
    pub fn task_file(path: &Path) -> Result<Self, Error> {
        Self::file(path, "task")
    }

    fn file(path: &Path, what: &'static str) -> Result<Self, Error> {
        let failed = |why: String| {
            Error::plain(
                what,
                format!(
                    "failed to load {what} config: failed to read {what} config file {path:?}: {why}"
                ),
            )
        };
        let size = std::fs::metadata(path)
            .map_err(|error| failed(error.to_string()))?
            .len();
        if size > MAX_CONFIG_BYTES {
            return Err(failed(format!(
                "{size} bytes, the limit is {MAX_CONFIG_BYTES}"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let directory = path.parent().map(|parent| {
            if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            }
        });
        Ok(Self {
            name: path.display().to_string(),
            text,
            directory: directory.map(Path::to_owned),
        })
    }
}

/// Loads a configuration. Priority: setting > environment > file > default.
#[derive(Debug, Clone)]
pub struct Loader {
    deployment: Source,
    task: Source,
    environment: BTreeMap<String, String>,
    settings: Vec<(String, Value)>,
    binary_version: String,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Where to connect.
    pub config: Config,
    /// What to do.
    pub task: TaskConfig,
    /// Deprecated spellings, keys without effect, names that nothing defines.
    pub warnings: Vec<Problem>,
}

impl Loader {
    /// Both documents, no environment, no settings.
    #[must_use]
    pub fn new(deployment: Source, task: Source) -> Self {
        Self {
            deployment,
            task,
            environment: BTreeMap::new(),
            settings: Vec::new(),
            binary_version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// The environment that overrides keys and that `env.` params read.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Sets a key of the deployment config, such as `clients.hyperfleet_api.base_url`, as a flag does.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// The version that `adapter.version` is compared with; this crate's by default.
    #[must_use]
    pub fn binary_version(mut self, version: impl Into<String>) -> Self {
        self.binary_version = version.into();
        self
    }

    /// Reads, rewrites older spellings, overrides, checks. Every problem of both documents is in the error.
    ///
    /// # Errors
    /// Anything that is wrong with either document, with file, line, column and key.
    pub fn load(self) -> Result<Loaded, Error> {
        let on_deployment = Problems::default();
        let on_task = Problems::default();
        let mut deployment = parse(&self.deployment, &on_deployment);
        let task = parse(&self.task, &on_task);

        if deployment.is_null() && !on_deployment.has_errors() {
            let message = "the file is empty (EOF): expected a map of keys";
            on_deployment.error(Stage::Parse, Problem::new(&deployment.at, "", message));
        }
        let notes = Notes::default();
        legacy::deployment::rewrite(&mut deployment, &notes, &on_deployment);
        notes.report(&on_deployment);

        let overridden = |fragment: &Node| {
            let mut merged = deployment.clone();
            merge_below(&mut merged, fragment);
            apply_environment(&mut merged, &self.environment);
            for (key, value) in &self.settings {
                apply_setting(&mut merged, key, value);
            }
            merged
        };
        let has_maestro = |fragment: &Node| {
            overridden(fragment)
                .at_path("clients.maestro")
                .is_some_and(|node| !node.is_null())
        };
        let directory = Directory(self.task.directory.clone());
        let mut rewritten = legacy::rewrite_task(task, has_maestro, &directory, &on_task);

        let merged = overridden(&rewritten.deployment);
        let mut config = deployment::read(&merged, &on_deployment);
        config.environment = self.environment;
        version::check(
            &merged,
            &config.adapter.version,
            &self.binary_version,
            &on_deployment,
        );

        let older = rewritten.generation == Generation::Older;
        if older {
            Implied {
                config: &config,
                problems: &on_task,
            }
            .add(&mut rewritten.tree);
        } else if let (false, Some(key)) = (
            config.legacy_params.is_empty(),
            merged.entry("legacy_params"),
        ) {
            let message =
                "legacy_params has no effect: the task config is of the current generation";
            on_deployment.warn(Problem::new(&key.key_at, "legacy_params", message));
        }
        let context = Context {
            older,
            directory,
            environment: &config.environment,
            maestro: config.clients.maestro.is_some(),
        };
        let task = read_task(&rewritten.tree, &context, &on_task);
        finish(config, task, on_deployment, on_task)
    }
}

fn parse(source: &Source, problems: &Problems) -> Node {
    match tree::parse(&source.name, &source.text) {
        Ok(node) if matches!(node.kind, Kind::Map(_) | Kind::Null) => node,
        Ok(node) => {
            let message = format!("expected a map of keys, got {}", node.describe());
            problems.error(Stage::Parse, Problem::new(&node.at, "", message));
            Node::null(&node.at)
        }
        Err(problem) => {
            problems.error(Stage::Parse, problem);
            Node::null(&Position::outside(source.name.as_str()))
        }
    }
}

/// Adds what `below` has and `tree` has not.
fn merge_below(tree: &mut Node, below: &Node) {
    if tree.is_null() {
        *tree = below.clone();
        return;
    }
    for entry in below.entries() {
        match tree.get_mut(&entry.key) {
            Some(node) if matches!(node.kind, Kind::Map(_)) => merge_below(node, &entry.value),
            Some(_) => {}
            None => tree.set(&entry.key, entry.value.clone()),
        }
    }
}

fn finish(
    config: Config,
    task: TaskConfig,
    on_deployment: Problems,
    on_task: Problems,
) -> Result<Loaded, Error> {
    let (errors, mut warnings) = on_deployment.finish();
    let (task_errors, task_warnings) = on_task.finish();
    warnings.extend(task_warnings);
    let errors: Vec<_> = [("adapter", errors), ("task", task_errors)]
        .into_iter()
        .flat_map(|(what, errors)| {
            errors
                .into_iter()
                .map(move |(stage, problem)| (what, stage, problem))
        })
        .collect();
    if errors.is_empty() {
        Ok(Loaded {
            config,
            task,
            warnings,
        })
    } else {
        Err(Error { errors })
    }
}
