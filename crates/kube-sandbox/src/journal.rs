//! The file behind a sandbox: one SQLite database with the current objects and the highest resourceVersion.

use std::collections::BTreeMap;
use std::path::Path;

use sql_store::Migration;
use sql_store::sqlite::Database;
use sql_store::sqlite::rusqlite::{self, Connection, OptionalExtension, params};

use crate::engine::Change;
use crate::object::{Key, Object};

const MIGRATIONS: &[Migration] = &[Migration {
    id: "kube-sandbox-1",
    sql: "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
          CREATE TABLE objects (
            storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            revision INTEGER NOT NULL, json BLOB NOT NULL,
            PRIMARY KEY (storage, namespace, name)) STRICT;",
}];

/// An open file.
#[derive(Clone, Debug)]
pub struct Journal {
    database: Database,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// All objects.
    pub objects: Vec<Object>,
    /// The highest resourceVersion ever given out.
    pub revision: u64,
}

impl Journal {
    /// Opens or makes a file and reads it.
    ///
    /// # Errors
    /// The file can't be opened, is in use by another process, or isn't a sandbox file.
    pub async fn open(path: &Path) -> Result<(Self, Contents), sql_store::Error> {
        let database = Database::open(path, MIGRATIONS)?;
        let contents = database.read(read).await?;
        Ok((Self { database }, contents))
    }

    /// Stores changes. When this returns `Ok`, they are on disk.
    ///
    /// # Errors
    /// Nothing was stored.
    ///
    /// # Cancel safety
    /// If dropped, the changes are stored or not, all or none.
    pub async fn append(&self, changes: &[Change], revision: u64) -> Result<(), sql_store::Error> {
        // Only the last state of each object counts.
        let latest: BTreeMap<Key, Change> = changes
            .iter()
            .map(|change| (change.object.key.clone(), change.clone()))
            .collect();
        self.database
            .write(move |connection| Ok(write(connection, latest.values(), revision)?))
            .await
    }
}

fn read(connection: &Connection) -> Result<Contents, sql_store::Error> {
    let revision: Option<i64> = connection
        .query_row(
            "SELECT value FROM facts WHERE name = 'revision'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let mut statement =
        connection.prepare("SELECT storage, namespace, name, revision, json FROM objects")?;
    let mut rows = statement.query([])?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |index: usize| row.get::<_, String>(index);
        let key = Key::new(&text(0)?.into(), &text(1)?, &text(2)?);
        let json: Vec<u8> = row.get(4)?;
        let shown = format!("{}/{}/{}", key.storage, key.namespace, key.name);
        let object = Object::parse(key, number(row.get(3)?), &json).map_err(|error| {
            sql_store::Error::other(format!("object {shown} is not readable: {error}"))
        })?;
        objects.push(object);
    }
    Ok(Contents {
        objects,
        revision: number(revision.unwrap_or(0)),
    })
}

fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn write<'a>(
    connection: &Connection,
    changes: impl Iterator<Item = &'a Change>,
    revision: u64,
) -> Result<(), rusqlite::Error> {
    let mut put = connection.prepare_cached(
        "INSERT INTO objects (storage, namespace, name, revision, json) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (storage, namespace, name) DO UPDATE SET revision = excluded.revision, json = excluded.json",
    )?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM objects WHERE storage = ?1 AND namespace = ?2 AND name = ?3",
    )?;
    for change in changes {
        let key = &change.object.key;
        if change.removed {
            delete.execute(params![&*key.storage, &*key.namespace, &*key.name])?;
        } else {
            let number = i64::try_from(change.object.revision).unwrap_or(i64::MAX);
            put.execute(params![
                &*key.storage,
                &*key.namespace,
                &*key.name,
                number,
                &*change.object.json
            ])?;
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO facts (name, value) VALUES ('revision', ?1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([i64::try_from(revision).unwrap_or(i64::MAX)])?;
    Ok(())
}
