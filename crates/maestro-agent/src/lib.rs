//! Applies works to one cluster and returns what became of them.
