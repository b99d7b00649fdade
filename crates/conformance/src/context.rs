//! What a test gets: addresses, names that nobody else uses, players, and clean-up behind it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::Value;
use tonic::Code;

use crate::play::{
    Access, Agent, Behaviour, Error, Proxy, Puppet, Rest, Source, Stage, Watcher, Work,
};

/// Calls that a test makes at once when it makes many.
const AT_ONCE: usize = 8;
/// How long cleaning up behind a test may take, before scaling: seconds, by profile. Twenty thousand works take a while.
const CLEANUP: (usize, usize) = (30, 900);

/// The three doors of one server.
#[derive(Clone, Debug)]
pub struct Doors {
    /// REST, `http://host:port`.
    pub rest: String,
    /// Sources, `host:port`.
    pub source: String,
    /// Agents, `host:port`.
    pub agent: String,
}

/// Everything that is known of what is judged.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub first: Doors,
    /// A second replica on the same database.
    pub second: Option<Doors>,
    /// Where a third one listens for sources, `host:port`.
    pub third: Option<String>,
    /// Health endpoint of the server, `http://host:port`.
    pub health: Option<String>,
    /// Its PostgreSQL database.
    pub database: Option<String>,
    /// Its process, to look at its memory.
    pub pid: Option<u32>,
    /// How its doors are opened.
    pub access: Access,
}

/// How much a test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Minutes.
    Ci,
    /// The sizes at which things broke in the field.
    Full,
}

/// Why a test ended early.
#[derive(Debug)]
pub enum Stop {
    /// It failed; what was expected and what was seen.
    Failed(String),
    /// It can't be judged here; why.
    NotApplicable(String),
}

/// How a test ends.
pub type Verdict = Result<(), Stop>;

/// What a test works with. Clones share everything.
#[derive(Clone)]
pub struct Context {
    /// Deadlines and the recording.
    pub stage: Stage,
    /// What is judged.
    pub target: Arc<Target>,
    /// How much to do.
    pub profile: Profile,
    doors: Doors,
    names: Arc<Names>,
    left_out: Arc<Mutex<Vec<String>>>,
}

struct Names {
    run: String,
    next: AtomicU64,
    clusters: Mutex<Vec<(String, String)>>,
}

// === impl Stop ===

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<tonic::Status> for Stop {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(format!(
            "the server refused: {:?}: {}",
            status.code(),
            status.message()
        ))
    }
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        let why =
            std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
        Self::Failed(format!("--database-url: {error}{why}"))
    }
}

// === impl Context ===

impl Context {
    /// A context with names of its own.
    #[must_use]
    pub fn new(target: Arc<Target>, stage: Stage, profile: Profile) -> Self {
        let run: String = uuid::Uuid::new_v4().simple().to_string();
        Self {
            stage,
            doors: target.first.clone(),
            target,
            profile,
            names: Arc::new(Names {
                run: run.chars().take(8).collect(),
                next: AtomicU64::new(1),
                clusters: Mutex::default(),
            }),
            left_out: Arc::default(),
        }
    }

    /// Notes what this test can't look at here, and why: a pass of the rest must not claim it.
    pub fn leave_out(&self, what: &str, why: &str) {
        self.left_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{what} ({why})"));
    }

    /// What was noted so far.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        self.left_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The same at the doors of the second replica.
    ///
    /// # Errors
    /// Not applicable without one.
    pub fn other(&self) -> Result<Self, Stop> {
        let doors = self.target.second.clone().ok_or_else(|| {
            Stop::NotApplicable("needs --rest-2, --source-grpc-2 and --agent-grpc-2".to_owned())
        })?;
        Ok(Self {
            doors,
            ..self.clone()
        })
    }

    /// A source of that id at the third replica, if there is one.
    ///
    /// # Errors
    /// No connection.
    pub async fn third_source_as(&self, id: &str) -> Result<Option<Source>, Error> {
        match &self.target.third {
            Some(address) => Ok(Some(Source::connect(address, id, &self.stage).await?)),
            None => Ok(None),
        }
    }

    /// Where sources write while agents are here: the other replica, which this one then has to hear of, or this one if it is the only
    /// one.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        self.other().unwrap_or_else(|_| self.clone())
    }

    /// The doors that it uses.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// A number by profile.
    #[must_use]
    pub fn size(&self, ci: usize, full: usize) -> usize {
        match self.profile {
            Profile::Ci => ci,
            Profile::Full => full,
        }
    }

    /// A name that nobody else uses; also a DNS label.
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        let number = self.names.next.fetch_add(1, Ordering::Relaxed);
        format!("cf-{}-{what}{number}", self.names.run)
    }

    /// A client of the REST API.
    ///
    /// # Errors
    /// The address isn't one.
    pub fn rest(&self) -> Result<Rest, Error> {
        Rest::new(&self.doors.rest, &self.stage)
    }

    /// Registers a consumer that is removed, with all of its works, when the test is over; its name.
    ///
    /// # Errors
    /// The server refuses or doesn't answer.
    pub async fn cluster(&self) -> Result<String, Error> {
        Ok(self.cluster_with_id().await?.0)
    }

    /// As [`Context::cluster`]; name and id.
    ///
    /// # Errors
    /// The server refuses or doesn't answer.
    pub async fn cluster_with_id(&self) -> Result<(String, String), Error> {
        let name = self.name("c");
        let id = self.rest()?.create_consumer(&name).await?;
        let entry = (name, id);
        self.clusters().push(entry.clone());
        Ok(entry)
    }

    /// A source of its own.
    ///
    /// # Errors
    /// No connection.
    pub async fn source(&self) -> Result<Source, Error> {
        self.source_as(&self.name("s")).await
    }

    /// A source of that id.
    ///
    /// # Errors
    /// No connection.
    pub async fn source_as(&self, id: &str) -> Result<Source, Error> {
        Source::connect(&self.doors.source, id, &self.stage).await
    }

    /// An agent that does what it is told.
    ///
    /// # Errors
    /// No connection.
    pub async fn agent(&self, cluster: &str) -> Result<Agent, Error> {
        Agent::connect(&self.doors.agent, cluster, &self.stage).await
    }

    /// An agent that runs by itself, and has joined.
    ///
    /// # Errors
    /// It can't join.
    pub async fn puppet(&self, cluster: &str, behaviour: Behaviour) -> Result<Puppet, Error> {
        let puppet = Puppet::start(&self.doors.agent, cluster, &self.stage, behaviour);
        puppet.joined().await?;
        Ok(puppet)
    }

    /// A proxy before the agent port, and an agent that runs by itself behind it and has joined.
    ///
    /// # Errors
    /// No port can be bound, or the agent can't join.
    pub async fn puppet_behind_proxy(
        &self,
        cluster: &str,
        behaviour: Behaviour,
    ) -> Result<(Proxy, Puppet), Error> {
        let proxy = Proxy::start(&self.doors.agent).await?;
        let access = self.stage.access.through(&self.doors.agent);
        let stage = self.stage.clone().with_access(access);
        let puppet = Puppet::start(&proxy.address(), cluster, &stage, behaviour);
        puppet.joined().await?;
        Ok((proxy, puppet))
    }

    /// A source that listens by itself, and has a stream.
    ///
    /// # Errors
    /// It gets none.
    pub async fn watcher(&self, source: &str) -> Result<Watcher, Error> {
        let watcher = Watcher::start(&self.doors.source, source, &self.stage);
        watcher.joined().await?;
        Ok(watcher)
    }

    /// Publishes many creates, some at once. An answer that got lost is asked for again.
    ///
    /// # Errors
    /// One was refused.
    pub async fn create_all(&self, source: &Source, works: &[Work]) -> Result<(), Error> {
        let calls = stream::iter(works.to_vec()).map(|work| async move {
            match create_surely(source, &work, &self.stage).await {
                Ok(()) => None,
                Err(status) => Some(Error::from(status)),
            }
        });
        match failure(calls.buffer_unordered(AT_ONCE)).await {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Publishes many deletes, some at once.
    ///
    /// # Errors
    /// One was refused.
    pub async fn delete_all(&self, source: &Source, works: &[Work]) -> Result<(), Error> {
        let calls = stream::iter(works.to_vec())
            .map(|work| async move { source.delete(&work).await.err().map(Error::from) });
        match failure(calls.buffer_unordered(AT_ONCE)).await {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// So many works of a source for a cluster, each a little different.
    #[must_use]
    pub fn works(&self, source: &Source, cluster: &str, count: usize) -> Vec<Work> {
        (0..count)
            .map(|number| {
                let name = self.name("w");
                source
                    .work(cluster, &name)
                    .with_map(&format!("map-{number}"))
            })
            .collect()
    }

    /// Waits until the server says that a work is gone (limit 15 s, scaled).
    ///
    /// # Errors
    /// It is still there.
    pub async fn gone(&self, id: &str) -> Result<(), Error> {
        let rest = self.rest()?;
        let what = format!("the end of row {id}");
        self.stage
            .eventually(Duration::from_secs(15), &what, async || {
                Ok(rest.bundle(id).await?.is_none().then_some(()))
            })
            .await
    }

    /// Waits until a bundle is as wanted (limit 15 s, scaled); the bundle.
    ///
    /// # Errors
    /// It isn't in time, or gone.
    pub async fn bundle(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        let rest = self.rest()?;
        self.stage
            .eventually(Duration::from_secs(15), what, async || {
                Ok(rest.bundle(id).await?.filter(&wanted))
            })
            .await
    }

    /// A session on the server's database.
    ///
    /// # Errors
    /// Not applicable without `--database-url`; failed if there is no connection.
    pub async fn database(&self) -> Result<tokio_postgres::Client, Stop> {
        let url = self
            .target
            .database
            .as_deref()
            .ok_or_else(|| Stop::NotApplicable("needs --database-url".to_owned()))?;
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        // Ends when the client is dropped, or with its sessions.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Resident memory of the server now, bytes; `None` without `--server-pid`.
    ///
    /// # Errors
    /// Failed if that process can't be looked at: it isn't there, or not any more.
    pub fn memory(&self) -> Result<Option<u64>, Stop> {
        let Some(pid) = self.target.pid else {
            return Ok(None);
        };
        let resident = || {
            let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        match resident() {
            Some(kib) => Ok(Some(kib * 1024)),
            None => Err(Stop::Failed(format!(
                "expected to see the memory of process {pid} (--server-pid), seen no such process"
            ))),
        }
    }

    /// Deletes the works of all clusters of this test, plays their agents until the works are gone, and removes the
    /// clusters. What is left is said in words.
    ///
    /// # Errors
    /// Something is left.
    pub async fn clean_up(&self) -> Result<(), Error> {
        let clusters = std::mem::take(&mut *self.clusters());
        let here = Self {
            doors: self.target.first.clone(),
            ..self.clone()
        };
        let all = stream::iter(clusters).map(|(name, id)| {
            let here = here.clone();
            async move { here.clean_cluster(&name, &id).await.err() }
        });
        match failure(all.buffer_unordered(AT_ONCE)).await {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn clean_cluster(&self, name: &str, id: &str) -> Result<(), Error> {
        let rest = self.rest()?;
        let search = format!("consumer_name='{name}'");
        let left = async || -> Result<Vec<Value>, Error> {
            let query = [("search", search.as_str()), ("size", "400")];
            let page = rest.list("resource-bundles", &query).await?.json();
            Ok(page
                .get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default())
        };
        if !left().await?.is_empty() {
            let puppet = Puppet::start(&self.doors.agent, name, &self.stage, Behaviour::default());
            let what = format!("the end of all works of {name}");
            let patience = Duration::from_secs(self.size(CLEANUP.0, CLEANUP.1) as u64);
            self.stage
                .eventually(patience, &what, async || {
                    let items = left().await?;
                    let live = items
                        .iter()
                        .filter(|item| item.get("deleted_at").is_none())
                        .filter_map(|item| item.get("id")?.as_str().map(ToOwned::to_owned));
                    let rest = &rest;
                    stream::iter(live.collect::<Vec<_>>())
                        .for_each_concurrent(AT_ONCE, |id| async move {
                            let path = format!("/api/maestro/v1/resource-bundles/{id}");
                            // What remains is asked for again.
                            let _ = rest.send("DELETE", &path, &[], None).await;
                        })
                        .await;
                    Ok(items.is_empty().then_some(()))
                })
                .await?;
            drop(puppet);
        }
        rest.delete_consumer(id).await?;
        Ok(())
    }

    fn clusters(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.names
            .clusters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes a create until the server has it: a lost answer is asked for again, and "exists already" is one.
///
/// # Errors
/// The server refused it.
pub async fn create_surely(
    source: &Source,
    work: &Work,
    stage: &Stage,
) -> Result<(), tonic::Status> {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(100);
    let mut last = tonic::Status::unavailable("never tried");
    for _ in 0..ATTEMPTS {
        match source.create(work).await {
            Ok(()) => return Ok(()),
            Err(status) if status.message().contains("already exists") => return Ok(()),
            Err(status) if worth_a_retry(&status) => last = status,
            Err(status) => return Err(status),
        }
        tokio::time::sleep(stage.scale.of(PAUSE)).await;
    }
    Err(last)
}

/// True when the event may be published again: nobody answered, or the database was away.
#[must_use]
pub fn worth_a_retry(status: &tonic::Status) -> bool {
    let text = status.message();
    crate::play::is_transient(status)
        || (status.code() == Code::Unknown
            && ["terminat", "connection", "shutdown", "bad conn", "EOF"]
                .iter()
                .any(|word| text.contains(word)))
}

async fn failure(outcomes: impl futures::Stream<Item = Option<Error>>) -> Option<Error> {
    let outcomes = std::pin::pin!(outcomes);
    outcomes.filter_map(std::future::ready).next().await
}
