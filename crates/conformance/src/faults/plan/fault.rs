//! What can go wrong.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// `kill -9` of a server, and a start.
    KillServer(usize),
    /// A server stands still.
    PauseServer(usize),
    /// `kill -9` of PostgreSQL with all sessions, and a start.
    KillDatabase,
    /// PostgreSQL stands still.
    PauseDatabase,
    /// Every answer of PostgreSQL to a server is late by so many milliseconds.
    SlowDatabase(usize, u64),
    /// A server's connections to PostgreSQL are closed.
    CutDatabase(usize),
    /// Nothing gets through between a server and PostgreSQL.
    StallDatabase(usize),
    /// The sessions that wait for notifications are ended, again and again with so many milliseconds between.
    EndListeners(u64),
    /// An agent's connection is closed, several times.
    CutAgent(usize),
    /// Nothing gets through between an agent and its server.
    StallAgent(usize),
    /// An agent goes to the other server, several times.
    MoveAgent(usize),
    /// An agent loses so many of a hundred specs, and doesn't report as many ends.
    LossyAgent(usize, u64),
    /// An agent repeats its statuses as fast as it can.
    StatusStorm(usize),
    /// An agent's clock is so many seconds ahead (behind, if negative), and then right again.
    ClockStep(usize, i64),
    /// An agent's reports arrive twice more, up to so many milliseconds later, as from a process that should be gone.
    LateReports(usize, u64),
    /// A subscriber's connection is closed, several times.
    CutSource(usize),
    /// Nothing gets through between a subscriber and its server.
    StallSource(usize),
    /// A subscriber takes so many milliseconds for each event.
    SlowSource(usize, u64),
    /// All agents connect anew at the same time, several times.
    ReconnectStorm,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillServer(server) => write!(f, "kill -9 server {server}"),
            Self::PauseServer(server) => write!(f, "pause server {server}"),
            Self::KillDatabase => write!(f, "kill -9 PostgreSQL"),
            Self::PauseDatabase => write!(f, "pause PostgreSQL"),
            Self::SlowDatabase(server, millis) => {
                write!(f, "PostgreSQL is {millis} ms late for server {server}")
            }
            Self::CutDatabase(server) => write!(f, "cut server {server} off PostgreSQL"),
            Self::StallDatabase(server) => write!(f, "stall server {server}'s link to PostgreSQL"),
            Self::EndListeners(millis) => write!(f, "end the LISTEN sessions every {millis} ms"),
            Self::CutAgent(agent) => write!(f, "cut agent {agent}"),
            Self::StallAgent(agent) => write!(f, "stall agent {agent}"),
            Self::MoveAgent(agent) => write!(f, "move agent {agent} between the servers"),
            Self::LossyAgent(agent, percent) => {
                write!(
                    f,
                    "agent {agent} loses {percent} % of specs and last reports"
                )
            }
            Self::StatusStorm(agent) => write!(f, "agent {agent} repeats its statuses"),
            Self::ClockStep(agent, seconds) => {
                let side = if *seconds < 0 { "behind" } else { "ahead" };
                let seconds = seconds.unsigned_abs();
                write!(
                    f,
                    "the clock of agent {agent} is {seconds} s {side}, then right again"
                )
            }
            Self::LateReports(agent, millis) => {
                write!(
                    f,
                    "reports of agent {agent} arrive again up to {millis} ms later"
                )
            }
            Self::CutSource(source) => write!(f, "cut subscriber {source}"),
            Self::StallSource(source) => write!(f, "stall subscriber {source}"),
            Self::SlowSource(source, millis) => {
                write!(f, "subscriber {source} takes {millis} ms for each event")
            }
            Self::ReconnectStorm => write!(f, "all agents connect anew"),
        }
    }
}
