//! The Kubernetes JSONPath dialect: parsed once, evaluated over JSON values.
