//! The typed event, and accessors for what Open Cluster Management puts into it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use manifestwork::ObjectMeta;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    Error, EventType, HEARTBEAT_TYPE, SequenceId,
    attribute::{Attribute, name},
    proto,
};

/// Version of CloudEvents that is written.
pub const SPEC_VERSION: &str = "1.0";
/// Content type of every payload.
pub const JSON: &str = "application/json";

/// A CloudEvent.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique id of the event.
    pub id: String,
    /// Who made it.
    pub source: String,
    /// What it is.
    pub event_type: EventType,
    /// When it was made.
    pub time: Option<Timestamp>,
    /// Media type of the data.
    pub content_type: Option<String>,
    /// Schema of the data; not in use.
    pub data_schema: Option<String>,
    /// Subject; not in use.
    pub subject: Option<String>,
    /// Extensions, names without prefix, lower-case.
    pub extensions: BTreeMap<String, Attribute>,
    /// The payload; cheap to clone.
    pub data: Option<Bytes>,
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// The other side is alive.
    Heartbeat,
    /// An event.
    Event(Box<Event>),
}

/// What makes two events with the same content different: id and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Id of the event.
    pub id: Uuid,
    /// Time of the event.
    pub time: Timestamp,
}

// === impl Incoming ===

impl Incoming {
    /// Tells heartbeats from events before anything is decoded (a heartbeat has no attributes and would not decode).
    ///
    /// # Errors
    /// Those of the event's decoder.
    pub fn from_proto(message: proto::CloudEvent) -> Result<Self, Error> {
        if message.r#type == HEARTBEAT_TYPE {
            return Ok(Self::Heartbeat);
        }
        Event::try_from(message).map(|event| Self::Event(Box::new(event)))
    }
}

// === impl Stamp ===

impl Stamp {
    /// A random id, and the current time.
    #[must_use]
    pub fn now() -> Self {
        Self {
            id: Uuid::new_v4(),
            time: Timestamp::now(),
        }
    }
}

// === impl Event ===

impl Event {
    /// An event without extensions and data.
    #[must_use]
    pub fn new(event_type: EventType, source: impl Into<String>, stamp: Stamp) -> Self {
        Self {
            id: stamp.id.to_string(),
            source: source.into(),
            event_type,
            time: Some(stamp.time),
            content_type: None,
            data_schema: None,
            subject: None,
            extensions: BTreeMap::new(),
            data: None,
        }
    }

    /// Sets an extension.
    pub fn set(&mut self, name: &str, value: impl Into<Attribute>) -> &mut Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Sets JSON data.
    pub fn set_json(&mut self, payload: &impl serde::Serialize) -> &mut Self {
        let data = serde_json::to_vec(payload).expect("payloads are plain data with text keys");
        self.data = Some(data.into());
        self.content_type = Some(JSON.to_owned());
        self
    }

    /// Reads JSON data. Absent data is an error.
    ///
    /// # Errors
    /// No data, or not JSON of the right form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let data = self.data.as_deref().ok_or_else(|| Error::Data {
            why: "the event has no data".to_owned(),
        })?;
        serde_json::from_slice(data).map_err(|error| Error::Data {
            why: error.to_string(),
        })
    }

    /// Bytes that it takes in memory, roughly: every text of it, the data, and what an entry of a map takes beside its texts.
    /// Whatever bounds what it holds by bytes counts by this: an event may consist of attributes alone.
    #[must_use]
    pub fn size(&self) -> usize {
        /// A node of the map, and two allocations.
        const ATTRIBUTE: usize = 96;
        let optional = [&self.content_type, &self.data_schema, &self.subject];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        let attributes: usize = self
            .extensions
            .iter()
            .map(|(name, value)| ATTRIBUTE + name.len() + value.size())
            .sum();
        size_of::<Self>()
            + self.id.len()
            + self.source.len()
            + self.event_type.size()
            + optional
            + attributes
            + self.data.as_ref().map_or(0, Bytes::len)
    }

    /// Id of the resource.
    ///
    /// # Errors
    /// Missing, or not text.
    pub fn resource_id(&self) -> Result<&str, Error> {
        self.text(name::RESOURCE_ID)
    }

    /// Version of the resource; text is accepted.
    ///
    /// # Errors
    /// Missing, or not a number.
    pub fn resource_version(&self) -> Result<i32, Error> {
        self.required(name::RESOURCE_VERSION, Attribute::as_int)
    }

    /// Name of the consumer.
    ///
    /// # Errors
    /// Missing, or not text.
    pub fn cluster_name(&self) -> Result<&str, Error> {
        self.text(name::CLUSTER_NAME)
    }

    /// Who owns the resource, from the agent's view.
    ///
    /// # Errors
    /// Missing, or not text.
    pub fn original_source(&self) -> Result<&str, Error> {
        self.text(name::ORIGINAL_SOURCE)
    }

    /// Object metadata, if the event carries any.
    ///
    /// # Errors
    /// Not text, or not the JSON of metadata.
    pub fn metadata(&self) -> Result<Option<ObjectMeta>, Error> {
        let Some(text) = self.metadata_text()? else {
            return Ok(None);
        };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| Error::Metadata {
                why: error.to_string(),
            })
    }

    /// Object metadata as the JSON text that travels, if the event carries any. Empty text is none.
    ///
    /// # Errors
    /// Not text.
    pub fn metadata_text(&self) -> Result<Option<&str>, Error> {
        Ok(self
            .optional(name::METADATA, Attribute::as_str)?
            .filter(|text| !text.is_empty()))
    }

    /// When deletion was asked for; present means that the resource is to go. Text is accepted.
    ///
    /// # Errors
    /// Not a time.
    pub fn deletion_timestamp(&self) -> Result<Option<Timestamp>, Error> {
        self.optional(name::DELETION_TIMESTAMP, Attribute::as_time)
    }

    /// Position of a status event.
    ///
    /// # Errors
    /// Missing, not text, or not a sequence id.
    pub fn sequence_id(&self) -> Result<SequenceId, Error> {
        Ok(self.text(name::SEQUENCE_ID)?.parse::<SequenceId>()?)
    }

    /// Hash of the status, if the event carries one.
    ///
    /// # Errors
    /// Not text.
    pub fn status_hash(&self) -> Result<Option<&str>, Error> {
        self.optional(name::STATUS_HASH, Attribute::as_str)
    }

    /// Log tracing annotations. What can't be read is left out: tracing never stops an event.
    #[must_use]
    pub fn log_tracing(&self) -> BTreeMap<String, String> {
        let Some(Attribute::String(text)) = self.extensions.get(name::LOG_TRACING) else {
            return BTreeMap::new();
        };
        let mut found: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        found.retain(|key, _| key.starts_with(manifestwork::constants::LOG_TRACING_PREFIX));
        found
    }

    fn text(&self, name: &'static str) -> Result<&str, Error> {
        self.required(name, Attribute::as_str)
    }

    fn required<'a, T>(
        &'a self,
        name: &'static str,
        read: impl FnOnce(&'a Attribute) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.optional(name, read)?.ok_or_else(|| Error::Extension {
            name,
            why: "invalid CloudEvents value: <nil>".to_owned(),
        })
    }

    fn optional<'a, T>(
        &'a self,
        name: &'static str,
        read: impl FnOnce(&'a Attribute) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        self.extensions
            .get(name)
            .map(read)
            .transpose()
            .map_err(|why| Error::Extension { name, why })
    }
}
