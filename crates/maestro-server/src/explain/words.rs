//! The summary: one sentence about where a resource is, one about what to do.

use jiff::Timestamp;
use manifestwork::status::ResourceMeta;

use super::{Explanation, Facts, Remaining, State, WaitsFor};

/// Objects that the summary names; the rest is counted.
const NAMED: usize = 3;

pub(super) fn summary(explanation: &Explanation, facts: &Facts<'_>) -> String {
    let deleting = explanation.stored.deleting_since;
    let what = match deleting {
        Some(since) => format!("the deletion (asked for {} ago)", age(since, facts.now)),
        None => format!("version {}", explanation.stored.version),
    };
    let cluster = &facts.row.cluster;
    let retry = match explanation.delivery.next_retry {
        Some(at) if at > facts.now => format!("it is sent again in {}", span(at, facts.now)),
        _ => "it is sent again now".to_owned(),
    };
    let text = match explanation.state {
        State::WaitingForAgent => {
            let seen = match explanation.agent.last_seen {
                Some(seen) => format!("was last connected {} ago", age(seen, facts.now)),
                None => "was never connected".to_owned(),
            };
            let end = if deleting.is_some() && !facts.consumer_id.is_empty() {
                format!(
                    "; if the cluster is gone for good, end it with POST /api/maestro/v1/consumers/{}/force-remove",
                    facts.consumer_id
                )
            } else {
                String::new()
            };
            format!(
                "{what} is stored and waits for the agent of {cluster}, which {seen}: check that the agent runs and \
                 reaches this server, it gets everything by itself once it is back{end}"
            )
        }
        State::Queued => {
            let trouble = match &explanation.delivery.last_error {
                Some(fault) => format!(
                    "; it could not be sent ({}), which repeats until the spec is changed",
                    fault.message
                ),
                None => "; nothing to do, unless it stays so for more than 30 s: then look at the server's log"
                    .to_owned(),
            };
            format!(
                "{what} is stored and queued for the agent of {cluster}, which is connected{trouble}"
            )
        }
        State::Sent => {
            let sent = sent(explanation, facts.now);
            let before = match &explanation.acknowledged {
                Some(said) => format!("the last answer is about version {}", said.observed_version),
                None => "there was no answer yet".to_owned(),
            };
            format!(
                "{what} was sent to the agent of {cluster} {sent}, {before}; {retry}, and if that doesn't help, look at \
                 the agent's log"
            )
        }
        State::Failed => {
            let problem = explanation
                .acknowledged
                .as_ref()
                .and_then(|said| said.problem.as_ref());
            let problem = problem.map_or_else(
                || "it doesn't say why".to_owned(),
                |problem| {
                    let object = problem
                        .object
                        .as_ref()
                        .map_or_else(String::new, |object| format!("{object}: "));
                    format!("{object}{}: {}", problem.reason, problem.message)
                },
            );
            format!(
                "{what} reached the agent of {cluster}, which could not apply it ({problem}); it tries again by itself, \
                 so mend the cause on the cluster or publish a better version"
            )
        }
        State::Settled => {
            let said = explanation.acknowledged.as_ref();
            match said.map(|said| said.available.as_str()) {
                Some("False") => format!(
                    "{what} is applied on {cluster}, but not everything is available yet; look at the conditions of the \
                     manifests"
                ),
                _ => format!("{what} is applied on {cluster}; nothing to do"),
            }
        }
        State::Deleting => deletion(explanation, facts, &what, &retry),
    };
    let mut letters = text.chars();
    let text: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    text + "."
}

fn deletion(explanation: &Explanation, facts: &Facts<'_>, what: &str, retry: &str) -> String {
    let cluster = &facts.row.cluster;
    let sent = sent(explanation, facts.now);
    let waits_for = explanation
        .deletion
        .as_ref()
        .map(|deletion| &deletion.waits_for);
    match waits_for {
        Some(WaitsFor::Objects(objects)) if !objects.is_empty() => {
            let mut named: Vec<String> = objects.iter().take(NAMED).map(remaining).collect();
            if objects.len() > NAMED {
                named.push(format!("{} more", objects.len() - NAMED));
            }
            format!(
                "{what} reached the agent of {cluster}, and waits for {}; look at the controllers that own these \
                 finalizers",
                named.join(", ")
            )
        }
        Some(WaitsFor::Objects(_)) => format!(
            "{what} was sent to the agent of {cluster} {sent}, which is at it and names no object that holds it; {retry}"
        ),
        _ => format!(
            "{what} was sent to the agent of {cluster} {sent}, which doesn't say what it waits for; {retry}, meanwhile \
             look at the objects on the cluster and at the agent's log"
        ),
    }
}

fn sent(explanation: &Explanation, now: Timestamp) -> String {
    match &explanation.delivery.sent {
        Some(sent) if sent.times > 1 => {
            format!("{} times, last {} ago", sent.times, age(sent.at, now))
        }
        Some(sent) => format!("{} ago", age(sent.at, now)),
        None => "before".to_owned(),
    }
}

fn remaining(object: &Remaining) -> String {
    let place = place(&object.namespace, &object.name);
    if object.finalizers.is_empty() {
        format!("{} {place} (no finalizers)", object.kind)
    } else {
        format!(
            "{} {place} (finalizers {})",
            object.kind,
            object.finalizers.join(", ")
        )
    }
}

/// `kind namespace/name`.
pub(super) fn object(meta: &ResourceMeta) -> String {
    format!("{} {}", meta.kind, place(&meta.namespace, &meta.name))
}

fn place(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

fn age(since: Timestamp, now: Timestamp) -> String {
    span(now, since)
}

/// The time between, in the largest unit that fits.
fn span(later: Timestamp, earlier: Timestamp) -> String {
    let seconds = later.duration_since(earlier).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
