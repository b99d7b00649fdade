//! Connections that a load balancer has forgotten: nothing is closed, and nothing arrives any more.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use maestro_client::{Client, Config, Error, ListOptions, WatchEvent, WatchOptions, Works};
use serde_json::json;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{client, config, fake::Fake, watching::next, watching::until_synced, work};

/// A way to a server that forgets connections on demand, but carries new ones.
struct Balancer {
    address: SocketAddr,
    /// Connections of earlier ages are forgotten.
    age: watch::Sender<usize>,
    /// How many of the next connections reach nobody.
    swallowed: Arc<AtomicUsize>,
    /// How many forgotten connections were used all the same.
    missed: Arc<AtomicUsize>,
    acceptor: JoinHandle<()>,
}

impl Balancer {
    async fn start(target: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Little room, so that the sender of a long request notices when nothing is taken any more.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (age, ages) = watch::channel(0);
        let swallowed = Arc::new(AtomicUsize::new(0));
        let swallow = Arc::clone(&swallowed);
        let missed = Arc::new(AtomicUsize::new(0));
        let misses = Arc::clone(&missed);
        let acceptor = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let lost = swallow
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok();
                connections.spawn(carry(near, target, lost, ages.clone(), Arc::clone(&misses)));
            }
        });
        Self {
            address,
            age,
            swallowed,
            missed,
            acceptor,
        }
    }

    fn forget_connections(&self) {
        self.age.send_modify(|age| *age += 1);
    }

    fn swallow_next(&self) {
        self.swallowed.fetch_add(1, Ordering::SeqCst);
    }

    fn missed(&self) -> usize {
        self.missed.load(Ordering::SeqCst)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    lost: bool,
    mut ages: watch::Receiver<usize>,
    misses: Arc<AtomicUsize>,
) {
    let born = *ages.borrow();
    if lost {
        std::future::pending::<()>().await;
    }
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    let forgotten = async {
        let _ = ages.wait_for(|age| *age > born).await;
    };
    tokio::select! {
        biased;
        () = forgotten => {}
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
    }
    // Both ends stay open, and what arrives is left where it is.
    if near.peek(&mut [0]).await.is_ok_and(|seen| seen > 0) {
        misses.fetch_add(1, Ordering::SeqCst);
    }
    std::future::pending::<()>().await;
}

/// Makes calls at the same time, so that several connections rest in the pool.
async fn open_several(fake: &Fake, works: &Works) {
    fake.data().list_delay = Duration::from_millis(200);
    let options = ListOptions::default();
    let (one, two, three) = tokio::join!(
        works.list(&options),
        works.list(&options),
        works.list(&options)
    );
    for list in [one, two, three] {
        list.unwrap();
    }
    fake.data().list_delay = Duration::ZERO;
}

#[tokio::test]
async fn a_read_on_a_forgotten_connection_is_made_again_on_a_new_one() {
    let fake = Fake::start().await;
    let balancer = Balancer::start(fake.rest).await;
    let works = Client::new(Config {
        rest_url: format!("http://{}", balancer.address),
        request_timeout: Duration::from_secs(6),
        ..config(&fake)
    })
    .unwrap()
    .works("c1");
    works.create(&work("w", "1")).await.unwrap();
    open_several(&fake, &works).await;
    balancer.forget_connections();
    works.get("w").await.unwrap();
    assert_eq!(balancer.missed(), 1);
    // What was found out is of use to the next one: it doesn't ask on another forgotten connection first.
    works.get("w").await.unwrap();
    assert_eq!(balancer.missed(), 1);
}

/// The system ends a connection on which nothing is acknowledged, 10 s after it was used: as long as calls wait for a server by default.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_deletion_on_a_forgotten_connection_is_made_again_on_a_new_one() {
    let fake = Fake::start().await;
    let balancer = Balancer::start(fake.rest).await;
    let works = client(&fake).works("c1");
    let id = works.create(&work("w", "1")).await.unwrap().metadata.uid;
    let client = Client::new(Config {
        rest_url: format!("http://{}", balancer.address),
        // More than the system takes for a peer that doesn't read.
        user_agent: "x".repeat(200 * 1024),
        ..config(&fake)
    })
    .unwrap();
    open_several(&fake, &client.works("c1")).await;
    balancer.forget_connections();
    client.bundles().delete(&id).await.unwrap();
    assert!(fake.data().rows[&id].deleted_at.is_some());
    assert_eq!(balancer.missed(), 1);
    client.bundles().delete(&id).await.unwrap();
    assert_eq!(balancer.missed(), 1);
}

#[tokio::test]
async fn a_read_that_nobody_answers_ends_within_its_time() {
    let fake = Fake::start().await;
    let balancer = Balancer::start(fake.rest).await;
    (0..2).for_each(|_| balancer.swallow_next());
    let works = Client::new(Config {
        rest_url: format!("http://{}", balancer.address),
        request_timeout: Duration::from_secs(3),
        ..config(&fake)
    })
    .unwrap()
    .works("c1");
    let asked = Instant::now();
    let error = works.get("w").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(6),
        "{took:?}"
    );
    // Nothing is kept of those connections.
    assert!(works.get("w").await.unwrap_err().is_not_found());
}

/// Whoever was silent on the one port is likely to be silent on the other.
#[tokio::test]
async fn f45_a_watch_that_leaves_a_silent_connection_lists_on_a_new_one() {
    let fake = Fake::start().await;
    let (grpc, rest) = (
        Balancer::start(fake.grpc).await,
        Balancer::start(fake.rest).await,
    );
    let works = Client::new(Config {
        grpc_address: grpc.address.to_string(),
        rest_url: format!("http://{}", rest.address),
        server_healthiness_timeout: Some(Duration::from_secs(2)),
        ..config(&fake)
    })
    .unwrap()
    .works("c1");
    works.create(&work("w", "1")).await.unwrap();
    let mut watch = works.watch(WatchOptions::default());
    assert_eq!(until_synced(&mut watch).await, ["A w 1"]);
    grpc.forget_connections();
    rest.forget_connections();
    fake.report("w", json!({}));
    assert_eq!(next(&mut watch).await, "interrupted");
    let left = Instant::now();
    assert_eq!(until_synced(&mut watch).await, ["M w 1"]);
    assert!(
        left.elapsed() < Duration::from_secs(6),
        "listed after {:?}",
        left.elapsed()
    );
}

/// A proxy takes every connection, also those to a server that has just died.
#[tokio::test]
async fn f45_a_subscription_that_nobody_answers_is_opened_anew_soon() {
    let fake = Fake::start().await;
    let balancer = Balancer::start(fake.grpc).await;
    balancer.swallow_next();
    let client = Client::new(Config {
        grpc_address: balancer.address.to_string(),
        ..config(&fake)
    })
    .unwrap();
    let began = Instant::now();
    let mut watch = client.works("c1").watch(WatchOptions::default());
    assert_eq!(next(&mut watch).await, "synced");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "subscribed after {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn f45_a_subscription_that_nobody_answers_in_all_its_time_is_told() {
    let fake = Fake::start().await;
    let balancer = Balancer::start(fake.grpc).await;
    balancer.swallow_next();
    let client = Client::new(Config {
        grpc_address: balancer.address.to_string(),
        server_healthiness_timeout: Some(Duration::from_secs(2)),
        ..config(&fake)
    })
    .unwrap();
    let mut watch = client.works("c1").watch(WatchOptions::default());
    let Some(WatchEvent::Interrupted(why)) = watch.next_event().await else {
        panic!("nobody answered")
    };
    assert_eq!(why.0.status_reason(), "Timeout");
    assert_eq!(next(&mut watch).await, "synced");
}
