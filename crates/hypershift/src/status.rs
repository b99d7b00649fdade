//! What the status of a HostedCluster means to HyperFleet.
