//! The API over HTTP: every scenario on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic)] // tests say what they expect

mod crud;
mod deletion;
mod faults;
mod identity;
mod legacy;
mod lists;
mod mapping;
mod model;
mod references;
mod server;
mod statuses;

/// Runs each named scenario on both databases.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $scenario() { super::$scenario(crate::server::Server::sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $scenario() { super::$scenario(crate::server::Server::postgres().await).await })*
        }
    };
}
pub(crate) use on_both;
