create table resources (
    id           text primary key,
    kind         text not null,
    name         text not null,
    href         text not null,
    spec         text not null,
    labels       text not null,
    tenancy      text not null,
    generation   integer not null,
    created_time text not null,
    updated_time text not null,
    created_by   text not null,
    updated_by   text not null,
    deleted_time text,
    deleted_by   text,
    owner_id     text references resources (id),
    owner_kind   text,
    owner_href   text,
    conditions   text not null
) strict;

-- A name is free again as soon as deletion starts.
create unique index resources_root_name on resources (kind, name, tenancy) where owner_id is null and deleted_time is null;
create unique index resources_child_name on resources (owner_id, kind, name) where owner_id is not null and deleted_time is null;
create index resources_kind_age on resources (kind, created_time desc, id desc);
create index resources_owner on resources (owner_id);

create table resource_references (
    source_id text not null references resources (id) on delete cascade,
    ref_type  text not null,
    position  integer not null,
    target_id text not null references resources (id),
    primary key (source_id, ref_type, target_id)
) strict, without rowid;
create index resource_references_target on resource_references (target_id);

create table adapter_statuses (
    resource_id         text not null references resources (id) on delete cascade,
    adapter             text not null,
    observed_generation integer not null,
    conditions          text not null,
    metadata            text,
    data                text not null,
    created_time        text not null,
    last_report_time    text not null,
    primary key (resource_id, adapter)
) strict;
