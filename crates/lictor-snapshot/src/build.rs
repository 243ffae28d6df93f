//! Making states: for tests, and for tools that want a small one.

use crate::kind::Kind;

/// Puts a state together, record by record, as Consul 1.8 would write it.
#[derive(Clone, Debug)]
pub struct StateBuilder(Vec<u8>);

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A whole number below zero.
    Negative(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<Self>),
    /// Names and values, in this order.
    Map(Vec<(Vec<u8>, Self)>),
}

impl Data {
    /// Text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Bytes(text.as_ref().to_vec())
    }

    /// A map of these fields, in this order.
    pub fn map<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Map(fields.map(|(name, value)| (name.as_bytes().to_vec(), value)).into())
    }

    /// Writes the value in MessagePack of the first version: text and bytes alike, numbers as short as
    /// they can be.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.push(0xc0),
            Self::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Self::Unsigned(value) => write_unsigned(out, *value),
            Self::Negative(value) => {
                out.push(0xd3);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Float(value) => {
                out.push(0xcb);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Bytes(bytes) => {
                write_length(out, bytes.len(), (0xa0, 31), 0xda);
                out.extend_from_slice(bytes);
            }
            Self::List(values) => {
                write_length(out, values.len(), (0x90, 15), 0xdc);
                values.iter().for_each(|value| value.write(out));
            }
            Self::Map(pairs) => {
                write_length(out, pairs.len(), (0x80, 15), 0xde);
                for (name, value) in pairs {
                    write_length(out, name.len(), (0xa0, 31), 0xda);
                    out.extend_from_slice(name);
                    value.write(out);
                }
            }
        }
    }
}

fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let (head, width) = match value {
        0..=0x7f => return out.extend_from_slice(&bytes[7..]),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        _ => (0xcf, 8),
    };
    out.push(head);
    out.extend_from_slice(&bytes[8 - width..]);
}

/// A length in the head's own byte if it is at most `fix.1`, else in two bytes after `wide`, else in four.
fn write_length(out: &mut Vec<u8>, length: usize, fix: (u8, u8), wide: u8) {
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(length), ..) if length <= fix.1 => out.push(fix.0 | length),
        (_, Ok(length), _) => {
            out.push(wide);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, _, length) => {
            out.push(wide + 1);
            // No value of more than 4 GiB is made here.
            out.extend_from_slice(&length.unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

impl StateBuilder {
    /// A state without a record, up to this index.
    #[must_use]
    pub fn new(last_index: u64) -> Self {
        let mut bytes = Vec::new();
        Data::map([("LastIndex", Data::Unsigned(last_index))]).write(&mut bytes);
        Self(bytes)
    }

    /// Adds a record.
    #[must_use]
    pub fn record(mut self, kind: Kind, data: &Data) -> Self {
        self.push(kind, data);
        self
    }

    /// Adds a record.
    pub fn push(&mut self, kind: Kind, data: &Data) {
        self.0.push(kind.byte());
        data.write(&mut self.0);
    }

    /// Adds a key that nobody holds, at index 1.
    #[must_use]
    pub fn kv(self, key: impl AsRef<[u8]>, value: &[u8]) -> Self {
        self.record(Kind::KVS, &kv(key, value, 0, ""))
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A key as a record holds it, made and changed at index 1.
pub fn kv(key: impl AsRef<[u8]>, value: &[u8], flags: u64, session: &str) -> Data {
    Data::map([
        ("CreateIndex", Data::Unsigned(1)),
        ("Flags", Data::Unsigned(flags)),
        ("Key", Data::text(key)),
        ("LockIndex", Data::Unsigned(0)),
        ("ModifyIndex", Data::Unsigned(1)),
        ("Session", Data::text(session)),
        ("Value", if value.is_empty() { Data::Nil } else { Data::text(value) }),
    ])
}
