//! Server-side apply.

use std::sync::Arc;

use serde_json::Value;

use super::create::{check_place, check_type};
use super::parts::{restrict_config, scope, subresource};
use super::update::check_identity;
use super::{Engine, Outcome, Ownership, Part, Target, WriteOptions, client_side};
use crate::failure::Failure;
use crate::fields::FieldSet;
use crate::managed::{self, Managed, Manager};
use crate::object::{metadata_text, remove_metadata};
use crate::resource::Resource;

impl Engine {
    /// Applies a configuration: creates the object or changes it.
    pub(super) fn apply(
        &mut self,
        resource: &Arc<Resource>,
        target: &Target,
        config: &Value,
        force: bool,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        if config.get("apiVersion").and_then(Value::as_str).is_none()
            || config.get("kind").and_then(Value::as_str).is_none()
        {
            return Err(Failure::bad_request(
                "an applied configuration must have apiVersion and kind",
            ));
        }
        check_type(resource, config)?;
        check_place(resource, target, config)?;
        if config
            .pointer("/metadata/managedFields")
            .is_some_and(|entries| {
                !entries.is_null() && entries.as_array().is_none_or(|list| !list.is_empty())
            })
        {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let mut config = config.clone();
        restrict_config(resource, target.part, &mut config);
        let manager = Manager {
            operation: managed::Operation::Apply,
            name: options.manager.clone(),
            api_version: resource.api_version(),
            subresource: subresource(target.part).to_owned(),
        };
        let scope = scope(resource, target.part);
        let now = self.now();
        let apply = |allowed| managed::Apply {
            manager: &manager,
            scope,
            shape: &resource.shape,
            force,
            allowed,
            now: &now,
        };
        let current = match self.current(resource, target) {
            Ok(current) => current,
            Err(missing) if target.part == Part::Whole => {
                if !metadata_text(&config, "uid").is_empty() {
                    let detail = format!(
                        "uid mismatch: the provided object specified uid {}, and no existing object was found",
                        metadata_text(&config, "uid")
                    );
                    return Err(Failure::conflict(&resource.subject(&target.name), &detail));
                }
                if !metadata_text(&config, "resourceVersion").is_empty() {
                    return Err(missing);
                }
                let config_warnings =
                    self.conform(resource, &mut config, options.field_validation)?;
                let nothing = managed::nothing();
                let (object, managed) =
                    apply(FieldSet::new()).run(&Managed::default(), &nothing, &config)?;
                let mut outcome = self.create_object(
                    resource,
                    target,
                    object,
                    Ownership::Applied(managed),
                    options,
                )?;
                outcome.warnings = config_warnings;
                return Ok(outcome);
            }
            Err(missing) => return Err(missing),
        };
        check_identity(resource, &current.live, &config)?;
        remove_metadata(&mut config, "resourceVersion");
        let warnings = self.conform(resource, &mut config, options.field_validation)?;
        let allowed = client_side::allowed(&manager, &current.value, &resource.shape);
        let (mut object, managed) = apply(allowed).run(&current.owners, &current.value, &config)?;
        client_side::refresh(&manager, &mut object, &config);
        let mut outcome = self.change(
            resource,
            target,
            current,
            object,
            Ownership::Applied(managed),
            options,
        )?;
        outcome.warnings = warnings;
        Ok(outcome)
    }
}
