//! Columns and cells of built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Column, name_column};
use crate::time::{age, human_duration};

fn column(name: &str, kind: &str, priority: i64) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: String::new(),
        description: String::new(),
        priority,
    }
}

/// Titles after `Name`: `*` marks columns that only `-o wide` shows, `#` integers.
fn titles(kind: &str) -> &'static [&'static str] {
    match kind {
        "Namespace" | "PersistentVolume" => &["Status", "Age"],
        "ConfigMap" => &["#Data", "Age"],
        "Secret" => &["Type", "#Data", "Age"],
        "ServiceAccount" => &["#Secrets", "Age"],
        "Service" => &[
            "Type",
            "Cluster-IP",
            "External-IP",
            "Port(s)",
            "Age",
            "*Selector",
        ],
        "Pod" => &["Ready", "Status", "#Restarts", "Age", "*IP", "*Node"],
        "Node" => &["Status", "Roles", "Age", "Version"],
        "Deployment" => &[
            "Ready",
            "#Up-to-date",
            "#Available",
            "Age",
            "*Containers",
            "*Images",
            "*Selector",
        ],
        "ReplicaSet" | "ReplicationController" => &["#Desired", "#Current", "#Ready", "Age"],
        "StatefulSet" => &["Ready", "Age"],
        "DaemonSet" => &[
            "#Desired",
            "#Current",
            "#Ready",
            "#Up-to-date",
            "#Available",
            "Age",
        ],
        "Job" => &[
            "Status",
            "Completions",
            "Duration",
            "Age",
            "*Containers",
            "*Images",
        ],
        "CronJob" => &["Schedule", "Suspend", "#Active", "Age"],
        "Role" | "ClusterRole" | "CustomResourceDefinition" => &["Created At"],
        "RoleBinding" | "ClusterRoleBinding" => &["Role", "Age"],
        "Lease" => &["Holder", "Age"],
        "PersistentVolumeClaim" => &["Status", "Volume", "Capacity", "Age"],
        "StorageClass" => &["Provisioner", "Age"],
        "NetworkPolicy" => &["Pod-Selector", "Age"],
        _ => &["Age"],
    }
}

/// The columns of a kind.
pub fn columns(kind: &str) -> Vec<Column> {
    if kind == "Event" {
        return ["Last Seen", "Type", "Reason", "Object", "Message"]
            .into_iter()
            .map(|name| column(name, "string", 0))
            .chain([Column {
                priority: 1,
                ..name_column()
            }])
            .collect();
    }
    std::iter::once(name_column())
        .chain(titles(kind).iter().map(|title| {
            if let Some(name) = title.strip_prefix('*') {
                column(name, "string", 1)
            } else if let Some(name) = title.strip_prefix('#') {
                column(name, "integer", 0)
            } else {
                column(title, "string", 0)
            }
        }))
        .collect()
}

/// The cells of one object, fitting [`columns`].
pub fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object
        .pointer("/metadata/name")
        .cloned()
        .unwrap_or(Value::Null);
    if kind == "Event" {
        return event_cells(object, now, name);
    }
    std::iter::once(name)
        .chain(
            titles(kind)
                .iter()
                .map(|title| cell(kind, title.trim_start_matches(['*', '#']), object, now)),
        )
        .collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn length(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

fn or_none(text: &str) -> Value {
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

fn cell(kind: &str, title: &str, object: &Value, now: Timestamp) -> Value {
    match (kind, title) {
        (_, "Age") => age(text(object, "/metadata/creationTimestamp"), now).into(),
        (_, "Created At") => text(object, "/metadata/creationTimestamp").into(),
        ("ConfigMap", "Data") => (length(object, "/data") + length(object, "/binaryData")).into(),
        ("Secret", "Type") => text(object, "/type").into(),
        (_, "Data") => length(object, "/data").into(),
        (_, "Secrets") => length(object, "/secrets").into(),
        ("Node", "Status") => node_status(object).into(),
        ("Node", "Roles") => "<none>".into(),
        ("Node", "Version") => text(object, "/status/nodeInfo/kubeletVersion").into(),
        ("Pod", "Status") => pod_status(object).into(),
        ("Pod", "Ready") => pod_ready(object).into(),
        ("Pod", "Restarts") => restarts(object).into(),
        ("Pod", "IP") => or_none(text(object, "/status/podIP")),
        ("Pod", "Node") => or_none(text(object, "/spec/nodeName")),
        ("Job", "Status") => job_status(object).into(),
        ("Job", "Completions") => format!(
            "{}/{}",
            number(object, "/status/succeeded"),
            number(object, "/spec/completions")
        )
        .into(),
        ("Job", "Duration") => job_duration(object, now).into(),
        (_, "Status") => text(object, "/status/phase").into(),
        ("Deployment" | "StatefulSet", "Ready") => format!(
            "{}/{}",
            number(object, "/status/readyReplicas"),
            number(object, "/spec/replicas")
        )
        .into(),
        ("DaemonSet", "Desired") => number(object, "/status/desiredNumberScheduled").into(),
        ("DaemonSet", "Current") => number(object, "/status/currentNumberScheduled").into(),
        ("DaemonSet", "Ready") => number(object, "/status/numberReady").into(),
        ("DaemonSet", "Up-to-date") => number(object, "/status/updatedNumberScheduled").into(),
        ("DaemonSet", "Available") => number(object, "/status/numberAvailable").into(),
        (_, "Desired") => number(object, "/spec/replicas").into(),
        (_, "Current") => number(object, "/status/replicas").into(),
        (_, "Ready") => number(object, "/status/readyReplicas").into(),
        (_, "Up-to-date") => number(object, "/status/updatedReplicas").into(),
        (_, "Available") => number(object, "/status/availableReplicas").into(),
        (_, "Containers") => containers(object, "name").into(),
        (_, "Images") => containers(object, "image").into(),
        ("Service", "Type") => text(object, "/spec/type").into(),
        ("Service", "Cluster-IP") => or_none(text(object, "/spec/clusterIP")),
        ("Service", "External-IP") => "<none>".into(),
        ("Service", "Port(s)") => ports(object),
        ("Service", "Selector") => labels(object.pointer("/spec/selector")),
        ("Deployment", "Selector") => labels(object.pointer("/spec/selector/matchLabels")),
        ("NetworkPolicy", "Pod-Selector") => {
            labels(object.pointer("/spec/podSelector/matchLabels"))
        }
        ("CronJob", "Schedule") => text(object, "/spec/schedule").into(),
        ("CronJob", "Suspend") => {
            let suspended = object.pointer("/spec/suspend") == Some(&Value::Bool(true));
            (if suspended { "True" } else { "False" }).into()
        }
        ("CronJob", "Active") => length(object, "/status/active").into(),
        (_, "Role") => format!(
            "{}/{}",
            text(object, "/roleRef/kind"),
            text(object, "/roleRef/name")
        )
        .into(),
        (_, "Holder") => text(object, "/spec/holderIdentity").into(),
        (_, "Volume") => text(object, "/spec/volumeName").into(),
        (_, "Capacity") => text(object, "/status/capacity/storage").into(),
        (_, "Provisioner") => text(object, "/provisioner").into(),
        _ => Value::Null,
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)?
        .get("status")?
        .as_str()
}

fn node_status(object: &Value) -> &'static str {
    match condition(object, "Ready") {
        Some("True") => "Ready",
        Some("False") => "NotReady",
        _ => "Unknown",
    }
}

fn pod_status(object: &Value) -> String {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return "Terminating".to_owned();
    }
    match text(object, "/status/reason") {
        "" => text(object, "/status/phase").to_owned(),
        reason => reason.to_owned(),
    }
}

fn statuses(object: &Value) -> &[Value] {
    object
        .pointer("/status/containerStatuses")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn pod_ready(object: &Value) -> String {
    let ready = statuses(object)
        .iter()
        .filter(|status| status["ready"] == true)
        .count();
    format!("{ready}/{}", length(object, "/spec/containers"))
}

fn restarts(object: &Value) -> i64 {
    statuses(object)
        .iter()
        .filter_map(|status| status["restartCount"].as_i64())
        .sum()
}

fn job_status(object: &Value) -> &'static str {
    if condition(object, "Complete") == Some("True") {
        "Complete"
    } else if condition(object, "Failed") == Some("True") {
        "Failed"
    } else if !text(object, "/metadata/deletionTimestamp").is_empty() {
        "Terminating"
    } else if condition(object, "Suspended") == Some("True") {
        "Suspended"
    } else {
        "Running"
    }
}

fn job_duration(object: &Value, now: Timestamp) -> String {
    let time = |pointer: &str| text(object, pointer).parse::<Timestamp>().ok();
    let Some(start) = time("/status/startTime") else {
        return String::new();
    };
    let end = time("/status/completionTime").unwrap_or(now);
    human_duration((end.as_second() - start.as_second()).max(0))
}

fn containers(object: &Value, member: &str) -> String {
    let list = object
        .pointer("/spec/template/spec/containers")
        .and_then(Value::as_array);
    list.map(|list| {
        list.iter()
            .filter_map(|container| container.get(member)?.as_str())
            .collect::<Vec<_>>()
            .join(",")
    })
    .unwrap_or_default()
}

fn ports(object: &Value) -> Value {
    let list = object.pointer("/spec/ports").and_then(Value::as_array);
    let shown: Vec<String> = list
        .map(|list| {
            list.iter()
                .map(|port| format!("{}/{}", number(port, "/port"), text(port, "/protocol")))
                .collect()
        })
        .unwrap_or_default();
    or_none(&shown.join(","))
}

fn labels(selector: Option<&Value>) -> Value {
    let shown: Vec<String> = selector
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
                .collect()
        })
        .unwrap_or_default();
    or_none(&shown.join(","))
}

fn event_cells(object: &Value, now: Timestamp, name: Value) -> Vec<Value> {
    let seen = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .map(|pointer| text(object, pointer))
    .find(|time| !time.is_empty())
    .unwrap_or_default();
    let involved = format!(
        "{}/{}",
        text(object, "/involvedObject/kind").to_lowercase(),
        text(object, "/involvedObject/name")
    );
    vec![
        age(seen, now).into(),
        text(object, "/type").into(),
        text(object, "/reason").into(),
        involved.into(),
        json!(text(object, "/message").trim()),
        name,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_as_many_cells_as_columns() {
        for resource in crate::builtin::resources() {
            let now = Timestamp::UNIX_EPOCH;
            assert_eq!(
                columns(&resource.kind).len(),
                cells(&resource.kind, &json!({}), now).len(),
                "{}",
                resource.kind
            );
        }
    }
}
