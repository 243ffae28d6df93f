//! One operation of a transaction, and how it is written.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use crate::encoded::{Encoded, encoded_len};
use crate::meta::Index;
use crate::session::SessionId;
use crate::wire;

/// One operation of a transaction.
///
/// Keys may be any text here, also such as have no path of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    verb: Verb,
    key: String,
    value: Option<Value>,
    flags: u64,
    index: Index,
    session: Option<SessionId>,
}

/// The value of an operation that writes one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Bytes(Bytes),
    Encoded(Encoded),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Set,
    Cas,
    Lock,
    Unlock,
    Get,
    GetTree,
    CheckIndex,
    CheckSession,
    CheckNotExists,
    Delete,
    DeleteTree,
    DeleteCas,
}

impl Operation {
    /// Writes a value.
    #[must_use]
    pub fn set(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self::with_value(Verb::Set, key, Value::Bytes(value.into()))
    }

    /// Writes a value that is encoded already.
    #[must_use]
    pub fn set_encoded(key: impl Into<String>, value: Encoded) -> Self {
        Self::with_value(Verb::Set, key, Value::Encoded(value))
    }

    /// Writes a value; fails unless the key was last changed at `index`, or does not exist if that is
    /// [`Index::ZERO`].
    #[must_use]
    pub fn cas(key: impl Into<String>, value: impl Into<Bytes>, index: Index) -> Self {
        Self { index, ..Self::with_value(Verb::Cas, key, Value::Bytes(value.into())) }
    }

    /// As [`cas`](Self::cas) of a value that is encoded already.
    #[must_use]
    pub fn cas_encoded(key: impl Into<String>, value: Encoded, index: Index) -> Self {
        Self { index, ..Self::with_value(Verb::Cas, key, Value::Encoded(value)) }
    }

    /// Writes a value and makes `session` the holder of the key; fails if it cannot be.
    #[must_use]
    pub fn lock(key: impl Into<String>, value: impl Into<Bytes>, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::with_value(Verb::Lock, key, Value::Bytes(value.into())) }
    }

    /// Writes a value and lets go of the key; fails unless `session` holds it.
    #[must_use]
    pub fn unlock(key: impl Into<String>, value: impl Into<Bytes>, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::with_value(Verb::Unlock, key, Value::Bytes(value.into())) }
    }

    /// Reads a key; fails if there is none.
    #[must_use]
    pub fn get(key: impl Into<String>) -> Self {
        Self::new(Verb::Get, key)
    }

    /// Reads all keys that begin with `prefix`, none included.
    #[must_use]
    pub fn get_tree(prefix: impl Into<String>) -> Self {
        Self::new(Verb::GetTree, prefix)
    }

    /// Fails unless the key was last changed at `index`.
    #[must_use]
    pub fn check_index(key: impl Into<String>, index: Index) -> Self {
        Self { index, ..Self::new(Verb::CheckIndex, key) }
    }

    /// Fails unless `session` holds the key.
    #[must_use]
    pub fn check_session(key: impl Into<String>, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::new(Verb::CheckSession, key) }
    }

    /// Fails if the key exists.
    #[must_use]
    pub fn check_not_exists(key: impl Into<String>) -> Self {
        Self::new(Verb::CheckNotExists, key)
    }

    /// Deletes a key, if there is one.
    #[must_use]
    pub fn delete(key: impl Into<String>) -> Self {
        Self::new(Verb::Delete, key)
    }

    /// Deletes all keys that begin with `prefix`.
    #[must_use]
    pub fn delete_tree(prefix: impl Into<String>) -> Self {
        Self::new(Verb::DeleteTree, prefix)
    }

    /// Deletes a key; fails if it was last changed at another index. That there is none is success.
    #[must_use]
    pub fn delete_cas(key: impl Into<String>, index: Index) -> Self {
        Self { index, ..Self::new(Verb::DeleteCas, key) }
    }

    /// The same with a number that goes with the value.
    #[must_use]
    pub fn flags(self, flags: u64) -> Self {
        Self { flags, ..self }
    }

    /// The key or prefix.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many bytes the operation takes in a transaction's JSON, the comma after it included:
    /// values take 4 for 3. [`Limits::transaction_bytes`](crate::Limits) is for the sum, and 2 more.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        const FRAME: usize = r#"{"KV":{"Verb":"","Key":}},"#.len();
        let member = |name: &str, length: usize| r#","":"#.len() + name.len() + length;
        let mut length = FRAME + self.verb.name().len() + quoted_len(&self.key);
        if let Some(value) = &self.value {
            length += member("Value", value.quoted_len());
        }
        if self.flags != 0 {
            length += member("Flags", digits(self.flags));
        }
        if self.index != Index::ZERO {
            length += member("Index", digits(self.index.0));
        }
        if let Some(session) = &self.session {
            length += member("Session", quoted_len(session.as_str()));
        }
        length
    }

    fn new(verb: Verb, key: impl Into<String>) -> Self {
        Self { verb, key: key.into(), value: None, flags: 0, index: Index::ZERO, session: None }
    }

    fn with_value(verb: Verb, key: impl Into<String>, value: Value) -> Self {
        Self { value: Some(value), ..Self::new(verb, key) }
    }

    pub(crate) fn writes(&self) -> bool {
        match self.verb {
            Verb::Set
            | Verb::Cas
            | Verb::Lock
            | Verb::Unlock
            | Verb::Delete
            | Verb::DeleteTree
            | Verb::DeleteCas => true,
            Verb::Get | Verb::GetTree | Verb::CheckIndex | Verb::CheckSession | Verb::CheckNotExists => false,
        }
    }

    pub(crate) fn wire(&self) -> OperationWire<'_> {
        OperationWire {
            kv: KvWire {
                verb: self.verb.name(),
                key: &self.key,
                value: self.value.as_ref().map(Value::text),
                flags: Some(self.flags).filter(|&flags| flags != 0),
                index: Some(self.index).filter(|&index| index != Index::ZERO),
                session: self.session.as_ref(),
            },
        }
    }
}

impl Value {
    /// The value in base64.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Bytes(bytes) => wire::to_base64(bytes).into(),
            Self::Encoded(encoded) => encoded.as_str().into(),
        }
    }

    /// How long it is in JSON. Base64 has nothing that JSON escapes.
    fn quoted_len(&self) -> usize {
        2 + match self {
            Self::Bytes(bytes) => encoded_len(bytes.len()),
            Self::Encoded(encoded) => encoded.as_str().len(),
        }
    }
}

impl Verb {
    /// Its name in the API.
    const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Cas => "cas",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Get => "get",
            Self::GetTree => "get-tree",
            Self::CheckIndex => "check-index",
            Self::CheckSession => "check-session",
            Self::CheckNotExists => "check-not-exists",
            Self::Delete => "delete",
            Self::DeleteTree => "delete-tree",
            Self::DeleteCas => "delete-cas",
        }
    }
}

/// How long a text is in JSON, its quotes included.
fn quoted_len(text: &str) -> usize {
    let escaped = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | b'\x08' | b'\x0c' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

/// How many digits a number has.
fn digits(mut number: u64) -> usize {
    let mut digits = 1;
    while number >= 10 {
        number /= 10;
        digits += 1;
    }
    digits
}

#[derive(Serialize)]
pub(crate) struct OperationWire<'a> {
    #[serde(rename = "KV")]
    kv: KvWire<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KvWire<'a> {
    verb: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<Index>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a SessionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(operation: &Operation) -> String {
        serde_json::to_string(&operation.wire()).unwrap()
    }

    #[test]
    fn an_operation_is_written_with_what_it_needs() {
        let session = SessionId::from("s");
        assert_eq!(
            json(&Operation::set("k", "v").flags(7)),
            r#"{"KV":{"Verb":"set","Key":"k","Value":"dg==","Flags":7}}"#
        );
        assert_eq!(
            json(&Operation::cas("k", "", Index::ZERO)),
            r#"{"KV":{"Verb":"cas","Key":"k","Value":""}}"#
        );
        assert_eq!(
            json(&Operation::delete_cas("k", Index(3))),
            r#"{"KV":{"Verb":"delete-cas","Key":"k","Index":3}}"#
        );
        assert_eq!(
            json(&Operation::check_session("k", session)),
            r#"{"KV":{"Verb":"check-session","Key":"k","Session":"s"}}"#
        );
        assert_eq!(
            json(&Operation::check_not_exists("k")),
            r#"{"KV":{"Verb":"check-not-exists","Key":"k"}}"#
        );
    }

    #[test]
    fn a_value_that_is_encoded_is_written_as_it_is() {
        let value = Encoded::of(b"\xff\xfe\xfd");
        assert_eq!(
            json(&Operation::set_encoded("k", value.clone())),
            r#"{"KV":{"Verb":"set","Key":"k","Value":"//79"}}"#
        );
        assert_eq!(
            json(&Operation::cas_encoded("k", value, Index(5)).flags(1)),
            r#"{"KV":{"Verb":"cas","Key":"k","Value":"//79","Flags":1,"Index":5}}"#
        );
    }

    /// Every operation there is, of one key.
    fn all(key: &str, value: &[u8], number: u64) -> Vec<Operation> {
        let (session, index) = (SessionId::from("a\"\n-b"), Index(number));
        let encoded = Encoded::of(value);
        let value = Bytes::copy_from_slice(value);
        let with_values = [
            Operation::set(key, value.clone()),
            Operation::set_encoded(key, encoded.clone()),
            Operation::cas(key, value.clone(), index),
            Operation::cas_encoded(key, encoded, index),
            Operation::lock(key, value.clone(), session.clone()),
            Operation::unlock(key, value, session.clone()),
        ];
        let others = [
            Operation::get(key),
            Operation::get_tree(key),
            Operation::check_index(key, index),
            Operation::check_session(key, session),
            Operation::check_not_exists(key),
            Operation::delete(key),
            Operation::delete_tree(key),
            Operation::delete_cas(key, index),
        ];
        let with_flags = with_values.clone().map(|operation| operation.flags(number));
        with_values.into_iter().chain(with_flags).chain(others).collect()
    }

    #[test]
    fn the_encoded_length_is_the_length() {
        let every_byte: String = (0..=0x7f).map(char::from).collect();
        for key in ["", "k", "k\"ü\\", "a//b", "日本語/😀", "\u{7f}\u{80}\u{2028}\u{feff}", &every_byte]
        {
            for length in [0, 1, 2, 3, 100] {
                for number in [0, 1, 9, 10, 99, 100, u64::MAX] {
                    let operations = all(key, &vec![0xfb; length], number);
                    let wires: Vec<_> = operations.iter().map(Operation::wire).collect();
                    let whole = serde_json::to_vec(&wires).unwrap().len();
                    let sum: usize = operations.iter().map(Operation::encoded_len).sum();
                    assert_eq!(whole, sum + 1, "{key:?}, {length} bytes, {number}");
                }
            }
        }
    }
}
