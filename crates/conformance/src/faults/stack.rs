//! The processes under test: PostgreSQL, two servers, and the links between them.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use testkit::postgres;

use super::place::Addresses;
use crate::play::Proxy;

/// How long a server may take to become ready, on a fast machine.
const READY: f64 = 30.0;
/// How often PostgreSQL is started again: after `kill -9` its sessions may hold on to its memory for a moment.
const ATTEMPTS: u32 = 20;

/// Ports for servers. Systems take the ports of outgoing connections from above (Linux: 32768): a server that is down
/// for a moment would lose such a port to any connection of any process.
const PORTS: Range<u16> = 12_000..19_000;

/// Owns a server: ends it when the input closes, that is when this process is gone, however it went. Both of the server's outputs
/// are the log: our end of the pipe is closed after the first line, and a Go program that writes into a closed standard
/// output is killed.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null >&2 &
pid=$!
echo "$pid"
exec >/dev/null
{ read -r _ <&3; kill -CONT "$pid"; kill -KILL "$pid"; } 2>/dev/null &
wait "$pid"
"#;

/// Whose command line is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Ours: `maestro`, or `hyperfleet`.
    Ours,
    /// Upstream's.
    Go,
}

/// What is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub binary: PathBuf,
    /// Its command line.
    pub kind: Kind,
    /// Whether PostgreSQL waits for the disk.
    pub durable: bool,
    /// Where logs and other files go.
    pub folder: PathBuf,
    /// Multiplies every patience.
    pub time_scale: f64,
    /// How many servers.
    pub servers: usize,
}

/// The processes, running.
pub struct Stack {
    options: Options,
    /// PostgreSQL.
    pub database: postgres::Server,
    /// The database in it.
    pub name: postgres::Database,
    /// One link to PostgreSQL a server.
    pub links: Vec<Proxy>,
    /// The servers.
    pub servers: Vec<Arc<Server>>,
    http: reqwest::Client,
}

/// A server process.
pub struct Server {
    /// Where it listens.
    pub addresses: Addresses,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    guard: Mutex<Option<(Child, ChildStdin)>>,
    pid: AtomicU32,
    /// Whether it has been ready and should be running.
    wanted: AtomicBool,
}

impl Stack {
    /// Starts everything on an empty database.
    ///
    /// # Errors
    /// What doesn't start; the text says where its log is.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        let database = if options.durable {
            postgres::Server::start_durable().await?
        } else {
            postgres::Server::start().await?
        };
        let name = database.database().await?;
        let target = format!("127.0.0.1:{}", database.port());
        service_runtime::install_crypto_provider();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()?;
        let (mut links, mut servers, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..options.servers {
            let link = Proxy::start(&target).await?;
            let ports = free_ports(&mut taken)?;
            servers.push(Arc::new(Server::new(
                &options,
                index,
                ports,
                &link.address(),
                name.name(),
            )?));
            links.push(link);
        }
        let stack = Self {
            options,
            database,
            name,
            links,
            servers,
            http,
        };
        stack.migrate()?;
        for index in 0..stack.servers.len() {
            stack.start_server(index).await?;
        }
        Ok(stack)
    }

    /// Whose servers they are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.options.kind
    }

    /// The Go server needs its schema first; ours makes it.
    fn migrate(&self) -> anyhow::Result<()> {
        let (Kind::Go, Some(server)) = (self.options.kind, self.servers.first()) else {
            return Ok(());
        };
        let flags = server
            .command
            .iter()
            .filter(|flag| flag.starts_with("--db-"));
        let status = Command::new(&self.options.binary)
            .arg("migration")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("run the migration")?;
        anyhow::ensure!(status.success(), "the migration failed: {status}");
        Ok(())
    }

    /// Starts a server and waits until it is ready; one that ends because its database isn't there is started again.
    ///
    /// # Errors
    /// When it isn't ready in time.
    pub async fn start_server(&self, index: usize) -> anyhow::Result<()> {
        let server = self.servers.get(index).context("no such server")?;
        let deadline =
            tokio::time::Instant::now() + Duration::from_secs_f64(READY * self.options.time_scale);
        server.spawn()?;
        while !self.is_ready(index).await {
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "server {index} isn't ready after {READY} s × {}; its log is {}",
                self.options.time_scale,
                server.log.display()
            );
            if !server.is_running() {
                tokio::time::sleep(Duration::from_millis(500)).await;
                server.spawn()?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.wanted.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether a server says that it is ready.
    pub async fn is_ready(&self, index: usize) -> bool {
        let Some(server) = self.servers.get(index) else {
            return false;
        };
        let url = format!("http://{}/healthcheck", server.addresses.health);
        let answer = self.http.get(url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Kills PostgreSQL with all of its sessions.
    ///
    /// # Errors
    /// When it isn't running.
    pub async fn kill_database(&self) -> anyhow::Result<()> {
        self.database.kill().await
    }

    /// Starts PostgreSQL again.
    ///
    /// # Errors
    /// When it doesn't start.
    pub async fn start_database(&self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.database.start_again().await;
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        result
    }
}

impl Server {
    fn new(
        options: &Options,
        index: usize,
        [rest, grpc, broker, health, metrics]: [u16; 5],
        link: &str,
        database: &str,
    ) -> anyhow::Result<Self> {
        let mut command = vec![options.binary.display().to_string()];
        let file = options.binary.file_name().unwrap_or_default();
        let hyperfleet = file.to_string_lossy().starts_with("hyperfleet");
        command.push(
            if hyperfleet {
                "maestro-server"
            } else {
                "server"
            }
            .to_owned(),
        );
        command.extend([
            "--server-hostname=127.0.0.1".to_owned(),
            format!("--http-server-bindport={rest}"),
            format!("--grpc-server-bindport={grpc}"),
            format!("--grpc-broker-bindport={broker}"),
            format!("--health-check-server-bindport={health}"),
            format!("--metrics-server-bindport={metrics}"),
            format!("--client-id=m{index}"),
            "--message-broker-type=grpc".to_owned(),
            "--heartbeat-check-interval=1s".to_owned(),
        ]);
        let mut environment = vec![("RUST_LOG".to_owned(), "info".to_owned())];
        match options.kind {
            Kind::Ours => {
                let url = format!("postgres://postgres@{link}/{database}?sslmode=disable");
                command.push(format!("--database={url}"));
            }
            Kind::Go => {
                environment = vec![("MAESTRO_ENV".to_owned(), "production".to_owned())];
                command.extend(database_files(&options.folder, index, link, database)?);
            }
        }
        let address = |port: u16| format!("127.0.0.1:{port}");
        Ok(Self {
            addresses: Addresses {
                rest: address(rest),
                grpc: address(grpc),
                broker: address(broker),
                health: address(health),
                metrics: address(metrics),
            },
            command,
            environment,
            log: options.folder.join(format!("server-{index}.log")),
            guard: Mutex::new(None),
            pid: AtomicU32::new(0),
            wanted: AtomicBool::new(false),
        })
    }

    fn guard(&self) -> MutexGuard<'_, Option<(Child, ChildStdin)>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> anyhow::Result<()> {
        use std::io::BufRead as _;
        let mut guard = self.guard();
        end(guard.take());
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .args(&self.command)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start the guard of a server")?;
        let input = child.stdin.take().context("a pipe to the guard")?;
        let output = child.stdout.take().context("a pipe from the guard")?;
        let mut line = String::new();
        std::io::BufReader::new(output).read_line(&mut line)?;
        let pid = line.trim().parse().context("the guard names its server")?;
        self.pid.store(pid, Ordering::Release);
        *guard = Some((child, input));
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Whether its process exists.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.ok().is_some_and(|stat| {
            let state = stat
                .rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('Z'));
            state == Some(false)
        })
    }

    /// Whether it ended without having been killed.
    #[must_use]
    pub fn died(&self) -> bool {
        self.wanted.load(Ordering::Acquire) && !self.is_running()
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.wanted.store(false, Ordering::Release);
        self.signal("KILL");
    }

    /// Freezes it (`STOP`) or thaws it (`CONT`).
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([format!("-{signal}"), self.pid().to_string()])
            .stderr(Stdio::null())
            .status();
        if let Err(error) = status {
            eprintln!("can't run kill: {error}");
        }
    }

    /// Resident set, bytes.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        end(self.guard().take());
    }
}

fn end(guard: Option<(Child, ChildStdin)>) {
    if let Some((mut child, input)) = guard {
        // The end of its input is the order to kill.
        drop(input);
        let _ = child.wait();
    }
}

/// Ports that nobody listens on and that weren't given out before, from a random place on.
fn free_ports(taken: &mut Vec<u16>) -> anyhow::Result<[u16; 5]> {
    let mut ports = [0; 5];
    for port in &mut ports {
        let count = PORTS.end - PORTS.start;
        let noise = RandomState::new().hash_one(std::process::id());
        let first = u16::try_from(noise % u64::from(count)).unwrap_or_default();
        *port = (0..count)
            .map(|step| PORTS.start + (first + step) % count)
            .find(|port| !taken.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .with_context(|| format!("no free port between {} and {}", PORTS.start, PORTS.end))?;
        taken.push(*port);
    }
    Ok(ports)
}

/// The Go server reads the parts of its database's address from files.
fn database_files(
    folder: &Path,
    index: usize,
    link: &str,
    database: &str,
) -> anyhow::Result<Vec<String>> {
    let (host, port) = link.rsplit_once(':').context("host:port")?;
    let mut flags = vec!["--db-sslmode=disable".to_owned()];
    for (key, value) in [
        ("host", host),
        ("port", port),
        ("user", "postgres"),
        ("password", "none"),
        ("name", database),
    ] {
        let file = folder.join(format!("db-{index}.{key}"));
        std::fs::write(&file, value)?;
        flags.push(format!("--db-{key}-file={}", file.display()));
    }
    Ok(flags)
}
