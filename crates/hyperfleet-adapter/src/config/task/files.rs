//! Files that a task config refers to: only inside of its own directory.

use std::path::{Component, Path, PathBuf};

use super::super::problem::Stage;
use super::super::read::Reader;

/// Largest referenced file, in bytes (1 MiB).
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The directory that references are relative to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory(pub(crate) Option<PathBuf>);

/// A file that was read.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Directory {
    /// Reads the file that `reader` names; problems go to its stage.
    pub(crate) fn read(&self, reader: &Reader<'_>) -> Option<File> {
        let name = reader.text()?;
        match self.load(&name) {
            Ok(file) => Some(file),
            Err(message) => {
                reader.error(Stage::Files, format!("{}: {message}", reader.path));
                None
            }
        }
    }

    /// Reads the file of this name, relative to the directory.
    pub(crate) fn load(&self, name: &str) -> Result<File, String> {
        let Some(base) = &self.0 else {
            return Err(format!(
                "referenced file {name:?} can't be read: this config has no directory"
            ));
        };
        let base =
            std::path::absolute(base).map_err(|error| format!("{}: {error}", base.display()))?;
        let path = normal(&base.join(name));
        let escapes = || format!("path {name:?} escapes base directory");
        if !path.starts_with(normal(&base)) {
            return Err(escapes());
        }
        let metadata = std::fs::metadata(&path).map_err(|_| {
            format!(
                "referenced file {name:?} does not exist (resolved to {:?})",
                path.display().to_string()
            )
        })?;
        if metadata.is_dir() {
            return Err(format!(
                "referenced path {name:?} is a directory, not a file"
            ));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(format!(
                "referenced file {name:?} is larger than {MAX_FILE_BYTES} bytes"
            ));
        }
        // Symbolic links may point around inside of the directory (as mounted ConfigMaps do), not out of it.
        let real = |path: &Path| {
            path.canonicalize()
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        if !real(&path)?.starts_with(real(&base)?) {
            return Err(escapes());
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("read {}: {error}", path.display()))?;
        Ok(File { path, text })
    }
}

/// Resolves `.` and `..` by name.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
