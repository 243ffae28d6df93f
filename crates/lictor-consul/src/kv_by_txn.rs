//! Keys that have no path, by way of transactions.

use bytes::Bytes;

use crate::error::Error;
use crate::kv::{Guard, Kv, Pair, Put};
use crate::meta::{Answer, Index, Meta};
use crate::operation::Operation;
use crate::query::Query;
use crate::request::Request;
use crate::txn::OperationErrorKind;

impl Kv<'_> {
    pub(crate) async fn get_by_transaction(
        self,
        key: &str,
        query: &Query,
    ) -> Result<Answer<Option<Pair>>, Error> {
        Self::must_not_block(key, query)?;
        let operations = [Operation::get(key)];
        match self.client().txn().run_with(&operations, query).await {
            Ok(answer) => Ok(answer.map(|pairs| pairs.into_iter().next())),
            Err(Error::RolledBack { errors, .. })
                if errors.iter().all(|error| error.kind == OperationErrorKind::Absent) =>
            {
                Ok(Answer { value: None, meta: Meta::default() })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn list_by_transaction(
        self,
        prefix: &str,
        query: &Query,
    ) -> Result<Answer<Vec<Pair>>, Error> {
        Self::must_not_block(prefix, query)?;
        let operations = [Operation::get_tree(prefix)];
        self.client().txn().run_with(&operations, query).await
    }

    pub(crate) async fn put_by_transaction(self, key: &str, value: Bytes, put: &Put) -> Result<bool, Error> {
        let operation = match &put.guard {
            Guard::None => Operation::set(key, value),
            Guard::Index(index) => Operation::cas(key, value, *index),
            Guard::Acquire(session) => Operation::lock(key, value, session.clone()),
            Guard::Release(session) => Operation::unlock(key, value, session.clone()),
        };
        self.guarded(operation.flags(put.flags)).await
    }

    pub(crate) async fn delete_by_transaction(self, key: &str, index: Option<Index>) -> Result<bool, Error> {
        let operation = match index {
            None => Operation::delete(key),
            Some(index) => Operation::delete_cas(key, index),
        };
        self.guarded(operation).await
    }

    pub(crate) async fn delete_tree_by_transaction(self, prefix: &str) -> Result<(), Error> {
        self.guarded(Operation::delete_tree(prefix)).await.map(drop)
    }

    fn must_not_block(key: &str, query: &Query) -> Result<(), Error> {
        if query.index.is_none() {
            return Ok(());
        }
        Err(Error::Invalid {
            call: Request::get("/v1/kv/").key(key).call,
            reason: "this key has no path, so there is no waiting for it; wait for its prefix".to_owned(),
        })
    }

    /// Whether the operation's guard held, as the paths say it.
    async fn guarded(self, operation: Operation) -> Result<bool, Error> {
        match self.client().txn().run(&[operation]).await {
            Ok(_) => Ok(true),
            Err(Error::RolledBack { errors, .. })
                if errors.iter().all(|error| {
                    matches!(
                        error.kind,
                        OperationErrorKind::IndexIsStale
                            | OperationErrorKind::OtherHolder
                            | OperationErrorKind::LockDelay
                    )
                }) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
