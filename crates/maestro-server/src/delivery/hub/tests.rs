use super::*;

fn strangers(count: usize) -> Strangers {
    Strangers::of(
        (0..count)
            .map(|number| (format!("r{number}").into(), 1))
            .collect(),
    )
}

#[test]
fn nothing_of_an_agent_stays_when_its_last_stream_ends() {
    let hub = Hub::default();
    for number in 0..100 {
        let cluster = ClusterName::from(format!("stranger-{number}"));
        let first = hub.add_agent(cluster.clone(), Connection::new());
        let second = hub.add_agent(cluster.clone(), Connection::new());
        hub.note_strangers(&cluster, strangers(30));
        hub.remove_agent(&first, None);
        assert_eq!(hub.strangers(&cluster), 30);
        hub.remove_agent(&second, None);
        assert_eq!(hub.strangers(&cluster), 0);
    }
    assert!(lock(&hub.agents).is_empty() && lock(&hub.strangers).is_empty());
    let (ended, streams) = hub.presence(true);
    assert_eq!((ended.len(), streams.len()), (200, 0));
    let (ended, streams) = hub.presence(true);
    assert_eq!((ended.len(), streams.len()), (0, 0));
}

#[tokio::test]
async fn the_streams_of_an_agent_share_its_list() {
    let (hub, connection) = (Hub::default(), Connection::new());
    let cluster = ClusterName::from("c1");
    let streams: Vec<_> = (0..3)
        .map(|_| hub.add_agent(cluster.clone(), connection.clone()))
        .collect();
    let held = Arc::new(Held::default());
    assert!(hub.resync(&cluster, &connection, &held));
    for stream in streams {
        match stream.next(1).await {
            SpecWork::Resync(theirs) => assert!(Arc::ptr_eq(&theirs, &held)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn strangers_that_were_only_counted_are_asked_for_again() {
    let (hub, cluster) = (Hub::default(), ClusterName::from("c1"));
    let stream = hub.add_agent(cluster.clone(), Connection::new());
    hub.note_strangers(&cluster, strangers(30_000));
    assert_eq!(hub.strangers(&cluster), 30_000);
    assert_eq!(hub.accept_strangers(&cluster), Some(20_000));
    assert_eq!(lock(&stream.state).orphans.len(), 20_000);
    // The others have no names: the agent has to come back and name them.
    assert_eq!(hub.strangers(&cluster), 10_000);
    let (_, streams) = hub.presence(false);
    assert_eq!(streams.len(), 1, "their number is news");
    let (_, streams) = hub.presence(false);
    assert!(streams.is_empty(), "and no more each second");
    assert!(!stream.connection.is_cut());
    assert_eq!(hub.accept_strangers(&cluster), Some(0));
    assert!(stream.connection.is_cut());
}

#[tokio::test]
async fn orphans_that_are_put_back_join_those_given_up_meanwhile() {
    let (hub, cluster) = (Hub::default(), ClusterName::from("c1"));
    let stream = hub.add_agent(cluster, Connection::new());
    let orphans = |ids: &[(&str, i64)]| -> Vec<(ResourceId, i64)> {
        ids.iter()
            .map(|(id, version)| ((*id).into(), *version))
            .collect()
    };
    lock(&stream.state).orphans = orphans(&[("both", 2), ("new", 1)]);
    stream.retry_orphans(orphans(&[("old", 1), ("both", 1)]));
    match stream.next(1).await {
        SpecWork::Orphans(all) => assert_eq!(all, orphans(&[("both", 2), ("new", 1), ("old", 1)])),
        other => panic!("{other:?}"),
    }
}
