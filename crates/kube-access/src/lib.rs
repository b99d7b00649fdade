//! Kubeconfig, dynamic objects, server-side apply, per-object watches.
