//! `maestro resourcebundle`: what Maestro carries to one cluster as one unit.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Subcommand};
use event_wire::Action;
use event_wire::attribute::name::METADATA;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::klog::{Logs, NoKubeconfig};
use crate::operator::Thing::ResourceBundle;
use crate::operator::{
    self, Failed, Grpc, GrpcFlags, ListFlags, OutputFlags, Rest, RestFlags, say,
};

/// Largest manifest file, bytes: what a server takes at most.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Manage Maestro resource bundles.
///
/// Resource bundles are collections of Kubernetes manifests that are deployed to consumer clusters. Reading goes through the REST API,
/// apply and delete through gRPC.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ResourceBundleArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    rest: RestFlags,
    #[command(flatten)]
    grpc: GrpcFlags,
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    kubeconfig: NoKubeconfig,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create or update a resource bundle
    ///
    /// Reads a JSON file and publishes it. Without an `id` in it a new resource bundle is made; with one, that is updated, and must exist.
    ///
    ///   {"consumer_name": "cluster1", "manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}}]}
    ///
    /// Further keys: version (must be the current one if given), manifest_configs, delete_option, metadata.
    #[command(verbatim_doc_comment)]
    Apply {
        /// Path to the manifest file (required)
        #[arg(short = 'f', long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Get a resource bundle by ID
    Get {
        /// The resource bundle's id
        id: String,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// List resource bundles
    ///
    /// Examples:
    ///   maestro resourcebundle list --page 1 --size 50
    ///   maestro resourcebundle list --search "consumer_name='prod-cluster-01'"
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        list: ListFlags,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Delete a resource bundle by ID
    Delete {
        /// The resource bundle's id
        id: String,
        /// Skip confirmation prompt
        #[arg(short = 'y', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, hide_default_value = true, default_missing_value = "true", action = ArgAction::Set)]
        yes: bool,
    },
    /// Get the status of a resource bundle
    Status {
        /// The resource bundle's id
        id: String,
        #[command(flatten)]
        output: OutputFlags,
    },
}

/// The keys of a manifest file that are used.
#[derive(Debug, Deserialize)]
struct File {
    id: Option<String>,
    consumer_name: Option<String>,
    version: Option<i32>,
    metadata: Option<Map<String, Value>>,
    manifests: Option<Vec<Map<String, Value>>>,
    manifest_configs: Option<Vec<Map<String, Value>>>,
    delete_option: Option<Map<String, Value>>,
}

impl ResourceBundleArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// What to print.
    pub(crate) async fn run(self) -> Result<(), Failed> {
        self.logs
            .init("maestro", "warn", &[])
            .map_err(|error| Failed::new(format!("{error:#}")))?;
        let rest = self.rest;
        match self.command {
            Command::Apply { file } => {
                let file = File::read(&file)?;
                let (rest, grpc) = (rest.client()?, self.grpc.address()?);
                let grpc = Grpc::new(grpc)
                    .map_err(|error| error.within("failed to create gRPC client"))?;
                let id = file.apply(&rest, &grpc).await?;
                say(&format!(
                    "Resource bundle applied successfully:\nID: {id}\n"
                ))
            }
            Command::Get { id, output } => {
                let format = output.format()?;
                let item = rest.client()?.get(ResourceBundle, &id).await?;
                say(&operator::resource_bundle(format, &item)?)
            }
            Command::List { list, output } => {
                let query = list.query()?;
                let format = output.format()?;
                let page = rest.client()?.list(ResourceBundle, &query).await?;
                say(&operator::resource_bundles(format, &page)?)
            }
            Command::Status { id, output } => {
                let format = output.format()?;
                let item = rest.client()?.get(ResourceBundle, &id).await?;
                say(&operator::status(format, &id, &item)?)
            }
            Command::Delete { id, yes } => {
                let (rest, address) = (rest.client()?, self.grpc.address()?);
                let bundle = rest.get(ResourceBundle, &id).await?;
                let consumer = bundle.get("consumer_name").and_then(Value::as_str);
                let (Some(consumer), Some(version)) = (consumer, version(&bundle)) else {
                    return Err(Failed::new(format!(
                        "resource bundle {id:?} is missing required metadata (consumer_name/version)"
                    )));
                };
                let question = format!(
                    "Are you sure you want to delete resource bundle {id} (consumer: {consumer})?"
                );
                if !yes && !operator::confirmed(&question)? {
                    return Ok(());
                }
                let grpc = Grpc::new(address)
                    .map_err(|error| error.within("failed to create gRPC client"))?;
                let event = grpc.event(Action::DeleteRequest, &id, version, consumer);
                grpc.publish(&event, "failed to publish delete CloudEvent")
                    .await
                    .map_err(|error| error.within("failed to delete resource bundle"))?;
                say(&format!("Resource bundle {id} deleted successfully\n"))
            }
        }
    }
}

fn version(bundle: &Value) -> Option<i32> {
    i32::try_from(bundle.get("version")?.as_i64()?).ok()
}

impl File {
    fn read(path: &Path) -> Result<Self, Failed> {
        let unread = |error: std::io::Error| {
            Failed::new(format!(
                "failed to read manifest file: open {}: {}",
                path.display(),
                operator::plain(&error)
            ))
        };
        if std::fs::metadata(path).map_err(unread)?.len() > MAX_FILE {
            return Err(Failed::new(format!(
                "failed to read manifest file: {} is larger than {MAX_FILE} bytes",
                path.display()
            )));
        }
        let text = std::fs::read(path).map_err(unread)?;
        serde_json::from_slice(&text)
            .map_err(|error| Failed::new(format!("failed to parse manifest file: {error}")))
    }

    /// Creates or updates; the answer is the id.
    async fn apply(self, rest: &Rest, grpc: &Grpc) -> Result<String, Failed> {
        let given = self.id.as_deref().filter(|id| !id.is_empty());
        let (id, version, action) = match given {
            None => (new_id(), 0, Action::CreateRequest),
            Some(id) => {
                let existing = rest.get(ResourceBundle, id).await.map_err(|error| {
                    error.within(&format!("cannot update resource bundle {id:?}"))
                })?;
                let version = self.checked_version(version(&existing))?;
                (id.to_owned(), version, Action::UpdateRequest)
            }
        };
        self.publish(grpc, &id, version, action)
            .await
            .map_err(|error| error.within("failed to apply resource bundle"))?;
        Ok(id)
    }

    /// The version to send: the given one must be the current one.
    fn checked_version(&self, current: Option<i32>) -> Result<i32, Failed> {
        match (self.version, current) {
            (None | Some(0), Some(current)) => Ok(current),
            (None | Some(0), None) => Err(Failed::new("resource bundle version is required")),
            (Some(given), Some(current)) if given != current => Err(Failed::new(format!(
                "version mismatch: manifest specifies version {given} but resource bundle has version {current}. Update your manifest \
                 with the current version or omit 'version' to use the latest"
            ))),
            (Some(given), _) => Ok(given),
        }
    }

    async fn publish(
        &self,
        grpc: &Grpc,
        id: &str,
        version: i32,
        action: Action,
    ) -> Result<(), Failed> {
        let consumer = self.consumer_name.as_deref().unwrap_or_default();
        if consumer.is_empty() {
            return Err(Failed::new("consumer name is required"));
        }
        let manifests = self.manifests.as_deref().unwrap_or_default();
        if manifests.is_empty() {
            return Err(Failed::new(
                "manifest must specify at least one item in 'manifests'",
            ));
        }
        let mut data = json!({ "manifests": manifests });
        if let Some(configs) = self
            .manifest_configs
            .as_deref()
            .filter(|list| !list.is_empty())
        {
            data["manifestConfigs"] = json!(configs);
        }
        if let Some(option) = &self.delete_option {
            data["deleteOption"] = json!(option);
        }
        let mut event = grpc.event(action, id, version, consumer);
        event.set_json(&data);
        if let Some(metadata) = &self.metadata {
            event.set(METADATA, json!(metadata).to_string());
        }
        grpc.publish(&event, "failed to publish CloudEvent").await
    }
}

fn new_id() -> String {
    event_wire::Stamp::now().id.to_string()
}
