//! The source service.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use event_wire::{
    Action, Event,
    proto::{
        CloudEvent, PublishRequest, SubscriptionRequest,
        cloud_event_service_server::CloudEventService,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Answer, Data};

pub(super) struct Service {
    pub(super) data: Arc<Mutex<Data>>,
    pub(super) heartbeat: Option<Duration>,
}

#[tonic::async_trait]
impl CloudEventService for Service {
    async fn publish(&self, request: Request<PublishRequest>) -> Answer<Response<()>> {
        let header = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut data = self.data.lock().unwrap();
        if !data.allowed(header.as_deref()) {
            return Err(Status::unknown("token not authenticated"));
        }
        let event = Event::try_from(request.into_inner().event.unwrap())
            .map_err(|error| Status::unknown(error.to_string()))?;
        data.published.push(event.clone());
        if event.event_type.action == Action::ResyncRequest {
            return data.resync(&event).map(Response::new);
        }
        if !data.failures.is_empty() {
            let (status, stored) = data.failures.remove(0);
            if stored {
                data.store(event)?;
            }
            return Err(status);
        }
        data.store(event).map(Response::new)
    }

    type SubscribeStream = Pin<Box<dyn tokio_stream::Stream<Item = Answer<CloudEvent>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Answer<Response<Self::SubscribeStream>> {
        let header = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let (sender, mut receiver) = mpsc::channel(1000);
        let late = {
            let mut data = self.data.lock().unwrap();
            if !data.allowed(header.as_deref()) {
                return Err(Status::unknown("token not authenticated"));
            }
            if !data.refusals.is_empty() {
                return Err(data.refusals.remove(0));
            }
            data.subscriptions += 1;
            data.subscribers
                .push((request.into_inner().source, sender.clone()));
            data.late_answers
        };
        if let Some(interval) = self.heartbeat {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(interval).await;
                    if sender
                        .send(Ok(event_wire::heartbeat(uuid::Uuid::new_v4())))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
        if late {
            let first = tokio_stream::iter(receiver.recv().await);
            return Ok(Response::new(Box::pin(
                first.chain(ReceiverStream::new(receiver)),
            )));
        }
        let mut response: Response<Self::SubscribeStream> =
            Response::new(Box::pin(ReceiverStream::new(receiver)));
        response
            .metadata_mut()
            .insert("subscription-id", "1".parse().unwrap());
        Ok(response)
    }
}
