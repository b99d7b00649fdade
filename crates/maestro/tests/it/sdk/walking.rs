//! Lists while others write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use conformance::play::Behaviour;
use maestro_client::{Client, Config, LabelSelector, ListOptions};

use super::place::{Database, Place};
use super::{create_all, labelled, work};

on_both_databases!(
    i12_a_walk_tells_each_work_that_stays_exactly_once,
    f37_lists_by_label_see_every_page_as_kubernetes_would,
);

const MANY: usize = 1_000;

/// While works of the same source come and go in front of and behind the walk.
async fn i12_a_walk_tells_each_work_that_stays_exactly_once(database: Database) {
    let place = Place::start(database).await;
    place.consumer("c2").await;
    let agent = place.agent("c2", Behaviour::default()).await;
    let client = place.client();
    let staying: Vec<String> = (0..MANY)
        .map(|number| format!("stays-{number:04}"))
        .collect();
    let works = staying.iter().map(|name| work(name, "1"));
    create_all(&client.works("c1"), works).await;
    let ended = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = (0..4)
        .map(|number| tokio::spawn(come_and_go(place.client(), number, Arc::clone(&ended))))
        .collect();
    let walker = Client::new(Config {
        page_size: 40,
        ..place.config()
    })
    .unwrap();
    for _ in 0..3 {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut walk = walker.all_works().walk(&LabelSelector::default()).unwrap();
        while let Some(page) = walk.next().await.unwrap() {
            for work in page {
                *seen.entry(work.metadata.uid).or_default() += 1;
            }
            // However fast the machine is, something happens between two pages.
            let gone = agent.gone().len();
            let what = "a work to go";
            let limit = std::time::Duration::from_secs(30);
            place
                .stage
                .eventually(limit, what, async || {
                    Ok((agent.gone().len() > gone).then_some(()))
                })
                .await
                .unwrap();
        }
        for name in &staying {
            let id = manifestwork::ids::resource_id("sdk", "c1", name).to_string();
            assert_eq!(seen.get(&id), Some(&1), "{name}");
        }
        assert!(seen.values().all(|count| *count == 1), "told twice");
    }
    ended.store(true, Ordering::Relaxed);
    for one in crowd {
        one.await.unwrap();
    }
}

/// Creates and deletes works until it is time to go.
async fn come_and_go(client: Client, number: usize, ended: Arc<AtomicBool>) {
    let works = client.works("c2");
    for round in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let mut work = work(&format!("goes-{number}-{round}"), "1");
        work.metadata.namespace = "c2".into();
        works.create(&work).await.unwrap();
        works.delete(&work.metadata.name).await.unwrap();
    }
}

async fn f37_lists_by_label_see_every_page_as_kubernetes_would(database: Database) {
    let place = Place::start(database).await;
    let client = Client::new(Config {
        page_size: 7,
        ..place.config()
    })
    .unwrap();
    let works = client.works("c1");
    for number in 0..30 {
        let tier = ["web", "data", "null"][number % 3];
        let mut work = labelled(&format!("w{number:02}"), "tier", tier);
        if number >= 20 {
            work.metadata.labels.clear();
        }
        works.create(&work).await.unwrap();
    }
    // Of another source: never seen.
    let stranger = Client::new(Config {
        source_id: "stranger".into(),
        ..place.config()
    })
    .unwrap();
    stranger
        .works("c1")
        .create(&labelled("w00", "tier", "web"))
        .await
        .unwrap();
    for (selector, expected) in [
        ("", 30),
        ("tier=web", 7),
        ("tier in (web,data)", 14),
        // Upstream's client leaves out works that lack the label here, Kubernetes doesn't.
        ("tier!=web", 23),
        ("tier notin (web,data)", 16),
        // Upstream's client misses the value `null` here.
        ("tier", 20),
        // Upstream's client refuses these.
        ("!tier", 10),
        ("tier=web,!other", 7),
    ] {
        let options = ListOptions {
            label_selector: selector.parse().unwrap(),
            limit: None,
        };
        let mut names: Vec<String> = works
            .list(&options)
            .await
            .unwrap()
            .into_iter()
            .map(|work| work.metadata.name)
            .collect();
        assert_eq!(names.len(), expected, "{selector}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), expected, "{selector}: told twice");
    }
    let limited = ListOptions {
        limit: Some(10),
        ..ListOptions::default()
    };
    assert_eq!(works.list(&limited).await.unwrap().len(), 10);
}
