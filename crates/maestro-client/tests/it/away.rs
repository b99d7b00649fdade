//! Servers that are away, that lose answers, or that are none.

use std::time::Duration;

use maestro_client::{Applied, Client, Config, Error};
use testkit::proxy::Proxy;
use tonic::Status;

use crate::{client, config, fake::Fake, work};

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
