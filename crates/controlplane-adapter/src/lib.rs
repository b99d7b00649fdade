//! HostedCluster on GCP for the adapter: resource policy and shipped task config.
