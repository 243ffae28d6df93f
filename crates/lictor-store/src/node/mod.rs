//! The local home: one file with the present and the past of this node.

mod acts;
mod apply;
mod batch;
mod copy;
mod disk;
mod error;
mod ledger;
mod lock;
mod open;
mod past;
#[cfg(test)]
mod power;
mod prune;
mod reserve;
mod shared;
mod sum;
mod tables;
mod writer;

pub use acts::{ACTS_KEPT, Act, ActEnd, ActRecord, ActsVerified};
pub use batch::{Anchor, Batch, Committed, NotRecorded};
pub use copy::{Copied, CopyError, Restored, Restoring, check_copy, copy_of};
pub use error::{OpenError, StoreError};
pub use ledger::{Entry, LedgerOrder, LedgerPage, LedgerQuery};
pub use past::{Grain, Slot, Stood};
pub use prune::LedgerLimits;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lictor_core::{CheckName, Row};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use tokio::sync::{mpsc, oneshot, watch};

use crate::mirror::Pending;
use crate::wire::{Live, Made};
use apply::Held;
use error::guarded;
use lock::Lock;
use open::{Place, Present};
use prune::Pruner;
use reserve::Reserve;
use writer::{QUEUE, Work, Writer};

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The state directory; made when missing.
    pub dir: PathBuf,
    /// The name of this node.
    pub node: String,
    /// How much of the past is kept.
    pub ledger: LedgerLimits,
    /// Bytes kept back for a full disk; 0 for none. Default 16 MiB.
    pub reserve: u64,
    maker: disk::Maker,
}

impl Options {
    /// The defaults for a state directory and a node.
    pub fn new(dir: impl Into<PathBuf>, node: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            node: node.into(),
            ledger: LedgerLimits::default(),
            reserve: 16 << 20,
            maker: disk::real(),
        }
    }
}

/// An open store and what it remembers.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: NodeStore,
    /// How it was found.
    pub start: Start,
    /// The present: what the engine goes on from.
    pub rows: Vec<Row>,
    /// How far each watcher had read its source.
    pub positions: Vec<(CheckName, String)>,
    /// Where the clocks stood at the last commit.
    pub anchor: Option<Anchor>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// How a store was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It was not there; it is new and remembers nothing.
    Fresh,
    /// It was there, and the agent before had stopped in order.
    Opened,
    /// It was there, and the agent before had not stopped in order.
    Recovered,
}

/// Something about the state that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The state file could not be read. It was kept, and a new store was begun.
    #[error("the state file could not be read and is kept as `{path}`: {why}", path = kept.display())]
    Unreadable {
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The state was written by a node of another name.
    #[error("the state was written by node `{was}`; it goes on as `{now}`", now = name)]
    Renamed {
        /// The name then.
        was: String,
        /// The name now.
        name: String,
    },
    /// There is no room to keep space back: the disk is full.
    #[error("the disk under the state directory is full: nothing can be recorded until there is space")]
    Full,
}

/// Whether the store can record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// The disk is full: only urgent batches are recorded.
    Full,
    /// The last attempt failed for this reason.
    Failing(String),
}

/// The store of one node. Cheap to clone; clones are the same store.
///
/// All writing is done by one thread of its own, which folds what waits into one durable
/// transaction. Reading never waits for it; it does block on the disk, so an async caller
/// with many rows to read does it in `spawn_blocking`.
#[derive(Clone, Debug)]
pub struct NodeStore {
    shared: Arc<Shared>,
    works: mpsc::Sender<Work>,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    database: Mutex<Option<Arc<Database>>>,
    health: Mutex<Health>,
    made: Mutex<Made>,
    anchor: Mutex<Option<Anchor>>,
    /// What a mirror wants to know of.
    pending: Mutex<Option<Arc<Pending>>>,
    commits: watch::Sender<u64>,
    kv_revisions: watch::Sender<u64>,
}

impl NodeStore {
    /// Opens the store of a state directory, or makes one.
    ///
    /// A state file that cannot be read is moved aside, and a new store is begun: see
    /// [`Opened::warnings`]. After an unclean stop nothing is replayed; what was committed
    /// is there.
    ///
    /// # Errors
    /// When another process has the directory, when a newer program wrote the file, or
    /// when the directory cannot be used.
    pub fn open(options: Options) -> Result<Opened, OpenError> {
        let Options { dir, node, ledger, reserve, maker } = options;
        open::directory(&dir)?;
        let lock = Lock::take(&dir)?;
        let place = Place { path: dir.join("state.redb"), maker };
        let fresh = std::fs::symlink_metadata(&place.path).is_err();
        let mut reserve = Reserve::new(&dir, reserve);
        let opened = match open::state(&place, &node) {
            Err(OpenError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull && reserve.release() =>
            {
                open::state(&place, &node)
            }
            other => other,
        };
        let (mut file, present, aside) = opened?;

        let mut warnings = Vec::new();
        let start = match &aside {
            Some(_) => Start::Fresh,
            None if fresh => Start::Fresh,
            None if file.live.clean => Start::Opened,
            None => Start::Recovered,
        };
        if let Some(aside) = aside {
            warnings.push(Warning::Unreadable { kept: aside.path, why: aside.why });
        }
        if file.made.node != node {
            warnings.push(Warning::Renamed { was: file.made.node.clone(), name: node.clone() });
            file.made.node = node;
        }
        if !reserve.held() {
            warnings.push(Warning::Full);
        }
        let anchor: Option<Anchor> = file.live.anchor.clone().map(Into::into);
        let health = if reserve.held() { Health::Good } else { Health::Full };
        let shared = Arc::new(Shared {
            database: Mutex::new(Some(Arc::new(file.database))),
            health: Mutex::new(health),
            made: Mutex::new(file.made.clone()),
            anchor: Mutex::new(anchor.clone()),
            pending: Mutex::new(None),
            commits: watch::Sender::new(file.live.commit),
            kv_revisions: watch::Sender::new(file.live.kv_revision),
        });
        let held = Held::of(&present.rows);
        let writer = Writer {
            place,
            shared: shared.clone(),
            lock,
            reserve,
            limits: ledger,
            made: file.made,
            live: file.live,
            held,
            pruner: Pruner::default(),
            fence: file.fence,
        };
        let (works, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("lictor-store".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(open::io_error("start a thread for", &dir))?;
        let store = Self { shared, works };
        let Present { rows, positions } = present;
        Ok(Opened { store, start, rows, positions, anchor, warnings })
    }

    /// Records a batch. When this returns `Ok`, all of it is on disk; otherwise none of it
    /// is, and the error gives it back. (Only when the disk fails so thoroughly that the
    /// file cannot even be opened again is that not certain; recording the batch again then
    /// repeats its ledger entries at worst.)
    ///
    /// A batch that is given up while this waits may still be recorded. There is no time
    /// limit here: a disk that hangs cannot be interrupted; who must not wait, does not.
    ///
    /// # Errors
    /// When the disk is full or fails. The store stays usable, and records again when the
    /// disk does.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, NotRecorded> {
        let (reply, answer) = oneshot::channel();
        if let Err(mpsc::error::SendError(work)) = self.works.send(Work::Commit(batch, reply)).await {
            let batch = if let Work::Commit(batch, _) = work { batch } else { Batch::default() };
            return Err(NotRecorded { why: StoreError::Closed, batch: Box::new(batch) });
        }
        let gone = |_| Err(NotRecorded { why: StoreError::Closed, batch: Box::default() });
        answer.await.unwrap_or_else(gone)
    }

    /// Notes that this is the end of an orderly stop: the next start is not a recovery.
    /// Any later commit takes that back.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn mark_clean(&self) -> Result<(), StoreError> {
        self.ask(Work::Clean).await
    }

    /// Says, for good, that this node may act: it stands alone, Consul was asked for what
    /// an earlier store of this node left, or a person said that the node is new.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        if self.confirmed() { Ok(()) } else { self.ask(Work::Confirm).await }
    }

    /// Closes the file, gives the lock back and refuses everything after that.
    pub async fn close(self) {
        let (reply, answer) = oneshot::channel();
        if self.works.send(Work::Close(reply)).await.is_ok() {
            drop(answer.await);
        }
    }

    /// All rows, read anew.
    ///
    /// # Errors
    /// When the disk fails or the file is damaged.
    pub fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let database = self.shared.database()?;
        guarded(|| {
            let table = database.begin_read()?.open_table(tables::ROWS)?;
            let rows = table.iter()?.map(|found| {
                let (key, bytes) = found?;
                tables::row(key.value(), bytes.value())
            });
            rows.collect()
        })
    }

    /// A part of the ledger.
    ///
    /// # Errors
    /// When the disk fails or the file is damaged.
    pub fn ledger(&self, query: &LedgerQuery) -> Result<LedgerPage, StoreError> {
        let database = self.shared.database()?;
        guarded(|| ledger::page(&database, query))
    }

    /// The random name of the history that this store holds, made with it.
    pub fn lineage(&self) -> String {
        self.shared.made().lineage
    }

    /// The name of the node.
    pub fn node(&self) -> String {
        self.shared.made().node
    }

    /// Where the clocks stood at the latest commit.
    pub fn anchor(&self) -> Option<Anchor> {
        self.shared.anchor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node may act; see [`confirm`](Self::confirm).
    pub fn confirmed(&self) -> bool {
        self.shared.made().confirmed
    }

    /// Whether the store can record.
    pub fn health(&self) -> Health {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of each commit: the receiver holds the number of the latest.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// From now on, what is recorded is noted there.
    pub(crate) fn set_pending(&self, pending: Arc<Pending>) {
        *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
    }

    async fn ask(
        &self,
        work: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Work,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.works.send(work(reply)).await {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

impl Shared {
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        // It is also missing while the disk keeps the file from being opened again.
        database.clone().ok_or_else(|| StoreError::Io { source: std::io::Error::other("it is not open") })
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        let mut place = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, database);
        drop(place);
        drop(before);
    }

    fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn pending(&self) -> Option<Arc<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn made(&self) -> Made {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn published(&self, live: &Live, made: &Made) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = made.clone();
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = live.anchor.clone().map(Into::into);
        self.commits.send_replace(live.commit);
        self.kv_revisions
            .send_if_modified(|revision| std::mem::replace(revision, live.kv_revision) != live.kv_revision);
    }
}
