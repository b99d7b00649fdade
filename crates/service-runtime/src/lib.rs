//! What every service needs around its work: configuration layers, logs, metrics, health, TLS, shutdown.
