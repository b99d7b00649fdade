//! `maestro consumer`: the clusters that resource bundles are for.

use std::collections::BTreeMap;

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use crate::klog::{Logs, NoKubeconfig};
use crate::operator::Thing::Consumer;
use crate::operator::{self, Failed, ListFlags, OutputFlags, Rest, RestFlags, say};

/// Manage Maestro consumers.
///
/// Consumers represent target clusters that receive resource bundles from Maestro. This command provides full CRUD operations (create,
/// get, list, update, delete) via the Maestro REST API.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ConsumerArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: RestFlags,
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    kubeconfig: NoKubeconfig,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a new consumer
    ///
    /// Examples:
    ///   maestro consumer create prod-cluster-01
    ///   maestro consumer create prod-cluster-01 --label env=production --label region=us-east
    ///   maestro consumer create dev-cluster-01 --label env=dev --output json
    #[command(verbatim_doc_comment)]
    Create {
        /// Its name, also that of the agent's --consumer-name
        name: String,
        /// Labels in key=value format (can be specified multiple times)
        #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
        label: Vec<String>,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Get a consumer by ID
    Get {
        /// The consumer's id, as `list` shows it
        id: String,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// List consumers
    ///
    /// Examples:
    ///   maestro consumer list
    ///   maestro consumer list --page 1 --size 50
    ///   maestro consumer list --search "name like 'prod%'"
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        list: ListFlags,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Update a consumer's labels
    ///
    /// Examples:
    ///   maestro consumer update <consumer-id> --label tier=premium
    ///   maestro consumer update <consumer-id> --label tier=silver --remove-label old-tier --output json
    #[command(verbatim_doc_comment)]
    Update {
        /// The consumer's id
        id: String,
        /// Labels to add/update in key=value format (can be specified multiple times)
        #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
        label: Vec<String>,
        /// Label keys to remove (can be specified multiple times)
        #[arg(long, value_name = "KEY", value_delimiter = ',')]
        remove_label: Vec<String>,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Delete a consumer by ID; it must have no resource bundles left
    Delete {
        /// The consumer's id
        id: String,
        /// Skip confirmation prompt
        #[arg(short = 'y', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, hide_default_value = true, default_missing_value = "true", action = ArgAction::Set)]
        yes: bool,
    },
}

impl ConsumerArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// What to print.
    pub(crate) async fn run(self) -> Result<(), Failed> {
        self.logs
            .init("maestro", "warn", &[])
            .map_err(|error| Failed::new(format!("{error:#}")))?;
        let server = self.server;
        match self.command {
            Command::Create {
                name,
                label,
                output,
            } => {
                let labels = new_labels(&label)?;
                let format = output.format()?;
                let mut body = json!({ "name": name });
                if !labels.is_empty() {
                    body["labels"] = json!(labels);
                }
                let created = server.client()?.create(Consumer, &body).await?;
                say(&operator::consumer(format, &created)?)
            }
            Command::Get { id, output } => {
                let format = output.format()?;
                let item = server.client()?.get(Consumer, &id).await?;
                say(&operator::consumer(format, &item)?)
            }
            Command::List { list, output } => {
                let query = list.query()?;
                let format = output.format()?;
                let page = server.client()?.list(Consumer, &query).await?;
                say(&operator::consumers(format, &page)?)
            }
            Command::Update {
                id,
                label,
                remove_label,
                output,
            } => {
                let change = Change::parse(&label, remove_label)?;
                let format = output.format()?;
                let updated = change.apply(&server.client()?, &id).await?;
                say(&operator::consumer(format, &updated)?)
            }
            Command::Delete { id, yes } => {
                let question = format!("Are you sure you want to delete consumer {id}?");
                if !yes && !operator::confirmed(&question)? {
                    return Ok(());
                }
                server.client()?.delete(Consumer, &id).await?;
                say(&format!("Consumer {id} deleted successfully\n"))
            }
        }
    }
}

/// `key=value` pairs; a value may be empty and may hold further `=`.
fn pairs(labels: &[String]) -> Result<BTreeMap<String, String>, Failed> {
    labels
        .iter()
        .map(|label| match label.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failed::new(format!(
                "invalid label format: {label} (expected key=value)"
            ))),
        })
        .collect()
}

fn new_labels(labels: &[String]) -> Result<BTreeMap<String, String>, Failed> {
    let mut trimmed = BTreeMap::new();
    for label in labels {
        for (key, value) in pairs(std::slice::from_ref(label))? {
            if key.trim().is_empty() {
                return Err(Failed::new(format!(
                    "invalid label format: {label} (key cannot be empty)"
                )));
            }
            trimmed.insert(key.trim().to_owned(), value);
        }
    }
    Ok(trimmed)
}

/// What becomes of labels.
struct Change {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

impl Change {
    fn parse(set: &[String], remove: Vec<String>) -> Result<Self, Failed> {
        let set = pairs(set)?;
        if remove.iter().any(|key| key.trim().is_empty()) {
            return Err(Failed::new("invalid remove-label: key cannot be empty"));
        }
        if set.is_empty() && remove.is_empty() {
            return Err(Failed::new(
                "at least one --label or --remove-label must be specified",
            ));
        }
        Ok(Self { set, remove })
    }

    /// Reads, merges, writes.
    async fn apply(self, rest: &Rest, id: &str) -> Result<Value, Failed> {
        let current = rest.get(Consumer, id).await?;
        let mut labels = match current.get("labels") {
            Some(Value::Object(labels)) => labels.clone(),
            _ => serde_json::Map::new(),
        };
        labels.extend(self.set.into_iter().map(|(key, value)| (key, value.into())));
        for key in &self.remove {
            labels.remove(key);
        }
        rest.patch(Consumer, id, &json!({ "labels": labels })).await
    }
}
