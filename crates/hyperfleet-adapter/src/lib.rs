//! The config-driven adapter: params, preconditions, resources, report.
