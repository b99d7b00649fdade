//! Typed client for the HyperFleet API.
