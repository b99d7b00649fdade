//! HostedCluster on GCP: fields, rules, diffs, status mapping, timelines.
