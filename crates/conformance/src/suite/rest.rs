//! REST: what the API is, consumers, single bundles, errors.

use serde_json::{Value, json};

use super::{Test, ensure, same, test};
use crate::context::{Context, Verdict};
use crate::play::rest::{ROOT, Reply};
use crate::play::{Behaviour, Rest};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Rest,
            the_api_describes_itself,
            "metadata bodies, the OpenAPI document and the list of errors"
        ),
        test!(
            Rest,
            unknown_paths_and_methods,
            "an unknown path is 404 with its odd body, and so is a wrong method; one trailing slash means nothing"
        ),
        test!(
            Rest,
            errors_have_one_form,
            "kind, id, href, code, reason, and the operation id of the request"
        ),
        test!(Rest, a_consumer_lives, "create, read, label, clear, delete"),
        test!(
            Rest,
            a_consumer_without_name_has_its_id,
            "POST of an empty object names the consumer by its id"
        ),
        test!(
            Rest,
            bad_consumers_are_refused,
            "bad JSON, types, ids, names and duplicates, each with its code"
        ),
        test!(
            Rest,
            a_consumer_with_works_stays,
            "deleting a consumer with live or deleting bundles is refused"
        ),
        test!(
            Rest,
            a_bundle_shows_its_work,
            "every field of a single bundle"
        ),
        test!(
            Rest,
            numbers_keep_their_digits,
            "a number that no floating point holds is shown as it was published"
        ),
        test!(
            Rest,
            rest_delete_is_a_delete,
            "DELETE of a bundle reaches the agent, and is accepted for unknown ids"
        ),
        test!(
            Rest,
            consumers_deleted_while_works_are_created,
            "either the consumer goes and the creates are refused, or it stays with its works"
        ),
    ]
}

async fn the_api_describes_itself(c: Context) -> Verdict {
    let rest = c.rest()?;
    let api = rest.get("/api/maestro").await?;
    same(
        "GET /api/maestro",
        (api.status, api.json()),
        (
            200,
            json!({"id": "maestro", "href": "/api/maestro", "kind": "API",
        "versions": [{"id": "v1", "href": "/api/maestro/v1", "kind": "", "collections": null}]}),
        ),
    )?;
    same(
        "content type",
        api.header("content-type").split(';').next(),
        Some("application/json"),
    )?;
    for path in [ROOT.to_owned(), format!("{ROOT}/")] {
        let version = rest.get(&path).await?;
        same("the version, status", version.status, 200)?;
        same(
            "its kind",
            version.json().get("kind").cloned(),
            Some(json!("APIVersion")),
        )?;
    }
    let document = rest.get(&format!("{ROOT}/openapi")).await?;
    same("the OpenAPI document, status", document.status, 200)?;
    ensure!(
        document.json().get("paths").is_some_and(Value::is_object),
        "expected an OpenAPI document, seen {}",
        document.short()
    );
    let errors = rest.get(&format!("{ROOT}/errors")).await?;
    same(
        "the errors",
        errors.json().get("kind").cloned(),
        Some(json!("ErrorList")),
    )?;
    let error = rest.get(&format!("{ROOT}/errors/7")).await?.json();
    same(
        "code of error 7",
        error.get("code").cloned(),
        Some(json!("maestro-7")),
    )?;
    same(
        "its reason",
        error.get("reason").cloned(),
        Some(json!("Resource not found")),
    )?;
    let unknown = rest.get(&format!("{ROOT}/errors/9999")).await?;
    same("an unknown error, status", unknown.status, 404)
}

async fn unknown_paths_and_methods(c: Context) -> Verdict {
    let rest = c.rest()?;
    let path = format!("{ROOT}/nothing");
    let reply = rest.get(&path).await?;
    same(
        "an unknown path",
        (reply.status, reply.json()),
        (
            404,
            json!({"type": "Error", "id": "404",
        "href": "/api/maestro/v1/errors/404", "code": "maestro-404",
        "reason": format!("The requested resource '{path}' doesn't exist")}),
        ),
    )?;
    for (method, path) in [
        ("POST", "resource-bundles"),
        ("PATCH", "resource-bundles/x"),
    ] {
        let reply = rest
            .send(method, &format!("{ROOT}/{path}"), &[], Some(b"{}"))
            .await?;
        same(
            &format!("{method} {path}"),
            (reply.status, reply.json().get("type").cloned()),
            (404, Some(json!("Error"))),
        )?;
    }
    let reply = rest.get(&format!("{ROOT}/consumers/?size=1")).await?;
    same("a trailing slash, status", reply.status, 200)?;
    let reply = rest
        .send(
            "GET",
            "/api/maestro",
            &[("Origin", "http://elsewhere")],
            None,
        )
        .await?;
    same(
        "Access-Control-Allow-Origin",
        reply.header("access-control-allow-origin"),
        "*",
    )
}

async fn errors_have_one_form(c: Context) -> Verdict {
    let rest = c.rest()?;
    for (kind, subject) in [("consumers", "Consumer"), ("resource-bundles", "Resource")] {
        let path = format!("{ROOT}/{kind}/foo");
        let reply = rest
            .send("GET", &path, &[("X-Operation-ID", "op-1")], None)
            .await?;
        same(
            &path,
            (reply.status, reply.json()),
            (
                404,
                json!({"kind": "Error", "id": "7", "href": "/api/maestro/v1/errors/7",
            "code": "maestro-7", "reason": format!("{subject} with id='foo' not found"), "operation_id": "op-1"}),
            ),
        )?;
    }
    let reply = rest.get(&format!("{ROOT}/consumers/foo")).await?.json();
    let id = reply
        .get("operation_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    same("length of a made operation id", id.len(), 27)
}

/// Registers a consumer with a body; name, id and the answer. The caller removes it.
async fn post(rest: &Rest, body: &str) -> Result<Reply, crate::play::Error> {
    rest.send(
        "POST",
        &format!("{ROOT}/consumers"),
        &[],
        Some(body.as_bytes()),
    )
    .await
}

async fn a_consumer_lives(c: Context) -> Verdict {
    let rest = c.rest()?;
    let name = c.name("c");
    let created = post(
        &rest,
        &json!({"name": name, "labels": {"env": "prod"}}).to_string(),
    )
    .await?;
    same("POST, status", created.status, 201)?;
    let id = text(&created.json(), "id");
    let path = format!("{ROOT}/consumers/{id}");
    let seen = rest.get(&path).await?.json();
    for (key, expected) in [
        ("kind", json!("Consumer")),
        ("href", json!(path)),
        ("name", json!(name)),
        ("labels", json!({"env": "prod"})),
    ] {
        same(key, seen.get(key).cloned(), Some(expected))?;
    }
    let born = text(&seen, "created_at");
    ensure!(
        !born.is_empty() && !text(&seen, "updated_at").is_empty(),
        "expected created_at and updated_at, seen {seen}"
    );
    let patch =
        async |body: &'static str| rest.send("PATCH", &path, &[], Some(body.as_bytes())).await;
    let changed = patch(r#"{"labels":{"a":"b","c":"d"},"name":"other"}"#).await?;
    same("PATCH, status", changed.status, 200)?;
    same(
        "labels after PATCH",
        changed.json().get("labels").cloned(),
        Some(json!({"a": "b", "c": "d"})),
    )?;
    same(
        "name after PATCH",
        text(&changed.json(), "name"),
        name.clone(),
    )?;
    for body in ["{}", r#"{"labels":null}"#] {
        let kept = patch(body).await?.json();
        same(
            &format!("labels after PATCH {body}"),
            kept.get("labels").cloned(),
            Some(json!({"a": "b", "c": "d"})),
        )?;
    }
    let cleared = patch(r#"{"labels":{}}"#).await?.json();
    ensure!(
        cleared.get("labels").is_none(),
        "expected no labels after they were cleared, seen {cleared}"
    );
    same(
        "created_at at the end",
        text(&rest.get(&path).await?.json(), "created_at"),
        born,
    )?;
    same(
        "PATCH with bad JSON, status",
        patch("{ this is invalid }").await?.status,
        400,
    )?;
    let byname = rest.get(&format!("{ROOT}/consumers/{name}")).await?;
    same("GET by name, status", byname.status, 404)?;
    let gone = rest.delete_consumer(&id).await?;
    same("DELETE", (gone.status, gone.text()), (204, String::new()))?;
    same(
        "GET after DELETE, status",
        rest.get(&path).await?.status,
        404,
    )?;
    same(
        "DELETE again, status",
        rest.delete_consumer(&id).await?.status,
        204,
    )
}

async fn a_consumer_without_name_has_its_id(c: Context) -> Verdict {
    let rest = c.rest()?;
    let reply = post(&rest, "{}").await?;
    let id = text(&reply.json(), "id");
    same("status", reply.status, 201)?;
    let name = text(&reply.json(), "name");
    rest.delete_consumer(&id).await?;
    same("the name", name, id)
}

async fn bad_consumers_are_refused(c: Context) -> Verdict {
    let rest = c.rest()?;
    let cluster = c.cluster().await?;
    let long = "a".repeat(64);
    let cases = [
        ("{ this is invalid }".to_owned(), 400, "maestro-17"),
        (r#"{"name": 7}"#.to_owned(), 400, "maestro-17"),
        (
            r#"{"id": "mine", "name": "x"}"#.to_owned(),
            400,
            "maestro-8",
        ),
        (r#"{"name": "_"}"#.to_owned(), 400, "maestro-8"),
        (json!({"name": long}).to_string(), 400, "maestro-8"),
        (json!({"name": cluster}).to_string(), 409, "maestro-6"),
    ];
    for (body, status, code) in cases {
        let reply = post(&rest, &body).await?;
        if reply.status == 201 {
            rest.delete_consumer(&text(&reply.json(), "id")).await?;
        }
        same(
            &format!("POST {body}"),
            (reply.status, text(&reply.json(), "code")),
            (status, code.to_owned()),
        )?;
    }
    let missing = rest
        .send("PATCH", &format!("{ROOT}/consumers/foo"), &[], Some(b"{}"))
        .await?;
    same("PATCH of an unknown consumer, status", missing.status, 404)
}

async fn a_consumer_with_works_stays(c: Context) -> Verdict {
    let (cluster, id) = c.cluster_with_id().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let rest = c.rest()?;
    for state in ["live", "deleting"] {
        let reply = rest.delete_consumer(&id).await?;
        same(
            &format!("DELETE with a {state} bundle"),
            (reply.status, text(&reply.json(), "code")),
            (403, "maestro-4".to_owned()),
        )?;
        source.delete(&work).await?;
    }
    Ok(())
}

async fn a_bundle_shows_its_work(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let mut work = source.work(&cluster, "shown").with_label("a", "b");
    let configs = json!([{"resourceIdentifier": {"group": "", "resource": "configmaps", "name": "content", "namespace": "default"}}]);
    work.data = json!({"manifests": work.data.get("manifests"), "manifestConfigs": configs, "deleteOption": {"propagationPolicy": "Foreground"}});
    source.create(&work).await?;
    let spec = specs.next().await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    let href = format!("{ROOT}/resource-bundles/{}", work.id);
    let expected = [
        ("id", json!(work.id)),
        ("kind", json!("ResourceBundle")),
        ("href", json!(href)),
        ("name", json!(work.id)),
        ("consumer_name", json!(cluster)),
        ("version", json!(1)),
        ("manifest_configs", configs),
        ("delete_option", json!({"propagationPolicy": "Foreground"})),
    ];
    for (key, value) in expected {
        same(key, row.get(key).cloned(), Some(value))?;
    }
    same(
        "manifests",
        row.get("manifests"),
        work.data.get("manifests"),
    )?;
    same(
        "metadata.name",
        row.pointer("/metadata/name").cloned(),
        Some(json!("shown")),
    )?;
    same(
        "metadata.labels",
        row.pointer("/metadata/labels").cloned(),
        Some(json!({"a": "b"})),
    )?;
    ensure!(
        row.pointer("/metadata/creationTimestamp")
            .is_some_and(Value::is_string),
        "expected metadata.creationTimestamp, seen {row}"
    );
    ensure!(
        row.get("status").is_none() && row.get("deleted_at").is_none(),
        "expected neither status nor deleted_at yet, seen {row}"
    );
    let published = agent.status(
        &spec,
        &json!({"conditions": [crate::play::agent::condition("Applied", "True", 1)]}),
    );
    agent.publish(published.clone()).await?;
    let row = c
        .bundle(&work.id, "the status", |row| row.get("status").is_some())
        .await?;
    same(
        "status.ObservedVersion",
        row.pointer("/status/ObservedVersion").cloned(),
        Some(json!(1)),
    )?;
    let sequence = published.sequence_id().map(|id| json!(id.to_string())).ok();
    same(
        "status.SequenceID",
        row.pointer("/status/SequenceID").cloned(),
        sequence,
    )?;
    same(
        "status.conditions",
        row.pointer("/status/conditions/0/type").cloned(),
        Some(json!("Applied")),
    )
}

async fn numbers_keep_their_digits(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "spec": {"big": 9_007_199_254_740_993_i64}});
    let work = source.work(&cluster, "w").with_manifests(&[manifest]);
    source.create(&work).await?;
    let body = c
        .rest()?
        .get(&format!("{ROOT}/resource-bundles/{}", work.id))
        .await?
        .text();
    ensure!(
        body.contains("9007199254740993"),
        "expected 9007199254740993 as it was published, seen {body}"
    );
    Ok(())
}

async fn rest_delete_is_a_delete(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let mut statuses = source.subscribe().await?;
    let _puppet = c.puppet(&cluster, Behaviour::default()).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let rest = c.rest()?;
    let path = format!("{ROOT}/resource-bundles/{}", work.id);
    let reply = rest.send("DELETE", &path, &[], None).await?;
    same("DELETE", (reply.status, reply.text()), (204, String::new()))?;
    c.gone(&work.id).await?;
    statuses
        .until("the final status", |seen| seen.is_true("Deleted"))
        .await?;
    let reply = rest.send("DELETE", &path, &[], None).await?;
    same("DELETE of an unknown id, status", reply.status, 204)
}

async fn consumers_deleted_while_works_are_created(c: Context) -> Verdict {
    let source = c.source().await?;
    let rest = c.rest()?;
    for _ in 0..4 {
        let (cluster, id) = c.cluster_with_id().await?;
        let works = c.works(&source, &cluster, 20);
        let creates = futures::future::join_all(works.iter().map(|work| source.create(work)));
        let removal = async {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            rest.delete_consumer(&id).await
        };
        let (created, removed) = tokio::join!(creates, removal);
        let removed = removed?.status;
        let accepted = created.iter().filter(|outcome| outcome.is_ok()).count();
        let stored = rest
            .list(
                "resource-bundles",
                &[
                    ("search", &format!("consumer_name='{cluster}'")),
                    ("size", "0"),
                ],
            )
            .await?
            .json();
        let total = stored.get("total").cloned();
        match removed {
            204 => same(
                "works of a removed consumer",
                (accepted, total),
                (0, Some(json!(0))),
            )?,
            403 => same(
                "works of a consumer that stayed",
                total,
                Some(json!(accepted)),
            )?,
            other => same("the removal, status", other, 403)?,
        }
    }
    Ok(())
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
