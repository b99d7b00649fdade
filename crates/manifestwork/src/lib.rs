//! ManifestWork types, validation, conditions and feedback values of Open Cluster Management.
