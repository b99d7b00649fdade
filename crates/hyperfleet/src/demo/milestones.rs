//! What must be seen in each stage, in the order in which it is expected.

use super::fact::{AdapterReport, Fact, Hop};
use super::watch::Milestone;

/// The adapters whose reports the control-plane adapter waits for.
pub const PRECONDITIONS: [&str; 3] = ["validation", "dns", "pullsecret"];

/// The name under which the control-plane adapter reports.
pub const CONTROL_PLANE: &str = "hypershift";

/// The condition of an adapter's report at or after `generation`.
pub fn reported(
    name: &'static str,
    adapter: &'static str,
    generation: i64,
    met: impl Fn(&AdapterReport) -> bool + Send + 'static,
) -> Milestone {
    Milestone::new(
        name,
        Hop::Adapter,
        move |fact| matches!(fact, Fact::AdapterReported(r) if r.adapter == adapter && r.generation >= generation && met(r)),
    )
}

fn reconciled(generation: i64) -> Milestone {
    Milestone::new(
        "Reconciled=True",
        Hop::Api,
        move |fact| matches!(fact, Fact::Reconciled(c) if c.is_true() && c.observed_generation >= generation),
    )
}

/// From the accepted request to `Reconciled=True`.
pub fn creation() -> Vec<Milestone> {
    let mut list = vec![
        Milestone::new("cluster accepted", Hop::Api, |f| {
            matches!(f, Fact::ClusterSeen { .. })
        }),
        Milestone::new("pulse published", Hop::Sentinel, |f| {
            matches!(f, Fact::Pulse { .. })
        }),
    ];
    list.extend(PRECONDITIONS.map(|adapter| {
        reported(adapter_available(adapter), adapter, 1, |r| {
            r.is_true("Available")
        })
    }));
    list.extend([
        Milestone::new("work stored", Hop::Maestro, |f| matches!(f, Fact::WorkStored { .. })),
        Milestone::new("HostedCluster applied", Hop::Agent, |f| matches!(f, Fact::HostedClusterApplied { .. })),
        Milestone::new("control plane available", Hop::Operator, |f| {
            matches!(f, Fact::Operator { now, .. } if now.is_available() && !now.version.is_empty())
        }),
        Milestone::new("feedback Available=True", Hop::Maestro, |f| {
            matches!(f, Fact::FedBack(state) if state.is_available())
        }),
        reported("Applied, Available and Health with endpoint and version", CONTROL_PLANE, 1, is_ready),
        reconciled(1),
    ]);
    list
}

/// From a new version in the spec to `Reconciled=True` at that generation.
pub fn upgrade(generation: i64, version: &str) -> Vec<Milestone> {
    let (image, completed, reported_version) =
        (version.to_owned(), version.to_owned(), version.to_owned());
    vec![
        Milestone::new(
            "new generation accepted",
            Hop::Api,
            move |f| matches!(f, Fact::GenerationChanged { generation: g } if *g == generation),
        ),
        Milestone::new("new version of the work stored", Hop::Maestro, |f| {
            matches!(f, Fact::WorkUpdated { .. })
        }),
        Milestone::new(
            "HostedCluster updated",
            Hop::Agent,
            move |f| matches!(f, Fact::HostedClusterChanged { image: i } if i.contains(&image)),
        ),
        Milestone::new(
            "upgrade completed",
            Hop::Operator,
            move |f| matches!(f, Fact::Operator { now, .. } if now.version == completed && now.progressing.0 != "True"),
        ),
        reported(
            "new version reported",
            CONTROL_PLANE,
            generation,
            move |r| {
                is_ready(r)
                    && r.data.get("version").and_then(|v| v.as_str())
                        == Some(reported_version.as_str())
            },
        ),
        reconciled(generation),
    ]
}

/// The refusal of a change to an immutable field.
pub fn refusal(generation: i64, old: &'static str, new: &'static str) -> Vec<Milestone> {
    vec![
        Milestone::new(
            "new generation accepted",
            Hop::Api,
            move |f| matches!(f, Fact::GenerationChanged { generation: g } if *g == generation),
        ),
        reported(
            "change refused, naming field, old and new value",
            CONTROL_PLANE,
            generation,
            move |r| {
                let applied = r.condition("Applied");
                applied.is_some_and(|c| {
                    c.status == "False"
                        && c.reason == "ImmutableFieldChanged"
                        && c.message.contains("region")
                        && c.message.contains(old)
                        && c.message.contains(new)
                }) && r
                    .condition("Available")
                    .is_some_and(|c| c.status == "False")
            },
        ),
    ]
}

/// From the accepted DELETE to 404.
pub fn deletion() -> Vec<Milestone> {
    vec![
        Milestone::new("deletion accepted", Hop::Api, |f| {
            matches!(f, Fact::DeletionRequested { .. })
        }),
        Milestone::new("work is being deleted", Hop::Maestro, |f| {
            matches!(f, Fact::WorkDeleting)
        }),
        Milestone::new(
            "HostedCluster held by its finalizer",
            Hop::Operator,
            |f| matches!(f, Fact::HostedClusterDeleting { finalizers } if !finalizers.is_empty()),
        ),
        Milestone::new("HostedCluster gone", Hop::Operator, |f| {
            matches!(f, Fact::HostedClusterGone)
        }),
        Milestone::new("work gone", Hop::Maestro, |f| matches!(f, Fact::WorkGone)),
        Milestone::new("row removed", Hop::Api, |f| {
            matches!(f, Fact::ClusterRemoved)
        }),
    ]
}

fn is_ready(report: &AdapterReport) -> bool {
    let filled = |key: &str| {
        report
            .data
            .get(key)
            .and_then(|v| v.as_str())
            .is_some_and(|v| !v.is_empty())
    };
    ["Applied", "Available", "Health"]
        .iter()
        .all(|kind| report.is_true(kind))
        && filled("control_plane_endpoint")
        && filled("version")
}

fn adapter_available(adapter: &str) -> &'static str {
    match adapter {
        "validation" => "validation Available",
        "dns" => "dns Available",
        _ => "pullsecret Available",
    }
}
