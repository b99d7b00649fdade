//! One measurement: a pulse out, its report seen.

use std::time::{Duration, Instant};

use event_broker::{Broker, Event};
use futures::StreamExt as _;
use hyperfleet_client::{Client, Error};
use hyperfleet_types::AdapterStatus;
use hyperfleet_types::pulse::event_type;
use jiff::Timestamp;
use serde_json::json;

use crate::TOPIC;
use crate::figures::Times;

const KIND: &str = "Cluster";

/// How pulses are sent and answers awaited.
pub struct Pulses<'a> {
    pub api: &'a Client,
    pub broker: &'a dyn Broker,
    /// Whose reports count.
    pub adapter: &'a str,
    /// A pulse without a report for so long has failed.
    pub patience: Duration,
    /// Pause between two looks.
    pub pause: Duration,
    pub in_flight: usize,
}

impl Pulses<'_> {
    /// One pulse for each cluster.
    pub async fn round(&self, clusters: &[String]) -> Times {
        let times = futures::stream::iter(clusters)
            .map(|id| self.one(id))
            .buffer_unordered(self.in_flight);
        times
            .fold(Times::default(), async |mut times, time| {
                times.note(time);
                times
            })
            .await
    }

    /// One pulse: how long until its report was visible; `None` if none came, or the cluster is gone.
    pub async fn one(&self, id: &str) -> Option<Duration> {
        let before = self.reported(id).await.ok()?;
        let started = Instant::now();
        if let Err(error) = self.broker.publish(TOPIC, &pulse(id)).await {
            eprintln!("A pulse was refused: {error}");
            return None;
        }
        while started.elapsed() < self.patience {
            match self.reported(id).await {
                Ok(now) if now > before => return Some(started.elapsed()),
                Err(error) if error.is_not_found() => return None,
                // A look that fails is no answer; the next one may be.
                _ => tokio::time::sleep(self.pause).await,
            }
        }
        None
    }

    /// The adapter's last report about a cluster.
    pub async fn report_of(&self, id: &str) -> Result<Option<AdapterStatus>, Error> {
        let reports = self.api.statuses("clusters", id).list().await?;
        Ok(reports
            .items
            .into_iter()
            .find(|report| report.adapter == self.adapter))
    }

    async fn reported(&self, id: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self
            .report_of(id)
            .await?
            .map(|report| report.last_report_time))
    }
}

/// What Sentinel would send.
fn pulse(id: &str) -> Event {
    let href = format!("{}/clusters/{id}", hyperfleet_types::API_PREFIX);
    let data = json!({"id": id, "kind": KIND, "href": href});
    Event::new("adapter-load", event_type(KIND), data)
}
