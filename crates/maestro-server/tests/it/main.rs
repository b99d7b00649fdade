//! The server from outside: REST, gRPC, and what is left after a crash.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

/// Runs a test on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                let folder = crate::harness::folder();
                super::$name(crate::harness::sqlite_in(&folder)).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name(crate::harness::postgres().await).await;
            }
        }
    )*};
}

mod authn;
mod beside_go;
mod crash;
mod database;
mod deletes;
mod delivery;
mod doors;
mod endings;
mod explain;
mod harness;
mod lists;
mod logs;
mod loop_through;
mod metrics;
mod replicas;
mod rest;
mod rest_exact;
mod sdk;
mod storage;
mod traces;
