//! JSON, YAML, durations and date layouts exactly as Go reads and writes them.
