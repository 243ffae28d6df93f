//! The fields of records that are asked for, borrowed from them. A record that is not of the kind, or
//! lacks what it is found by, gives nothing.

use crate::kind::Kind;
use crate::msgpack::{Map, Value};
use crate::shape;
use crate::state::Record;

/// A key with its value.
#[derive(Clone, Copy)]
pub struct Kv<'a> {
    /// The key; it need not be UTF-8.
    pub key: &'a [u8],
    /// The value; any bytes.
    pub value: &'a [u8],
    /// A number that goes with the value and means what its writer wants.
    pub flags: u64,
    /// How often it was locked.
    pub lock_index: u64,
    /// The session that holds it; empty if none does.
    pub session: &'a [u8],
    /// When it was made.
    pub create_index: u64,
    /// When it was last changed.
    pub modify_index: u64,
}

/// A session.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// Its UUID.
    pub id: &'a [u8],
    /// What it was called; may be empty.
    pub name: &'a [u8],
    /// The node it is bound to.
    pub node: &'a [u8],
    /// `release` or `delete`: what becomes of the keys it holds.
    pub behavior: &'a [u8],
    /// How long it lives without being renewed, such as `60s`; may be empty.
    pub ttl: &'a [u8],
}

/// A node, or one of its services or checks.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The node's name.
    pub node: &'a [u8],
    /// Its address.
    pub address: &'a [u8],
    /// What of the node the record is about.
    pub of: Registered<'a>,
}

/// What a [`Registration`] is about.
#[derive(Clone, Copy, Debug)]
pub enum Registered<'a> {
    /// The node itself.
    Node,
    /// A service on it.
    Service {
        /// What it is found by on its node.
        id: &'a [u8],
        /// What it is called.
        name: &'a [u8],
        /// All of it.
        fields: Map<'a>,
    },
    /// A check on it.
    Check {
        /// What it is found by on its node.
        id: &'a [u8],
        /// `passing`, `warning` or `critical`.
        status: &'a [u8],
        /// All of it.
        fields: Map<'a>,
    },
}

/// A token, without its secret.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// What it is called in public; the oldest tokens have none.
    pub accessor: &'a [u8],
    /// What it is for.
    pub description: &'a [u8],
}

/// A config entry.
#[derive(Clone, Copy, Debug)]
pub struct ConfigEntry<'a> {
    /// Its kind, such as `service-defaults`.
    pub kind: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
    /// All of it.
    pub fields: Map<'a>,
}

impl<'a> Kv<'a> {
    /// Reads a key. Tombstones have the same fields; see [`Self::of_tombstone`].
    #[must_use]
    pub fn of(record: &Record<'a>) -> Option<Self> {
        (record.kind == Kind::KVS).then(|| Self::read(record)).flatten()
    }

    /// Reads a deleted key, of which only `key` and `modify_index` say something.
    #[must_use]
    pub fn of_tombstone(record: &Record<'a>) -> Option<Self> {
        (record.kind == Kind::TOMBSTONE).then(|| Self::read(record)).flatten()
    }

    fn read(record: &Record<'a>) -> Option<Self> {
        let [key, value, flags, lock, session, create, modify] = record.map()?.pick([
            "Key",
            "Value",
            "Flags",
            "LockIndex",
            "Session",
            "CreateIndex",
            "ModifyIndex",
        ]);
        Some(Self {
            key: key.bytes()?,
            value: value.bytes()?,
            flags: flags.unsigned()?,
            lock_index: lock.unsigned()?,
            session: session.bytes()?,
            create_index: create.unsigned()?,
            modify_index: modify.unsigned()?,
        })
    }
}

impl std::fmt::Debug for Kv<'_> {
    /// Leaves the value out: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kv({}, {} bytes)", String::from_utf8_lossy(self.key), self.value.len())
    }
}

impl<'a> Session<'a> {
    /// Reads a session.
    #[must_use]
    pub fn of(record: &Record<'a>) -> Option<Self> {
        let map = (record.kind == Kind::SESSION).then(|| record.map()).flatten()?;
        let [id, name, node, behavior, ttl] = map.pick(["ID", "Name", "Node", "Behavior", "TTL"]);
        Some(Self {
            id: id.bytes()?,
            name: name.bytes()?,
            node: node.bytes()?,
            behavior: behavior.bytes()?,
            ttl: ttl.bytes()?,
        })
    }
}

impl<'a> Registration<'a> {
    /// Reads what is registered.
    #[must_use]
    pub fn of(record: &Record<'a>) -> Option<Self> {
        let map = (record.kind == Kind::REGISTER).then(|| record.map()).flatten()?;
        let [node, address, service, check] = map.pick(["Node", "Address", "Service", "Check"]);
        let of = if let Value::Map(fields) = service {
            let [id, name] = fields.pick(["ID", "Service"]);
            let (id, name) = (id.bytes()?, name.bytes()?);
            Registered::Service { id: if id.is_empty() { name } else { id }, name, fields }
        } else if let Value::Map(fields) = check {
            let [id, status] = fields.pick(["CheckID", "Status"]);
            Registered::Check { id: id.bytes()?, status: status.bytes()?, fields }
        } else {
            Registered::Node
        };
        Some(Self { node: node.bytes()?, address: address.bytes()?, of })
    }
}

impl<'a> Token<'a> {
    /// Reads a token.
    #[must_use]
    pub fn of(record: &Record<'a>) -> Option<Self> {
        let map = (record.kind == Kind::ACL_TOKEN).then(|| record.map()).flatten()?;
        let [accessor, description] = map.pick(["AccessorID", "Description"]);
        Some(Self { accessor: accessor.bytes()?, description: description.bytes()? })
    }
}

impl<'a> ConfigEntry<'a> {
    /// Reads a config entry.
    #[must_use]
    pub fn of(record: &Record<'a>) -> Option<Self> {
        if record.kind != Kind::CONFIG_ENTRY {
            return None;
        }
        let entry = shape::Entry::read(record.value()).ok()?;
        let name = entry.entry.get("Name").bytes()?;
        Some(Self { kind: entry.kind, name, fields: entry.entry })
    }
}
