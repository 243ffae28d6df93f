//! Whether a record is what its kind says, as far as a restore would find out.
//!
//! Consul decodes each record into the type of its kind and puts it into tables whose keys must be there; if
//! either fails, the restore fails and the server's process ends. What is looked at here are the types of
//! the fields on the first level (of services and checks also on the second), and the key of its table. Fields that are not known, and fields that are
//! missing, are fine: both come with other versions.
//!
//! Tried on a Consul 1.8.7, whose process ended: a key that is empty, a negative or broken number, a session or a
//! policy without a UUID, a node, an index, a role or a token without what it is found by, a record of
//! an unknown kind.

use std::fmt;

use crate::kind::Kind;
use crate::msgpack::{Map, Value};

/// What a field must be. Nil is fine wherever it is not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    /// Text or bytes.
    Text,
    /// Text that must be there: the record is found by it.
    Name,
    /// As `Name`, and a UUID.
    Uuid,
    /// A whole number that is not negative.
    Unsigned,
    /// A whole number.
    Whole,
    Bool,
    List,
    Map,
    /// A map with these fields, among others.
    Fields(&'static [(&'static str, Self)]),
}

use Field::{Bool, List as Many, Map as Pairs, Name, Text, Unsigned, Uuid, Whole};

/// What a record of a kind is.
enum Shape {
    /// A map with these fields, among others.
    Fields(&'static [(&'static str, Field)]),
    /// Several values.
    Many,
    /// Bytes that are not MessagePack.
    Opaque,
    /// A kind's name and a map, in bytes of their own.
    Entry,
    /// Nothing is known of it.
    Any,
}

const KEY: Shape = Shape::Fields(&[
    ("CreateIndex", Unsigned),
    ("Flags", Unsigned),
    ("Key", Name),
    ("LockIndex", Unsigned),
    ("ModifyIndex", Unsigned),
    ("Session", Text),
    ("Value", Text),
]);

const SERVICE: Field = Field::Fields(&[
    ("Address", Text),
    ("Connect", Pairs),
    ("CreateIndex", Unsigned),
    ("EnableTagOverride", Bool),
    ("ID", Text),
    ("Kind", Text),
    ("Meta", Pairs),
    ("ModifyIndex", Unsigned),
    ("Port", Whole),
    ("Proxy", Pairs),
    ("Service", Text),
    ("TaggedAddresses", Pairs),
    ("Tags", Many),
    ("Weights", Pairs),
]);

const CHECK: Field = Field::Fields(&[
    ("CheckID", Text),
    ("CreateIndex", Unsigned),
    ("Definition", Pairs),
    ("ModifyIndex", Unsigned),
    ("Name", Text),
    ("Node", Text),
    ("Notes", Text),
    ("Output", Text),
    ("ServiceID", Text),
    ("ServiceName", Text),
    ("ServiceTags", Many),
    ("Status", Text),
    ("Type", Text),
]);

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::KVS | Kind::TOMBSTONE => KEY,
        Kind::REGISTER => Shape::Fields(&[
            ("Address", Text),
            ("Check", CHECK),
            ("Checks", Many),
            ("CreateIndex", Unsigned),
            ("Datacenter", Text),
            ("ID", Text),
            ("ModifyIndex", Unsigned),
            ("Node", Name),
            ("NodeMeta", Pairs),
            ("Service", SERVICE),
            ("SkipNodeUpdate", Bool),
            ("TaggedAddresses", Pairs),
        ]),
        Kind::SESSION => Shape::Fields(&[
            ("Behavior", Text),
            ("Checks", Many),
            ("CreateIndex", Unsigned),
            ("ID", Uuid),
            ("LockDelay", Whole),
            ("ModifyIndex", Unsigned),
            ("Name", Text),
            ("Node", Text),
            ("NodeChecks", Many),
            ("ServiceChecks", Many),
            ("TTL", Text),
        ]),
        // The oldest tokens have no accessor.
        Kind::ACL_TOKEN => Shape::Fields(&[
            ("AccessorID", Text),
            ("CreateIndex", Unsigned),
            ("Description", Text),
            ("Local", Bool),
            ("ModifyIndex", Unsigned),
            ("Policies", Many),
            ("Roles", Many),
            ("SecretID", Name),
        ]),
        Kind::ACL_POLICY => {
            Shape::Fields(&[("Datacenters", Many), ("ID", Uuid), ("Name", Name), ("Rules", Text)])
        }
        Kind::ACL_ROLE => Shape::Fields(&[("ID", Uuid), ("Name", Name), ("Policies", Many)]),
        Kind::ACL_BINDING_RULE => Shape::Fields(&[("AuthMethod", Name), ("ID", Uuid)]),
        Kind::ACL_AUTH_METHOD => Shape::Fields(&[("Config", Pairs), ("Name", Name), ("Type", Text)]),
        Kind::LEGACY_ACL => Shape::Fields(&[("ID", Name), ("Name", Text), ("Rules", Text)]),
        Kind::PREPARED_QUERY => {
            Shape::Fields(&[("DNS", Pairs), ("ID", Uuid), ("Name", Text), ("Service", Pairs)])
        }
        Kind::INTENTION => Shape::Fields(&[("DestinationName", Text), ("ID", Uuid), ("SourceName", Text)]),
        Kind::CA_ROOT => Shape::Fields(&[("Active", Bool), ("ID", Name), ("RootCert", Text)]),
        Kind::CA_PROVIDER_STATE => Shape::Fields(&[("ID", Name), ("PrivateKey", Text)]),
        Kind::CA_CONFIG => Shape::Fields(&[("Config", Pairs), ("Provider", Text)]),
        Kind::INDEX => Shape::Fields(&[("Key", Name), ("Value", Unsigned)]),
        Kind::FEDERATION_STATE => Shape::Fields(&[("State", Pairs)]),
        Kind::SYSTEM_METADATA => Shape::Fields(&[("Key", Name), ("Value", Text)]),
        Kind::CHUNKING_STATE => Shape::Fields(&[("ChunkMap", Pairs)]),
        Kind::AUTOPILOT | Kind::SERVICE_VIRTUAL_IP | Kind::FREE_VIRTUAL_IP => Shape::Fields(&[]),
        Kind::COORDINATES => Shape::Many,
        Kind::CONFIG_ENTRY => Shape::Entry,
        Kind::PEERING | Kind::PEERING_TRUST_BUNDLE | Kind::PEERING_SECRET | Kind::RESOURCE => Shape::Opaque,
        _ => Shape::Any,
    }
}

/// Says what is wrong with a record whose bytes are one well-formed value.
pub(crate) fn check(kind: Kind, bytes: &[u8]) -> Result<(), String> {
    let shape = shape(kind);
    if matches!(shape, Shape::Any) {
        return Ok(());
    }
    let value = Value::of_whole(bytes).unwrap_or(Value::Nil);
    match (shape, value) {
        (Shape::Any, _) | (Shape::Many, Value::List(_)) | (Shape::Opaque, Value::Bytes(_)) => Ok(()),
        (Shape::Fields(fields), Value::Map(map)) => check_fields(fields, map),
        (Shape::Entry, _) => Entry::read(value).map(drop),
        (Shape::Fields(_), other) => Err(format!("it is {}, not a map", other.type_name())),
        (Shape::Many, other) => Err(format!("it is {}, not a list", other.type_name())),
        (Shape::Opaque, other) => Err(format!("it is {}, not bytes", other.type_name())),
    }
}

fn check_fields(fields: &[(&'static str, Field)], map: Map<'_>) -> Result<(), String> {
    // One bit for each field that has to be there and was.
    let mut seen = 0_u32;
    let mut next = 0;
    for (name, value) in map {
        let Value::Bytes(name) = name else {
            return Err(format!("a field has {} for a name", name.type_name()));
        };
        // Both are in the order of their names: most often it is the next one.
        let is_it = |(known, _): &(&str, Field)| known.as_bytes() == name;
        let place = if fields.get(next).is_some_and(is_it) {
            next
        } else {
            let Some(place) = fields.iter().position(is_it) else { continue };
            place
        };
        next = place + 1;
        let Some((name, field)) = fields.get(place) else { continue };
        if !field.takes(value) {
            return Err(format!("`{name}` is {}, not {field}", Shown(value)));
        }
        if let (Field::Fields(fields), Value::Map(map)) = (field, value) {
            check_fields(fields, map).map_err(|what| format!("in `{name}`: {what}"))?;
        }
        seen |= 1 << place;
    }
    for (place, (name, field)) in fields.iter().enumerate() {
        if matches!(field, Name | Uuid) && seen & (1 << place) == 0 {
            return Err(format!("`{name}` is missing"));
        }
    }
    Ok(())
}

impl Field {
    fn takes(self, value: Value<'_>) -> bool {
        match (self, value) {
            (Name | Uuid, Value::Nil) => false,
            (Name, Value::Bytes(bytes)) => !bytes.is_empty(),
            (Uuid, Value::Bytes(bytes)) => is_uuid(bytes),
            (_, Value::Nil)
            | (Text, Value::Bytes(_))
            | (Unsigned | Whole, Value::Unsigned(_))
            | (Whole, Value::Negative(_))
            | (Bool, Value::Bool(_))
            | (Many, Value::List(_))
            | (Pairs | Self::Fields(_), Value::Map(_)) => true,
            _ => false,
        }
    }
}

/// Its length, and that the rest of it is of sixteen bytes: what Consul's index asks for.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Text => "text",
            Name => "text that says something",
            Uuid => "a UUID",
            Unsigned => "a number that is not negative",
            Whole => "a whole number",
            Bool => "a truth value",
            Many => "a list",
            Pairs | Self::Fields(_) => "a map",
        })
    }
}

/// What a value is, for a message; not what it says.
struct Shown<'a>(Value<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bytes([]) => f.write_str("empty text"),
            other => f.write_str(other.type_name()),
        }
    }
}

/// A config entry: a kind and a request, one after the other in bytes of their own. The entry in the
/// request may be wrapped once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) request: Map<'a>,
    pub(crate) entry: Map<'a>,
}

impl<'a> Entry<'a> {
    pub(crate) fn read(value: Value<'a>) -> Result<Self, String> {
        let Value::Bytes(bytes) = value else {
            return Err(format!("it is {}, not bytes", value.type_name()));
        };
        let (kind, rest) = Value::read_first(bytes).map_err(|flaw| format!("its kind: {flaw}"))?;
        let Value::Bytes(kind) = kind else {
            return Err(format!("its kind is {}", kind.type_name()));
        };
        if kind.is_empty() {
            return Err("its kind is empty".to_owned());
        }
        let request = match Value::read(rest).map_err(|flaw| format!("its request: {flaw}"))? {
            Value::Map(request) => request,
            other => return Err(format!("its request is {}, not a map", other.type_name())),
        };
        let entry = match request.get("Entry") {
            Value::Map(entry) => entry,
            Value::Bytes(wrapped) => match Value::read(wrapped) {
                Ok(Value::Map(entry)) => entry,
                Ok(other) => return Err(format!("its entry is {}, not a map", other.type_name())),
                Err(flaw) => return Err(format!("its entry: {flaw}")),
            },
            other => return Err(format!("its entry is {}, not a map", other.type_name())),
        };
        Ok(Self { kind, request, entry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_kill_a_server_is_told_by_field() {
        let check = |kind, bytes: &[u8]| check(kind, bytes).unwrap_err();
        assert_eq!(check(Kind::KVS, b"\xc0"), "it is nil, not a map");
        assert_eq!(check(Kind::KVS, b"\x80"), "`Key` is missing");
        assert_eq!(check(Kind::KVS, b"\x81\xa3Key\xa0"), "`Key` is empty text, not text that says something");
        assert_eq!(
            check(Kind::KVS, b"\x82\xa3Key\xa1k\xa5Flags\xff"),
            "`Flags` is a negative number, not a number that is not negative"
        );
        assert_eq!(check(Kind::SESSION, b"\x81\xa2ID\xa1x"), "`ID` is text, not a UUID");
        let check_port = b"\x82\xa4Node\xa1n\xa7Service\x81\xa4Port\xa280";
        assert_eq!(check(Kind::REGISTER, check_port), "in `Service`: `Port` is text, not a whole number");
        assert_eq!(check(Kind::COORDINATES, b"\x80"), "it is a map, not a list");
        assert_eq!(check(Kind::CONFIG_ENTRY, b"\xa2\xa1x"), "its request: the bytes end within a value");
        assert_eq!(check(Kind::RESOURCE, b"\x80"), "it is a map, not bytes");
    }

    #[test]
    fn what_another_version_leaves_out_or_adds_is_fine() {
        assert_eq!(check(Kind::KVS, b"\x82\xa3Key\xa1k\xa3New\x90"), Ok(()));
        assert_eq!(check(Kind::KVS, b"\x82\xa3Key\xa1k\xa5Value\xc0"), Ok(()));
        assert_eq!(check(Kind::new(99), b"\xc0"), Ok(()));
    }
}
