//! PostgreSQL pool, LISTEN with sweep, migrations; SQLite writer task and readers.
