//! Records as JSON, a line for each.
//!
//! ```json
//! {"Type":"SnapshotHeader","Data":{"Version":1,"ID":"2-21-1795219762088",…}}
//! {"Type":"KVS","Data":{"CreateIndex":7,"Flags":0,"Key":"a","LockIndex":0,"ModifyIndex":7,"Session":"","Value":"MQ=="}}
//! ```
//!
//! Fields are those of the record, in its order. Times are in the form of RFC 3339, durations in
//! nanoseconds, values of keys in base64 as in Consul's API. Text that is not UTF-8 is
//! `{"$base64":"/w=="}`, so that it cannot be taken for text that looks like it. What is protobuf inside
//! (peerings, resources) is not taken apart.

mod redact;
mod time;

pub use redact::{HIDDEN, Redact};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kind::Kind;
use crate::meta::Meta;
use crate::msgpack::{Map, Value};
use crate::shape::Entry;
use crate::state::Record;

/// Appends the first line.
///
/// # Errors
/// None that is known: JSON can say all there is in it.
pub fn write_header(out: &mut Vec<u8>, meta: &Meta) -> Result<(), serde_json::Error> {
    out.extend_from_slice(br#"{"Type":"SnapshotHeader","Data":"#);
    serde_json::to_writer(&mut *out, meta)?;
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Appends the line of a record, without its secrets unless they are to be shown.
pub fn write_record(out: &mut Vec<u8>, record: &Record<'_>, redact: &Redact) {
    out.extend_from_slice(br#"{"Type":"#);
    write_text(out, record.kind.to_string().as_bytes());
    out.extend_from_slice(br#","Data":"#);
    let mut writer = Writer { out, kind: record.kind, redact };
    writer.record(record.value());
    out.extend_from_slice(b"}\n");
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    kind: Kind,
    redact: &'a Redact,
}

/// Where in a record a value is.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The name of the map it is in; none on the first level.
    within: &'a [u8],
    /// Its own name; an element of a list has its list's.
    name: &'a [u8],
    /// Whether it is on the first level of its record.
    first_level: bool,
}

impl Writer<'_> {
    fn record(&mut self, value: Value<'_>) {
        if self.redact.hides_all(self.kind, value) {
            return self.hidden();
        }
        match (self.kind, value) {
            (Kind::KVS | Kind::TOMBSTONE, Value::Map(map)) => self.key(map),
            (Kind::CONFIG_ENTRY, _) => match Entry::read(value) {
                Ok(entry) => self.config_entry(&entry),
                Err(_) => self.value(value, Place::FIRST),
            },
            (Kind::SYSTEM_METADATA, Value::Map(map)) => {
                let hides = self.redact.hides_system_metadata(map.get("Key"));
                self.fields(map, |writer, name, value| {
                    if name == b"Value" && hides {
                        writer.hidden();
                    } else {
                        writer.field(b"", name, value, true);
                    }
                });
            }
            (_, Value::Map(map)) => {
                self.fields(map, |writer, name, value| writer.field(b"", name, value, true));
            }
            _ => self.value(value, Place::FIRST),
        }
    }

    /// A key: its value is bytes whatever it looks like, and only its prefix says whether it is a secret.
    fn key(&mut self, map: Map<'_>) {
        let hides = self.redact.hides_key(map.get("Key").bytes().unwrap_or_default());
        self.fields(map, |writer, name, value| match (name, value) {
            (b"Value", Value::Bytes(bytes)) if hides && !bytes.is_empty() => writer.hidden(),
            (b"Value", Value::Bytes(bytes)) => writer.base64(bytes),
            (_, Value::Bytes(bytes)) => writer.bytes(bytes),
            _ => writer.value(value, Place { within: b"", name, first_level: true }),
        });
    }

    /// A request, with the entry in it unwrapped.
    fn config_entry(&mut self, entry: &Entry<'_>) {
        self.fields(entry.request, |writer, name, value| {
            let value = if name == b"Entry" { Value::Map(entry.entry) } else { value };
            writer.field(b"", name, value, false);
        });
    }

    fn fields(&mut self, map: Map<'_>, mut write: impl FnMut(&mut Self, &[u8], Value<'_>)) {
        self.out.push(b'{');
        for (at, (name, value)) in map.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            let name = match name {
                Value::Bytes(name) => name.to_vec(),
                Value::Unsigned(number) => number.to_string().into_bytes(),
                Value::Negative(number) => number.to_string().into_bytes(),
                other => other.type_name().as_bytes().to_vec(),
            };
            write_text(self.out, &name);
            self.out.push(b':');
            write(self, &name, value);
        }
        self.out.push(b'}');
    }

    fn field(&mut self, within: &[u8], name: &[u8], value: Value<'_>, first_level: bool) {
        if self.redact.hides(self.kind, within, name, value, first_level) {
            self.hidden();
        } else {
            self.value(value, Place { within, name, first_level });
        }
    }

    fn value(&mut self, value: Value<'_>, place: Place<'_>) {
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Unsigned(number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Negative(number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(number) => match serde_json::Number::from_f64(number) {
                Some(number) => self.out.extend_from_slice(number.to_string().as_bytes()),
                // JSON knows no infinity.
                None => self.out.extend_from_slice(b"null"),
            },
            Value::Bytes(bytes) if place.first_level && place.name == b"Hash" && self.kind.has_hash() => {
                self.base64(bytes);
            }
            Value::Bytes(bytes) => match time::rfc3339(bytes) {
                Some(text) => write_text(self.out, text.as_bytes()),
                None => self.bytes(&self.redact.without_passwords(bytes)),
            },
            Value::List(list) => {
                self.out.push(b'[');
                for (at, value) in list.enumerate() {
                    if at > 0 {
                        self.out.push(b',');
                    }
                    if self.redact.hides(self.kind, place.within, place.name, value, false) {
                        self.hidden();
                    } else {
                        self.value(value, place);
                    }
                }
                self.out.push(b']');
            }
            Value::Map(map) => {
                self.fields(map, |writer, name, value| writer.field(place.name, name, value, false));
            }
            Value::Extension(number, bytes) => {
                self.out.extend_from_slice(format!(r#"{{"$extension":{number},"$base64":"#).as_bytes());
                self.base64(bytes);
                self.out.push(b'}');
            }
        }
    }

    /// Text, or bytes that cannot be taken for text.
    fn bytes(&mut self, bytes: &[u8]) {
        if std::str::from_utf8(bytes).is_ok() {
            write_text(self.out, bytes);
        } else {
            self.out.extend_from_slice(br#"{"$base64":"#);
            self.base64(bytes);
            self.out.push(b'}');
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        self.out.push(b'"');
    }

    fn hidden(&mut self) {
        write_text(self.out, HIDDEN.as_bytes());
    }
}

impl Place<'_> {
    const FIRST: Self = Self { within: b"", name: b"", first_level: false };
}

impl Kind {
    /// Whether its `Hash` is bytes.
    fn has_hash(self) -> bool {
        matches!(self, Self::ACL_TOKEN | Self::ACL_POLICY | Self::ACL_ROLE)
    }
}

/// A JSON string; what is not UTF-8 becomes a replacement character.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let length = out.len();
    if serde_json::to_writer(&mut *out, &*text).is_err() {
        // Writing to memory does not fail; if it did, the line would still be JSON.
        out.truncate(length);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Data, StateBuilder, kv};
    use crate::state::RecordReader;

    fn line(kind: Kind, data: &Data, redact: &Redact) -> String {
        let state = StateBuilder::new(1).record(kind, data).finish();
        let mut out = Vec::new();
        let mut reader = RecordReader::new(&state[..]).unwrap();
        write_record(&mut out, &reader.next().unwrap().unwrap(), redact);
        let text = String::from_utf8(out).unwrap();
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
        assert!(parsed.is_ok(), "{text}");
        text.trim_end().to_owned()
    }

    fn shown() -> Redact {
        Redact { reveal: true, ..Redact::default() }
    }

    #[test]
    fn values_of_keys_are_base64_and_what_is_no_text_is_marked() {
        assert_eq!(
            line(Kind::KVS, &kv(b"a\xff", b"1", 3, ""), &Redact::default()),
            r#"{"Type":"KVS","Data":{"CreateIndex":1,"Flags":3,"Key":{"$base64":"Yf8="},"LockIndex":0,"ModifyIndex":1,"Session":"","Value":"MQ=="}}"#
        );
        // Fifteen bytes that would be a time elsewhere are none as a key.
        let key = b"\x01\0\0\0\x0e\xe2\x95\n\x88\x10_\xd2;\0\0";
        assert!(line(Kind::KVS, &kv(key, b"", 0, ""), &shown()).contains(r#""Key":{"$base64""#));
    }

    #[test]
    fn times_and_all_other_types_are_readable() {
        let data = Data::map([
            ("At", Data::text(b"\x01\0\0\0\x0e\xe2\x95\n\x88\x10_\xd2;\xff\xff")),
            ("F", Data::Float(1e-5)),
            ("Inf", Data::Float(f64::INFINITY)),
            ("L", Data::List(vec![Data::Nil, Data::Bool(true), Data::Negative(-2)])),
            ("M", Data::map([("x", Data::text("\"\n"))])),
        ]);
        assert_eq!(
            line(Kind::AUTOPILOT, &data, &shown()),
            r#"{"Type":"Autopilot","Data":{"At":"2026-11-22T16:08:40.274715195Z","F":0.00001,"Inf":null,"L":[null,true,-2],"M":{"x":"\"\n"}}}"#
        );
    }

    #[test]
    fn the_first_line_is_what_the_snapshot_says_of_itself() {
        let mut out = Vec::new();
        write_header(&mut out, &Meta { id: "1-2-3".to_owned(), ..Meta::default() }).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"Type":"SnapshotHeader","Data":{"Version":0,"ID":"1-2-3","#), "{text}");
    }

    #[test]
    fn a_config_entry_is_unwrapped() {
        let mut blob = Vec::new();
        Data::text("proxy-defaults").write(&mut blob);
        let mut entry = Vec::new();
        Data::map([("Kind", Data::text("proxy-defaults")), ("api_token", Data::text("s"))]).write(&mut entry);
        Data::map([("Datacenter", Data::text("")), ("Entry", Data::Bytes(entry))]).write(&mut blob);
        assert_eq!(
            line(Kind::CONFIG_ENTRY, &Data::Bytes(blob), &Redact::default()),
            r#"{"Type":"ConfigEntry","Data":{"Datacenter":"","Entry":{"Kind":"proxy-defaults","api_token":"(hidden)"}}}"#
        );
    }
}
