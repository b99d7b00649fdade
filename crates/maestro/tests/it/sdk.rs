//! The Maestro SDK against this server: what `docs/protocol/source-client.md` promises, on SQLite and on PostgreSQL.
//!
//! On PostgreSQL the server gets the command line of upstream's chart, so that another binary, upstream's too, can take its place;
//! what only our server can do is left out then:
//!
//! ```sh
//! MAESTRO_BINARY=/path/to/maestro cargo test -p maestro --test it sdk::
//! ```

/// Each test once per database.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if !$crate::sdk::place::is_foreign() {
                    Box::pin(super::$test($crate::sdk::place::Database::Sqlite)).await;
                }
            })+
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                Box::pin(super::$test($crate::sdk::place::Database::Postgres)).await;
            })+
        }
    };
}

mod asking;
mod deleting;
mod follower;
#[allow(
    dead_code,
    reason = "shared with the server's tests, which press other buttons"
)]
#[path = "../../../maestro-server/tests/it/authn/kubernetes.rs"]
mod kubernetes;
mod other_ids;
mod place;
mod tokens;
mod walking;
mod watching;
mod writing;

use futures::StreamExt as _;
use maestro_client::Works;
use manifestwork::ManifestWork;
use serde_json::json;

/// A work of consumer `c1` with a ConfigMap that holds a value.
fn work(name: &str, value: &str) -> ManifestWork {
    let mut work = ManifestWork::new("c1", name);
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"}, "data": {"value": value}});
    work.spec.workload.manifests.push(manifest.into());
    work
}

fn labelled(name: &str, key: &str, value: &str) -> ManifestWork {
    let mut work = work(name, "1");
    work.metadata.labels.insert(key.into(), value.into());
    work
}

/// Creates works, a few at a time.
async fn create_all(works: &Works, all: impl Iterator<Item = ManifestWork>) {
    let created = futures::stream::iter(all.map(|work| async move { works.create(&work).await }));
    let mut created = std::pin::pin!(created.buffer_unordered(8));
    while let Some(result) = created.next().await {
        result.unwrap();
    }
}
