//! The contract of a storage, below the server: what each method of the trait promises, on both databases.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event_wire::attribute::name;
use event_wire::{Action, Event, EventType, Stamp, Subresource};
use maestro_server::model::{
    Change, Consumer, Delete, Done, Ignored, Operation, Refusal, Report, ResourceId, Spec,
    SpecChange,
};
use maestro_server::storage::facts::{AuditEntry, Ended, Presence, RESENDS_KEPT, action};
use maestro_server::storage::postgres::Postgres;
use maestro_server::storage::search::{Selection, Table};
use maestro_server::storage::sqlite::Sqlite;
use maestro_server::storage::{
    Batch, Error, Forced, ForcedOutcome, Kept, KeptSpec, Query, Slot, Store, now,
};
use serde_json::json;

macro_rules! on_all_stores {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn memory() {
                super::$name(super::memory()).await;
            }

            #[tokio::test]
            async fn sqlite() {
                let folder = crate::harness::folder();
                super::$name(super::file(folder.path())).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name(super::postgres().await).await;
            }
        }
    )*};
}

on_all_stores!(
    a_batch_decides_each_operation_for_itself,
    updates_and_statuses_leave_each_other_alone,
    documents_that_the_reader_has_are_left_out,
    the_end_of_a_resource_leaves_its_last_words,
    rows_are_walked_in_the_order_of_their_ids,
    unsettled_rows_are_found_and_reminded_of_with_patience,
    consumers_are_unique_and_held_by_their_resources,
    connections_are_noted_of_registered_clusters_only,
    lists_are_windows_on_a_selection,
    a_consumer_ends_by_force,
    f6_a_large_cluster_ends_in_portions,
    f6_large_statuses_end_in_smaller_portions,
    what_anybody_may_ask_for_is_not_kept_for_ever,
);

fn memory() -> Arc<dyn Store> {
    Arc::new(Sqlite::in_memory().unwrap())
}

fn file(folder: &Path) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(&folder.join("a.db")).unwrap())
}

async fn postgres() -> Arc<dyn Store> {
    let server = testkit::postgres::Server::shared().await.unwrap();
    open(&server.database().await.unwrap().url()).await
}

async fn open(url: &str) -> Arc<dyn Store> {
    let config = sql_store::postgres::Config::from_url(url).unwrap();
    let opened = Box::pin(Postgres::open(&config, 10, "test", Duration::from_secs(15))).await;
    Arc::new(opened.unwrap())
}

async fn register(store: &dyn Store, name: &str) -> Consumer {
    let id = format!("id-of-{name}");
    let consumer = Consumer {
        id,
        name: name.into(),
        labels: [("a".into(), "b".into())].into(),
        created_at: now(),
        updated_at: now(),
    };
    store.create_consumer(&consumer).await.unwrap();
    consumer
}

fn spec(id: &str, cluster: &str, version: i64, content: &str) -> Spec {
    let kind = EventType::manifest_bundles(Subresource::Spec, Action::CreateRequest);
    let mut event = Event::new(kind, "s1", Stamp::now());
    event
        .set(
            name::METADATA,
            json!({"name": format!("work-{id}"), "labels": {"content": content}}).to_string(),
        )
        .set_json(&json!({"manifests": [], "content": content}));
    Spec {
        id: id.into(),
        source: "s1".into(),
        cluster: cluster.into(),
        version,
        event,
    }
}

/// An operator's word that a cluster has ended, whatever lives there.
fn forced(doomed: &Consumer) -> Forced {
    Forced {
        id: doomed.id.clone(),
        cluster: doomed.name.clone(),
        reason: "burnt".into(),
        who: "me".into(),
        include_live: true,
        first: true,
    }
}

fn create(id: &str, cluster: &str) -> Operation {
    Operation::Create(spec(id, cluster, 0, "first"))
}

fn delete(id: &str) -> Operation {
    Operation::Delete(Delete {
        id: id.into(),
        source: None,
    })
}

/// A sequence id of an agent; all agents are node 1.
fn sequence_id(number: i64) -> String {
    ((number << 22) + (1 << 12)).to_string()
}

fn report(id: &str, cluster: &str, version: i64, sequence: i64, deleted: bool) -> Operation {
    let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
    let mut event = Event::new(kind, "agent", Stamp::now());
    event
        .set(name::RESOURCE_ID, id)
        .set(name::RESOURCE_VERSION, i32::try_from(version).unwrap())
        .set(name::SEQUENCE_ID, sequence_id(sequence))
        .set(name::STATUS_HASH, format!("hash-{sequence}"))
        .set(name::METADATA, json!({"name": id}).to_string())
        .set_json(&json!({"conditions": [], "sequence": sequence}));
    Operation::Status(Report {
        id: id.into(),
        cluster: cluster.into(),
        version,
        sequence: sequence_id(sequence).parse().ok(),
        deleted,
        life: None,
        event,
    })
}

async fn apply(
    store: &dyn Store,
    operations: Vec<Operation>,
) -> Vec<(Result<Done, Refusal>, Option<Change>)> {
    let batch = Batch {
        operations: operations.into(),
        isolate_sources: true,
    };
    let slots = store.apply(batch).await.unwrap();
    slots
        .into_iter()
        .map(|slot| match slot {
            Slot::Decided { outcome, change } => (outcome, change),
            Slot::Busy => panic!("nobody else is here"),
        })
        .collect()
}

async fn one(store: &dyn Store, operation: Operation) -> (Result<Done, Refusal>, Option<Change>) {
    apply(store, vec![operation]).await.pop().unwrap()
}

/// One operation that isn't refused.
async fn done(store: &dyn Store, operation: Operation) {
    let (outcome, _) = one(store, operation).await;
    outcome.unwrap();
}

async fn a_batch_decides_each_operation_for_itself(store: Arc<dyn Store>) {
    register(&*store, "c1").await;
    apply(&*store, vec![create("old", "c1"), create("gone", "c1")]).await;
    let outcomes = apply(
        &*store,
        vec![
            create("new", "c1"),
            create("nowhere", "c9"),
            create("old", "c1"),
            delete("gone"),
            delete("nobody"),
            Operation::Update(spec("absent", "c1", 1, "x")),
            report("absent2", "c1", 1, 1, false),
        ],
    )
    .await;
    assert!(matches!(
        &outcomes[0],
        (
            Ok(Done::Created),
            Some(Change::Spec {
                kind: SpecChange::Created,
                ..
            })
        )
    ));
    assert!(matches!(
        &outcomes[1],
        (Err(Refusal::UnknownConsumer(_)), None)
    ));
    assert!(matches!(&outcomes[2], (Err(Refusal::AlreadyExists), None)));
    assert!(matches!(
        &outcomes[3],
        (
            Ok(Done::Deleting),
            Some(Change::Spec {
                kind: SpecChange::Deleted,
                ..
            })
        )
    ));
    assert!(matches!(&outcomes[4], (Ok(Done::NothingToDelete), None)));
    assert!(matches!(&outcomes[5], (Err(Refusal::NotFound(_)), None)));
    assert!(matches!(
        &outcomes[6],
        (Ok(Done::Ignored(Ignored::Gone)), None)
    ));
    let row = store.resource(&"new".into()).await.unwrap().unwrap();
    assert_eq!(
        (row.version, row.source.as_str(), row.cluster.as_str()),
        (1, "s1", "c1")
    );
    assert!(row.status.is_none() && row.deleted_at.is_none());
    assert!(
        store
            .resource(&"gone".into())
            .await
            .unwrap()
            .unwrap()
            .deleted_at
            .is_some()
    );
    assert!(store.resource(&"nowhere".into()).await.unwrap().is_none());
    let found = store
        .resources(&["new".into(), "nobody".into(), "old".into()])
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
}

async fn updates_and_statuses_leave_each_other_alone(store: Arc<dyn Store>) {
    register(&*store, "c1").await;
    done(&*store, create("r", "c1")).await;
    assert!(matches!(
        one(&*store, report("r", "c1", 1, 5, false)).await.0,
        Ok(Done::Stored {
            first_since: Some(_)
        })
    ));
    let before = store.resource(&"r".into()).await.unwrap().unwrap();
    assert!(matches!(
        one(&*store, Operation::Update(spec("r", "c1", 1, "second")))
            .await
            .0,
        Ok(Done::Updated)
    ));
    let after = store.resource(&"r".into()).await.unwrap().unwrap();
    assert_eq!((after.version, &after.status), (2, &before.status));
    assert_ne!(after.payload, before.payload);
    assert!(matches!(
        one(&*store, report("r", "c1", 1, 6, false)).await.0,
        Ok(Done::Ignored(Ignored::OtherVersion))
    ));
    assert!(matches!(
        one(&*store, report("r", "c1", 2, 5, false)).await.0,
        Ok(Done::Ignored(Ignored::NotNewer(_)))
    ));
    let (outcome, change) = one(&*store, report("r", "c1", 2, 6, false)).await;
    assert!(matches!(outcome, Ok(Done::Stored { first_since: None })));
    assert_eq!(
        change,
        Some(Change::Status {
            id: "r".into(),
            source: "s1".into()
        })
    );
    let last = store.resource(&"r".into()).await.unwrap().unwrap();
    assert_eq!((last.version, &last.payload), (2, &after.payload));
    let status = event_wire::stored::from_str(&last.status.unwrap()).unwrap();
    assert_eq!(
        status.metadata().unwrap().unwrap().name,
        "work-r",
        "the spec's metadata"
    );
    assert_eq!(
        status.metadata().unwrap().unwrap().labels["content"],
        "second"
    );
    assert!(matches!(
        one(&*store, Operation::Update(spec("r", "c1", 9, "second")))
            .await
            .0,
        Ok(Done::Unchanged)
    ));
    let hashes = store.status_hashes(&"s1".into(), None, 10).await.unwrap();
    assert_eq!(hashes[0].hash.as_deref(), Some("hash-6"));
}

async fn documents_that_the_reader_has_are_left_out(store: Arc<dyn Store>) {
    register(&*store, "c1").await;
    let since = now();
    done(&*store, create("a", "c1")).await;
    let until = now();
    done(&*store, report("a", "c1", 1, 7, false)).await;
    let kept = |version: i64, sequence: Option<i64>| Kept {
        id: "a".into(),
        spec: Some(KeptSpec {
            version,
            since,
            until,
        }),
        status: sequence.map(|number| sequence_id(number).parse().unwrap()),
    };
    let read = async |kept: Kept, with_status: bool| {
        let mut rows = store.resources_beside(&[kept], with_status).await.unwrap();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    };
    let both = read(kept(1, Some(7)), true).await;
    assert!(both.spec_is_kept && both.status_is_kept && both.row.status.is_none());
    assert!(!both.row.payload.contains("first"));
    assert_eq!((both.row.version, both.row.id.as_str()), (1, "a"));

    let nothing = Kept {
        id: "a".into(),
        spec: None,
        status: None,
    };
    let neither = read(nothing.clone(), true).await;
    assert!(!neither.spec_is_kept && !neither.status_is_kept);
    assert!(neither.row.payload.contains("first") && neither.row.status.is_some());
    assert!(read(nothing, false).await.row.status.is_none(), "not asked");

    let older_status = read(kept(1, Some(6)), true).await;
    assert!(older_status.spec_is_kept && !older_status.status_is_kept);
    assert!(older_status.row.status.is_some());
    let other_version = read(kept(2, None), true).await;
    assert!(!other_version.spec_is_kept && other_version.row.payload.contains("first"));

    // A later life of the id, with the same version.
    done(&*store, delete("a")).await;
    done(&*store, report("a", "c1", 1, 8, true)).await;
    done(&*store, create("a", "c1")).await;
    let later = read(kept(1, Some(7)), true).await;
    assert!(!later.spec_is_kept && !later.status_is_kept);
    assert!(later.row.payload.contains("first") && later.row.status.is_none());
    let gone = Kept {
        id: "b".into(),
        ..kept(1, None)
    };
    assert!(
        store
            .resources_beside(&[gone], true)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_end_of_a_resource_leaves_its_last_words(store: Arc<dyn Store>) {
    register(&*store, "c1").await;
    done(&*store, create("r", "c1")).await;
    let (outcome, change) = one(&*store, report("r", "c1", 1, 1, true)).await;
    assert!(matches!(outcome, Ok(Done::Ignored(Ignored::NotDeleting))));
    assert!(
        matches!(change, Some(Change::Spec { .. })),
        "the agent should get it again"
    );
    done(&*store, delete("r")).await;
    let life = store
        .resource(&"r".into())
        .await
        .unwrap()
        .unwrap()
        .created_at;
    let (outcome, change) = one(&*store, report("r", "c1", 1, 1, true)).await;
    assert!(matches!(outcome, Ok(Done::Removed)));
    let Some(Change::Removed { id, source, event }) = change else {
        panic!("{change:?}")
    };
    assert_eq!((id.as_str(), source.as_str()), ("r", "s1"));
    assert!(store.resource(&id).await.unwrap().is_none());
    let words = store.removals(&["other".into(), event]).await.unwrap();
    assert_eq!((words.len(), &words[0].id), (1, &id));
    assert!(words[0].payload.contains("first") && words[0].status.contains("work-r"));
    assert_eq!(
        store
            .tombstones(&"c1".into(), &["r".into(), "x".into()])
            .await
            .unwrap(),
        ["r".into()]
    );
    assert!(
        store
            .tombstones(&"c2".into(), &["r".into()])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        one(&*store, create("r", "c1")).await.0,
        Ok(Done::Created)
    ));
    let next = store
        .resource(&"r".into())
        .await
        .unwrap()
        .unwrap()
        .created_at;
    assert!(
        next.as_second() > life.as_second(),
        "two lives never share a second"
    );
    store.purge(&[], Duration::from_secs(900)).await.unwrap();
    assert_eq!(store.removals(&[]).await.unwrap().len(), 0);
}

async fn rows_are_walked_in_the_order_of_their_ids(store: Arc<dyn Store>) {
    for cluster in ["c1", "c2"] {
        register(&*store, cluster).await;
    }
    let ids: Vec<String> = (0..25).map(|number| format!("r{number:02}")).collect();
    apply(&*store, ids.iter().map(|id| create(id, "c1")).collect()).await;
    done(&*store, create("elsewhere", "c2")).await;
    done(&*store, delete("r03")).await;
    let mut walked = Vec::new();
    let mut after: Option<ResourceId> = None;
    loop {
        let page = store
            .versions(&"c1".into(), after.as_ref(), 10)
            .await
            .unwrap();
        after = page.last().map(|row| row.id.clone());
        let end = page.len() < 10;
        walked.extend(page);
        if end {
            break;
        }
    }
    assert_eq!(
        walked
            .iter()
            .map(|row| row.id.to_string())
            .collect::<Vec<_>>(),
        ids
    );
    assert!(
        walked
            .iter()
            .all(|row| row.version == 1 && row.deleting == (row.id.as_str() == "r03"))
    );
    for id in ["r01", "r02"] {
        done(&*store, report(id, "c1", 1, 1, false)).await;
    }
    let page = store
        .status_hashes(&"s1".into(), Some(&"r01".into()), 10)
        .await
        .unwrap();
    assert_eq!(
        page.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
        ["r02"]
    );
    assert!(
        store
            .status_hashes(&"nobody".into(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn unsettled_rows_are_found_and_reminded_of_with_patience(store: Arc<dyn Store>) {
    for cluster in ["c1", "c2"] {
        register(&*store, cluster).await;
    }
    apply(
        &*store,
        ["fresh", "settled", "deleting", "stale"]
            .map(|id| create(id, "c1"))
            .into(),
    )
    .await;
    done(&*store, create("elsewhere", "c2")).await;
    for id in ["settled", "deleting", "stale"] {
        done(&*store, report(id, "c1", 1, 1, false)).await;
    }
    done(&*store, delete("deleting")).await;
    done(&*store, Operation::Update(spec("stale", "c1", 1, "second"))).await;
    let unsettled = store.unsettled(&"c1".into(), None, 10).await.unwrap();
    assert_eq!(
        unsettled,
        ["deleting", "fresh", "stale"].map(ResourceId::from)
    );
    assert_eq!(
        store
            .unsettled(&"c1".into(), Some(&"fresh".into()), 10)
            .await
            .unwrap(),
        ["stale".into()]
    );

    let c1 = ["c1".into()];
    assert!(
        store
            .overdue(&c1, Duration::from_secs(60), 10)
            .await
            .unwrap()
            .is_empty(),
        "not yet"
    );
    let first = store.overdue(&c1, Duration::ZERO, 10).await.unwrap();
    let ids: BTreeSet<_> = first
        .iter()
        .map(|row| (row.id.to_string(), row.attempts, row.deleting))
        .collect();
    let expected = [("deleting", true), ("fresh", false), ("stale", false)];
    assert_eq!(
        ids,
        expected
            .map(|(id, deleting)| (id.to_owned(), 0, deleting))
            .into()
    );
    // With no patience at all they are due again at once; with some, not before it has passed.
    let second = store
        .overdue(&c1, Duration::from_millis(1), 10)
        .await
        .unwrap();
    assert!(second.iter().all(|row| row.attempts == 1), "{second:?}");
    let grace = Duration::from_millis(200);
    store.overdue(&c1, grace, 10).await.unwrap();
    testkit::eventually("another reminder", crate::harness::DEADLINE, async || {
        let due = store.overdue(&c1, grace, 10).await.unwrap();
        due.iter()
            .all(|row| row.attempts >= 2)
            .then_some(())
            .filter(|()| !due.is_empty())
    })
    .await;
    // A change starts anew.
    done(&*store, Operation::Update(spec("stale", "c1", 2, "third"))).await;
    let again = store.overdue(&c1, Duration::ZERO, 10).await.unwrap();
    assert!(
        again
            .iter()
            .any(|row| row.id.as_str() == "stale" && row.attempts == 0),
        "{again:?}"
    );
    done(&*store, report("deleting", "c1", 1, 2, true)).await;
    assert!(
        !store
            .unsettled(&"c1".into(), None, 10)
            .await
            .unwrap()
            .contains(&"deleting".into())
    );
}

async fn consumers_are_unique_and_held_by_their_resources(store: Arc<dyn Store>) {
    let made = register(&*store, "c1").await;
    assert_eq!(
        store.consumer(&made.id).await.unwrap().as_ref(),
        Some(&made)
    );
    assert!(store.is_registered(&"c1".into()).await.unwrap());
    assert!(!store.is_registered(&"c2".into()).await.unwrap());
    let twice = Consumer {
        id: "another".into(),
        ..made.clone()
    };
    assert!(matches!(
        store.create_consumer(&twice).await,
        Err(Error::Unique { .. })
    ));
    let changed = store
        .update_consumer(&made.id, Some([].into()))
        .await
        .unwrap()
        .unwrap();
    assert!(changed.labels.is_empty() && changed.updated_at >= made.updated_at);
    let touched = store
        .update_consumer(&made.id, None)
        .await
        .unwrap()
        .unwrap();
    assert!(touched.labels.is_empty());
    assert!(
        store
            .update_consumer("nobody", None)
            .await
            .unwrap()
            .is_none()
    );
    done(&*store, create("r", "c1")).await;
    assert!(matches!(
        store.delete_consumer(&made.id).await,
        Err(Error::ForeignKey { .. })
    ));
    done(&*store, delete("r")).await;
    assert!(matches!(
        store.delete_consumer(&made.id).await,
        Err(Error::ForeignKey { .. })
    ));
    done(&*store, report("r", "c1", 1, 1, true)).await;
    store.delete_consumer(&made.id).await.unwrap();
    store.delete_consumer(&made.id).await.unwrap();
    assert!(store.consumer(&made.id).await.unwrap().is_none());
    assert_eq!(store.last_seen(&"c1".into()).await.unwrap(), None);
}

/// Any name can connect: what isn't a cluster's leaves no row behind.
async fn connections_are_noted_of_registered_clusters_only(store: Arc<dyn Store>) {
    let consumer = register(&*store, "c1").await;
    let stream = |cluster: &str| Presence {
        cluster: cluster.into(),
        stream: uuid::Uuid::new_v4(),
        since: now(),
        resynced: None,
        waiting: 0,
        orphans: 0,
    };
    let ended = |stream: &Presence| Ended {
        cluster: stream.cluster.clone(),
        stream: stream.stream,
        at: now(),
        resynced: None,
        error: Some("gone".to_owned()),
    };
    let seen = async |cluster: &str| store.presence(&cluster.into()).await.unwrap();
    let (known, stranger) = (stream("c1"), stream("stranger"));
    let both = [known.clone(), stranger.clone()];
    store.note_presence(&[], &both).await.unwrap();
    store
        .note_presence(&both.each_ref().map(ended), &[])
        .await
        .unwrap();
    let noted = seen("c1").await.unwrap();
    assert_eq!(
        store.last_seen(&"c1".into()).await.unwrap(),
        Some(noted.last_seen)
    );
    assert_eq!(noted.last_error.unwrap().1, "gone");
    assert_eq!(seen("stranger").await, None);
    // The row of a consumer goes when the consumer is gone.
    store.purge(&[], Duration::from_secs(300)).await.unwrap();
    assert!(seen("c1").await.is_some());
    store.delete_consumer(&consumer.id).await.unwrap();
    store.purge(&[], Duration::from_secs(300)).await.unwrap();
    assert_eq!(seen("c1").await, None);
}

async fn lists_are_windows_on_a_selection(store: Arc<dyn Store>) {
    register(&*store, "c1").await;
    for number in 0..5 {
        done(&*store, create(&format!("r{number}"), "c1")).await;
    }
    done(&*store, delete("r4")).await;
    let list = async |search: &str, order: &str, offset: u64, limit: u64| {
        let selection = Selection::parse(Table::Resources, search, order).unwrap();
        let page = store
            .list_resources(&Query {
                selection,
                offset,
                limit,
            })
            .await
            .unwrap();
        (
            page.total,
            page.items
                .iter()
                .map(|listed| listed.id.to_string())
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    assert_eq!(list("", "", 0, 10).await, (5, "r0 r1 r2 r3 r4".into()));
    assert_eq!(list("", "", 2, 2).await, (5, "r2 r3".into()));
    assert_eq!(list("", "", 0, 0).await, (5, String::new()));
    assert_eq!(
        list("id > 'r2'", "id desc", 0, 10).await,
        (2, "r4 r3".into())
    );
    assert_eq!(
        list("", "deleted_at desc, id desc", 0, 5).await,
        (5, "r3 r2 r1 r0 r4".into()),
        "rows without a value first"
    );
    assert_eq!(
        list("", "deleted_at", 0, 5).await,
        (5, "r4 r0 r1 r2 r3".into())
    );
    assert_eq!(
        list(
            "payload->'metadata'->'labels'->>'content'='first'",
            "id",
            0,
            1
        )
        .await,
        (5, "r0".into())
    );
    let selection = Selection::parse(Table::Consumers, "labels->>'a'='b'", "").unwrap();
    let page = store
        .list_consumers(&Query {
            selection,
            offset: 0,
            limit: 5,
        })
        .await
        .unwrap();
    assert_eq!((page.total, page.items[0].name.as_str()), (1, "c1"));
}

async fn a_consumer_ends_by_force(store: Arc<dyn Store>) {
    let (doomed, other) = (register(&*store, "c1").await, register(&*store, "c2").await);
    apply(
        &*store,
        (0..120)
            .map(|number| create(&format!("r{number}"), "c1"))
            .collect(),
    )
    .await;
    done(&*store, create("safe", "c2")).await;
    done(&*store, report("r0", "c1", 1, 7, false)).await;
    done(&*store, delete("r1")).await;
    let mut forced = Forced {
        include_live: false,
        ..forced(&doomed)
    };
    assert_eq!(
        store.force_remove(&forced).await.unwrap(),
        ForcedOutcome::Live(119)
    );
    assert!(store.resource(&"r0".into()).await.unwrap().is_some());
    forced.include_live = true;
    let ForcedOutcome::Removed { changes, resources } = store.force_remove(&forced).await.unwrap()
    else {
        panic!("removed")
    };
    assert_eq!((changes.len(), resources), (120, 120));
    let events: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Removed { event, .. } => event.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let words = store.removals(&events).await.unwrap();
    assert_eq!(words.len(), 120);
    for word in &words {
        let status = event_wire::stored::from_str(&word.status).unwrap();
        assert_eq!(
            status.metadata().unwrap().unwrap().name,
            format!("work-{}", word.id)
        );
        let sequence = status.sequence_id().unwrap();
        assert!(sequence.is_newer_than(sequence_id(7).parse().ok()).unwrap());
        let data: serde_json::Value = status.json().unwrap();
        assert_eq!(data["conditions"][0]["reason"], "ConsumerRemoved");
    }
    assert!(store.consumer(&doomed.id).await.unwrap().is_none());
    assert!(store.consumer(&other.id).await.unwrap().is_some());
    assert!(store.resource(&"safe".into()).await.unwrap().is_some());
    assert_eq!(
        store
            .tombstones(&"c1".into(), &["r5".into()])
            .await
            .unwrap()
            .len(),
        1
    );
}

/// D13, F6: each portion is kept, nobody adds to what is ending, whoever finishes it leaves one record of all, and whoever
/// had a part in it is on record too.
async fn f6_a_large_cluster_ends_in_portions(store: Arc<dyn Store>) {
    const WORKS: usize = 700;
    let doomed = register(&*store, "c1").await;
    register(&*store, "c2").await;
    let creates = (0..WORKS).map(|number| create(&format!("r{number:03}"), "c1"));
    apply(&*store, creates.collect()).await;
    let mut forced = forced(&doomed);
    let mut gone = BTreeSet::new();
    let mut note = |changes: Vec<Change>| {
        for change in changes {
            let Change::Removed { id, .. } = change else {
                panic!("{change:?}")
            };
            assert!(gone.insert(id.clone()), "{id} ends twice");
        }
    };
    let ForcedOutcome::Portion(changes) = store.force_remove(&forced).await.unwrap() else {
        panic!("it is one transaction")
    };
    note(changes);
    assert!(store.resource(&"r000".into()).await.unwrap().is_none());
    assert!(store.resource(&"r699".into()).await.unwrap().is_some());
    assert!(store.consumer(&doomed.id).await.unwrap().is_some());
    forced.first = false;
    let records = async || {
        let entries = store.audit(&doomed.id).await.unwrap();
        let record =
            |entry: AuditEntry| (entry.action, entry.who, entry.reason, entry.resources.len());
        entries.into_iter().map(record).collect::<Vec<_>>()
    };
    let record = |action: &str, who: &str, reason: &str, resources: usize| {
        (
            action.to_owned(),
            who.to_owned(),
            reason.to_owned(),
            resources,
        )
    };
    let begun = record("force-remove-begun", "me", "burnt", 0);
    assert_eq!(records().await, std::slice::from_ref(&begun));
    // An agent that comes back now is not told to delete what went so far.
    assert!(!store.is_registered(&"c1".into()).await.unwrap());
    assert!(matches!(
        one(&*store, create("late", "c1")).await.0,
        Err(Refusal::UnknownConsumer(_))
    ));
    done(&*store, create("elsewhere", "c2")).await;

    // The one who asked has gone; somebody else asks for the rest.
    forced.first = true;
    forced.who = "my heir".into();
    forced.reason = "still burnt".into();
    forced.include_live = false;
    assert!(matches!(
        store.force_remove(&forced).await.unwrap(),
        ForcedOutcome::Live(_)
    ));
    assert_eq!(
        records().await,
        std::slice::from_ref(&begun),
        "nothing was done"
    );
    forced.include_live = true;
    let continued = record("force-remove-continued", "my heir", "still burnt", 0);
    let resources = loop {
        match store.force_remove(&forced).await.unwrap() {
            ForcedOutcome::Portion(changes) => {
                note(changes);
                assert_eq!(records().await, [continued.clone(), begun.clone()]);
                forced.first = false;
            }
            ForcedOutcome::Removed { changes, resources } => {
                note(changes);
                break resources;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((gone.len(), resources), (WORKS, 700));
    assert!(store.consumer(&doomed.id).await.unwrap().is_none());
    let removed = record("force-remove", "my heir", "still burnt", WORKS);
    assert_eq!(records().await, [removed, continued, begun]);
    let audit = store.audit(&doomed.id).await.unwrap();
    let named: BTreeSet<ResourceId> = audit[0]
        .resources
        .iter()
        .map(|id| id.as_str().into())
        .collect();
    assert_eq!(named, gone);
    assert_eq!(
        store.force_remove(&forced).await.unwrap(),
        ForcedOutcome::Unknown
    );
}

/// F6: what a portion holds in memory is bound by the size of its statuses too.
async fn f6_large_statuses_end_in_smaller_portions(store: Arc<dyn Store>) {
    const WORKS: usize = 40;
    let doomed = register(&*store, "c1").await;
    for number in 0..WORKS {
        let id = format!("r{number:02}");
        done(&*store, create(&id, "c1")).await;
        let Operation::Status(mut status) = report(&id, "c1", 1, 1, false) else {
            panic!("a status")
        };
        status
            .event
            .set_json(&json!({"conditions": [], "large": "x".repeat(1024 * 1024)}));
        done(&*store, Operation::Status(status)).await;
    }
    let forced = forced(&doomed);
    let mut gone = 0;
    let resources = loop {
        let (changes, resources) = match store.force_remove(&forced).await.unwrap() {
            ForcedOutcome::Portion(changes) => (changes, None),
            ForcedOutcome::Removed { changes, resources } => (changes, Some(resources)),
            other => panic!("{other:?}"),
        };
        // 16 MiB, and what is read at once.
        assert!(changes.len() <= 16 + 8, "{} at once", changes.len());
        gone += changes.len();
        if let Some(resources) = resources {
            break resources;
        }
    };
    assert_eq!((gone, resources), (WORKS, 40));
}

/// Sets times of a row, and of its reminder, to those of another clock.
const CHANGED_AHEAD: &str =
    "update resources set updated_at = '2999-01-01T00:00:00.000000Z' where id = 'ahead'";
const DUE_AHEAD: &str =
    "update delivery set due = '2999-01-01T00:00:00.000000Z' where resource_id = 'ahead'";

/// F3, I3: reminders don't wait until a clock has caught up with what another one, or itself, wrote.
async fn f3_times_of_another_clock(store: &dyn Store, set: impl AsyncFn(&'static str)) {
    let reminded = async || {
        let grace = Duration::from_secs(20);
        let rows = store.overdue(&["c1".into()], grace, 10).await.unwrap();
        let ids = rows.iter().map(|row| (row.id.to_string(), row.attempts));
        ids.collect::<Vec<_>>()
    };
    register(store, "c1").await;
    apply(store, vec![create("ahead", "c1"), create("recent", "c1")]).await;
    assert_eq!(reminded().await, []);
    set(CHANGED_AHEAD).await;
    assert_eq!(reminded().await, [("ahead".to_owned(), 0)]);
    assert_eq!(reminded().await, [], "the next one comes in its time");
    set(DUE_AHEAD).await;
    assert_eq!(reminded().await, [("ahead".to_owned(), 1)]);
}

#[tokio::test]
async fn f3_times_of_another_clock_stop_no_reminder_in_postgres() {
    let config = crate::harness::postgres().await;
    let url = crate::harness::url(&config);
    let store = open(&url).await;
    let db = crate::harness::session(&config).await;
    let set = async |sql: &'static str| db.batch_execute(sql).await.unwrap();
    f3_times_of_another_clock(&*store, set).await;
}

#[tokio::test]
async fn f3_times_of_another_clock_stop_no_reminder_in_sqlite() {
    let folder = crate::harness::folder();
    let store = file(folder.path());
    let db = sql_store::sqlite::rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    let set = async |sql: &'static str| db.execute_batch(sql).unwrap();
    f3_times_of_another_clock(&*store, set).await;
}

/// F3, I7: clusters that never settle don't take the turns of the others, neither first reminders nor further ones.
#[tokio::test]
async fn f3_reminders_of_many_clusters_take_turns() {
    let store = postgres().await;
    let clusters = ["c1", "c2", "c3", "c4"].map(maestro_server::model::ClusterName::from);
    for cluster in &clusters {
        register(&*store, cluster.as_str()).await;
        let creates = (0..3).map(|number| create(&format!("{cluster}-{number}"), cluster.as_str()));
        apply(&*store, creates.collect()).await;
    }
    let mut reminders = std::collections::BTreeMap::<ResourceId, u32>::new();
    for _ in 0..40 {
        // With no patience at all everything is always due, four times what fits.
        for row in store.overdue(&clusters, Duration::ZERO, 4).await.unwrap() {
            *reminders.entry(row.id).or_default() += 1;
        }
    }
    assert_eq!(reminders.len(), 12, "{reminders:?}");
    assert!(reminders.values().all(|times| *times > 2), "{reminders:?}");
}

async fn what_anybody_may_ask_for_is_not_kept_for_ever(store: Arc<dyn Store>) {
    let consumer = register(&*store, "c1").await;
    done(&*store, create("r1", "c1")).await;
    let old = |action: &str| AuditEntry {
        id: uuid::Uuid::new_v4().to_string(),
        at: now() - jiff::SignedDuration::from_hours(91 * 24),
        action: action.to_owned(),
        consumer: consumer.id.clone(),
        cluster: consumer.name.clone(),
        who: "me".to_owned(),
        reason: String::new(),
        resources: Vec::new(),
    };
    let actions = async || -> Vec<String> {
        let entries = store.audit(&consumer.id).await.unwrap();
        entries.into_iter().map(|entry| entry.action).collect()
    };
    for action in [action::FORCE_REMOVE, action::ACCEPT_ORPHANS, action::RESEND] {
        store.note_audit(&old(action)).await.unwrap();
    }
    store.purge(&[], Duration::from_secs(900)).await.unwrap();
    let mut kept = actions().await;
    kept.sort();
    assert_eq!(kept, [action::ACCEPT_ORPHANS, action::FORCE_REMOVE]);
    for number in 0..RESENDS_KEPT + 5 {
        let who = format!("operator {number}");
        store.resend(&"r1".into(), &who).await.unwrap().unwrap();
    }
    let entries = store.audit(&consumer.id).await.unwrap();
    assert_eq!(entries[0].who, format!("operator {}", RESENDS_KEPT + 4));
    let kept = actions().await;
    let resends = kept.iter().filter(|kept| *kept == action::RESEND).count();
    assert_eq!(
        (resends, kept.len()),
        (RESENDS_KEPT as usize, RESENDS_KEPT as usize + 2)
    );
}
