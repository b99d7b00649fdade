//! Real PostgreSQL servers for tests: started on a free port, thrown away afterwards.
//!
//! ```text
//! test process ──stdin pipe──► sh (guard) ──► postgres
//! ```
//!
//! The guard is a small shell script that owns the server. When the test process ends, in whatever way, the pipe closes
//! and the guard stops the server and removes its folder: nothing leaks, also after `kill -9` of the tests.
//! Everything runs as an unprivileged user (PostgreSQL refuses root): the caller, or `postgres`/`nobody` when the
//! caller is root.

mod guard;
mod install;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use guard::Guard;

/// How long a server may take to accept its first connection on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How often another port is tried when somebody else took the one we chose.
const PORT_ATTEMPTS: u32 = 5;

/// Settings that make a throw-away server quick. It need not survive a power loss, only `kill -9` of itself, and for
/// that the kernel's page cache is enough.
const TEST_SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
    ("autovacuum_naptime", "10s"),
];

/// A running PostgreSQL server; stopped and removed on drop.
pub struct Server {
    guard: Guard,
    port: u16,
    databases: AtomicU32,
}

/// A fresh, empty database of a [`Server`].
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    port: u16,
}

impl Server {
    /// Starts a server of its own, for tests that stop, pause or break it.
    ///
    /// # Errors
    /// When PostgreSQL isn't installed (the text says what to run) or doesn't start; the server's log is part of the
    /// error.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(TEST_SETTINGS).await
    }

    /// Like [`Server::start`], but as durable as PostgreSQL is by default (`fsync` on): for measurements.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_durable() -> anyhow::Result<Self> {
        Self::start_with(&[("max_connections", "200"), ("shared_buffers", "128MB")]).await
    }

    /// The one server of this test process, started at the first call. Use it for everything that only needs a
    /// database; never stop or pause it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let binaries = install::find()?;
        let guard = Guard::init(&binaries, settings).await?;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            guard.start(port)?;
            match ready(&guard, port).await {
                Ok(()) => {
                    return Ok(Self {
                        guard,
                        port,
                        databases: AtomicU32::new(0),
                    });
                }
                Err(_) if guard.log().contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        anyhow::bail!("no free port for PostgreSQL; its log:\n{}", guard.log())
    }

    /// The TCP port on 127.0.0.1. It stays the same over [`Server::stop`] and [`Server::start_again`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub async fn database(&self) -> anyhow::Result<Database> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        execute(self.port, "postgres", &format!("create database {name}")).await?;
        Ok(Database {
            name,
            port: self.port,
        })
    }

    /// Stops the server as an administrator would (`fast`): sessions are ended, data is flushed.
    ///
    /// # Errors
    /// When the guard is gone.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.guard.stop("INT").await
    }

    /// Ends the server at once, as a crash would; it recovers from its log at the next start.
    ///
    /// # Errors
    /// When the guard is gone.
    pub async fn crash(&self) -> anyhow::Result<()> {
        self.guard.stop("QUIT").await
    }

    /// `kill -9` of the server and of each of its sessions at the same time; nothing is flushed.
    ///
    /// # Errors
    /// When the server isn't running.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.guard.signal_all("KILL").await?;
        self.guard.stop("KILL").await
    }

    /// Starts a stopped server on its old port and waits until it answers.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.guard.start(self.port)?;
        ready(&self.guard, self.port).await
    }

    /// Freezes the server with all of its sessions (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When the server isn't running.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.guard.signal_all("STOP").await
    }

    /// Thaws a paused server.
    ///
    /// # Errors
    /// When the server isn't running.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.guard.signal_all("CONT").await
    }

    /// Ends the sessions that wait in `LISTEN`, or all sessions of a database, as seen by `predicate`: a SQL condition
    /// on `pg_stat_activity`. Returns how many were ended.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub async fn terminate_sessions(&self, predicate: &str) -> anyhow::Result<u64> {
        let sql = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where pid <> pg_backend_pid() and backend_type = 'client backend' and ({predicate})"
        );
        execute(self.port, "postgres", &sql).await
    }

    /// The server's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.guard.log()
    }
}

async fn ready(guard: &Guard, port: u16) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + START_DEADLINE;
    loop {
        match execute(port, "postgres", "select 1").await {
            Ok(_) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > deadline || !guard.is_running() => {
                return Err(error.context(format!("start PostgreSQL; its log:\n{}", guard.log())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Runs one statement in a session of its own.
async fn execute(port: u16, database: &str, sql: &str) -> anyhow::Result<u64> {
    let (client, connection) = tokio_postgres::connect(&url(port, database), NoTls).await?;
    let connection = tokio::spawn(connection);
    let rows = client
        .execute(sql, &[])
        .await
        .with_context(|| format!("run {sql}"));
    drop(client);
    connection.await??;
    rows
}

impl Database {
    /// `postgres://postgres@127.0.0.1:<port>/<name>`; no password, no TLS.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port, &self.name)
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port of its server on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection for looking behind the scenes.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// The folder that holds `initdb` and `postgres`, and who may run them.
struct Binaries {
    folder: PathBuf,
    user: Option<install::User>,
}
