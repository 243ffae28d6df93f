//! The shared home: records that several may write, decided by compare-and-set.

mod consul;
mod memory;
mod space;

use std::fmt;
use std::time::Duration;

use consul::ConsulKv;
use memory::Memory;
pub(crate) use space::{Space, apply};

use crate::node::NodeStore;

/// Most operations of one transaction, a guarded deletion counted twice: what every
/// Consul takes.
pub const MAX_OPERATIONS: usize = 64;

/// Most bytes of one transaction as Consul counts them: its JSON, with values in base64.
pub const MAX_BYTES: usize = 512 << 10;

/// Longest key, bytes.
pub const MAX_KEY: usize = 512;

/// What an operation takes in Consul's JSON beside key and value, at most.
const OPERATION_BYTES: usize = 160;

/// Shared records: in Consul, in the local store of a node that stands alone, or in memory
/// for tests. Cheap to clone; clones are the same records.
///
/// There are no sessions and no locks here: a lock is a record with a holder and a token
/// that is written by compare-and-set.
#[derive(Clone, Debug)]
pub struct Kv(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Memory(Memory),
    Embedded(NodeStore),
    Consul(ConsulKv),
}

/// When a record was last written. Compare two only for being the same: after Consul was
/// restored from a snapshot a later one is a lower number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its key.
    pub key: String,
    /// What it says.
    pub value: Vec<u8>,
    /// When it was last written.
    pub revision: Revision,
}

/// All records whose keys begin with a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The records, in the order of their keys.
    pub pairs: Vec<Pair>,
    /// What to watch from.
    pub revision: Revision,
}

/// What a record must be for an operation to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or missing.
    Anything,
    /// Missing.
    Absent,
    /// Last written then.
    At(Revision),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a record. Whether writing what is there already gives it a new revision is
    /// not said.
    Put {
        /// Its key.
        key: String,
        /// What it says.
        value: Vec<u8>,
        /// What it must be.
        expect: Expect,
    },
    /// Deletes a record.
    Delete {
        /// Its key.
        key: String,
        /// What it must be; `Absent` is refused.
        expect: Expect,
    },
    /// Only looks.
    Check {
        /// Its key.
        key: String,
        /// What it must be; `Anything` is refused.
        expect: Expect,
    },
}

impl Op {
    /// Writes a record, whatever is there.
    pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::Anything }
    }

    /// Writes a record that must not be there yet.
    pub fn create(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::Absent }
    }

    /// Writes a record that must be as it was.
    pub fn replace(key: impl Into<String>, value: impl Into<Vec<u8>>, as_of: Revision) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::At(as_of) }
    }

    /// Deletes a record, if it is there.
    pub fn delete(key: impl Into<String>) -> Self {
        Self::Delete { key: key.into(), expect: Expect::Anything }
    }

    /// Deletes a record that must be there as it was.
    pub fn delete_at(key: impl Into<String>, as_of: Revision) -> Self {
        Self::Delete { key: key.into(), expect: Expect::At(as_of) }
    }

    /// Demands that a record is as it was.
    pub fn unchanged(key: impl Into<String>, as_of: Revision) -> Self {
        Self::Check { key: key.into(), expect: Expect::At(as_of) }
    }

    /// Demands that a record is missing.
    pub fn absent(key: impl Into<String>) -> Self {
        Self::Check { key: key.into(), expect: Expect::Absent }
    }

    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }

    /// What the record must be.
    pub fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } | Self::Check { expect, .. } => *expect,
        }
    }
}

/// What became of a transaction: the revision of each record that was put, in the order of
/// the operations; `None` for the others.
pub type Written = Vec<Option<Revision>>;

/// Why a request to the shared home failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A record is not what was expected. Nothing was changed.
    #[error("the record `{key}` is not what was expected")]
    Conflict {
        /// The first such record.
        key: String,
    },
    /// The transaction may have been done, or may still be done some seconds from now.
    /// Read before anything rests on it.
    #[error("it is not known whether the records were written: {why}")]
    Unknown {
        /// What is known.
        why: String,
    },
    /// The records cannot be reached. Nothing was changed; it may work later.
    #[error("the shared records cannot be reached: {why}")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// This is not allowed to us.
    #[error("access to the shared records is denied: {why}")]
    Denied {
        /// What was said.
        why: String,
    },
    /// This can never be done.
    #[error("the transaction cannot be sent: {why}")]
    Refused {
        /// What is wrong with it.
        why: String,
    },
}

impl KvError {
    fn refused(why: impl fmt::Display) -> Self {
        Self::Refused { why: why.to_string() }
    }
}

impl Kv {
    /// Records in memory, gone with the last clone.
    pub fn memory() -> Self {
        Self(Backend::Memory(Memory::default()))
    }

    /// Records in the local store of a node that stands alone.
    pub fn embedded(store: NodeStore) -> Self {
        Self(Backend::Embedded(store))
    }

    /// Records in Consul, under a prefix that is put before each key and taken off again,
    /// such as `lictor/`.
    pub fn consul(client: lictor_consul::Client, prefix: impl Into<String>) -> Self {
        Self(Backend::Consul(ConsulKv::new(client, prefix.into())))
    }

    /// One record. What this says was so at some time after it was called.
    ///
    /// # Errors
    /// When it cannot be read; never [`KvError::Unknown`].
    pub async fn get(&self, key: &str) -> Result<Option<Pair>, KvError> {
        check_key(key)?;
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.get(key)),
            Backend::Embedded(store) => store.kv_get(key),
            Backend::Consul(consul) => consul.get(key).await,
        }
    }

    /// All records whose keys begin with a prefix, which may be empty. An empty list is no
    /// proof that there is nothing: what Consul may not show it leaves out.
    ///
    /// # Errors
    /// When they cannot be read; never [`KvError::Unknown`].
    pub async fn list(&self, prefix: &str) -> Result<Listing, KvError> {
        match &self.0 {
            Backend::Memory(memory) => Ok(memory.list(prefix)),
            Backend::Embedded(store) => store.kv_list(prefix),
            Backend::Consul(consul) => consul.list(prefix).await,
        }
    }

    /// Does all operations, or none. A key may occur only once.
    ///
    /// # Errors
    /// See [`KvError`]; only after [`KvError::Unknown`] may anything have changed.
    pub async fn txn(&self, ops: &[Op]) -> Result<Written, KvError> {
        check(ops)?;
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        match &self.0 {
            Backend::Memory(memory) => memory.txn(ops),
            Backend::Embedded(store) => store.kv_txn(ops.to_vec()).await,
            Backend::Consul(consul) => consul.txn(ops).await,
        }
    }

    /// Waits until something under a prefix is different from what it was at `since`, or
    /// until `wait` has passed, and gives what is there then. With the revision 0 it does
    /// not wait. It may return without a change: compare.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn watch(&self, prefix: &str, since: Revision, wait: Duration) -> Result<Listing, KvError> {
        match &self.0 {
            Backend::Memory(memory) => {
                let list = || Ok(memory.list(prefix));
                space::watch(memory.changes(), since, wait, list).await
            }
            Backend::Embedded(store) => {
                space::watch(store.kv_changes(), since, wait, || store.kv_list(prefix)).await
            }
            Backend::Consul(consul) => consul.watch(prefix, since, wait).await,
        }
    }
}

fn check_key(key: &str) -> Result<(), KvError> {
    let fine = !key.is_empty()
        && key.len() <= MAX_KEY
        && !key.starts_with('/')
        && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fine { Ok(()) } else { Err(KvError::refused(format!("{key:?} is not a key"))) }
}

/// The limits are Consul's and hold everywhere, so that what works here works there.
fn check(ops: &[Op]) -> Result<(), KvError> {
    let (mut count, mut bytes) = (0_usize, 2_usize);
    let mut keys = std::collections::BTreeSet::new();
    for op in ops {
        let key = op.key();
        check_key(key)?;
        if !keys.insert(key) {
            return Err(KvError::refused(format!("`{key}` occurs twice")));
        }
        let value = match op {
            Op::Put { value, .. } => value.len().div_ceil(3) * 4,
            Op::Delete { expect: Expect::Anything, .. } => 0,
            Op::Delete { expect: Expect::At(_), .. } => {
                count += 1;
                bytes += key.len() + OPERATION_BYTES;
                0
            }
            Op::Check { expect: Expect::Absent | Expect::At(_), .. } => 0,
            Op::Delete { expect: Expect::Absent, .. } | Op::Check { expect: Expect::Anything, .. } => {
                return Err(KvError::refused(format!("the operation on `{key}` expects nothing useful")));
            }
        };
        count += 1;
        bytes += value + key.len() + OPERATION_BYTES;
    }
    if count > MAX_OPERATIONS {
        return Err(KvError::refused(format!("it has {count} operations, more than {MAX_OPERATIONS}")));
    }
    if bytes > MAX_BYTES {
        return Err(KvError::refused(format!("it has {bytes} bytes, more than {MAX_BYTES}")));
    }
    Ok(())
}
