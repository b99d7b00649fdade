//! How Kubernetes writes things that serde would write differently: `null` for "nothing", times with whole seconds.

use serde::{Deserialize, Deserializer, Serializer};

/// Reads `null` as the default value, as Go does for slices, maps and strings.
///
/// # Errors
/// The value's own errors.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// True for the zero that Go's `omitempty` leaves out.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
#[must_use]
pub fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// `Option<Timestamp>` as `metav1.Time`: RFC 3339 in UTC with whole seconds, `null` or absent for none.
pub mod seconds {
    use jiff::Timestamp;

    use super::{Deserialize, Deserializer, Serializer};

    /// Text of a time as `metav1.Time` writes it.
    #[must_use]
    pub fn to_string(time: Timestamp) -> String {
        // jiff leaves the fraction out when it is zero.
        Timestamp::from_second(time.as_nanosecond().div_euclid(1_000_000_000) as i64)
            .unwrap_or(time)
            .to_string()
    }

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&to_string(*time)),
            None => serializer.serialize_none(),
        }
    }

    /// Any RFC 3339 time, any offset, with or without a fraction; `null` and `""` are none.
    ///
    /// # Errors
    /// Text that is not a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text.parse::<Timestamp>().map(Some).map_err(|error| {
                serde::de::Error::custom(format!("{text:?} is not an RFC 3339 time: {error}"))
            }),
        }
    }
}
