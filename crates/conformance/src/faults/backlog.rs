//! A dead cluster: thousands of deletions wait for its agent, and callers ask for them again and again.

use std::time::Duration;

use event_wire::Action;
use futures::stream::{self, StreamExt as _};
use testkit::postgres::Database;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::history::{Call, Outcome, Tag};
use super::place::{Door, Place, Way};
use super::plan;
use super::rest::Rest;
use super::wire::{self, Connection};

/// Calls at a time while the backlog is made.
const AT_ONCE: usize = 16;
/// Callers that ask again.
const CALLERS: usize = 4;
/// Pause of a caller between two calls: some 200 a second in all.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the cluster may take for its backlog when it is back, seconds.
const RETURN: f64 = 60.0;
const ACTOR: &str = "impatient";

/// The backlog while it lasts.
pub struct Backlog {
    place: Place,
    rest: Rest,
    cluster: String,
    source: String,
    /// One way to each server.
    ways: Vec<Way>,
    connections: Vec<Connection>,
    ids: Vec<String>,
}

impl Backlog {
    /// Creates the works of a plan's dead cluster and asks for their deletion.
    ///
    /// # Errors
    /// No port for a link.
    pub async fn build(
        place: &Place,
        rest: &Rest,
        source: &str,
        prefix: &str,
        plan: &plan::Backlog,
    ) -> anyhow::Result<Self> {
        let (mut ways, mut connections) = (Vec::new(), Vec::new());
        for server in 0..place.servers.len() {
            let way = Way::new(place, Door::Sources, server).await?;
            connections.push(way.connect()?);
            ways.push(way);
        }
        let mut backlog = Self {
            place: place.clone(),
            rest: rest.clone(),
            cluster: plan.cluster.clone(),
            source: source.to_owned(),
            ways,
            connections,
            ids: Vec::new(),
        };
        let ids: Vec<String> = (0..plan.works)
            .map(|number| format!("{prefix}{}-{number}", plan.cluster))
            .collect();
        let made = stream::iter(ids.iter().enumerate())
            .map(|(number, id)| backlog.create_and_delete(number, id))
            .buffer_unordered(AT_ONCE);
        made.for_each(|()| std::future::ready(())).await;
        backlog.ids = ids;
        Ok(backlog)
    }

    async fn create_and_delete(&self, number: usize, id: &str) {
        let op = self.place.recorder.number();
        let tag = Tag { life: 1, op };
        let call = Call::Create {
            id: id.to_owned(),
            cluster: self.cluster.clone(),
            source: self.source.clone(),
            tag,
        };
        let data = wire::bundle(id, tag, 500);
        let event = wire::spec_event(
            &self.source,
            Action::CreateRequest,
            id,
            &self.cluster,
            0,
            Some(&data),
        );
        self.publish(number, op, call, event).await;
        self.delete(number, id).await;
    }

    async fn delete(&self, number: usize, id: &str) {
        if number.is_multiple_of(2) {
            let server = number / 2 % self.ways.len().max(1);
            self.rest.delete(ACTOR, server, id, 1).await;
            return;
        }
        let op = self.place.recorder.number();
        let call = Call::Delete {
            id: id.to_owned(),
            life: 1,
        };
        let action = Action::DeleteRequest;
        let event = wire::spec_event(&self.source, action, id, &self.cluster, 0, None);
        self.publish(number / 2, op, call, event).await;
    }

    async fn publish(&self, number: usize, op: u64, call: Call, event: event_wire::Event) {
        let count = self.connections.len().max(1);
        let Some(connection) = self.connections.get(number % count) else {
            return;
        };
        let recorder = &self.place.recorder;
        recorder.invoke_as(op, ACTOR, call);
        let outcome: Outcome = wire::outcome(&connection.publish(event).await);
        recorder.finish(op, outcome);
    }

    /// Callers ask for the deletions again, one after the other, until `stop`.
    pub async fn ask_again(&self, stop: &CancellationToken) {
        let callers = (0..CALLERS).map(|caller| async move {
            let mine = self.ids.iter().enumerate().skip(caller).step_by(CALLERS);
            for (number, id) in mine.cycle() {
                // Over either door, and to either server.
                self.delete(number / CALLERS, id).await;
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
        futures::future::join_all(callers).await;
    }

    /// Waits until the cluster, whose agent is back, has nothing to do any more, or long enough.
    pub async fn worked_off(&self, database: &Database) {
        let deadline = Instant::now() + self.place.patience(RETURN);
        while Instant::now() < deadline {
            let left = async {
                let client = database.connect().await.ok()?;
                let sql = "select count(*) from resources where consumer_name = $1";
                let row = client.query_one(sql, &[&self.cluster]).await.ok()?;
                row.try_get::<_, i64>(0).ok()
            };
            if left.await == Some(0) || !self.place.sleep(Duration::from_millis(500)).await {
                return;
            }
        }
    }
}
