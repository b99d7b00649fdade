//! The watch over cut connections, a killed server, and gaps in which everything changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conformance::play::{Behaviour, Proxy};
use maestro_client::{Applied, Client, Error, ListOptions, WatchOptions, Works};

use super::follower::Follower;
use super::place::{Database, Place};
use super::{labelled, work};
use crate::support::PATIENCE;

on_both_databases!(
    f44_a_gap_in_which_everything_changes_is_told_as_it_ended,
    f44_nothing_is_missed_over_connections_that_are_cut,
    f44_a_killed_server_is_found_again_within_a_second,
    f35_a_watch_that_begins_among_writes_tells_each_work_once,
    a_watch_by_label_follows_works_in_and_out,
);

/// How soon a server that is back must be found, before scaling.
const FOUND: Duration = Duration::from_secs(1);

/// Like `testkit::eventually`, for tasks of their own.
async fn gone(works: &Works, name: &str) {
    let looking = async {
        while !works
            .get(name)
            .await
            .is_err_and(|error| error.is_not_found())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("{name} never goes");
    }
}

async fn delete(works: &Works, name: &str) {
    works.delete(name).await.unwrap();
    gone(works, name).await;
}

async fn f44_a_gap_in_which_everything_changes_is_told_as_it_ended(database: Database) {
    let place = Place::start(database).await;
    let _agent = place.agent("c1", Behaviour::default()).await;
    let line = Proxy::start(&place.grpc()).await.unwrap();
    let works = place.client().works("c1");
    let before = [
        "stays",
        "changes",
        "goes",
        "comes-again",
        "comes-again-and-goes",
        "is-going",
    ];
    for name in before {
        works.create(&work(name, "1")).await.unwrap();
        works.apply(&work(name, "2")).await.unwrap();
    }
    let watching = place.client_through(line.address()).works("c1");
    let mut follower = Follower::new(watching.watch(WatchOptions::default()));
    follower
        .until("all applied", |told| {
            before.iter().all(|name| told.is_applied(name, 2))
        })
        .await;
    follower.until_synced_once().await;

    line.refuse();
    follower.until_interrupted().await;
    follower.take();
    works.apply(&work("changes", "3")).await.unwrap();
    works.apply(&work("changes", "4")).await.unwrap();
    delete(&works, "goes").await;
    delete(&works, "comes-again").await;
    works.create(&work("comes-again", "9")).await.unwrap();
    delete(&works, "comes-again-and-goes").await;
    works
        .create(&work("comes-again-and-goes", "9"))
        .await
        .unwrap();
    delete(&works, "comes-again-and-goes").await;
    works.create(&work("was-never-seen", "1")).await.unwrap();
    delete(&works, "was-never-seen").await;
    works.create(&work("is-new", "1")).await.unwrap();
    line.accept();
    follower
        .until("the new state", |told| {
            told.is_applied("changes", 4)
                && told.is_applied("comes-again", 1)
                && told.is_applied("is-new", 1)
                && told.view().len() == 5
        })
        .await;
    // Reports may be told as modified; nothing else may. Of what began and ended meanwhile an end may be told, by a late report.
    let mut told = follower.take();
    told.retain(|line| !line.starts_with("M ") && line != "D was-never-seen 1");
    let mut told: Vec<&str> = told
        .iter()
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "A comes-again",
            "A is-new",
            "D comes-again",
            "D comes-again-and-goes",
            "D goes",
        ]
    );
    // And it goes on as if nothing had happened.
    delete(&works, "is-going").await;
    follower
        .until("an end", |told| !told.view().contains_key("is-going"))
        .await;
    assert_eq!(follower.version("stays"), 2);
}

/// Works are created, changed, deleted and made anew under the same names, while the connection of the watch is cut again and again.
async fn f44_nothing_is_missed_over_connections_that_are_cut(database: Database) {
    const NAMES: usize = 6;
    const LIVES: usize = 5;
    let place = Place::start(database).await;
    let _agent = place.agent("c1", Behaviour::default()).await;
    let line = Proxy::start(&place.grpc()).await.unwrap();
    let watching = place.client_through(line.address()).works("c1");
    let mut follower = Follower::new(watching.watch(WatchOptions::default()));
    follower.until_synced().await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..NAMES)
        .map(|number| {
            let works = place.client().works("c1");
            tokio::spawn(async move {
                let name = format!("w{number}");
                for life in 0..LIVES {
                    works.create(&work(&name, "1")).await.unwrap();
                    works.apply(&work(&name, "2")).await.unwrap();
                    works.apply(&work(&name, "3")).await.unwrap();
                    if life + 1 < LIVES || number % 2 == 0 {
                        delete(&works, &name).await;
                    }
                }
            })
        })
        .collect();
    let cutter = {
        let ended = Arc::clone(&ended);
        tokio::spawn(async move {
            let mut cuts = 0;
            while !ended.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                line.cut();
                cuts += 1;
            }
            // Only now may it end: with it goes the line.
            (line, cuts)
        })
    };
    let end = {
        let ended = Arc::clone(&ended);
        tokio::spawn(async move {
            for writer in writers {
                writer.await.unwrap();
            }
            ended.store(true, Ordering::Relaxed);
        })
    };
    let remaining: Vec<String> = (0..NAMES)
        .filter(|number| number % 2 == 1)
        .map(|number| format!("w{number}"))
        .collect();
    follower
        .until("the last state", |told| {
            ended.load(Ordering::Relaxed)
                && told.view().keys().eq(&remaining)
                && remaining.iter().all(|name| told.is_applied(name, 3))
        })
        .await;
    end.await.unwrap();
    let (_line, cuts) = cutter.await.unwrap();
    assert!(cuts > 0 && !follower.interruptions.is_empty());
    let told = follower.take();
    for number in 0..NAMES {
        let of = |letter: char| {
            let prefix = format!("{letter} w{number} ");
            told.iter().filter(|line| line.starts_with(&prefix)).count()
        };
        // The follower checks the order; a life that fits into a gap is told by its end only, or not at all.
        assert!(of('A') <= LIVES && of('D') <= LIVES, "{told:?}");
    }
}

async fn f44_a_killed_server_is_found_again_within_a_second(database: Database) {
    const WORKS: usize = 20;
    let mut place = Place::start(database).await;
    let agent = place.agent("c1", Behaviour::default()).await;
    let works = place.client().works("c1");
    for number in 0..WORKS {
        works
            .create(&work(&format!("w{number}"), "1"))
            .await
            .unwrap();
    }
    let mut follower = Follower::new(place.client().works("c1").watch(WatchOptions::default()));
    follower
        .until("all applied", |told| {
            (0..WORKS).all(|number| told.is_applied(&format!("w{number}"), 1))
        })
        .await;
    follower.until_synced_once().await;
    for round in 1..=3_i64 {
        follower.take();
        place.kill().await;
        follower.until_interrupted().await;
        let error = follower.interruptions.last().unwrap();
        assert!(error.is_retryable(), "{error:?}");
        // F48: a write waits for the server.
        let waiting = {
            let works = place.client().works("c1");
            tokio::spawn(async move { works.apply(&work(&format!("late-{round}"), "1")).await })
        };
        place.start_again().await;
        let back = Instant::now();
        let mut told = follower.until_synced().await;
        let took = back.elapsed();
        assert!(
            took <= place.stage.scale.of(FOUND),
            "found again after {took:?}"
        );
        assert!(matches!(
            waiting.await.unwrap().unwrap(),
            Applied::Created(_)
        ));
        let late = format!("late-{round}");
        follower
            .until("the late work", |told| told.is_applied(&late, 1))
            .await;
        works
            .apply(&work("w0", &format!("round {round}")))
            .await
            .unwrap();
        let version = works.get("w0").await.unwrap().metadata.generation;
        follower
            .until("a change", |told| told.is_applied("w0", version))
            .await;
        told.extend(follower.take());
        told.retain(|line| !line.starts_with("M "));
        assert_eq!(told, [format!("A {late} 1")], "nothing else came or went");
    }
    assert!(agent.revived().is_empty());
}

async fn f35_a_watch_that_begins_among_writes_tells_each_work_once(database: Database) {
    const WORKS: usize = 100;
    let place = Place::start(database).await;
    let _agent = place.agent("c1", Behaviour::default()).await;
    let client = place.client();
    let works = client.works("c1");
    let mut followers = Vec::new();
    for number in 0..WORKS {
        works
            .create(&work(&format!("w{number}"), "1"))
            .await
            .unwrap();
        if number % 25 == 10 {
            // Watched and left at once; then again.
            drop(works.watch(WatchOptions::default()));
            followers.push(Follower::new(works.watch(WatchOptions::default())));
        }
    }
    for mut follower in followers {
        follower
            .until("all applied", |told| {
                (0..WORKS).all(|number| told.is_applied(&format!("w{number}"), 1))
            })
            .await;
        let told = follower.take();
        let added = told.iter().filter(|line| line.starts_with("A ")).count();
        assert_eq!(added, WORKS);
    }
    testkit::eventually("all watches to end", PATIENCE, async || {
        (client.watchers() == 0).then_some(())
    })
    .await;
}

async fn a_watch_by_label_follows_works_in_and_out(database: Database) {
    let place = Place::start(database).await;
    let _agent = place.agent("c1", Behaviour::default()).await;
    let line = Proxy::start(&place.grpc()).await.unwrap();
    let works = place.client().works("c1");
    works.create(&labelled("w", "app", "x")).await.unwrap();
    works.create(&labelled("other", "app", "y")).await.unwrap();
    let watching = place.client_through(line.address()).works("c1");
    let mut follower = Follower::new(watching.watch(WatchOptions {
        label_selector: "app=x".parse().unwrap(),
        ..WatchOptions::default()
    }));
    follower.until("w", |told| told.is_applied("w", 1)).await;
    // Out and in while it looks.
    works.apply(&labelled("w", "app", "y")).await.unwrap();
    follower
        .until("w to leave", |told| told.view().is_empty())
        .await;
    works.apply(&labelled("w", "app", "x")).await.unwrap();
    follower
        .until("w to come back", |told| told.is_applied("w", 3))
        .await;
    // Out while it doesn't look, in while it does.
    line.refuse();
    follower.until_interrupted().await;
    works.apply(&labelled("w", "app", "y")).await.unwrap();
    line.accept();
    follower
        .until("w to leave", |told| told.view().is_empty())
        .await;
    works.apply(&labelled("w", "app", "x")).await.unwrap();
    follower
        .until("w to come back", |told| told.is_applied("w", 5))
        .await;
    delete(&works, "w").await;
    follower
        .until("the end of w", |told| told.view().is_empty())
        .await;
    let told = follower.take();
    let ends = told.iter().filter(|line| line.starts_with("D w ")).count();
    assert_eq!(ends, 3, "{told:?}");
    assert!(!told.iter().any(|line| line.contains("other")), "{told:?}");
    let options = ListOptions::default();
    assert_eq!(works.list(&options).await.unwrap().len(), 1);
}

/// A server that refuses says why, and nobody takes it for an empty one.
#[tokio::test]
async fn f47_the_wrong_port_is_no_empty_server() {
    let place = Place::start(Database::Postgres).await;
    let config = maestro_client::Config {
        rest_url: format!("http://{}", place.grpc()),
        wait_for_server: Duration::ZERO,
        ..place.config()
    };
    let error = Client::new(config)
        .unwrap()
        .works("c1")
        .get("w")
        .await
        .unwrap_err();
    assert!(!matches!(error, Error::NotFound { .. }), "{error:?}");
}
