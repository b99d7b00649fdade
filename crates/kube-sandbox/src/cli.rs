//! Command line of a sandbox on its own.

use std::path::PathBuf;

use clap::Parser;

use crate::config::{Config, Data};

/// Serve an embedded Kubernetes API for development: objects, CRDs, watches and server-side apply, no workloads.
///
/// Try: kube-sandbox --listen 127.0.0.1:8001 &
///      kubectl --server http://127.0.0.1:8001 get namespaces
#[derive(Clone, Debug, Parser)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Name of the cluster in the printed kubeconfig.
    #[arg(long, default_value = "sandbox")]
    pub name: String,

    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", env = "KUBE_SANDBOX_LISTEN")]
    pub listen: String,

    /// SQLite file that keeps the objects; without it they are gone with the process.
    #[arg(long, env = "KUBE_SANDBOX_DATA")]
    pub data: Option<PathBuf>,

    /// File with CustomResourceDefinitions (YAML or JSON, several documents allowed); can be repeated.
    #[arg(long = "crd", value_name = "FILE")]
    pub crds: Vec<PathBuf>,

    /// Store custom resources as they are sent, without pruning, defaults and validation.
    #[arg(long)]
    pub no_schema_validation: bool,

    /// Don't delete objects whose owners are gone (like an API server without controller manager).
    #[arg(long)]
    pub no_garbage_collection: bool,

    /// Check what impersonated users (kubectl --as) do against the roles in the sandbox.
    #[arg(long)]
    pub rbac: bool,

    /// File with a token that requests must carry.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Why arguments can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("read {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file isn't YAML.
    #[error("{path}:{line}:{column}: {message}")]
    Yaml {
        /// Which.
        path: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// Why.
        message: String,
    },
    /// The token file is empty.
    #[error("{path}: the token is empty")]
    EmptyToken {
        /// Which.
        path: String,
    },
}

impl Args {
    /// Reads the files that the arguments name.
    ///
    /// # Errors
    /// A file is missing or malformed.
    pub fn into_config(self) -> Result<Config, Error> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| Error::Read {
                path: path.display().to_string(),
                source,
            })
        };
        let mut crds = Vec::new();
        for path in &self.crds {
            let documents =
                go_compat::yaml::documents_k8s(&read(path)?).map_err(|error| Error::Yaml {
                    path: path.display().to_string(),
                    line: error.line as u64,
                    column: error.column as u64,
                    message: error.message,
                })?;
            crds.extend(
                documents
                    .into_iter()
                    .filter(|document| document["kind"] == "CustomResourceDefinition"),
            );
        }
        let bearer_token = match &self.token_file {
            None => None,
            Some(path) => {
                let token = read(path)?.trim().to_owned();
                if token.is_empty() {
                    return Err(Error::EmptyToken {
                        path: path.display().to_string(),
                    });
                }
                Some(token)
            }
        };
        Ok(Config {
            name: self.name,
            listen: self.listen,
            data: self.data.map_or(Data::Memory, Data::File),
            crds,
            admission: Vec::new(),
            validate_schemas: !self.no_schema_validation,
            garbage_collection: !self.no_garbage_collection,
            rbac: self.rbac,
            bearer_token,
        })
    }
}
