//! Shared records of a node that stands alone: in the same file, by the same writer.

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table};
use tokio::sync::{oneshot, watch};

use super::error::{StoreError, guarded};
use super::sum::{seal, unseal};
use super::tables::{self, KV, META};
use super::writer::Work;
use super::{NodeStore, Shared};
use crate::kv::{KvError, Listing, Op, Pair, Revision, Space, Written};
use crate::wire::Live;

impl NodeStore {
    pub(crate) fn kv_get(&self, key: &str) -> Result<Option<Pair>, KvError> {
        self.read_kv(|database| {
            let table = database.begin_read()?.open_table(KV)?;
            table.get(key)?.map(|found| pair(key, found.value())).transpose()
        })
    }

    pub(crate) fn kv_list(&self, prefix: &str) -> Result<Listing, KvError> {
        self.read_kv(|database| {
            let txn = database.begin_read()?;
            let live = tables::meta::<Live>(&txn.open_table(META)?, "live")?.unwrap_or_default();
            let mut pairs = Vec::new();
            for found in txn.open_table(KV)?.range(prefix..)? {
                let (key, bytes) = found?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                pairs.push(pair(key.value(), bytes.value())?);
            }
            Ok(Listing { pairs, revision: Revision(live.kv_revision) })
        })
    }

    pub(crate) async fn kv_txn(&self, ops: Vec<Op>) -> Result<Written, KvError> {
        let (reply, answer) = oneshot::channel();
        match self.works.send(Work::Kv(ops, reply)).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(unknown("the store was closed"))),
            Err(_) => Err(unavailable(&StoreError::Closed)),
        }
    }

    pub(crate) fn kv_changes(&self) -> watch::Receiver<u64> {
        self.shared.kv_revisions.subscribe()
    }

    fn read_kv<T>(&self, read: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, KvError> {
        let database = Shared::database(&self.shared).map_err(|why| unavailable(&why))?;
        guarded(|| read(&database)).map_err(|why| unavailable(&why))
    }
}

fn pair(key: &str, bytes: &[u8]) -> Result<Pair, StoreError> {
    let body = unseal(key.as_bytes(), bytes)?;
    let (revision, value) = body
        .split_first_chunk::<8>()
        .ok_or_else(|| StoreError::Damaged { why: format!("shared record `{key}` is cut short") })?;
    let revision = Revision(u64::from_le_bytes(*revision));
    Ok(Pair { key: key.to_owned(), value: value.to_vec(), revision })
}

/// The error of a request that certainly changed nothing.
pub(super) fn unavailable(why: &StoreError) -> KvError {
    KvError::Unavailable { why: why.to_string() }
}

/// The error of a request that may have changed something.
pub(super) fn unknown(why: impl ToString) -> KvError {
    KvError::Unknown { why: why.to_string() }
}

impl Space for Table<'_, &'static str, &'static [u8]> {
    type Error = StoreError;

    fn revision(&self, key: &str) -> Result<Option<Revision>, StoreError> {
        let found = self.get(key)?;
        found.map(|found| pair(key, found.value()).map(|pair| pair.revision)).transpose()
    }

    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), StoreError> {
        let body = [&revision.0.to_le_bytes()[..], value].concat();
        self.insert(key, seal(key.as_bytes(), &body).as_slice())?;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), StoreError> {
        self.remove(key)?;
        Ok(())
    }
}
