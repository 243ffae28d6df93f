//! Where Lictor remembers.
//!
//! Every kind of record has one home. *Local* records (checks, cooldowns, runs, the
//! ledger) live in [`NodeStore`], one file on this machine. *Shared* records live behind
//! [`Kv`]: in Consul, or in the same local file when a node stands alone. A [`Mirror`]
//! keeps backup copies of local runs and incidents in Consul for the day the disk is lost.
//!
//! # The local home
//!
//! ```no_run
//! use lictor_store::{Batch, NodeStore, Options};
//!
//! # async fn example(mut output: lictor_core::Output) -> Result<(), Box<dyn std::error::Error>> {
//! let opened = NodeStore::open(Options::new("/var/lib/lictor", "node1"))?;
//! let (store, rows) = (opened.store, opened.rows); // rows go to `Engine::restore`
//!
//! let mut batch = Batch::default();
//! batch.take(&mut output); // rows, gone and events; the effects stay in `output`
//! match store.commit(batch).await {
//!     Ok(committed) => { /* durable: now carry out output.effects */ }
//!     Err(refused) => { /* nothing is done; absorb refused.batch into the next one */ }
//! }
//! # Ok(()) }
//! ```
//!
//! *Rows* are the present, the *ledger* is the past; one commit writes both, with the
//! watchers' positions, and nothing is ever replayed. Start reads the rows.
//!
//! Core types are not serialized: what is stored has a versioned type in [`wire`].

pub mod kv;
pub mod mirror;
pub mod wire;

mod node;

pub use kv::{Kv, KvError};
pub use mirror::{Adopted, Mirror, MirrorError, MirrorState, Pulse};
pub use node::{
    ACTS_KEPT, Act, ActEnd, ActRecord, ActsVerified, Anchor, Batch, Committed, Copied, CopyError, Entry,
    Grain, Health, LedgerLimits, LedgerOrder, LedgerPage, LedgerQuery, NodeStore, NotRecorded, OpenError,
    Opened, Options, Restored, Restoring, Slot, Start, Stood, StoreError, Warning, check_copy, copy_of,
};
