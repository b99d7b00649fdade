//! A round: traffic, faults, silence, clean-up; its result is a history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use testkit::postgres::Database;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agent::Agent;
use super::backlog::Backlog;
use super::breaker::Breaker;
use super::check;
use super::check::bounds::DRAIN;
use super::history::{Entry, History, Limits, Load, Row, Sample, Scope, Snapshot, What};
use super::observer::Observer;
use super::place::{Door, Place, Way};
use super::plan::{Kind, Plan};
use super::random::Random;
use super::recorder::Recorder;
use super::rest::Rest;
use super::source::Source;
use super::stack::{self, Stack};
use super::tables;

/// After the last fault everything is right within this time, seconds.
const RECOVERY: f64 = 30.0;
/// Works that an agent lost wait for a reminder, seconds.
const REMINDER: f64 = 75.0;
/// Between two looks at whether everything is right.
const LOOK: Duration = Duration::from_millis(300);
/// Between two measurements.
const MEASURE: Duration = Duration::from_secs(1);
/// Deletions at a time when everything is cleaned up.
const CLEANERS: usize = 8;
/// Between idle agents' connections.
const IDLE: Duration = Duration::from_millis(20);

/// Plays a round on a running stack.
///
/// # Errors
/// When a process doesn't come back, or something of the runner itself fails.
pub async fn play(
    stack: &Arc<Stack>,
    plan: &Plan,
    round: u64,
    limits: &Limits,
) -> anyhow::Result<History> {
    let place = Place {
        recorder: Recorder::new(),
        servers: stack
            .servers
            .iter()
            .map(|server| server.addresses.clone())
            .collect(),
        time_scale: limits.time_scale,
        shutdown: CancellationToken::new(),
    };
    let _end = place.shutdown.clone().drop_guard();
    let mut stage = Stage::set(stack, plan, &place, round).await?;
    stage.perform(plan).await?;
    stage.settle(plan, "the last fault").await;
    stage.clean_up(plan).await;
    stage.settle(plan, "the clean-up").await;
    stage.drain(plan).await;
    place.shutdown.cancel();
    let mut tasks = stage.tasks;
    while tasks.join_next().await.is_some() {}
    Ok(place.recorder.history(limits))
}

/// The hands of all sources, at work.
#[derive(Default)]
struct Hands {
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Hands {
    /// Lets them finish what they are doing.
    async fn rest(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Stage {
    breaker: Arc<Breaker>,
    database: Database,
    kind: stack::Kind,
    place: Place,
    rest: Rest,
    prefix: String,
    tasks: JoinSet<()>,
    random: Random,
}

impl Stage {
    async fn set(
        stack: &Arc<Stack>,
        plan: &Plan,
        place: &Place,
        round: u64,
    ) -> anyhow::Result<Self> {
        let rest = Rest::new(place)?;
        let random = Random::new(plan.seed);
        let mut tasks = JoinSet::new();
        for cluster in &plan.clusters {
            rest.register(0, cluster).await?;
        }
        let mut agents = Vec::new();
        for (index, cluster) in plan.clusters.iter().enumerate() {
            let agent = Agent::new(place, cluster, index % place.servers.len().max(1)).await?;
            tasks.spawn(agent.clone().run(random.part(cluster)));
            agents.push(agent);
        }
        if let Some(backlog) = &plan.backlog {
            // Nobody is there yet.
            rest.register(0, &backlog.cluster).await?;
            agents.push(Agent::new(place, &backlog.cluster, 0).await?);
        }
        let mut observers = Vec::new();
        for (index, source) in plan.sources.iter().enumerate() {
            let observer = Observer::new(place, source, index % place.servers.len().max(1)).await?;
            tasks.spawn(observer.clone().run(random.part(source)));
            observers.push(observer);
        }
        for number in 0..plan.idle {
            tasks.spawn(idle(place.clone(), number));
        }
        tasks.spawn(measure(place.clone(), Arc::clone(stack)));
        let breaker = Breaker {
            stack: Arc::clone(stack),
            place: place.clone(),
            agents,
            observers,
            turns: stack.servers.iter().map(|_| Mutex::default()).collect(),
            database_turn: Mutex::default(),
        };
        Ok(Self {
            breaker: Arc::new(breaker),
            database: stack.name.clone(),
            kind: stack.kind(),
            place: place.clone(),
            rest,
            prefix: format!("r{round:04}-"),
            tasks,
            random,
        })
    }

    /// Traffic, alone at first, then with faults.
    async fn perform(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let hands = self.hands(plan, "");
        // Connections and caches are warm after a moment.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.window(plan, Some(Load::Calm));
        tokio::time::sleep(plan.prelude).await;
        self.window(plan, Some(Load::Neighbour));
        let storm = async {
            tokio::time::sleep(plan.storm).await;
            self.window(plan, None);
            hands.rest().await;
        };
        let (result, ()) = tokio::join!(Arc::clone(&self.breaker).run(plan), storm);
        result?;
        self.backlog(plan).await
    }

    /// Sends the hands of all sources to work; `stretch` is in the names of what they make.
    fn hands(&self, plan: &Plan, stretch: &str) -> Hands {
        let mut hands = Hands::default();
        let prefix = format!("{}{stretch}", self.prefix);
        for name in &plan.sources {
            let source = Source::new(
                &self.place,
                &self.rest,
                name,
                &prefix,
                &plan.clusters,
                hands.stop.clone(),
            );
            for hand in 0..plan.hands {
                let random = self.random.part(&format!("{stretch}{name}/{hand}"));
                let work = source.clone().run(hand, plan.mix, random);
                hands.tasks.spawn(work);
            }
        }
        hands
    }

    fn window(&self, plan: &Plan, load: Option<Load>) {
        if plan.kind == Kind::Pace {
            self.place.recorder.add(What::Window { load });
        }
    }

    /// Deletions pile up for a dead cluster while the traffic of the others is measured; then its agent comes back.
    async fn backlog(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let (Some(planned), Some(source)) = (&plan.backlog, plan.sources.first()) else {
            return Ok(());
        };
        let backlog =
            Backlog::build(&self.place, &self.rest, source, &self.prefix, planned).await?;
        let hands = self.hands(plan, "again-");
        let over = CancellationToken::new();
        let measured = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.window(plan, Some(Load::Backlog));
            tokio::time::sleep(planned.lasts).await;
            self.window(plan, None);
            over.cancel();
            hands.rest().await;
        };
        tokio::join!(backlog.ask_again(&over), measured);
        if let Some(agent) = self.breaker.agents.last() {
            let random = self.random.part(&planned.cluster);
            self.tasks.spawn(agent.clone().run(random));
        }
        backlog.worked_off(&self.database).await;
        Ok(())
    }

    /// Waits until everything is as it should be, or long enough, and records what is there.
    async fn settle(&self, plan: &Plan, after: &str) {
        let started = Instant::now();
        let soon = started + self.place.patience(RECOVERY);
        let late = started + self.place.patience(REMINDER);
        loop {
            let looked = self.look(plan).await;
            let now = Instant::now();
            match looked {
                Ok(snapshot) => {
                    let wrong = differences(&snapshot);
                    // Works that wait for a reminder have more time.
                    let urgent = wrong.iter().any(|id| !snapshot.lossy.contains(id));
                    if wrong.is_empty() || now > late || (urgent && now > soon) {
                        self.place.recorder.add(What::Snapshot(Box::new(snapshot)));
                        return;
                    }
                }
                Err(text) => {
                    if now > soon {
                        let text = format!("after {after}: {text}");
                        self.place.recorder.add(What::Silent { text });
                        return;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything that can be seen now.
    async fn look(&self, plan: &Plan) -> Result<Snapshot, String> {
        let mut snapshot = Snapshot::default();
        for (index, source) in plan.sources.iter().enumerate() {
            let server = index % self.place.servers.len().max(1);
            for row in self.rest.rows(server, source).await? {
                if row.id.starts_with(&self.prefix) {
                    snapshot.sources.insert(row.id.clone(), source.clone());
                    snapshot.rows.insert(row.id.clone(), row);
                }
            }
        }
        for agent in &self.breaker.agents {
            let (held, lossy, _) = agent.look();
            snapshot.lossy.extend(lossy);
            snapshot.clusters.insert(agent.cluster().to_owned(), held);
        }
        for observer in &self.breaker.observers {
            let known: BTreeMap<_, _> = observer
                .look()
                .into_iter()
                .filter(|(id, _)| id.starts_with(&self.prefix))
                .collect();
            snapshot.known.insert(observer.source().to_owned(), known);
        }
        Ok(snapshot)
    }

    /// Deletes everything.
    async fn clean_up(&self, plan: &Plan) {
        let deadline = Instant::now() + self.place.patience(RECOVERY);
        loop {
            let Ok(snapshot) = self.look(plan).await else {
                return;
            };
            let alive = snapshot.rows.values().filter(|row| !row.deleting);
            let alive: Vec<_> = alive.collect();
            if alive.is_empty() || Instant::now() > deadline {
                return;
            }
            let delete = |(index, row): (usize, &Row)| {
                let life = row.tag.map_or(0, |tag| tag.life);
                let server = index % self.place.servers.len().max(1);
                let (rest, id) = (self.rest.clone(), row.id.clone());
                async move { rest.delete("clean-up", server, &id, life).await }
            };
            let mut deletes =
                stream::iter(alive.into_iter().enumerate().map(delete)).buffer_unordered(CLEANERS);
            while deletes.next().await.is_some() {}
        }
    }

    /// Waits until the tables hold nothing any more that should go, or long enough, and records what they hold.
    async fn drain(&self, plan: &Plan) {
        let ours = self.kind == stack::Kind::Ours;
        if ours && plan.ages {
            // What isn't made older is seen to go some rounds later.
            let _ = tables::age(&self.database).await;
        }
        // Two seconds more than what is judged, for the reports of the last moment.
        let deadline = Instant::now() + self.place.patience(DRAIN) + LOOK * 7;
        loop {
            let looked = tables::left(&self.database, ours).await;
            let late = Instant::now() > deadline;
            match looked {
                Ok(rows) if rows.is_empty() || late => {
                    self.place.recorder.add(What::Tables { rows });
                    return;
                }
                Err(error) if late => {
                    let text = format!("the tables can't be looked at: {error:#}");
                    self.place.recorder.add(What::Silent { text });
                    return;
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// The works that aren't as they should be at rest.
fn differences(snapshot: &Snapshot) -> BTreeSet<String> {
    let history = History {
        limits: Limits::default(),
        entries: vec![Entry {
            at: 0,
            what: What::Snapshot(Box::new(snapshot.clone())),
        }],
    };
    let at_rest = |violation: &check::Violation| {
        use check::Invariant::{I3, I4, I5, I6};
        matches!(violation.invariant, I3 | I4 | I5 | I6)
    };
    let wrong = check::check(&history).into_iter().filter(at_rest);
    wrong.flat_map(|violation| violation.ids).collect()
}

/// An agent of a cluster without works, which only listens.
async fn idle(place: Place, number: usize) {
    let server = number % place.servers.len().max(1);
    let Ok(way) = Way::new(&place, Door::Agents, server).await else {
        return;
    };
    tokio::time::sleep(IDLE * u32::try_from(number).unwrap_or_default()).await;
    while !place.shutdown.is_cancelled() {
        let listen = async {
            let connection = way.connect().ok()?;
            let cluster = format!("idle-{number}");
            let mut events = connection.subscribe("", &cluster).await.ok()?;
            let patience = place.patience(super::agent::SILENCE);
            while super::wire::next(&mut events, patience).await.is_ok() {}
            Some(())
        };
        tokio::select! {
            _ = listen => {}
            () = place.shutdown.cancelled() => return,
        }
        way.turn();
        place.sleep(IDLE * 10).await;
    }
}

/// Notes now and then how large the servers and their queues are, and whether a server ended by itself.
async fn measure(place: Place, stack: Arc<Stack>) {
    const DELETIONS: &str = "select e.source_id, count(*) from events e join resources r on r.id = e.source_id \
         and e.created_at >= r.created_at where e.event_type = 'Delete' group by 1 order by 2 desc limit 1";
    let mut fault = usize::MAX;
    while place.sleep(MEASURE).await {
        for (replica, server) in stack.servers.iter().enumerate() {
            if let Some(bytes) = server.memory() {
                let sample = Sample::Memory { replica, bytes };
                place.recorder.add(What::Sample(sample));
            }
            if server.died() {
                // On the record as what it is, and started again so that the round can go on.
                let text = format!(
                    "server {replica} ended by itself; its log is {}",
                    server.log().display()
                );
                place.recorder.add(What::Silent { text: text.clone() });
                let scope = Scope::Replica(replica);
                place.recorder.add(What::Fault { fault, text, scope });
                let _ = stack.start_server(replica).await;
                place.recorder.add(What::Over { fault });
                fault -= 1;
            }
        }
        let asked = tokio::time::timeout(MEASURE, async {
            let client = stack.name.connect().await.ok()?;
            let row = client.query_opt(DELETIONS, &[]).await.ok()??;
            let count: i64 = row.try_get(1).ok()?;
            Some((row.try_get::<_, String>(0).ok()?, count))
        });
        if let Ok(Some((id, count))) = asked.await {
            let count = count.unsigned_abs();
            let sample = Sample::PendingDeletes { id, count };
            place.recorder.add(What::Sample(sample));
        }
    }
}
