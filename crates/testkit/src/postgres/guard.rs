//! The shell script that owns one server process.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;

use super::Binaries;

/// How long a stop may take on a busy machine.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Reads one command a line. The end of its input means that the test process is gone.
///
/// `$1` folder of the programs, `$2` folder of the server.
const SCRIPT: &str = r#"
pid=
while read -r command argument; do
  case $command in
    start)
      rm -f "$2/data/postmaster.pid"
      "$1/postgres" -D "$2/data" -p "$argument" </dev/null >>"$2/log" 2>&1 &
      pid=$!
      echo "$pid" >"$2/pid"
      ;;
    stop)
      kill -CONT "$pid" 2>/dev/null
      kill "-$argument" "$pid" 2>/dev/null
      wait "$pid"
      rm -f "$2/pid"
      ;;
  esac
done
if [ -n "$pid" ]; then
  kill -CONT "$pid" 2>/dev/null
  kill -QUIT "$pid" 2>/dev/null
  wait "$pid"
fi
rm -rf "$2"
"#;

/// Owns the server's folder and, through the script, its process.
pub(super) struct Guard {
    folder: PathBuf,
    shell: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Makes the folder and a data directory in it; the server isn't started yet.
    pub(super) async fn init(
        binaries: &Binaries,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-pg-")
            .tempdir()?
            .keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        if let Some(user) = binaries.user {
            std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid))?;
        }
        // The guard comes first: from here on the folder is removed whatever happens.
        let mut shell = command(binaries, Path::new("/bin/sh"));
        shell
            .args(["-c", SCRIPT, "guard"])
            .arg(&binaries.folder)
            .arg(&folder);
        shell
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A terminal's Ctrl-C must reach the tests only; the guard follows when they are gone.
        shell.process_group(0);
        let mut shell = shell
            .spawn()
            .context("start the guard of a PostgreSQL server")?;
        let input = shell.stdin.take();
        let guard = Self {
            folder,
            shell: Mutex::new(shell),
            input: Mutex::new(input),
        };
        guard.init_data(binaries, settings).await?;
        Ok(guard)
    }

    async fn init_data(
        &self,
        binaries: &Binaries,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let data = self.folder.join("data");
        let mut initdb = command(binaries, &binaries.folder.join("initdb"));
        initdb
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || initdb.output())
            .await?
            .context("run initdb")?;
        anyhow::ensure!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut conf = std::fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))?;
        writeln!(
            conf,
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nlogging_collector = off"
        )?;
        for (name, value) in settings {
            writeln!(conf, "{name} = '{value}'")?;
        }
        Ok(())
    }

    /// Asks for a start on `port`; the caller waits until it answers.
    pub(super) fn start(&self, port: u16) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(self.folder.join("pid"));
        self.tell(&format!("start {port}"))?;
        let deadline = std::time::Instant::now() + STOP_DEADLINE;
        while self.pid().is_none() {
            anyhow::ensure!(
                std::time::Instant::now() < deadline,
                "the guard of PostgreSQL doesn't answer"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops the server with `signal` and waits until it is gone.
    pub(super) async fn stop(&self, signal: &str) -> anyhow::Result<()> {
        self.tell(&format!("stop {signal}"))?;
        let deadline = tokio::time::Instant::now() + STOP_DEADLINE;
        while self.pid().is_some() {
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "PostgreSQL doesn't stop"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Sends `signal` to the server and to each of its sessions.
    pub(super) async fn signal_all(&self, signal: &str) -> anyhow::Result<()> {
        let server = self.pid().context("PostgreSQL is not running")?;
        let mut script = format!("kill -{signal} {server}");
        for child in children_of(server)? {
            script.push_str(&format!("; kill -{signal} {child} 2>/dev/null"));
        }
        script.push_str("; true");
        let status = tokio::task::spawn_blocking(move || {
            Command::new("/bin/sh").args(["-c", &script]).status()
        })
        .await??;
        anyhow::ensure!(status.success(), "can't signal PostgreSQL");
        Ok(())
    }

    /// Whether the server's process exists.
    pub(super) fn is_running(&self) -> bool {
        self.pid()
            .is_some_and(|pid| state(pid).is_some_and(|(_, state)| state != 'Z'))
    }

    /// The server's log so far; empty when there is none.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn tell(&self, line: &str) -> anyhow::Result<()> {
        let mut input = self
            .input
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let input = input
            .as_mut()
            .context("the guard of PostgreSQL has ended")?;
        writeln!(input, "{line}").context("the guard of PostgreSQL is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Closing the input is the order to clean up; waiting makes the clean-up complete before the test returns.
        if let Ok(mut input) = self.input.lock() {
            input.take();
        }
        if let Ok(mut shell) = self.shell.lock() {
            let _ = shell.wait();
        }
    }
}

fn command(binaries: &Binaries, program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = binaries.user {
        command.uid(user.uid).gid(user.gid);
    }
    command
        .env("LC_ALL", "C")
        .env_remove("PGDATA")
        .env_remove("PGPORT");
    command
}

fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    Ok(std::fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| state(*pid).is_some_and(|(of, _)| of == parent))
        .collect())
}

/// Parent and state letter of a process.
fn state(pid: u32) -> Option<(u32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}
