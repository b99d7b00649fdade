//! Test support: real PostgreSQL servers, certificates, deadlines.
