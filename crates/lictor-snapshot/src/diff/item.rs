//! What a record is for a comparison: what it is found by, what is compared, and what it is called.

use super::Aspects;
use super::digest::Keys;
use crate::kind::Kind;
use crate::msgpack::{Map, Value};
use crate::state::Record;
use crate::view::{ConfigEntry, Registered, Registration};

/// Things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A key.
    Key,
    /// A node.
    Node,
    /// A service on a node.
    Service,
    /// A check on a node.
    Check,
    /// A session.
    Session,
    /// A token.
    Token,
    /// A policy.
    Policy,
    /// A role.
    Role,
    /// A way to log in.
    AuthMethod,
    /// A rule that gives roles or services to who logs in.
    BindingRule,
    /// A config entry; since Consul 1.9 intentions are some.
    ConfigEntry,
    /// An intention as it was before Consul 1.9.
    Intention,
    /// A prepared query.
    Query,
    /// A root certificate.
    CaRoot,
}

impl What {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::Key,
        Self::Node,
        Self::Service,
        Self::Check,
        Self::Session,
        Self::Token,
        Self::Policy,
        Self::Role,
        Self::AuthMethod,
        Self::BindingRule,
        Self::ConfigEntry,
        Self::Intention,
        Self::Query,
        Self::CaRoot,
    ];

    /// Its name, for people and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Node => "node",
            Self::Service => "service",
            Self::Check => "check",
            Self::Session => "session",
            Self::Token => "token",
            Self::Policy => "policy",
            Self::Role => "role",
            Self::AuthMethod => "auth-method",
            Self::BindingRule => "binding-rule",
            Self::ConfigEntry => "config-entry",
            Self::Intention => "intention",
            Self::Query => "query",
            Self::CaRoot => "ca-root",
        }
    }
}

/// A record that is compared.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) what: What,
    /// What it is found by, among things of its kind.
    identity: [&'a [u8]; 2],
    /// Where it is: namespace, partition and peer of Consul's other edition.
    tenancy: [&'a [u8]; 3],
    name: Name<'a>,
    compared: Compared<'a>,
}

#[derive(Clone, Copy)]
enum Name<'a> {
    One(&'a [u8]),
    /// With a slash between.
    Path(&'a [u8], &'a [u8]),
    /// From one to the other.
    Arrow(&'a [u8], &'a [u8]),
}

#[derive(Clone, Copy)]
enum Compared<'a> {
    Key {
        value: &'a [u8],
        flags: u64,
        session: &'a [u8],
    },
    Fields(Map<'a>),
    /// A node's record is repeated in those of its services and checks: these fields are the node's own.
    Node(Map<'a>),
    Check(Map<'a>),
}

/// Checksums of what is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    content: u128,
    flags: u64,
    session: u64,
}

impl Content {
    pub(super) fn differs(&self, other: &Self) -> Aspects {
        Aspects {
            content: self.content != other.content,
            flags: self.flags != other.flags,
            session: self.session != other.session,
        }
    }
}

impl<'a> Item<'a> {
    pub(super) fn of(record: &Record<'a>) -> Option<Self> {
        if record.kind == Kind::CONFIG_ENTRY {
            let entry = ConfigEntry::of(record)?;
            return Some(Self {
                what: What::ConfigEntry,
                identity: [entry.kind, entry.name],
                tenancy: tenancy(entry.fields),
                name: Name::Path(entry.kind, entry.name),
                compared: Compared::Fields(entry.fields),
            });
        }
        let map = record.map()?;
        match record.kind {
            Kind::KVS => {
                let [key, value, flags, session, namespace, partition] =
                    map.pick(["Key", "Value", "Flags", "Session", "Namespace", "Partition"]);
                let (key, value, flags) = (key.bytes()?, value.bytes()?, flags.unsigned()?);
                Some(Self {
                    what: What::Key,
                    identity: [key, b""],
                    tenancy: [namespace.bytes()?, partition.bytes()?, b""],
                    name: Name::One(key),
                    compared: Compared::Key { value, flags, session: session.bytes()? },
                })
            }
            Kind::REGISTER => Self::of_registration(record, map),
            Kind::ACL_TOKEN => {
                let [accessor, secret, description] =
                    map.pick(["AccessorID", "SecretID", "Description"]).map(Value::bytes);
                // The oldest tokens have no accessor; their secret is never shown.
                let (identity, name) = match accessor? {
                    b"" => (secret?, description?),
                    accessor => (accessor, accessor),
                };
                Some(Self::named(What::Token, identity, Name::One(name), map))
            }
            Kind::INTENTION => {
                let [id, from, to] = map.pick(["ID", "SourceName", "DestinationName"]).map(Value::bytes);
                Some(Self::named(What::Intention, id?, Name::Arrow(from?, to?), map))
            }
            Kind::SESSION => Self::by_id(What::Session, map, "ID"),
            Kind::CA_ROOT => Self::by_id(What::CaRoot, map, "ID"),
            Kind::ACL_BINDING_RULE => Self::by_id(What::BindingRule, map, "ID"),
            Kind::ACL_POLICY => Self::by_id(What::Policy, map, "Name"),
            Kind::ACL_ROLE => Self::by_id(What::Role, map, "Name"),
            Kind::PREPARED_QUERY => Self::by_id(What::Query, map, "Name"),
            Kind::ACL_AUTH_METHOD => {
                let name = map.get("Name").bytes()?;
                Some(Self::named(What::AuthMethod, name, Name::One(name), map))
            }
            _ => None,
        }
    }

    /// Something that is found by its ID and called by `name`, or by its ID if it has none.
    fn by_id(what: What, map: Map<'a>, name: &'static str) -> Option<Self> {
        let [id, name] = map.pick(["ID", name]);
        // A name that is also the ID is found once.
        let (id, name) = (id.bytes()?, name.bytes()?);
        Some(Self::named(what, id, Name::One(if name.is_empty() { id } else { name }), map))
    }

    fn named(what: What, identity: &'a [u8], name: Name<'a>, map: Map<'a>) -> Self {
        let compared = Compared::Fields(map);
        Self { what, identity: [identity, b""], tenancy: tenancy(map), name, compared }
    }

    fn of_registration(record: &Record<'a>, map: Map<'a>) -> Option<Self> {
        let registration = Registration::of(record)?;
        let node = registration.node;
        let (what, id, name, compared) = match registration.of {
            Registered::Node => (What::Node, &b""[..], Name::One(node), Compared::Node(map)),
            Registered::Service { id, fields, .. } => {
                (What::Service, id, Name::Path(node, id), Compared::Fields(fields))
            }
            Registered::Check { id, fields, .. } => {
                (What::Check, id, Name::Path(node, id), Compared::Check(fields))
            }
        };
        let tenancy = match compared {
            Compared::Fields(fields) | Compared::Check(fields) => tenancy(fields),
            Compared::Node(_) | Compared::Key { .. } => tenancy(map),
        };
        Some(Self { what, identity: [node, id], tenancy, name, compared })
    }

    pub(super) fn identity(&self, keys: &Keys) -> u128 {
        let ([one, two], [namespace, partition, peer]) = (self.identity, self.tenancy);
        keys.parts(&[self.what.name().as_bytes(), one, two, namespace, partition, peer])
    }

    pub(super) fn content(&self, keys: &Keys) -> Content {
        let fields = |map, leave_out: &dyn Fn(&[u8]) -> bool| Content {
            content: keys.value(Value::Map(map), leave_out),
            flags: 0,
            session: 0,
        };
        match self.compared {
            Compared::Key { value, flags, session } => {
                let session = keys.parts(&[session]).to_be_bytes();
                let (session, _) = session.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
                Content { content: keys.parts(&[value]), flags, session: u64::from_be_bytes(*session) }
            }
            Compared::Fields(map) => fields(map, &is_index),
            Compared::Check(map) => fields(map, &|name| is_index(name) || name == b"Output"),
            Compared::Node(map) => fields(map, &|name| is_index(name) || name == b"SkipNodeUpdate"),
        }
    }

    pub(super) fn name(&self) -> Vec<u8> {
        match self.name {
            Name::One(name) => name.to_vec(),
            Name::Path(one, two) => [one, b"/", two].concat(),
            Name::Arrow(from, to) => [from, b" => ", to].concat(),
        }
    }
}

fn tenancy(map: Map<'_>) -> [&[u8]; 3] {
    map.pick(["Namespace", "Partition", "PeerName"]).map(|value| value.bytes().unwrap_or_default())
}

/// What changes when a thing is written, and is not the thing. `Hash` is made of the rest.
fn is_index(name: &[u8]) -> bool {
    matches!(name, b"CreateIndex" | b"ModifyIndex" | b"LockIndex" | b"PrimaryModifyIndex" | b"Hash")
}
