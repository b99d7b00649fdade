//! Many at once: lists, deletion by label, consumers.

use std::collections::BTreeMap;

use maestro_client::{Client, Config, Error, LabelSelector, ListOptions};
use manifestwork::ManifestWork;
use tonic::Status;

use crate::{config, fake::Fake, work};

#[tokio::test]
async fn f37_a_list_walks_all_pages_each_work_once() {
    let fake = Fake::start().await;
    fake.consumer("c2");
    let client = Client::new(Config {
        page_size: 7,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..25 {
        let mut work = work(&format!("w{number:02}"), "1");
        work.metadata.labels.insert(
            "parity".into(),
            if number % 2 == 0 { "even" } else { "odd" }.into(),
        );
        client.works("c1").create(&work).await.unwrap();
    }
    let mut elsewhere = work("w00", "1");
    elsewhere.metadata.namespace = "c2".into();
    client.works("c2").create(&elsewhere).await.unwrap();
    let stranger = Client::new(Config {
        source_id: "s2".into(),
        ..config(&fake)
    })
    .unwrap();
    stranger
        .works("c1")
        .create(&work("foreign", "1"))
        .await
        .unwrap();

    let names = |works: Vec<ManifestWork>| {
        let mut names: Vec<String> = works.into_iter().map(|work| work.metadata.name).collect();
        names.sort();
        names
    };
    let all = names(
        client
            .works("c1")
            .list(&ListOptions::default())
            .await
            .unwrap(),
    );
    assert_eq!(
        all,
        (0..25)
            .map(|number| format!("w{number:02}"))
            .collect::<Vec<_>>()
    );
    {
        let searches = &fake.data().searches;
        assert_eq!(searches.len(), 4);
        assert!(
            searches
                .iter()
                .all(|query| query["orderBy"] == "id" && query["page"] == "1")
        );
        assert_eq!(searches[0]["search"], "source='s1' and consumer_name='c1'");
        assert!(searches[1]["search"].starts_with("source='s1' and consumer_name='c1' and id > '"));
    }
    let list = |selector: &str| {
        let options = ListOptions {
            label_selector: selector.parse().unwrap(),
            limit: None,
        };
        let works = client.works("c1");
        async move { works.list(&options).await.unwrap().len() }
    };
    assert_eq!(list("parity=even").await, 13);
    assert_eq!(list("parity in (even,odd)").await, 25);
    assert_eq!(list("parity!=even").await, 12);
    assert_eq!(
        list("other notin (x),!nothing").await,
        25,
        "works that lack the label match, as in Kubernetes"
    );
    assert_eq!(
        client
            .all_works()
            .list(&ListOptions::default())
            .await
            .unwrap()
            .len(),
        26
    );
    let limited = ListOptions {
        limit: Some(10),
        ..ListOptions::default()
    };
    assert_eq!(client.works("c1").list(&limited).await.unwrap().len(), 10);
    assert_eq!(
        client
            .bundles()
            .of_consumer("c1")
            .unwrap()
            .all()
            .await
            .unwrap()
            .len(),
        26,
        "of every source"
    );
}

#[tokio::test]
async fn f17_works_are_deleted_by_label_and_a_second_call_does_the_rest() {
    let fake = Fake::start().await;
    fake.consumer("c2");
    let client = Client::new(Config {
        page_size: 4,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..10 {
        let mut work = work(&format!("w{number}"), "1");
        let label = if number == 9 { "other" } else { "x" };
        work.metadata.labels.insert("cluster".into(), label.into());
        if number == 8 {
            work.metadata.namespace = "c2".into();
        }
        client.all_works().create(&work).await.unwrap();
    }
    let selector = "cluster=x".parse().unwrap();
    fake.data()
        .failures
        .push((Status::permission_denied("not this one"), false));
    let works = client.all_works();
    let first = works.delete_matching(&selector).await.unwrap();
    assert_eq!((first.requested.len(), first.failed.len()), (8, 1));
    assert!(!first.is_complete());
    let events = fake.data().published.len();
    let second = works.delete_matching(&selector).await.unwrap();
    assert_eq!(second.requested, [first.failed[0].0.clone()]);
    assert_eq!(second.already_requested.len(), 8);
    assert_eq!(fake.data().published.len(), events + 1, "only what is left");
    assert!(
        second
            .already_requested
            .iter()
            .chain(&second.requested)
            .any(|name| name.to_string() == "c2/w8")
    );
    let other = client.works("c1").get("w9").await.unwrap();
    assert!(!other.metadata.is_deleting());
    assert!(
        works
            .delete_matching(&LabelSelector::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn consumers_are_found_by_name_and_listed_beyond_a_page() {
    let fake = Fake::start().await;
    for number in 0..12 {
        fake.consumer(&format!("x{number:02}"));
    }
    let client = Client::new(Config {
        page_size: 5,
        ..config(&fake)
    })
    .unwrap();
    assert_eq!(client.consumers().list().await.unwrap().len(), 13);
    assert_eq!(client.consumers().get("x11").await.unwrap().id, "id-x11");
    assert!(
        client
            .consumers()
            .get("x99")
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(matches!(
        client.consumers().get("x' or 'a'='a").await,
        Err(Error::Invalid { .. })
    ));
    let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    assert_eq!(
        client
            .consumers()
            .create("new", &labels)
            .await
            .unwrap()
            .labels,
        labels
    );
    assert!(matches!(
        client.consumers().create("new", &labels).await,
        Err(Error::AlreadyExists { .. })
    ));
}

/// Servers count the total apart from the page. A work that is created in between, with an id before the page's end, pushes another
/// out of the page without being counted.
#[tokio::test]
async fn i12_a_total_that_is_too_small_does_not_end_a_walk() {
    let fake = Fake::start().await;
    let client = Client::new(Config {
        page_size: 7,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..15 {
        fake.consumer(&format!("x{number:02}"));
        let work = work(&format!("w{number}"), "1");
        client.works("c1").create(&work).await.unwrap();
    }
    fake.data().totals = vec![7, 7];
    let works = client.works("c1");
    assert_eq!(works.list(&ListOptions::default()).await.unwrap().len(), 15);
    fake.data().totals = vec![7, 7];
    assert_eq!(client.consumers().list().await.unwrap().len(), 16);
}

#[tokio::test]
async fn a_list_that_fills_its_last_page_ends() {
    let fake = Fake::start().await;
    let client = Client::new(Config {
        page_size: 5,
        ..config(&fake)
    })
    .unwrap();
    for number in 0..10 {
        let work = work(&format!("w{number}"), "1");
        client.works("c1").create(&work).await.unwrap();
    }
    let works = client.works("c1");
    assert_eq!(works.list(&ListOptions::default()).await.unwrap().len(), 10);
    assert_eq!(fake.data().searches.len(), 3);
}
