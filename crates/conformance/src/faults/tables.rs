//! A look into the database when all is quiet: what of the event tables and of the servers' own tables should be gone.

use std::collections::BTreeMap;

use testkit::postgres::Database;

/// What should go, and how it is counted. Tables that a server doesn't have are passed over.
struct Wanted {
    table: &'static str,
    what: &'static str,
    condition: &'static str,
}

/// What nobody has to handle any more.
const WANTED: &[Wanted] = &[
    Wanted {
        table: "events",
        what: "events that nobody has handled",
        condition: "reconciled_date is null",
    },
    Wanted {
        table: "delivery",
        what: "reminders of works, although there are no works",
        condition: "true",
    },
    Wanted {
        table: "event_instances",
        what: "notes about events that are gone",
        condition: "not exists (select from status_events s where s.id = t.event_id) \
            and not exists (select from events e where e.id = t.spec_event_id)",
    },
];

/// Rows that have had their time: events are kept for five minutes and what agents said for ten, and servers look every 30 s; notes about
/// what was sent are kept for ten minutes and looked for every half an hour. A Go server looks for old rows twice a day only.
const EXPIRED: &[Wanted] = &[
    Wanted {
        table: "events",
        what: "events older than six minutes",
        condition: "created_at < now() - interval '6 minutes'",
    },
    Wanted {
        table: "status_events",
        what: "status events older than six minutes",
        condition: "created_at < now() - interval '6 minutes'",
    },
    Wanted {
        table: "sends",
        what: "notes about what was sent of works that ended 45 minutes ago",
        condition: "at < now() - interval '45 minutes' \
            and not exists (select from resources r where r.id = t.resource_id)",
    },
    Wanted {
        table: "resyncs",
        what: "words of agents older than eleven minutes",
        condition: "at < now() - interval '11 minutes'",
    },
];

/// Rows that should go, by what they are. Everything was deleted before.
///
/// # Errors
/// The database doesn't answer.
pub async fn left(database: &Database, expired: bool) -> anyhow::Result<BTreeMap<String, u64>> {
    let client = database.connect().await?;
    let mut rows = BTreeMap::new();
    let expired = if expired { EXPIRED } else { &[] };
    for wanted in WANTED.iter().chain(expired) {
        let Wanted {
            table,
            what,
            condition,
        } = wanted;
        let there = client
            .query_one("select to_regclass($1::text) is not null", &[table])
            .await?;
        if !there.try_get::<_, bool>(0)? {
            continue;
        }
        let sql = format!("select count(*) from {table} t where {condition}");
        let count: i64 = client.query_one(&sql, &[]).await?.try_get(0)?;
        if count > 0 {
            rows.insert((*what).to_owned(), count.unsigned_abs());
        }
    }
    Ok(rows)
}

/// Makes rows that servers look for every 30 s a quarter of an hour older: rounds are shorter than rows are kept.
///
/// # Errors
/// The database doesn't answer.
pub async fn age(database: &Database) -> anyhow::Result<()> {
    let client = database.connect().await?;
    for (table, column) in [
        ("events", "created_at"),
        ("status_events", "created_at"),
        ("resyncs", "at"),
    ] {
        let sql = format!("update {table} set {column} = {column} - interval '15 minutes'");
        client.execute(&sql, &[]).await?;
    }
    Ok(())
}
