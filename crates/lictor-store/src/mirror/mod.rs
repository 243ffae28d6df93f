//! Backup copies of local runs and incidents, for the day the disk is lost.
//!
//! The copies lie under `node/<node>/`, one key each, beside `self`, which names the one
//! store that may write them. Each transaction writes `self` by compare-and-set, so two
//! machines of one name cannot write in turn: the second finds the record another one's,
//! and says so. The owner writes `self` also when there is nothing to copy, as a sign of
//! life: a store that does not own it takes it over only after it has seen none for long
//! enough ([`Pulse`]). A copy is read only by a store that has lost its own record.

mod adopt;
mod claim;
mod pending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{IncidentId, Row, RowKey, RunId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub use adopt::Adopted;
pub(crate) use pending::Pending;
use pending::lasts;

use crate::kv::{Kv, KvError, Op, Revision};
use crate::node::{NodeStore, StoreError};
use crate::wire::{self, Copy, WireError};

/// Between two transactions: five a second at most.
const PACE: Duration = Duration::from_millis(200);

/// Pauses after failures, doubling from the first to the second. After an outage of Consul
/// the owner must have shown that it lives before anybody holds it for dead.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Everything is compared this often, and what is too old is swept.
const COMPARE: Duration = Duration::from_secs(86_400);

/// How long it stays written that a run or incident is over. A node that was away for
/// longer comes back as a new one.
const TOMBSTONE_MS: i64 = 30 * 86_400_000;

/// Copies in one transaction.
const COPIES: usize = 32;

/// Bytes of copies in one transaction: its limit counts them in base64, and the rest too.
const BYTES: usize = 360 << 10;

/// Keeps copies of the local runs and incidents in the shared home.
#[derive(Debug)]
pub struct Mirror {
    kv: Kv,
    store: NodeStore,
    /// `node/<node>/`.
    prefix: String,
    /// This process, among those that ever wrote.
    writer: String,
    /// The store's commit when this process began: what is older is by an earlier one.
    began: u64,
    pulse: Pulse,
    /// Our `self` as last written; `None` when that is not known.
    owned: Option<Revision>,
    /// When `self` must be written again although nothing has changed.
    beat_at: Instant,
    /// How often this process wrote `self`.
    beats: u64,
    /// Whether another machine with the name of this node was seen to be alive.
    rival: bool,
    /// The highest numbers of runs and incidents.
    highest: (u64, u64),
    /// Those that `self` says.
    told: (u64, u64),
    /// What has a copy that says it is not over.
    copied: BTreeSet<RowKey>,
    /// How many such copies an earlier store left that this one has not compared yet.
    inherited: usize,
    /// Keys to delete: too old.
    sweep: Vec<String>,
    compare_at: Instant,
    pending: Arc<Pending>,
    state: watch::Sender<MirrorState>,
}

/// How the one that writes the copies shows that it is alive, and when it is held for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// It writes `self` at least this often. 10 s: five hundred nodes are fifty small
    /// writes a second.
    pub beat: Duration,
    /// One that wrote nothing for this long is held for dead. 35 s: three beats may fail,
    /// and a request may take its 10 s, as in an election of Consul's leader.
    pub silence: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { beat: Duration::from_secs(10), silence: Duration::from_secs(35) }
    }
}

/// How the copies stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorState {
    /// It is not known yet what an earlier store of this node had under way: the node does
    /// not act. It is asked again.
    Unconfirmed {
        /// Why.
        why: String,
    },
    /// They are as they were at this commit, or later.
    InStep {
        /// The number of the commit.
        commit: u64,
    },
    /// They are behind, for this reason; it is tried again.
    Behind {
        /// Why.
        why: String,
    },
    /// Another machine has the name of this node and is alive: nothing is copied until it
    /// is not, and a store that is not confirmed stays so.
    Duplicate {
        /// Which, and the way out.
        why: String,
    },
}

impl MirrorState {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::InStep { .. } => "in_step",
            Self::Behind { .. } => "behind",
            Self::Duplicate { .. } => "duplicate",
        }
    }

    /// Why they are not in step.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::InStep { .. } => None,
            Self::Unconfirmed { why } | Self::Behind { why } | Self::Duplicate { why } => Some(why),
        }
    }
}

/// Why something could not be copied or adopted.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Another store writes the copies of this node: two machines have one name.
    #[error(
        "another machine called `{node}` is alive (its store is {lineage}): \
         give this one, or that one, another node.name"
    )]
    Duplicate {
        /// The name.
        node: String,
        /// The history of the other's store.
        lineage: String,
    },
    /// The records are not shown to us in full: an answer without them proves nothing.
    #[error("the records of this node are not shown to it: `{key}` is missing from the answer")]
    Hidden {
        /// What should have been there.
        key: String,
    },
    /// The shared home.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The local home.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that is not one, or a newer program's.
    #[error("a copy in the shared records cannot be used: {0}")]
    Wire(#[from] WireError),
}

impl Mirror {
    /// A mirror of a store; from now on what the store records is noted for it.
    pub fn new(kv: Kv, store: NodeStore, pulse: Pulse) -> Self {
        let pending = Arc::new(Pending::default());
        store.set_pending(pending.clone());
        let node = store.node().replace('%', "%25").replace('/', "%2F");
        let why = "Consul was not asked yet".to_owned();
        let state =
            if store.confirmed() { MirrorState::Behind { why } } else { MirrorState::Unconfirmed { why } };
        Self {
            prefix: format!("node/{node}/"),
            writer: format!("{:016x}", rand::random::<u64>()),
            began: *store.commits().borrow(),
            pulse,
            owned: None,
            beat_at: Instant::now(),
            beats: 0,
            rival: false,
            highest: (0, 0),
            told: (0, 0),
            copied: BTreeSet::new(),
            inherited: 0,
            sweep: Vec::new(),
            compare_at: Instant::now(),
            pending,
            state: watch::Sender::new(state),
            kv,
            store,
        }
    }

    /// Tells how the copies stand.
    pub fn state(&self) -> watch::Receiver<MirrorState> {
        self.state.subscribe()
    }

    /// Copies what changes, for as long as it is polled; starts once the store is
    /// confirmed. After an outage it catches up with the latest of each, and as long as
    /// another machine has the name of this node it waits for the end of that.
    pub async fn run(&mut self) {
        let mut commits = self.store.commits();
        while !self.store.confirmed() {
            if commits.changed().await.is_err() {
                return;
            }
        }
        let mut pause = PAUSES.0;
        loop {
            let next = Instant::now() + PACE;
            match self.turn(false).await {
                Ok(()) => {
                    pause = PAUSES.0;
                    let commit = *commits.borrow_and_update();
                    if self.pending.is_empty() && self.sweep.is_empty() {
                        self.state.send_replace(MirrorState::InStep { commit });
                        drop(timeout_at(self.compare_at.min(self.beat_at), commits.changed()).await);
                    }
                    sleep_until(next).await;
                }
                Err(error) => {
                    self.failed(&error);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Copies what is left and writes down that this node has stopped, so that a store that
    /// is begun later need not wait. Does nothing if the copies are not this store's.
    ///
    /// # Errors
    /// When the shared home cannot be reached; then a later store waits.
    pub async fn part(&mut self) -> Result<(), MirrorError> {
        if self.beats == 0 || self.rival || !self.store.confirmed() {
            return Ok(());
        }
        while !self.pending.is_empty() {
            self.turn(false).await?;
        }
        self.turn(true).await
    }

    /// Tells how the copies stand after a failure.
    fn failed(&self, error: &MirrorError) {
        tracing::debug!(%error, "the copies are behind");
        let why = error.to_string();
        self.state.send_replace(match error {
            MirrorError::Duplicate { .. } => MirrorState::Duplicate { why },
            _ if !self.store.confirmed() => MirrorState::Unconfirmed { why },
            _ => MirrorState::Behind { why },
        });
    }

    /// Sends one transaction, if there is something to send or a sign of life is due.
    async fn turn(&mut self, stopped: bool) -> Result<(), MirrorError> {
        if self.pending.take_overflow() || Instant::now() >= self.compare_at {
            self.owned = None;
        }
        // Not known any more if this turn is dropped halfway.
        let owned = match self.owned.take() {
            Some(owned) => owned,
            None => self.compare().await?,
        };
        let rows = self.pending.take(COPIES);
        let swept = self.sweep.split_off(self.sweep.len().saturating_sub(COPIES / 2));
        let (mut ops, mut bytes, mut sent) = (Vec::new(), 0, Vec::new());
        for (key, row) in rows {
            self.raise(&key);
            if row.is_none() && !self.copied.contains(&key) {
                // It began and ended between two transactions.
                continue;
            }
            let value = self.copy(row.as_ref())?;
            if value.len() > BYTES {
                tracing::warn!(?key, bytes = value.len(), "a run or incident is too large to be copied");
                continue;
            }
            if bytes + value.len() > BYTES {
                self.pending.put_back(vec![(key, row)]);
                continue;
            }
            bytes += value.len();
            ops.push(Op::put(self.key(&key), value));
            sent.push((key, row));
        }
        ops.extend(swept.iter().map(Op::delete));
        let due = stopped || self.told != self.highest || Instant::now() >= self.beat_at;
        if ops.is_empty() && !due {
            self.owned = Some(owned);
            return Ok(());
        }
        let mut copied = self.copied.clone();
        for (key, row) in &sent {
            if row.is_some() {
                copied.insert(key.clone())
            } else {
                copied.remove(key)
            };
        }
        ops.push(Op::replace(self.own_key(), self.owner(copied.len(), stopped)?, owned));
        match self.kv.txn(&ops).await {
            Ok(written) => {
                self.owned = written.last().copied().flatten();
                self.copied = copied;
                self.shown();
                Ok(())
            }
            Err(error) => {
                // What was done is seen when everything is compared.
                self.pending.put_back(sent);
                Err(error.into())
            }
        }
    }

    /// Makes sure that the copies are ours to write, and finds what they lack.
    async fn compare(&mut self) -> Result<Revision, MirrorError> {
        let (owned, _) = self.claim().await?;
        let listing = self.kv.list(&self.prefix).await?;
        let rows = self.rows().await?;
        rows.iter().for_each(|row| self.raise(&row.key()));
        let mut live: BTreeMap<RowKey, Row> =
            rows.into_iter().filter(lasts).map(|row| (row.key(), row)).collect();
        let lineage = self.store.lineage();
        let old = self.now().unix_ms - TOMBSTONE_MS;
        let (mut changed, mut sweep, mut copied) = (Vec::new(), Vec::new(), BTreeSet::new());
        for pair in listing.pairs {
            let Some(key) = self.row_key(&pair.key) else { continue };
            self.raise(&key);
            let copy = match wire::decode::<Copy>(&pair.value) {
                Ok(copy) => copy,
                Err(error) => {
                    // It is written anew if the row still is; else it is left alone.
                    tracing::warn!(key = pair.key, %error, "a copy cannot be read");
                    continue;
                }
            };
            if copy.row.is_some() {
                copied.insert(key.clone());
            }
            match (live.remove(&key), copy.row) {
                (Some(row), Some(there)) if copy.lineage == lineage && there == wire::Row::from(&row) => {}
                (Some(row), _) => changed.push((key, Some(row))),
                (None, Some(_)) => changed.push((key, None)),
                (None, None) if copy.at.unix_ms < old => sweep.push(pair.key),
                (None, None) => {}
            }
        }
        changed.extend(live.into_iter().map(|(key, row)| (key, Some(row))));
        self.pending.put_back(changed);
        self.sweep = sweep;
        self.copied = copied;
        self.inherited = 0;
        self.compare_at = Instant::now() + COMPARE;
        Ok(owned)
    }

    /// All rows, read where it may block.
    async fn rows(&self) -> Result<Vec<Row>, MirrorError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.rows()).await;
        Ok(read.map_err(|_ended| StoreError::Closed)??)
    }

    fn copy(&self, row: Option<&Row>) -> Result<Vec<u8>, MirrorError> {
        let copy = Copy {
            lineage: self.store.lineage(),
            revision: *self.store.commits().borrow(),
            at: self.now(),
            row: row.map(Into::into),
        };
        Ok(wire::encode(&copy)?)
    }

    /// The time of the store's latest commit.
    fn now(&self) -> wire::Time {
        let anchor = self.store.anchor();
        anchor.map_or(wire::Time { unix_ms: 0, boot_ms: 0 }, |anchor| wire::Time {
            unix_ms: anchor.wall.as_unix_millis(),
            boot_ms: anchor.axis.as_millis(),
        })
    }

    fn raise(&mut self, key: &RowKey) {
        match key {
            RowKey::Run(RunId(id)) => self.highest.0 = self.highest.0.max(*id),
            RowKey::Incident(IncidentId(id)) => self.highest.1 = self.highest.1.max(*id),
            RowKey::Check(_) | RowKey::Flood(_) | RowKey::Reading(_) | RowKey::Role(_) => {}
        }
    }

    fn own_key(&self) -> String {
        format!("{}self", self.prefix)
    }

    fn key(&self, key: &RowKey) -> String {
        match key {
            RowKey::Run(RunId(id)) => format!("{}run/{id}", self.prefix),
            RowKey::Incident(IncidentId(id)) => format!("{}incident/{id}", self.prefix),
            RowKey::Check(name) => format!("{}check/{name}", self.prefix),
            RowKey::Flood(name) => format!("{}flood/{name}", self.prefix),
            RowKey::Reading(name) => format!("{}reading/{name}", self.prefix),
            RowKey::Role(service) => format!("{}role/{service}", self.prefix),
        }
    }

    fn row_key(&self, key: &str) -> Option<RowKey> {
        let (kind, id) = key.strip_prefix(&self.prefix)?.split_once('/')?;
        let id = id.parse().ok()?;
        match kind {
            "run" => Some(RowKey::Run(RunId(id))),
            "incident" => Some(RowKey::Incident(IncidentId(id))),
            _ => None,
        }
    }
}
