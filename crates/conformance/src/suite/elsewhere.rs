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

/// All of them.
pub(super) fn tests() -> Vec<Test> {
    use Group::{Connections, Deletes, Delivery};
    const AGENT: &str = "happens inside an agent process; tested with the agent";
    const PROCESSES: &str = "needs to start and stop servers; the fault runner does";
    vec![
        elsewhere("f2_delete_racing_with_status", Deletes, AGENT),
        elsewhere("f5b_update_event_for_a_deleting_work", Deletes, AGENT),
        elsewhere("f15_acknowledgement_refused_for_a_while", Deletes, AGENT),
        elsewhere(
            "f32_answers_overtake_each_other",
            Delivery,
            "happens with Pub/Sub only; the wire judged here is gRPC",
        ),
        elsewhere("f38_object_created_again", Delivery, AGENT),
        elsewhere("f40_apply_conflict_names_the_owner", Delivery, AGENT),
        elsewhere("f43_error_text_changes_every_time", Delivery, AGENT),
        elsewhere("f48_adapter_blind_after_an_outage", Connections, PROCESSES),
        elsewhere(
            "f48b_retries_that_never_run",
            Connections,
            "happens inside a client library; tested with the SDK",
        ),
        elsewhere("f50_one_owner_per_cluster", Connections, PROCESSES),
        elsewhere("f57_stuck_agent_sits_silent", Connections, AGENT),
        elsewhere(
            "f58_idle_after_losing_leadership",
            Connections,
            "happens with leader election, which this project's agent has not and refuses to be asked for",
        ),
        elsewhere(
            "f59_server_started_before_its_database",
            Connections,
            PROCESSES,
        ),
        elsewhere(
            "f61_log_volume_of_the_agent",
            Connections,
            "happens inside an agent process; what the server logs is tested with the server",
        ),
    ]
}
