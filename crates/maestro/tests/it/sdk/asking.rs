//! Where is it, and what does it wait for? Only our server knows.

use std::time::Duration;

use conformance::play::Behaviour;
use maestro_client::Error;
use maestro_client::explain::State;

use super::place::{Database, Place, is_foreign};
use super::work;
use crate::support::PATIENCE;

on_both_databases!(the_server_explains_a_work_and_sends_it_again);

async fn the_server_explains_a_work_and_sends_it_again(database: Database) {
    let place = Place::start(database).await;
    let client = place.client();
    let works = client.works("c1");
    let id = works.create(&work("w", "1")).await.unwrap().metadata.uid;
    if is_foreign() {
        let error = client.explain(&id).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        return;
    }
    let found = client.explain(&id).await.unwrap();
    assert_eq!(
        (found.state, found.stored.version),
        (State::WaitingForAgent, 1),
        "{}",
        found.summary
    );
    assert_eq!(found.stored.source, client.source_id());
    assert!(!client.resend(&id).await.unwrap().connected);
    assert_eq!(works.explain("w").await.unwrap().id, id, "by name");
    assert_eq!(works.resend("w").await.unwrap().id, id);
    let missing = works.explain("nothing").await.unwrap_err();
    assert!(
        missing.is_not_found() && missing.to_string().contains("\"nothing\""),
        "{missing}"
    );
    let until = async |wanted: State| {
        testkit::eventually(&format!("the state {wanted:?}"), PATIENCE, async || {
            let found = client.explain(&id).await.unwrap();
            (found.state == wanted).then_some(found)
        })
        .await
    };

    let behaviour = Behaviour {
        acknowledge_after: None,
        ..Behaviour::default()
    };
    let agent = place.agent("c1", behaviour).await;
    let settled = until(State::Settled).await;
    assert_eq!(settled.acknowledged.unwrap().applied, "True");
    let consumer = client.consumers().get("c1").await.unwrap();
    let delivery = client.delivery(&consumer.id).await.unwrap();
    assert!(delivery.connected && delivery.pending == 0, "{delivery:?}");

    let before = agent.work(&id).unwrap().spec;
    let resent = client.resend(&id).await.unwrap();
    assert!(
        resent.connected && resent.version == 1 && !resent.deleting,
        "{resent:?}"
    );
    agent
        .until(Duration::from_secs(30), "the work once more", |held| {
            held.get(&id)
                .is_some_and(|held| !std::sync::Arc::ptr_eq(&held.spec, &before))
        })
        .await
        .unwrap();

    works.delete("w").await.unwrap();
    let deleting = until(State::Deleting).await;
    assert!(deleting.deletion.is_some());
    let missing = client.explain("nothing").await.unwrap_err();
    assert!(missing.is_not_found(), "{missing:?}");
}
