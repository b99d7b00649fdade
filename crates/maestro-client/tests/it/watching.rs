//! The watch over everything that can happen on the way.

use std::time::Duration;

use maestro_client::{Client, Config, Watch, WatchEvent, WatchOptions};
use serde_json::json;
use testkit::proxy::Proxy;
use tonic::Status;

use crate::{DEADLINE, client, config, fake::Fake, work};

/// The next event: its letter, name and version.
pub(crate) async fn next(watch: &mut Watch) -> String {
    let event = tokio::time::timeout(DEADLINE, watch.next_event())
        .await
        .expect("an event in time")
        .expect("a watch never ends");
    let name = |letter: char| {
        let meta = &event.work().unwrap().metadata;
        format!("{letter} {} {}", meta.name, meta.generation)
    };
    match &event {
        WatchEvent::Added(_) => name('A'),
        WatchEvent::Modified(_) => name('M'),
        WatchEvent::Deleted(_) => name('D'),
        WatchEvent::Synced => "synced".into(),
        WatchEvent::Interrupted(_) => "interrupted".into(),
    }
}

pub(crate) async fn until_synced(watch: &mut Watch) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match next(watch).await.as_str() {
            "synced" => return seen,
            "interrupted" => {}
            event => seen.push(event.to_owned()),
        }
    }
}

#[tokio::test]
async fn a_life_is_told_from_beginning_to_end() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("old", "1")).await.unwrap();
    let mut watch = works.watch(WatchOptions::default());
    assert_eq!(until_synced(&mut watch).await, ["A old 1"]);
    works.create(&work("new", "1")).await.unwrap();
    fake.report("new", json!({"phase": "ok"}));
    assert_eq!(next(&mut watch).await, "A new 1");
    fake.report("old", json!({}));
    assert_eq!(next(&mut watch).await, "M old 1");
    works.apply(&work("old", "2")).await.unwrap();
    fake.report("old", json!({}));
    let event = watch.next_event().await.unwrap();
    let seen = event.work().unwrap();
    assert_eq!(seen.metadata.generation, 2);
    assert_eq!(seen.spec, work("old", "2").spec, "the whole work");
    works.delete("old").await.unwrap();
    fake.finish_deletion("old");
    assert_eq!(next(&mut watch).await, "D old 2");
}

#[tokio::test]
async fn nothing_is_connected_for_works_that_nobody_watches() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    works.get("w").await.unwrap();
    assert_eq!(fake.data().subscriptions, 0);
    let mut watch = works.watch(WatchOptions::default());
    until_synced(&mut watch).await;
    assert_eq!(fake.data().subscriptions, 1);
}

#[tokio::test]
async fn f35_a_watch_that_starts_during_writes_tells_each_work_once() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let mut watch = None;
    for number in 0..60 {
        works
            .create(&work(&format!("w{number}"), "1"))
            .await
            .unwrap();
        fake.report(&format!("w{number}"), json!({}));
        if number == 20 {
            drop(works.watch(WatchOptions::default()));
            watch = Some(works.watch(WatchOptions::default()));
        }
    }
    let mut watch = watch.unwrap();
    let mut added = std::collections::BTreeSet::new();
    while added.len() < 60 {
        let event = next(&mut watch).await;
        if let Some(name) = event.strip_prefix("A ") {
            assert!(added.insert(name.to_owned()), "{name} was added twice");
        }
    }
}

#[tokio::test]
async fn f44_what_happened_while_nobody_was_connected_is_told_afterwards() {
    let fake = Fake::start().await;
    let proxy = Proxy::start(fake.grpc).await.unwrap();
    let works = client(&fake).works("c1");
    let watching = Client::new(Config {
        grpc_address: proxy.address().to_string(),
        ..config(&fake)
    })
    .unwrap();
    for name in ["gone", "changed", "same"] {
        works.create(&work(name, "1")).await.unwrap();
        fake.report(name, json!({}));
    }
    let mut watch = watching.works("c1").watch(WatchOptions::default());
    assert_eq!(until_synced(&mut watch).await.len(), 3);
    proxy.refuse();
    assert_eq!(next(&mut watch).await, "interrupted");
    works.delete("gone").await.unwrap();
    fake.finish_deletion("gone");
    works.apply(&work("changed", "2")).await.unwrap();
    fake.report("changed", json!({}));
    works.create(&work("created", "1")).await.unwrap();
    proxy.accept();
    let back = std::time::Instant::now();
    let mut seen = until_synced(&mut watch).await;
    seen.sort();
    assert_eq!(seen, ["A created 1", "D gone 1", "M changed 2"]);
    assert!(
        back.elapsed() < Duration::from_secs(20),
        "connected again after {:?}",
        back.elapsed()
    );
}

#[tokio::test]
async fn a_work_that_vanishes_unreported_is_told_as_deleted_once() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let mut watch = works.watch(WatchOptions::default());
    until_synced(&mut watch).await;
    fake.vanish("w");
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["D w 1"]);
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, [""; 0]);
    works.create(&work("w", "1")).await.unwrap();
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
}

#[tokio::test]
async fn what_is_reported_while_the_list_is_read_is_not_missed() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    works.create(&work("going", "1")).await.unwrap();
    fake.data().list_delay = Duration::from_millis(700);
    let mut watch = works.watch(WatchOptions::default());
    testkit::eventually("the list is being read", DEADLINE, async || {
        (!fake.data().searches.is_empty()).then_some(())
    })
    .await;
    fake.report("w", json!({"late": true}));
    fake.finish_deletion("going");
    let mut seen = until_synced(&mut watch).await;
    seen.sort();
    assert_eq!(seen, ["A going 1", "A w 1", "D going 1", "M w 1"]);
}

/// A list can't tell a work that lost its labels from one that is gone.
#[tokio::test]
async fn a_work_that_lost_its_labels_in_a_gap_is_told_again_when_it_gets_them_back() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let labelled = |value: &str| {
        let mut work = work("w", "1");
        work.metadata.labels.insert("app".into(), value.into());
        work
    };
    works.create(&labelled("x")).await.unwrap();
    let mut watch = client(&fake).works("c1").watch(WatchOptions {
        label_selector: "app=x".parse().unwrap(),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
    works.apply(&labelled("y")).await.unwrap();
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["D w 1"]);
    works.apply(&labelled("x")).await.unwrap();
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "A w 3");
    works.delete("w").await.unwrap();
    fake.finish_deletion("w");
    assert_eq!(next(&mut watch).await, "D w 3");
}

/// Names that are used again within a second: the creation times of reports are as coarse as that.
#[tokio::test]
async fn a_life_that_began_in_the_second_of_the_one_before_is_told() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    works.apply(&work("w", "2")).await.unwrap();
    let born = fake.data().rows.values().next().unwrap().created_at;
    let mut watch = works.watch(WatchOptions::default());
    assert_eq!(until_synced(&mut watch).await, ["A w 2"]);
    fake.vanish("w");
    works.create(&work("w", "3")).await.unwrap();
    fake.data()
        .rows
        .values_mut()
        .for_each(|row| row.created_at = born + Duration::from_nanos(1));
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["D w 2", "A w 1"]);
}

#[tokio::test]
async fn f45_a_silent_connection_is_left_and_nothing_is_lost() {
    let fake = Fake::start().await;
    let proxy = Proxy::start(fake.grpc).await.unwrap();
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let watching = Client::new(Config {
        grpc_address: proxy.address().to_string(),
        server_healthiness_timeout: Some(Duration::from_secs(2)),
        ..config(&fake)
    })
    .unwrap();
    let mut watch = watching.works("c1").watch(WatchOptions::default());
    until_synced(&mut watch).await;
    proxy.stall();
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "interrupted");
    proxy.cut();
    proxy.flow();
    assert_eq!(until_synced(&mut watch).await, ["M w 1"]);
}

#[tokio::test]
async fn f46_a_quiet_server_with_heartbeats_is_not_left() {
    let fake = Fake::start().await;
    let watching = Client::new(Config {
        server_healthiness_timeout: Some(Duration::from_secs(5)),
        ..config(&fake)
    })
    .unwrap();
    let mut watch = watching.works("c1").watch(WatchOptions::default());
    until_synced(&mut watch).await;
    let quiet = tokio::time::timeout(Duration::from_secs(7), watch.next_event()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(fake.data().subscriptions, 1);
}

#[tokio::test]
async fn a_reader_that_pauses_does_not_lose_its_place() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    for number in 0..150 {
        works
            .create(&work(&format!("w{number}"), "1"))
            .await
            .unwrap();
    }
    let watching = Client::new(Config {
        server_healthiness_timeout: Some(Duration::from_secs(2)),
        ..config(&fake)
    })
    .unwrap();
    let mut watch = watching.works("c1").watch(WatchOptions::default());
    // More than the buffer holds, and longer than the server may be silent.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(until_synced(&mut watch).await.len(), 150);
    fake.report("w0", json!({}));
    let mut event = next(&mut watch).await;
    while event == "interrupted" || event == "synced" {
        event = next(&mut watch).await;
    }
    assert_eq!(event, "M w0 1");
}

#[tokio::test]
async fn f47_a_refused_subscription_says_why_and_is_tried_again() {
    let fake = Fake::start().await;
    fake.data().refusals.push(Status::unknown(
        "unauthorized to subscribe the event from source s1",
    ));
    let mut watch = client(&fake).works("c1").watch(WatchOptions::default());
    let Some(WatchEvent::Interrupted(error)) = watch.next_event().await else {
        panic!()
    };
    assert_eq!(error.0.status_reason(), "Forbidden");
    assert_eq!(next(&mut watch).await, "synced");
}

#[tokio::test]
async fn watches_see_only_their_own() {
    let fake = Fake::start().await;
    fake.consumer("c2");
    let client = client(&fake);
    let elsewhere = {
        let mut work = work("b", "1");
        work.metadata.namespace = "c2".into();
        work
    };
    client.works("c1").create(&work("a", "1")).await.unwrap();
    client.works("c1").create(&work("a2", "1")).await.unwrap();
    client.works("c2").create(&elsewhere).await.unwrap();
    let stranger = Client::new(Config {
        source_id: "s2".into(),
        ..config(&fake)
    })
    .unwrap();
    stranger
        .works("c1")
        .create(&work("foreign", "1"))
        .await
        .unwrap();

    let mut of_c1 = client.works("c1").watch(WatchOptions::default());
    let mut of_all = client.all_works().watch(WatchOptions::default());
    let mut of_a = client.works("c1").watch(WatchOptions {
        name: Some("a".into()),
        ..WatchOptions::default()
    });
    let mut of_nothing = client.works("c1").watch(WatchOptions {
        name: Some("nothing".into()),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut of_c1).await.len(), 2);
    assert_eq!(until_synced(&mut of_all).await.len(), 3);
    assert_eq!(until_synced(&mut of_a).await, ["A a 1"]);
    assert_eq!(until_synced(&mut of_nothing).await, [""; 0]);
    fake.report("b", json!({}));
    assert_eq!(next(&mut of_all).await, "M b 1");
    fake.report("a2", json!({}));
    assert_eq!(next(&mut of_c1).await, "M a2 1");
    fake.report("a", json!({}));
    assert_eq!(next(&mut of_a).await, "M a 1");
}

#[tokio::test]
async fn an_executor_seen_by_a_watch_is_kept() {
    let fake = Fake::start().await;
    let mut with_executor = work("w", "1");
    with_executor.spec.executor = serde_json::from_value(json!({"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}}})).unwrap();
    client(&fake)
        .works("c1")
        .create(&with_executor)
        .await
        .unwrap();
    let other_process = client(&fake);
    let mut watch = other_process.works("c1").watch(WatchOptions::default());
    until_synced(&mut watch).await;
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "M w 1");
    assert_eq!(
        other_process
            .works("c1")
            .get("w")
            .await
            .unwrap()
            .spec
            .executor,
        with_executor.spec.executor
    );
}

#[tokio::test]
async fn all_watches_of_a_client_share_one_subscription_and_the_last_one_closes_it() {
    let fake = Fake::start().await;
    let client = client(&fake);
    client.works("c1").create(&work("w", "1")).await.unwrap();
    let mut watches: Vec<Watch> = (0..30)
        .map(|number| {
            let works = match number % 3 {
                0 => client.all_works(),
                _ => client.works("c1"),
            };
            works.watch(WatchOptions::default())
        })
        .collect();
    for watch in &mut watches {
        assert_eq!(until_synced(watch).await, ["A w 1"]);
    }
    assert_eq!((fake.data().subscriptions, client.watchers()), (1, 30));
    fake.report("w", json!({}));
    for watch in &mut watches {
        assert_eq!(next(watch).await, "M w 1");
    }
    watches.truncate(1);
    fake.report("w", json!({"again": true}));
    assert_eq!(next(&mut watches[0]).await, "M w 1");
    watches.clear();
    testkit::eventually("the subscription is closed", DEADLINE, async || {
        fake.is_deserted().then_some(())
    })
    .await;
    let mut late = client.works("c1").watch(WatchOptions::default());
    assert_eq!(until_synced(&mut late).await, ["A w 1"]);
    assert_eq!(fake.data().subscriptions, 2);
}

#[tokio::test]
async fn a_watch_that_is_not_read_holds_up_no_other_and_catches_up_by_a_list() {
    const WORKS: usize = 200;
    let fake = Fake::start().await;
    let client = Client::new(Config {
        watch_buffer: 64 * 1024,
        server_healthiness_timeout: Some(Duration::from_secs(5)),
        ..config(&fake)
    })
    .unwrap();
    let works = client.works("c1");
    for number in 0..WORKS {
        works
            .create(&work(&format!("w{number}"), "1"))
            .await
            .unwrap();
    }
    let mut idle = works.watch(WatchOptions::default());
    let mut busy = works.watch(WatchOptions::default());
    assert_eq!(until_synced(&mut idle).await.len(), WORKS);
    assert_eq!(until_synced(&mut busy).await.len(), WORKS);
    works.delete("w0").await.unwrap();
    fake.finish_deletion("w0");
    assert_eq!(next(&mut busy).await, "D w0 1");
    // Each round is more than what waits for the idle one.
    for round in 0..3 {
        for number in 1..WORKS {
            fake.report(&format!("w{number}"), json!({ "round": round }));
            assert_eq!(next(&mut busy).await, format!("M w{number} 1"));
        }
    }
    assert_eq!(fake.data().subscriptions, 1, "nobody had to connect again");
    let seen = until_synced(&mut idle).await;
    let of = |name: &str| seen.iter().filter(|event| event.ends_with(name)).count();
    assert_eq!(of("D w0 1"), 1, "exactly one end, also by comparison");
    for number in 1..WORKS {
        let told = of(&format!("M w{number} 1"));
        assert!((1..=3).contains(&told), "w{number} told {told} times");
    }
    fake.report("w5", json!({"last": true}));
    assert_eq!(next(&mut idle).await, "M w5 1");
}

#[tokio::test]
async fn a_watch_that_lists_again_brings_what_no_agent_reported() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let mut watch = client(&fake).works("c1").watch(WatchOptions {
        relist_every: Some(Duration::from_millis(100)),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
    works.apply(&work("w", "2")).await.unwrap();
    let mut seen = next(&mut watch).await;
    while seen == "synced" {
        seen = next(&mut watch).await;
    }
    assert_eq!(seen, "M w 2");
    assert_eq!(fake.data().subscriptions, 1);
}

#[test]
fn a_subscription_outlives_the_runtime_that_opened_it() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (servers, first, second) = (runtime(), runtime(), runtime());
    let fake = servers.block_on(Fake::start());
    let client = client(&fake);
    let opened = first.block_on(async {
        let mut watch = client.works("c1").watch(WatchOptions::default());
        until_synced(&mut watch).await;
        watch
    });
    let mut watch = second.block_on(async {
        client.works("c1").create(&work("w", "1")).await.unwrap();
        let mut watch = client.works("c1").watch(WatchOptions::default());
        assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
        watch
    });
    first.shutdown_timeout(Duration::from_secs(5));
    second.block_on(async {
        until_synced(&mut watch).await;
        fake.report("w", json!({}));
        assert_eq!(next(&mut watch).await, "M w 1");
    });
    drop(opened);
}
