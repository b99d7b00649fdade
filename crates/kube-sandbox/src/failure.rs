//! The error answers of the API: `Status` documents with the code, reason and details that clients act on.

use serde_json::{Map, Value, json};

/// One reason why an object was refused: a field, what is wrong with it, and the machine-readable kind of error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Path of the field, for example `spec.platform.gcp.region`.
    pub field: String,
    /// What is wrong, without the path, for example `Required value`.
    pub message: String,
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldValueForbidden`, `FieldValueNotSupported`, ...
    pub reason: String,
}

impl Cause {
    /// A cause of any reason.
    pub fn new(
        field: impl Into<String>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            reason: reason.into(),
        }
    }

    /// `Required value`, optionally followed by an explanation.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self::new(field, "FieldValueRequired", message)
    }

    /// `Invalid value: <value>: <detail>`; strings are shown in quotes.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(
            field,
            "FieldValueInvalid",
            format!("Invalid value: {}: {detail}", shown(value)),
        )
    }

    /// `Forbidden: <detail>`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, "FieldValueForbidden", format!("Forbidden: {detail}"))
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(
            field,
            "FieldValueDuplicate",
            format!("Duplicate value: {}", shown(value)),
        )
    }

    /// `Unsupported value: <value>: supported values: ...`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[Value]) -> Self {
        let list = supported.iter().map(shown).collect::<Vec<_>>().join(", ");
        Self::new(
            field,
            "FieldValueNotSupported",
            format!(
                "Unsupported value: {}: supported values: {list}",
                shown(value)
            ),
        )
    }
}

/// A value as error texts show it: JSON, so strings are quoted.
fn shown(value: &Value) -> String {
    value.to_string()
}

/// A refused request. Becomes a `Status` document with HTTP code [`Failure::code`].
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid`, ... ; empty for a plain answer.
    pub reason: &'static str,
    /// The sentence people read.
    pub message: String,
    /// `details` of the `Status`, if any.
    pub details: Option<Value>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Failure {}

/// Which object an error speaks of; every part may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural name of the resource.
    pub resource: &'a str,
    /// Kind, used by 422 answers.
    pub kind: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

impl Subject<'_> {
    /// `hostedclusters.hypershift.openshift.io`, or `configmaps` for the core group.
    pub fn qualified_resource(&self) -> String {
        qualified(self.resource, self.group)
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        if !self.name.is_empty() {
            details.insert("name".into(), self.name.into());
        }
        if !self.group.is_empty() {
            details.insert("group".into(), self.group.into());
        }
        if !self.resource.is_empty() {
            details.insert("kind".into(), self.resource.into());
        }
        details
    }
}

/// `name.group`, or just `name` in the core group.
pub fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, subject: &Subject<'_>) -> Self {
        let details = subject.details();
        if !details.is_empty() {
            self.details = Some(Value::Object(details));
        }
        self
    }

    /// 404: the object isn't there.
    pub fn not_found(subject: &Subject<'_>) -> Self {
        let message = format!(
            "{} \"{}\" not found",
            subject.qualified_resource(),
            subject.name
        );
        Self::new(404, "NotFound", message).about(subject)
    }

    /// 404: no such path or resource type.
    pub fn unknown_path() -> Self {
        let mut failure = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = Some(json!({}));
        failure
    }

    /// 405: the path exists, the verb doesn't.
    pub fn method_not_allowed() -> Self {
        let mut failure = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        failure.details = Some(json!({}));
        failure
    }

    /// 409: an object of that name exists.
    pub fn already_exists(subject: &Subject<'_>) -> Self {
        let message = format!(
            "{} \"{}\" already exists",
            subject.qualified_resource(),
            subject.name
        );
        Self::new(409, "AlreadyExists", message).about(subject)
    }

    /// 409: the resourceVersion is stale, or a precondition doesn't hold.
    pub fn conflict(subject: &Subject<'_>, detail: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{}\": {detail}",
            subject.qualified_resource(),
            subject.name
        );
        Self::new(409, "Conflict", message).about(subject)
    }

    /// 409 for an outdated `metadata.resourceVersion`.
    pub fn stale(subject: &Subject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 for a UID precondition that names another life of the object.
    pub fn uid_mismatch(subject: &Subject<'_>, wanted: &str, actual: &str) -> Self {
        Self::conflict(
            subject,
            &format!(
                "Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
            ),
        )
    }

    /// 409 for fields that other managers own; `causes` name manager and field.
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let mut failure = Self::new(409, "Conflict", message);
        failure.details = Some(json!({ "causes": causes_json(causes) }));
        failure
    }

    /// 422: the object breaks rules; all broken rules at once.
    pub fn invalid(subject: &Subject<'_>, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let kind = qualified(subject.kind, subject.group);
        let mut failure = Self::new(
            422,
            "Invalid",
            format!("{kind} \"{}\" is invalid: {text}", subject.name),
        );
        let mut details = Map::new();
        if !subject.name.is_empty() {
            details.insert("name".into(), subject.name.into());
        }
        if !subject.group.is_empty() {
            details.insert("group".into(), subject.group.into());
        }
        if !subject.kind.is_empty() {
            details.insert("kind".into(), subject.kind.into());
        }
        details.insert("causes".into(), causes_json(causes));
        failure.details = Some(Value::Object(details));
        failure
    }

    /// 422 for options of a request rather than for an object.
    pub fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        Self::invalid(
            &Subject {
                group: "meta.k8s.io",
                kind,
                ..Subject::default()
            },
            causes,
        )
    }

    /// 400: the request can't be read.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: no or wrong credentials.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403.
    pub fn forbidden(subject: &Subject<'_>, detail: &str) -> Self {
        let resource = subject.qualified_resource();
        let message = match subject.name {
            "" => format!("{resource} is forbidden: {detail}"),
            name => format!("{resource} \"{name}\" is forbidden: {detail}"),
        };
        Self::new(403, "Forbidden", message).about(subject)
    }

    /// 403 for a create in a namespace that is going away.
    pub fn namespace_terminating(subject: &Subject<'_>, namespace: &str) -> Self {
        let mut failure = Self::forbidden(
            subject,
            &format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            ),
        );
        let cause = Cause::new(
            "metadata.namespace",
            "NamespaceTerminating",
            format!("namespace {namespace} is being terminated"),
        );
        let mut details = subject.details();
        details.insert("causes".into(), causes_json(&[cause]));
        failure.details = Some(Value::Object(details));
        failure
    }

    /// 410: the resourceVersion or continue token is older than the kept history.
    pub fn expired(wanted: u64, oldest: u64) -> Self {
        Self::new(
            410,
            "Expired",
            format!("too old resource version: {wanted} ({oldest})"),
        )
    }

    /// 406: none of the accepted media types is served.
    pub fn not_acceptable(served: &str) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {served}"),
        )
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 415: the body is of a type that isn't read here.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }

    /// 429: too many watches.
    pub fn too_many_requests(message: impl Into<String>) -> Self {
        Self::new(429, "TooManyRequests", message)
    }

    /// 500: storage or an invariant failed; nothing was changed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {}", message.into()),
        )
    }

    /// 503: shutting down.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: a wait inside of the server took too long.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {}", message.into()))
    }

    /// The `Status` document.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Value::Object(map) = &mut status {
            if !self.reason.is_empty() {
                map.insert("reason".into(), self.reason.into());
            }
            if let Some(details) = &self.details {
                map.insert("details".into(), details.clone());
            }
        }
        status
    }
}

fn causes_json(causes: &[Cause]) -> Value {
    causes
        .iter()
        .map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        )
        .collect()
}
