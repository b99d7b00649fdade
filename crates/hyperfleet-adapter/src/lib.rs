//! The config-driven adapter: params, preconditions, resources, report.
//!
//! One program, two files: the deployment config says where to connect, the task config says what to do. For every
//! pulse it reads the resource from the HyperFleet API, checks preconditions, renders Kubernetes objects, has them
//! applied (directly, or by Maestro on a management cluster), and reports conditions. It knows no kind of object;
//! what YAML can't say about one is a [`ResourcePolicy`].
//!
//! Reading order: [`config`] (what a user writes), `lang` (templates, CEL, paths), [`policy`], `api` and `transport`
//! (the two directions out), `trace` (what joins them), `pipeline` (one event), [`service`] (all events), [`dry_run`], [`cli`].

mod api;
pub mod cli;
pub mod config;
pub mod dry_run;
mod lang;
mod pipeline;
pub mod policy;
pub mod service;
mod trace;
mod transport;

pub use config::{Config, Loaded, Loader, Source, TaskConfig};
pub use policy::ResourcePolicy;
pub use service::{Addresses, Dependencies, Service, run};
