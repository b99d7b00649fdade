//! A sandbox as a service: open everything, serve until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Data};
use crate::engine::{Engine, FieldValidation, Options, Target, Write, WriteOptions};
use crate::failure::Failure;
use crate::http::{self, App};
use crate::journal::{Contents, Journal};
use crate::store::{self, Owner, Store};

/// Namespaces that are there from the start.
const FIRST_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// Field manager of what the sandbox makes itself.
const OWN_MANAGER: &str = "kube-sandbox";

/// Why a sandbox can't start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The data file can't be used.
    #[error("open {path}: {source}")]
    Data {
        /// The configured file.
        path: String,
        /// Why.
        source: sql_store::Error,
    },
    /// A configured CustomResourceDefinition is refused.
    #[error("CustomResourceDefinition {name}: {message}")]
    Definition {
        /// Its name.
        name: String,
        /// Why.
        message: String,
    },
    /// What every cluster has could not be made.
    #[error("prepare the sandbox: {0}")]
    Prepare(String),
    /// Serving failed.
    #[error("serve: {0}")]
    Serve(std::io::Error),
    /// The task that owns the objects ended by itself.
    #[error("the task that owns the objects has failed")]
    Owner,
}

/// Where a sandbox listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The Kubernetes API.
    pub api: SocketAddr,
}

/// An opened sandbox: objects loaded, socket bound.
pub struct Service {
    name: String,
    token: Option<String>,
    rbac: bool,
    address: SocketAddr,
    listener: TcpListener,
    store: Store,
    owner: Owner,
}

impl Service {
    /// Opens the data, makes what every cluster has, and binds the address.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let (journal, contents) = match &config.data {
            Data::Memory => (None, Contents::default()),
            Data::File(path) => {
                let failed = |source| Error::Data {
                    path: path.display().to_string(),
                    source,
                };
                let (journal, contents) = Journal::open(path).await.map_err(failed)?;
                (Some(journal), contents)
            }
        };
        let options = Options {
            validate_schemas: config.validate_schemas,
            garbage_collection: config.garbage_collection,
            admission: config.admission,
            clock: Timestamp::now,
        };
        let mut engine = Engine::new(options, contents.objects, contents.revision);
        prepare(&mut engine, config.crds)?;
        if let Some(journal) = &journal {
            let changes = engine.take_changes();
            journal
                .append(&changes, engine.revision())
                .await
                .map_err(|source| Error::Prepare(source.to_string()))?;
        } else {
            engine.take_changes();
        }
        let listen = |source| Error::Listen {
            address: config.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if !address.ip().is_loopback() && config.bearer_token.is_none() {
            tracing::warn!(%address, "Everybody who reaches this address may do everything. Set a token.");
        }
        let (store, owner) = store::open(engine, journal);
        Ok(Self {
            name: config.name,
            token: config.bearer_token,
            rbac: config.rbac,
            address,
            listener,
            store,
            owner,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        Addresses { api: self.address }
    }

    /// `http://host:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig (YAML) for this sandbox.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_of(json!({}))
    }

    /// A kubeconfig (YAML) that acts as another user, for example `system:serviceaccount:maestro:agent`. What he may do is
    /// checked only with [`Config::rbac`].
    pub fn kubeconfig_as(&self, user: &str) -> String {
        self.kubeconfig_of(json!({ "as": user }))
    }

    fn kubeconfig_of(&self, mut user: Value) -> String {
        let name = &self.name;
        if let Some(token) = &self.token {
            user["token"] = token.as_str().into();
        }
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url()}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
            "current-context": name,
        });
        // JSON is YAML; only a failure of the YAML writer would show it.
        go_compat::yaml::to_string(&document).unwrap_or_else(|_| document.to_string())
    }

    /// Serves until `shutdown`: open watches end, requests in flight are answered, taken writes are stored.
    ///
    /// # Errors
    /// The socket failed, or the owner of the objects did.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let app = App {
            store: self.store,
            loopback: self.address.ip().is_loopback(),
            rbac: self.rbac,
            token: self.token.map(Arc::from),
            shutdown: shutdown.clone(),
            watches: Arc::new(AtomicUsize::new(0)),
            clock: Timestamp::now,
        };
        // The owner stops after the listener, so that requests in flight are answered.
        let drained = CancellationToken::new();
        let mut owner = tokio::spawn(self.owner.run(drained.clone()));
        let serving =
            service_runtime::http::serve(self.listener, http::router(app), None, shutdown);
        let served = tokio::select! {
            served = serving => served.map_err(Error::Serve),
            _ = &mut owner => return Err(Error::Owner),
        };
        drained.cancel();
        owner.await.map_err(|_| Error::Owner)?;
        served
    }
}

/// Opens and serves.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`].
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    Service::bind(config).await?.run(shutdown).await
}

/// Where extension API servers, and what is built on their library, read at start how to tell who asks them.
fn extension_authentication() -> Value {
    // No `client-ca-file` and no `requestheader-client-ca-file`: nobody's certificate is trusted here, and readers take an
    // absent key for that, an empty one for a mistake.
    let list = |items: &[&str]| json!(items).to_string();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "requestheader-allowed-names": list(&[]),
            "requestheader-extra-headers-prefix": list(&["X-Remote-Extra-"]),
            "requestheader-group-headers": list(&["X-Remote-Group"]),
            "requestheader-username-headers": list(&["X-Remote-User"]),
        },
    })
}

/// Makes the first namespaces, what every cluster has in them, and the configured definitions.
fn prepare(engine: &mut Engine, crds: Vec<Value>) -> Result<(), Error> {
    let ignore_existing = |failure: Failure| {
        if failure.reason == "AlreadyExists" {
            Ok(())
        } else {
            Err(failure)
        }
    };
    let mut create = |target: Target, object: Value| {
        engine
            .execute(Write::Create {
                target,
                object,
                options: options(),
            })
            .map(drop)
            .or_else(ignore_existing)
            .map_err(|failure| Error::Prepare(failure.message))
    };
    for name in FIRST_NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(target("", "namespaces", ""), object)?;
    }
    let mut config_maps = target("", "configmaps", "");
    "kube-system".clone_into(&mut config_maps.namespace);
    create(config_maps, extension_authentication())?;
    for crd in crds {
        let name = crate::object::metadata_text(&crd, "name").to_owned();
        let target = target(
            crate::builtin::CRD_GROUP,
            "customresourcedefinitions",
            &name,
        );
        let patch = crate::patch::Patch::Apply {
            config: crd,
            force: true,
        };
        engine
            .execute(Write::Patch {
                target,
                patch,
                options: options(),
            })
            .map_err(|failure| Error::Definition {
                name,
                message: failure.message,
            })?;
    }
    engine.settle();
    Ok(())
}

fn target(group: &str, plural: &str, name: &str) -> Target {
    Target {
        group: group.to_owned(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        part: crate::engine::Part::Whole,
    }
}

fn options() -> WriteOptions {
    WriteOptions {
        dry_run: false,
        user: None,
        manager: OWN_MANAGER.to_owned(),
        field_validation: FieldValidation::Warn,
    }
}
