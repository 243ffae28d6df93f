//! Transactions of the key/value store.

use std::fmt;

use serde::Deserialize;

use crate::client::{Client, Raw};
use crate::error::Error;
use crate::kv::Pair;
use crate::meta::{Answer, Index};
use crate::operation::{Operation, OperationWire};
use crate::query::Query;
use crate::request::Request;
use crate::wire;

/// Transactions of the key/value store (`/v1/txn`): all operations are done, or none. See
/// [`Client::txn`].
#[derive(Clone, Copy, Debug)]
pub struct Txn<'a>(&'a Client);

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
        let (mut raw, answer) = self.ask(operations, query).await?;
        if raw.status == ROLLED_BACK {
            return Err(rolled_back(raw.call, answer.errors));
        }
        raw.meta.index = answer.index.filter(|&index| index != Index::ZERO);
        let pairs = answer.results.into_iter().filter_map(|result| result.kv);
        Ok(raw.answer(pairs.collect()))
    }

    /// Of each key, whether it certainly does not exist: Consul says so of that very key.
    ///
    /// False is not "it exists": the token may not be allowed to read it. What exists is sent with its value
    /// if nothing is absent: ask for what should not be there. As many keys may be asked for
    /// as a transaction has operations. A query does not block here, and how sure an answer is depends
    /// on its consistency.
    ///
    /// # Errors
    /// If there is no usable answer, or it has anything else in it than that keys are absent;
    /// [`Error::Invalid`], before anything is sent, if there are too many keys or they are too long.
    pub async fn absent(self, keys: &[&str], query: &Query) -> Result<Vec<bool>, Error> {
        let reads: Vec<Operation> = keys.iter().map(|&key| Operation::get(key)).collect();
        let (raw, answer) = self.ask(&reads, query).await?;
        let mut absent = vec![false; keys.len()];
        if raw.status != ROLLED_BACK {
            return Ok(absent);
        }
        for error in &answer.errors {
            match (keys.get(error.op_index), absent.get_mut(error.op_index)) {
                (Some(key), Some(absent)) if error.is_absence_of(key) => *absent = true,
                _ => return Err(rolled_back(raw.call, answer.errors)),
            }
        }
        Ok(absent)
    }

    /// Sends operations. The answer is what was read and written, or what is wrong with them.
    async fn ask(self, operations: &[Operation], query: &Query) -> Result<(Raw, AnswerWire), Error> {
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
        let raw = self.0.send(&request).await?;
        let answer = raw.json()?;
        Ok((raw, answer))
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
    op_index: usize,
    what: String,
}

impl ErrorWire {
    /// Whether Consul says that this key does not exist. It quotes keys as Go does: one that has nothing
    /// to escape must be the one that is named.
    fn is_absence_of(&self, key: &str) -> bool {
        let plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let quoted = self.what.strip_prefix("key \"").and_then(|rest| rest.strip_suffix("\" doesn't exist"));
        quoted.is_some_and(|quoted| quoted == key || !key.bytes().all(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn only_a_keys_own_absence_counts() {
        let says =
            |what: &str, key: &str| ErrorWire { op_index: 0, what: what.to_owned() }.is_absence_of(key);
        assert!(says(r#"key "a/b" doesn't exist"#, "a/b"));
        assert!(says(r#"key "a\"\u200b" doesn't exist"#, "a\"\u{200b}"));
        assert!(!says(r#"key "a/c" doesn't exist"#, "a/b"));
        assert!(!says("Permission denied", "a/b"));
        assert!(!says(r#"failed to check index, key "a/b" doesn't exist"#, "a/b"));
        assert!(!says(r#"key "a/b" exists"#, "a/b"));
    }
}
