//! Plays the HyperShift operator on a sandbox or a real API server.
