//! What the deletion of a HostedCluster means to HyperFleet.
