//! The schema: what upstream's ten migrations leave behind, under their ids, and tables of ours that upstream ignores.

use sql_store::Migration;

/// The advisory lock around migrations: upstream's key of the type `migrations`, which it defines and doesn't use.
pub(super) const LOCK_KEY: i64 = 457_026_696;

/// The cluster that a row waits for, null when its agent has settled it: it isn't deleting and has a status of its version.
/// The text is that of the index: asked in these words, the planner has no choice but to use it. (It takes conditions on
/// statuses for true of nearly all rows and would rather read all rows of a cluster, unpacking each status.) A Go server
/// leaves JSON null where there is no status.
macro_rules! waiting {
    () => {
        "(case when deleted_at is not null or case when (status ->> 'resourceversion') ~ '^[0-9]{1,18}$' \
         then (status ->> 'resourceversion')::bigint end is distinct from version then consumer_name end)"
    };
}
pub(super) use waiting;

/// Whether a Go server uses the database: somebody gives signs of life in `server_instances` and not (as late) in
/// `replicas`, where only servers of this kind do.
macro_rules! go_is_here {
    () => {
        "exists (select from server_instances i where (i.ready or i.last_heartbeat > now() - interval '1 minute') \
             and not exists (select from replicas o where o.id = i.id and o.last_seen >= i.last_heartbeat))"
    };
}
pub(super) use go_is_here;

/// `reconciled_date` of a new event. Our servers never look at it; a Go server passes over events that have one, and may be
/// the one whose agent is meant.
macro_rules! closed {
    () => {
        concat!("case when ", go_is_here!(), " then null else now() end")
    };
}
pub(super) use closed;

pub(super) const STEPS: &[Migration] = &[
    // A sample table, dropped again four steps later.
    Migration { id: "201911212019", sql: "" },
    Migration {
        id: "202309020925",
        sql: "
create table if not exists events (
    id text primary key, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    source text, source_id text, event_type text, reconciled_date timestamptz);
create index if not exists idx_events_deleted_at on events (deleted_at);
create index if not exists idx_events_source on events (source);
create index if not exists idx_events_source_id on events (source_id);
create index if not exists idx_events_reconciled_date on events (reconciled_date);",
    },
    Migration {
        id: "202311151850",
        sql: "
create table if not exists resources (
    name text, id text primary key, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    source text, consumer_name text, version bigint not null, type text, payload jsonb, status jsonb);
create unique index if not exists idx_resources_name on resources (name);
create index if not exists idx_resources_deleted_at on resources (deleted_at);
create index if not exists idx_resources_source on resources (source);
create index if not exists idx_resources_consumer_name on resources (consumer_name);
create index if not exists idx_resources_type on resources (type);",
    },
    Migration {
        id: "202311151856",
        sql: "
create table if not exists consumers (
    id text primary key, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    name text not null, labels jsonb);
create unique index if not exists idx_consumers_name on consumers (name);
create index if not exists idx_consumers_deleted_at on consumers (deleted_at);
alter table resources add constraint fk_resources_consumers foreign key (consumer_name)
    references consumers (name) on delete restrict on update restrict;",
    },
    Migration { id: "202311151859", sql: "drop table if exists dinosaurs;" },
    Migration {
        id: "202401151014",
        sql: "
create table if not exists server_instances (
    id text primary key, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz);
create index if not exists idx_server_instances_deleted_at on server_instances (deleted_at);",
    },
    Migration {
        id: "202406241426",
        sql: "
create table if not exists status_events (
    id text primary key, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    resource_id text, resource_source text, resource_type text, payload jsonb, status jsonb,
    status_event_type text, reconciled_date timestamptz);
create index if not exists idx_status_events_deleted_at on status_events (deleted_at);
create index if not exists idx_status_events_resource_id on status_events (resource_id);
create index if not exists idx_status_events_reconciled_date on status_events (reconciled_date);",
    },
    Migration {
        id: "202406241506",
        sql: "
create table if not exists event_instances (event_id text, instance_id text);
create index if not exists idx_event_instances_event_id on event_instances (event_id);
create index if not exists idx_event_instances_instance_id on event_instances (instance_id);
create index if not exists idx_status_event_instance on event_instances (event_id, instance_id);",
    },
    Migration {
        id: "202412171429",
        sql: "
alter table server_instances add column if not exists last_heartbeat timestamptz;
alter table server_instances add column if not exists ready boolean default false;",
    },
    Migration {
        id: "202412181141",
        sql: "
alter table event_instances add column if not exists spec_event_id text;
create index if not exists idx_event_instances_spec_event_id on event_instances (spec_event_id);
alter table event_instances add constraint fk_event_instances_server_instances foreign key (instance_id)
    references server_instances (id) on delete cascade;
alter table event_instances add constraint fk_event_instances_status_events foreign key (event_id)
    references status_events (id) on delete cascade;
alter table event_instances add constraint fk_event_instances_events foreign key (spec_event_id)
    references events (id) on delete cascade;",
    },
    Migration {
        id: "rust-0001-delivery",
        sql: "
-- Reminders of rows that the agent hasn't settled in time.
create table if not exists delivery (
    resource_id text primary key references resources (id) on delete cascade,
    attempts integer not null, due timestamptz not null);
-- Ids that existed: tells an orphan from a row that this database never knew.
create table if not exists tombstones (
    id text primary key, consumer_name text not null, created_at timestamptz not null, removed_at timestamptz not null);
create index if not exists idx_tombstones_removed_at on tombstones (removed_at);
-- When the agent of a cluster was last connected to any server.
create table if not exists connections (consumer_name text primary key, last_seen timestamptz not null);
-- Consumers that were removed by force.
create table if not exists audit (
    id text primary key, at timestamptz not null, consumer_name text not null, who text not null, reason text not null,
    resources jsonb not null);
create index if not exists idx_resources_consumer_name_id on resources (consumer_name, id);
create index if not exists idx_resources_source_id on resources (source, id);
create index if not exists idx_events_created_at on events (created_at);
create index if not exists idx_status_events_created_at on status_events (created_at);",
    },
    Migration {
        // Large documents are bound by their compression. Servers built without lz4 keep what they have.
        id: "rust-0002-lz4",
        sql: "
do $$ begin
    alter table resources alter column payload set compression lz4, alter column status set compression lz4;
    alter table status_events alter column payload set compression lz4, alter column status set compression lz4;
exception when others then
    raise notice 'lz4 is not available: %', sqlerrm;
end $$;",
    },
    Migration {
        // What explains deliveries. Sends are written in batches and may be lost in a crash: nothing is decided by them.
        id: "rust-0003-explain",
        sql: "
create unlogged table if not exists sends (
    resource_id text primary key, version bigint not null, deleting boolean not null, event text not null,
    action text not null, at timestamptz not null, times integer not null, instance text not null, error text,
    error_at timestamptz);
alter table connections add column if not exists noted timestamptz, add column if not exists stream text,
    add column if not exists instance text, add column if not exists since timestamptz,
    add column if not exists last_resync timestamptz, add column if not exists waiting bigint not null default 0,
    add column if not exists orphans bigint not null default 0, add column if not exists orphans_accepted timestamptz,
    add column if not exists error text, add column if not exists error_at timestamptz;
alter table audit add column if not exists action text not null default 'force-remove',
    add column if not exists consumer_id text not null default '';
create index if not exists idx_audit_consumer_id on audit (consumer_id);
create index if not exists idx_audit_consumer_name on audit (consumer_name);",
    },
    Migration {
        id: "rust-0003-replicas",
        sql: concat!(
            "
-- Servers of this kind, with the sign of life that they also leave in server_instances.
create table if not exists replicas (id text primary key, last_seen timestamptz not null);
-- What an agent said that it has, for the server that holds its stream; the newest word of each cluster.
create unlogged table if not exists resyncs (
    consumer_name text primary key references consumers (name) on delete cascade on update cascade,
    id text not null, at timestamptz not null, versions text not null);
create index if not exists idx_resyncs_at on resyncs (at);
-- Reminders are found by their time, whatever else waits.
alter table delivery add column if not exists consumer_name text;
update delivery d set consumer_name = r.consumer_name from resources r where r.id = d.resource_id;
create index if not exists idx_delivery_due on delivery (consumer_name, due);
drop index if exists idx_resources_unsettled;
create index if not exists idx_resources_waiting on resources (",
            waiting!(),
            ", id) where ",
            waiting!(),
            " is not null;"
        ),
    },
];
