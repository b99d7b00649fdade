//! Why an event can't be read or written. The texts are part of the protocol: peers match on them.

use crate::sequence::SequenceError;

/// Why an event can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No attributes, or a version of CloudEvents that nobody speaks.
    #[error("unknown Message encoding")]
    UnknownEncoding,
    /// An attribute without a value.
    #[error("failed to convert attribute {key}: unsupported attribute type: <nil>")]
    EmptyAttribute {
        /// Key on the wire.
        key: String,
    },
    /// A standard attribute with a value of the wrong form.
    #[error("failed to convert attribute {key}: {why}")]
    InvalidAttribute {
        /// Key on the wire.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// An extension name may hold letters and digits only.
    #[error(
        "bad key {name:?}: CloudEvents attribute names must consist of only lowercase letters and digits"
    )]
    ExtensionName {
        /// The name without its prefix.
        name: String,
    },
    /// A structured event that isn't JSON of the right form.
    #[error("failed to decode the structured event: {why}")]
    Structured {
        /// What is wrong with it.
        why: String,
    },
    /// The type of an event can't be parsed.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// An extension is missing or has a wrong type.
    #[error("failed to get {name} extension: {why}")]
    Extension {
        /// Name without prefix.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The event is about something else than bundles of manifests.
    #[error("unsupported cloudevents data type {found}")]
    DataType {
        /// What it is about.
        found: String,
    },
    /// The data isn't JSON of the right form.
    #[error("failed to unmarshal event data: {why}")]
    Data {
        /// What is wrong with it.
        why: String,
    },
    /// The `metadata` extension isn't the JSON of object metadata.
    #[error("failed to unmarshal metadata extension: {why}")]
    Metadata {
        /// What is wrong with it.
        why: String,
    },
    /// The event is from another source than the receiver serves.
    #[error("unmatched original source id {found} for resource {resource_id}")]
    OriginalSource {
        /// The source in the event.
        found: String,
        /// The resource.
        resource_id: String,
    },
    /// The event is larger than its receiver takes, and nothing more can be left out.
    #[error("the event takes {size} bytes which exceeds the {limit} limit")]
    TooLarge {
        /// Bytes that it takes.
        size: usize,
        /// Bytes that it may take.
        limit: usize,
    },
    /// A work lacks what its event must carry.
    #[error("{0}")]
    Work(String),
    /// The sequence id can't be parsed or compared.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
}

/// Why a type can't be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Fewer parts than a type has.
    #[error("unsupported cloudevents type format: {0}")]
    Format(String),
    /// Neither `spec` nor `status`.
    #[error("unsupported subresource {0}")]
    Subresource(String),
    /// Fewer parts than a data type has.
    #[error("unsupported cloudevents data type format")]
    DataType,
}
