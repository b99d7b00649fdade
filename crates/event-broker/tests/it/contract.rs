//! The suite for [`event_broker::Broker`]: `suite!(name, || new_broker())` makes one module of tests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event_broker::{Broker, Delivery, Error, Event, Retry, Subscription};
use serde_json::{Value, json};

macro_rules! suite {
    ($name:ident, $new:expr) => {
        mod $name {
            use super::*;
            $crate::contract::tests!($new;
                every_subscription_gets_every_event,
                consumers_of_one_subscription_share_the_events,
                an_acknowledged_event_never_returns,
                a_refused_event_returns_then_becomes_a_dead_letter,
                dropped_is_refused,
                give_up_means_dead_letter_at_once,
                a_delayed_event_does_not_hold_up_the_next,
                parallelism_bounds_what_is_in_hand,
                a_full_queue_refuses_and_loses_nothing,
                cancelled_waits_lose_nothing,
                bad_arguments_are_named,
                closing_ends_consumers
            );
        }
    };
}

macro_rules! tests {
    ($new:expr; $($case:ident),+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $case() {
            $crate::contract::$case(($new)()).await;
        })+
    };
}

pub(crate) use {suite, tests};

fn pulse(n: u32) -> Event {
    Event::new(
        "test",
        "com.redhat.hyperfleet.cluster.reconcile",
        json!({"id": n}),
    )
}

fn number(delivery: &Delivery) -> u64 {
    delivery
        .event
        .data
        .as_ref()
        .and_then(|data| data.get("id"))
        .and_then(Value::as_u64)
        .unwrap()
}

/// Nothing arrives for a long while (of paused time).
async fn silent(consumer: &mut event_broker::Consumer) -> bool {
    tokio::time::timeout(Duration::from_secs(120), consumer.next())
        .await
        .is_err()
}

pub async fn every_subscription_gets_every_event(broker: Arc<dyn Broker>) {
    let mut a = broker.subscribe(Subscription::new("a", "t")).await.unwrap();
    let mut b = broker.subscribe(Subscription::new("b", "t")).await.unwrap();
    let mut other = broker
        .subscribe(Subscription::new("c", "other"))
        .await
        .unwrap();
    let event = pulse(1);
    broker.publish("t", &event).await.unwrap();
    for consumer in [&mut a, &mut b] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.event, event);
        assert_eq!(delivery.attempt, 1);
        delivery.ack().await;
    }
    assert!(silent(&mut other).await);
}

pub async fn consumers_of_one_subscription_share_the_events(broker: Arc<dyn Broker>) {
    let mut first = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    let mut second = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    for n in 0..20 {
        broker.publish("t", &pulse(n)).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        // Both hold one at the same time: neither starves the other.
        let (a, b) = (first.next().await.unwrap(), second.next().await.unwrap());
        assert!(
            seen.insert(number(&a)) && seen.insert(number(&b)),
            "delivered twice"
        );
        a.ack().await;
        b.ack().await;
    }
    assert_eq!(seen.len(), 20);
}

pub async fn an_acknowledged_event_never_returns(broker: Arc<dyn Broker>) {
    let mut consumer = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    consumer.next().await.unwrap().ack().await;
    assert!(silent(&mut consumer).await);
}

pub async fn a_refused_event_returns_then_becomes_a_dead_letter(broker: Arc<dyn Broker>) {
    let mut settings = Subscription::new("s", "t");
    settings.max_deliveries = 3;
    let mut dead = broker
        .subscribe(Subscription::new("graveyard", settings.dead_letter_topic()))
        .await
        .unwrap();
    let mut consumer = broker.subscribe(settings).await.unwrap();
    broker.publish("t", &pulse(7)).await.unwrap();
    for attempt in 1..=3 {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.attempt, attempt);
        assert_eq!(delivery.last_attempt, attempt == 3);
        delivery
            .nack(if attempt == 1 {
                Retry::After(Duration::from_secs(1))
            } else {
                Retry::Backoff
            })
            .await;
    }
    assert_eq!(number(&dead.next().await.unwrap()), 7);
    assert!(silent(&mut consumer).await);
}

pub async fn dropped_is_refused(broker: Arc<dyn Broker>) {
    let mut consumer = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    drop(consumer.next().await.unwrap());
    let again = consumer.next().await.unwrap();
    assert_eq!((number(&again), again.attempt), (1, 2));
    again.ack().await;
}

pub async fn give_up_means_dead_letter_at_once(broker: Arc<dyn Broker>) {
    let settings = Subscription::new("s", "t");
    let mut dead = broker
        .subscribe(Subscription::new("graveyard", settings.dead_letter_topic()))
        .await
        .unwrap();
    let mut consumer = broker.subscribe(settings).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    consumer.next().await.unwrap().nack(Retry::Drop).await;
    assert_eq!(number(&dead.next().await.unwrap()), 1);
    assert!(silent(&mut consumer).await);
}

pub async fn a_delayed_event_does_not_hold_up_the_next(broker: Arc<dyn Broker>) {
    let mut consumer = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    broker.publish("t", &pulse(2)).await.unwrap();
    let first = consumer.next().await.unwrap();
    let failed = number(&first);
    first.nack(Retry::After(Duration::from_secs(60))).await;
    let second = consumer.next().await.unwrap();
    assert_ne!(number(&second), failed);
    second.ack().await;
    assert_eq!(number(&consumer.next().await.unwrap()), failed);
}

pub async fn parallelism_bounds_what_is_in_hand(broker: Arc<dyn Broker>) {
    let mut consumer = broker
        .subscribe(Subscription::new("s", "t").parallelism(2))
        .await
        .unwrap();
    for n in 0..3 {
        broker.publish("t", &pulse(n)).await.unwrap();
    }
    let (a, b) = (
        consumer.next().await.unwrap(),
        consumer.next().await.unwrap(),
    );
    assert!(silent(&mut consumer).await, "a third while two are in hand");
    a.ack().await;
    let c = consumer.next().await.unwrap();
    let seen: BTreeSet<_> = [number(&b), number(&c)].into();
    assert_eq!(seen.len(), 2);
}

pub async fn a_full_queue_refuses_and_loses_nothing(broker: Arc<dyn Broker>) {
    let mut small = Subscription::new("small", "t");
    small.capacity = 2;
    let mut small = broker.subscribe(small).await.unwrap();
    let mut large = broker
        .subscribe(Subscription::new("large", "t"))
        .await
        .unwrap();
    broker.publish("t", &pulse(0)).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    let error = broker.publish("t", &pulse(2)).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("small"),
        "{error}"
    );
    for n in 0..3 {
        // The slow neighbour took nothing away from this one.
        let delivery = large.next().await.unwrap();
        assert_eq!(number(&delivery), n);
        delivery.ack().await;
    }
    for n in 0..2 {
        let delivery = small.next().await.unwrap();
        assert_eq!(number(&delivery), n);
        delivery.ack().await;
    }
    broker.publish("t", &pulse(3)).await.unwrap();
    assert_eq!(number(&small.next().await.unwrap()), 3);
}

pub async fn cancelled_waits_lose_nothing(broker: Arc<dyn Broker>) {
    let mut consumer = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    for n in 0..5 {
        let _ = tokio::time::timeout(Duration::from_millis(1), consumer.next())
            .await
            .map(drop);
        broker.publish("t", &pulse(n)).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        assert_eq!(number(&delivery), u64::from(n));
        delivery.ack().await;
    }
}

pub async fn bad_arguments_are_named(broker: Arc<dyn Broker>) {
    for (id, topic, text) in [("", "t", "id is required"), ("s", "", "topic is required")] {
        let error = broker
            .subscribe(Subscription::new(id, topic))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Invalid(_)) && error.to_string().contains(text),
            "{error}"
        );
    }
    broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    let error = broker
        .subscribe(Subscription::new("s", "u"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("attached to topic \"t\""),
        "{error}"
    );
    let mut huge = pulse(1);
    huge.data = Some(json!({"id": "x".repeat(300 * 1024)}));
    let error = broker.publish("t", &huge).await.unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
}

pub async fn closing_ends_consumers(broker: Arc<dyn Broker>) {
    let mut consumer = broker.subscribe(Subscription::new("s", "t")).await.unwrap();
    broker.publish("t", &pulse(1)).await.unwrap();
    let held = consumer.next().await.unwrap();
    assert!(broker.health().is_ok());
    let (ended, ()) = tokio::join!(consumer.next(), async {
        broker.close().await;
        broker.close().await;
    });
    assert!(ended.is_none());
    held.ack().await;
    assert_eq!(broker.health(), Err(Error::Closed));
    assert_eq!(broker.publish("t", &pulse(2)).await, Err(Error::Closed));
}
