//! Field failures that can't be judged from outside of a server, and where they are.

use super::{Group, Test, Turn};

const fn elsewhere(name: &'static str, group: Group, why: &'static str) -> Test {
    Test {
        name,
        group,
        says: why,
        needs: &[],
        turn: Turn::Together,
        run: None,
    }
}

/// All of them. A reason says where it is tested, or why no server can have it over this wire.
pub(super) fn tests() -> Vec<Test> {
    use Group::{Connections, Deletes, Delivery};
    const AGENT: &str = "happens inside an agent process; this project's is tested in crates/maestro-agent/tests/it/failures.rs";
    vec![
        elsewhere("f2_delete_racing_with_status", Deletes, AGENT),
        elsewhere("f5b_update_event_for_a_deleting_work", Deletes, AGENT),
        elsewhere("f15_acknowledgement_refused_for_a_while", Deletes, AGENT),
        elsewhere(
            "f32_answers_overtake_each_other",
            Delivery,
            "happens with Pub/Sub only, where resyncs have a subscription of their own; over gRPC all events come on one stream, in order",
        ),
        elsewhere("f38_object_created_again", Delivery, AGENT),
        elsewhere("f40_apply_conflict_names_the_owner", Delivery, AGENT),
        elsewhere("f43_error_text_changes_every_time", Delivery, AGENT),
        elsewhere(
            "f48_adapter_blind_after_an_outage",
            Connections,
            "happens inside an adapter and its client library; tested in crates/maestro-client/tests/it/away.rs, and events that are delivered again in crates/hyperfleet-adapter/tests/it/service.rs (f85)",
        ),
        elsewhere(
            "f48b_retries_that_never_run",
            Connections,
            "happens inside a client library; this project's is tested in crates/maestro-client/src/error/classify/tests.rs and tests/it/away.rs",
        ),
        elsewhere(
            "f50_one_owner_per_cluster",
            Connections,
            "happens with MQTT and Pub/Sub only, where a hash ring says which server handles a cluster's statuses; over gRPC it is the one that holds the agent's stream. Servers that are killed and agents that move between them: the fault runner",
        ),
        elsewhere(
            "f57_stuck_agent_sits_silent",
            Connections,
            "happens inside an agent process; this project's is tested in crates/maestro-agent/tests/it/link.rs",
        ),
        elsewhere(
            "f58_idle_after_losing_leadership",
            Connections,
            "happens with leader election; this project's agent has none, and doesn't start when it is asked for",
        ),
        elsewhere(
            "f59_server_started_before_its_database",
            Connections,
            "needs a server to be started without its database; this project's is in crates/maestro-server/tests/it/database.rs and crates/maestro/tests/it/server.rs",
        ),
        elsewhere(
            "f61_log_volume_of_the_agent",
            Connections,
            "happens inside an agent process; this project's is tested in crates/maestro-agent/tests/it/logs.rs, and what a server logs per message in crates/maestro-server/tests/it/logs.rs",
        ),
    ]
}
