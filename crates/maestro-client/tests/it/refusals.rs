//! What is wrong for good is said at once, and once.

use std::time::{Duration, Instant};

use maestro_client::{Error, Patch, Watch, WatchEvent, WatchOptions};
use serde_json::json;

use crate::{DEADLINE, client, fake::Fake, watching::next, work};

/// Why a watch ends.
async fn why_it_ends(mut watch: Watch) -> Error {
    let Some(WatchEvent::Interrupted(why)) = watch.next_event().await else {
        panic!("it can't work")
    };
    let after = tokio::time::timeout(DEADLINE, watch.next_event()).await;
    assert_eq!(after.expect("it ends"), None);
    why.0
}

#[tokio::test]
async fn a_watch_that_can_never_work_says_why_and_ends() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let named = |name: &str| WatchOptions {
        name: Some(name.into()),
        ..WatchOptions::default()
    };
    for (watch, part) in [
        (client.all_works().watch(named("w")), "within its consumer"),
        (client.works("c1").watch(named("")), "is empty"),
        (
            client.works("c1").watch(named("w' or 'a'='a")),
            "invalid character",
        ),
        (
            client.works("c' 1").watch(WatchOptions::default()),
            "invalid character",
        ),
        (client.works("").watch(WatchOptions::default()), "is empty"),
    ] {
        let error = why_it_ends(watch).await;
        assert!(
            matches!(error, Error::Invalid { .. }) && error.to_string().contains(part),
            "{part}: {error}"
        );
    }
    assert_eq!((client.watchers(), fake.data().subscriptions), (0, 0));
}

#[tokio::test]
async fn a_watch_rests_between_lists_even_if_it_is_told_not_to() {
    let fake = Fake::start().await;
    let mut watch = client(&fake).works("c1").watch(WatchOptions {
        relist_every: Some(Duration::ZERO),
        ..WatchOptions::default()
    });
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(next(&mut watch).await, "synced");
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1900),
        "three lists in {took:?}"
    );
}

/// Updates leave them out, so that a change of them would be lost without a word.
#[tokio::test]
async fn a_change_of_finalizers_or_owners_is_refused() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}]);
    for (patch, field) in [
        (json!({"finalizers": ["example.com/mine"]}), "finalizers"),
        (json!({"ownerReferences": owner}), "ownerReferences"),
    ] {
        let patch = Patch::Merge(json!({ "metadata": patch }));
        let error = works.patch("w", &patch).await.unwrap_err();
        assert!(
            matches!(&error, Error::Invalid { .. }) && error.to_string().contains(field),
            "{error:?}"
        );
    }
    let finalize = |work: &mut manifestwork::ManifestWork| {
        work.metadata.finalizers.push("example.com/mine".into());
    };
    let error = works.edit("w", finalize).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    assert_eq!(fake.data().published.len(), 1, "nothing was sent");
    // Whoever brings a whole work is told beforehand what is left out.
    let mut whole = work("w", "1");
    finalize(&mut whole);
    works.apply(&whole).await.unwrap();
}
