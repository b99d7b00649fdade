//! The Maestro SDK: works per consumer, typed errors, a watch that misses nothing.
