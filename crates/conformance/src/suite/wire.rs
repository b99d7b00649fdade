//! What travels: encodings, attributes, refusals.

use std::time::Duration;

use event_wire::attribute::name;
use event_wire::proto::cloud_event::Data;
use event_wire::proto::cloud_event_attribute_value::Attr;
use event_wire::proto::{CloudEvent, CloudEventAttributeValue};
use event_wire::{Action, Attribute, Event};
use serde_json::{Value, json};
use tonic::Code;

use super::{Test, ensure, refused, same, test};
use crate::context::{Context, Verdict};
use crate::play::Seen;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!(
            Wire,
            a_spec_reaches_the_agent_as_published,
            "attributes, metadata and data of a create as an agent must see them"
        ),
        test!(
            Wire,
            a_status_reaches_the_source_with_everything,
            "a status comes with the spec, the source's own metadata, the version and the sequence"
        ),
        test!(
            Wire,
            unknown_data_survives,
            "unknown keys and large numbers in a spec reach the agent untouched"
        ),
        test!(
            Wire,
            structured_events_are_read,
            "an event in structured JSON mode is as good as one in binary mode"
        ),
        test!(
            Wire,
            numbers_may_come_as_text,
            "a version given as text is a version"
        ),
        test!(
            Wire,
            metadata_is_optional,
            "a work without metadata is named by its id"
        ),
        test!(
            Wire,
            refusals_have_their_texts,
            "the texts that clients match on"
        ),
        test!(
            Wire,
            refusals_have_their_codes,
            "the gRPC codes that tell clients what to do"
        ),
        test!(
            Wire,
            bad_events_store_nothing,
            "what is malformed is refused, and nothing of it is stored"
        ),
        test!(
            Wire,
            bad_statuses_are_refused_with_words,
            "what an agent sends wrongly is refused with a text that says what"
        ),
        test!(
            Wire,
            bad_bundles_are_refused,
            "manifests without what every object has are refused, each with its text"
        ),
        test!(
            Wire,
            large_bundles_are_refused,
            "a bundle that no agent takes is refused at the door"
        ),
        test!(
            Wire,
            errors_show_no_sql,
            "no refusal shows SQL, drivers or types of the implementation"
        ),
        test!(
            Wire,
            an_absent_event_is_refused,
            "a publish request without event is refused, and the server goes on"
        )
        .last(),
    ]
}

async fn a_spec_reaches_the_agent_as_published(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w").with_label("a", "b");
    let published = work.event(source.id(), Action::CreateRequest, 0);
    source.publish(published.clone()).await?;
    let seen = specs.next().await?;
    let event = &seen.event;
    same(
        "type",
        event.event_type.to_string(),
        published.event_type.to_string(),
    )?;
    same("source", event.source.as_str(), "maestro")?;
    same("event id", &event.id, &published.id)?;
    same("resourceid", seen.id(), work.id.as_str())?;
    same(
        "resourceversion",
        event.extensions.get(name::RESOURCE_VERSION).cloned(),
        Some(Attribute::Int(1)),
    )?;
    same(
        "clustername",
        event.cluster_name().ok(),
        Some(cluster.as_str()),
    )?;
    same("originalsource", event.original_source().ok(), Some(""))?;
    same(
        "content type",
        event.content_type.as_deref(),
        Some("application/json"),
    )?;
    let metadata = seen.metadata();
    same(
        "metadata.name is the id",
        metadata.get("name").cloned(),
        Some(json!(work.id)),
    )?;
    same(
        "metadata.labels",
        metadata.get("labels").cloned(),
        Some(json!({"a": "b"})),
    )?;
    same("data", seen.data(), work.data)
}

async fn a_status_reaches_the_source_with_everything(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut statuses = source.subscribe().await?;
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "my-name").with_label("a", "b");
    source.create(&work).await?;
    let spec = specs.next().await?;
    let data = json!({
        "conditions": [crate::play::agent::condition("Applied", "True", 1)],
        "resourceStatus": [{"resourceMeta": {"ordinal": 0, "group": "", "version": "v1", "kind": "ConfigMap", "resource": "configmaps",
            "name": "content", "namespace": "default"},
            "statusFeedback": {"values": [{"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{\"a\":1}"}}]},
            "conditions": []}],
    });
    let published = agent.status(&spec, &data);
    agent.publish(published.clone()).await?;
    let seen = statuses.next().await?;
    same("resourceid", seen.id(), work.id.as_str())?;
    same("version", seen.version(), 1)?;
    same("sequence", seen.sequence(), published.sequence_id().ok())?;
    same(
        "statushash",
        seen.event.status_hash().ok(),
        published.status_hash().ok(),
    )?;
    same(
        "originalsource",
        seen.event.original_source().ok(),
        Some("maestro"),
    )?;
    let (metadata, body) = (seen.metadata(), seen.data());
    same(
        "metadata.name",
        metadata.get("name").cloned(),
        Some(json!("my-name")),
    )?;
    same(
        "metadata.labels",
        metadata.get("labels").cloned(),
        Some(json!({"a": "b"})),
    )?;
    ensure!(
        metadata
            .get("creationTimestamp")
            .is_some_and(Value::is_string),
        "expected the row's creationTimestamp in the metadata, seen {metadata}"
    );
    same(
        "resourceStatus",
        body.get("resourceStatus"),
        data.get("resourceStatus"),
    )?;
    same("conditions", body.get("conditions"), data.get("conditions"))?;
    same(
        "manifestBundle.manifests",
        body.pointer("/manifestBundle/manifests"),
        work.data.get("manifests"),
    )
}

async fn unknown_data_survives(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let mut work = source.work(&cluster, "w");
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"},
        "spec": {"big": 9_007_199_254_740_993_i64, "html": "<&>", "unicode": "é\u{1F600}"}});
    work.data = json!({"manifests": [manifest], "somethingNew": {"deep": [1, 2, null]},
        "manifestConfigs": [{"resourceIdentifier": {"group": "", "resource": "configmaps", "name": "m", "namespace": "default"}}],
        "deleteOption": {"propagationPolicy": "Foreground"},
        "executer": {"subject": {"type": "ServiceAccount", "serviceAccount": {"namespace": "ns", "name": "sa"}}}});
    source.create(&work).await?;
    let seen = specs.next().await?;
    same("data at the agent", seen.data(), work.data)
}

async fn structured_events_are_read(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    let model = work.event(source.id(), Action::CreateRequest, 0);
    let body = json!({"specversion": "1.0", "id": model.id, "source": model.source, "type": model.event_type.to_string(),
        "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json", "data": work.data,
        "resourceid": work.id, "resourceversion": 0, "clustername": cluster, "originalsource": ""});
    let content = CloudEventAttributeValue {
        attr: Some(Attr::CeString("application/cloudevents+json".to_owned())),
    };
    let message = CloudEvent {
        id: model.id.clone(),
        source: model.source.clone(),
        spec_version: "1.0".to_owned(),
        r#type: model.event_type.to_string(),
        attributes: [("contenttype".to_owned(), content)].into(),
        data: Some(Data::BinaryData(body.to_string().into_bytes().into())),
    };
    source.publish_raw(Some(message)).await?;
    let seen = specs.next().await?;
    same("id of the work", seen.id(), work.id.as_str())?;
    same("its data", seen.data(), work.data)
}

async fn numbers_may_come_as_text(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let mut update = work
        .clone()
        .with_map("second")
        .event(source.id(), Action::UpdateRequest, 0);
    update.set(name::RESOURCE_VERSION, "1");
    source.publish(update).await?;
    let spec = specs.until("version 2", |seen| seen.version() == 2).await?;
    let mut status = agent.status(&spec, &json!({"conditions": []}));
    status.set(name::RESOURCE_VERSION, "2");
    agent.publish(status).await?;
    c.bundle(&work.id, "the status", |row| {
        row.pointer("/status/ObservedVersion")
            .is_some_and(|seen| *seen == json!(2))
    })
    .await?;
    Ok(())
}

async fn metadata_is_optional(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let mut work = source.work(&cluster, "w");
    work.metadata = None;
    source.create(&work).await?;
    specs.until("the work", |seen| seen.id() == work.id).await?;
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    ensure!(
        row.get("metadata").is_some_and(Value::is_object),
        "expected metadata to be an object, seen {row}"
    );
    same("the name", row.get("name").cloned(), Some(json!(work.id)))
}

/// What is refused, with the words and the code that belong to it.
async fn refusals(
    c: &Context,
) -> Result<Vec<(&'static str, Result<(), tonic::Status>, String, Code)>, crate::context::Stop> {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    let absent = source.work(&cluster, "absent");
    let homeless = source.work(&c.name("nowhere"), "homeless");
    source.create(&work).await?;
    source.update(&work.clone().with_map("second"), 1).await?;
    let mut unsupported = work.event(source.id(), Action::CreateRequest, 0);
    unsupported.event_type.action = Action::Other("invent_request".to_owned());
    let broken = work.clone().with_manifests(&[json!({"apiVersion": "v1"})]);
    Ok(vec![
        ("a create of what exists", source.create(&work).await,
            "failed to create resource: maestro-6: This Resource already exists".to_owned(), Code::AlreadyExists),
        ("a create for an unknown consumer", source.create(&homeless).await,
            "fk_resources_consumers".to_owned(), Code::FailedPrecondition),
        ("an update of what doesn't exist", source.update(&absent, 1).await,
            format!("failed to get resource: maestro-7: Resource with id='{}' not found", absent.id), Code::NotFound),
        ("an update from an old version", source.update(&work.clone().with_map("third"), 1).await,
            "failed to update resource: maestro-6: the resource version is not the latest, the latest version: 2".to_owned(), Code::Aborted),
        ("an invalid update", source.update(&broken, 2).await,
            "failed to update resource: maestro-8: the new manifest bundle in the resource is invalid, ".to_owned(), Code::InvalidArgument),
        ("an unknown action", source.publish(unsupported).await,
            "unsupported action invent_request".to_owned(), Code::InvalidArgument),
    ])
}

async fn refusals_have_their_texts(c: Context) -> Verdict {
    for (what, outcome, text, _) in refusals(&c).await? {
        refused(what, outcome, &text)?;
    }
    Ok(())
}

async fn refusals_have_their_codes(c: Context) -> Verdict {
    for (what, outcome, text, code) in refusals(&c).await? {
        let status = refused(what, outcome, &text)?;
        same(what, status.code(), code)?;
    }
    Ok(())
}

async fn bad_events_store_nothing(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    let good = work.event(source.id(), Action::CreateRequest, 0);
    let without = |extension: &str| -> CloudEvent {
        let mut event: Event = good.clone();
        event.extensions.remove(extension);
        event.into()
    };
    let proto = || CloudEvent::from(good.clone());
    let mut no_attributes = proto();
    no_attributes.attributes.clear();
    let mut bad_type = proto();
    "nonsense".clone_into(&mut bad_type.r#type);
    let mut bad_subresource = proto();
    bad_subresource.r#type = bad_subresource.r#type.replace(".spec.", ".other.");
    let mut bad_version = proto();
    "7.7".clone_into(&mut bad_version.spec_version);
    let mut empty_value = proto();
    empty_value.attributes.insert(
        "ce-resourceid".to_owned(),
        CloudEventAttributeValue { attr: None },
    );
    let mut bad_data = proto();
    bad_data.data = Some(Data::BinaryData(b"{\"manifests\": [".to_vec().into()));
    let mut bad_metadata = good.clone();
    bad_metadata.set(name::METADATA, "{not json");
    let mut bad_number = good.clone();
    bad_number.set(name::RESOURCE_VERSION, "many");
    let cases: Vec<(&str, CloudEvent)> = vec![
        ("no attributes", no_attributes),
        ("a type that isn't one", bad_type),
        ("a subresource that isn't one", bad_subresource),
        ("an unknown spec_version", bad_version),
        ("an attribute without value", empty_value),
        ("data that isn't JSON", bad_data),
        ("metadata that isn't JSON", bad_metadata.into()),
        ("a version that isn't a number", bad_number.into()),
        ("no resourceid", without(name::RESOURCE_ID)),
        ("no resourceversion", without(name::RESOURCE_VERSION)),
        ("no clustername", without(name::CLUSTER_NAME)),
    ];
    for (what, event) in cases {
        let outcome = source.publish_raw(Some(event)).await;
        let status = refused(what, outcome, "")?;
        ensure!(
            !matches!(
                status.code(),
                Code::DeadlineExceeded | Code::Unavailable | Code::Cancelled | Code::Internal
            ),
            "{what}: expected a refusal that says what is wrong, seen {:?}: {}",
            status.code(),
            status.message()
        );
        ensure!(
            c.rest()?.bundle(&work.id).await?.is_none(),
            "{what}: expected nothing to be stored, seen a row"
        );
    }
    Ok(())
}

async fn bad_statuses_are_refused_with_words(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let (source, agent) = (c.source().await?, c.agent(&cluster).await?);
    let mut specs = agent.join(&[]).await?;
    let work = source.work(&cluster, "w");
    source.create(&work).await?;
    let spec = specs.next().await?;
    let data = json!({"conditions": []});
    let with = |change: &dyn Fn(&mut Event)| {
        let mut event = agent.status(&spec, &data);
        change(&mut event);
        event
    };
    let foreign = with(&|event| {
        event.set(name::CLUSTER_NAME, "another-cluster");
    });
    let unowned = with(&|event| {
        event.set(name::ORIGINAL_SOURCE, "somebody");
    });
    let unordered = with(&|event| {
        event.set(name::SEQUENCE_ID, "first");
    });
    let kind = with(&|event| {
        "managedclusters".clone_into(&mut event.event_type.data_type.resource);
    });
    // One that is good, so that the bad sequence has something to be compared with.
    agent.applied(&spec).await?;
    let cases = [
        (
            "a status of another cluster's work",
            foreign,
            "unmatched consumer name another-cluster for resource",
        ),
        (
            "a status of another owner's work",
            unowned,
            "unmatched original source id somebody",
        ),
        ("a sequence that isn't one", unordered, ""),
        (
            "another data type",
            kind,
            "failed to find service for event type",
        ),
    ];
    for (what, event, words) in cases {
        let status = refused(what, agent.publish(event).await, words)?;
        ensure!(
            status.message() != "{}" && !status.message().is_empty(),
            "{what}: expected a text that says what is wrong, seen {:?}",
            status.message()
        );
    }
    let row = c.rest()?.bundle(&work.id).await?.unwrap_or_default();
    ensure!(
        row.pointer("/status/conditions/0/type")
            .is_some_and(|kind| kind == "Applied"),
        "expected the good status to stay, seen {row}"
    );
    Ok(())
}

async fn bad_bundles_are_refused(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "w");
    let meta =
        |metadata: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    let cases = [
        (
            json!({"kind": "ConfigMap", "metadata": {"name": "a"}}),
            "apiVersion: Required value: field not set",
        ),
        (
            json!({"apiVersion": "v1", "metadata": {"name": "a"}}),
            "kind: Required value: field not set",
        ),
        (
            meta(json!({})),
            "metadata.name: Required value: field not set",
        ),
        (
            json!({"apiVersion": "apps/", "kind": "D", "metadata": {"name": "a"}}),
            "version not set",
        ),
        (
            json!({"apiVersion": "/v1", "kind": "D", "metadata": {"name": "a"}}),
            "group not set",
        ),
        (
            json!({"apiVersion": "a/b/c", "kind": "D", "metadata": {"name": "a"}}),
            "bad format",
        ),
        (
            meta(json!({"name": "a", "namespace": "Bad_Namespace"})),
            "metadata.namespace: Invalid value",
        ),
        (
            meta(json!({"name": "a", "generateName": "b"})),
            "metadata.generateName: Forbidden: field cannot be set",
        ),
        (
            meta(json!({"name": "a", "resourceVersion": "1"})),
            "metadata.resourceVersion: Forbidden: field cannot be set",
        ),
    ];
    for (manifest, words) in cases {
        let outcome = source
            .create(&work.clone().with_manifests(&[manifest]))
            .await;
        let status = refused(words, outcome, words)?;
        ensure!(
            status.message().contains("maestro-8"),
            "expected code maestro-8 in the text, seen {:?}",
            status.message()
        );
    }
    source.create(&work.with_manifests(&[])).await?;
    Ok(())
}

async fn large_bundles_are_refused(c: Context) -> Verdict {
    let cluster = c.cluster().await?;
    let source = c.source().await?;
    source
        .create(&source.work(&cluster, "fits").with_bytes(480_000))
        .await?;
    let work = source.work(&cluster, "w");
    let status = refused(
        "a bundle above 512000 bytes",
        source.create(&work.clone().with_bytes(600_000)).await,
        "512000",
    )?;
    same("its code", status.code(), Code::InvalidArgument)?;
    refused(
        "a message above 4 MiB",
        source
            .create(&work.clone().with_bytes(5 * 1024 * 1024))
            .await,
        "",
    )?;
    ensure!(
        c.rest()?.bundle(&work.id).await?.is_none(),
        "expected nothing to be stored, seen a row"
    );
    Ok(())
}

async fn errors_show_no_sql(c: Context) -> Verdict {
    const TRACES: &[&str] = &[
        "SQLSTATE",
        "insert or update on",
        "violates",
        "pq:",
        "gorm",
        "syntax error at",
        "column \"",
        "panicked",
        "::",
    ];
    let mut texts: Vec<(String, String)> = Vec::new();
    for (what, outcome, _, _) in refusals(&c).await? {
        let text = outcome
            .err()
            .map_or_else(String::new, |status| status.message().to_owned());
        texts.push((what.to_owned(), text));
    }
    let rest = c.rest()?;
    let (cluster, consumer) = c.cluster_with_id().await?;
    let source = c.source().await?;
    source.create(&source.work(&cluster, "w")).await?;
    let reply = rest.delete_consumer(&consumer).await?;
    texts.push(("deleting a consumer with works".to_owned(), reply.text()));
    for query in [
        [("search", "nonsense = 'x'"), ("size", "1")],
        [("search", "'"), ("size", "1")],
        [("orderBy", "nonsense"), ("size", "1")],
    ] {
        let reply = rest.list("resource-bundles", &query).await?;
        texts.push((format!("{query:?}"), reply.text()));
    }
    for (what, text) in texts {
        let trace = TRACES.iter().find(|trace| text.contains(**trace));
        ensure!(
            trace.is_none(),
            "{what}: expected words for people, seen {text:?}"
        );
    }
    Ok(())
}

async fn an_absent_event_is_refused(c: Context) -> Verdict {
    let (source, agent) = (c.source().await?, c.agent("nobody").await?);
    for (port, outcome) in [
        ("source", source.publish_raw(None).await),
        ("agent", agent.publish_raw(None).await),
    ] {
        let status = refused(&format!("no event on the {port} port"), outcome, "")?;
        same("its code", status.code(), Code::InvalidArgument)?;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let cluster = c.cluster().await?;
    let mut specs = c.agent(&cluster).await?.join(&[]).await?;
    let source = c.source().await?;
    let work = source.work(&cluster, "after");
    source.create(&work).await?;
    specs
        .until("a work after the refusals", |seen: &Seen| {
            seen.id() == work.id
        })
        .await?;
    Ok(())
}
