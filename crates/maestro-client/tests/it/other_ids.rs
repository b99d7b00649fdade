//! Works whose ids aren't made from their names: their source has sent them by itself.

use event_wire::attribute::name;
use maestro_client::WatchOptions;
use serde_json::json;

use crate::{
    client,
    fake::Fake,
    watching::{next, until_synced},
    work,
};

/// Gives a work an id that says nothing about its name.
fn give_id(fake: &Fake, work: &str, id: &str) {
    let made = fake.id(work);
    let mut data = fake.data();
    let mut row = data.rows.remove(&made).unwrap();
    row.spec.set(name::RESOURCE_ID, id);
    data.rows.insert(id.to_owned(), row);
}

/// Its source sends it with another label.
fn label(fake: &Fake, id: &str, value: &str) {
    let mut data = fake.data();
    let row = data.rows.get_mut(id).unwrap();
    let mut metadata = row.spec.metadata().unwrap().unwrap();
    metadata.labels.insert("app".into(), value.into());
    row.spec
        .set(name::METADATA, serde_json::to_string(&metadata).unwrap());
    row.version += 1;
}

#[tokio::test]
async fn a_work_with_an_id_of_its_own_is_told_again_when_it_gets_its_label_back() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    give_id(&fake, "w", "own-id");
    label(&fake, "own-id", "x");
    let mut watch = works.watch(WatchOptions {
        label_selector: "app=x".parse().unwrap(),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut watch).await, ["A w 2"]);
    label(&fake, "own-id", "y");
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["D w 2"]);
    label(&fake, "own-id", "x");
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "A w 4");
}

#[tokio::test]
async fn a_watch_by_name_finds_a_work_with_an_id_of_its_own() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    works.create(&work("other", "1")).await.unwrap();
    give_id(&fake, "w", "own-id");
    let mut watch = works.watch(WatchOptions {
        name: Some("w".into()),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "M w 1");
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, [""; 0], "it is still there");
}

/// Whoever applies such a name creates another work, under the id that follows from the name.
#[tokio::test]
async fn a_watch_by_name_keeps_a_work_beside_which_another_of_its_name_is_created() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    give_id(&fake, "w", "own-id");
    let mut watch = works.watch(WatchOptions {
        name: Some("w".into()),
        ..WatchOptions::default()
    });
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
    label(&fake, "own-id", "x");
    works.apply(&work("w", "2")).await.unwrap();
    fake.end_subscriptions();
    assert_eq!(
        until_synced(&mut watch).await,
        ["A w 1", "M w 2"],
        "there are two now"
    );
    fake.data().rows.remove("own-id");
    fake.end_subscriptions();
    assert_eq!(until_synced(&mut watch).await, ["D w 2"]);
}
