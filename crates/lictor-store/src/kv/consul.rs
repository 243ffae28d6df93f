//! Shared records in Consul.

use std::time::Duration;

use lictor_consul::{Client, Error, Index, Operation, Query};

use super::{Expect, KvError, Listing, Op, Pair, Revision, Written};

/// Records in Consul under a prefix.
///
/// Reads are `consistent`. No session is used: who holds what is in the records.
#[derive(Clone)]
pub(super) struct ConsulKv {
    client: Client,
    prefix: String,
}

impl ConsulKv {
    pub(super) fn new(client: Client, prefix: String) -> Self {
        Self { client, prefix }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Pair>, KvError> {
        let answer = self.client.kv().get(&self.path(key), &Query::new().consistent()).await;
        let found = answer.map_err(|error| failed(&error, &[]))?;
        Ok(found.value.and_then(|pair| self.pair(pair)))
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Listing, KvError> {
        self.read(prefix, &Query::new().consistent()).await
    }

    pub(super) async fn watch(
        &self,
        prefix: &str,
        since: Revision,
        wait: Duration,
    ) -> Result<Listing, KvError> {
        let query = Query::new().consistent().index(Index(since.0)).wait(wait.max(MIN_WAIT));
        self.read(prefix, &query).await
    }

    pub(super) async fn txn(&self, ops: &[Op]) -> Result<Written, KvError> {
        let operations: Vec<Operation> = ops.iter().flat_map(|op| self.operations(op)).collect();
        let answer = self.client.txn().run(&operations).await;
        let pairs = answer.map_err(|error| self.txn_failed(&error, &operations))?.value;
        let revision = |op: &Op| {
            let Op::Put { key, .. } = op else { return None };
            let path = self.path(key);
            pairs.iter().find(|pair| pair.key == path).map(|pair| Revision(pair.modify_index.0))
        };
        Ok(ops.iter().map(revision).collect())
    }

    async fn read(&self, prefix: &str, query: &Query) -> Result<Listing, KvError> {
        let answer = self.client.kv().list(&self.path(prefix), query).await;
        let answer = answer.map_err(|error| failed(&error, &[]))?;
        let Some(index) = answer.meta.index else {
            return Err(KvError::Unavailable { why: "an answer without an index".to_owned() });
        };
        let pairs = answer.value.into_iter().filter_map(|pair| self.pair(pair)).collect();
        // An index of 0 would make the next watch return at once, for ever.
        Ok(Listing { pairs, revision: Revision(index.0.max(1)) })
    }

    /// A deletion is guarded by a check before it: Consul's own guarded deletion takes a
    /// missing key for success.
    fn operations(&self, op: &Op) -> Vec<Operation> {
        let path = self.path(op.key());
        match (op, op.expect()) {
            (Op::Put { value, .. }, Expect::Anything) => vec![Operation::set(path, value.clone())],
            (Op::Put { value, .. }, Expect::Absent) => vec![Operation::cas(path, value.clone(), Index::ZERO)],
            (Op::Put { value, .. }, Expect::At(then)) => {
                vec![Operation::cas(path, value.clone(), Index(then.0))]
            }
            (Op::Delete { .. }, Expect::At(then)) => {
                vec![Operation::check_index(path.clone(), Index(then.0)), Operation::delete(path)]
            }
            (Op::Delete { .. }, Expect::Anything | Expect::Absent) => vec![Operation::delete(path)],
            (Op::Check { .. }, Expect::At(then)) => vec![Operation::check_index(path, Index(then.0))],
            (Op::Check { .. }, Expect::Absent | Expect::Anything) => vec![Operation::check_not_exists(path)],
        }
    }

    fn txn_failed(&self, error: &Error, operations: &[Operation]) -> KvError {
        let paths: Vec<&str> = operations.iter().map(Operation::key).collect();
        match failed(error, &paths) {
            KvError::Conflict { key } => KvError::Conflict { key: self.key(&key).unwrap_or(&key).to_owned() },
            other => other,
        }
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn key<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(&self.prefix)
    }

    fn pair(&self, pair: lictor_consul::Pair) -> Option<Pair> {
        let key = self.key(&pair.key)?.to_owned();
        Some(Pair { key, value: pair.value.to_vec(), revision: Revision(pair.modify_index.0) })
    }
}

/// A blocking query of no length at all would be held for Consul's own default.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// What an error of Consul means for the records.
fn failed(error: &Error, paths: &[&str]) -> KvError {
    let why = error.to_string();
    if error.is_denied() {
        return KvError::Denied { why };
    }
    if error.may_have_happened() {
        return KvError::Unknown { why };
    }
    match error {
        Error::RolledBack { errors, .. } => {
            let key = errors.iter().find_map(|error| paths.get(error.operation)).copied();
            key.map_or(KvError::Unavailable { why }, |key| KvError::Conflict { key: key.to_owned() })
        }
        Error::Invalid { .. } => KvError::Refused { why },
        _ => KvError::Unavailable { why },
    }
}

impl std::fmt::Debug for ConsulKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsulKv").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
