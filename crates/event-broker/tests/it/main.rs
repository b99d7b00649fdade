//! What every broker promises, tried on every broker of this build.

#![allow(clippy::unwrap_used, reason = "a test may say what it expects")]

mod contract;

use std::sync::Arc;
use std::time::Duration;

use event_broker::{Broker, Event, MemoryBroker, Retry, Subscription};
use serde_json::json;

contract::suite!(memory, || MemoryBroker::new() as Arc<dyn Broker>);

fn pulse(n: u32) -> Event {
    Event::new(
        "test",
        "com.redhat.hyperfleet.cluster.reconcile",
        json!({"id": n}),
    )
}

#[tokio::test(start_paused = true)]
async fn memory_shows_depth_and_dead_letters() {
    let broker = MemoryBroker::new();
    let mut subscription = Subscription::new("s", "t");
    subscription.max_deliveries = 2;
    let mut consumer = broker.subscribe(subscription).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    assert_eq!(broker.depth("s").waiting, 1);
    for attempt in 1..=2 {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(
            (delivery.attempt, delivery.last_attempt),
            (attempt, attempt == 2)
        );
        assert_eq!(broker.depth("s").in_hand, 1);
        delivery.nack(Retry::Backoff).await;
    }
    let dead = broker.dead_letters("s");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].deliveries, 2);
    assert_eq!(
        (
            broker.depth("s").waiting,
            broker.depth("s").in_hand,
            broker.depth("s").dead
        ),
        (0, 0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn backoff_doubles_up_to_its_cap() {
    let mut subscription = Subscription::new("s", "t");
    subscription.min_backoff = Duration::from_millis(100);
    subscription.max_backoff = Duration::from_millis(350);
    let waits: Vec<u128> = (1..=4)
        .map(|n| subscription.backoff(n).as_millis())
        .collect();
    assert_eq!(waits, [100, 200, 350, 350]);
    assert_eq!(subscription.backoff(u32::MAX), subscription.max_backoff);

    let broker = MemoryBroker::new();
    let mut consumer = broker.subscribe(subscription).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    let start = tokio::time::Instant::now();
    for expected in [0, 100, 300, 650] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(start.elapsed().as_millis(), expected);
        delivery.nack(Retry::Backoff).await;
    }
}
