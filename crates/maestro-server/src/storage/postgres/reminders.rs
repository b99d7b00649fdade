//! Finding rows that an agent hasn't settled in time, at a cost that depends on how many there are to remind of and not on
//! how many wait.
//!
//! Two looks, each along an index and with a limit: rows whose next reminder is due, and a walk over the unsettled rows of
//! the connected clusters, some of them in each sweep, for those that never had one, whatever way they came.
//!
//! The clock is the database's: it is one, while servers have one each. Changes carry the clock of the server that made
//! them, which may be ahead of it, or the database may have moved to a machine that is behind: what lies further ahead than
//! it can is due.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Row;

use super::super::{Error, LONGEST_REMINDER, Overdue, reminder_after, spread};
use super::schema::waiting;
use crate::model::ClusterName;

/// Reminders of one cluster in one sweep, at most.
const SHARE: usize = 500;
/// Rows that one sweep walks over.
const STEPS: usize = 20_000;
/// Rows of one cluster that one sweep walks over, at least (if there are steps left).
const LEAST_STEPS: usize = 500;

/// How far the walk has come.
#[derive(Default)]
pub(super) struct Walk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last row that was passed, by id; clusters that aren't listed begin.
    after: HashMap<ClusterName, String>,
    /// Whose turn it is.
    next: Option<ClusterName>,
    /// The last cluster whose due reminders were found, if there was no room for those of all.
    reminded: Option<ClusterName>,
}

impl State {
    /// The clusters, beginning with the one whose turn it is.
    fn turns<'a>(&mut self, clusters: &'a [ClusterName]) -> Vec<&'a ClusterName> {
        let mut turns: Vec<&ClusterName> = clusters.iter().collect();
        turns.sort_unstable();
        self.after
            .retain(|cluster, _| turns.binary_search(&cluster).is_ok());
        if let Some(next) = self.next.take() {
            let at = turns.partition_point(|cluster| **cluster < next);
            turns.rotate_left(at);
        }
        turns
    }
}

impl State {
    /// The clusters whose due reminders are looked for, beginning after the one that was served last.
    fn due_turns(&self, clusters: &[ClusterName]) -> Vec<String> {
        let mut turns: Vec<&ClusterName> = clusters.iter().collect();
        turns.sort_unstable();
        if let Some(last) = &self.reminded {
            let at = turns.partition_point(|cluster| *cluster <= last);
            turns.rotate_left(at);
        }
        turns.into_iter().map(ToString::to_string).collect()
    }
}

/// A row that the walk came by.
#[derive(Debug)]
struct Passed {
    row: Overdue,
    /// It wants its first reminder.
    wants: bool,
}

impl State {
    /// Takes the reminders that fit, and notes where to go on. `step` is how many rows of a cluster were asked for.
    fn take(&mut self, passed: Vec<Passed>, step: usize, limit: usize, found: &mut Vec<Overdue>) {
        let cut = passed.len() >= STEPS;
        let last = passed.last().map(|passed| passed.row.cluster.clone());
        let mut clusters: Vec<(ClusterName, Vec<Passed>)> = Vec::new();
        for row in passed {
            match clusters.last_mut() {
                Some((cluster, rows)) if *cluster == row.row.cluster => rows.push(row),
                _ => clusters.push((row.row.cluster.clone(), vec![row])),
            }
        }
        for (cluster, rows) in clusters {
            let whole = rows.len() < step && !(cut && Some(&cluster) == last.as_ref());
            let (mut share, mut full) = (0, false);
            let mut passed = None;
            for row in rows {
                if row.wants {
                    if share == SHARE || found.len() >= limit {
                        full = true;
                        break;
                    }
                    share += 1;
                    found.push(row.row.clone());
                }
                passed = Some(row.row.id);
            }
            if full && self.next.is_none() {
                self.next = Some(cluster.clone());
            }
            if whole && !full {
                self.after.remove(&cluster);
            } else if let Some(passed) = passed {
                self.after.insert(cluster, passed.to_string());
            }
        }
        if cut && self.next.is_none() {
            self.next = last;
        }
    }
}

const DUE: &str = concat!(
    "select d.resource_id, c.name, r.deleted_at is not null, d.attempts, coalesce(",
    waiting!(),
    " = c.name, false) from unnest($1::text[]) as c (name) cross join lateral ( \
         (select resource_id, attempts from delivery \
          where consumer_name = c.name and due <= now() order by due limit $3) \
         union all \
         (select resource_id, attempts from delivery \
          where consumer_name = c.name and due > now() + $2::float8 * interval '1 second' limit $3) limit $3) d \
     left join resources r on r.id = d.resource_id limit $4"
);

const WALK: &str = concat!(
    "select r.id, c.name, r.deleting, not exists (select from delivery d where d.resource_id = r.id) \
         and coalesce(r.changed <= now() - $5::float8 * interval '1 second' \
             or r.changed > now() + $5::float8 * interval '1 second', true) \
     from unnest($1::text[], $2::text[]) as c (name, start) cross join lateral ( \
         select id, deleted_at is not null as deleting, coalesce(deleted_at, updated_at) as changed from resources \
         where ",
    waiting!(),
    " = c.name and id > c.start order by id limit $3) r limit $4"
);

/// Finds rows that want a reminder, clusters in turn, and notes that they had it.
pub(super) async fn overdue(
    client: &Client,
    walk: &Walk,
    clusters: &[ClusterName],
    grace: Duration,
    limit: usize,
) -> Result<Vec<Overdue>, Error> {
    let longest = LONGEST_REMINDER.as_secs_f64();
    let grace_seconds = grace.as_secs_f64();
    let step = (STEPS / clusters.len().max(1)).max(LEAST_STEPS);
    // Clusters with reminders without end leave room for first ones.
    let due_limit = limit - limit / 4;
    let (due_names, (names, starts)): (Vec<String>, (Vec<String>, Vec<String>)) = {
        let mut state = walk.state.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = state.turns(clusters);
        let start = |cluster: &ClusterName| state.after.get(cluster).cloned().unwrap_or_default();
        let walk = turns
            .into_iter()
            .map(|cluster| (cluster.to_string(), start(cluster)))
            .unzip();
        (state.due_turns(clusters), walk)
    };
    let due = client.prepare_cached(DUE).await?;
    let walking = client.prepare_cached(WALK).await?;
    let (due, walked) = tokio::try_join!(
        async {
            client
                .query(
                    &due,
                    &[&due_names, &longest, &count(SHARE), &count(due_limit)],
                )
                .await
        },
        async {
            client
                .query(
                    &walking,
                    &[&names, &starts, &count(step), &count(STEPS), &grace_seconds],
                )
                .await
        },
    )?;
    let mut found: Vec<Overdue> = Vec::new();
    let mut settled = Vec::new();
    for row in &due {
        if row.try_get(4)? {
            let attempts = u32::try_from(row.try_get::<_, i32>(3)?).unwrap_or(0);
            found.push(overdue_row(row, attempts)?);
        } else {
            settled.push(row.try_get::<_, &str>(0)?);
        }
    }
    let mut passed = Vec::with_capacity(walked.len());
    for row in &walked {
        passed.push(Passed {
            row: overdue_row(row, 0)?,
            wants: row.try_get(3)?,
        });
    }
    let last_due = match due.last() {
        Some(row) if due.len() >= due_limit => Some(row.try_get::<_, &str>(1)?.into()),
        _ => None,
    };
    {
        let mut state = walk.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.reminded = last_due;
        state.take(passed, step, limit, &mut found);
    }
    if !settled.is_empty() {
        let forget = client
            .prepare_cached(
                "delete from delivery where resource_id = any(array( \
                 select resource_id from delivery where resource_id = any($1) for update skip locked))",
            )
            .await?;
        client.execute(&forget, &[&settled]).await?;
    }
    if !found.is_empty() {
        note(client, &found, grace).await?;
    }
    Ok(found)
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn overdue_row(row: &Row, attempts: u32) -> Result<Overdue, Error> {
    Ok(Overdue {
        id: row.try_get::<_, &str>(0)?.into(),
        cluster: row.try_get::<_, &str>(1)?.into(),
        deleting: row.try_get::<_, Option<bool>>(2)?.unwrap_or_default(),
        attempts,
    })
}

async fn note(client: &Client, reminded: &[Overdue], grace: Duration) -> Result<(), Error> {
    let (mut ids, mut clusters) = (Vec::new(), Vec::new());
    let (mut attempts, mut pauses) = (Vec::new(), Vec::new());
    for (number, row) in reminded.iter().enumerate() {
        let pause = reminder_after(grace, row.attempts + 1, spread(number));
        ids.push(row.id.as_str());
        clusters.push(row.cluster.as_str());
        attempts.push(i32::try_from(row.attempts + 1).unwrap_or(i32::MAX));
        pauses.push(pause.as_secs_f64());
    }
    // Whoever writes to this table holds the row of the resource; those that somebody holds have their turn in the next
    // sweep. So sweeps and writes never wait for each other in a circle.
    let statement = client
        .prepare_cached(
            "with alive as (select id from resources where id = any($1) order by id for no key update skip locked) \
             insert into delivery (resource_id, consumer_name, attempts, due) \
             select t.id, t.consumer_name, t.attempts, now() + t.pause * interval '1 second' \
             from unnest($1::text[], $2::text[], $3::int[], $4::float8[]) as t (id, consumer_name, attempts, pause) \
             join alive on alive.id = t.id order by t.id \
             on conflict (resource_id) do update set consumer_name = excluded.consumer_name, \
                 attempts = excluded.attempts, due = excluded.due",
        )
        .await?;
    client
        .execute(&statement, &[&ids, &clusters, &attempts, &pauses])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(cluster: &str, ids: std::ops::Range<usize>, wants: bool) -> Vec<Passed> {
        ids.map(|id| Passed {
            row: Overdue {
                id: format!("{id:06}").into(),
                cluster: cluster.into(),
                attempts: 0,
                deleting: false,
            },
            wants,
        })
        .collect()
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped_and_begins_again() {
        let mut state = State::default();
        let mut found = Vec::new();
        state.take(passed("a", 0..700, true), 1000, 2000, &mut found);
        assert_eq!(found.len(), SHARE, "no cluster takes all");
        assert_eq!(state.after["a"], "000499");
        let clusters = ["b".into(), "a".into(), "c".into()];
        assert_eq!(state.turns(&clusters)[0].as_str(), "a");
        found.clear();
        state.take(passed("a", 500..700, true), 1000, 2000, &mut found);
        assert_eq!(found.len(), 200);
        assert!(state.after.is_empty(), "the end was reached");
        found.clear();
        state.take(passed("b", 0..1000, false), 1000, 2000, &mut found);
        assert_eq!((found.len(), state.after["b"].as_str()), (0, "000999"));
    }

    #[test]
    fn nothing_is_passed_over_when_there_is_no_room() {
        let mut state = State::default();
        let mut found = passed("x", 0..1999, true)
            .into_iter()
            .map(|p| p.row)
            .collect();
        let mut rows = passed("a", 0..3, true);
        rows.extend(passed("b", 0..3, true));
        state.take(rows, 1000, 2000, &mut found);
        assert_eq!(found.len(), 2000);
        assert_eq!(state.after["a"], "000000");
        assert!(!state.after.contains_key("b"), "b begins next time");
        let clusters = ["a".into(), "b".into()];
        assert_eq!(state.turns(&clusters)[0].as_str(), "a");
    }
}
