//! REST lists: envelope, paging, order, search, projection.

use serde_json::{Value, json};

use super::{Test, deletes::ids_of, ensure, same, test};
use crate::context::{Context, Stop, Verdict};
use crate::play::rest::Reply;
use crate::play::{Behaviour, Work};

/// Keys that strict clients know in a bundle of a list.
const BUNDLE_KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "consumer_name",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    "metadata",
    "manifests",
    "manifest_configs",
    "delete_option",
    "status",
];
/// Keys that strict clients know in a consumer of a list.
const CONSUMER_KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "labels",
    "created_at",
    "updated_at",
];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Rest,
            strict_clients_can_read_every_list,
            "a list has exactly the keys that strictly decoding clients know"
        ),
        test!(
            Rest,
            pages_are_cut_exactly,
            "page, size, total, past the end, nought and nonsense"
        ),
        test!(
            Rest,
            the_default_order_is_stable,
            "pages walked without order while rows change: every row once"
        ),
        test!(
            Rest,
            lists_show_deleting_bundles,
            "a deleting bundle is in the list, marked"
        ),
        test!(
            Rest,
            searches_of_clients_work,
            "the search strings that clients send find exactly what they mean"
        ),
        test!(
            Rest,
            consumers_are_searched,
            "consumers by name and by label"
        ),
        test!(
            Rest,
            bad_searches_are_refused,
            "nonsense in search and order is 400 with its text, and never reaches the database"
        ),
        test!(
            Rest,
            order_is_obeyed,
            "orderBy ascending and descending by several columns"
        ),
        test!(
            Rest,
            fields_are_projected,
            "fields reduces items to the keys asked for; unknown ones are refused"
        ),
    ]
}

/// Parameters of a list; page, size and total of its answer.
type Window<'a> = (&'a [(&'a str, &'a str)], (i64, i64, i64));

/// Works of one source for two clusters: three and two, with labels.
async fn library(c: &Context) -> Result<(String, [String; 2], Vec<Work>), Stop> {
    let source = c.source().await?;
    let (one, two) = (c.cluster().await?, c.cluster().await?);
    let mut works = Vec::new();
    for (number, cluster) in [&one, &one, &one, &two, &two].into_iter().enumerate() {
        let work = source.work(cluster, &format!("w{number}"));
        works.push(match number {
            0 => work.with_label("app", "a").with_label("env", "prod"),
            1 => work.with_label("app", "b"),
            3 => work.with_label("app", "a"),
            _ => work,
        });
    }
    c.create_all(&source, &works).await?;
    Ok((source.id().to_owned(), [one, two], works))
}

async fn strict_clients_can_read_every_list(c: Context) -> Verdict {
    let (source, [one, _], works) = library(&c).await?;
    let puppet = c.puppet(&one, Behaviour::default()).await?;
    puppet
        .holds(
            std::time::Duration::from_secs(30),
            &[(
                works
                    .first()
                    .map_or_else(String::new, |work| work.id.clone()),
                1,
            )],
        )
        .await?;
    let rest = c.rest()?;
    let bundles = rest
        .list(
            "resource-bundles",
            &[("search", &format!("source='{source}'"))],
        )
        .await?;
    strict(&bundles, "ResourceBundleList", BUNDLE_KEYS)?;
    let consumers = rest
        .list("consumers", &[("search", &format!("name='{one}'"))])
        .await?;
    strict(&consumers, "ConsumerList", CONSUMER_KEYS)
}

fn strict(reply: &Reply, kind: &str, known: &[&str]) -> Verdict {
    let list = reply.json();
    let keys: std::collections::BTreeSet<&str> = list
        .as_object()
        .into_iter()
        .flat_map(|list| list.keys())
        .map(String::as_str)
        .collect();
    same(
        "keys of the list",
        keys,
        std::collections::BTreeSet::from(["items", "kind", "page", "size", "total"]),
    )?;
    same("its kind", list.get("kind").cloned(), Some(json!(kind)))?;
    for item in items(&list) {
        let stranger = item
            .as_object()
            .into_iter()
            .flat_map(|item| item.keys())
            .find(|key| !known.contains(&key.as_str()));
        ensure!(
            stranger.is_none(),
            "expected only the keys {known:?} in items, seen {stranger:?}"
        );
    }
    ensure!(!items(&list).is_empty(), "expected items, seen none");
    ensure!(
        !reply.text().contains("\": "),
        "expected compact JSON, seen {}",
        reply.short()
    );
    Ok(())
}

async fn pages_are_cut_exactly(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let works = c.works(&source, &cluster, 20);
    c.create_all(&source, &works).await?;
    let rest = c.rest()?;
    let search = format!("consumer_name = '{cluster}'");
    let cases: &[Window<'_>] = &[
        (&[], (1, 20, 20)),
        (&[("page", "2"), ("size", "5")], (2, 5, 20)),
        (&[("page", "3"), ("size", "8")], (3, 4, 20)),
        (&[("page", "9"), ("size", "5")], (9, 0, 20)),
        (&[("size", "0")], (1, 0, 20)),
        (&[("size", "many")], (1, 0, 20)),
        (&[("size", "-1")], (1, 20, 20)),
        (&[("size", "70000")], (1, 20, 20)),
        (&[("page", "0"), ("size", "5")], (0, 5, 20)),
    ];
    for (parameters, expected) in cases {
        let mut query = vec![("search", search.as_str())];
        query.extend_from_slice(parameters);
        let reply = rest.list("resource-bundles", &query).await?;
        same(&format!("{parameters:?}, status"), reply.status, 200)?;
        let list = reply.json();
        let number = |key: &str| list.get(key).and_then(Value::as_i64).unwrap_or(-1);
        same(
            &format!("page, size and total of {parameters:?}"),
            (number("page"), number("size"), number("total")),
            *expected,
        )?;
        same(
            &format!("items of {parameters:?}"),
            items(&list).len() as i64,
            expected.1,
        )?;
    }
    Ok(())
}

async fn the_default_order_is_stable(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let works = c.works(&source, &cluster, 60);
    c.create_all(&source, &works).await?;
    let rest = c.rest()?;
    let search = format!("consumer_name='{cluster}'");
    // Changed rows move to the end of a table that nothing orders.
    let changer = async {
        for round in 0..3 {
            for work in &works {
                source
                    .update(&work.clone().with_map(&format!("r{round}")), 0)
                    .await?;
            }
        }
        Ok::<(), tonic::Status>(())
    };
    let walker = async {
        let mut walks = Vec::new();
        for _ in 0..5 {
            let mut found = Vec::new();
            for page in 1..=9 {
                let page = page.to_string();
                let query = [("search", search.as_str()), ("size", "7"), ("page", &page)];
                found.extend(ids_of(&rest.list("resource-bundles", &query).await?.json()));
            }
            walks.push(found);
        }
        Ok::<_, crate::play::Error>(walks)
    };
    let (changed, walks) = tokio::join!(changer, walker);
    changed?;
    for walk in walks? {
        let different: std::collections::BTreeSet<&String> = walk.iter().collect();
        ensure!(
            walk.len() == 60 && different.len() == 60,
            "expected every one of 60 rows once in a walk of 9 pages, seen {} items, {} different",
            walk.len(),
            different.len()
        );
    }
    Ok(())
}

async fn lists_show_deleting_bundles(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    source.delete(&work).await?;
    let list = c
        .rest()?
        .list(
            "resource-bundles",
            &[("search", &format!("consumer_name='{cluster}'"))],
        )
        .await?
        .json();
    let deleted = items(&list)
        .first()
        .and_then(|item| item.get("deleted_at").cloned());
    ensure!(
        deleted.as_ref().is_some_and(Value::is_string),
        "expected the deleting bundle with deleted_at, seen {list}"
    );
    Ok(())
}

async fn searches_of_clients_work(c: Context) -> Verdict {
    let (source, [one, two], works) = library(&c).await?;
    let rest = c.rest()?;
    let id = works.get(1).map_or("", |work| work.id.as_str());
    let label = "payload->'metadata'->'labels'";
    let of = format!("source='{source}' and ");
    let cases = [
        (format!("source='{source}'"), vec![0, 1, 2, 3, 4]),
        (format!("consumer_name = '{one}'"), vec![0, 1, 2]),
        (
            format!("source='{source}' and (consumer_name='{one}' or consumer_name='{two}')"),
            vec![0, 1, 2, 3, 4],
        ),
        (
            format!("name = '{id}' and consumer_name = '{one}'"),
            vec![1],
        ),
        (format!("id in ('{id}', 'nobody')"), vec![1]),
        (format!("{of}consumer_name like '{two}'"), vec![3, 4]),
        (format!("{of}not (consumer_name = '{one}')"), vec![3, 4]),
        (format!("{of}version > 1"), vec![]),
        (format!("{of}deleted_at is null"), vec![0, 1, 2, 3, 4]),
        (format!("{of}{label}@>'{{\"app\":\"a\"}}'"), vec![0, 3]),
        (format!("{of}{label}->>'app'='a'"), vec![0, 3]),
        (format!("{of}{label}->>'app'<>'a'"), vec![1]),
        (format!("{of}{label}->>'app'<>null"), vec![0, 1, 3]),
        (format!("{of}{label}->>'app'in('a','b')"), vec![0, 1, 3]),
        (format!("{of}{label}->>'app' not in ('a')"), vec![1]),
        (format!("{of}{label}->>'env'='nowhere'"), vec![]),
        (
            format!("consumer_name='{one}' and {label}->>'app'='a' and {label}->>'env'='prod'"),
            vec![0],
        ),
    ];
    for (search, expected) in cases {
        let reply = rest
            .list("resource-bundles", &[("search", &search)])
            .await?;
        ensure!(
            reply.status == 200,
            "{search}: expected 200, seen {}: {}",
            reply.status,
            reply.short()
        );
        let mut seen = ids_of(&reply.json());
        let mut expected: Vec<String> = expected
            .iter()
            .filter_map(|number| works.get(*number))
            .map(|work| work.id.clone())
            .collect();
        seen.sort_unstable();
        expected.sort_unstable();
        ensure!(
            seen == expected,
            "{search}: expected {} works, seen {}: {seen:?}",
            expected.len(),
            seen.len()
        );
    }
    Ok(())
}

async fn consumers_are_searched(c: Context) -> Verdict {
    let rest = c.rest()?;
    let (name, id) = c.cluster_with_id().await?;
    let value = c.name("l");
    let body = json!({"labels": {"mark": value}}).to_string();
    rest.send(
        "PATCH",
        &format!("{}/consumers/{id}", crate::play::rest::ROOT),
        &[],
        Some(body.as_bytes()),
    )
    .await?;
    for search in [
        format!("name = '{name}'"),
        format!("id = '{id}'"),
        format!("labels->>'mark'='{value}'"),
        format!("labels@>'{{\"mark\":\"{value}\"}}'"),
    ] {
        let reply = rest.list("consumers", &[("search", &search)]).await?;
        ensure!(
            reply.status == 200,
            "{search}: expected 200, seen {}: {}",
            reply.status,
            reply.short()
        );
        same(&search, ids_of(&reply.json()), vec![id.clone()])?;
    }
    Ok(())
}

async fn bad_searches_are_refused(c: Context) -> Verdict {
    let rest = c.rest()?;
    let cases: &[(&str, &str, &str)] = &[
        ("search", "garbage", "Failed to parse search query: garbage"),
        ("search", "name =", "Failed to parse search query: name ="),
        ("search", "nonsense = 'x'", ""),
        (
            "search",
            "other.name = 'x'",
            "other is not a related resource of Resource",
        ),
        (
            "search",
            "payload->'metadata' = 'x' and payload->>",
            "failed to parse the search query: ",
        ),
        ("search", "name = 'x'; drop table resources", ""),
        ("orderBy", "name; drop table resources", "bad order value"),
        ("orderBy", "name sideways", "bad order value"),
        ("orderBy", "nonsense", ""),
        ("orderBy", "(select(1))", ""),
    ];
    for (parameter, value, words) in cases {
        let reply = rest
            .list("resource-bundles", &[(*parameter, *value), ("size", "1")])
            .await?;
        let reason = reply
            .json()
            .get("reason")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let code = reply.json().get("code").cloned();
        ensure!(
            reply.status == 400 && code == Some(json!("maestro-21")) && reason.contains(words),
            "{parameter}={value:?}: expected 400 maestro-21 with {words:?}, seen {}: {}",
            reply.status,
            reply.short()
        );
    }
    Ok(())
}

async fn order_is_obeyed(c: Context) -> Verdict {
    let (source, _, works) = library(&c).await?;
    let rest = c.rest()?;
    let search = format!("source='{source}'");
    let mut sorted: Vec<String> = works.iter().map(|work| work.id.clone()).collect();
    sorted.sort_unstable();
    let backwards: Vec<String> = sorted.iter().rev().cloned().collect();
    for (order, expected) in [
        ("id", &sorted),
        ("id asc", &sorted),
        ("id desc", &backwards),
        ("version desc,id", &sorted),
    ] {
        let reply = rest
            .list(
                "resource-bundles",
                &[("search", &search), ("orderBy", order)],
            )
            .await?;
        same(
            &format!("orderBy={order}"),
            &ids_of(&reply.json()),
            expected,
        )?;
    }
    Ok(())
}

async fn fields_are_projected(c: Context) -> Verdict {
    let (source, _, works) = library(&c).await?;
    let rest = c.rest()?;
    let search = format!("source='{source}'");
    let list = rest
        .list(
            "resource-bundles",
            &[("search", &search), ("fields", "name,version")],
        )
        .await?
        .json();
    same("items", items(&list).len(), works.len())?;
    for item in items(&list) {
        let keys: Vec<&str> = item
            .as_object()
            .into_iter()
            .flat_map(|item| item.keys())
            .map(String::as_str)
            .collect();
        same("keys of an item", keys, vec!["id", "name", "version"])?;
    }
    let reply = rest
        .list(
            "resource-bundles",
            &[("search", &search), ("fields", "nonsense")],
        )
        .await?;
    same(
        "unknown fields",
        (reply.status, reply.json().get("code").cloned()),
        (400, Some(json!("maestro-8"))),
    )
}

fn items(list: &Value) -> Vec<Value> {
    list.get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}
