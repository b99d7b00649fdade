-- Texts compare byte by byte, so that lists have the same order on every server and on SQLite.
create table resources (
    id           text collate "C" primary key,
    kind         text collate "C" not null,
    name         varchar(100) collate "C" not null,
    href         text collate "C" not null,
    spec         jsonb not null,
    labels       jsonb not null,
    tenancy      jsonb not null,
    generation   integer not null,
    created_time timestamptz not null,
    updated_time timestamptz not null,
    created_by   text collate "C" not null,
    updated_by   text collate "C" not null,
    deleted_time timestamptz,
    deleted_by   text collate "C",
    owner_id     text collate "C" references resources (id),
    owner_kind   text collate "C",
    owner_href   text collate "C",
    conditions   jsonb not null
);

-- A name is free again as soon as deletion starts.
create unique index resources_root_name on resources (kind, name, tenancy) where owner_id is null and deleted_time is null;
create unique index resources_child_name on resources (owner_id, kind, name) where owner_id is not null and deleted_time is null;
create index resources_kind_age on resources (kind, created_time desc, id desc);
create index resources_owner on resources (owner_id);

create table resource_references (
    source_id text collate "C" not null references resources (id) on delete cascade,
    ref_type  text collate "C" not null,
    position  integer not null,
    target_id text collate "C" not null references resources (id),
    primary key (source_id, ref_type, target_id)
);
create index resource_references_target on resource_references (target_id);

create table adapter_statuses (
    resource_id         text collate "C" not null references resources (id) on delete cascade,
    adapter             text collate "C" not null,
    observed_generation integer not null,
    conditions          jsonb not null,
    metadata            jsonb,
    data                jsonb not null,
    created_time        timestamptz not null,
    last_report_time    timestamptz not null,
    primary key (resource_id, adapter)
);
