//! The one binary for a laptop: up, demo, and every service as a subcommand.
fn main() {}
