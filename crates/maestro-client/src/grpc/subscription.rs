//! Subscriptions, each on a connection of its own.

use std::{iter::successors, time::Duration};

use event_wire::{
    MANIFEST_BUNDLES,
    proto::{CloudEvent, SubscriptionRequest, cloud_event_service_client::CloudEventServiceClient},
};
use tonic::{Status, Streaming};

use super::{Grpc, staggered::staggered};
use crate::{Error, error::from_status};

/// Without the answer to a subscription for this long another one is asked for beside it; from then on after twice as long each time.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// A subscription that the server has registered: whatever is stored from now on will be streamed.
pub(crate) struct Subscription {
    stream: Streaming<CloudEvent>,
    /// What it was opened with.
    token: Option<String>,
    /// An earlier try was still without an answer: its connection may lead nowhere.
    pub(crate) overtook: bool,
}

impl Grpc {
    /// Opens a subscription.
    ///
    /// A proxy takes connections for a server that is dead, too, and then nothing comes. So another try is made soon, long before the
    /// limit of silence. The first one stays open: servers that are slow answer it, as do those that send nothing, not even
    /// the header, before the first event or heartbeat.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn subscribe(&self) -> Result<Subscription, Error> {
        let waits = successors(Some(FIRST_ANSWER), |wait| Some(wait.saturating_mul(2)));
        let mut tries = 0_u32;
        staggered(waits, || {
            tries += 1;
            self.open(tries > 1)
        })
        .await
    }

    /// One try.
    async fn open(&self, overtook: bool) -> Result<Subscription, Error> {
        let address = &self.config.grpc_address;
        let channel = self
            .endpoint
            .connect_with_connector(self.connector.clone().service())
            .await
            .map_err(|error| from_status(&Status::from_error(Box::new(error)), address, ""))?;
        let (request, token) = self
            .request(SubscriptionRequest {
                source: self.config.source_id.clone(),
                cluster_name: String::new(),
                data_type: MANIFEST_BUNDLES.to_owned(),
            })
            .await?;
        let mut client = CloudEventServiceClient::new(channel)
            .max_decoding_message_size(self.config.max_message_size);
        let limit = self
            .config
            .server_healthiness_timeout
            .unwrap_or(self.config.request_timeout);
        match tokio::time::timeout(limit, client.subscribe(request)).await {
            Ok(Ok(answer)) => Ok(Subscription {
                stream: answer.into_inner(),
                token,
                overtook,
            }),
            Ok(Err(status)) => Err(self.failed(&status, "", token.as_deref())),
            Err(_) => Err(Error::Timeout {
                address: address.clone(),
                limit,
            }),
        }
    }

    /// The next message of a subscription, or why there is none.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next_message(
        &self,
        subscription: &mut Subscription,
    ) -> Result<CloudEvent, Error> {
        let status = match subscription.stream.message().await {
            Ok(Some(message)) => return Ok(message),
            Ok(None) => Status::unavailable("the server ended the subscription"),
            Err(status) => status,
        };
        Err(self.failed(&status, "", subscription.token.as_deref()))
    }
}
