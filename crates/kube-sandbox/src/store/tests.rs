//! The owner task and its file.

use jiff::Timestamp;
use serde_json::{Value, json};
use sql_store::sqlite::rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::{Store, open};
use crate::engine::{Engine, FieldValidation, Options, Part, Target, Write, WriteOptions};
use crate::failure::Failure;
use crate::journal::Journal;

fn options() -> Options {
    Options {
        validate_schemas: true,
        garbage_collection: true,
        admission: Vec::new(),
        clock: Timestamp::now,
    }
}

fn create(name: &str) -> Write {
    Write::Create {
        target: Target {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "namespaces".to_owned(),
            namespace: String::new(),
            name: String::new(),
            part: Part::Whole,
        },
        object: json!({"metadata": {"name": name}}),
        options: WriteOptions {
            dry_run: false,
            user: None,
            manager: "tests".to_owned(),
            field_validation: FieldValidation::Warn,
        },
    }
}

fn names(store: &Store) -> Vec<String> {
    let (objects, _) = store.list("namespaces", None, None);
    objects
        .iter()
        .map(|object| object.key.name.to_string())
        .collect()
}

/// A disk that doesn't take the change: the client hears 500, nobody sees the object, later writes work.
#[tokio::test]
async fn a_change_that_cannot_be_stored_is_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.db");
    let (journal, contents) = Journal::open(&path).await.expect("a new file");
    let (store, owner) = open(
        Engine::new(options(), contents.objects, contents.revision),
        Some(journal),
    );
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(owner.run(shutdown.clone()));
    store.write(create("before")).await.expect("stored");

    let saboteur = Connection::open(&path).expect("a second connection");
    saboteur
        .execute_batch("ALTER TABLE objects RENAME TO hidden")
        .expect("renamed");
    let failure: Failure = store.write(create("lost")).await.expect_err("not stored");
    assert_eq!(failure.code, 500);
    assert!(
        !failure.message.contains("objects"),
        "no SQL in answers: {}",
        failure.message
    );
    assert_eq!(names(&store), ["before"]);

    saboteur
        .execute_batch("ALTER TABLE hidden RENAME TO objects")
        .expect("renamed back");
    let after: Value = store
        .write(create("lost"))
        .await
        .expect("the name is free")
        .object;
    assert_eq!(names(&store), ["before", "lost"]);
    let (changes, _) = store
        .changes_after(0, "namespaces", None, 100)
        .expect("all known");
    assert_eq!(changes.len(), 2, "nothing of the lost change was published");
    shutdown.cancel();
    task.await.expect("the owner ended");
    let failure = store.write(create("late")).await.expect_err("stopped");
    assert_eq!(failure.code, 503);

    drop(store);
    let (_, contents) = Journal::open(&path).await.expect("the same file");
    assert_eq!(contents.objects.len(), 2);
    assert_eq!(
        after["metadata"]["resourceVersion"],
        contents.revision.to_string()
    );
}

#[tokio::test]
async fn changes_come_in_pieces_without_gaps() {
    let (store, owner) = open(Engine::new(options(), Vec::new(), 0), None);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(owner.run(shutdown.clone()));
    for index in 0..10 {
        store
            .write(create(&format!("n{index}")))
            .await
            .expect("stored");
    }
    let mut position = 0;
    let mut seen = Vec::new();
    loop {
        let (changes, next) = store
            .changes_after(position, "namespaces", None, 3)
            .expect("known");
        if changes.is_empty() {
            break;
        }
        seen.extend(
            changes
                .iter()
                .map(|change| change.object.key.name.to_string()),
        );
        position = next;
    }
    assert_eq!(
        seen,
        (0..10).map(|index| format!("n{index}")).collect::<Vec<_>>()
    );
    assert_eq!(position, store.revision());
    shutdown.cancel();
    task.await.expect("the owner ended");
}
