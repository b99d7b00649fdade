//! POST, and the creating half of server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Engine, FieldValidation, Outcome, Ownership, Part, Target, WriteOptions, meta};
use crate::admission::Operation;
use crate::builtin;
use crate::crd;
use crate::failure::{Cause, Failure, Subject};
use crate::managed::{self, Managed, Manager, Scope};
use crate::object::{metadata_mut, metadata_text, remove_metadata, set_metadata};
use crate::rbac;
use crate::resource::{GenerationRule, Resource};
use crate::schema::{self, Schema};

impl Engine {
    pub(super) fn create(
        &mut self,
        target: &Target,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        let resource = self.resource(target)?;
        if target.part != Part::Whole {
            return Err(Failure::method_not_allowed());
        }
        if !metadata_text(&object, "resourceVersion").is_empty() {
            return Err(Failure::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        self.create_object(
            &resource,
            target,
            object,
            Ownership::Update(options.manager.clone()),
            options,
        )
    }

    /// Checks and stores a new object.
    pub(super) fn create_object(
        &mut self,
        resource: &Arc<Resource>,
        target: &Target,
        mut object: Value,
        ownership: Ownership,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        check_type(resource, &object)?;
        check_place(resource, target, &object)?;
        let generated = metadata_text(&object, "name").is_empty() && target.name.is_empty();
        if generated {
            let base = metadata_text(&object, "generateName").to_owned();
            if base.is_empty() {
                let cause = Cause::required("metadata.name", "name or generateName is required");
                return Err(Failure::invalid(&resource.subject(""), &[cause]));
            }
            set_metadata(&mut object, "name", meta::generate_name(&base).into());
        } else if metadata_text(&object, "name").is_empty() {
            set_metadata(&mut object, "name", target.name.as_str().into());
        }
        let name = metadata_text(&object, "name").to_owned();
        let subject = resource.subject(&name);
        self.check_namespace(resource, &target.namespace, &subject)?;

        let now = self.now();
        self.prepare_metadata(resource, target, &mut object, &now);
        if resource.has_status
            && let Some(map) = object.as_object_mut()
        {
            map.remove("status");
        }
        let warnings = self.conform(resource, &mut object, options.field_validation)?;
        self.default_and_validate(resource, &mut object, None)?;
        self.check_grant(resource, options, &object, None)?;
        self.admit(Operation::Create, resource, Part::Whole, &object, None)?;

        let key = Self::key(resource, target, &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(&subject));
        }
        let managed = match ownership {
            Ownership::Applied(managed) => managed,
            Ownership::Update(name) => {
                let manager = Manager {
                    operation: managed::Operation::Update,
                    name,
                    api_version: resource.api_version(),
                    subresource: String::new(),
                };
                let scope = if resource.has_status {
                    Scope::WithoutStatus
                } else {
                    Scope::Whole
                };
                managed::update(
                    &Managed::default(),
                    &json!({}),
                    &object,
                    &manager,
                    scope,
                    &resource.shape,
                    &now,
                )
            }
        };
        managed.store(&mut object);
        set_api_version(&mut object, &resource.storage_api_version());
        let stored = (!options.dry_run).then(|| self.store(key, &mut object));
        set_api_version(&mut object, &resource.api_version());
        Ok(Outcome {
            object,
            stored,
            created: true,
            removed: false,
            warnings,
        })
    }

    /// A namespaced object needs a namespace that exists and isn't going away.
    fn check_namespace(
        &self,
        resource: &Resource,
        namespace: &str,
        subject: &Subject<'_>,
    ) -> Result<(), Failure> {
        if !resource.namespaced {
            return Ok(());
        }
        match self.namespace_object(namespace) {
            None => Err(Failure::not_found(&Subject {
                resource: "namespaces",
                name: namespace,
                ..Subject::default()
            })),
            Some(object) if object.deleting => {
                Err(Failure::namespace_terminating(subject, namespace))
            }
            Some(_) => Ok(()),
        }
    }

    fn prepare_metadata(
        &self,
        resource: &Resource,
        target: &Target,
        object: &mut Value,
        now: &str,
    ) {
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".to_owned(), resource.api_version().into());
            map.insert("kind".to_owned(), resource.kind.as_str().into());
        }
        for name in [
            "managedFields",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
            "generation",
        ] {
            remove_metadata(object, name);
        }
        if let Some(metadata) = metadata_mut(object) {
            metadata.retain(|_, value| !value.is_null());
            if resource.namespaced {
                metadata.insert("namespace".to_owned(), target.namespace.as_str().into());
            } else {
                metadata.remove("namespace");
            }
            metadata.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
            metadata.insert("creationTimestamp".to_owned(), now.into());
            if resource.generation != GenerationRule::None {
                metadata.insert("generation".to_owned(), 1.into());
            }
        }
    }

    /// Removes unknown fields, or refuses them. Returns warnings.
    pub(super) fn conform(
        &self,
        resource: &Resource,
        object: &mut Value,
        validation: FieldValidation,
    ) -> Result<Vec<String>, Failure> {
        let metadata_schema = builtin::metadata_schema();
        let schema = self.schema_of(resource);
        let mut warnings = Vec::new();
        if validation != FieldValidation::Ignore {
            let metadata = object.get("metadata").unwrap_or(&Value::Null);
            let in_metadata = schema::unknown_fields(metadata, &metadata_schema, false);
            let mut unknown: Vec<String> = in_metadata
                .iter()
                .map(|path| format!("unknown field \"metadata.{path}\""))
                .collect();
            if let Some(schema) = &schema {
                let elsewhere = schema::unknown_fields(object, schema, true);
                unknown.extend(
                    elsewhere
                        .iter()
                        .map(|path| format!("unknown field {path:?}")),
                );
            }
            if validation == FieldValidation::Strict && !unknown.is_empty() {
                return Err(strict_failure(resource, &unknown));
            }
            warnings = unknown;
        }
        if let Some(metadata) = object.get_mut("metadata") {
            schema::prune(metadata, &metadata_schema, false);
        }
        if let Some(schema) = &schema {
            schema::prune(object, schema, true);
        }
        Ok(warnings)
    }

    /// Nobody gives away permissions that he doesn't have.
    pub(super) fn check_grant(
        &self,
        resource: &Resource,
        options: &WriteOptions,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Failure> {
        match &options.user {
            Some(user) if &*resource.group == rbac::GROUP => rbac::Authority {
                objects: &self.objects,
            }
            .check_grant(user, &resource.kind, object, old),
            _ => Ok(()),
        }
    }

    /// The schema that objects of a type must follow, if any.
    fn schema_of(&self, resource: &Resource) -> Option<Arc<Schema>> {
        resource
            .schema
            .clone()
            .filter(|_| self.options.validate_schemas || !resource.is_custom())
    }

    /// Fills in defaults and checks the rules of the kind, its schema and its metadata.
    pub(super) fn default_and_validate(
        &self,
        resource: &Resource,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Failure> {
        let schema = self.schema_of(resource);
        if resource.is_custom() {
            let metadata = object.get("metadata").unwrap_or(&Value::Null);
            check_types(resource, metadata, &builtin::metadata_schema())?;
        } else {
            builtin::rules::default(&resource.kind, object, old);
            if let Some(schema) = &schema {
                check_types(resource, object, schema)?;
            }
        }
        let mut causes = meta::validate(resource, object);
        if !resource.is_custom() {
            causes.extend(builtin::rules::validate(&resource.kind, object, old));
            if &*resource.storage == builtin::CRD_STORAGE {
                crd::default(object);
                causes.extend(crd::validate(object, old));
            }
        } else if let Some(schema) = &schema {
            schema::apply_defaults(object, schema);
            causes.extend(schema::validate(object, old, schema));
        }
        if causes.is_empty() {
            return Ok(());
        }
        let name = metadata_text(object, "name").to_owned();
        Err(Failure::invalid(&resource.subject(&name), &causes))
    }
}

/// Values of declared types must be of these types: a typed API can't even read anything else.
fn check_types(resource: &Resource, value: &Value, schema: &Schema) -> Result<(), Failure> {
    let causes = schema::validate(value, None, schema);
    if causes.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: {}",
        resource.kind,
        resource.version,
        resource.kind,
        texts.join(", ")
    )))
}

/// The refusal of unknown or duplicate fields under `fieldValidation=Strict`.
pub(super) fn strict_failure(resource: &Resource, texts: &[String]) -> Failure {
    Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
        resource.kind,
        resource.version,
        resource.kind,
        texts.join(", ")
    ))
}

/// The body must be of the type that the path names.
pub(super) fn check_type(resource: &Resource, object: &Value) -> Result<(), Failure> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let expected = resource.api_version();
    if !api_version.is_empty() && api_version != expected {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: the kind in the data doesn't match the kind of the path",
            resource.version, resource.kind
        )));
    }
    match object.get("metadata") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => Err(Failure::bad_request("metadata must be an object")),
    }
}

/// Name and namespace of the body must be those of the path.
pub(super) fn check_place(
    resource: &Resource,
    target: &Target,
    object: &Value,
) -> Result<(), Failure> {
    let namespace = metadata_text(object, "namespace");
    if resource.namespaced && !namespace.is_empty() && namespace != target.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let name = metadata_text(object, "name");
    if !target.name.is_empty() && !name.is_empty() && name != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

/// Rewrites `apiVersion`.
pub(super) fn set_api_version(object: &mut Value, api_version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), api_version.into());
    }
}
