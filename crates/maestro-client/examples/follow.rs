//! Brings a ConfigMap to a cluster, changes it, follows what becomes of it, and takes it back.
//!
//! ```sh
//! # any Maestro server, upstream's too, and an agent of `cluster1`:
//! cargo run -p maestro-client --example follow -- http://localhost:8000 localhost:8090 cluster1
//! ```

use std::time::Duration;

use maestro_client::{
    Applied, Client, Config, Error, ListOptions, Token, Watch, WatchEvent, WatchOptions,
};
use manifestwork::{ConditionStatus, ManifestWork, conditions, constants::condition::APPLIED};
use serde_json::json;

/// How long the agent may take for each step.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let config = Config {
        rest_url: argument("http://localhost:8000"),
        grpc_address: argument("localhost:8090"),
        // Part of the identity of every work: another source neither sees nor changes them.
        source_id: "follow-example".to_owned(),
        // Read again as it is rotated. Tokens travel over TLS only, so this one stays at home unless `grpc_tls` is set.
        token: std::env::var_os("MAESTRO_TOKEN_FILE").map(|path| Token::File(path.into())),
        ..Config::default()
    };
    let consumer = argument("cluster1");
    let client = Client::new(config)?;
    match client
        .consumers()
        .create(&consumer, &Default::default())
        .await
    {
        Ok(_) => println!("registered {consumer}"),
        Err(Error::AlreadyExists { .. } | Error::Conflict { .. }) => {}
        Err(error) => return Err(error),
    }

    // A handle is a value: make as many as you like, from any task.
    let works = client.works(&consumer);
    let mut watch = works.watch(WatchOptions::default());

    let mut work = ManifestWork::new(consumer.as_str(), "follow-example");
    work.metadata
        .labels
        .insert("example".to_owned(), "follow".to_owned());
    work.spec.workload.manifests.push(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "follow-example", "namespace": "default"}, "data": {"step": "1"}})
            .into(),
    );
    // Creates it, updates it, or finds that the server has it already.
    let applied = works.apply(&work).await?;
    println!(
        "{} at version {}",
        match &applied {
            Applied::Created(_) => "created",
            Applied::Updated(_) => "updated",
            Applied::Unchanged(_) => "unchanged",
        },
        applied.work().metadata.generation
    );
    until(&mut watch, |work| {
        applied_at(work, applied.work().metadata.generation)
    })
    .await;

    // Reads, changes, writes back with the version that was read; again on a fresh copy if somebody else was faster.
    let changed = works
        .edit("follow-example", |work| {
            work.metadata
                .annotations
                .insert("example/changed".to_owned(), "yes".to_owned());
        })
        .await?;
    until(&mut watch, |work| {
        applied_at(work, changed.metadata.generation)
    })
    .await;

    let selected = ListOptions {
        label_selector: "example=follow".parse()?,
        ..ListOptions::default()
    };
    println!(
        "{} work(s) with the label",
        works.list(&selected).await?.len()
    );

    // Deletes all works with the label. Doing it again continues where it stopped.
    let deletions = works.delete_matching(&selected.label_selector).await?;
    for (name, error) in &deletions.failed {
        println!("{name} can't be deleted: {error}");
    }
    until(&mut watch, ManifestWork::is_deleted).await;
    Ok(())
}

fn applied_at(work: &ManifestWork, version: i64) -> bool {
    conditions::find(&work.status.conditions, APPLIED).is_some_and(|condition| {
        condition.status == ConditionStatus::True && condition.observed_generation >= version
    })
}

/// Tells what the watch tells until a work is as it should be, or patience ends.
async fn until(watch: &mut Watch, wanted: impl Fn(&ManifestWork) -> bool) {
    let follow = async {
        while let Some(event) = watch.next_event().await {
            match &event {
                WatchEvent::Added(_) => print!("ADDED "),
                WatchEvent::Modified(_) => print!("MODIFIED "),
                WatchEvent::Deleted(_) => print!("DELETED "),
                WatchEvent::Synced => println!("-- everything that exists was told"),
                WatchEvent::Interrupted(error) => println!("-- interrupted: {}", error.0),
            }
            let Some(work) = event.work() else { continue };
            let conditions: Vec<String> = work
                .status
                .conditions
                .iter()
                .map(|condition| format!("{}={}", condition.type_, condition.status))
                .collect();
            println!(
                "{} version {} {}",
                work.metadata.name,
                work.metadata.generation,
                conditions.join(" ")
            );
            if wanted(work) {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, follow).await.is_err() {
        println!("-- no report of an agent within {PATIENCE:?}; going on");
    }
}
