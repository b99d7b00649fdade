//! PostgreSQL 14 and newer.
//!
//! [`Config`] says where it is, [`Pool`] hands out connections, [`migrate`] brings the schema up to date, and
//! [`listen`] turns notifications into hints that never get lost silently.

mod config;
mod listen;
mod migrate;
mod pool;
mod tls;

pub use deadpool_postgres::GenericClient;

pub use config::{Config, ConfigError, TlsMode};
pub use listen::{Notice, listen};
pub use migrate::migrate;
pub use pool::{Client, Pool, Transaction};
pub use tokio_postgres;

pub use crate::Migration;
