//! One block: waits until this node is the one that works, and has snapshots taken, sent and tried when they are due.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::pending;
use lictor_config::Snapshot;
use lictor_consul::Client;
use lictor_core::Now;
use lictor_store::kv::Kv;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::due::stamp;
use super::lock::{Lock, Refused};
use super::shelf;
use super::view::{Phase, SnapshotState};
use super::work::{Ended, Work, note_key, read_note};
use crate::clock::Clock;
use crate::lease::{Lease, LeaseState};
use crate::task::Tasks;

/// Pause before it is tried again to begin.
const AGAIN: Duration = Duration::from_secs(1);

/// The same when it is refused as it is configured, or after too many failures: another node may try. At most so long.
const STEPS_BACK: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));

/// How often it is looked whether another node does what failed here.
const LOOK: Duration = Duration::from_secs(20);

/// For so long nobody need be known to work: longer than a lease lasts.
const WHILE: Duration = Duration::from_secs(45);

/// How long the lease may take to be given back.
const PARTING: Duration = Duration::from_secs(3);

/// How long the lock of another program is left alone before it is looked at again.
const LOCKED: Duration = Duration::from_secs(5);

/// What a person asks for.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) what: Wanted,
    /// What came of it.
    pub(super) done: oneshot::Sender<Result<String, String>>,
}

/// See [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A snapshot, now.
    Take,
    /// A drill, now.
    Drill,
}

/// The block as others see it.
#[derive(Clone, Default)]
pub(super) struct Slot {
    pub(super) state: watch::Sender<SnapshotState>,
    /// To whoever works now on this node.
    pub(super) orders: Arc<Mutex<Option<mpsc::Sender<Order>>>>,
}

impl Slot {
    pub(super) fn phase(&self, phase: &Phase) {
        self.state.send_if_modified(|state| {
            let changed = state.phase != *phase;
            state.phase.clone_from(phase);
            changed
        });
    }

    /// Another works, or nobody is `known` to: what the places have is then not known here.
    pub(super) fn stands_by(&self, why: &str, known: bool) {
        let phase = Phase::Standby(why.to_owned());
        self.state.send_if_modified(|state| {
            let changed = state.phase != phase;
            if changed {
                // What failed here is over when one is somewhere, not when another node is to try.
                let (tally, failing, failures) = (state.tally, state.failing.take(), state.failures);
                let phase = phase.clone();
                *state = SnapshotState { phase, known, tally, failing, failures, ..SnapshotState::default() };
                if known {
                    state.begins();
                }
            }
            changed
        });
    }

    /// Nothing comes of it, and why.
    pub(super) fn fails(&self, phase: &Phase, now: Now) {
        let why = phase.why().unwrap_or_default();
        self.state.send_if_modified(|state| {
            let changed = state.phase != *phase || state.failing.is_none();
            if changed {
                state.fails(why, false, now);
                state.phase.clone_from(phase);
            }
            changed
        });
    }
}

/// See the module.
pub(super) struct Seat {
    pub(super) settings: Arc<Snapshot>,
    /// The datacenter that is meant; `None`: that of the agent.
    pub(super) home: Option<String>,
    /// What keys of our own begin with.
    pub(super) own: String,
    pub(super) node: String,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) slot: Slot,
    /// The folder of this block.
    pub(super) scratch: PathBuf,
    pub(super) tasks: Tasks,
}

impl Seat {
    /// For as long as the agent runs.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut back = STEPS_BACK.0;
        loop {
            let own = Tasks::new();
            let ended = self.candidacy(&own, &stop).await;
            *self.orders() = None;
            if !own.drain(PARTING).await {
                debug!(snapshot = %self.settings.name, "the lease was not given back in time");
            }
            let pause = match ended {
                Ended::Lost => AGAIN,
                Ended::Refused(why) => {
                    warn!(snapshot = %self.settings.name, why, "no snapshots are taken");
                    self.slot.fails(&Phase::Refused(why), self.clock.now());
                    STEPS_BACK.0
                }
                Ended::GaveUp(why) => {
                    warn!(snapshot = %self.settings.name, why, "another node may try to take snapshots");
                    self.slot.fails(&Phase::Failing(why), self.clock.now());
                    back
                }
            };
            let fails = self.slot.state.borrow().failing.is_some();
            back = if fails { (back * 2).min(STEPS_BACK.1) } else { STEPS_BACK.0 };
            self::pause(pause, &stop).await;
            if stop.is_cancelled() {
                return;
            }
        }
    }

    /// What the work is done with.
    pub(super) fn work(&self) -> Work {
        Work {
            settings: Arc::clone(&self.settings),
            home: self.home.clone(),
            own: self.own.clone(),
            node: self.node.clone(),
            client: self.client.clone(),
            clock: self.clock.clone(),
            slot: self.slot.clone(),
            scratch: self.scratch.clone(),
            tasks: self.tasks.clone(),
        }
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Order>>> {
        self.slot.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lease, and works under it until it is lost, nothing comes of it, or everything stops.
    async fn candidacy(&self, own: &Tasks, stop: &CancellationToken) -> Ended {
        let connections = match self.client.with_own_connections() {
            Ok(connections) => connections,
            Err(why) => return Ended::Refused(why.to_string()),
        };
        let lease = Lease::start(
            Kv::consul(connections, self.own.clone()),
            format!("lease/snapshot/{}", self.settings.name),
            self.node.clone(),
            format!("{:032x}", rand::random::<u128>()),
            // It outlasts that Consul is slow because a snapshot is taken.
            crate::fault::lease(),
            self.clock.clone(),
            own,
        );
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.stand_by(&lease) => {}
                () = stop.cancelled() => break,
            }
            let lock = match &self.settings.lock {
                None => None,
                Some(key) => match Lock::take(&self.client, key, "lictor snapshots").await {
                    Ok(lock) => Some(lock),
                    Err(Refused::Held(why)) => {
                        self.slot.stands_by(&why, true);
                        pause(LOCKED, stop).await;
                        continue;
                    }
                    Err(Refused::Wrong(why)) => {
                        self.slot.fails(&Phase::Failing(why), self.clock.now());
                        pause(LOCKED, stop).await;
                        continue;
                    }
                },
            };
            let ended = tokio::select! {
                ended = self.term(&lease, lock.as_ref()) => ended,
                () = stop.cancelled() => Ended::Lost,
            };
            if let Some(lock) = lock {
                lock.end().await;
            }
            match ended {
                Ended::Lost => info!(snapshot = %self.settings.name, "this node takes no more snapshots"),
                ended => return ended,
            }
        }
        Ended::Lost
    }

    /// Works until lease or lock is lost.
    async fn term(&self, lease: &Lease, lock: Option<&Lock>) -> Ended {
        let (sender, orders) = mpsc::channel(4);
        *self.orders() = Some(sender);
        let work = self.work();
        let ended = tokio::select! {
            ended = work.run(orders) => ended,
            () = lost(lease) => Ended::Lost,
            why = kept(lock) => {
                warn!(snapshot = %self.settings.name, why, "the lock is lost");
                Ended::Lost
            }
        };
        *self.orders() = None;
        ended
    }

    /// Until this node holds the lease.
    async fn stand_by(&self, lease: &Lease) {
        let mut state = lease.state();
        let (mut nobody, mut looked): (Option<Instant>, Option<Instant>) = (None, None);
        let mut swept = false;
        while lease.believes().is_none() {
            if self.fails() && looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                self.is_it_over().await;
                looked = Some(Instant::now());
            }
            let now = state.borrow_and_update().clone();
            match now {
                LeaseState::Other { holder } => {
                    nobody = None;
                    if holder != self.node && !swept {
                        // Nobody on this machine works: what was not finished here holds everything in the clear.
                        shelf::sweep_unfinished(&self.scratch);
                        swept = true;
                    }
                    self.slot.stands_by(&format!("{holder} takes them"), true);
                }
                LeaseState::Held { .. } => self.nobody("the lease has just ended", &mut nobody),
                LeaseState::Unknown { why } => self.nobody(&why, &mut nobody),
            }
            // That nothing changes is no news.
            drop(timeout(AGAIN, state.changed()).await);
        }
    }

    /// Between two that work there is a while; after that something is wrong.
    fn nobody(&self, why: &str, since: &mut Option<Instant>) {
        match since.get_or_insert_with(Instant::now).elapsed() < WHILE {
            true => self.slot.stands_by(why, false),
            false => {
                let why = format!("nobody is known to take snapshots: {why}");
                self.slot.fails(&Phase::Failing(why), self.clock.now());
            }
        }
    }

    fn fails(&self) -> bool {
        self.slot.state.borrow().failing.is_some()
    }

    /// Whether another node does what failed here: a place has got one since.
    async fn is_it_over(&self) {
        let Some(note) = read_note(&self.client, &note_key(&self.own, &self.settings)).await else { return };
        self.slot.state.send_if_modified(|state| {
            state.is_somewhere(stamp(note.sent_unix_ms));
            state.failing.is_none()
        });
    }
}

/// A pause that ends when everything does.
async fn pause(length: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(length) => {}
        () = stop.cancelled() => {}
    }
}

/// Until the lease is lost.
async fn lost(lease: &Lease) {
    let mut state = lease.state();
    while lease.believes().is_some() {
        // The belief ends without a word when nothing answers.
        drop(timeout(Duration::from_millis(500), state.changed()).await);
    }
}

/// Until the lock is lost, and why; without one, for ever.
pub(super) async fn kept(lock: Option<&Lock>) -> String {
    match lock {
        Some(lock) => lock.keep().await,
        None => pending().await,
    }
}
