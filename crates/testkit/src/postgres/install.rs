//! Where PostgreSQL is installed and who may run it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Binaries;

/// An account of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Finds the programs by `$PG_BIN`, `$PATH` and the folders of the common distributions.
pub(super) fn find() -> anyhow::Result<Binaries> {
    let folder = candidates().into_iter().find(|folder| is_complete(folder)).ok_or_else(|| {
        anyhow::anyhow!(
            "PostgreSQL is not installed: neither $PG_BIN nor $PATH nor /usr/lib/postgresql/*/bin holds `initdb` and \
             `postgres`. On Debian or Ubuntu run: sudo apt-get install --no-install-recommends postgresql"
        )
    })?;
    let user = if is_root() {
        Some(unprivileged_user()?)
    } else {
        None
    };
    Ok(Binaries { folder, user })
}

fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(std::env::var_os("PG_BIN").map(PathBuf::from));
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders.extend(versions("/usr/lib/postgresql", "bin"));
    folders.extend(
        versions("/usr", "bin")
            .into_iter()
            .filter(|path| path.to_string_lossy().contains("pgsql")),
    );
    folders.push(PathBuf::from("/usr/pgsql/bin"));
    folders
}

/// `<root>/<version>/<leaf>`, newest version first.
fn versions(root: &str, leaf: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name();
            let digits: String = name
                .to_string_lossy()
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            (digits.parse().unwrap_or(0), entry.path().join(leaf))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn unprivileged_user() -> anyhow::Result<User> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| account(&accounts, name))
        .ok_or_else(|| {
            anyhow::anyhow!(
                "PostgreSQL won't run as root, and there is no user `postgres` or `nobody`"
            )
        })
}

fn account(accounts: &str, name: &str) -> Option<User> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}
