//! The forms in which Consul writes values in JSON.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// `null` for an empty list, map or text.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Bytes in base64; `null` is empty.
pub(crate) fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    deserializer.deserialize_option(Base64)
}

struct Base64;

impl<'de> Visitor<'de> for Base64 {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 or null")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        STANDARD.decode(text).map(Bytes::from).map_err(E::custom)
    }

    fn visit_none<E: de::Error>(self) -> Result<Bytes, E> {
        Ok(Bytes::new())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Bytes, E> {
        Ok(Bytes::new())
    }
}

/// A text, borrowed unless it has escapes; `null` is empty.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_option(Text)
}

/// A text, borrowed unless it has escapes; `null` and the empty text are none.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'de, str>>, D::Error> {
    text(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// Bytes as base64 text.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A duration in nanoseconds, or as Go writes it.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    optional_duration(deserializer).map(Option::unwrap_or_default)
}

/// A duration in nanoseconds or as Go writes it; `null` and the empty text are none.
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(GoDuration)
}

struct GoDuration;

impl Visitor<'_> for GoDuration {
    type Value = Option<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in nanoseconds or like 1m30s")
    }

    fn visit_u64<E: de::Error>(self, nanoseconds: u64) -> Result<Self::Value, E> {
        Ok(Some(Duration::from_nanos(nanoseconds)))
    }

    /// A negative one is taken for none: a duration that was never set.
    fn visit_i64<E: de::Error>(self, nanoseconds: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(nanoseconds).ok().map(Duration::from_nanos))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(None);
        }
        match from_go(text) {
            Some(duration) => Ok(Some(duration)),
            None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads what Go's `Duration.String` writes: `1h2m3.5s`, `250ms`, `1.5µs`.
fn from_go(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(unit);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let nanoseconds = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" | "μs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * nanoseconds / 1e9;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// A port; 0 for a number that cannot be one, which the catalog takes and keeps.
pub(crate) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = Option::<i64>::deserialize(deserializer)?;
    Ok(number.and_then(|number| u16::try_from(number).ok()).unwrap_or_default())
}

/// A duration as Go reads it, to the millisecond.
pub(crate) fn to_go(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Value {
        #[serde(default, deserialize_with = "base64")]
        bytes: Bytes,
        #[serde(default, deserialize_with = "null_is_default")]
        list: Vec<String>,
        #[serde(default, deserialize_with = "optional_duration")]
        lasts: Option<Duration>,
    }

    fn read(json: &str) -> Result<Value, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn bytes_are_bytes() {
        let bytes = |json: &str| read(json).map(|value| value.bytes);
        assert_eq!(bytes(r#"{"bytes":"/wB6"}"#).unwrap(), &b"\xff\0z"[..]);
        assert_eq!(bytes(r#"{"bytes":null}"#).unwrap(), &b""[..]);
        assert_eq!(bytes("{}").unwrap(), &b""[..]);
        assert!(bytes(r#"{"bytes":"%%%"}"#).unwrap_err().contains("Invalid"));
        assert!(bytes(r#"{"bytes":7}"#).is_err());
    }

    #[test]
    fn null_is_an_empty_list() {
        assert!(read(r#"{"list":null}"#).unwrap().list.is_empty());
        assert_eq!(read(r#"{"list":["a"]}"#).unwrap().list, ["a"]);
    }

    #[test]
    fn durations_come_as_numbers_and_as_text() {
        let lasts = |json: &str| read(json).map(|value| value.lasts);
        let of = |text: &str| lasts(&format!(r#"{{"lasts":"{text}"}}"#));
        assert_eq!(lasts(r#"{"lasts":15000000000}"#).unwrap(), Some(Duration::from_secs(15)));
        assert_eq!(lasts(r#"{"lasts":-1}"#).unwrap(), None);
        assert_eq!(lasts(r#"{"lasts":null}"#).unwrap(), None);
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("24h0m0s").unwrap(), Some(Duration::from_hours(24)));
        assert_eq!(of("1m30.5s").unwrap(), Some(Duration::from_millis(90_500)));
        assert_eq!(of("15ms").unwrap(), Some(Duration::from_millis(15)));
        assert_eq!(of("+1.5h").unwrap(), Some(Duration::from_mins(90)));
        assert_eq!(of("2µs").unwrap(), Some(Duration::from_micros(2)));
        for wrong in ["5", "s", "-1s", "5 s", "1x", "1.2.3s", "9999999999999999999h"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
