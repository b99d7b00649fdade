//! Facts about deliveries: side tables of ours that Go servers ignore.

use jiff::{SignedDuration, Timestamp};
use sql_store::postgres::Client;

use super::super::facts::{
    AUDIT_SHOWN, AuditEntry, Dispatch, Ended, Gauges, LastPresence, PENDING_COUNTED, PRESENCE_KEPT,
    Pending, Presence, RESENDS_KEPT, Resend, Sent, action,
};
use super::super::{Error, now};
use super::Instance;
use super::schema::{closed, go_is_here, waiting};
use super::values::Json;
use crate::model::{ClusterName, ResourceId};

pub(super) async fn note_sent(
    client: &Client,
    sent: &[Sent],
    instance: &Instance,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "insert into sends (resource_id, version, deleting, event, action, at, times, instance, error, error_at) \
             select resource_id, version, deleting, event, action, at, times, $8, error, error_at \
             from unnest($1::text[], $2::bigint[], $3::bool[], $4::text[], $5::text[], $6::timestamptz[], $7::int[], \
                 $9::text[], $10::timestamptz[]) \
                 as t (resource_id, version, deleting, event, action, at, times, error, error_at) order by resource_id \
             on conflict (resource_id) do update set version = excluded.version, deleting = excluded.deleting, \
                 event = excluded.event, action = excluded.action, at = excluded.at, instance = excluded.instance, \
                 times = case when sends.version = excluded.version and sends.deleting = excluded.deleting \
                     then sends.times + excluded.times else excluded.times end, \
                 error = excluded.error, error_at = excluded.error_at \
             where sends.at <= excluded.at",
        )
        .await?;
    let texts = |part: fn(&Sent) -> &str| sent.iter().map(part).collect::<Vec<_>>();
    let errors: Vec<Option<&str>> = sent
        .iter()
        .map(|sent| sent.error.as_ref().map(|(_, text)| text.as_str()))
        .collect();
    let error_times: Vec<Option<Timestamp>> = sent
        .iter()
        .map(|sent| sent.error.as_ref().map(|(at, _)| *at))
        .collect();
    let times: Vec<i32> = sent
        .iter()
        .map(|sent| i32::try_from(sent.times).unwrap_or(i32::MAX))
        .collect();
    client
        .execute(
            &statement,
            &[
                &texts(|sent| sent.id.as_str()),
                &sent.iter().map(|sent| sent.version).collect::<Vec<_>>(),
                &sent.iter().map(|sent| sent.deleting).collect::<Vec<_>>(),
                &texts(|sent| &sent.event),
                &texts(|sent| &sent.action),
                &sent.iter().map(|sent| sent.at).collect::<Vec<_>>(),
                &times,
                &instance.name,
                &errors,
                &error_times,
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn note_presence(
    client: &Client,
    ended: &[Ended],
    streams: &[Presence],
    instance: &Instance,
) -> Result<Vec<ClusterName>, Error> {
    if !ended.is_empty() {
        note_ended(client, ended).await?;
    }
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    // Of several streams of one cluster, the newest counts, as long as its server speaks of it.
    let statement = client
        .prepare_cached(
            "insert into connections as c (consumer_name, last_seen, noted, stream, since, last_resync, waiting, orphans, \
                 instance) \
             select t.cluster, $7, $7, t.stream, t.since, t.resynced, t.waiting, t.orphans, $8 \
             from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[]) \
                 as t (cluster, stream, since, resynced, waiting, orphans) \
             join consumers n on n.name = t.cluster order by t.cluster \
             on conflict (consumer_name) do update set last_seen = greatest(c.last_seen, excluded.last_seen), \
                 noted = excluded.noted, stream = excluded.stream, since = excluded.since, \
                 last_resync = coalesce(excluded.last_resync, c.last_resync), waiting = excluded.waiting, \
                 orphans = excluded.orphans, instance = excluded.instance \
             where c.stream is null or c.since is null or c.since <= excluded.since or c.noted is null \
                 or c.noted < excluded.noted - $9 * interval '1 second' \
             returning consumer_name, orphans_accepted is not null",
        )
        .await?;
    let texts = |part: fn(&Presence) -> String| streams.iter().map(part).collect::<Vec<_>>();
    let numbers = |part: fn(&Presence) -> u64| {
        streams
            .iter()
            .map(|stream| i64::try_from(part(stream)).unwrap_or(i64::MAX))
            .collect::<Vec<_>>()
    };
    let rows = client
        .query(
            &statement,
            &[
                &texts(|stream| stream.cluster.to_string()),
                &texts(|stream| stream.stream.to_string()),
                &streams.iter().map(|one| one.since).collect::<Vec<_>>(),
                &streams.iter().map(|one| one.resynced).collect::<Vec<_>>(),
                &numbers(|stream| stream.waiting),
                &numbers(|stream| stream.orphans),
                &now(),
                &instance.name,
                &PRESENCE_KEPT.as_secs_f64(),
            ],
        )
        .await?;
    let mut accepted = Vec::new();
    for row in rows {
        if row.try_get(1)? {
            accepted.push(row.try_get::<_, String>(0)?);
        }
    }
    if !accepted.is_empty() {
        client
            .execute(
                "update connections set orphans_accepted = null where consumer_name = any($1)",
                &[&accepted],
            )
            .await?;
    }
    Ok(accepted.into_iter().map(ClusterName::from).collect())
}

async fn note_ended(client: &Client, ended: &[Ended]) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "insert into connections as c (consumer_name, last_seen, error, error_at, last_resync) \
             select distinct on (t.cluster) t.cluster, t.at, t.error, case when t.error is not null then t.at end, \
                 t.resynced \
             from unnest($1::text[], $2::timestamptz[], $3::text[], $5::timestamptz[]) as t (cluster, at, error, resynced) \
             join consumers n on n.name = t.cluster \
             order by t.cluster, t.at desc \
             on conflict (consumer_name) do update set last_seen = greatest(c.last_seen, excluded.last_seen), \
                 last_resync = greatest(c.last_resync, excluded.last_resync), \
                 error = coalesce(excluded.error, c.error), error_at = coalesce(excluded.error_at, c.error_at), \
                 waiting = case when c.stream = any($4) then 0 else c.waiting end, \
                 orphans = case when c.stream = any($4) then 0 else c.orphans end, \
                 stream = case when c.stream = any($4) then null else c.stream end",
        )
        .await?;
    let clusters: Vec<&str> = ended.iter().map(|one| one.cluster.as_str()).collect();
    let times: Vec<Timestamp> = ended.iter().map(|one| one.at).collect();
    let errors: Vec<Option<&str>> = ended.iter().map(|one| one.error.as_deref()).collect();
    let streams: Vec<String> = ended.iter().map(|one| one.stream.to_string()).collect();
    let resynced: Vec<Option<Timestamp>> = ended.iter().map(|one| one.resynced).collect();
    client
        .execute(
            &statement,
            &[&clusters, &times, &errors, &streams, &resynced],
        )
        .await?;
    Ok(())
}

pub(super) async fn dispatch(client: &Client, id: &ResourceId) -> Result<Dispatch, Error> {
    let statement = client
        .prepare_cached(
            "select s.version, s.deleting, s.event, s.action, s.at, s.times, s.instance, s.error, s.error_at, \
                 d.attempts, d.due \
             from (select $1::text as id) i left join sends s on s.resource_id = i.id \
             left join delivery d on d.resource_id = i.id",
        )
        .await?;
    let Some(row) = client.query_opt(&statement, &[&id.as_str()]).await? else {
        return Ok(Dispatch::default());
    };
    let sent = match row.try_get::<_, Option<i64>>(0)? {
        None => None,
        Some(version) => {
            let error: Option<String> = row.try_get(7)?;
            Some(Sent {
                id: id.clone(),
                version,
                deleting: row.try_get(1)?,
                event: row.try_get(2)?,
                action: row.try_get::<_, String>(3)?.into(),
                at: row.try_get(4)?,
                times: u32::try_from(row.try_get::<_, i32>(5)?).unwrap_or(0),
                error: row.try_get::<_, Option<Timestamp>>(8)?.zip(error),
            })
        }
    };
    let reminders: Option<i32> = row.try_get(9)?;
    Ok(Dispatch {
        sent,
        instance: row.try_get(6)?,
        reminders: reminders.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        next_reminder: row.try_get(10)?,
    })
}

pub(super) async fn presence(
    client: &Client,
    cluster: &ClusterName,
) -> Result<Option<LastPresence>, Error> {
    let statement = client
        .prepare_cached(
            "select case when stream is not null then instance end, since, last_seen, last_resync, waiting, orphans, \
                 error, error_at, noted from connections where consumer_name = $1",
        )
        .await?;
    let Some(row) = client.query_opt(&statement, &[&cluster.as_str()]).await? else {
        return Ok(None);
    };
    let noted: Option<Timestamp> = row.try_get(8)?;
    let kept = SignedDuration::try_from(PRESENCE_KEPT).unwrap_or(SignedDuration::MAX);
    let alive = noted.is_some_and(|noted| now().duration_since(noted) < kept);
    let number = |index: usize| -> Result<u64, Error> {
        Ok(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0))
    };
    let error: Option<String> = row.try_get(6)?;
    let instance: Option<String> = row.try_get(0)?;
    let connected = alive && instance.is_some();
    Ok(Some(LastPresence {
        instance: instance.filter(|_| alive),
        since: row.try_get::<_, Option<_>>(1)?.filter(|_| connected),
        last_seen: row.try_get(2)?,
        last_resync: row.try_get(3)?,
        waiting: if connected { number(4)? } else { 0 },
        orphans: if connected { number(5)? } else { 0 },
        last_error: row.try_get::<_, Option<Timestamp>>(7)?.zip(error),
    }))
}

pub(super) async fn consumer_id(
    client: &Client,
    cluster: &ClusterName,
) -> Result<Option<String>, Error> {
    let statement = client
        .prepare_cached("select id from consumers where name = $1")
        .await?;
    let row = client.query_opt(&statement, &[&cluster.as_str()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn pending(client: &Client, cluster: &ClusterName) -> Result<Pending, Error> {
    let statement = client
        .prepare_cached(concat!(
            "with p as (select id, deleted_at, coalesce(deleted_at, updated_at, created_at) as since from resources \
                 where ",
            waiting!(),
            " = $1 limit $2) \
             select count(*), count(deleted_at), (select id from p order by since, id limit 1), min(since) from p"
        ))
        .await?;
    let counted = i64::try_from(PENDING_COUNTED).unwrap_or(i64::MAX);
    let row = client
        .query_one(&statement, &[&cluster.as_str(), &counted])
        .await?;
    let oldest: Option<&str> = row.try_get(2)?;
    let since: Option<Timestamp> = row.try_get(3)?;
    Ok(Pending {
        total: row.try_get::<_, i64>(0)?.unsigned_abs(),
        deleting: row.try_get::<_, i64>(1)?.unsigned_abs(),
        oldest: oldest.map(ResourceId::from).zip(since),
    })
}

/// An event like those of new versions: every server hears of it, Go servers too, and who has the stream sends.
pub(super) async fn resend(
    client: &mut Client,
    id: &ResourceId,
    who: &str,
    instance: &Instance,
) -> Result<Option<Resend>, Error> {
    let transaction = client.transaction().await?;
    let row = transaction
        .query_opt(
            "select r.consumer_name, r.version, r.deleted_at is not null, coalesce(c.id, '') from resources r \
             left join consumers c on c.name = r.consumer_name where r.id = $1",
            &[&id.as_str()],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let cluster: Option<String> = row.try_get(0)?;
    let resend = Resend {
        cluster: cluster.unwrap_or_default().into(),
        version: row.try_get(1)?,
        deleting: row.try_get(2)?,
    };
    let kind = if resend.deleting { "Delete" } else { "Update" };
    let now = now();
    let event = instance.event_id();
    transaction
        .execute(
            concat!(
                "with noted as (insert into events (id, created_at, updated_at, source, source_id, event_type, \
                     reconciled_date) select $1, now(), now(), 'Resources', $2, $3, ",
                closed!(),
                " returning id) select pg_notify('events', id) from noted"
            ),
            &[&event, &id.as_str(), &kind],
        )
        .await?;
    let entry = AuditEntry {
        id: uuid::Uuid::new_v4().to_string(),
        at: now,
        action: action::RESEND.to_owned(),
        consumer: row.try_get(3)?,
        cluster: resend.cluster.clone(),
        who: who.to_owned(),
        reason: String::new(),
        resources: vec![id.to_string()],
    };
    note_audit(&transaction, &entry).await?;
    // Rows that another server removes at the same time are its business.
    let forget = transaction
        .prepare_cached(
            "delete from audit where id = any(array(select id from audit where consumer_id = $1 and action = $2 \
             order by at desc, id offset $3 for update skip locked))",
        )
        .await?;
    transaction
        .execute(
            &forget,
            &[&entry.consumer, &action::RESEND, &i64::from(RESENDS_KEPT)],
        )
        .await?;
    let doubt = instance.doubts.about(vec![event]);
    transaction.commit().await?;
    doubt.settle();
    Ok(Some(resend))
}

pub(super) async fn accept_orphans(client: &Client, cluster: &ClusterName) -> Result<(), Error> {
    client
        .execute(
            "update connections set orphans_accepted = $2 where consumer_name = $1",
            &[&cluster.as_str(), &now()],
        )
        .await?;
    Ok(())
}

pub(super) async fn note_audit(
    client: &impl sql_store::postgres::GenericClient,
    entry: &AuditEntry,
) -> Result<(), Error> {
    let resources =
        serde_json::to_string(&entry.resources).map_err(|error| Error::other(error.to_string()))?;
    let AuditEntry {
        id,
        at,
        action,
        consumer,
        cluster,
        who,
        reason,
        ..
    } = entry;
    client
        .execute(
            "insert into audit (id, at, action, consumer_id, consumer_name, who, reason, resources) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                id,
                at,
                action,
                consumer,
                &cluster.as_str(),
                who,
                reason,
                &Json(resources),
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn audit(client: &Client, consumer: &str) -> Result<Vec<AuditEntry>, Error> {
    let statement = client
        .prepare_cached(
            "select id, at, action, consumer_id, consumer_name, who, reason, resources from audit \
             where consumer_id = $1 or consumer_name = $1 order by at desc, id limit $2",
        )
        .await?;
    let rows = client
        .query(&statement, &[&consumer, &i64::from(AUDIT_SHOWN)])
        .await?;
    rows.iter()
        .map(|row| {
            let resources: Json<String> = row.try_get(7)?;
            Ok(AuditEntry {
                id: row.try_get(0)?,
                at: row.try_get(1)?,
                action: row.try_get(2)?,
                consumer: row.try_get(3)?,
                cluster: row.try_get::<_, &str>(4)?.into(),
                who: row.try_get(5)?,
                reason: row.try_get(6)?,
                resources: serde_json::from_str(&resources.0).unwrap_or_default(),
            })
        })
        .collect()
}

pub(super) async fn forget_sent(client: &Client) -> Result<(), Error> {
    client
        .execute(
            "delete from sends where ctid = any(array(select s.ctid from sends s \
             where s.at < now() - interval '10 minutes' \
               and not exists (select from resources r where r.id = s.resource_id) limit 50000))",
            &[],
        )
        .await?;
    Ok(())
}

pub(super) async fn gauges(client: &Client) -> Result<Gauges, Error> {
    let row = client
        .query_one("select pg_notification_queue_usage()", &[])
        .await?;
    let statement = client
        .prepare_cached(concat!(
            "select min(coalesce(deleted_at, updated_at, created_at)) from (select deleted_at, updated_at, created_at \
             from resources where ",
            waiting!(),
            " is not null order by ",
            waiting!(),
            ", id limit $1) p"
        ))
        .await?;
    let counted = i64::try_from(PENDING_COUNTED).unwrap_or(i64::MAX);
    let oldest = client.query_one(&statement, &[&counted]).await?;
    Ok(Gauges {
        queue_usage: Some(row.try_get(0)?),
        oldest_unsettled: oldest.try_get(0)?,
    })
}
