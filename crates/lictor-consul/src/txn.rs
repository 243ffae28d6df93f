//! Transactions of the key/value store.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::kv::Pair;
use crate::meta::{Answer, Index};
use crate::query::Query;
use crate::request::Request;
use crate::session::SessionId;
use crate::wire;

/// Transactions of the key/value store (`/v1/txn`): all operations are done, or none. See
/// [`Client::txn`].
#[derive(Clone, Copy, Debug)]
pub struct Txn<'a>(&'a Client);

/// One operation of a transaction.
///
/// Keys may be any text here, also such as have no path of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    verb: Verb,
    key: String,
    value: Bytes,
    flags: u64,
    index: Index,
    session: Option<SessionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
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
        Self::with_value(Verb::Set, key, value)
    }

    /// Writes a value; fails unless the key was last changed at `index`, or does not exist if that is
    /// [`Index::ZERO`].
    #[must_use]
    pub fn cas(key: impl Into<String>, value: impl Into<Bytes>, index: Index) -> Self {
        Self { index, ..Self::with_value(Verb::Cas, key, value) }
    }

    /// Writes a value and makes `session` the holder of the key; fails if it cannot be.
    #[must_use]
    pub fn lock(key: impl Into<String>, value: impl Into<Bytes>, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::with_value(Verb::Lock, key, value) }
    }

    /// Writes a value and lets go of the key; fails unless `session` holds it.
    #[must_use]
    pub fn unlock(key: impl Into<String>, value: impl Into<Bytes>, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::with_value(Verb::Unlock, key, value) }
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
        // The JSON of an operation is text of its own fields: it can always be written.
        serde_json::to_vec(&self.wire()).map_or(usize::MAX, |text| text.len() + 1)
    }

    fn new(verb: Verb, key: impl Into<String>) -> Self {
        Self { verb, key: key.into(), value: Bytes::new(), flags: 0, index: Index::ZERO, session: None }
    }

    fn with_value(verb: Verb, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self { value: value.into(), ..Self::new(verb, key) }
    }

    fn writes(&self) -> bool {
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

    fn has_value(&self) -> bool {
        matches!(self.verb, Verb::Set | Verb::Cas | Verb::Lock | Verb::Unlock)
    }

    fn wire(&self) -> OperationWire<'_> {
        OperationWire {
            kv: KvWire {
                verb: self.verb,
                key: &self.key,
                value: self.has_value().then(|| wire::to_base64(&self.value)),
                flags: Some(self.flags).filter(|&flags| flags != 0),
                index: Some(self.index).filter(|&index| index != Index::ZERO),
                session: self.session.as_ref(),
            },
        }
    }
}

/// What is wrong with one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// Its place in the transaction; the first is 0.
    pub operation: usize,
    /// What kind of mistake it is.
    pub kind: OperationErrorKind,
    /// Consul's words.
    pub message: String,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.operation, self.message)
    }
}

/// What kind of mistake is in an operation, by Consul's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationErrorKind {
    /// The key was last changed at another index.
    IndexIsStale,
    /// The key does not exist.
    Absent,
    /// The key exists.
    Exists,
    /// The key is held by another session, or by none.
    OtherHolder,
    /// The key was let go of by force too short a time ago.
    LockDelay,
    /// There is no such session.
    NoSession,
    /// The token may not do this.
    Denied,
    /// Something else.
    Other,
}

impl OperationErrorKind {
    /// Whether the state is just another than was thought.
    pub(crate) fn is_conflict(self) -> bool {
        match self {
            Self::IndexIsStale | Self::Absent | Self::Exists | Self::OtherHolder | Self::LockDelay => true,
            Self::NoSession | Self::Denied | Self::Other => false,
        }
    }

    pub(crate) fn is_denial(self) -> bool {
        self == Self::Denied
    }

    fn of(message: &str) -> Self {
        let has = |text: &str| message.contains(text);
        if has("index is stale") || has("failed index check") {
            Self::IndexIsStale
        } else if has("doesn't exist") {
            Self::Absent
        } else if has("lock delay") {
            Self::LockDelay
        } else if has("failed session check") || has("lock is already held") || has("lock isn't held") {
            Self::OtherHolder
        } else if has("invalid session") || has("session lookup") || has("missing session") {
            Self::NoSession
        } else if has("Permission denied") || has("ACL not found") {
            Self::Denied
        } else if message.ends_with("exists") {
            Self::Exists
        } else {
            Self::Other
        }
    }
}

impl<'a> Txn<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Does all operations, or none.
    ///
    /// The result has the pairs that were read and, without their values, those that were written, in
    /// the order of the operations; deletions and `check_not_exists` leave nothing, trees any number.
    ///
    /// A transaction that only reads is a read: it asks with the client's consistency, and is
    /// repeated like one.
    ///
    /// # Errors
    /// [`Error::RolledBack`] with the operations at fault if one of them failed; [`Error::Invalid`],
    /// before anything is sent, if there are too many or they are too large.
    pub async fn run(self, operations: &[Operation]) -> Result<Answer<Vec<Pair>>, Error> {
        self.run_with(operations, &Query::new()).await
    }

    /// Does all operations, or none, in the datacenter and, if they only read, with the consistency
    /// of a query. A transaction does not block.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with(self, operations: &[Operation], query: &Query) -> Result<Answer<Vec<Pair>>, Error> {
        let wires: Vec<OperationWire<'_>> = operations.iter().map(Operation::wire).collect();
        let mut request = Request::put("/v1/txn").json(&wires).accepts(ROLLED_BACK);
        if operations.iter().any(Operation::writes) {
            request = request.option("dc", query.datacenter.clone());
        } else {
            let query = query.clone().index(Index::ZERO);
            request = request.reads_only().query(&query, self.0.consistency());
        }
        if let Some(problem) = self.too_much(operations.len(), request.body.as_deref()) {
            request.problem = Some(problem);
        }
        let mut raw = self.0.send(&request).await?;
        let answer: AnswerWire = raw.json()?;
        if raw.status == ROLLED_BACK {
            return Err(rolled_back(raw.call, answer.errors));
        }
        raw.meta.index = answer.index.filter(|&index| index != Index::ZERO);
        let pairs = answer.results.into_iter().filter_map(|result| result.kv);
        Ok(raw.answer(pairs.collect()))
    }

    fn too_much(self, operations: usize, body: Option<&[u8]>) -> Option<String> {
        let limits = self.0.limits();
        let bytes = body.map_or(0, <[u8]>::len);
        if operations > limits.transaction_operations {
            let limit = limits.transaction_operations;
            Some(format!("{operations} operations are more than {limit}"))
        } else if bytes > limits.transaction_bytes {
            let limit = limits.transaction_bytes;
            Some(format!("{bytes} bytes of operations are more than {limit}"))
        } else {
            None
        }
    }
}

/// The status that says that operations failed and nothing was done.
const ROLLED_BACK: u16 = 409;

fn rolled_back(call: crate::error::Call, errors: Vec<ErrorWire>) -> Error {
    let errors = errors.into_iter().map(|error| OperationError {
        operation: error.op_index,
        kind: OperationErrorKind::of(&error.what),
        message: crate::error::message(error.what.as_bytes()),
    });
    Error::RolledBack { call, errors: errors.collect() }
}

#[derive(Serialize)]
struct OperationWire<'a> {
    #[serde(rename = "KV")]
    kv: KvWire<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KvWire<'a> {
    verb: Verb,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<Index>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a SessionId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerWire {
    #[serde(default, deserialize_with = "wire::null_is_default")]
    results: Vec<ResultWire>,
    #[serde(default, deserialize_with = "wire::null_is_default")]
    errors: Vec<ErrorWire>,
    #[serde(default)]
    index: Option<Index>,
}

#[derive(Deserialize)]
struct ResultWire {
    #[serde(rename = "KV", default)]
    kv: Option<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorWire {
    #[serde(default)]
    op_index: usize,
    #[serde(default)]
    what: String,
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
    fn the_encoded_length_is_the_length() {
        let operations = [Operation::set("k\"ü", vec![0; 100]), Operation::delete("k")];
        let wires: Vec<_> = operations.iter().map(Operation::wire).collect();
        let whole = serde_json::to_vec(&wires).unwrap().len();
        let sum: usize = operations.iter().map(Operation::encoded_len).sum();
        assert_eq!(whole, sum + 1);
    }

    #[test]
    fn consuls_words_are_understood() {
        use OperationErrorKind as Kind;
        for (words, kind) in [
            (r#"failed to set key "k", index is stale"#, Kind::IndexIsStale),
            (r#"failed to delete key "k", index is stale"#, Kind::IndexIsStale),
            (r#"failed index check for key "k", current modify index 58 != 1"#, Kind::IndexIsStale),
            (r#"key "k" doesn't exist"#, Kind::Absent),
            (r#"failed to check index, key "zz" doesn't exist"#, Kind::Absent),
            (r#"key "k" exists"#, Kind::Exists),
            (r#"failed to lock key "k" due to lock delay"#, Kind::LockDelay),
            (r#"failed to lock key "k", lock is already held"#, Kind::OtherHolder),
            (
                r#"failed to unlock key "k", lock isn't held, or is held by another session"#,
                Kind::OtherHolder,
            ),
            (r#"failed session check for key "k", current session "" != "x""#, Kind::OtherHolder),
            (r#"invalid session "x""#, Kind::NoSession),
            ("Permission denied", Kind::Denied),
            (r#"unknown KV verb "x""#, Kind::Other),
            ("Must provide key", Kind::Other),
        ] {
            assert_eq!(Kind::of(words), kind, "{words}");
        }
    }
}
