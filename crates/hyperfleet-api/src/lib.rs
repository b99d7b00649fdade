//! The HyperFleet API: clusters, node pools, adapter statuses, aggregation.
