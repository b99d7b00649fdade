//! Commands over maestro-client.
