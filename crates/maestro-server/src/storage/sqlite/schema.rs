//! The tables. Columns have the names of the PostgreSQL schema, because searches name them.

use sql_store::Migration;

pub(super) const STEPS: &[Migration] = &[TABLES, EXPLAIN];

const TABLES: Migration = Migration {
    id: "0001-tables",
    sql: "
create table consumers (
    id text not null primary key,
    name text not null unique,
    labels text,
    created_at text not null,
    updated_at text not null,
    deleted_at text
) strict;

-- `metadata` is the one of the payload, so that searches by label read no payload;
-- `sequence` and `observed_version` are those of the status.
create table resources (
    id text not null primary key,
    name text not null unique,
    source text not null,
    consumer_name text not null references consumers (name),
    version integer not null,
    type text not null default '',
    created_at text not null,
    updated_at text not null,
    deleted_at text,
    metadata text,
    sequence text,
    observed_version integer,
    status_hash text,
    payload text not null,
    status text
) strict;
create index resources_by_consumer on resources (consumer_name, id);
create index resources_by_source on resources (source, id);
create index resources_unsettled on resources (consumer_name, id)
    where deleted_at is not null or observed_version is not version;

-- Reminders of rows that the agent hasn't settled in time.
create table delivery (
    resource_id text not null primary key references resources (id) on delete cascade,
    attempts integer not null,
    due text not null
) strict, without rowid;

-- Ids that existed: tells an orphan from a row that this database never knew.
create table tombstones (
    id text not null primary key,
    consumer_name text not null,
    created_at text not null,
    removed_at text not null
) strict, without rowid;
create index tombstones_by_age on tombstones (removed_at);

-- Final statuses on their way to sources.
create table removals (
    event text not null primary key,
    resource_id text not null,
    payload text not null,
    status text not null,
    created_at text not null
) strict;
create index removals_by_age on removals (created_at);

-- When the agent of a cluster was last connected.
create table connections (
    consumer_name text not null primary key,
    last_seen text not null
) strict, without rowid;

-- Consumers that were removed by force.
create table audit (
    id text not null primary key,
    at text not null,
    consumer_name text not null,
    who text not null,
    reason text not null,
    resources text not null
) strict;
",
};

const EXPLAIN: Migration = Migration {
    id: "0002-explain",
    sql: "
-- What was given to agents last. Written in batches.
create table sends (
    resource_id text not null primary key,
    version integer not null,
    deleting integer not null,
    event text not null,
    action text not null,
    at text not null,
    times integer not null,
    error text,
    error_at text
) strict, without rowid;
alter table connections add column stream text;
alter table connections add column since text;
alter table connections add column last_resync text;
alter table connections add column waiting integer not null default 0;
alter table connections add column orphans integer not null default 0;
alter table connections add column orphans_accepted text;
alter table connections add column error text;
alter table connections add column error_at text;
alter table audit add column action text not null default 'force-remove';
alter table audit add column consumer_id text not null default '';
create index audit_by_consumer_id on audit (consumer_id);
create index audit_by_consumer_name on audit (consumer_name);
",
};
