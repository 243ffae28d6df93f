//! Shared records in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{KvError, Listing, Op, Pair, Revision, Space, Written, apply};

/// Records of one process.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    records: Arc<Mutex<Records>>,
    /// The latest revision.
    latest: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Records(BTreeMap<String, (Revision, Vec<u8>)>);

impl Default for Memory {
    fn default() -> Self {
        // Revision 0 is before the first record.
        Self { records: Arc::default(), latest: Arc::new(watch::Sender::new(1)) }
    }
}

impl Memory {
    pub(super) fn get(&self, key: &str) -> Option<Pair> {
        let records = self.lock();
        let (revision, value) = records.0.get(key)?;
        Some(Pair { key: key.to_owned(), value: value.clone(), revision: *revision })
    }

    pub(super) fn list(&self, prefix: &str) -> Listing {
        let records = self.lock();
        let of_prefix = records.0.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let pair = |(key, (revision, value)): (&String, &(Revision, Vec<u8>))| Pair {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        };
        Listing { pairs: of_prefix.map(pair).collect(), revision: Revision(*self.latest.borrow()) }
    }

    pub(super) fn txn(&self, ops: &[Op]) -> Result<Written, KvError> {
        let mut records = self.lock();
        let next = *self.latest.borrow() + 1;
        let Ok(written) = apply(&mut *records, ops, Revision(next));
        if written.is_ok() && ops.iter().any(|op| !matches!(op, Op::Check { .. })) {
            self.latest.send_replace(next);
        }
        written
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Space for Records {
    type Error = Infallible;

    fn revision(&self, key: &str) -> Result<Option<Revision>, Infallible> {
        Ok(self.0.get(key).map(|(revision, _)| *revision))
    }

    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), Infallible> {
        self.0.insert(key.to_owned(), (revision, value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Infallible> {
        self.0.remove(key);
        Ok(())
    }
}
