//! What a timeline needs to know about its cluster.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::hosted_cluster::HostedCluster;
use crate::release::Release;

/// Address of a private control plane's load balancer, when the caller doesn't choose one.
const PRIVATE_ADDRESS: &str = "10.0.0.100";

/// The parameters of one timeline.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Namespace of the HostedCluster.
    pub namespace: String,
    /// Name of the HostedCluster.
    pub name: String,
    /// `metadata.generation` of the HostedCluster.
    pub generation: i64,
    /// The release image that the spec asks for.
    pub image: String,
    /// The version of that image.
    pub version: String,
    /// Name of the pull secret.
    pub pull_secret: String,
    /// Host of the API server's endpoint: a public name, or the address of an internal load balancer.
    pub api_host: String,
    /// Host of the OAuth server's endpoint.
    pub oauth_host: String,
    /// Whether the endpoint is private: then no public name is looked up.
    pub is_private: bool,
    /// Whether workers join: without them the guest's version never completes.
    pub workers: bool,
    /// When the timeline began: creation, change of the image, deletion.
    pub started: Timestamp,
    /// How much faster than real time: 1 = real time, 600 = ten minutes in a second. Values that are not positive
    /// numbers count as 1.
    pub speed: f64,
}

impl Parameters {
    /// Reads what the object says; the rest is `started` and `speed`. Workers join unless the caller says otherwise.
    pub fn of(object: &Value, started: Timestamp, speed: f64) -> Self {
        let cluster = HostedCluster::new(object);
        let image = cluster.release_image().to_owned();
        let is_private = !cluster.is_public();
        let host = |service| match cluster.route_hostname(service) {
            Some(host) if !is_private => host.to_owned(),
            _ => PRIVATE_ADDRESS.to_owned(),
        };
        Self {
            namespace: cluster.namespace().to_owned(),
            name: cluster.name().to_owned(),
            generation: cluster.generation(),
            version: Release::of_image(&image)
                .map(|release| release.to_string())
                .unwrap_or_default(),
            image,
            pull_secret: cluster.pull_secret().to_owned(),
            api_host: host("APIServer"),
            oauth_host: host("OAuthServer"),
            is_private,
            workers: true,
            started,
            speed,
        }
    }

    /// A real duration at the timeline's speed.
    pub fn scaled(&self, real: Duration) -> Duration {
        let speed = if self.speed.is_finite() && self.speed > 0.0 {
            self.speed
        } else {
            1.0
        };
        Duration::try_from_secs_f64(real.as_secs_f64() / speed).unwrap_or(Duration::MAX)
    }

    /// The moment `seconds` of real time after the start.
    pub(super) fn moment(&self, seconds: u64) -> Timestamp {
        let delay = self.scaled(Duration::from_secs(seconds));
        self.started
            .checked_add(jiff::SignedDuration::try_from(delay).unwrap_or_default())
            .unwrap_or(self.started)
    }
}
