//! Events to protobuf and back.

use bytes::Bytes;
use jiff::Timestamp;
use prost_types::Timestamp as ProtoTimestamp;

use crate::{
    Attribute, Error, Event,
    event::SPEC_VERSION,
    proto::{self, CloudEventAttributeValue, cloud_event::Data, cloud_event_attribute_value::Attr},
    stored,
};

const PREFIX: &str = "ce-";
const CONTENT_TYPE: &str = "contenttype";
const STRUCTURED: &str = "application/cloudevents";
const READABLE_VERSIONS: [&str; 2] = ["1.0", "0.3"];

impl From<Event> for proto::CloudEvent {
    fn from(event: Event) -> Self {
        let mut attributes: std::collections::BTreeMap<_, _> = event
            .extensions
            .into_iter()
            .map(|(name, value)| (format!("{PREFIX}{name}"), value.into()))
            .collect();
        let mut standard = |key: String, value: Option<Attribute>| {
            if let Some(value) = value {
                attributes.insert(key, value.into());
            }
        };
        let text =
            |value: Option<String>| value.filter(|text| !text.is_empty()).map(Attribute::String);
        standard(CONTENT_TYPE.to_owned(), text(event.content_type));
        standard(format!("{PREFIX}subject"), text(event.subject));
        standard(format!("{PREFIX}dataschema"), text(event.data_schema));
        standard(
            format!("{PREFIX}time"),
            event.time.map(Attribute::Timestamp),
        );
        Self {
            id: event.id,
            source: event.source,
            spec_version: SPEC_VERSION.to_owned(),
            r#type: event.event_type.to_string(),
            attributes,
            data: event
                .data
                .filter(|data| !data.is_empty())
                .map(Data::BinaryData),
        }
    }
}

impl From<&Event> for proto::CloudEvent {
    fn from(event: &Event) -> Self {
        event.clone().into()
    }
}

impl TryFrom<proto::CloudEvent> for Event {
    type Error = Error;

    /// Reads both modes: attributes beside the data (the one that is written), or a whole event as JSON.
    fn try_from(message: proto::CloudEvent) -> Result<Self, Error> {
        if message.attributes.is_empty() {
            return Err(Error::UnknownEncoding);
        }
        let content_type = match message
            .attributes
            .get(CONTENT_TYPE)
            .map(|value| &value.attr)
        {
            None => None,
            Some(Some(Attr::CeString(text))) => Some(text.as_str()),
            Some(None) => {
                return Err(Error::EmptyAttribute {
                    key: CONTENT_TYPE.to_owned(),
                });
            }
            Some(Some(_)) => {
                return Err(invalid(CONTENT_TYPE, "it must be text"));
            }
        };
        if content_type.is_some_and(|text| text.starts_with(STRUCTURED)) {
            let data = match &message.data {
                Some(Data::BinaryData(data)) => data.as_ref(),
                _ => &[],
            };
            let text = std::str::from_utf8(data).map_err(|error| Error::Structured {
                why: error.to_string(),
            })?;
            return stored::from_str(text);
        }
        if !READABLE_VERSIONS.contains(&message.spec_version.as_str()) {
            return Err(Error::UnknownEncoding);
        }
        binary(message)
    }
}

fn binary(message: proto::CloudEvent) -> Result<Event, Error> {
    let proto::CloudEvent {
        mut id,
        mut source,
        r#type: mut event_type,
        attributes,
        data,
        ..
    } = message;
    let (mut time, mut content_type, mut data_schema, mut subject) = (None, None, None, None);
    let mut extensions = std::collections::BTreeMap::new();
    for (key, value) in attributes {
        if key == CONTENT_TYPE {
            if let Some(Attr::CeString(text)) = value.attr {
                content_type = Some(text).filter(|text| !text.is_empty());
            }
            continue;
        }
        let Some(name) = key.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            continue;
        };
        let Some(attr) = value.attr else {
            return Err(Error::EmptyAttribute { key });
        };
        let value = attribute(&key, attr)?;
        let text = || {
            value
                .as_str()
                .map(str::to_owned)
                .map_err(|why| invalid(&key, why))
        };
        match name.as_str() {
            "id" => id = text()?,
            "source" => source = text()?,
            "type" => event_type = text()?,
            "specversion" => {}
            "time" => time = Some(value.as_time().map_err(|why| invalid(&key, why))?),
            "subject" => subject = Some(text()?).filter(|text| !text.is_empty()),
            "datacontenttype" => content_type = Some(text()?).filter(|text| !text.is_empty()),
            "dataschema" => match value {
                Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text) => {
                    data_schema = Some(text).filter(|text| !text.is_empty());
                }
                _ => return Err(invalid(&key, "it must be a URI")),
            },
            name => {
                extensions.insert(extension_name(name)?, value);
            }
        }
    }
    Ok(Event {
        id,
        source,
        event_type: event_type.parse()?,
        time,
        content_type: not_an_event(content_type)?,
        data_schema,
        subject,
        extensions,
        data: match data {
            Some(Data::BinaryData(data)) if !data.is_empty() => Some(own(&data)),
            _ => None,
        },
    })
}

/// A copy: what was decoded is a part of the buffer of its message, with all that its event has nothing of, and would keep
/// the whole of it for as long as the event lives.
fn own(part: &Bytes) -> Bytes {
    Bytes::copy_from_slice(part)
}

/// Lower-case name of an extension: letters and digits only, and none of the names that the JSON form has for other things.
pub(crate) fn extension_name(name: &str) -> Result<String, Error> {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let lower = name.to_ascii_lowercase();
    if !plain || stored::STANDARD_KEYS.contains(&lower.as_str()) {
        return Err(Error::ExtensionName {
            name: name.to_owned(),
        });
    }
    Ok(lower)
}

/// The content type of an event's data, which may not be an event again: the next reader would take the data for the event, with
/// a source and a resource that nobody has checked.
pub(crate) fn not_an_event(content_type: Option<String>) -> Result<Option<String>, Error> {
    match content_type {
        Some(text) if text.starts_with(STRUCTURED) => Err(invalid(
            CONTENT_TYPE,
            "the data of an event can't be an event",
        )),
        other => Ok(other),
    }
}

fn invalid(key: &str, why: impl Into<String>) -> Error {
    Error::InvalidAttribute {
        key: key.to_owned(),
        why: why.into(),
    }
}

fn attribute(key: &str, attr: Attr) -> Result<Attribute, Error> {
    Ok(match attr {
        Attr::CeBoolean(truth) => Attribute::Bool(truth),
        Attr::CeInteger(number) => Attribute::Int(number),
        Attr::CeString(text) => Attribute::String(text),
        Attr::CeBytes(bytes) => Attribute::Bytes(own(&bytes)),
        Attr::CeUri(text) => Attribute::Uri(text),
        Attr::CeUriRef(text) => Attribute::UriRef(text),
        Attr::CeTimestamp(ProtoTimestamp { seconds, nanos }) => Attribute::Timestamp(
            Timestamp::new(seconds, nanos).map_err(|_| invalid(key, "the time is out of range"))?,
        ),
    })
}

impl From<Attribute> for CloudEventAttributeValue {
    fn from(value: Attribute) -> Self {
        let attr = match value {
            Attribute::Bool(truth) => Attr::CeBoolean(truth),
            Attribute::Int(number) => Attr::CeInteger(number),
            Attribute::String(text) => Attr::CeString(text),
            Attribute::Bytes(bytes) => Attr::CeBytes(bytes),
            Attribute::Uri(text) => Attr::CeUri(text),
            Attribute::UriRef(text) => Attr::CeUriRef(text),
            Attribute::Timestamp(time) => {
                // protobuf counts nanoseconds forward, also before 1970.
                let nanos = time.as_nanosecond();
                let seconds = nanos.div_euclid(1_000_000_000);
                let nanos = nanos.rem_euclid(1_000_000_000);
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "a timestamp's seconds fit 64 bits, the rest 32"
                )]
                Attr::CeTimestamp(ProtoTimestamp {
                    seconds: seconds as i64,
                    nanos: nanos as i32,
                })
            }
        };
        Self { attr: Some(attr) }
    }
}
