//! HyperFleet resources, adapter statuses, problem errors and the pulse event.
