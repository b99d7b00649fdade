//! The data directory: who uses it, which ports it is known by, and the files that a user reads.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

/// Ports for doors. Systems take the ports of outgoing connections from above (Linux: 32768): a door that is closed for a
/// moment, because its server restarts, would lose such a port to any connection of any process.
const PORTS: Range<u16> = 20_000..32_000;

/// A data directory in use by this process; the lock goes with it.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    ports: BTreeMap<String, u16>,
}

impl DataDir {
    /// Opens it, creating it if it isn't there.
    ///
    /// # Errors
    /// When it can't be created, or another process uses it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        create(path)?;
        let path = path
            .canonicalize()
            .with_context(|| format!("find data directory {}", path.display()))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path);
        let lock = lock.with_context(|| format!("open {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "the data directory {} is in use by another `hyperfleet up`; stop that one or name another with --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("lock {}", lock_path.display()));
            }
        }
        let ports = std::fs::read(path.join("ports.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            path,
            _lock: lock,
            ports,
        })
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The address on which a door listens: the port it had last time, so that printed addresses stay valid over restarts, or a free one.
    ///
    /// # Errors
    /// When the remembered port is taken by somebody else, or no port is free.
    pub fn address(&mut self, door: &str) -> anyhow::Result<String> {
        if let Some(&port) = self.ports.get(door) {
            let free = TcpListener::bind(("127.0.0.1", port));
            free.with_context(|| {
                format!(
                    "port {port} ({door}) was printed last time and is used by another program now; stop that one, or delete {} to get new ports",
                    self.join("ports.json").display()
                )
            })?;
            return Ok(format!("127.0.0.1:{port}"));
        }
        let taken: Vec<u16> = self.ports.values().copied().collect();
        let port = free_port(&taken)?;
        self.ports.insert(door.to_owned(), port);
        Ok(format!("127.0.0.1:{port}"))
    }

    /// Remembers the ports for the next start.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn remember_ports(&self) -> anyhow::Result<()> {
        self.write_json("ports.json", &self.ports)
    }

    /// Writes a JSON file in one step: a reader sees the old one or the new one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(
            name,
            &serde_json::to_string_pretty(value).context("write JSON")?,
        )
    }

    /// Writes a text file in one step.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, text)
            .with_context(|| format!("write {}", temporary.display()))?;
        std::fs::rename(&temporary, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Writes a file that the user may edit, unless it is there already.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_once(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        if !path.exists() {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("create {}", folder.display()))?;
            }
            self.write(name, text)?;
        }
        Ok(path)
    }
}

/// Creates the data directory, unless it is there.
///
/// # Errors
/// When it can't be created, or something else has its name.
pub fn create(path: &Path) -> anyhow::Result<()> {
    if path.exists() && !path.is_dir() {
        bail!(
            "{} is no directory; name one with --data-dir",
            path.display()
        );
    }
    std::fs::create_dir_all(path)
        .with_context(|| format!("create data directory {}", path.display()))
}

/// A port that nobody listens on, from a random place on: processes that start together look at different ones.
fn free_port(taken: &[u16]) -> anyhow::Result<u16> {
    let count = PORTS.end - PORTS.start;
    let noise = RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(noise % u64::from(count)).unwrap_or_default();
    (0..count)
        .map(|step| PORTS.start + (first + step) % count)
        .find(|port| !taken.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .with_context(|| format!("no free port between {} and {}", PORTS.start, PORTS.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_keeps_its_port_and_no_two_doors_share_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut data = DataDir::open(directory.path()).unwrap();
        let (one, other) = (data.address("one").unwrap(), data.address("other").unwrap());
        assert_eq!(data.address("one").unwrap(), one);
        assert_ne!(one, other);
        let port: u16 = one.rsplit(':').next().unwrap().parse().unwrap();
        assert!(PORTS.contains(&port), "{one}");

        // Another program takes it while nobody looks.
        let _other = TcpListener::bind(&one).unwrap();
        let error = data.address("one").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("port {port} (one) was printed last time"))
                && error.contains("ports.json"),
            "{error}"
        );
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDir::open(&file).err().unwrap().to_string();
        assert!(
            error.ends_with("file is no directory; name one with --data-dir"),
            "{error}"
        );
    }
}
