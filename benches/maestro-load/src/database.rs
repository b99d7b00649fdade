//! The server's PostgreSQL database: what it counted, and filling it faster than any server could.

use anyhow::Context as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::SinkExt as _;
use jiff::Timestamp;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::work::Shape;

/// Rows copied at once.
const CHUNK: usize = 500;

/// A connection of its own.
pub struct Database {
    client: Client,
    /// Whether the extension that counts statements is there.
    counts_statements: bool,
}

/// What the database has counted so far.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    pub statements: Option<i64>,
    pub transactions: i64,
    pub log: i64,
}

/// A row to fill in.
pub struct Row<'a> {
    pub shape: &'a Shape,
    pub source: &'a str,
    /// Its deletion was asked for, and its agent hasn't answered.
    pub deleting: bool,
}

impl Database {
    /// Connects; counts statements if the extension `pg_stat_statements` can be used.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .context("connect to --database-url")?;
        tokio::spawn(connection);
        let counts_statements = client
            .batch_execute("create extension if not exists pg_stat_statements")
            .await
            .is_ok()
            && client
                .query("select 1 from pg_stat_statements limit 1", &[])
                .await
                .is_ok();
        if !counts_statements {
            eprintln!(
                "Statements aren't counted: PostgreSQL runs without shared_preload_libraries=pg_stat_statements."
            );
        }
        Ok(Self {
            client,
            counts_statements,
        })
    }

    /// Counters that are exact at once, unlike those of `pg_stat_database`.
    pub async fn counters(&self) -> anyhow::Result<Counters> {
        let row = self
            .client
            .query_one(
                "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint, \
                 (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint",
                &[],
            )
            .await?;
        let statements = if self.counts_statements {
            let sql = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements \
                       where dbid = (select oid from pg_database where datname = current_database())";
            Some(self.client.query_one(sql, &[]).await?.try_get(0)?)
        } else {
            None
        };
        Ok(Counters {
            statements,
            transactions: row.try_get(0)?,
            log: row.try_get(1)?,
        })
    }

    /// Rows in the table of resources.
    pub async fn size(&self) -> anyhow::Result<usize> {
        let row = self
            .client
            .query_one("select count(*) from resources", &[])
            .await?;
        Ok(usize::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// Registers clusters.
    pub async fn register(&self, clusters: &[String]) -> anyhow::Result<()> {
        let ids: Vec<String> = clusters
            .iter()
            .map(|_| Uuid::new_v4().to_string())
            .collect();
        self.client
            .execute(
                "insert into consumers (id, name, created_at, updated_at, labels) \
                 select id, name, now(), now(), '{}' from unnest($1::text[], $2::text[]) as t (id, name) \
                 on conflict do nothing",
                &[&ids, &clusters],
            )
            .await?;
        Ok(())
    }

    /// Copies rows in, with a status of their version unless they are deleting.
    pub async fn fill(&self, rows: impl Iterator<Item = Row<'_>>) -> anyhow::Result<()> {
        let sink = self
            .client
            .copy_in::<_, Bytes>(
                "copy resources (id, name, created_at, updated_at, deleted_at, source, consumer_name, version, type, \
                 payload, status) from stdin",
            )
            .await?;
        let mut sink = std::pin::pin!(sink);
        let now = Timestamp::now().to_string();
        let mut chunk = BytesMut::new();
        for (number, row) in rows.enumerate() {
            let Row {
                shape,
                source,
                deleting,
            } = row;
            let (deleted, status) = if deleting {
                (now.as_str(), "\\N".to_owned())
            } else {
                ("\\N", escaped(&shape.stored_status()?))
            };
            let payload = escaped(&shape.stored(source)?);
            let (id, cluster) = (&shape.id, &shape.cluster);
            let line = format!(
                "{id}\t{id}\t{now}\t{now}\t{deleted}\t{source}\t{cluster}\t1\t\t{payload}\t{status}\n"
            );
            chunk.put(line.as_bytes());
            if number % CHUNK == CHUNK - 1 {
                sink.send(chunk.split().freeze()).await?;
            }
        }
        sink.send(chunk.freeze()).await?;
        sink.finish().await?;
        // As autovacuum would do soon.
        self.client.batch_execute("analyze resources").await?;
        Ok(())
    }

    /// Writes and announces the events of deletions, as another server would.
    pub async fn announce_deletions(&self, cluster: &str) -> anyhow::Result<()> {
        self.client
            .execute(
                "with noted as (insert into events (id, created_at, updated_at, source, source_id, event_type) \
                 select gen_random_uuid()::text, now(), now(), 'Resources', id, 'Delete' from resources \
                 where consumer_name = $1 and deleted_at is not null returning id) \
                 select count(pg_notify('events', id)::text) from noted",
                &[&cluster],
            )
            .await?;
        Ok(())
    }
}

/// A value in the text format of COPY.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}
