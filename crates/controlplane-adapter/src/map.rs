//! After the resources phase: what the HostedCluster's state means, in conditions and data.

mod removal;
mod trouble;

use hyperfleet_adapter::policy::{Observed, Operation, Overrides};
use hypershift::conditions;
use hypershift::hosted_cluster::HostedCluster;
use hypershift::status::{self, ConditionInput, Context, Delivery, Generations, Mapped, Sent};
use serde_json::{Value, json};

use crate::feedback::{FedBack, Found, time};
use crate::report::{APPLIED, AVAILABLE, HEALTH, put};
use crate::settings::Settings;

pub(crate) fn map(observed: &Observed<'_>) -> Option<Overrides> {
    // Malformed settings are told by the review; a report must not be lost over them.
    let settings = Settings::parse(observed.settings).unwrap_or_default();
    if is_deleting(observed) {
        return removal::map(observed, &settings);
    }
    let found = observed
        .object
        .map(|object| Found::new(object, observed.work));
    let running = found
        .filter(Found::feeds_status)
        .map(|found| Running::read(observed, found, &settings));
    if let Some(failure) = observed.failure {
        return Some(trouble::map(observed, failure, running.as_ref(), &settings));
    }
    let running = running?;
    let mut overrides = running.overrides();
    overrides.observed_generation = Some(running.generation(observed));
    if let Some(mismatch) = moved(observed) {
        put(&mut overrides, HEALTH, mismatch);
    }
    Some(overrides)
}

/// Whether the cluster is being deleted, by the resource's rule or by what the API said.
fn is_deleting(observed: &Observed<'_>) -> bool {
    observed.deleting || deleted_time(observed).is_some()
}

/// `deleted_time` of the cluster in the API's answer, wherever the config keeps it.
fn deleted_time<'a>(observed: &Observed<'a>) -> Option<&'a Value> {
    let clusters = observed
        .params
        .values()
        .filter(|value| value.get("kind").is_some_and(|kind| kind == "Cluster"));
    clusters
        .filter_map(|cluster| cluster.get("deleted_time"))
        .find(|time| !time.is_null())
}

/// An existing HostedCluster and its meaning.
struct Running<'a> {
    found: Found<'a>,
    mapped: Mapped,
    status: Value,
    target: Option<&'a str>,
    work_name: Option<&'a str>,
}

impl<'a> Running<'a> {
    fn read(observed: &Observed<'a>, found: Found<'a>, settings: &Settings) -> Self {
        let (status, error) = match found.status() {
            FedBack::Status(status) => (status, None),
            FedBack::Nothing => (Value::Null, None),
            FedBack::Broken(error) => (Value::Null, Some(error)),
        };
        let image = HostedCluster::new(found.object()).release_image();
        let context = Context {
            delivery: delivery(observed, &found),
            feedback_error: error.as_deref(),
            wanted_image: Some(image).filter(|image| !image.is_empty()),
            now: observed.now,
            options: &settings.status,
        };
        let mapped = status::map(&status, &context);
        let work_name = observed
            .work
            .and_then(|work| work.pointer("/metadata/name")?.as_str());
        Self {
            found,
            mapped,
            status,
            target: observed.target,
            work_name,
        }
    }

    /// Conditions and data of a running cluster.
    fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        put(&mut overrides, APPLIED, self.mapped.applied.clone());
        put(&mut overrides, AVAILABLE, self.mapped.available.clone());
        put(&mut overrides, HEALTH, self.mapped.health.clone());
        self.data(&mut overrides);
        overrides
    }

    fn data(&self, overrides: &mut Overrides) {
        let mapped = &self.mapped;
        let mut data = json!({
            "control_plane_endpoint": mapped.control_plane_endpoint,
            "version": mapped.version,
            "desired_version": mapped.desired_version,
            "control_plane_version": mapped.control_plane_version,
            "upgrade_state": mapped.upgrade.as_str(),
            "hosted_cluster": HostedCluster::new(self.found.object()).key(),
        });
        if let Some(target) = self.target {
            data["management_cluster"] = target.into();
        }
        if let Some(name) = self.work_name {
            data["manifestwork_name"] = name.into();
        }
        if let Value::Object(data) = data {
            overrides.data.extend(data);
        }
    }

    /// The HyperFleet generation that the report may claim.
    fn generation(&self, observed: &Observed<'_>) -> i64 {
        let annotated = HostedCluster::new(self.found.object()).hyperfleet_generation();
        let work = observed
            .work
            .and_then(|work| work.pointer("/metadata/generation")?.as_i64());
        let applied = self
            .found
            .manifest_condition("Applied")
            .or_else(|| self.found.work_condition("Applied"));
        status::observed_generation(&Generations {
            annotated: annotated
                .filter(|annotated| *annotated > 0)
                .unwrap_or(observed.generation),
            work,
            applied: applied.and_then(|applied| applied.observed_generation),
            object: self.found.object_generation(),
            operator: conditions::find(&self.status, "Available")
                .and_then(|available| available.observed_generation),
            reported: reported(observed),
        })
    }
}

fn delivery<'a>(observed: &Observed<'a>, found: &Found<'a>) -> Delivery<'a> {
    let sent = match observed.operation {
        Some(Operation::Create | Operation::Recreate) => Sent::Created,
        Some(Operation::Update) => Sent::Updated,
        Some(Operation::Skip | Operation::Delete) | None => Sent::Nothing,
    };
    Delivery {
        sent,
        applied: found
            .manifest_condition("Applied")
            .or_else(|| found.work_condition("Applied")),
        present: found.manifest_condition("Available"),
        work_generation: observed
            .work
            .and_then(|work| work.pointer("/metadata/generation")?.as_i64()),
        sent_at: observed
            .work
            .and_then(|work| time(work.pointer("/metadata/creationTimestamp"))),
    }
}

/// The generation of this adapter's last report, if the config fetched the reports.
fn reported(observed: &Observed<'_>) -> Option<i64> {
    let name = observed
        .params
        .get("adapter")
        .and_then(|adapter| adapter.get("name")?.as_str())?;
    let lists = observed
        .params
        .values()
        .filter_map(|value| value.get("items")?.as_array())
        .flatten();
    let mut own = lists.filter(|item| item.get("adapter").is_some_and(|adapter| adapter == name));
    own.find_map(|item| {
        let generation = item.get("observed_generation")?;
        generation.as_i64().or_else(|| exact(generation.as_f64()?))
    })
}

/// JSON numbers may come as floats.
fn exact(number: f64) -> Option<i64> {
    let whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    whole.then_some(number as i64)
}

/// Once placed, a control plane doesn't move: etcd lives there.
fn moved(observed: &Observed<'_>) -> Option<ConditionInput> {
    let target = observed.target?;
    let clusters = observed
        .params
        .values()
        .filter(|value| value.get("kind").is_some_and(|kind| kind == "Cluster"));
    let mut asked =
        clusters.filter_map(|cluster| cluster.pointer("/spec/management_cluster")?.as_str());
    let asked = asked.find(|asked| !asked.is_empty() && *asked != target)?;
    let message = format!(
        "the spec asks for management cluster {asked}, but the control plane lives on {target} and cannot be moved; set \
         management_cluster back to {target}"
    );
    Some(ConditionInput::fails("ManagementClusterMismatch", message))
}

#[cfg(test)]
mod tests;
