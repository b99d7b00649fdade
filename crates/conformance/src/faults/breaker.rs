//! Does what a plan says to processes, links and players.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::agent::Agent;
use super::history::What;
use super::observer::Observer;
use super::place::Place;
use super::plan::{Fault, Plan, Planned};
use super::stack::Stack;

/// Pause between the repetitions of a fault that is repeated.
const REPEAT: Duration = Duration::from_millis(400);

/// Everybody who can be hit.
pub struct Breaker {
    /// The processes.
    pub stack: Arc<Stack>,
    /// What the players share.
    pub place: Place,
    /// Agents, as the plan numbers them.
    pub agents: Vec<Agent>,
    /// Subscribers, as the plan numbers them.
    pub observers: Vec<Observer>,
    /// One fault at a time for each server, and one for PostgreSQL.
    pub turns: Vec<Mutex<()>>,
    /// The turn of PostgreSQL.
    pub database_turn: Mutex<()>,
}

impl Breaker {
    /// Runs all faults of a plan and returns when the last one is over.
    ///
    /// # Errors
    /// When a process doesn't come back.
    pub async fn run(self: Arc<Self>, plan: &Plan) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for (number, planned) in plan.faults.iter().cloned().enumerate() {
            let (this, scope) = (Arc::clone(&self), plan.scope(&planned.fault));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(planned.after)).await;
                this.turn(number, planned, scope).await
            });
        }
        while let Some(result) = tasks.join_next().await {
            result??;
        }
        Ok(())
    }

    async fn turn(
        &self,
        number: usize,
        planned: Planned,
        scope: super::history::Scope,
    ) -> anyhow::Result<()> {
        let turn = match planned.fault {
            Fault::KillServer(server)
            | Fault::PauseServer(server)
            | Fault::SlowDatabase(server, _)
            | Fault::CutDatabase(server)
            | Fault::StallDatabase(server) => self.turns.get(server),
            Fault::KillDatabase | Fault::PauseDatabase | Fault::EndListeners(_) => {
                Some(&self.database_turn)
            }
            _ => None,
        };
        let _turn = match turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let text = format!("{} for {} ms", planned.fault, planned.lasts);
        let recorder = &self.place.recorder;
        recorder.add(What::Fault {
            fault: number,
            text,
            scope,
        });
        let lasts = Duration::from_millis(planned.lasts);
        let result = self.one(&planned.fault, lasts).await;
        recorder.add(What::Over { fault: number });
        result
    }

    async fn one(&self, fault: &Fault, lasts: Duration) -> anyhow::Result<()> {
        match fault {
            Fault::KillServer(_) | Fault::PauseServer(_) => self.hit_server(fault, lasts).await,
            Fault::KillDatabase | Fault::PauseDatabase | Fault::EndListeners(_) => {
                self.hit_database(fault, lasts).await
            }
            Fault::SlowDatabase(..) | Fault::CutDatabase(_) | Fault::StallDatabase(_) => {
                self.hit_link(fault, lasts).await;
                Ok(())
            }
            Fault::CutSource(source)
            | Fault::StallSource(source)
            | Fault::SlowSource(source, _) => {
                if let Some(observer) = self.observers.get(*source) {
                    hit_observer(observer, fault, lasts).await;
                }
                Ok(())
            }
            Fault::ReconnectStorm => {
                repeat(lasts, || {
                    for agent in &self.agents {
                        agent.way().link().cut();
                    }
                })
                .await;
                Ok(())
            }
            Fault::CutAgent(agent)
            | Fault::StallAgent(agent)
            | Fault::MoveAgent(agent)
            | Fault::LossyAgent(agent, _)
            | Fault::StatusStorm(agent)
            | Fault::ClockStep(agent, _)
            | Fault::LateReports(agent, _) => {
                if let Some(agent) = self.agents.get(*agent) {
                    hit_agent(agent, fault, lasts).await;
                }
                Ok(())
            }
        }
    }

    async fn hit_server(&self, fault: &Fault, lasts: Duration) -> anyhow::Result<()> {
        let (Fault::KillServer(index) | Fault::PauseServer(index)) = fault else {
            return Ok(());
        };
        let Some(server) = self.stack.servers.get(*index) else {
            return Ok(());
        };
        if let Fault::KillServer(_) = fault {
            server.kill();
            tokio::time::sleep(lasts).await;
            // Whoever hit PostgreSQL meanwhile lets it come back; the server waits for that.
            return self.stack.start_server(*index).await;
        }
        server.signal("STOP");
        tokio::time::sleep(lasts).await;
        server.signal("CONT");
        Ok(())
    }

    async fn hit_database(&self, fault: &Fault, lasts: Duration) -> anyhow::Result<()> {
        let database = &self.stack.database;
        match fault {
            Fault::KillDatabase => {
                self.stack.kill_database().await?;
                tokio::time::sleep(lasts).await;
                self.stack.start_database().await
            }
            Fault::PauseDatabase => {
                database.pause().await?;
                tokio::time::sleep(lasts).await;
                // New sessions may have begun while the others were being stopped.
                database.resume().await
            }
            Fault::EndListeners(pause) => {
                let end = tokio::time::Instant::now() + lasts;
                while tokio::time::Instant::now() < end {
                    database.terminate_sessions("query ilike 'listen%'").await?;
                    tokio::time::sleep(Duration::from_millis(*pause)).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn hit_link(&self, fault: &Fault, lasts: Duration) {
        let (Fault::SlowDatabase(server, _)
        | Fault::CutDatabase(server)
        | Fault::StallDatabase(server)) = fault
        else {
            return;
        };
        let Some(link) = self.stack.links.get(*server) else {
            return;
        };
        match fault {
            Fault::SlowDatabase(_, millis) => link.delay(Duration::from_millis(*millis)),
            Fault::CutDatabase(_) => link.refuse(),
            _ => link.stall(),
        }
        tokio::time::sleep(lasts).await;
        match fault {
            Fault::SlowDatabase(..) => link.delay(Duration::ZERO),
            Fault::CutDatabase(_) => link.accept(),
            _ => link.flow(),
        }
    }
}

async fn hit_agent(agent: &Agent, fault: &Fault, lasts: Duration) {
    let link = agent.way().link();
    match fault {
        Fault::CutAgent(_) => repeat(lasts, || link.cut()).await,
        Fault::MoveAgent(_) => {
            repeat(lasts, || {
                agent.way().turn();
                link.cut();
            })
            .await;
        }
        Fault::StallAgent(_) => {
            link.stall();
            tokio::time::sleep(lasts).await;
            link.flow();
        }
        Fault::LossyAgent(_, percent) => {
            agent.moods().loses.store(*percent, Ordering::Relaxed);
            tokio::time::sleep(lasts).await;
            agent.moods().loses.store(0, Ordering::Relaxed);
        }
        Fault::StatusStorm(_) => {
            agent.moods().storm.store(true, Ordering::Relaxed);
            tokio::time::sleep(lasts).await;
            agent.moods().storm.store(false, Ordering::Relaxed);
        }
        Fault::ClockStep(_, seconds) => {
            agent.set_clock(*seconds);
            tokio::time::sleep(lasts).await;
            agent.set_clock(0);
        }
        Fault::LateReports(_, millis) => {
            agent.moods().late.store(*millis, Ordering::Relaxed);
            tokio::time::sleep(lasts).await;
            agent.moods().late.store(0, Ordering::Relaxed);
        }
        _ => {}
    }
}

async fn hit_observer(observer: &Observer, fault: &Fault, lasts: Duration) {
    let link = observer.way().link();
    match fault {
        Fault::CutSource(_) => repeat(lasts, || link.cut()).await,
        Fault::StallSource(_) => {
            link.stall();
            tokio::time::sleep(lasts).await;
            link.flow();
        }
        Fault::SlowSource(_, millis) => {
            observer.set_slowness(Duration::from_millis(*millis));
            tokio::time::sleep(lasts).await;
            observer.set_slowness(Duration::ZERO);
        }
        _ => {}
    }
}

/// Does something now, and again until the time is over.
async fn repeat(lasts: Duration, mut what: impl FnMut()) {
    let end = tokio::time::Instant::now() + lasts;
    while tokio::time::Instant::now() < end {
        what();
        tokio::time::sleep(REPEAT).await;
    }
}
