//! Servers that are away, that lose answers, that answer late, or that are none.

use std::time::Duration;

use maestro_client::{Applied, Client, Config, Error, WatchOptions};
use serde_json::json;
use testkit::proxy::Proxy;
use tonic::Status;

use crate::{client, config, fake::Fake, watching::next, work};

#[tokio::test]
async fn a_lost_answer_is_no_lost_write_and_no_second_one() {
    let fake = Fake::start().await;
    let works = client(&fake).works("c1");
    let lost = || (Status::unavailable("connection reset"), true);
    fake.data().failures.push(lost());
    assert_eq!(
        works
            .create(&work("w", "1"))
            .await
            .unwrap()
            .metadata
            .generation,
        1
    );
    fake.data().failures.push(lost());
    let Applied::Updated(updated) = works.apply(&work("w", "2")).await.unwrap() else {
        panic!()
    };
    assert_eq!(updated.metadata.generation, 2);
    let ids: Vec<String> = fake
        .data()
        .published
        .iter()
        .map(|event| event.id.clone())
        .collect();
    assert!(
        ids.len() == 4 && ids[0] == ids[1] && ids[2] == ids[3],
        "a repeated event keeps its id"
    );
    // Somebody else's work in the way is still an error.
    fake.data()
        .failures
        .push((Status::unavailable("connection reset"), false));
    fake.data()
        .rows
        .values_mut()
        .for_each(|row| row.version = 1);
    assert!(matches!(
        works.create(&work("w", "3")).await,
        Err(Error::AlreadyExists { .. })
    ));
}

#[tokio::test]
async fn f48_calls_wait_for_a_server_that_comes_back_and_say_so_if_it_does_not() {
    let fake = Fake::start().await;
    let (grpc, rest) = (
        Proxy::start(fake.grpc).await.unwrap(),
        Proxy::start(fake.rest).await.unwrap(),
    );
    let through = |wait_for_server| Config {
        grpc_address: grpc.address().to_string(),
        rest_url: format!("http://{}", rest.address()),
        wait_for_server,
        ..config(&fake)
    };
    let patient = Client::new(through(crate::DEADLINE)).unwrap();
    let hasty = Client::new(through(Duration::ZERO)).unwrap();
    patient
        .works("c1")
        .create(&work("before", "1"))
        .await
        .unwrap();
    grpc.refuse();
    rest.refuse();
    for error in [
        hasty.works("c1").create(&work("w", "1")).await.unwrap_err(),
        hasty.works("c1").get("w").await.unwrap_err(),
    ] {
        assert!(
            error.is_retryable() && error.status_reason() == "ServiceUnavailable",
            "{error:?}"
        );
    }
    let waiting = tokio::spawn(async move { patient.works("c1").apply(&work("w", "1")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    grpc.accept();
    rest.accept();
    assert!(matches!(
        waiting.await.unwrap().unwrap(),
        Applied::Created(_)
    ));
}

/// Such a server says nothing about a subscription before there is something to tell, at the latest that it is alive.
#[tokio::test]
async fn a_subscription_that_is_answered_by_its_first_heartbeat_is_no_failure() {
    let fake = Fake::start_with(None, Some(Duration::from_secs(7))).await;
    fake.data().late_answers = true;
    let works = client(&fake).works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let mut watch = works.watch(WatchOptions::default());
    assert_eq!(next(&mut watch).await, "A w 1");
    assert_eq!(next(&mut watch).await, "synced");
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "M w 1");
    fake.end_subscriptions();
    assert_eq!(next(&mut watch).await, "interrupted");
    assert_eq!(next(&mut watch).await, "synced");
}

#[tokio::test]
async fn another_service_at_the_address_is_no_empty_maestro() {
    let fake = Fake::start().await;
    // The gRPC port speaks HTTP/2 only, the REST port no gRPC.
    let crossed = Config {
        rest_url: format!("http://{}", fake.rest),
        grpc_address: fake.rest.to_string(),
        wait_for_server: Duration::ZERO,
        ..config(&fake)
    };
    let error = Client::new(crossed)
        .unwrap()
        .works("c1")
        .create(&work("w", "1"))
        .await
        .unwrap_err();
    assert!(!error.is_not_found(), "{error:?}");
    let misplaced = Config {
        rest_url: format!("http://{}/somewhere", fake.rest),
        ..config(&fake)
    };
    let error = Client::new(misplaced)
        .unwrap()
        .works("c1")
        .get("w")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}
