//! Lists that were shown before: each shows the rows as they are, byte by byte, whoever changed them.

use maestro_server::Config;
use serde_json::json;

use crate::harness::{Agent, Server, Source, bundle, config_map, large_bundle, postgres, session};

on_both!(
    every_change_is_seen_in_the_next_list,
    unchanged_rows_are_shown_from_memory,
    a_cache_of_no_size_keeps_nothing,
    readers_of_a_large_table_leave_room_for_what_is_listed_often,
);

const BUNDLES: &str = "/api/maestro/v1/resource-bundles";
/// All keys, by name: such items are never kept, so this is what the database has.
const ALL_KEYS: &str = "id,kind,href,name,consumer_name,version,created_at,updated_at,deleted_at,metadata,manifests,\
                        manifest_configs,delete_option,status,source,executer";

async fn list(server: &Server, query: &str) -> String {
    let url = server.url(&format!("{BUNDLES}?{query}&size=400"));
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// Lists in all ways, twice each, and compares with what the database has. Returns the list in full.
async fn up_to_date(server: &Server) -> String {
    let mut last = String::new();
    for view in ["", "view=full"] {
        let expected = list(server, &format!("{view}&fields={ALL_KEYS}")).await;
        for _ in 0..2 {
            assert_eq!(list(server, view).await, expected);
        }
        last = expected;
    }
    last
}

/// Items that came from memory, and from the database.
async fn counted(server: &Server) -> (u64, u64) {
    let url = format!("http://{}/metrics", server.addresses.metrics);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let of = |from: &str| {
        let name = format!("rest_list_items_total{{from=\"{from}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |number| number.parse().unwrap())
    };
    (of("memory"), of("database"))
}

async fn peers(server: &Server) -> (Source, Agent) {
    server.cluster("c1").await;
    (server.source("s1").await, server.agent("c1").await)
}

async fn every_change_is_seen_in_the_next_list(config: Config) {
    let server = Server::start(config).await;
    let (source, agent) = peers(&server).await;
    let mut specs = agent.join(&[]).await;
    for id in ["before", "r", "white space"] {
        let data = json!({"manifests": [config_map(id)], "executer": {"subject": {"type": "x"}},
            "deleteOption": {"propagationPolicy": "Orphan"}, "manifestConfigs": []});
        source.create(id, "c1", &data).await.unwrap();
    }
    let received = specs.collect(3).await;
    assert!(up_to_date(&server).await.contains(r#""executer":{"#));

    agent.applied(&received["r"]).await.unwrap();
    assert!(up_to_date(&server).await.contains(r#""type":"Applied""#));
    let data = bundle(&[config_map("second")]);
    source.update("r", "c1", 0, &data).await.unwrap();
    let updated = specs.until(|event| event.version == 2).await;
    assert!(up_to_date(&server).await.contains(r#""name":"second""#));
    agent.applied(&updated).await.unwrap();
    up_to_date(&server).await;
    source.delete("r", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    assert!(up_to_date(&server).await.contains("deleted_at"));
    agent.deleted(&deletion).await.unwrap();
    assert!(!up_to_date(&server).await.contains(r#""id":"r""#));
    // Another life of the id, with the first version again.
    let data = bundle(&[config_map("third")]);
    source.create("r", "c1", &data).await.unwrap();
    let listed = up_to_date(&server).await;
    assert!(listed.contains(r#""name":"third""#) && !listed.contains("Applied"));
}

async fn unchanged_rows_are_shown_from_memory(config: Config) {
    let server = Server::start(config).await;
    let (source, agent) = peers(&server).await;
    let mut specs = agent.join(&[]).await;
    for number in 0..40 {
        let data = bundle(&[config_map("a")]);
        let id = format!("r{number}");
        source.create(&id, "c1", &data).await.unwrap();
    }
    let received = specs.collect(40).await;
    let first = list(&server, "").await;
    assert_eq!(counted(&server).await, (0, 40));
    assert_eq!(list(&server, "").await, first);
    assert_eq!(counted(&server).await, (40, 40));
    // In another window, order and view.
    list(&server, "page=1&size=10&orderBy=id+desc&view=full").await;
    assert_eq!(counted(&server).await, (50, 40));
    agent.applied(&received["r7"]).await.unwrap();
    list(&server, "").await;
    assert_eq!(counted(&server).await, (89, 41));
}

async fn a_cache_of_no_size_keeps_nothing(config: Config) {
    let server = Server::start(Config {
        list_cache_size: 0,
        ..config
    })
    .await;
    let (source, _) = peers(&server).await;
    let data = bundle(&[config_map("a")]);
    source.create("r", "c1", &data).await.unwrap();
    up_to_date(&server).await;
    assert_eq!(counted(&server).await.0, 0);
}

async fn readers_of_a_large_table_leave_room_for_what_is_listed_often(config: Config) {
    let server = Server::start(Config {
        // Room for about 60 items without their texts.
        list_cache_size: 32 * 1024,
        ..config
    })
    .await;
    let (source, _) = peers(&server).await;
    server.cluster("c2").await;
    let often = "search=consumer_name='c2'";
    for number in 0..10 {
        let data = bundle(&[config_map("a")]);
        let id = format!("often-{number}");
        source.create(&id, "c2", &data).await.unwrap();
    }
    for number in 0..150 {
        let id = format!("r{number}");
        source.create(&id, "c1", &large_bundle(300)).await.unwrap();
    }
    list(&server, often).await;
    list(&server, often).await;
    list(&server, "search=consumer_name='c1'").await;
    let before = counted(&server).await;
    assert_eq!(before, (10, 160));
    list(&server, often).await;
    assert_eq!(counted(&server).await, (20, 160));
}

/// Changes that no version, time or event tells of: somebody at a prompt, or a server with other habits.
#[tokio::test]
async fn rows_that_others_write_are_shown_as_they_are() {
    let server = Server::start(postgres().await).await;
    let (source, agent) = peers(&server).await;
    let mut specs = agent.join(&[]).await;
    for id in ["r1", "r2"] {
        let data = bundle(&[config_map("first")]);
        source.create(id, "c1", &data).await.unwrap();
        agent.applied(&specs.next().await).await.unwrap();
    }
    let database = session(&server.config()).await;
    up_to_date(&server).await;
    for (change, seen) in [
        (
            "update resources set payload = jsonb_set(payload, '{data,manifests,0,metadata,name}', '\"by-hand\"') \
             where id = 'r1'",
            r#""name":"by-hand""#,
        ),
        (
            "update resources set status = jsonb_set(status, '{data,conditions,0,reason}', '\"ByHand\"') \
             where id = 'r2'",
            r#""reason":"ByHand""#,
        ),
        (
            "update resources set version = 2, updated_at = now(), \
                 payload = jsonb_set(payload, '{data,manifests,0,metadata,name}', '\"by-go\"') where id = 'r1'",
            r#""name":"by-go""#,
        ),
        (
            "update resources set deleted_at = now() where id = 'r2'",
            "deleted_at",
        ),
        (
            "with gone as (delete from resources where id = 'r2' returning *) insert into resources \
                 (id, name, created_at, updated_at, source, consumer_name, version, type, payload, status) \
             select 'r3', 'r3', created_at, updated_at, source, consumer_name, version, type, payload, 'null' from gone",
            r#""id":"r3""#,
        ),
        (
            "update resources set created_at = null, updated_at = null where id = 'r3'",
            "1970-01-01",
        ),
        ("vacuum full resources", "1970-01-01"),
    ] {
        database.batch_execute(change).await.unwrap();
        assert!(up_to_date(&server).await.contains(seen), "{change}");
    }
}
