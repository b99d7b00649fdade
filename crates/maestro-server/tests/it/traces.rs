//! A trace that begins at a source goes to the agent with the spec and comes back with the status.

use event_wire::Action;
use event_wire::attribute::{Attribute, name};
use event_wire::proto::PublishRequest;
use maestro_server::Config;

use crate::harness::{Received, Server, bundle, config_map};

on_both!(
    a_trace_goes_to_the_agent_and_comes_back,
    the_trace_of_a_call_is_lent_to_its_event
);

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-1111111111111111111111111111111a-b7ad6b7169203331-00";

fn trace(received: &Received) -> (Option<&str>, Option<&str>) {
    let text = |name: &str| -> Option<&str> {
        match received.event.extensions.get(name)? {
            Attribute::String(text) => Some(text),
            other => panic!("{name} is {other:?}"),
        }
    };
    (text(name::TRACE_PARENT), text(name::TRACE_STATE))
}

async fn a_trace_goes_to_the_agent_and_comes_back(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let mut statuses = source.subscribe().await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let data = bundle(&[config_map("a")]);
    let mut event = source.event(Action::CreateRequest, "r1", "c1", 0, Some(&data));
    event
        .set(name::TRACE_PARENT, PARENT)
        .set(name::TRACE_STATE, "vendor=x");
    source.publish(event).await.unwrap();
    let spec = specs.next().await;
    assert_eq!(trace(&spec), (Some(PARENT), Some("vendor=x")));
    // Agents of upstream answer without it: the server knows where the status belongs.
    agent.applied(&spec).await.unwrap();
    assert_eq!(
        trace(&statuses.next().await),
        (Some(PARENT), Some("vendor=x"))
    );
    // An agent that traces itself is believed.
    let conditions = crate::harness::condition("Applied", "True", 1);
    let mut status = agent.status(&spec, &conditions);
    status.set(name::TRACE_PARENT, OTHER);
    agent.publish(status).await.unwrap();
    assert_eq!(trace(&statuses.next().await), (Some(OTHER), None));
    let (_, body) = server
        .get("/api/maestro/v1/resource-bundles/r1/explain")
        .await;
    assert_eq!(body["stored"]["traceparent"], PARENT);
    // So it is at the end.
    source.delete("r1", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    assert_eq!(trace(&deletion).0, Some(PARENT));
    agent.deleted(&deletion).await.unwrap();
    let last = statuses
        .until(|event| event.condition("Deleted").is_some())
        .await;
    assert_eq!(trace(&last).0, Some(PARENT));
}

async fn the_trace_of_a_call_is_lent_to_its_event(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let mut specs = server.agent("c1").await.join(&[]).await;
    let data = bundle(&[config_map("a")]);
    for (id, own, call, expected) in [
        ("r1", None, PARENT, Some(PARENT)),
        ("r2", Some(OTHER), PARENT, Some(OTHER)),
        ("r3", None, "nonsense", None),
    ] {
        let mut event = source.event(Action::CreateRequest, id, "c1", 0, Some(&data));
        if let Some(own) = own {
            event.set(name::TRACE_PARENT, own);
        }
        let mut request = tonic::Request::new(PublishRequest {
            event: Some(event.into()),
        });
        request
            .metadata_mut()
            .insert("traceparent", call.parse().unwrap());
        source.client.clone().publish(request).await.unwrap();
        let spec = specs.until(|event| event.id == id).await;
        assert_eq!(trace(&spec).0, expected, "{id}");
    }
}
