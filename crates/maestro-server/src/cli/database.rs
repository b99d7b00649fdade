//! Where the data is: a URL, or upstream's files that hold the parts of PostgreSQL's address.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args as Group};

use super::Error;
use super::compatibility::HEADING;
use crate::config::{Database, Secret};

/// Where the data is.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// sqlite:<file>, sqlite::memory:, or postgres://user:password@host:port/name?sslmode=… . Wins over the --db-…-file
    /// flags.
    #[arg(
        long,
        env = "MAESTRO_DATABASE",
        value_name = "URL",
        hide_env_values = true
    )]
    database: Option<String>,
    /// File with the host of PostgreSQL. Giving one of these files, or having the default one, selects PostgreSQL.
    #[arg(long, value_name = "FILE")]
    db_host_file: Option<PathBuf>,
    /// File with the port of PostgreSQL [default: secrets/db.port].
    #[arg(long, value_name = "FILE")]
    db_port_file: Option<PathBuf>,
    /// File with the user [default: secrets/db.user].
    #[arg(long, value_name = "FILE")]
    db_user_file: Option<PathBuf>,
    /// File with the password [default: secrets/db.password].
    #[arg(long, value_name = "FILE")]
    db_password_file: Option<PathBuf>,
    /// File with the name of the database [default: secrets/db.name].
    #[arg(long, value_name = "FILE")]
    db_name_file: Option<PathBuf>,
    /// Authorities of PostgreSQL's certificate, PEM (verify-ca, verify-full) [default: secrets/db.rootcert].
    #[arg(long, value_name = "FILE")]
    db_rootcert: Option<PathBuf>,
    /// disable, require, verify-ca or verify-full.
    #[arg(long, default_value = "disable", value_name = "MODE")]
    db_sslmode: String,
    /// Connections to PostgreSQL, at most.
    #[arg(long, default_value_t = 50)]
    db_max_open_connections: usize,
    /// How to authenticate; only `password` is available.
    #[arg(long, default_value = "password", value_name = "METHOD")]
    db_auth_method: String,
    /// Log every statement.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_db_debug: bool,
    /// Only used with --db-auth-method=az-entra, which is not available.
    #[arg(
        long,
        value_name = "SCOPE",
        hide_short_help = true,
        help_heading = HEADING
    )]
    db_token_request_scope: Option<String>,
}

impl DatabaseArgs {
    /// Whether every statement is to be logged.
    #[must_use]
    pub fn debug(&self) -> bool {
        self.enable_db_debug
    }

    /// Connections to PostgreSQL, at most.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.db_max_open_connections
    }

    /// The address. Reads the files that hold its parts.
    ///
    /// # Errors
    /// When a value isn't available, or a file can't be read.
    pub fn resolve(self) -> Result<Database, Error> {
        if self.db_auth_method != "password" {
            return Err(Error(format!(
                "--db-auth-method={} is not available; use password, or a --database URL",
                self.db_auth_method
            )));
        }
        if let Some(url) = &self.database {
            return parse_database(url);
        }
        let files = [
            &self.db_host_file,
            &self.db_port_file,
            &self.db_user_file,
            &self.db_password_file,
            &self.db_name_file,
        ];
        let default_host = Path::new("secrets/db.host");
        if files.iter().all(|file| file.is_none()) && !default_host.exists() {
            return Ok(Database::Sqlite("maestro.db".into()));
        }
        let read = |file: &Option<PathBuf>, default: &str| -> Result<String, Error> {
            let path = file.clone().unwrap_or_else(|| default.into());
            let path = unquoted(&path);
            // Upstream takes no file for no value.
            if path.as_os_str().is_empty() {
                return Ok(String::new());
            }
            let text = std::fs::read_to_string(path)
                .map_err(|error| Error(format!("read {}: {error}", path.display())))?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        };
        let port = read(&self.db_port_file, "secrets/db.port")?;
        let port: u16 = port.trim().parse().map_err(|_| {
            Error(format!(
                "the port of PostgreSQL is {port:?}, which is no port"
            ))
        })?;
        Ok(Database::PostgresParts {
            host: read(&self.db_host_file, "secrets/db.host")?,
            port,
            user: read(&self.db_user_file, "secrets/db.user")?,
            password: Secret(read(&self.db_password_file, "secrets/db.password")?),
            name: read(&self.db_name_file, "secrets/db.name")?,
            sslmode: self.db_sslmode,
            rootcert: self
                .db_rootcert
                .or_else(|| Some("secrets/db.rootcert".into())),
        })
    }
}

/// Upstream takes paths in double quotes as well.
fn unquoted(path: &Path) -> &Path {
    let text = path.to_str().unwrap_or_default();
    match text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => Path::new(inner),
        None => path,
    }
}

fn parse_database(url: &str) -> Result<Database, Error> {
    if url == "sqlite::memory:" {
        return Ok(Database::SqliteMemory);
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Error(
                "--database=sqlite: lacks the file, for example sqlite:maestro.db".into(),
            ));
        }
        return Ok(Database::Sqlite(path.into()));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres(Secret(url.to_owned())));
    }
    Err(Error(
        "--database must start with sqlite: or postgres://".into(),
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The flags of a database alone, as a migration has them.
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    #[test]
    fn a_migration_takes_upstreams_scope_for_tokens_in_vain() {
        let flags = [
            "maestro",
            "--database=sqlite::memory:",
            "--db-token-request-scope=x",
        ];
        let flags = Flags::try_parse_from(flags).unwrap();
        assert!(matches!(
            flags.database.resolve(),
            Ok(Database::SqliteMemory)
        ));
    }
}
