use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use sql_store::sqlite::Database;
use sql_store::{Error, Migration};

const STEPS: &[Migration] = &[
    Migration {
        id: "1",
        sql: "create table parent (id text primary key) strict;",
    },
    Migration {
        id: "2",
        sql: "create table child (id text primary key, parent text references parent (id)) strict;",
    },
];

async fn insert(database: &Database, id: &str) -> Result<usize, Error> {
    let id = id.to_owned();
    database
        .write(move |db| Ok(db.execute("insert into parent (id) values (?1)", [id])?))
        .await
}

async fn count(database: &Database) -> i64 {
    database
        .read(|db| -> Result<i64, Error> {
            Ok(db.query_row("select count(*) from parent", [], |row| row.get(0))?)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn writes_survive_reopening_and_migrations_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let database = Database::open(&path, &STEPS[..1]).unwrap();
    insert(&database, "x").await.unwrap();
    assert_eq!(count(&database).await, 1);
    let busy = Database::open(&path, STEPS).unwrap_err().to_string();
    assert!(busy.contains("in use by another process"), "{busy}");
    drop(database);
    let database = testkit::eventually("the file to be free", super::DEADLINE, async || {
        Database::open(&path, STEPS).ok()
    })
    .await;
    assert_eq!(count(&database).await, 1);
    let unknown = database
        .write(|db| Ok(db.execute("insert into child (id, parent) values ('c', 'nobody')", [])?))
        .await;
    assert!(
        matches!(unknown, Err(Error::ForeignKey { .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn one_failing_write_undoes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Database::open(&folder.path().join("a.db"), STEPS).unwrap();
    for database in [Database::in_memory(STEPS).unwrap(), on_disk] {
        // Holds the writer, so that all of the following writes share one transaction.
        let (release, wait) = mpsc::channel::<()>();
        let gate = tokio::spawn({
            let database = database.clone();
            async move {
                database
                    .write(move |_| wait.recv().map_err(|error| Error::other(error.to_string())))
                    .await
            }
        });
        let running = Arc::new(AtomicUsize::new(0));
        let writes: Vec<_> = (0..100)
            .map(|number| {
                let (database, running) = (database.clone(), Arc::clone(&running));
                tokio::spawn(async move {
                    running.fetch_add(1, Ordering::SeqCst);
                    database
                        .write(move |db| {
                            db.execute(
                                "insert into parent (id) values (?1)",
                                [number.to_string()],
                            )?;
                            match number % 3 {
                                0 => Ok(()),
                                1 => Err(Error::other("refused")),
                                _ => panic!("a mistake in a closure"),
                            }
                        })
                        .await
                })
            })
            .collect();
        testkit::eventually("all writes to be queued", super::DEADLINE, async || {
            (running.load(Ordering::SeqCst) == 100).then_some(())
        })
        .await;
        release.send(()).unwrap();
        gate.await.unwrap().unwrap();
        for (number, write) in writes.into_iter().enumerate() {
            assert_eq!(
                write.await.unwrap().is_ok(),
                number % 3 == 0,
                "write {number}"
            );
        }
        assert_eq!(count(&database).await, 34);
        let twice = insert(&database, "3").await;
        let Err(Error::Unique { constraint }) = twice else {
            panic!("{twice:?}")
        };
        assert_eq!(constraint, "parent.id");
    }
}
